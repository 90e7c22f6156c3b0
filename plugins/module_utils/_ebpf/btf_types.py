# SPDX-License-Identifier: GPL-3.0-or-later
"""Types of the running kernel by number and by path, from its BTF (Documentation/bpf/btf.rst).

A typed tracepoint and an iterator are named to the kernel by the number of a type, which the place of the type in BTF gives.
A member may lie within structures that have no name of their own (mm_struct.mmap_lock, since 6.6).
"""

import struct

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

_BTF = '/sys/kernel/btf/vmlinux'
_MAGIC = 0xeB9F
STRUCT, TYPEDEF, FUNC = 4, 8, 12
_POINTER, _UNION, _FUNCTION = 2, 5, 13  # the last one: a function's prototype
_MODIFIERS = frozenset((TYPEDEF, 9, 10, 11, 18))  # typedef, volatile, const, restrict, type tag
# Bytes that follow the 12 of each type, by kind: (fixed, for each of its members).
_TAIL = {1: (4, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8), 13: (0, 8), 14: (4, 0), 15: (0, 12), 17: (4, 0), 19: (0, 12)}
_KINDS = 19
_DEEPEST = 8


def load():
    """Return the Types of the running kernel. Raises Unavailable where it has none, or keeps them in a way that is not known."""
    try:
        with open(_BTF, 'rb') as stream:
            return Types(stream.read())
    except OSError as error:
        raise Unavailable('this kernel does not describe its own types (%s: %s)' % (_BTF, error.strerror),
                          'Boot a kernel with CONFIG_DEBUG_INFO_BTF.')
    except ValueError as error:
        raise Unavailable(str(error), 'Please report this kernel release to the maintainers of ksysak.fleet.')


class Types:
    """data: bytes of BTF. Raises ValueError when they are none, or have kinds of types that are not known."""

    def __init__(self, data):
        if len(data) < 24 or struct.unpack_from('<H', data)[0] != _MAGIC:
            raise ValueError('%s does not hold BTF' % _BTF)
        header, types_at, types_size, strings_at, strings_size = struct.unpack_from('<5I', data, 4)
        self._data = data
        self._strings = data[header + strings_at:header + strings_at + strings_size]
        self._places = [0]  # by number, which begins at 1
        at, end = header + types_at, header + types_at + types_size
        if end > len(data):
            raise ValueError('%s ends in the midst of its types' % _BTF)
        unpack, places = struct.Struct('<I').unpack_from, self._places
        while at + 12 <= end:
            places.append(at)
            info = unpack(data, at + 4)[0]
            kind = (info >> 24) & 0x1f
            if not 0 < kind <= _KINDS:
                raise ValueError('%s has a type of unknown kind %d' % (_BTF, kind))
            fixed, each = _TAIL.get(kind, (0, 0))
            at += 12 + fixed + each * (info & 0xffff)

    def number(self, name, kind):
        """Return the number of the type with that name and kind (STRUCT, TYPEDEF, FUNC); None when there is none."""
        at = self._strings.find(b'\0' + name.encode() + b'\0') + 1
        if not at:
            return None
        wanted = struct.pack('<I', at)
        for number in range(1, len(self._places)):
            place = self._places[number]
            if self._data[place:place + 4] == wanted and self._kind(place) == kind:
                return number
        return None

    def parameters(self, name):
        """Return how many parameters the functions of typedef `name` have, which is a pointer to such functions; 0 when there is none."""
        number = self.number(name, TYPEDEF)
        for kind in (TYPEDEF, _POINTER):
            number = self._word(number, 8) if number and self._kind(self._places[number]) == kind else 0
        is_function = 0 < number < len(self._places) and self._kind(self._places[number]) == _FUNCTION
        return self._word(number, 4) & 0xffff if is_function else 0

    def offset(self, path):
        """Return the offset in bytes of 'task_struct.se.sum_exec_runtime' within its structure; None when there is no such member.

        A member that is a field of bits has none.
        """
        names = path.split('.')
        number, found = self.number(names[0], STRUCT), 0
        for name in names[1:]:
            member = self._member(number, name, _DEEPEST) if number else None
            if member is None:
                return None
            number, found = member[0], found + member[1]
        return found

    def first(self, *paths):
        """Return the offset of the first of these paths that there is; None for none: members change their names."""
        return next((offset for offset in map(self.offset, paths) if offset is not None), None)

    def _word(self, number, at):
        return struct.unpack_from('<I', self._data, self._places[number] + at)[0]

    def _kind(self, place):
        return (struct.unpack_from('<I', self._data, place + 4)[0] >> 24) & 0x1f

    def _member(self, number, name, depth):
        """Return (number of the member's type, offset in bytes) of a member, also of one within structures without a name."""
        if number >= len(self._places) or not depth:
            return None
        place = self._places[number]
        info, other = struct.unpack_from('<2I', self._data, place + 4)
        kind = (info >> 24) & 0x1f
        if kind in _MODIFIERS:
            return self._member(other, name, depth - 1)
        if kind not in (STRUCT, _UNION):
            return None
        for index in range(info & 0xffff):
            name_at, member, bits = struct.unpack_from('<3I', self._data, place + 12 + index * 12)
            bits = bits & 0xffffff if info >> 31 else bits
            if bits % 8:
                continue
            if not name_at:
                inner = self._member(member, name, depth - 1)
                if inner is not None:
                    return inner[0], inner[1] + bits // 8
            elif self._strings[name_at:self._strings.index(b'\0', name_at)] == name.encode():
                return member, bits // 8
        return None
