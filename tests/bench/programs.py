# SPDX-License-Identifier: GPL-3.0-or-later
"""Honest programs on this host while memleak measures: none of what they hold is a leak of the kernel. Needs root and bcc.

PYTHONPATH=<import tree> /usr/bin/python3 tests/bench/programs.py [steady] [ring] … [--each 20] [--at-once 10] [--window 20] [--seed 1]

Each program holds kernel objects of one kind (sockets, pipes with data, timers, watches, keys, …) in one pattern, at a rate and with
lifetimes of its own. Prints a line of JSON for each window: what was called a leak or suspect although nothing leaks.
"""

import argparse
import collections
import ctypes
import heapq
import itertools
import json
import math
import mmap
import os
import random
import resource
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time

from ansible_collections.ksysak.fleet.tests.integration.on_host import make, measured_while

libc = ctypes.CDLL(None, use_errno=True)
FOLDER = tempfile.mkdtemp(prefix="ksysak-programs-", dir="/dev/shm")
SYS_ADD_KEY, SYS_KEYCTL, SYS_INOTIFY_INIT1, SYS_TIMERFD_CREATE, SYS_EVENTFD2 = 248, 250, 294, 283, 290
SYS_TIMER_CREATE, SYS_TIMER_DELETE = 222, 226
KEYRING, KEYCTL_UNLINK = -2, 9  # the process's own
numbers = itertools.count()


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def close_all(ends):
    for end in ends:
        os.close(end) if isinstance(end, int) else end.close()


class Kind:
    """How to make an object of a kind, and how to give it back."""

    def __init__(self, made, dropped=close_all, most_rate=400, most_held=1500):
        self.make, self.drop, self.most_rate, self.most_held = made, dropped, most_rate, most_held


def full_pipe():
    ends = os.pipe()
    os.write(ends[1], b"x" * random.choice((100, 4096, 16384)))
    return ends


def socket_pair():
    one, other = socket.socketpair(socket.AF_UNIX, random.choice((socket.SOCK_STREAM, socket.SOCK_DGRAM)))
    one.send(b"x" * random.choice((1, 900, 8000)))
    return one, other


def udp_pair():
    receiver, sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    sender.sendto(b"x" * 700, receiver.getsockname())
    return receiver, sender


def tcp_pair():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        client = socket.create_connection(listener.getsockname())
        server, _address = listener.accept()
    client.send(b"x" * 500)
    return client, server


def temporary_file():
    path = "%s/%d-%d" % (FOLDER, os.getpid(), next(numbers))
    file = os.open(path, os.O_CREAT | os.O_RDWR)
    os.write(file, b"x" * random.choice((10, 5000, 20000)))
    return file, path


def drop_file(made):
    os.close(made[0])
    os.unlink(made[1])


def cached_file():
    """A file on disk that fills the page cache; closed at once, removed later."""
    path = "/var/tmp/ksysak-programs-%d-%d" % (os.getpid(), next(numbers))
    with open(path, "wb") as stream:
        stream.write(b"x" * random.choice((100, 30000)))
    return path


def epoll():
    import select

    poll, ends = select.epoll(), os.pipe()
    poll.register(ends[0])
    return (poll, *ends)


def watch():
    descriptor = called(libc.syscall(SYS_INOTIFY_INIT1, 0))
    called(libc.inotify_add_watch(descriptor, FOLDER.encode(), 0x100))
    return (descriptor,)


def message_queue():
    queue = called(libc.msgget(0, 0o1600))
    text = struct.pack("l", 1) + b"x" * 900
    called(libc.msgsnd(queue, text, 900, 0))
    return queue


def key():
    name, payload = b"ksysak-%d-%d" % (os.getpid(), next(numbers)), b"x" * 200
    return called(libc.syscall(SYS_ADD_KEY, b"user", name, payload, len(payload), KEYRING))


def area():
    memory = mmap.mmap(-1, 16 * mmap.PAGESIZE)
    for page in range(0, 16, 2):
        memory[page * mmap.PAGESIZE] = 1
    return memory


def alarm():
    timer = ctypes.c_int()
    called(libc.syscall(SYS_TIMER_CREATE, 1, None, ctypes.byref(timer)))
    return timer.value


def thread():
    done = threading.Event()
    threading.Thread(target=done.wait, daemon=True).start()
    return done


def child():
    pid = os.fork()
    if not pid:
        signal.pause()
        os._exit(0)
    return pid


