# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls for which Python has no function: prctl(2), bpf(2), and those of mount namespaces. x86_64 where numbers matter."""

import ctypes
import os
import signal

BPF_MAP_CREATE, BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD, BPF_ENABLE_STATS = 0, 11, 13, 15, 32
MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x2, 0x4, 0x8

_SYS_BPF = 321
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_CLONE_NEWNS = 0x00020000
_MS_PRIVATE, _MS_REC = 0x40000, 0x4000
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(what, result):
    """Return the result of a call. Raises OSError with the call's purpose in strerror when the result is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, '%s: %s' % (what, os.strerror(number)))
    return result


def die_with_parent(parent=None, number=signal.SIGKILL):
    """Let the kernel send this process a signal when its parent ends.

    parent: process id of the parent as it knows itself. Returns False when that process has already ended, so that no signal comes.
    """
    _checked('cannot follow the parent process', _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0))
    return parent is None or os.getppid() == parent


def set_name(comm):
    """Set the name of this thread, as ps shows it; the kernel keeps 15 bytes."""
    _checked('cannot set the name of this process', _libc.prctl(_PR_SET_NAME, comm.encode(), 0, 0, 0))


def bpf(command, *words):
    """Call bpf(2). Returns (its result, the attributes afterwards). Raises OSError.

    words: the attributes as 32-bit numbers from the first one on; the others are zero.
    """
    attributes = (ctypes.c_uint32 * 32)(*words)
    return _checked('bpf() failed', _libc.syscall(_SYS_BPF, command, attributes, ctypes.sizeof(attributes))), attributes


def bpf_program_type(descriptor):
    """Return the type of the BPF program with that file descriptor, a number of enum bpf_prog_type. Raises OSError."""
    information = (ctypes.c_uint32 * 64)()
    address = ctypes.addressof(information)
    bpf(BPF_OBJ_GET_INFO_BY_FD, descriptor, ctypes.sizeof(information), address & 0xffffffff, address >> 32)
    return information[0]


def private_mounts():
    """Move this process into a mount namespace of its own: what it mounts from now on ends with it. Raises OSError."""
    _checked('cannot make a mount namespace', _libc.unshare(_CLONE_NEWNS))
    _checked('cannot make the mount namespace private', _libc.mount(b'none', b'/', None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None))


def mount(kind, target, flags, data=''):
    """Mount a file system that needs no device ('tmpfs', 'tracefs') on a folder. Raises OSError."""
    _checked('cannot mount %s on %s' % (kind, target),
             _libc.mount(kind.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()))


def unmount(target):
    """Unmount a folder as soon as nothing uses it any more. Raises OSError."""
    _checked('cannot unmount %s' % target, _libc.umount2(target.encode(), _MNT_DETACH))


def return_free_memory():
    """Give memory back to the kernel that the C library keeps for later; musl has no such call."""
    trim = getattr(_libc, 'malloc_trim', None)
    if trim is not None:
        trim(0)
