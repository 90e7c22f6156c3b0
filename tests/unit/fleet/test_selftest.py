# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says of the self-tests in its results folder."""

import json

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy import policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import digest
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.names import host_file_name
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests import fleet_data

KERNEL = "6.1.0-28-amd64"  # that of fleet_data's hosts


def case(name, verdict="passed", **changes):
    reason = "" if verdict == "passed" else f"{name} is {verdict}"
    made = {"case": name, "probe": "memleak", "title": f"leak of {name}", "verdict": verdict, "reason": reason, "engine": "bcc"}
    return {**made, "least": 10, "most": 20, "measured": 15, "unit": "bytes", **changes}


def selftest(root, scan_id, *cases, host="prover", kernel=KERNEL, tested_at="2026-11-23T03:00:00Z", **changes):
    """Write a self-test document below root, and return its path."""
    document = {
        "schema": "ksysak.selftest/1",
        "host": host,
        "scan_id": scan_id,
        "collection_version": "1.0.0",
        "tested_at": tested_at,
        "kernel": kernel,
        "distribution": "Debian 12",
        "reason": "",
        "cases": list(cases),
        "probes": {"memleak": "passed"},
        "left": [],
        **changes,
    }
    path = root / scan_id / "selftest" / host_file_name(host)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.fixture
def made(tmp_path):
    """Make the fleet document of a scan of two hosts below tmp_path."""

    def make():
        if not (tmp_path / fleet_data.SCAN_ID).exists():
            other = fleet_data.host("web2")
            other["system"]["kernel"] = "5.10.0-1-amd64"
            fleet_data.write(tmp_path, [fleet_data.host("web1"), other])
        document = build.build(tmp_path / fleet_data.SCAN_ID, policy.load([], {}), known_bugs=known_bugs.load([]))
        validate(document)
        return document

    return make


def test_a_fleet_without_a_self_test_says_so(made):
    fleet = made()
    said = fleet["selftest"]["sentence"]
    assert said.startswith("The probes were not validated on the kernels of this scan")
    assert fleet["selftest"]["not_run"] == [{"kernel": "5.10.0-1-amd64", "hosts": 1}, {"kernel": KERNEL, "hosts": 1}]
    assert f"Self-test: {said}" in digest.digest(fleet)


def test_the_newest_verdict_of_each_kernel_and_case_counts(tmp_path, made):
    selftest(tmp_path, "old", case("slab", "failed"), case("page"), tested_at="2026-01-01T00:00:00Z")
    selftest(tmp_path, "new", case("slab"), case("vmalloc", "not_run"))
    selftest(tmp_path, "elsewhere", case("slab"), kernel="7.0.0")
    section = made()["selftest"]
    assert [(row["kernel"], row["case"], row["verdict"], row["tested_at"][:4]) for row in section["rows"]] == [
        (KERNEL, "page", "passed", "2026"),
        (KERNEL, "slab", "passed", "2026"),
        ("7.0.0", "slab", "passed", "2026"),
    ]
    assert section["sentence"] == f"Validated on {KERNEL} on 2026-11-23. Not validated: 1 other kernel."


def test_what_is_not_proven_is_in_the_sentence(tmp_path, made):
    selftest(tmp_path, "new", case("slab"), case("irqoff", "failed"))
    assert "on 2026-11-23; 1 case not passed." in made()["selftest"]["sentence"]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("prover.json", "{", "is not JSON"),
        ("prover.json", '{"schema": "ksysak.selftest/2"}', "newer release"),
        ("other.json", None, "is of host 'prover'"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_problem(tmp_path, made, name, text, said):
    path = selftest(tmp_path, "new", case("slab"))
    text = path.read_text() if text is None else text
    path.unlink()
    path.with_name(name).write_text(text)
    fleet = made()
    assert fleet["selftest"]["rows"] == []
    assert [problem["file"] for problem in fleet["problems"] if said in problem["reason"]] == [f"new/selftest/{name}"]