def end_child(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def locked():
    import fcntl

    file = os.open("%s/locks-%d" % (FOLDER, os.getpid()), os.O_CREAT | os.O_RDWR)
    fcntl.lockf(file, fcntl.LOCK_EX, 1, 2 * next(numbers))
    return (file,)


def memory_file():
    file = os.memfd_create("ksysak") if hasattr(os, "memfd_create") else called(libc.memfd_create(b"ksysak", 0))
    os.write(file, b"x" * 9000)
    return (file,)


def terminal():
    return os.openpty()


KINDS = {
    "socket": Kind(lambda: (socket.socket(),)),
    "socket_udp": Kind(udp_pair, most_rate=100),
    "socket_tcp": Kind(tcp_pair, most_rate=50),
    "socket_pair": Kind(socket_pair),
    "socket_netlink": Kind(lambda: (socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),)),
    "socket_packet": Kind(lambda: (socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0),), most_rate=20),
    "pipe": Kind(full_pipe),
    "file": Kind(temporary_file, drop_file),
    "page_cache": Kind(cached_file, os.unlink, most_rate=100),
    "folder": Kind(lambda: tempfile.mkdtemp(dir=FOLDER), os.rmdir),
    "epoll": Kind(epoll),
    "watch": Kind(watch, most_held=60),  # fs.inotify.max_user_instances is 128
    "message_queue": Kind(message_queue, lambda queue: libc.msgctl(queue, 0, None), most_rate=200),
    "key": Kind(key, lambda made: libc.syscall(SYS_KEYCTL, KEYCTL_UNLINK, made, KEYRING), most_rate=20),
    "area": Kind(area, lambda memory: memory.close(), most_rate=100),
    "timer": Kind(alarm, lambda timer: libc.syscall(SYS_TIMER_DELETE, timer)),
    "timerfd": Kind(lambda: (called(libc.syscall(SYS_TIMERFD_CREATE, 1, 0)),)),
    "eventfd": Kind(lambda: (called(libc.syscall(SYS_EVENTFD2, 0, 0)),)),
    "thread": Kind(thread, lambda done: done.set(), most_rate=40, most_held=60),
    "child": Kind(child, end_child, most_rate=15, most_held=60),
    "lock": Kind(locked, most_rate=100),
    "memory_file": Kind(memory_file),
    "terminal": Kind(terminal, most_rate=20),
}
PATTERNS = ("steady", "ring", "backlog", "burst", "once", "cache")


class Program:
    """What one program does: a kind of object, a pattern, and its figures."""

    def __init__(self, draw, kind, pattern, window_s):
        self.kind, self.pattern, self.window_s = kind, pattern, window_s
        self.rate = 10 ** draw.uniform(math.log10(3), math.log10(KINDS[kind].most_rate))
        most = KINDS[kind].most_held
        longest_s = min(40.0, most / 2 / self.rate)
        self.life_s = 10 ** draw.uniform(-1, math.log10(max(0.2, longest_s)))
        self.spread = draw.random()
        self.number = int(max(2, min(most, self.rate * 30) * draw.uniform(0.1, 1)))
        self.at_s = window_s * draw.uniform(0.05, 0.65)
        self.seed = draw.getrandbits(32)

    def __str__(self):
        return "%s of %s: %.0f/s, %.1f s, %d, at %.1f s" % (self.pattern, self.kind, self.rate, self.life_s, self.number, self.at_s)

    def settle_s(self):
        return {"steady": 2 * self.life_s, "ring": self.number / self.rate if self.kind in ("child", "thread") else 2.0}.get(
            self.pattern, 1.0
        )

    def run(self, told, go):
        """Work for ever; tells a byte when it holds what it should at the beginning. go: is readable when the window begins."""
        kind, draw, held, number = KINDS[self.kind], random.Random(self.seed), [], 0
        random.seed(self.seed)
        began_s, opened_s, fired = time.monotonic(), None, False

        def add(due_s):
            nonlocal number
            number += 1
            heapq.heappush(held, (due_s, number, kind.make()))

        if self.pattern == "ring":
            for _object in range(self.number):
                add(math.inf)
        os.write(told, b"r")
        credit, last_s = 0.0, time.monotonic()
        while True:
            time.sleep(0.01)
            now_s = time.monotonic()
            credit, last_s = min(credit + (now_s - last_s) * self.rate, 200.0), now_s
            if opened_s is None and os.pread(go, 1, 0):
                opened_s = now_s
            while held and held[0][0] <= now_s:
                kind.drop(heapq.heappop(held)[2])
            since_s = now_s - opened_s if opened_s is not None else -1.0
            if self.pattern == "burst":
                if since_s >= self.at_s and not fired:
                    fired = True
                    for _object in range(self.number):
                        add(now_s + self.life_s if self.spread < 0.5 else math.inf)
                continue
            for _object in range(int(credit)):
                credit -= 1
                if self.pattern == "steady":
                    add(now_s + self.life_s * (1 if self.spread < 0.3 else draw.uniform(0, 2)))
                elif self.pattern == "ring":
                    kind.drop(heapq.heappop(held)[2])
                    add(math.inf)
                elif self.pattern == "backlog":
                    period_s = self.window_s * (0.05 + 0.4 * self.spread)
                    if len(held) < kind.most_held:
                        add(began_s + math.ceil((now_s - began_s) / period_s) * period_s)
                elif self.pattern == "once" and 0 <= since_s < self.at_s and len(held) < kind.most_held:
                    add(math.inf)
                elif self.pattern == "cache" and since_s >= 0 and (self.spread < 0.5 or since_s < self.at_s):
                    if since_s >= self.at_s or len(held) >= kind.most_held:
                        kind.drop(heapq.heappop(held)[2])
                    add(math.inf)


