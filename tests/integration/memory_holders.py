# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that hold one kind of thing each: for each line of input with a number they make so many more, and answer with a line.

python memory_holders.py KIND
"""

import array
import collections
import ctypes
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import struct
import sys
import tempfile
import threading

libc = ctypes.CDLL(None, use_errno=True)
SYS = {"timer_create": 222, "io_setup": 206, "perf_event_open": 298, "fanotify_init": 300, "add_key": 248, "keyctl": 250,
       "bpf": 321, "pidfd_open": 434, "io_uring_setup": 425, "inotify_init1": 294, "inotify_add_watch": 254, "signalfd4": 289,
       "eventfd2": 290, "timerfd_create": 283}  # fmt: skip
IPC_PRIVATE, IPC_CREAT, IPC_RMID, SETVAL = 0, 0o1000, 0, 16
USER = 54321  # timers and signals are counted by user: no other program of this machine is of this one
kept = []
state = collections.defaultdict(list)  # what a kind keeps beside what it makes
removed = []  # functions that remove what would outlive this process


def call(name, *arguments):
    result = libc.syscall(SYS[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{name}: {os.strerror(ctypes.get_errno())}")
    return result


def socket_():
    kept.append(socket.socket())


def pipe():
    kept.extend(os.pipe())


def eventfd():
    call("eventfd2", 0, 0)


def epoll():
    kept.append(select.epoll())


def inotify():
    call("inotify_init1", 0)


def inotify_watch():
    instance, folder = state["instance"], state["folder"]
    if not instance:
        instance.append(call("inotify_init1", 0))
        folder.append(tempfile.TemporaryDirectory())
    path = tempfile.mkdtemp(dir=folder[0].name)
    call("inotify_add_watch", instance[0], path.encode(), 2)


def timerfd():
    call("timerfd_create", 1, 0)


def signalfd():
    call("signalfd4", -1, ctypes.byref(ctypes.c_uint64(0)), 8, 0)


def fanotify():
    call("fanotify_init", 0, 0)


def pidfd():
    call("pidfd_open", os.getpid(), 0)


def io_uring():
    call("io_uring_setup", 8, ctypes.create_string_buffer(120))


def perf_event():
    attributes = struct.pack("IIQQQQQ", 1, 120, 0, 0, 0, 0, 1).ljust(120, b"\0")
    call("perf_event_open", attributes, 0, -1, -1, 0)


def pty():
    kept.extend(os.openpty())


def memfd():
    descriptor = os.memfd_create("frame")
    os.write(descriptor, b"f" * 16384)


def file():
    kept.append(open("/etc/passwd"))


def network_namespace():
    kept.append(open("/proc/self/ns/net"))


def file_in_flight():
    pair = state["pair"]
    if not pair:
        pair.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
    if len(kept) % 100 == 99:
        pair.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM))
    kept.append(None)
    descriptor = os.open("/dev/null", os.O_RDONLY)
    pair[-1][0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))])
    os.close(descriptor)


def thread(forever=threading.Event()):  # noqa: B008
    threading.stack_size(65536)
    threading.Thread(target=forever.wait, daemon=True).start()


def zombie():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)


def process():
    child = os.fork()
    if child == 0:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)
        while True:
            signal.pause()
    kept.append(child)


class Event(ctypes.Structure):
    _fields_ = [("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("pad", ctypes.c_int * 12)]


def posix_timer():
    call("timer_create", 1, ctypes.byref(Event(None, 34, 0)), ctypes.byref(ctypes.c_int()))


def pending_signal():
    signal.pthread_sigmask(signal.SIG_BLOCK, [40])
    value = ctypes.c_void_p(0)
    libc.sigqueue(os.getpid(), 40, value)


def file_lock():
    opened = state["opened"]
    if not opened:
        opened.append(tempfile.TemporaryFile())
    fcntl.lockf(opened[0], fcntl.LOCK_EX, 1, 2 * len(opened))
    opened.append(None)


def aio_context():
    call("io_setup", 4, ctypes.byref(ctypes.c_ulong(0)))


def anonymous_memory():
    kept.append(bytearray(b"m") * 2**20)


def shared_memory():
    kept.append(mmap.mmap(-1, 2**20))
    kept[-1].write(b"s" * 2**20)


def locked_memory():
    kept.append(mmap.mmap(-1, 2**18))
    kept[-1].write(b"l" * 2**18)
    address = ctypes.addressof(ctypes.c_char.from_buffer(kept[-1]))
    if libc.mlock(ctypes.c_void_p(address), 2**18):
        raise OSError(ctypes.get_errno(), "mlock")


def page_table():
    kept.append(mmap.mmap(-1, 2**26, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    kept[-1].madvise(mmap.MADV_NOHUGEPAGE)
    for page in range(0, 2**26, 2**21):
        kept[-1][page] = 1


def listener():
    made = state["listener"]
    if not made:
        made.append(socket.socket())
        made[0].bind(("127.0.0.1", 0))
        made[0].listen(1000)
    return made[0]


def connected():
    client = socket.create_connection(listener().getsockname())
    return client, listener().accept()[0]


def tcp_unread():
    """The other end, and who connects, is another process."""
    if not kept:
        server, (mine, theirs) = listener(), socket.socketpair()
        there = os.fork()
        if there == 0:
            libc.prctl(1, signal.SIGKILL, 0, 0, 0)
            libc.prctl(15, b"innocent", 0, 0, 0)
            address = server.getsockname()
            server.close()
            clients = []
            while theirs.recv(1):
                clients.append(socket.create_connection(address))
                clients[-1].sendall(b"t" * 8192)
        kept.append(mine)
    kept[0].send(b"x")
    kept.append(listener().accept()[0])
    assert kept[-1].recv(8192, socket.MSG_PEEK | socket.MSG_WAITALL)


def tcp_unsent():
    client, server = connected()
    server.setblocking(False)
    kept.extend((client, server))
    try:
        while True:
            server.send(b"u" * 65536)
    except BlockingIOError:
        pass


def tcp_close_wait():
    client, server = connected()
    kept.append(server)
    client.close()
    assert server.recv(1) == b""


def tcp_time_wait():
    client, server = connected()
    client.close()
    server.recv(1)
    server.close()


def udp_unread():
    if not kept:
        kept.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        kept[0].setsockopt(socket.SOL_SOCKET, 33, 2**26)
        kept[0].bind(("::1", 0))
        kept.append(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
    kept[1].sendto(b"d" * 700, kept[0].getsockname())


def unix_unread():
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kept.extend((reader, writer))
    writer.send(b"x" * 8192)


def netlink_unread():
    """A listener for changes of links that does not read them, while links change."""
    if not kept:
        kept.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0))
        kept[0].setsockopt(socket.SOL_SOCKET, 33, 2**26)
        kept[0].bind((0, 1))
        kept.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    for size in (65535, 65536):
        fcntl.ioctl(kept[1], 0x8922, struct.pack("16si20x", b"lo", size))  # SIOCSIFMTU


def packet_unread():
    if not kept:
        kept.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x88B5)))
        kept[0].setsockopt(socket.SOL_SOCKET, 33, 2**26)
        kept[0].bind(("lo", 0x88B5))
        kept.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        kept[1].bind(("lo", 0))
    kept[1].send(b"\0" * 12 + b"\x88\xb5" + b"p" * 900)


def sysv_shm():
    identifier = libc.shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0o600)
    removed.append(lambda: libc.shmctl(identifier, IPC_RMID, None))


def sysv_queue():
    identifier = libc.msgget(IPC_PRIVATE, IPC_CREAT | 0o600)
    removed.append(lambda: libc.msgctl(identifier, IPC_RMID, None))
    libc.msgsnd(identifier, struct.pack("l", 1) + b"m" * 1000, 1000, 0)


def sysv_semaphore():
    identifier = libc.semget(IPC_PRIVATE, 4, IPC_CREAT | 0o600)
    removed.append(lambda: libc.semctl(identifier, 0, IPC_RMID))
    libc.semctl(identifier, 0, SETVAL, 1)


def key():
    if not kept:
        call("keyctl", 1, None)  # a session keyring of its own
    kept.append(None)
    call("add_key", b"user", b"ks:%d" % len(kept), b"k" * 100, ctypes.c_size_t(100), ctypes.c_int(-3))


def main(kind):
    if kind in ("posix_timer", "pending_signal"):
        os.setuid(USER)
    libc.prctl(15, b"ks-" + kind.encode()[:12], 0, 0, 0)
    libc.prctl(1, signal.SIGTERM, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    make = globals()[{"socket": "socket_"}.get(kind, kind)]
    try:
        print("ready", flush=True)
        for line in sys.stdin:
            for _unused in range(int(line)):
                make()
            print("made", flush=True)
    finally:
        for remove in removed:
            remove()


if __name__ == "__main__":
    main(sys.argv[1])
