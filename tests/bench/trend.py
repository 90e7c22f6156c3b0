# SPDX-License-Identifier: GPL-3.0-or-later
"""How often is growth between scans found, and how often is noise taken for growth? And what do earlier scans cost?

    trend.py [tuned|others|last] [RUNS [SEED]]
    trend.py history [SCANS [HOSTS]]

With history: a report of the last of so many scans (default 10) of so many hosts (default 1000), with all scans before it as its history.
Prints a line for the report alone, with a history that no report was made of before, so that all host documents are read, and
with what reports left beside each scan: seconds in all, CPU seconds, seconds of reading the history, scans that were compared.

Prints a line for each kind of noise and number of scans, in percent: noise alone that is taken for growth, and for a jump; growth that is
found when the counter grows from scan to scan 1, 2 and 3 times as much as the noise changes it; and when it grows in all 2, 3 and 5
times the range of the noise.
"""

import collections
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / ".cache" / "import")]

from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend.series import judge  # noqa: E402
from ansible_collections.ksysak.fleet.tests import counter_noise as noise, fleet_data as data  # noqa: E402

COUNTS = (3, 5, 6, 7, 8, 10, 14, 20, 30, 50)


def shares(kind, schedule, count, ratio, runs, rng, by_range=False):
    """Return {verdict: share}."""
    paths = (noise.grown(rng, kind, schedule(rng, count), ratio, by_range) for _unused in range(runs))
    found = collections.Counter(judge(path, noise.FLOOR).verdict for path in paths)
    return {verdict: number / runs for verdict, number in found.items()}


def _write_scans(results, scans, hosts):
    """Write scans, a day after each other, of hosts that are not rebooted and whose counters change."""
    for number in range(scans):
        documents = data.fleet(hosts)
        rng = random.Random(number)
        for place, document in enumerate(documents):
            document["scan_id"] = f"day{number:03}"
            if document["state"] == "scanned":
                uptime_s = 100000.0 + 86400.0 * number
                document["system"].update(boot_id=f"{place:032x}", uptime_s=uptime_s)
                counters = data.counters(uptime_s, SUnreclaim=100 * 2**20 + rng.randrange(2**20) + (place % 50 == 0) * number * 2**24)
                document["probes"]["memory"] = data.envelope("memory", data.memory(counters=counters))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_790_000_000 + 86400 * number))
        data.write(results, documents, scan_id=f"day{number:03}", started_at=at).rename(results / f"day{number:03}")


def _report(folder, *history):
    """In a process of its own: make the report of a scan, leave what later ones need, and print what it took."""
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.finding_history import FindingHistory
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import Assets
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html import render
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend.history import History

    folder, results = Path(folder), Path(history[0]) if history else None
    began = time.monotonic()
    known, findings = History(results, folder), FindingHistory(results, folder)
    read = time.monotonic() - began
    fleet = build(folder, load(), history=known, earlier=findings)
    render(fleet, Assets(str(Path(__file__).resolve().parents[2] / "roles" / "report")), folder)
    took = time.monotonic() - began
    known.write(fleet["scan"]["scan_id"])
    findings.write(fleet)
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    print(json.dumps([took, sum(one.ru_utime + one.ru_stime for one in used), read, len(known.scans)]))


def read_history(scans=10, hosts=1000):
    """Print what a report costs alone, and with a history that is read anew or was read before."""
    print("%-34s %8s %8s %8s %6s" % (f"{scans} scans of {hosts} hosts", "s", "CPU s", "read s", "scans"))
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder)
        _write_scans(results, int(scans), int(hosts))
        folders = sorted(results.iterdir())
        last = str(folders[-1])

        def made(*paths):
            command = [sys.executable, __file__, "--report", *paths]
            return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)

        print("%-34s %8.2f %8.2f %8.2f %6d" % ("alone", *made(last)), flush=True)
        print("%-34s %8.2f %8.2f %8.2f %6d" % ("with a history, documents read", *made(last, folder)), flush=True)
        for path in folders[:-1]:
            made(str(path))
        print("%-34s %8.2f %8.2f %8.2f %6d" % ("with a history of reports", *made(last, folder)), flush=True)


def main(which="tuned", runs=2000, seed=1):
    rng = random.Random(int(seed))
    kinds = {"tuned": noise.TUNED, "others": noise.OTHERS, "last": noise.LAST}[which]
    schedules = noise.TIMES if which == "tuned" else noise.OTHER_TIMES
    for at, schedule in schedules.items():
        for name, kind in kinds.items():
            for count in COUNTS:
                alone = shares(kind, schedule, count, 0, int(runs), rng)
                found = [shares(kind, schedule, count, ratio, int(runs), rng).get("grows", 0) for ratio in (1, 2, 3)]
                found += [shares(kind, schedule, count, ratio, int(runs), rng, True).get("grows", 0) for ratio in (2, 3, 5)]
                false = [alone.get(verdict, 0) for verdict in ("grows", "jumped")]
                print(f"{at:11} {name:9} {count:3}", *(f"{100 * rate:6.2f}" for rate in [*false, *found]), flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--report"]:
        _report(*sys.argv[2:])
    elif sys.argv[1:2] == ["history"]:
        read_history(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
