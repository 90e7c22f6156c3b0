# SPDX-License-Identifier: GPL-3.0-or-later
"""Offsets of the members of a kernel structure, and values of an enumeration, from the kernel's own BTF (Documentation/bpf/btf.rst)."""

import struct

_BTF = '/sys/kernel/btf/vmlinux'
_MAGIC, _STRUCT, _ENUM = 0xeB9F, 4, 6


def offsets(name, members):
    """Return {member: offset in bytes} of the kernel's struct `name`; None when the kernel does not tell, or has no such struct.

    members: those that it must have. Only plain members at byte positions are found.
    """
    try:
        with open(_BTF, 'rb') as stream:
            return find(stream.read(), name, members)
    except OSError:
        return None


def enumerators(name, members):
    """Return {member: value} of the kernel's enum `name`; None as of offsets()."""
    try:
        with open(_BTF, 'rb') as stream:
            return find(stream.read(), name, members, _values)
    except OSError:
        return None


def find(data, name, members, read=None):
    """The same in BTF that is given as bytes. read: what reads the type at a place, default: that of a struct.

    The names of all types stand in one block. The struct is looked for by the place of its name, which is some
    hundred times faster than to walk over all types.
    """
    if len(data) < 24 or struct.unpack_from('<H', data)[0] != _MAGIC:
        return None
    header, types_at, types_size, strings_at, strings_size = struct.unpack_from('<5I', data, 4)
    types_at += header
    strings_at += header
    strings = data[strings_at:strings_at + strings_size]
    at = strings.find(b'\0' + name.encode() + b'\0')
    if at < 0:
        return None
    wanted = struct.pack('<I', at + 1)
    end = types_at + types_size
    at = data.find(wanted, types_at, end)
    while at >= 0:
        found = (read or _members)(data, at, end, strings) if (at - types_at) % 4 == 0 else None
        if found is not None and all(member in found for member in members):
            return dict((member, found[member]) for member in members)
        at = data.find(wanted, at + 1, end)
    return None


def _members(data, at, end, strings):
    """Return {name: offset in bytes} of the struct at this place; None when there is no struct."""
    info = struct.unpack_from('<I', data, at + 4)[0] if at + 12 <= end else 0
    count, bitfields = info & 0xffff, info >> 31
    if (info >> 24) & 0x1f != _STRUCT or at + 12 + count * 12 > end:
        return None
    found = {}
    for index in range(count):
        name_at, _type, bits = struct.unpack_from('<3I', data, at + 12 + index * 12)
        if name_at >= len(strings):
            return None
        bits &= 0xffffff if bitfields else 0xffffffff
        if bits % 8 == 0:
            found[strings[name_at:strings.index(b'\0', name_at)].decode('ascii', 'replace')] = bits // 8
    return found


def _values(data, at, end, strings):
    """Return {name: value} of the enum at this place; None when there is no enum."""
    info = struct.unpack_from('<I', data, at + 4)[0] if at + 12 <= end else 0
    count = info & 0xffff
    if (info >> 24) & 0x1f != _ENUM or at + 12 + count * 8 > end:
        return None
    found = {}
    for index in range(count):
        name_at, value = struct.unpack_from('<Ii', data, at + 12 + index * 8)
        if name_at >= len(strings):
            return None
        found[strings[name_at:strings.index(b'\0', name_at)].decode('ascii', 'replace')] = value
    return found
