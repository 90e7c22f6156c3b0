# SPDX-License-Identifier: GPL-3.0-or-later
"""What memory and memleak say beside known situations of a host: `situations.py [CASE …] [--window 20]`, a line of JSON for each.

LARGE: much of one kind that does not grow: one finding that names the holder. ORDINARY: hosts at work: none. GROWING: what programs
were reported to leave behind, each after a public report: the first finding has the kind and the program. Needs root and bcc; run
it with the test environment's Python: the probes and the situations run under /usr/bin/python3. Each situation ends with its input.
"""

import argparse
import array
import contextlib
import ctypes
import json
import mmap
import os
import random
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MIB = 2**20
libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x20000000, 0x40000000


def named(name):
    """Fork: the child has this name, and ends with its parent."""
    pid = os.fork()
    if pid == 0:
        libc.prctl(1, signal.SIGKILL, 0, 0, 0)
        libc.prctl(15, name.encode(), 0, 0, 0)
    return pid


def child(name, work, *arguments):
    """Start a process that does some work; returns its number."""
    pid = named(name)
    if pid == 0:
        try:
            work(*arguments)
        finally:
            os._exit(1)
    return pid


def many_descriptors():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def forever():
    while True:
        signal.pause()


# much of one kind, which does not grow


def sockets(number=18000):
    many_descriptors()
    libc.prctl(15, b"app-sockets", 0, 0, 0)
    return [socket.socket() for _number in range(number)]


