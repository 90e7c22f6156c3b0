# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the probe memory run on the host: children hold ever more of one kind each, and the sources of the probe count.

    PYTHONPATH=<import tree> python3 memory_on_host.py system|picture|busy|bpf_level

Prints one JSON document. Children make things in four steps when they are asked to, and the sources read after each: nothing depends
on time. Cases: all kinds that no process holds by a descriptor, or holds for others; the probe itself; children that work all the time;
maps that do not grow.
"""

import contextlib
import ctypes
import itertools
import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs, window
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import rows
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import Host
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.probe import MemoryProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.sources import SOURCES
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.watch import Watch

libc = ctypes.CDLL(None, use_errno=True)


def checked(result):
    """The result of a C function; raises OSError when it is negative."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def memory_cgroups():
    """A new folder in the hierarchy of cgroups that counts memory."""
    with open("/proc/self/mountinfo") as stream:
        mounts = [line.split() for line in stream]
    for line in mounts:
        kind = line[line.index("-") + 1]
        if kind == "cgroup" and "memory" in line[-1].split(",") or kind == "cgroup2" and not any(
            row[row.index("-") + 1] == "cgroup" and "memory" in row[-1].split(",") for row in mounts
        ):
            folder = line[4] + "/made-%d" % os.getpid()
            os.mkdir(folder)
            return folder
    raise OSError("no hierarchy of cgroups has memory")


def cgroups(folder):
    """Folders that stay."""
    top = memory_cgroups()
    with open(folder + "/cgroup", "w") as stream:
        stream.write(top)
    for number in itertools.count():
        os.mkdir("%s/c%d" % (top, number))
        yield


def removed_cgroups(folder):
    """Cgroups that are removed while a page of a tmpfs that was charged to them is in use."""
    top = memory_cgroups()
    with open(folder + "/cgroup", "w") as stream:
        stream.write(top)
    if os.path.exists(top + "/cgroup.subtree_control"):
        with open(top + "/cgroup.subtree_control", "w") as stream:
            stream.write("+memory")
    os.mkdir(folder + "/kept")
    checked(libc.mount(b"none", (folder + "/kept").encode(), b"tmpfs", 0, None))
    for number in itertools.count():
        group = "%s/c%d" % (top, number)
        os.mkdir(group)
        child = os.fork()
        if child == 0:
            with open(group + "/cgroup.procs", "w") as stream:
                stream.write("0")
            with open("%s/kept/f%d" % (folder, number), "wb") as stream:
                stream.write(b"x" * 4096)
            os._exit(0)
        os.waitpid(child, 0)
        os.rmdir(group)
        yield


def mounts(folder):
    """Mounts of one folder on itself, in a mount namespace of its own."""
    checked(libc.unshare(0x00020000))
    checked(libc.mount(b"none", b"/", None, 0x4000 | 0x40000, None))
    while True:
        checked(libc.mount(b"/usr", folder.encode(), None, 0x1000, None))
        yield


def network_namespaces(_folder):
    """Network namespaces that a descriptor alone holds."""
    kept = []
    while True:
        checked(libc.unshare(0x40000000))
        kept.append(os.open("/proc/self/ns/net", os.O_RDONLY))
        yield


def devices(_folder):
    """Ends of veth pairs, in a network namespace of its own; two at a time."""
    checked(libc.unshare(0x40000000))
    for number in itertools.count():
        subprocess.check_call(["ip", "link", "add", "l%d" % number, "type", "veth", "peer", "name", "r%d" % number])
        yield
        yield


def routes(_folder):
    """Routes, in a network namespace of its own; a hundred at a time."""
    checked(libc.unshare(0x40000000))
    subprocess.check_call(["ip", "link", "set", "lo", "up"])
    lines = []
    for number in itertools.count():
        lines.append("route add 172.%d.%d.%d/32 dev lo\n" % (16 + (number >> 16), number >> 8 & 255, number & 255))
        if len(lines) == 100:
            subprocess.run(["ip", "-batch", "-"], input="".join(lines).encode(), check=True)
            lines = []
        yield


def spool(folder):
    """Files in a tmpfs of its own that no process has open, of 128 KiB each."""
    checked(libc.mount(b"none", folder.encode(), b"tmpfs", 0, None))
    for number in itertools.count():
        with open("%s/f%d" % (folder, number), "wb") as stream:
            stream.write(b"x" * 131072)
        yield


def open_spool(folder):
    """One file in a tmpfs of its own that is open and grows by 128 KiB."""
    checked(libc.mount(b"none", folder.encode(), b"tmpfs", 0, None))
    with open(folder + "/log", "wb", 0) as stream:
        while True:
            stream.write(b"x" * 131072)
            yield


def bpf_maps(_folder):
    """BPF arrays of 512 entries of 128 bytes."""
    while True:
        attributes = struct.pack("=6I", 2, 4, 128, 512, 0, 0).ljust(120, b"\0")
        checked(libc.syscall(321, 0, attributes, 120))
        yield


def large_maps(_folder):
    """BPF arrays of 64 entries of 1 MiB."""
    with contextlib.suppress(ValueError):  # it counts maps before Linux 5.11
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while True:
        attributes = struct.pack("=6I", 2, 4, 2**20, 64, 0, 0).ljust(120, b"\0")
        checked(libc.syscall(321, 0, attributes, 120))
        yield


def huge_pool(folder):
    """Huge pages that are reserved and that nobody uses."""
    path = "/proc/sys/vm/nr_hugepages"
    with open(path) as stream:
        before = stream.read()
    with open(folder + "/hugepages", "w") as stream:
        stream.write(before)
    for number in itertools.count(1):
        with open(path, "w") as stream:
            stream.write(str(int(before) + number))
        yield


