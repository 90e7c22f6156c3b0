# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of kernel-report kinds, and all that follows it."""

import json
import re
import subprocess

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import patterns
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.kinds import BY_NAME, KINDS
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import SEVERITIES, load
from ansible_collections.ksysak.fleet.tests import fleet_data

NAMES = [row.kind for row in KINDS]


def test_every_rule_has_a_kind_and_every_kind_a_rule():
    assert len(set(NAMES)) == len(NAMES)
    assert {rule.kind for rule in patterns.RULES} == set(NAMES) == set(BY_NAME)


def test_the_sets_of_kinds_in_the_scanner_are_kinds():
    assert (patterns.OOPS_KINDS | patterns.STALL_KINDS) <= set(NAMES)


@pytest.mark.parametrize("row", KINDS, ids=NAMES)
def test_a_kind_is_complete(repo, row):
    policy = json.loads((repo / "plugins/plugin_utils/schema/policy-1.json").read_text(encoding="utf-8"))["definitions"]
    chinese = json.loads((repo / "roles/report/files/messages/zh.json").read_text(encoding="utf-8"))["policies"]
    assert row.severity in SEVERITIES and row.category in policy["category"]["enum"]
    assert row.title and len(row.remedy) > 40 and 0 < len(row.first_check) <= policy["first_check"]["maxLength"]
    assert re.search("[\u4e00-\u9fff]", chinese[row.remedy])
    assert row.reference is None or re.fullmatch(policy["references"]["items"]["pattern"], row.reference)


@pytest.mark.parametrize("row", KINDS, ids=NAMES)
def test_a_report_of_a_kind_is_a_finding_with_the_advice_of_its_row(row):
    details = {"took_ns": 5_000_000} if row.kind == "slow_interrupt" else {}  # a short one has a rule of its own
    event = fleet_data.exception(kind=row.kind, signature=f"{row.kind}:f", details=details)
    document = fleet_data.host("web1")
    document["system"]["virtualization"] = "none"
    document["probes"]["os_exceptions"] = fleet_data.envelope("os_exceptions", fleet_data.os_exceptions(event))
    findings, problems = load().findings(document)
    [finding] = [finding for finding in findings if finding["rule"] == "os-exception"]
    assert problems == [] and (finding["severity"], finding["category"]) == (row.severity, row.category)
    assert finding["remedy"] == f"{row.remedy} First check: {row.first_check}"
    assert finding["references"] == ([row.reference] if row.reference else [])


def test_schema_and_documentation_are_current(repo):
    """tools/kinds derives both from the table."""
    checked = subprocess.run([repo / "tools/kinds", "--check"], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_schema_knows_these_kinds_only(repo):
    schema = json.loads((repo / "plugins/plugin_utils/schema/os_exceptions-1.json").read_text(encoding="utf-8"))
    event = schema["properties"]["events"]["items"]["properties"]["kind"]
    assert event["$ref"] == schema["properties"]["kinds"]["propertyNames"]["$ref"] == "#/definitions/kernel_report_kind"
    assert schema["definitions"]["kernel_report_kind"]["enum"] == NAMES
