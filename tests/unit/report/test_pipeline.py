# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pipeline gets: the judgement, the exit code, annotations and the code-quality report, whatever hosts send."""

import copy
import json
import re

import fastjsonschema
import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.verdict import FAIL_ON
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import pipeline
from ansible_collections.ksysak.fleet.tests import fleet_data as data

# Of GitLab's documentation of the report format.
CODEQUALITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": "^[^./]"},
                    "lines": {"type": "object", "required": ["begin"], "properties": {"begin": {"type": "integer"}}},
                },
            },
        },
    },
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    documents = [data.host(f"web{place}", kind) for place, kind in enumerate(data.KINDS)]
    return build(data.write(tmp_path_factory.mktemp("scan"), documents), load_policy())


def test_code_quality_has_an_entry_for_each_finding_and_host(fleet):
    entries = json.loads(pipeline.codequality(fleet))
    fastjsonschema.compile(CODEQUALITY)(entries)
    assert len(entries) == sum(group["host_count"] for group in fleet["findings"]) > 3
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)


def test_annotations_are_lines_that_github_reads(fleet):
    lines = pipeline.github_lines(fleet, fleet["findings"])
    assert all(re.fullmatch(r"::(error|warning|notice) title=[^:,\r\n]+::[^\r\n]*", line) for line in lines)
    assert lines[-1].startswith("::warning title=") and "3 hosts not measured" in lines[-1]


def test_a_host_cannot_write_an_annotation_of_its_own(fleet):
    group = copy.deepcopy(fleet["findings"][0])
    group.update(title="x\n::error::y, a: 100%", remedy="a\r\n::set-output name=x::1")
    group["hosts"][0]["host"] = "web\n::stop-commands::x"
    lines = pipeline.github_lines({**fleet, "hosts": []}, [group])
    assert len(lines) == 1 and "\n" not in lines[0] and "\r" not in lines[0]
    assert lines[0].split("title=")[1].split("::")[0].count(":") == 0


def test_no_more_annotations_than_github_shows(fleet):
    lines = pipeline.github_lines({**fleet, "hosts": []}, [fleet["findings"][0]] * 40)
    assert len(lines) == pipeline.ANNOTATIONS


@pytest.mark.parametrize("fail_on", FAIL_ON)
@pytest.mark.parametrize("level", ["fatal", "critical", "error", "warning", "incomplete", "unknown", "clear"])
def test_exit_codes(level, fail_on):
    code = pipeline.exit_code(level, fail_on, enough_hosts=True)
    if fail_on == "never" or level == "clear":
        assert code == 0
    elif level in ("incomplete", "unknown"):
        assert code == (3 if level == "unknown" or fail_on == "incomplete" else 0)
    else:
        assert code in (0, 2)
    assert pipeline.exit_code(level, fail_on, enough_hosts=False) == (code or 3)


@pytest.fixture
def compared(tmp_path):
    """Return a function that makes the fleet document of hosts now, compared with hosts before."""

    def make(before, now):
        baseline, folder = data.write(tmp_path / "before", before), data.write(tmp_path / "now", now)
        return build(folder, load_policy(), baseline)

    return make


def hosts(**kinds):
    return [data.host(name, kind) for name, kind in kinds.items()]


def test_only_what_the_change_brought_is_judged(compared):
    fleet = compared(hosts(web1="oopsing", web2="healthy"), hosts(web1="oopsing", web2="oopsing"))
    level, groups = pipeline.judged(fleet, only_new=True)
    assert groups and all(group["drift"]["new"] for group in groups) and level == groups[0]["severity"]


def test_what_was_there_before_does_not_decide(compared):
    fleet = compared(hosts(web1="oopsing"), hosts(web1="oopsing"))
    assert pipeline.judged(fleet, only_new=False)[0] == "critical"
    level, groups = pipeline.judged(fleet, only_new=True)
    assert (level, groups) == ("clear" if not fleet["counts"]["hosts"]["coverage_partial"] else "incomplete", [])


def test_a_host_that_the_change_took_away_is_a_gap(compared):
    fleet = compared(hosts(web1="oopsing", web2="healthy"), hosts(web1="oopsing", web2="lost"))
    assert pipeline.judged(fleet, only_new=True) == ("incomplete", [])


def test_without_a_baseline_everything_decides(fleet):
    assert pipeline.judged(fleet, only_new=True) == pipeline.judged(fleet, only_new=False)


def test_the_outcome_of_a_large_fleet_is_small(tmp_path):
    documents = [data.host(f"web{number}", "oopsing") for number in range(150)]
    fleet = build(data.write(tmp_path, documents), load_policy())
    outcome = pipeline.outcome(fleet, "critical", {"html": tmp_path / "report.html"})
    assert len(json.dumps(outcome)) < 8000
    assert (outcome["level"], outcome["hosts"]["total"], len(outcome["worst_hosts"])) == ("critical", 150, pipeline.LISTED)