def zombies(number=4000):
    libc.prctl(15, b"app-zombies", 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for _number in range(number):
        if os.fork() == 0:
            os._exit(0)
    return []


def bpf_maps(number=5, size=2**29):
    libc.prctl(15, b"app-maps", 0, 0, 0)
    kept = []
    for _number in range(number):
        attributes = struct.pack("IIIIII", 2, 4, size // 512, 512, 0, 0).ljust(120, b"\0")  # an array
        kept.append(libc.syscall(321, 0, attributes, 120))
        if kept[-1] < 0:
            raise OSError(ctypes.get_errno(), "bpf")
    return kept


def memory_hierarchy():
    """The folder of the cgroups that count memory, of v1 or v2."""
    v1 = Path("/sys/fs/cgroup/memory")
    return v1 if v1.is_dir() else Path("/sys/fs/cgroup")


@contextlib.contextmanager
def dying_cgroups(number=60000):
    """Cgroups whose program wrote a file that stays in the page cache, and that were removed since."""
    top = memory_hierarchy() / "app-churn"
    top.mkdir(exist_ok=True)
    if not (memory_hierarchy() / "memory.usage_in_bytes").exists():
        (top / "cgroup.subtree_control").write_text("+memory")
    folder = Path(tempfile.mkdtemp(prefix="ksysak-situations-", dir="/var/tmp"))
    own = memory_hierarchy() / "cgroup.procs"
    files = [open(folder / f"cache-{part}", "wb", buffering=0) for part in range(8)]
    try:
        for place in range(number):
            group = top / f"job-{place}"
            group.mkdir()
            (group / "cgroup.procs").write_text(str(os.getpid()))
            files[place % 8].write(b"x" * 4096)  # this page is the cgroup's
            own.write_text(str(os.getpid()))
            group.rmdir()
        yield
    finally:
        for file in files:
            file.close()
        shutil.rmtree(folder)
        top.rmdir()


# hosts at work


def idle():
    return []


def build():
    """Compile C files, all the time, two at once."""

    def work(number):
        with tempfile.TemporaryDirectory() as folder:
            while True:
                source = Path(folder, f"{random.random()}.c")
                lines = [f"int f{place}(int a) {{ return a * {place} + f{place - 1}(a); }}" for place in range(1, 400)]
                source.write_text("\n".join(["int f0(int a) { return a; }", *lines]))
                subprocess.run(["gcc", "-O2", "-c", "-o", source.with_suffix(".o"), source], check=False)

    return [child("make", work, number) for number in range(2)]


def packages():
    """Unpack a package and remove it again, as an installation does."""

    def work():
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            package = Path(folder, "files.deb")
            tree = Path(folder, "tree")
            (tree / "DEBIAN").mkdir(parents=True)
            (tree / "DEBIAN/control").write_text("Package: ks\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n")
            shutil.copytree("/usr/share/zoneinfo", tree / "usr", symlinks=True)
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            subprocess.run(["dpkg-deb", "-Zgzip", "-b", tree, package], check=True, **quiet)
            while True:
                subprocess.run(["dpkg-deb", "-x", package, Path(folder, "root")], check=True, **quiet)
                subprocess.run(["sync", "-f", folder], check=False)
                shutil.rmtree(Path(folder, "root"))

    return [child("apt-get", work)]


def web_server():
    """A server with 8 workers; each request is a connection of its own, a few hundred a second, and some 300 are kept open."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listening.getsockname()[1]

    def serve():
        while True:
            connection, _peer = listening.accept()
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection):
        with connection:
            while connection.recv(4096):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000)

    def ask():
        kept = [socket.create_connection(("127.0.0.1", port)) for _number in range(150)]
        while True:
            with socket.create_connection(("127.0.0.1", port)) as once:
                for connection in (once, random.choice(kept)):
                    connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    connection.recv(4096)
            time.sleep(0.005)

    return [child("nginx", serve) for _worker in range(8)] + [child("clients", ask) for _client in range(2)]


def database():
    """A database: 3 GiB of shared memory, a heap of 1 GiB, processes with page tables of all of it, files that are read and written."""
    shared = mmap.mmap(-1, 3 * 1024 * MIB)
    for place in range(0, len(shared), 4096):
        shared[place] = 1
    folder = tempfile.mkdtemp(prefix="ksysak-situations-", dir="/var/tmp")
    path = Path(folder, "table")
    with open(path, "wb") as file:
        for _block in range(512):
            file.write(os.urandom(MIB))

    def backend(number):
        heap = bytearray(b"x" * (100 * MIB))
        chance = random.Random(number)
        with open(path, "r+b", buffering=0) as file:
            while True:
                for _page in range(64):
                    _byte = shared[chance.randrange(len(shared))] + heap[chance.randrange(len(heap))]
                    file.seek(chance.randrange(512 * MIB) & ~8191)
                    file.read(8192)
                file.seek(chance.randrange(512 * MIB) & ~8191)
                file.write(b"y" * 8192)
                time.sleep(0.01)

    pids = [child("postgres", backend, number) for number in range(8)]
    return [*pids, lambda: shutil.rmtree(folder)]


def tmpfs():
    """1 GiB of files in /dev/shm, and others that are written and removed."""
    folder = tempfile.mkdtemp(prefix="ksysak-situations-", dir="/dev/shm")
    Path(folder, "large").write_bytes(b"x" * (1024 * MIB))

    def work():
        number = 0
        while True:
            Path(folder, f"session-{number}").write_bytes(b"x" * (MIB // 2))
            Path(folder, f"session-{number - 40}").unlink(missing_ok=True)
            number += 1
            time.sleep(0.02)

    return [child("php-fpm", work), lambda: shutil.rmtree(folder)]


def containers():
    """24 containers: namespaces, a tmpfs, a device and a server each."""
    pids = []
    for number in range(24):
        pid = named(f"pause-{number}")
        if pid == 0:
            if libc.unshare(CLONE_NEWNS | CLONE_NEWNET):
                os._exit(1)
            subprocess.run(["mount", "--make-rprivate", "/"], check=False)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", "/mnt"], check=False)
            subprocess.run(["ip", "link", "set", "lo", "up"], check=False)
            libc.unshare(CLONE_NEWPID)
            if named("service") == 0:
                kept = [socket.socket() for _number in range(40)]
                while kept:
                    Path("/mnt/state").write_bytes(b"x" * 65536)
                    time.sleep(0.2)
            forever()
        pids.append(pid)
    return pids


def java():
    """400 threads, a heap of 1.5 GiB that is collected now and then, 600 descriptors."""

    def work():
        many_descriptors()
        threading.stack_size(262144)
        for _number in range(400):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
        _kept = [open("/etc/passwd") for _number in range(300)] + [socket.socket() for _number in range(300)]
        heap = mmap.mmap(-1, 1536 * MIB)
        used = 0
        while True:
            for place in range(used, min(len(heap), used + 8 * MIB), 4096):
                heap[place] = 1
            used += 8 * MIB
            if used >= len(heap):
                heap.madvise(mmap.MADV_DONTNEED)
                used = 0
            time.sleep(0.05)

    return [child("java", work)]


def logs():
    """A log daemon that reads from a socket and writes; six programs that log 200 lines a second each; files that are rotated."""
    folder = tempfile.mkdtemp(prefix="ksysak-situations-", dir="/var/tmp")
    path = Path(folder, "log.socket")

    def daemon():
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        listening.bind(str(path))
        file, size, number = open(Path(folder, "log.0"), "wb"), 0, 0
        while True:
            line = listening.recv(4096)
            size += file.write(line + b"\n")
            if size > 4 * MIB:
                file.close()
                number += 1
                Path(folder, f"log.{number - 4}").unlink(missing_ok=True)
                file, size = open(Path(folder, f"log.{number}"), "wb"), 0

    def program():
        sending = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        while True:
            sending.sendto(b"<6>a line of text that says that all is well " * 6, str(path))
            time.sleep(0.005)

    pids = [child("journald", daemon)]
    while not path.exists():
        time.sleep(0.01)
    return pids + [child(f"app-{number}", program) for number in range(6)] + [lambda: shutil.rmtree(folder)]


def updatedb():
    """Walk all files, as updatedb, find and backups do: dentries, inodes and page cache grow."""

    def work():
        while True:
            for folder, _folders, files in os.walk("/usr"):
                for name in files:
                    with contextlib.suppress(OSError):
                        os.stat(os.path.join(folder, name))
            time.sleep(1)

    return [child("updatedb", work)]


def messages():
    """A broker whose queues fill and empty, connections that come and go, descriptors that are passed on."""
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def broker():
        while True:
            burst = [os.pipe() for _number in range(random.randrange(200))]
            time.sleep(random.random() / 2)
            for ends in burst:
                os.close(ends[0])
                os.close(ends[1])

    def sender():
        while True:
            with open("/dev/null") as file:
                first.sendmsg([b"x" * 1000], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fileno()]))])
            time.sleep(0.01)

    def receiver():
        while True:
            for _number in range(20):
                _data, received, _flags, _address = second.recvmsg(1000, socket.CMSG_SPACE(4))
                for _level, _kind, data in received:
                    os.close(array.array("i", data)[0])
            time.sleep(0.15)

    return [child("rabbitmq", broker), child("sender", sender), child("receiver", receiver)]


# programs of which something grows


def repeated(name, per_s, step, prepare=None):
    """A child that does a step so many times a second; prepare: returns what the step is given."""

    def work():
        many_descriptors()
        given = prepare() if prepare else None
        began_s, number, kept = time.monotonic(), 0, []
        while True:
            while number < (time.monotonic() - began_s) * per_s:
                kept.append(step(number) if prepare is None else step(number, given))
                number += 1
            time.sleep(0.02)

    return [child(name, work)]


def called(number, *arguments):
    result = libc.syscall(number, *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def timers_and_epolls():
    """Each error drops a timerfd and an epoll instance (grafana/pyroscope-rs#126)."""
    return repeated("pyroscope", 60, lambda number: (called(283, 1, 0), called(291, 0)))


def accept_queue():
    """A server that does not accept, with a long queue: nobody has a descriptor of these connections."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=4096)

    server = child("app-stuck", forever)
    address = listening.getsockname()
    listening.close()
    return [server, *repeated("clients", 60, lambda number: connect_to(address))]


def connect_to(address):
    with socket.create_connection(address[:2]) as client:
        client.sendall(b"x" * 2000)


def semaphores():
    """Semaphore sets that a web server leaves behind when it restarts."""

    def step(number):
        identifier = libc.semget(0, 8, 0o1600)
        if identifier < 0:
            raise OSError(ctypes.get_errno(), "semget")
        return identifier

    before = set(_semaphore_sets())
    pids = repeated("app-sem", 60, step)

    def remove():
        for identifier in set(_semaphore_sets()) - before:
            libc.semctl(identifier, 0, 0)  # IPC_RMID

    return [*pids, remove]


def _semaphore_sets():
    return [int(line.split()[1]) for line in Path("/proc/sysvipc/sem").read_text().splitlines()[1:]]


def mappings():
    """Mappings that are never unmapped, until vm.max_map_count."""

    def step(number):
        return mmap.mmap(-1, 8192, prot=mmap.PROT_READ if number % 2 else mmap.PROT_READ | mmap.PROT_WRITE)

    return repeated("app-mmap", 1500, step)


def rulesets():
    """Landlock rulesets that a sandbox does not close."""
    return repeated("sandbox", 200, lambda number: called(444, struct.pack("Q", 1), 8, 0))


def bpf_programs():
    """Programs that an agent loads again and again."""

    def step(number):
        code = ctypes.create_string_buffer(struct.pack("BBhi", 0xB7, 0, 0, 0) + struct.pack("BBhi", 0x95, 0, 0, 0))
        text = ctypes.create_string_buffer(b"GPL")
        attributes = struct.pack("IIQQIIQI", 1, 2, ctypes.addressof(code), ctypes.addressof(text), 0, 0, 0, 0).ljust(120, b"\0")
        return called(321, 5, attributes, 120)

    return repeated("bpf-agent", 40, step)


def neighbours():
    """A scanner fills the table of neighbours; it has a network namespace of its own."""

    def prepare():
        libc.unshare(CLONE_NEWNET)
        subprocess.run(["ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1"], check=True)
        subprocess.run(["ip", "link", "set", "v0", "up"], check=True)
        return subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True)

    def step(number, ip):
        ip.stdin.write(
            f"neigh add 10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255} lladdr 02:00:00:00:00:01 dev v0 nud permanent\n"
        )
        ip.stdin.flush()

    return repeated("scanner", 400, step, prepare)


def packets():
    """A capture that does not read, beside traffic."""

    def capture():
        receiving = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0x0300)
        receiving.setsockopt(socket.SOL_SOCKET, 33, 256 * MIB)  # SO_RCVBUFFORCE
        receiving.bind(("lo", 3))
        forever()

    sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return [child("tcpdump", capture), *repeated("traffic", 300, lambda number: sending.sendto(b"x" * 1000, ("127.0.0.1", 9)))]


def netlink():
    """A monitor of routes that does not read, in a network namespace of its own."""

    def monitor():
        receiving = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
        receiving.setsockopt(socket.SOL_SOCKET, 33, 256 * MIB)
        receiving.bind((os.getpid(), 0x40))  # RTMGRP_IPV4_ROUTE
        forever()

    def prepare():
        libc.unshare(CLONE_NEWNET)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        child("monitor", monitor)
        return subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True)

    def step(number, ip):
        ip.stdin.write(f"route {'del' if number % 2 else 'add'} 10.1.{number // 2 >> 8 & 255}.{number // 2 & 255}/32 dev lo\n")
        ip.stdin.flush()

    return repeated("router", 400, step, prepare)


def extended_attributes():
    """Extended attributes of files in tmpfs, which are kernel memory."""
    folder = tempfile.mkdtemp(prefix="ksysak-situations-", dir="/dev/shm")

    def step(number):
        path = Path(folder, f"file-{number // 8}")
        path.touch()
        os.setxattr(path, f"trusted.label-{number % 8}", b"x" * 2000)

    return [*repeated("labeler", 120, step), lambda: shutil.rmtree(folder)]


def negative_dentries():
    """Names that do not exist are looked up again and again (prometheus-community/ipmi_exporter#329): the kernel gives that back."""

    def step(number):
        for place in range(100):
            Path(f"/var/tmp/ksysak-{number}-{place}").exists()

    return repeated("exporter", 100, step)


def shared_memory():
    """POSIX shared memory that is never unlinked."""
    folder = tempfile.mkdtemp(prefix="ksysak-situations-", dir="/dev/shm")
    return [*repeated("app-shm", 8, lambda number: Path(folder, f"{number}").write_bytes(b"x" * MIB)), lambda: shutil.rmtree(folder)]


def terminals():
    """A terminal for each command that is never closed."""
    return repeated("app-pty", 30, lambda number: os.openpty())


def process_descriptors():
    """A supervisor that keeps a pidfd for each check."""
    return repeated("supervisor", 200, lambda number: called(434, os.getpid(), 0))


def filters():
    """Threads that start with a seccomp filter of their own and stay."""

    def prepare():
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        threading.stack_size(65536)

    def step(number, _given):
        def thread():
            instructions = struct.pack("HBBI", 0x06, 0, 0, 0x7FFF0000)
            code = ctypes.create_string_buffer(struct.pack("HBBI", 0x20, 0, 0, 0) * 600 + instructions)
            program = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 601, ctypes.addressof(code)))
            libc.prctl(22, 2, program, 0, 0)
            threading.Event().wait()

        threading.Thread(target=thread, daemon=True).start()

    return repeated("sandbox", 25, step, prepare)


LARGE = {"sockets": sockets, "zombies": zombies, "bpf_maps": bpf_maps, "dying_cgroups": dying_cgroups}
ORDINARY = {
    "idle": idle, "build": build, "packages": packages, "web_server": web_server, "database": database, "tmpfs": tmpfs,
    "containers": containers, "java": java, "logs": logs, "updatedb": updatedb, "messages": messages,
}  # fmt: skip


# case: (words of the kind, one of them in the first finding; the program), None: nothing to report
GROWING = {
    "timers_and_epolls": (timers_and_epolls, ("timerfds", "epoll"), "pyroscope"),
    "accept_queue": (accept_queue, ("unread", "accept", "connections"), "app-stuck"),
    "semaphores": (semaphores, ("semaphore",), "app-sem"),
    "mappings": (mappings, ("max_map_count",), "app-mmap"),
    "rulesets": (rulesets, ("anonymous inodes", "landlock"), "sandbox"),
    "bpf_programs": (bpf_programs, ("BPF programs",), "bpf-agent"),
    "neighbours": (neighbours, ("neighbour",), "scanner"),
    "packets": (packets, ("unread packets",), "tcpdump"),
    "netlink": (netlink, ("unread netlink",), "monitor"),
    "extended_attributes": (extended_attributes, ("setxattr", "attribute"), "labeler"),
    "negative_dentries": (negative_dentries, None, None),
    "shared_memory": (shared_memory, ("files in tmpfs",), "app-shm"),
    "terminals": (terminals, ("pseudoterminals",), "app-pty"),
    "process_descriptors": (process_descriptors, ("pidfds",), "supervisor"),
    "filters": (filters, ("threads", "seccomp"), "sandbox"),
}
SETTLE_S = {"web_server": 65}  # connections wait in TIME_WAIT for 60 s


def hold(case):
    """Make a situation, say so, and end it with the input."""
    made = {**LARGE, **ORDINARY, **{name: row[0] for name, row in GROWING.items()}}[case]
    with contextlib.ExitStack() as stack:
        if case == "dying_cgroups":
            stack.enter_context(made())
            kept = []
        else:
            kept = made()
        print("made", flush=True)
        sys.stdin.read()
    ends = [one for one in kept if callable(one)]
    for pid in (one for one in kept if isinstance(one, int) and case not in LARGE):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for end in ends:
        end()


def measure(window_s, probes):
    from ansible_collections.ksysak.fleet.plugins.module_utils._core import window
    from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.probe import MemleakProbe
    from ansible_collections.ksysak.fleet.plugins.module_utils._memory.probe import MemoryProbe

    classes = [one for one in (MemleakProbe, MemoryProbe) if one.NAME in probes]
    made = [one({name: spec["default"] for name, spec in one.OPTIONS.items()}) for one in classes]
    print(json.dumps(window.measure(made, window_s)))


def run(case, window_s, probes):
    """Returns (titles of findings, cost of the probe memory)."""
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
    from ansible_collections.ksysak.fleet.tests import fleet_data

    python, env = "/usr/bin/python3", {**os.environ, "PYTHONPATH": str(ROOT / ".cache/import")}
    began_s = time.monotonic()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([python, __file__, "hold", case], start_new_session=True, env=env, **pipes) as holder:
        line = holder.stdout.readline()
        made_s = time.monotonic() - began_s
        if line != "made\n":
            raise SystemExit(f"{case} could not be made")
        if case not in LARGE:
            time.sleep(SETTLE_S.get(case, 8 if case in ORDINARY else 2))  # a host at work has worked for a while
        try:
            done = subprocess.run(
                [python, __file__, "measure", str(window_s), *probes], capture_output=True, text=True, env=env, check=True
            )
        finally:
            holder.stdin.close()
            holder.wait()
    document = fleet_data.host(case)
    document["probes"] = json.loads(done.stdout)
    findings, problems = load(["default"]).findings(document)
    assert not problems, problems
    reported = [_told(one) for one in findings if one["severity"] != "info"]
    row = {"case": case, "right": _is_right(case, reported), "findings": reported}
    return {**row, "made_s": round(made_s, 1), "cpu_s": document["probes"]["memory"]["cost"]["cpu_s"]}


def _told(finding):
    site = finding["evidence"].get("site")
    place = f" [{site['culprit']}, {site['cache']}]" if site else ""
    return f"{finding['severity']}: {finding['title']}{place}"


def _is_right(case, reported):
    if case in GROWING and GROWING[case][1]:
        _made, words, name = GROWING[case]
        return bool(reported) and name in reported[0] and any(word.lower() in reported[0].lower() for word in words)
    return len(reported) == (case in LARGE)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join([*LARGE, *ORDINARY, *GROWING])}; default: all")
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--probes", nargs="+", default=["memory", "memleak"])
    options = parser.parse_args()
    for case in options.cases or [*LARGE, *ORDINARY, *GROWING]:
        print(json.dumps(run(case, options.window, options.probes)), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / ".cache" / "import"))
    if sys.argv[1:2] == ["hold"]:
        hold(sys.argv[2])
    elif sys.argv[1:2] == ["measure"]:
        measure(int(sys.argv[2]), sys.argv[3:])
    else:
        main()
