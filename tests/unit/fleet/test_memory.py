# SPDX-License-Identifier: GPL-3.0-or-later
"""Section 'memory': what grows and who holds most over all hosts."""

import json

import fastjsonschema

from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.sections.memory import Section
from ansible_collections.ksysak.fleet.tests import fleet_data as data


def section(repo, *hosts, groups=(), findings=()):
    made = Section(known_bugs.load([]))
    for number, facts in enumerate(hosts):
        schema = json.loads((repo / "plugins/plugin_utils/schema/memory-1.json").read_text(encoding="utf-8"))
        fastjsonschema.compile(schema)(facts)
        made.add(f"web{number}", data.envelope("memory", facts))
    for finding in findings:
        made.note(finding)
    found = made.result(list(groups))
    schema = json.loads((repo / "plugins/plugin_utils/schema/sections/memory.json").read_text(encoding="utf-8"))
    host_name = {"type": "string", "minLength": 1, "maxLength": 255}
    fastjsonschema.compile({**schema, "definitions": {"host_name": host_name}})(found)
    return found


def test_the_worst_growth_of_all_hosts_is_first_and_linked_to_its_finding(repo):
    slow, fast = data.growing("pipe", 20.0), data.growing("socket", 400.0)
    finding = {"evidence": fast, "signature": "s1"}
    found = section(
        repo,
        data.memory(growth=[slow]),
        data.memory(growth=[fast], holders=[data.held()]),
        groups=[{"id": "F1", "signature": "s1"}],
        findings=[finding],
    )
    assert [(row["host"], row["kind"], row["finding"]) for row in found["growth"]] == [("web1", "socket", "F1"), ("web0", "pipe", None)]
    assert [(row["host"], row["count"]) for row in found["holders"]] == [("web1", 18000)]


def test_evidence_of_any_shape_is_no_error(repo):
    found = section(repo, data.memory(), findings=[{"evidence": {"kind": 3, "owner": []}, "signature": "s"}])
    assert found["growth"] == [] and found["cut"] == 0


def test_nearest_limits_come_first(repo):
    limit = {"limit": "fs.file-max", "owner": None, "used": 10, "limit_value": 100, "unit": "files", "share": 0.1}
    limit.update(per_s=None, exhausted_in_s=None)
    near = {**limit, "limit": "kernel.pid_max", "owner": data.owner(), "share": 0.9}
    assert [row["owner"] for row in section(repo, data.memory(limits=[limit, near]))["limits"]] == ["app-sockets", None]
