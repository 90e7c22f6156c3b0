# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scan says beside programs that delay others: `jitter.py [CASE …] [--window 20]`, a line of JSON for each.

Each case is a program, the words of which the first finding must have one, and often its name. A victim runs beside each: it sleeps 1 ms
again and again in a control group of its own, and sums up by how much it woke too late. `explained` is the time that the report has for
that group over what the victim lost; null where it lost less than 10 ms. `attributed`: of how many of the waits that are listed at least
95 % is attributed. Findings of the kernel log do not count. Needs root; the scans are `make scan` of this checkout.
"""

import argparse
import calendar
import contextlib
import ctypes
import glob
import json
import mmap
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from situations import MIB, ROOT, child, forever, memory_hierarchy

libc = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000
LATE_S = 0.001  # less is the way to the victim's own clock
CPUS = sorted(os.sched_getaffinity(0))


def spin():
    while True:
        pass


# What an agent of monitoring does to a large process: reported for node_exporter, systemd-cgtop, Datadog's process agent.
def smaps_reader():
    def mapper():
        kept = [mmap.mmap(-1, 8192) for _unused in range(30000)]
        for one in kept[::2]:
            one.close()  # areas that cannot be merged
        area = mmap.mmap(-1, 2048 * MIB)
        for at in range(0, 2048 * MIB, 4096):
            area[at] = 1
        while True:
            mmap.mmap(-1, 65536).close()

    def read(pid):
        while True:
            Path(f"/proc/{pid}/smaps").read_bytes()

    pid = child("app-mapper", mapper)
    time.sleep(6)
    return [pid, *(child("app-agent", read, pid) for _unused in range(3))]


def cgroup_reclaim():
    """A container at its limit that reads a file larger than the limit again and again."""
    group, file = memory_hierarchy() / "ksysak-reclaim", Path("/var/tmp/ksysak-reclaim")
    group.mkdir(exist_ok=True)
    limit = group / ("memory.limit_in_bytes" if (group / "memory.limit_in_bytes").exists() else "memory.max")
    limit.write_text(str(96 * MIB))
    file.write_bytes(bytes(MIB) * 600)
    with open(file, "rb") as stream:
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # else its pages belong to this process, and nothing is reclaimed

    def read():
        (group / "cgroup.procs").write_text(str(os.getpid()))
        while True:
            with open(file, "rb") as stream:
                while stream.read(MIB):
                    pass

    def end():
        file.unlink()
        time.sleep(0.3)
        group.rmdir()

    return [*(child("app-reclaim", read) for _unused in range(4)), end]


def udp_flood():
    def send(address):
        ends = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            ends.sendto(b"x" * 64, address)

    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    return [child("app-flood", send, receiver.getsockname()) for _unused in CPUS]


def yielding():
    def work():
        while True:
            os.sched_yield()

    return [child("app-yield", work) for _unused in range(4 * len(CPUS))]


def dirty_pages():
    """Writers that are faster than the disk: the kernel throttles them."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))

    def write(number):
        while True:
            with open(folder / str(number), "wb") as stream:
                for _unused in range(3000):
                    stream.write(bytes(MIB))

    return [*(child("app-writer", write, number) for number in range(3)), lambda: shutil.rmtree(folder)]


def pinned():
    """Two busy programs on one CPU, while others are idle: an affinity of an old machine."""

    def work():
        os.sched_setaffinity(0, {CPUS[-1]})
        spin()

    return [child("app-pinned", work) for _unused in range(3)]


def drop_caches():
    """A cron job that 'frees memory'."""

    def work():
        while True:
            Path("/proc/sys/vm/drop_caches").write_text("3")
            subprocess.run(["find", "/usr", "-xdev", "-newer", "/"], stdout=subprocess.DEVNULL, check=False)

    return [child("app-dropcache", work)]


def one_mmap_lock():
    """A thread unmaps gigabytes while others of the process want to map: they wait for the address space."""

    def work():
        def small():
            while True:
                mmap.mmap(-1, 8192).close()
                time.sleep(0.001)

        for _unused in range(4):
            threading.Thread(target=small, daemon=True).start()
        while True:
            area = mmap.mmap(-1, 1536 * MIB, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)  # MAP_POPULATE: with the lock
            area.close()

    return [child("app-unmap", work)]


