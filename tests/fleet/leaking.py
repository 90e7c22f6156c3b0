# SPDX-License-Identifier: GPL-3.0-or-later
"""Leaks on this host while memleak measures. Argument: a JSON list of cases, each
{window_s, options, leaks: [{ko, type, parameters}]}. Prints a JSON list: what each leaked by its own account, and what was said of it."""

import json
import os
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


if __name__ == "__main__":
    print(json.dumps([measured(case) for case in json.loads(sys.argv[1])]))
