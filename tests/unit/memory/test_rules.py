# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of levels and limits: what is held by one owner without growth, and limits that are near."""

import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
from ansible_collections.ksysak.fleet.tests import fleet_data as data


def limit(share, name="fs.file-max", unit="files", **changes):
    row = {"limit": name, "owner": None, "used": share * 1000, "limit_value": 1000, "unit": unit, "share": share}
    return {**row, "per_s": None, "exhausted_in_s": None, **changes}


def titles(rule, **facts):
    host = data.host("web1")
    host["probes"]["memory"] = data.envelope("memory", data.memory(**facts))
    return [finding["title"] for finding in load().findings(host)[0] if finding["rule"] == rule]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (data.held("socket", 18000), True),
        (data.held("socket", 9000), False),
        (data.held("zombie", 4000, bytes=None), True),
        (data.held("zombie", 40, bytes=None), False),
        (data.held("bpf_map", 5, bytes=5 * 2**29), True),
        (data.held("dying_cgroup", 60000), True),
        (data.held("dentry", 10**7, detail={"reclaimable": True}), False),
        ({**data.held("anonymous_memory", 1, bytes=2**36), "count": None}, False),
        (data.held("huge_page_pool", 4096, bytes=2**33), False),
        (data.held("sysv_shm", 1, bytes=2**33), False),
        (data.held("tmpfs", 12, bytes=2**32), False),
    ],
)
def test_what_one_owner_holds_is_reported_from_a_level_on(row, told):
    found = titles("memory-held-level", holders=[row])
    assert len(found) == told
    assert all("app-sockets[4242] (app.service)" in title for title in found)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (limit(0.95), "fs.file-max is at 95 %"),
        (limit(0.5), None),
        (limit(0.5, exhausted_in_s=1200.0), "full in"),
        (limit(0.5, exhausted_in_s=86400.0), None),
        (limit(0.1, exhausted_in_s=1200.0), None),
        (limit(0.3, "SUnreclaim of memory", "bytes"), "SUnreclaim of memory is at 30 %"),
        (limit(1.0, "huge pages of 2048 KiB", "pages"), None),
        (limit(0.92, "pids.max", "threads", owner=data.owner("/app.slice", type="cgroup", pid=None, unit=None)), "pids.max of /app.slice"),
    ],
)
def test_limits_are_reported_when_they_are_near(row, told):
    found = titles("memory-limit", limits=[row])
    assert len(found) == (told is not None)
    assert all(told in title for title in found)


def large_and_growing(kind="socket", per_s=100.0, bytes_per_s=1e6, levels=(), **changes):
    """Findings of memory about one owner that holds much, and of which this kind grows."""
    holder = data.held("socket", 18000)
    row = {**data.growing(kind, per_s), "owner": holder["owner"], "bytes_per_s": bytes_per_s, **changes}
    host = data.host("web1")
    host["probes"]["memory"] = data.envelope("memory", data.memory(growth=[row] if per_s else [], holders=[holder, *levels]))
    return [finding["rule"] for finding in load().findings(host)[0]]


def test_what_is_large_and_grows_is_one_finding():
    assert large_and_growing() == ["memory-held-growth"]
    assert large_and_growing(per_s=0) == ["memory-held-level"]
    # Growth that is too slow for a finding hides no level.
    assert large_and_growing(per_s=0.1, bytes_per_s=100.0) == ["memory-held-level"]
    # Another owner's growth hides it as little.
    other = data.owner("other", pid=1)
    assert sorted(large_and_growing(owner=other)) == ["memory-held-growth", "memory-held-level"]


def test_an_override_of_the_rule_above_lets_the_level_appear():
    host = data.host("web1")
    row = {**data.growing("socket", 100.0), "owner": data.held("socket", 1)["owner"], "bytes_per_s": 1e6}
    host["probes"]["memory"] = data.envelope("memory", data.memory(growth=[row], holders=[data.held("socket", 18000)]))
    found = load(overrides={"memory-held-growth": {"enabled": False}}).findings(host)[0]
    assert [finding["rule"] for finding in found] == ["memory-held-level"]


def test_a_level_that_is_worse_than_its_growth_or_alone_without_a_waiver_is_a_finding(tmp_path):
    host = data.host("web1")
    row = {**data.growing("socket", 100.0), "owner": data.held("socket", 1)["owner"], "bytes_per_s": 1e6}
    host["probes"]["memory"] = data.envelope("memory", data.memory(growth=[row], holders=[data.held("socket", 18000)]))
    found = load(overrides={"memory-held-growth": {"severity": "info"}}).findings(host)[0]
    assert [finding["rule"] for finding in found] == ["memory-held-level", "memory-held-growth"]
    waiver = {"rule": "memory-held-growth", "owner": "ops", "reason": "known", "expires": "2999-01-01"}
    extra = tmp_path / "waivers.yml"
    extra.write_text(yaml.safe_dump({"schema": "ksysak.policy/1", "rules": [], "waivers": [waiver]}))
    evaluation = load(["default", str(extra)]).evaluate(host)
    assert [finding["rule"] for finding in evaluation.findings] == ["memory-held-level"]
    assert load().evaluate(host).outcomes["memory-held-level"] == "fail"  # beneath the other finding, and not passed either


def test_sockets_in_one_state_are_named_by_it():
    assert large_and_growing(per_s=0, levels=[data.held("tcp_close_wait", 17000)]) == ["memory-held-level"]
    assert large_and_growing(per_s=0, levels=[data.held("tcp_close_wait", 20)]) == ["memory-held-level"]