def names(folder):
    """Empty files in one folder of a file system of its own: others work on those of the host meanwhile."""
    checked(libc.mount(b"none", folder.encode(), b"tmpfs", 0, None))
    for number in itertools.count():
        os.close(os.open("%s/f%d" % (folder, number), os.O_CREAT | os.O_WRONLY))
        yield


# case: (maker, made in each step)
CASES = {
    "cgroups": (cgroups, 90), "removed_cgroups": (removed_cgroups, 70), "mounts": (mounts, 400),
    "network_namespaces": (network_namespaces, 15), "devices": (devices, 12), "routes": (routes, 1000), "spool": (spool, 30),
    "open_spool": (open_spool, 24), "bpf_maps": (bpf_maps, 55), "huge_pool": (huge_pool, 2),
}  # fmt: skip
STEPS = 4


def child(case, folder):
    """Make as many things as a line of standard input says, then print a line."""
    libc.prctl(15, ("made-" + case).encode()[:15], 0, 0, 0)
    os.mkdir(folder + "/place")
    made = MAKERS[case](folder + "/place")
    print("ready", flush=True)
    for line in sys.stdin:
        for _unused in range(int(line)):
            next(made)
        print("made", flush=True)


MAKERS = dict({case: maker for case, (maker, _number) in CASES.items()}, names=names, large_maps=large_maps)


class Child:
    """A program that makes things of one case, in a session of its own: the probe leaves out its own group."""

    def __init__(self, case):
        self.folder = tempfile.mkdtemp()
        self.name = ("made-" + case)[:15]
        command = [sys.executable, os.path.abspath(__file__), "child", case, self.folder]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, start_new_session=True, universal_newlines=True, **pipes)
        self.wait("ready")

    def ask(self, number):
        self.process.stdin.write("%d\n" % number)
        self.process.stdin.flush()

    def wait(self, word="made"):
        line = self.process.stdout.readline()
        if line != word + "\n":
            raise OSError("%s ended" % self.name)

    def end(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        clean(self.folder)


def clean(folder):
    """Take away what outlives the child."""
    place = folder + "/place"
    for path in (place + "/kept", place):
        while libc.umount2(path.encode(), 0) == 0:
            pass
    for name, undo in (("cgroup", remove_cgroup), ("hugepages", restore_pool)):
        if os.path.exists("%s/%s" % (place, name)):
            with open("%s/%s" % (place, name)) as stream:
                undo(stream.read())
    shutil.rmtree(folder)


def remove_cgroup(top):
    for name in os.listdir(top):
        if os.path.isdir(top + "/" + name):
            os.rmdir(top + "/" + name)
    os.rmdir(top)


def restore_pool(number):
    with open("/proc/sys/vm/nr_hugepages", "w") as stream:
        stream.write(number)


def rows_of(watch, shared):
    """Rows of growth of all sources, and levels."""
    growth, holders, missing = [], {}, []
    for one in watch.watched:
        growth += rows.growth(one.censuses, shared.bytes_of)
        holders.update(one.censuses[-1][1] if one.censuses else {})
        missing += one.not_measured
    return {"growth": rows.distinct(sorted(growth, key=rows.worst)), "holders": rows.holders(holders, shared.bytes_of), "missing": missing}


def system():
    """All cases together: ({case: its child and how many it made in a step}, rows)."""
    children, shared = {}, Host()
    watch = Watch(SOURCES, shared)
    try:
        for case in CASES:
            children[case] = Child(case)
        watch.start(3600)
        for step in range(STEPS):
            for case, one in children.items():
                one.ask(CASES[case][1])
            for one in children.values():
                one.wait()
            watch.read()
            if step:
                watch.census()
        truth = {case: {"name": one.name, "pid": one.process.pid, "step": CASES[case][1]} for case, one in children.items()}
        return dict(rows_of(watch, shared), made=truth)
    finally:
        shared.creators.close()
        for one in children.values():
            one.end()


def busy():
    """Who writes to a mount and who makes files in a folder, of children that do so without end."""
    shared, found = Host(), {}
    for case in ("spool", "names"):
        one = Child(case)
        try:
            one.ask(1)  # its mount is there then
            one.wait()
            one.ask(10**6)
            if case == "spool":
                found[case] = (shared.creators.writer_now(one.folder + "/place", 60.0), one.process.pid, None)
            else:
                owner, folder = shared.creators.maker_now([one.folder + "/place"], 60.0) or (None, None)
                found[case] = (owner, one.process.pid, folder == one.folder + "/place")
        finally:
            one.end()
    major, minor = os.uname()[2].split(".")[:2]
    return {"cases": found, "tmpfs_has_handles": (int(major), int(minor)) >= (5, 13)}  # mm/shmem.c: f_fsid


def bpf_level():
    """Maps of 2.5 GiB (or of half of what is available) that are there when the window opens."""
    one = Child("large_maps")
    number = min(40, procfs.parse_fields(procfs.read_text("/proc/meminfo"))["MemAvailable"] // 2**27)
    try:
        one.ask(number)
        one.wait()
        found = window.measure([MemoryProbe(dict((name, spec["default"]) for name, spec in MemoryProbe.OPTIONS.items()))], 1.0)["memory"]
        return {"pid": one.process.pid, "bytes": number * 2**26, "found": found}
    finally:
        one.end()


def main():
    if sys.argv[1] == "child":
        child(*sys.argv[2:])
    elif sys.argv[1] == "picture":
        options = dict((name, spec["default"]) for name, spec in MemoryProbe.OPTIONS.items())
        print(json.dumps(window.measure([MemoryProbe(options)], 1.0)["memory"]))
    else:
        print(json.dumps({"system": system, "busy": busy, "bpf_level": bpf_level}[sys.argv[1]]()))


if __name__ == "__main__":
    main()
