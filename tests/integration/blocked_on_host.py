# SPDX-License-Identifier: GPL-3.0-or-later
"""As on_host.py, for the probe blocked: let tasks block each other, and measure that. Prints one JSON document.

    PYTHONPATH=<import tree> python3 blocked_on_host.py CASE

A file system in user space (FUSE, by its raw protocol) answers when this program wants: so each wait has a length, a holder and
a chain that are known."""

import ctypes
import errno
import fcntl
import json
import os
import shutil
import signal
import struct
import sys
import tempfile
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.probe import BlockedProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._core import window

# include/uapi/linux/fuse.h
LOOKUP, GETATTR, MKDIR, INIT, FORGET, INTERRUPT, BATCH_FORGET = 1, 3, 9, 26, 2, 36, 42
HEADER, ANSWER = struct.Struct("<IIQQIIII"), struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
MINOR = 31
DELAY_S = 0.4
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878


libc = ctypes.CDLL(None, use_errno=True)


def make():
    """The probe with its defaults."""
    return BlockedProbe({option: spec["default"] for option, spec in BlockedProbe.OPTIONS.items()})


def name(comm):
    libc.prctl(15, comm.encode(), 0, 0, 0)
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)


def attributes(mode):
    return ATTRIBUTES.pack(1, 0, 0, 0, 0, 0, 0, 0, 0, mode, 2, 0, 0, 0, 4096, 0)


def serve(descriptor, slow, delay_s):
    """Answer requests of a directory that has nothing; those of the kinds in `slow` after delay_s, None: never."""
    while True:
        try:
            request = os.read(descriptor, 1 << 18)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR, errno.EAGAIN):
                continue
            return
        _length, kind, unique, _node, _uid, _gid, _pid, _padding = HEADER.unpack_from(request)
        body, status = b"", -errno.ENOSYS
        if kind in slow:
            if delay_s is None:
                continue
            time.sleep(delay_s)
        if kind == INIT:
            status, body = 0, struct.pack("<IIIIHHIIHHI", 7, MINOR, 0, 0, 12, 9, 4096, 1, 1, 0, 0) + b"\0" * 28
        elif kind == GETATTR:
            status, body = 0, struct.pack("<QII", 0, 0, 0) + attributes(0o40755)
        elif kind in (LOOKUP, MKDIR):
            status = -errno.ENOENT if kind == LOOKUP else -errno.EACCES
        elif kind in (FORGET, BATCH_FORGET, INTERRUPT):
            continue
        os.write(descriptor, ANSWER.pack(ANSWER.size + len(body), status, unique) + body)


class Slow:
    """A mounted directory whose daemon is a child named ks-daemon."""

    def __init__(self, slow, delay_s):
        self.folder = tempfile.mkdtemp()
        descriptor = os.open("/dev/fuse", os.O_RDWR)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0" % descriptor
        if libc.mount(b"ks", self.folder.encode(), b"fuse", 0, options.encode()):
            raise OSError(ctypes.get_errno(), "cannot mount a FUSE file system")
        self.pid = os.fork()
        if self.pid == 0:
            name("ks-daemon")
            serve(descriptor, slow, delay_s)
            os._exit(0)
        os.close(descriptor)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        libc.umount2(self.folder.encode(), 2)
        os.rmdir(self.folder)


def looped(setup):
    """setup() makes what happens; it goes on until killed. Returns (what setup returned, the process group to kill)."""
    told, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        truth, forever = setup()
        os.write(write, json.dumps(truth).encode() + b"\n")
        forever()
        os._exit(0)
    os.close(write)
    with os.fdopen(told) as stream:
        return json.loads(stream.readline()), child


def beside(setup, seconds=4):
    """Measure beside what setup makes."""
    probe = make()
    truth, child = looped(setup)
    try:
        return {"envelope": window.measure([probe], seconds)["blocked"], "truth": truth}
    finally:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if truth.get("folder"):
            libc.umount2(truth["folder"].encode(), 2)
            shutil.rmtree(truth["folder"], ignore_errors=True)


def again(call):
    def forever():
        while True:
            try:
                call()
            except OSError:
                pass

    return forever


def child_of(comm, call):
    """A child that calls for ever."""
    pid = os.fork()
    if pid == 0:
        name(comm)
        again(call)()
    return pid


def slow_daemon():
    """A task asks a FUSE daemon that answers late."""

    def setup():
        mounted = Slow((LOOKUP,), DELAY_S)
        pid = child_of("ks-victim", lambda: os.stat(mounted.folder + "/x"))
        return {"folder": mounted.folder, "victim": pid, "daemon": mounted.pid}, signal.pause

    return beside(setup)


