# SPDX-License-Identifier: GPL-3.0-or-later
"""Each test file here has a network namespace to itself.

A scan, a detached probe and testrunlatency listen on abstract Unix sockets, which belong to the network namespace. So no test here meets
what an operator, or another run of these tests, runs on this machine.
"""

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1
libc = ctypes.CDLL(None, use_errno=True)


def _checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _start_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", IFF_UP))


@contextlib.contextmanager
def network_of_its_own():
    """This thread, and what it starts, has a new network namespace with loopback alone. Yields the path of the one before."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _checked(libc.unshare(CLONE_NEWNET))
        try:
            _start_loopback()
            yield Path("/proc/%d/fd/%d" % (os.getpid(), before))
        finally:
            _checked(libc.setns(before, CLONE_NEWNET))
    finally:
        os.close(before)


@pytest.fixture(autouse=True, scope="module")
def network_of_the_host():
    """The path of the network namespace in which pytest was started; the tests of a file have another. Only root can make one."""
    if os.geteuid() != 0:
        yield Path("/proc/thread-self/ns/net")
        return
    with network_of_its_own() as before:
        yield before
