# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about tasks that the kernel kept from going on."""

import json

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
from ansible_collections.ksysak.fleet.tests import fleet_data as data

RULES = ("blocked-", "memory-pressure")


@pytest.fixture(scope="module")
def properties(repo):
    return json.loads((repo / "plugins/plugin_utils/schema/blocked-1.json").read_text(encoding="utf-8"))["properties"]


@pytest.fixture
def found(properties):
    """Return a function that returns {rule: finding} of a host; changes: of 'memory', and of the one reason that there is."""

    def find(memory=None, reason=None, wait=None, devices=None):
        example = {name: properties[name]["examples"][0] for name in ("memory", "reasons", "waits", "services")}
        calm = {**dict.fromkeys(example["memory"], 0), "groups": []}
        facts = {
            "threshold_us": 50000.0, "count": 0, "expected": 0, "sampling": {"samples": 100, "interval_us": 20000.0},
            "memory": {**calm, **(memory or {})}, "services": [], "devices": devices or [],
            "reasons": [{**example["reasons"][0], **reason}] if reason is not None else [],
            "waits": [{**example["waits"][0], **wait}] if wait is not None else [],
        }  # fmt: skip
        document = data.host("web1")
        document["probes"]["blocked"] = data.envelope("blocked", facts)
        findings, problems = load().findings(document)
        assert problems == []
        return {finding["rule"]: finding for finding in findings if finding["rule"].startswith(RULES)}

    return find


@pytest.mark.parametrize(
    ("memory", "said"),
    [
        (
            {"some_share": 0.2156, "direct_reclaims": 5120},
            "22 % of the window: tasks freed memory of the host themselves 5120 times",
        ),
        ({"some_share": 0.1, "direct_reclaims": 1}, "tasks freed memory of the host themselves 1 time"),
        ({"some_share": 0.9, "direct_reclaims": 3, "direct_compactions": 2048}, "tasks moved pages to make large ones 2048 times"),
        ({"some_share": 0.5}, "at the limit of a control group"),
        ({"some_share": 0.5, "refaulted_pages": 900000}, "or to read back what was just freed"),
        ({"some_share": 0.5, "direct_reclaims": None, "direct_compactions": None}, "at the limit of a control group"),
    ],
)
def test_waits_for_memory_are_told_with_what_they_were_for(found, memory, said):
    finding = found(memory)["memory-pressure"]
    assert finding["severity"] == "warning" and said in finding["title"]


@pytest.mark.parametrize("memory", [{}, {"some_share": 0.0999, "direct_reclaims": 10**6}, {"some_share": None, "direct_reclaims": 10**6}])
def test_little_waiting_for_memory_is_no_finding(found, memory):
    assert found(memory) == {}


GROUP = {"cgroup": "/a.slice/shop.service", "unit": "shop.service", "some_us": 4102000, "some_share": 0.2051}


def test_the_control_groups_that_waited_are_named(found):
    assert "window, most in /a.slice/shop.service: at" in found({"some_share": 0.5, "groups": [GROUP]})["memory-pressure"]["title"]
    assert "of the window: at" in found({"some_share": 0.5})["memory-pressure"]["title"]


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ({}, {"blocked-on-holder": "warning"}),
        ({"longest_us": 1e6}, {"blocked-on-holder": "error"}),
        ({"total_us": 299999.0}, {}),
        ({"longest_us": 49999.0}, {}),
        ({"holders": []}, {"blocked-in-kernel": "warning"}),
        ({"holders": [], "kind": "block_io", "total_us": 999999.0}, {}),  # any program with much I/O waits for it
        ({"holders": [], "kind": "block_io", "total_us": 1e6, "longest_us": 3e5}, {"blocked-in-kernel": "warning"}),
        ({"total_us": 0.0, "sampled_us": 1.1e7, "tasks": 2}, {"blocked-contention": "warning"}),
        ({"total_us": 0.0, "sampled_us": 1.1e7, "tasks": 1}, {}),
        ({"total_us": 0.0, "sampled_us": 0.9e7, "tasks": 2}, {}),
    ],
)
def test_a_cause_is_a_finding_by_length_time_and_holder(found, reason, expected):
    assert {rule: finding["severity"] for rule, finding in found(reason={"sampled_us": 0.0, **reason}).items()} == expected


HUNG = {"ongoing": True, "expected": False, "kernel_thread": False, "delay_us": 1e7}


@pytest.mark.parametrize(
    ("changes", "hung"),
    [({}, True), ({"ongoing": False}, False), ({"expected": True}, False), ({"kernel_thread": True}, False), ({"delay_us": 9.9e6}, False)],
)
def test_a_wait_that_does_not_end_is_a_hung_task(found, changes, hung):
    findings = found(wait={**HUNG, **changes})
    assert set(findings) == ({"blocked-hung"} if hung else set())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "writer and others spent 18.9 s in 20.0 s in long waits for the block device vda"),
        ({"reason": "a journal"}, "writer and others spent 18.9 s in 20.0 s in long waits for the block device vda, most for a journal"),
        ({"total_us": 9.9e6}, None),
        ({"tasks": 1}, None),  # one program alone with much I/O
    ],
)
def test_a_device_that_many_wait_for(found, properties, changes, said):
    findings = found(devices=[{**properties["devices"]["examples"][0][0], **changes}])
    assert {rule: finding["title"] for rule, finding in findings.items()} == ({"blocked-on-device": said} if said else {})


@pytest.mark.parametrize(
    ("changes", "queued"),
    [
        ({}, True),
        ({"sampled_us": 19.9e6}, False),  # at times nobody waited
        ({"sampled_tasks": 1}, False),  # one program that writes through to the device
        ({"total_us": 1.1e7, "tasks": 1}, True),  # also where one alone waits long
    ],
)
def test_tasks_that_queue_for_a_device_are_reported(found, properties, changes, queued):
    short = {"sampled_us": 2.8e7, "total_us": 0.0, "count": 0, "tasks": 0, "sampled_tasks": 4}
    findings = found(devices=[{**properties["devices"]["examples"][0][0], **short, **changes}])
    assert ("blocked-device-queue" in findings) == queued
    if queued:
        finding = findings["blocked-device-queue"]
        assert finding["severity"] == "info" and "for the block device vda: on average 1.4 of them at any time" in finding["title"]


def test_a_queue_stands_beneath_the_long_waits_for_its_device(found, properties):
    findings = found(devices=[{**properties["devices"]["examples"][0][0], "sampled_us": 2.8e7}])
    assert set(findings) == {"blocked-on-device", "blocked-device-queue"}
    (rule,) = [rule for rule in load().rules if rule.id == "blocked-device-queue"]
    assert rule.part_of == {"blocked-on-device": ["waits_for"]}


def test_what_a_device_keeps_stands_beneath_it(found, properties):
    device = properties["devices"]["examples"][0][0]
    findings = found(devices=[device], reason={"behind": device["device"]})
    assert set(findings) == {"blocked-on-device", "blocked-on-holder"}
    assert {finding["evidence"]["waits_for"] for finding in findings.values()} == {"vda"}
    (rule,) = [rule for rule in load().rules if rule.id == "blocked-on-holder"]
    assert rule.part_of == {"blocked-on-device": ["waits_for"]}
