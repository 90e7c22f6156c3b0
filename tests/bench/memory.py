# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probe memory costs on a large host: `memory.py [PROCESSES [DESCRIPTORS [SECONDS]]]` prints a line of JSON for each load.

Loads: nothing grows; one program opens sockets; one makes POSIX timers; data that nobody reads arrive. Needs root.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".cache" / "import"))

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux, window  # noqa: E402
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.probe import MemoryProbe  # noqa: E402

HOLDERS = ROOT / "tests" / "integration" / "memory_holders.py"
LOADS = {"nothing": None, "socket": 20, "posix_timer": 100, "udp_unread": 100, "inotify_watch": 20, "file_in_flight": 20}


def crowd(processes, descriptors):
    """Start so many processes that sleep, with so many descriptors together: most have few, a tenth has half of them."""
    pids = []
    for number in range(processes):
        many = number % 10 == 0
        own = descriptors // 2 // (processes // 10) if many else descriptors // 2 // (processes - processes // 10)
        pid = os.fork()
        if pid == 0:
            linux.die_with_parent()
            os.setpgrp()  # processes of the probe's own group are left out
            linux.set_name("crowd-%d" % (number % 40))
            _kept = [socket.socket() if place % 4 == 0 else os.open("/dev/null", os.O_RDONLY) for place in range(max(0, own - 3))]
            while True:
                signal.pause()
        pids.append(pid)
    return pids


def measure(load, step, seconds):
    holder = None
    if step:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        holder = subprocess.Popen([sys.executable, HOLDERS, load], start_new_session=True, **pipes)
        holder.stdout.readline()
        feeder = os.fork()
        if feeder == 0:
            linux.die_with_parent()
            while True:
                holder.stdin.write("%d\n" % step)
                holder.stdin.flush()
                holder.stdout.readline()
                time.sleep(0.05)
    result = window.measure([MemoryProbe({"top": 24})], seconds)["memory"]
    if holder:
        os.kill(feeder, signal.SIGKILL)
        os.waitpid(feeder, 0)
        holder.stdin.close()
        holder.wait()
    named = [one for one in result["data"]["growth"] if one["kind"] == load]
    row = {"load": load, "cpu_s": result["cost"]["cpu_s"], "rss_mib": result["cost"]["max_rss_bytes"] >> 20, "status": result["status"]}
    print(json.dumps({**row, "named": [(one["owner"]["name"], one["per_s"]) for one in named]}), flush=True)


def main(processes=2000, descriptors=100000, seconds=10):
    pids = crowd(processes, descriptors)
    try:
        for load, step in LOADS.items():
            measure(load, step, seconds)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            os.waitpid(pid, 0)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
