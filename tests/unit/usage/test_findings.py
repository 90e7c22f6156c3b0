# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter findings, on all that a task may have at hand."""

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.ksysak.fleet.plugins.filter.findings import findings
from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import summary
from ansible_collections.ksysak.fleet.tests import fleet_data as data


@pytest.fixture(scope="module")
def document():
    return data.host("web1", "oopsing")


def scan_of(document):
    return {name: document[name] for name in ("collection_version", "system", "probes")}


def facts_of(document):
    return {f"ksysak_{name}": envelope for name, envelope in document["probes"].items()}


def test_what_a_task_returned_is_judged_like_the_document(document):
    expected = findings(document)
    assert expected
    scan = scan_of(document)
    for given in (scan, {"changed": False, "scan": scan, "summary": []}):
        assert findings(given, host="web1") == expected


def test_facts_are_judged_as_far_as_they_go(document):
    facts = facts_of(document)
    expected = [finding["rule"] for finding in findings(document)]
    for given in (facts, {"changed": False, "ansible_facts": facts}, {**facts, "ansible_distribution": "Debian", "other": [1]}):
        assert [finding["rule"] for finding in findings(given)] == expected
    assert {finding["host"] for finding in findings(facts, host="web7")} == {"web7"}
    one = {"ansible_facts": {"ksysak_memleak": facts["ksysak_memleak"]}}
    assert [finding["rule"] for finding in findings(one)] == []


NOTHING = [{}, {"changed": True}, {"scan": None}, {"scan": 1}, {"ansible_facts": 1}, [], "x", {"ksysak_memleak": {}}]


@pytest.mark.parametrize("given", NOTHING)
def test_what_was_not_measured_is_an_error_and_not_clear(given):
    with pytest.raises(AnsibleFilterError, match=r"ksysak\.fleet\.findings: "):
        findings(given)


def test_the_summary_has_a_line_for_each_probe(document):
    lines = summary(document["probes"])
    assert [line.split(":")[0] for line in lines] == sorted(document["probes"])
    assert lines[0].startswith("host_health: ok (") or "host_health" not in document["probes"]
    failed = {**document["probes"]["memleak"], "status": "skipped", "reason": "no root", "remedy": "Use become.", "data": {}}
    assert summary({"memleak": failed}) == ["memleak: skipped; no root - Use become."]
