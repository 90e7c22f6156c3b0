# SPDX-License-Identifier: GPL-3.0-or-later
"""Section 'blocked': causes over hosts, the longest waits, and where the time of services went."""

import json

import fastjsonschema
import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.joins.time_lost import time_lost
from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.sections.blocked import Section
from ansible_collections.ksysak.fleet.tests import fleet_data


@pytest.fixture
def example(repo):
    """The examples of the schema, together the data of one host."""
    schema = json.loads((repo / "plugins/plugin_utils/schema/blocked-1.json").read_text(encoding="utf-8"))
    lists = {name: schema["properties"][name]["examples"][0] for name in ("reasons", "devices", "waits", "services")}
    lists["memory"] = schema["properties"]["memory"]["examples"][0]
    data = {"threshold_us": 50000.0, "count": 5, "expected": 0, "sampling": {"samples": 100, "interval_us": 20000.0}, **lists}
    fastjsonschema.compile(schema)(data)
    return data


def section(repo, *hosts, groups=(), findings=()):
    made = Section(known_bugs.load([]))
    for number, data in enumerate(hosts):
        made.add(f"web{number}", fleet_data.envelope("blocked", data))
        made.add_joined(f"web{number}", {"time_lost": time_lost(None, data)})
    for finding in findings:
        made.note(finding)
    found = made.result(list(groups))
    schema = json.loads((repo / "plugins/plugin_utils/schema/sections/blocked.json").read_text(encoding="utf-8"))
    host_name = {"type": "string", "minLength": 1, "maxLength": 255}
    fastjsonschema.compile({**schema, "definitions": {"host_name": host_name}})(found)
    return found


def test_causes_add_up_over_hosts_and_name_the_worst(repo, example):
    worse = json.loads(json.dumps(example))
    worse["reasons"][0].update(total_us=9e6, longest_us=4e6)
    worse["reasons"][0]["holders"][0]["comm"] = "backup"
    finding = {"evidence": {"kind": "mmap_lock", "reason": "mmap_lock"}, "signature": "s1"}
    found = section(repo, example, worse, groups=[{"id": "F1", "signature": "s1"}], findings=[finding])
    (cause,) = found["causes"]
    assert (cause["hosts"], cause["count"], cause["longest_us"], cause["finding"]) == (2, 10, 4e6, "F1")
    assert (cause["worst_host"], cause["holder"]["comm"]) == ("web1", "backup")


def test_expected_waits_and_kernel_threads_are_not_listed(repo, example):
    example["waits"] = [{**example["waits"][0], "expected": True}, {**example["waits"][0], "kernel_thread": True}]
    assert section(repo, example)["waits"] == []


def test_percentiles_compare_hosts_with_and_without_a_cause(repo, example):
    calm = {**example, "reasons": [], "devices": [], "waits": [], "services": []}
    found = section(repo, example, *[calm] * 9)["percentiles"]
    (row,) = found
    assert (row["cause"], row["p50"], row["p90"], row["worst_host"]) == ("mmap_lock", 0.0, 0.0, "web0")
    assert row["max"] == row["p99"] > 0


@pytest.mark.parametrize("evidence", [{}, {"kind": 3, "reason": []}, {"kind": "mutex"}])
def test_evidence_of_any_shape_is_no_error(repo, example, evidence):
    assert section(repo, example, findings=[{"evidence": evidence, "signature": "s"}])["causes"][0]["finding"] is None


def test_no_host_was_measured(repo):
    found = section(repo)
    assert (found["hosts"], found["causes"], found["services"], found["percentiles"]) == (0, [], [], [])
