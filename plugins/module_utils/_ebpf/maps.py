# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads and empties BPF hash maps by the system call itself: in batches where the kernel can (5.6), else key by key; bounded in time."""

import ctypes
import errno
import time

_SYS_BPF_X86_64 = 321
_LOOKUP_ELEM, _DELETE_ELEM, _GET_NEXT_KEY, _LOOKUP_BATCH, _DELETE_BATCH = 1, 3, 4, 24, 27
_CHUNK = 8192


class _Element(ctypes.Structure):
    _fields_ = [('map_fd', ctypes.c_uint32), ('key', ctypes.c_uint64), ('value', ctypes.c_uint64), ('flags', ctypes.c_uint64)]


class _Batch(ctypes.Structure):
    _fields_ = [('in_batch', ctypes.c_uint64), ('out_batch', ctypes.c_uint64), ('keys', ctypes.c_uint64), ('values', ctypes.c_uint64),
                ('count', ctypes.c_uint32), ('map_fd', ctypes.c_uint32), ('elem_flags', ctypes.c_uint64), ('flags', ctypes.c_uint64)]


def _bpf(command, attributes):
    libc = ctypes.CDLL(None, use_errno=True)
    ctypes.set_errno(0)
    result = libc.syscall(_SYS_BPF_X86_64, command, ctypes.byref(attributes), ctypes.sizeof(attributes))
    return 0 if result == 0 else ctypes.get_errno()


def items(table, most, seconds=10.0):
    """Return ([(key, value)], whether that is all) of a bcc table that is a hash; key and value are ctypes structures.

    most: entries that it can have; seconds: how long reading may take. What was read by then is a sample of the keys, as the kernel
    orders them by a hash.
    """
    deadline = time.monotonic() + seconds
    return _batches(table, most, deadline) or _one_by_one(table, most, deadline)


def _batches(table, most, deadline):
    """None: the kernel cannot."""
    keys, values = (table.Key * _CHUNK)(), (table.Leaf * _CHUNK)()
    token = [ctypes.create_string_buffer(max(8, ctypes.sizeof(table.Key))) for _unused in range(2)]
    found, first = [], True
    while len(found) <= most + _CHUNK:
        request = _Batch(0 if first else ctypes.addressof(token[0]), ctypes.addressof(token[1]), ctypes.addressof(keys),
                         ctypes.addressof(values), _CHUNK, table.map_fd, 0, 0)
        failed = _bpf(_LOOKUP_BATCH, request)
        if failed not in (0, errno.ENOENT):
            return None
        for index in range(request.count):
            found.append((_copy(table.Key, keys[index]), _copy(table.Leaf, values[index])))
        if failed:
            break
        if time.monotonic() > deadline:
            return found, False
        token.reverse()
        first = False
    return found, True


def _copy(kind, value):
    # A plain integer comes out of an array of ctypes as an int.
    return kind.from_buffer_copy(value) if isinstance(value, ctypes.Structure) else kind(value)


def _one_by_one(table, most, deadline):
    found = []
    previous, key = None, table.Key()
    while len(found) <= 2 * most:
        if _bpf(_GET_NEXT_KEY, _Element(table.map_fd, ctypes.addressof(previous) if previous is not None else 0,
                                        ctypes.addressof(key), 0)):
            return found, True
        value = table.Leaf()
        if not _bpf(_LOOKUP_ELEM, _Element(table.map_fd, ctypes.addressof(key), ctypes.addressof(value), 0)):
            found.append((key, value))
        if time.monotonic() > deadline:
            return found, False
        previous, key = key, table.Key()
    return found, True


def delete(table, keys):
    """Delete entries of a bcc table that is a hash; returns how many there still were. keys: ctypes structures, as items() gives them."""
    deleted = 0
    for begin in range(0, len(keys), _CHUNK):
        chunk = (table.Key * len(keys[begin:begin + _CHUNK]))(*keys[begin:begin + _CHUNK])
        at, size = 0, ctypes.sizeof(table.Key)
        while at < len(chunk):
            request = _Batch(0, 0, ctypes.addressof(chunk) + at * size, 0, len(chunk) - at, table.map_fd, 0, 0)
            failed = _bpf(_DELETE_BATCH, request)
            if failed not in (0, errno.ENOENT):
                return deleted + sum(_delete_one(table, key) for key in keys[begin + at:])
            deleted += request.count
            at += request.count + (failed != 0)  # one that is gone ends the batch
    return deleted


def _delete_one(table, key):
    return not _bpf(_DELETE_ELEM, _Element(table.map_fd, ctypes.addressof(key), 0, 0))