def began(program, number, go):
    told, tell = os.pipe()
    pid = os.fork()
    if pid:
        os.close(tell)
        ready = os.read(told, 1)
        os.close(told)
        if not ready:
            raise RuntimeError("%s ended at once" % program)
        return pid
    try:
        os.setsid()
        with open("/proc/self/comm", "w") as stream:
            stream.write("honest-%02d" % number)
        program.run(tell, go)
    except BaseException as error:
        os.write(2, ("%s: %r\n" % (program, error)).encode())
    os._exit(1)


def measured(programs, window_s):
    """Run these programs, measure, and return the result of memleak with the programs that ended."""
    go = os.open(FOLDER + "/go", os.O_CREAT | os.O_RDWR | os.O_TRUNC)
    pids = []
    try:
        for number, program in enumerate(programs):
            pids.append(began(program, number, go))
        time.sleep(max(program.settle_s() for program in programs))
        result = measured_while(make("memleak", top=200, min_bytes=0), lambda: os.pwrite(go, b"g", 0), window_s)
        result["ended"] = [str(program) for program, pid in zip(programs, pids) if os.waitpid(pid, os.WNOHANG)[0]]  # noqa: B905
        return result
    finally:
        os.close(go)
        for pid in pids:
            try:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("patterns", nargs="*", default=list(PATTERNS))
    parser.add_argument("--each", type=int, default=20, help="programs of each pattern")
    parser.add_argument("--at-once", type=int, default=10)
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    draw = random.Random(args.seed)
    total = collections.Counter()
    try:
        for pattern in args.patterns or PATTERNS:
            kinds = list(itertools.islice(itertools.cycle(draw.sample(sorted(KINDS), len(KINDS))), args.each))
            for first in range(0, args.each, args.at_once):
                programs = [Program(draw, kind, pattern, args.window) for kind in kinds[first : first + args.at_once]]
                result = measured(programs, args.window)
                # Whoever else works on this host may be suspect; what is called a leak is shown, whosever it is.
                ours = [row for row in result["data"]["leaks"] if any(comm.startswith("honest-") for comm in row["comms"])]
                rows = ours + [row for row in result["data"]["leaks"] if row["verdict"] == "leak" and row not in ours]
                total.update("%s: %s" % (pattern, row["verdict"]) for row in rows)
                total[pattern + ": programs"] += len(programs)
                keys = (
                    "verdict",
                    "type",
                    "culprit",
                    "cache",
                    "confidence",
                    "reasons",
                    "growth_bytes_per_s",
                    "ages",
                    "comms",
                    "corroborated",
                )
                found = [dict({key: row[key] for key in keys}, stack=row["stack"][:6]) for row in rows]
                said = {"pattern": pattern, "programs": list(map(str, programs)), "verdict": result["data"]["verdict"], "found": found}
                print(json.dumps({**said, "ended": result["ended"], "lost": result["lost"]}), flush=True)
        print(json.dumps(total), flush=True)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)


if __name__ == "__main__":
    main()
