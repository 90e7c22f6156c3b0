# SPDX-License-Identifier: GPL-3.0-or-later
"""One process waits for a CPU, in many lengths, while runlatency and bcc's runqlat both watch it.

    PYTHONPATH=<import tree> python3 beside_runqlat.py WAITS

Prints what each made of it, as {least microseconds of a bucket: waits}.
"""

import json
import os
import re
import signal
import sys
import tempfile
import time

from ansible_collections.ksysak.fleet.tests import bcc_tools
from ansible_collections.ksysak.fleet.tests.integration.on_host import make, measured_while


def work(cpu, waits, go):
    """Sleep and compute in turns of many lengths, so that rivals on the CPU keep it waiting for as many."""
    os.sched_setaffinity(0, {cpu})
    os.read(go, 1)
    for number in range(waits):
        time.sleep((number * 37 % 101) / 1e5)
        until_s = time.monotonic() + (number * 53 % 211) / 1e5
        while time.monotonic() < until_s:
            pass
    os.read(go, 1)


def rival(cpu, busy_s, idle_s):
    os.sched_setaffinity(0, {cpu})
    while True:
        until_s = time.monotonic() + busy_s
        while time.monotonic() < until_s:
            pass
        time.sleep(idle_s)


def forked(function, *arguments):
    pid = os.fork()
    if pid == 0:
        function(*arguments)
        os._exit(0)
    return pid


def state(pid):
    with open("/proc/%d/stat" % pid) as stat:
        return stat.read().rsplit(")", 1)[1].split()[0]


def cpu_time_ns(pid):
    with open("/proc/%d/schedstat" % pid) as stat:
        return int(stat.read().split()[0])


def worked(pid, go):
    """Let the process work; returns when it sleeps and does so for good."""
    os.write(go, b"g")
    before_ns = -1
    while state(pid) != "S" or cpu_time_ns(pid) != before_ns:
        before_ns = cpu_time_ns(pid)
        time.sleep(0.2)


def main(waits):
    cpu = max(os.sched_getaffinity(0))
    read, write = os.pipe()
    pids = [forked(work, cpu, waits, read), forked(rival, cpu, 0.002, 0.001), forked(rival, cpu, 0.0003, 0.0004)]
    try:
        with tempfile.TemporaryDirectory() as headers:
            bcc_tools.write_headers(headers, os.environ["PYTHONPATH"])
            with bcc_tools.running("runqlat", headers, "-p", str(pids[0])) as runqlat:
                result = measured_while(make("runlatency", pid=pids[0]), lambda: worked(pids[0], write))
                runqlat.send_signal(signal.SIGINT)
                rows = re.findall(r"^ *(\d+) -> \d+ +: (\d+)", runqlat.stdout.read(), re.M)
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    ours = {}
    for histogram in result["data"]["histograms"].values():
        for least, count in histogram.items():
            ours[least] = ours.get(least, 0) + count
    print(json.dumps({"ours": ours, "runqlat": {least: int(count) for least, count in rows if int(count)}, "lost": result["lost"]}))


main(int(sys.argv[1]))