def sync_storm():
    """A backup that calls sync beside a program that writes."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))

    def write():
        while True:
            for number in range(400):
                (folder / f"{number % 40}").write_bytes(os.urandom(4096) * random.randint(1, 400))
            time.sleep(0.01)

    def sync():
        while True:
            os.sync()

    return [child("app-files", write), *(child("app-sync", sync) for _unused in range(2)), lambda: shutil.rmtree(folder)]


def switch_storm():
    """Pairs of processes that wake each other without end."""

    def ping(back, forth):
        while True:
            os.write(forth, b"x")
            os.read(back, 1)

    def pong(back, forth):
        while True:
            os.read(back, 1)
            os.write(forth, b"x")

    made = []
    for _unused in range(4):
        (one, to_one), (two, to_two) = os.pipe(), os.pipe()
        made += [child("app-ping", ping, one, to_two), child("app-pong", pong, two, to_one)]
    return made


def round_robin():
    """Real-time programs on all CPUs, as audio and telephony run: up to the kernel's own bound they take all there is."""

    def work(cpu):
        os.sched_setaffinity(0, {cpu})
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))
        while True:
            end_s = time.monotonic() + 0.08
            while time.monotonic() < end_s:
                pass
            time.sleep(0.04)

    return [child("app-telephony", work, cpu) for cpu in CPUS]


