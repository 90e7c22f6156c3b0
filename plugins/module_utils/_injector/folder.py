# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder in memory that only this process and its children see, and that goes with them however they end."""

import contextlib
import ctypes
import os

_CLONE_NEWNS = 0x00020000
_MS_NOSUID_NODEV = 0x2 | 0x4
_MS_REC_PRIVATE = 0x4000 | 0x40000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what, result):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, '%s: %s' % (what, os.strerror(error)))


@contextlib.contextmanager
def private(path):
    """Cover the folder at path by an empty one in memory. Raises OSError.

    This process stays in a mount namespace of its own afterwards.
    """
    _call('cannot make a mount namespace', _libc.unshare(_CLONE_NEWNS))
    _call('cannot make the mount namespace private', _libc.mount(b'none', b'/', None, ctypes.c_ulong(_MS_REC_PRIVATE), None))
    _call('cannot mount tmpfs', _libc.mount(b'tmpfs', path.encode(), b'tmpfs', ctypes.c_ulong(_MS_NOSUID_NODEV), b'size=64m,mode=0700'))
    try:
        yield path
    finally:
        _libc.umount2(path.encode(), _MNT_DETACH)