def directory_chain():
    """Two tasks make a directory in one place: one holds its lock and waits for the daemon, the other waits for the lock."""

    def setup():
        mounted = Slow((MKDIR,), DELAY_S)
        pids = [child_of("ks-maker-%d" % number, lambda: os.mkdir(mounted.folder + "/x")) for number in range(2)]
        return {"folder": mounted.folder, "makers": pids, "daemon": mounted.pid}, signal.pause

    return beside(setup)


def hung_daemon():
    """A task asks a FUSE daemon that never answers, since before the window."""

    def setup():
        mounted = Slow((LOOKUP,), None)
        pid = child_of("ks-victim", lambda: os.stat(mounted.folder + "/x"))
        time.sleep(0.5)
        return {"folder": mounted.folder, "victim": pid, "daemon": mounted.pid}, signal.pause

    return beside(setup, 2)


def asked_for():
    """Sleeps that programs ask for: none may be a cause."""

    def setup():
        folder = tempfile.mkdtemp()
        path = folder + "/lock"
        pids = {}
        holder = open(path, "w")
        fcntl.flock(holder, fcntl.LOCK_EX)
        read, _write = os.pipe()
        pids["ks-flock"] = child_of("ks-flock", lambda: fcntl.flock(open(path), fcntl.LOCK_SH))
        pids["ks-pipe"] = child_of("ks-pipe", lambda: os.read(read, 1))
        pids["ks-sleep"] = child_of("ks-sleep", lambda: time.sleep(0.2))
        pids["ks-wait"] = child_of("ks-wait", lambda: os.waitpid(_sleeper(0.3), 0))
        pids["ks-vfork"] = child_of("ks-vfork", lambda: _vfork(0.3))
        pids["ks-stopped"] = child_of("ks-stopped", lambda: os.kill(os.getpid(), signal.SIGSTOP))
        return {"folder": folder, "pids": pids}, signal.pause

    return beside(setup, 3)


def _sleeper(seconds):
    pid = os.fork()
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    return pid


def _vfork(seconds):
    """A shell started by posix_spawn, which vforks, execs at once: so the parent's wait is short. clone(CLONE_VFORK) waits for an exit."""
    pid = libc.syscall(56, 0x00004000 | signal.SIGCHLD, 0, 0, 0, 0)  # CLONE_VFORK without CLONE_VM: the child has its own memory
    if pid == 0:
        time.sleep(seconds)
        os._exit(0)
    os.waitpid(pid, 0)


def frozen_file_system():
    """A writer waits for a file system that is frozen, again and again."""

    def setup():
        folder = tempfile.mkdtemp()
        image, mounted = folder + "/image", folder + "/mounted"
        os.mkdir(mounted)
        with open(image, "wb") as stream:
            stream.truncate(32 << 20)
        if os.system("mkfs.ext4 -q -F %s && mount -o loop %s %s" % (image, image, mounted)):
            return {"folder": folder, "unable": "no ext4 on a loop device here"}, signal.pause
        directory = os.open(mounted, os.O_RDONLY)
        pid = child_of("ks-writer", lambda: open(mounted + "/x", "w").close())

        def forever():
            name("ks-freezer")
            while True:
                fcntl.ioctl(directory, FIFREEZE, 0)
                time.sleep(DELAY_S)
                fcntl.ioctl(directory, FITHAW, 0)
                time.sleep(0.05)

        return {"folder": folder, "mounted": mounted, "victim": pid}, forever

    return beside_frozen(setup)


def beside_frozen(setup):
    probe = make()
    truth, child = looped(setup)
    try:
        if truth.get("unable"):
            return {"truth": truth}
        return {"envelope": window.measure([probe], 4)["blocked"], "truth": truth}
    finally:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if truth.get("mounted"):
            directory = os.open(truth["mounted"], os.O_RDONLY)
            try:
                fcntl.ioctl(directory, FITHAW, 0)
            except OSError:
                pass
            os.close(directory)
            while os.system("umount %s" % truth["mounted"]):
                time.sleep(0.1)
        shutil.rmtree(truth["folder"], ignore_errors=True)


CASES = (slow_daemon, directory_chain, hung_daemon, asked_for, frozen_file_system)

if __name__ == "__main__":
    print(json.dumps({case.__name__: case for case in CASES}[sys.argv[1]]()))
