# SPDX-License-Identifier: GPL-3.0-or-later
"""The section of many hosts: what is kept of CPUs and kernel threads is what a sort of all of them keeps."""

import random

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs.known_bugs import KnownBugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.sections import interference
from ansible_collections.ksysak.fleet.tests import fleet_data as data


def measured(rng, cpus, threads):
    """The envelope of a host. Few shares, so that many are equal."""
    found = data.interference(threads=[(pid, f"kworker/{pid}", rng.choice([0.1, 0.5, 0.9])) for pid in range(threads)])
    found["cpus"] = [{"cpu": cpu, "share": rng.choice([0.0, 0.2, 0.4])} for cpu in range(cpus)]
    found["steal"] = [{"cpu": cpu, "share": rng.choice([0.0, 0.3])} for cpu in range(0, cpus, 2)]
    return data.envelope("interference", found)


@pytest.mark.parametrize(("hosts", "cpus", "threads"), [(1, 1, 1), (1, 4000, 60), (300, 16, 8), (2500, 1, 1), (3, 0, 0)])
def test_the_worst_of_all_are_kept_in_the_order_of_all(hosts, cpus, threads):
    rng = random.Random(hosts)
    section = interference.Section(KnownBugs([]))
    all_cpus, all_threads = [], []
    for place in rng.sample(range(hosts), hosts):
        envelope, name = measured(rng, cpus, threads), f"web{place}"
        section.add(name, envelope)
        found = envelope["data"]
        steal = {row["cpu"]: row["share"] for row in found["steal"]}
        all_cpus += [{"host": name, "cpu": row["cpu"], "share": row["share"], "steal": steal.get(row["cpu"])} for row in found["cpus"]]
        all_threads += [{"host": name, **thread} for thread in found["kernel_threads"][: interference.THREADS]]
    all_cpus.sort(key=lambda cpu: (-cpu["share"] - (cpu["steal"] or 0.0), cpu["host"], cpu["cpu"]))
    all_threads.sort(key=lambda thread: (-thread["share"], thread["host"], thread["pid"]))
    shown = section.result([])
    assert shown["cpus"] == all_cpus[: interference.CPUS] and shown["cpus_measured"] == hosts * cpus
    assert shown["threads"] == all_threads[: interference.THREADS]
