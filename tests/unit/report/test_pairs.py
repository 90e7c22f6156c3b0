# SPDX-License-Identifier: GPL-3.0-or-later
"""Each host of each finding has its own title, severity and evidence in the page: the page against the files of the hosts."""

import random
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import html
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import Assets
from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.bench.pairs import compare

ROLE = Path(__file__).resolve().parents[3] / "roles" / "report"


def varied(place):
    """A host whose leaks, waits and reports have numbers of their own."""
    rng = random.Random(place)
    name = f"edge-{place:05d}.rack{place % 40:02d}.fra1.prod.corp.example.net"
    document = data.host(name, rng.choice(["healthy", "degraded", "unreachable", *["healthy"] * 5]), rng=rng)
    if document["state"] != "scanned":
        return document
    probes = document["probes"]
    if rng.random() < 0.4 and probes["memleak"]["status"] == "ok":
        growth = rng.uniform(2e3, 9e5)
        leak = {**data.LEAK, "growth_bytes_per_s": growth, "bytes_outstanding": int(growth * 20)}
        probes["memleak"]["data"] = data.memleak(data.outstanding(**leak), SUnreclaim=rng.randrange(40) * 2**20)
    if rng.random() < 0.4 and probes["runlatency"]["status"] == "ok":
        delays = [rng.choice([21000.0, 61000.0, 148200.5, 310000.0]) + rng.randrange(999) for _unused in range(rng.randrange(1, 6))]
        found = [data.wait(delay, longest_runner=rng.choice(["java", "backup.sh"])) for delay in delays]
        probes["runlatency"]["data"] = data.runlatency(*found, rng=rng)
    killed = [
        data.exception(kind="oom", title=f"Out of memory: Killed process {rng.randrange(9999)} ({name})", signature=f"oom:{name}",
                       culprit=None, trace=[], count=rng.randrange(1, 9))
        for name in rng.sample(["java", "node", "postgres"], rng.randrange(3))
    ]  # fmt: skip
    probes["os_exceptions"]["data"] = data.os_exceptions(*killed)
    return document


@pytest.mark.parametrize("room", [html.PAGE_BYTES, 0])
def test_all_pairs_of_400_hosts_are_their_own(tmp_path, monkeypatch, room):
    monkeypatch.setattr(html, "PAGE_BYTES", room)
    folder = data.write(tmp_path, [varied(place) for place in range(400)])
    fleet = build(folder, load_policy())
    counts = compare(html.render(fleet, Assets(str(ROLE)), folder), folder)
    assert counts["wrong"] == []
    assert counts["same"] == counts["pairs"] > 500
    assert counts["without_room"] == (0 if room else counts["pairs"])


def test_the_comparison_sees_what_is_another_hosts(tmp_path):
    folder = data.write(tmp_path, [varied(place) for place in range(30)])
    fleet = build(folder, load_policy())
    group = max(fleet["findings"], key=lambda one: len({(member["severity"], member["title"]) for member in one["hosts"]}))
    for name in ("severity", "title", "evidence"):
        group["hosts"][-1][name] = group["hosts"][0][name]
    counts = compare(html.render(fleet, Assets(str(ROLE)), folder), folder)
    assert [wrong[:2] for wrong in counts["wrong"]] == [(group["hosts"][-1]["host"], group["signature"])]


def test_facts_of_a_file_that_changed_meanwhile_are_none(tmp_path):
    folder = data.write(tmp_path, [varied(place) for place in range(4)])
    fleet = build(folder, load_policy())
    for path in (folder / "hosts").iterdir():
        path.write_text('{"schema": "ksysak.host/1", "host": %s}' % ("[]" if "2" in path.name else "7"), encoding="utf-8")
    assert 'id="facts-0"' in html.render(fleet, Assets(str(ROLE)), folder)
