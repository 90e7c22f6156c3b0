# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the probe memory run on the host: a child holds ever more of one kind, and the probe measures.

    PYTHONPATH=<import tree> python3 memory_on_host.py CASE [SECONDS]

Prints one JSON document: the name and process id of the child, how many it had made before and after the window, and the data.
The case 'picture' makes nothing.
"""

import ctypes
import itertools
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import window
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.probe import MemoryProbe

FIRST = 24  # things that exist before the window opens
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
    child = subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, universal_newlines=True)
    for number in itertools.count():
        child.stdin.write("route add 172.%d.%d.%d/32 dev lo\n" % (16 + (number >> 16), number >> 8 & 255, number & 255))
        if number % 100 == 99:
            child.stdin.flush()
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
    """Empty files in one folder of a file system on a disk."""
    for number in itertools.count():
        os.close(os.open("%s/f%d" % (folder, number), os.O_CREAT | os.O_WRONLY))
        yield


# case: (maker, seconds between two)
CASES = {
    "cgroups": (cgroups, 0.02), "removed_cgroups": (removed_cgroups, 0.02), "mounts": (mounts, 0.005),
    "network_namespaces": (network_namespaces, 0.2), "devices": (devices, 0.1), "routes": (routes, 0.0005), "spool": (spool, 0.01),
    "open_spool": (open_spool, 0.01), "bpf_maps": (bpf_maps, 0.02), "huge_pool": (huge_pool, 0.1), "names": (names, 0.0001),
}


def child(case, folder):
    """Make FIRST things, then more and more; how many is in a file of the folder."""
    libc.prctl(15, ("made-" + case).encode()[:15], 0, 0, 0)
    maker, pause_s = CASES[case]
    made = os.open(folder + "/made", os.O_CREAT | os.O_RDWR)
    os.mkdir(folder + "/place")
    for number, _unused in enumerate(maker(folder + "/place"), 1):
        os.pwrite(made, b"%d" % number, 0)
        if number >= FIRST:
            time.sleep(pause_s)


def read_made(folder, maker):
    """How many the child has made; waits for the first ones. Raises OSError when the child has ended."""
    while True:
        if maker.poll() is not None:
            raise OSError("the child ended")
        try:
            with open(folder + "/made") as stream:
                made = int(stream.read() or 0)
        except FileNotFoundError:
            made = 0
        if made >= FIRST:
            return made
        time.sleep(0.05)


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


def main():
    case = sys.argv[1]
    if case == "child":
        child(*sys.argv[2:])
        return
    window_s = float(sys.argv[2]) if len(sys.argv) > 2 else 6.0
    options = dict((name, spec["default"]) for name, spec in MemoryProbe.OPTIONS.items())
    if case == "picture":
        print(json.dumps({"found": window.measure([MemoryProbe(options)], 1.0)["memory"]}))
        return
    folder = tempfile.mkdtemp()
    made = subprocess.Popen([sys.executable, os.path.abspath(__file__), "child", case, folder], start_new_session=True)
    try:
        before = read_made(folder, made)
        found = window.measure([MemoryProbe(options)], window_s)["memory"]
        after = read_made(folder, made)
        alive = made.poll() is None
    finally:
        os.killpg(made.pid, signal.SIGKILL)
        made.wait()
        clean(folder)
    print(json.dumps({"name": ("made-" + case)[:15], "pid": made.pid, "alive": alive, "before": before, "after": after, "found": found}))


if __name__ == "__main__":
    main()