def veth_flood():
    """Packets from another network namespace: the softirq of the receiver's CPU does the work."""
    for line in (
        "netns add ksysak-flood",
        "link add ksysak0 type veth peer name ksysak1 netns ksysak-flood",
        "addr add 10.199.9.1/24 dev ksysak0",
        "link set ksysak0 up",
        "-n ksysak-flood addr add 10.199.9.2/24 dev ksysak1",
        "-n ksysak-flood link set ksysak1 up",
    ):
        subprocess.run(["ip", *line.split()], check=True)

    def send():
        descriptor = os.open("/run/netns/ksysak-flood", os.O_RDONLY)
        if libc.setns(descriptor, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        ends = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        while True:
            with contextlib.suppress(OSError):
                ends.sendto(b"x" * 64, ("10.199.9.1", 9))

    def end():
        subprocess.run(["ip", "netns", "del", "ksysak-flood"], check=False)

    return [child("app-netflood", send), end]


def idle():
    return [child("app-idle", forever)]


def build():
    def work():
        source = "".join(f"int f{number}(int x) {{ return x * {number} + {number % 7}; }}\n" for number in range(3000))
        with tempfile.TemporaryDirectory() as folder:
            while True:
                jobs = [subprocess.Popen(["cc", "-O2", "-c", "-x", "c", "-", "-o", f"{folder}/{number}.o"], stdin=subprocess.PIPE)
                        for number in range(len(CPUS))]  # fmt: skip
                for job in jobs:
                    job.communicate(source.encode())

    return [child("app-build", work)]


# {name: (what makes it, words, name of the program or None)}; no words: no finding at all.
CASES = {
    "smaps_reader": (smaps_reader, ("mmap_lock", "address space"), "app-agent"),
    "cgroup_reclaim": (cgroup_reclaim, ("reclaim", "memory limit", "memcg", "limit of a control group"), ""),
    "udp_flood": (udp_flood, ("packet", "NET_RX"), "app-flood"),
    "yielding": (yielding, ("run queue", "run-queue", "CPU"), "app-yield"),
    "dirty_pages": (dirty_pages, ("dirty", "writeback", "throttle", "block device"), "app-writer"),
    "pinned": (pinned, ("affinity", "may use CPU"), "app-pinned"),
    "drop_caches": (drop_caches, ("cache", "shrink", "reclaim"), "app-dropcache"),
    "one_mmap_lock": (one_mmap_lock, ("mmap_lock", "address space"), "app-unmap"),
    "sync_storm": (sync_storm, ("sync", "journal", "writeback", "block I/O", "inode"), None),
    "switch_storm": (switch_storm, ("run queue", "run-queue", "CPU"), None),
    "round_robin": (round_robin, ("real-time", "run queue", "run-queue", "CPU"), "app-telephony"),
    "veth_flood": (veth_flood, ("packet", "NET_RX", "softirq"), "app-netflood"),
    "idle": (idle, (), None),
    "build": (build, (), None),
}


def hold(case):
    made = CASES[case][0]()
    print("made", flush=True)
    sys.stdin.read()
    for pid in (one for one in made if isinstance(one, int)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    for end in (one for one in made if callable(one)):
        end()


def victim():
    """Sleep 1 ms again and again until the input ends; a line of input begins and ends the count. Prints the seconds that were lost."""
    top = Path("/sys/fs/cgroup/cpu") if os.path.isdir("/sys/fs/cgroup/cpu") else Path("/sys/fs/cgroup")
    group = top / "ksysak-victim"
    group.mkdir(exist_ok=True)
    (group / "cgroup.procs").write_text(str(os.getpid()))
    libc.prctl(15, b"app-victim", 0, 0, 0)
    lost, state = [0.0], {"on": True}

    def follow():
        sys.stdin.read()
        state["on"] = False

    threading.Thread(target=follow, daemon=True).start()
    clock = time.monotonic
    while state["on"]:
        due_s = clock() + 0.001
        time.sleep(0.001)
        late_s = clock() - due_s
        if late_s > LATE_S:
            lost.append((clock(), late_s))
    print(json.dumps(lost[1:]))
    (top / "cgroup.procs").write_text(str(os.getpid()))
    time.sleep(0.1)
    group.rmdir()


def scan(window_s, folder):
    """Returns (fleet document, host document)."""
    subprocess.run(["make", "-s", "scan", f"WINDOW={window_s}", f"RESULTS={folder}", "PREPARE=no"], cwd=ROOT, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    fleet = json.loads(Path(glob.glob(f"{folder}/*/fleet.json")[0]).read_text())
    host = json.loads(Path(glob.glob(f"{folder}/*/hosts/*.json")[0]).read_text())
    return fleet, host


def run(case, window_s):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    python = "/usr/bin/python3"
    with tempfile.TemporaryDirectory() as folder, subprocess.Popen([python, __file__, "hold", case], **pipes) as holder:
        if holder.stdout.readline() != "made\n":
            raise SystemExit(f"{case} could not be made")
        time.sleep(2)
        with subprocess.Popen([python, __file__, "victim"], **pipes) as beside:
            try:
                fleet, host = scan(window_s, folder)
            finally:
                late = json.loads(beside.communicate("\n")[0])
                holder.stdin.close()
                holder.wait()
    known = ("exception", "hardware")
    found = [one for one in fleet["findings"] if not (one["category"] in known or one["severity"] == "info" or one["part_of"])]
    _made, words, name = CASES[case]
    titles = [f"{one['severity']}: {one['title']}" for one in found]
    # Its own name is not what the program does.
    good = [_has(words, title.replace(name or "", "")) and (not name or name in title) for title in titles]
    row = {"case": case, "right": good[:1] == [True] if words else not titles, "named": any(good), "findings": titles}
    waits = host["probes"]["runlatency"]["data"]["events"]
    whole = sum(wait["unattributed_us"] <= 0.05 * wait["delay_us"] for wait in waits)
    return {**row, **explained(host, late, window_s), "waits": len(waits), "attributed": whole, "lost_events": {
        name: envelope["cost"]["lost_events"] for name, envelope in host["probes"].items() if envelope["cost"]["lost_events"]}}  # fmt: skip


def _has(words, title):
    return any(word.lower() in title.lower() for word in words)


def explained(host, late, window_s):
    """Returns what the victim lost within the window, and the share of it that the report has for its control group."""
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.joins.time_lost import time_lost

    probes = {name: envelope["data"] for name, envelope in host["probes"].items()}
    began_s = calendar.timegm(time.strptime(host["probes"]["runlatency"]["started_at"], "%Y-%m-%dT%H:%M:%SZ"))
    offset_s = time.time() - time.monotonic()
    lost_s = sum(late_s for at_s, late_s in late if began_s <= at_s + offset_s <= began_s + window_s)
    rows = [row for row in time_lost(probes["runlatency"], probes.get("blocked")) if (row["cgroup"] or "").endswith("ksysak-victim")]
    kinds = ("run_queue_us", "throttled_us", "interrupted_us", "steal_us", "blocked_us")
    told_s = sum(row[kind] or 0.0 for row in rows for kind in kinds) / 1e6
    return {"lost_s": round(lost_s, 3), "explained": round(told_s / lost_s, 3) if lost_s > 0.01 else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--window", type=int, default=20)
    options = parser.parse_args()
    for case in options.cases or CASES:
        print(json.dumps(run(case, options.window)), flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / ".cache" / "import"))
    if sys.argv[1:2] == ["hold"]:
        hold(sys.argv[2])
    elif sys.argv[1:2] == ["victim"]:
        victim()
    else:
        main()
