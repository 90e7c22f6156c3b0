# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks on this host while memleak measures. Argument: a JSON list of cases, each
{window_s, options, leaks: [{ko, type, parameters}]}, or {window_s, options, ko, kinds: [name, …], parameters} for the kernel module of
kernel_leaks, beside: a shell command that runs again and again meanwhile, or {window_s, options, ko, sites: [specification, …],
settle_s} for kernel_sites. Prints a JSON list: what each leaked by its own account, and what the probe reported of it."""

import json
import os
import signal
import subprocess
import sys
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._injector.kmod import Kmod
from ansible_collections.ksysak.fleet.tests.fleet.injections import Host
from ansible_collections.ksysak.fleet.tests.integration.on_host import make, measured_while

CEILING = 256 * 1024 * 1024


def outstanding(kmods):
    return {kmod.name: kmod.truth() for kmod in kmods}


def measured(case):
    """Leak from before the window to after it."""
    kmods = []
    try:
        for leak in case["leaks"]:
            kmod = Kmod(Host(), os.path.basename(leak["ko"])[: -len(".ko")])
            parameters = {"ceiling": str(CEILING), "run": "1", **leak["parameters"]}
            kmod.load(dict(parameters, place="ksysak_leak_" + parameters["place"]), {}, leak["ko"])
            kmods.append(kmod)
        time.sleep(1)
        before = {}
        found = measured_while(make("memleak", **case["options"]), lambda: before.update(outstanding(kmods)), case["window_s"])
        after = outstanding(kmods)
    finally:
        for kmod in kmods:
            kmod.unload()
    found["truth"] = []
    for leak, kmod in zip(case["leaks"], kmods):  # noqa: B905 (runs under the host's Python)
        first, last = before[kmod.name], after[kmod.name]
        seconds = (last["read_at_ns"] - first["read_at_ns"]) / 1e9
        grown = last["outstanding_bytes"] - first["outstanding_bytes"]
        place = "ksysak_leak_" + leak["parameters"]["place"]
        truth = {"type": leak["type"], "culprit": place, "module": kmod.name, "bytes": grown, "bytes_per_s": grown / seconds}
        found["truth"].append(truth)
    return found


def held():
    """Return {kind: bytes} as the module kernel_leaks counts them, and when."""
    with open("/sys/module/kernel_leaks/parameters/truth") as stream:
        rows = [line.split() for line in stream]
    return time.monotonic(), {name: int(size) for name, size in rows}


def measured_kinds(case):
    """Measure kinds of leaks, and of what only looks like one, that hold memory from before the window to after it."""
    parameters = ["%s=%s" % item for item in case.get("parameters", {}).items()]
    subprocess.run(["insmod", case["ko"], "kinds=" + ",".join(case["kinds"]), *parameters], check=True)
    beside = None
    if case.get("beside"):
        loop = "while :; do %s; done >/dev/null 2>&1" % case["beside"]
        beside = subprocess.Popen(["sh", "-c", loop], start_new_session=True)
    try:
        time.sleep(case.get("settle_s", 1))
        before, after = [], []

        def go():
            with open("/sys/module/kernel_leaks/parameters/go", "w") as stream:
                stream.write("1")
            before.append(held())

        # The truth at the end of the window, not after the reading: that takes seconds on a slow machine, and one kind begins late.
        found = measured_while(make("memleak", **case["options"]), go, case["window_s"], ended=lambda: after.append(held()))
        (began_s, first), (ended_s, last) = before[0], after[0]
    finally:
        if beside:
            os.killpg(beside.pid, signal.SIGKILL)
            beside.wait()
        subprocess.run(["rmmod", "kernel_leaks"], check=True)
    found["truth"] = {kind: (last[kind] - first[kind]) / (ended_s - began_s) for kind in last}
    return found


def measured_sites(case):
    """Measure sites of kernel_sites; returns as truth {name: [objects, bytes, allocations, frees] when the window began and ended}."""
    parameters = "/sys/module/kernel_sites/parameters/"

    def counted():
        with open(parameters + "truth") as stream:
            return {line.split()[0]: list(map(int, line.split()[1:])) for line in stream}

    def go():
        with open(parameters + "go", "w") as stream:
            stream.write("1")
        return counted()

    subprocess.run(["insmod", case["ko"], "sites=" + ",".join(case["sites"])], check=True)
    try:
        time.sleep(case.get("settle_s", 1))
        found = measured_while(make("memleak", **case["options"]), go, case["window_s"])
        last = counted()
    finally:
        subprocess.run(["rmmod", "kernel_sites"], check=True)
    found["truth"] = {name: (rows, last[name]) for name, rows in found["truth"].items()}
    return found


if __name__ == "__main__":
    ways = {"kinds": measured_kinds, "sites": measured_sites, "leaks": measured}
    print(json.dumps([next(way for key, way in ways.items() if key in case)(case) for case in json.loads(sys.argv[1])]))
