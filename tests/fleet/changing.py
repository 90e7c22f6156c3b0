# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a machine itself while a probe measures. Prints JSON, as on_host.py does.

    python3 changing.py CASE [ARGUMENT …]
"""

import json
import os
import sys
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._injector import testrunlatency
from ansible_collections.ksysak.fleet.plugins.module_utils._interference.counters import difference, snapshot
from ansible_collections.ksysak.fleet.tests.integration.on_host import make, measured_while

CPU = 1
WAITS = {"load": "realtime", "duration_us": 50000, "interval_ms": 50, "count": 3, "tasks": 4, "ttl_s": 300}


def switch(online):
    with open("/sys/devices/system/cpu/cpu%d/online" % CPU, "w") as stream:
        stream.write(str(int(online)))


def waits(cpu):
    """Let a task wait for that CPU three times. Returns the waits as testrunlatency tells them."""
    testrunlatency.start(dict(WAITS, cpu=cpu))
    while testrunlatency.ask()["ground_truth"]["turns"] < WAITS["count"]:
        time.sleep(0.05)
    truth = testrunlatency.ask(stop=True)["ground_truth"]
    assert not truth["error"], truth["error"]
    return truth["delays"]


def waited_ns():
    """Return {CPU: nanoseconds that tasks have waited for it} of the CPUs that are online, by the kernel's own sum."""
    with open("/proc/schedstat") as stream:
        rows = [line.split() for line in stream if line.startswith("cpu")]
    return {row[0]: int(row[8]) for row in rows}


def unplugged(name, comes_back):
    """Take a CPU away within the window of a probe, give it back when comes_back is 1, and work where one can work then."""

    def happen():
        switch(False)
        switch(int(comes_back))
        before = snapshot()
        delays = waits(CPU if int(comes_back) else 0)
        ticks = difference(before, snapshot())["vector", "LOC"]
        return {"delays": delays, "ticks": ticks}

    waited_before = waited_ns()
    try:
        # Only 16 waits of a CPU are kept: those of others must not displace the ones that are looked for.
        options = {"comm": "ks-victim"} if name == "runlatency" else {}
        result = measured_while(make(name, top=1000, **options), happen)
        result["truth"]["waited_us"] = sum(ns - waited_before[cpu] for cpu, ns in waited_ns().items()) / 1e3
        return result
    finally:
        switch(True)


def counted(row):
    return snapshot()["vector", row]


def backtraces():
    """Have the kernel print what all CPUs do, which it asks the others for by a non-maskable interrupt each."""

    def happen():
        before = counted("NMI")
        with open("/proc/sysrq-trigger", "w") as stream:
            stream.write("l")
        return {cpu: count - before[cpu] for cpu, count in counted("NMI").items()}

    return measured_while(make("interference"), happen)


def more_of(row):
    """Say on standard error when the window is open, and wait within it until the kernel counts more in that row of /proc/interrupts."""

    def happen():
        before = counted(row)
        os.write(2, b"measuring\n")
        while counted(row) == before:
            time.sleep(0.01)
        return {cpu: count - before[cpu] for cpu, count in counted(row).items()}

    return measured_while(make("interference"), happen)


CASES = {case.__name__: case for case in (unplugged, backtraces, more_of)}

if __name__ == "__main__":
    print(json.dumps(CASES[sys.argv[1]](*sys.argv[2:])))
