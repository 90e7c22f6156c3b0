# SPDX-License-Identifier: GPL-3.0-or-later
"""Stalls that an injector, loaded within the window, makes on this host while runlatency measures. Arguments: its .ko file,
threshold and the lengths in microseconds. Prints JSON: what the module says of each, and what the probe says."""

import json
import os
import signal
import sys

from ansible_collections.ksysak.fleet.plugins.module_utils._injector.kmod import Kmod
from ansible_collections.ksysak.fleet.tests.fleet.injections import Host
from ansible_collections.ksysak.fleet.tests.integration.on_host import make, measured_while

APART_MS = 20


def busy_on(cpu):
    """Start a process that always wants this CPU; returns its process id."""
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {cpu})
        while True:
            pass
    return pid


def stalled(kmod, ko, lengths_us):
    """Load the module and have it make a stall of each length, one after another. Returns them as on_host.stalls does."""
    kmod.load({"cpu": "0", "count": "1", "interval_ms": str(APART_MS)}, {}, ko)
    # An idle CPU is not watched for interrupts that are off. The module that does not switch brings its own rival.
    rivals = [busy_on(0)] if kmod.name == "test_irqoff" else []
    try:
        for number, length_us in enumerate(lengths_us):
            kmod.set({"duration_us": length_us})
            kmod.write("run", "1")
            while kmod.truth()["count"] == number:
                os.sched_yield()
    finally:
        for rival in rivals:
            os.kill(rival, signal.SIGKILL)
            os.waitpid(rival, 0)
    delays = kmod.truth()["delays"]
    lengths = [delay["length_ns"] / 1e3 for delay in delays]
    # The module leaves the CPU alone between two of them.
    made = [{"end_ns": delay["start_ns"] + delay["length_ns"], "cpu": delay["cpu"]} for delay in delays]
    apart_us = 1000 * APART_MS
    rows = zip(made, lengths)  # noqa: B905 (the host's Python)
    return [dict(row, least_us=length, most_us=length + apart_us, late_us=apart_us) for row, length in rows]


def measured(ko, threshold_us, *lengths_us):
    kmod = Kmod(Host(), os.path.basename(ko)[: -len(".ko")])
    try:
        probe = make("runlatency", irqoff_us=int(threshold_us), nosched_us=int(threshold_us), top=1000)
        result = measured_while(probe, lambda: stalled(kmod, ko, lengths_us))
    finally:
        kmod.unload()
    result["truth"] = {"stalls": result["truth"]}
    return result


if __name__ == "__main__":
    print(json.dumps(measured(*sys.argv[1:])))
