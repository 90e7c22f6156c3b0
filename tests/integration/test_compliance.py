# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook for schedules, run for real: it fails for findings without a waiver, and for nothing else."""

import datetime
import json
from xml.etree import ElementTree

import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate

pytestmark = pytest.mark.usefixtures("root")

DAY = datetime.timedelta(days=1)
FAILED = 2  # what ansible-playbook ends with when a task failed
STRICT = {"ksysak_policies": ["default", "compliance"], "ksysak_fail_on": "incomplete"}
UNKNOWN_KERNEL = {
    "id": "kernel-known",
    "category": "config",
    "severity": "error",
    "title": "Kernel {{ evidence.kernel }} is not on the list",
    "evidence": "system | [@][?!contains($known, kernel)].{kernel: kernel}",
    "signature": "kernel",
    "remedy": "Install one that is.",
    "parameters": {"known": {"value": [], "unit": "", "description": "Releases that are fine"}},
}


def waiver(days=1, **which):
    """A waiver that holds for so many days; fewer than 0: that has expired."""
    until = datetime.date.today() + days * DAY
    return {**which, "owner": "the tests", "reason": "this machine is as it is", "expires": until.isoformat()}


@pytest.fixture(scope="module")
def inventory(tmp_path_factory):
    """An inventory file of this machine alone, under the name target."""
    path = tmp_path_factory.mktemp("inventory") / "inventory.yml"
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    path.write_text(yaml.safe_dump({"all": {"hosts": {"target": local}}}))
    return path


@pytest.fixture(scope="module")
def comply(ansible, inventory, tmp_path_factory):
    """Return a function that runs the playbook with one more policy, and returns (what it did, folder of the scan, the policy's path).

    Whatever else may be wrong with the machine is waived; days: for how long the kernel is.
    """

    def run(days):
        place = tmp_path_factory.mktemp("comply")
        waivers = [waiver(days, rule="kernel-known"), waiver(rule="kernel-tainted"), waiver(signature="[!k]*", hosts=["targ*"])]
        policy = place / "own.yml"
        policy.write_text(yaml.safe_dump({"schema": "ksysak.policy/1", "rules": [UNKNOWN_KERNEL], "waivers": waivers}))
        options = {
            "ksysak_policies": [*STRICT["ksysak_policies"], str(policy)],
            "ksysak_results": str(place),
            "ksysak_scan_id": "strict",
            "ksysak_probes": ["os_exceptions"],
            "ksysak_duration": 1,
        }
        return ansible.playbook("ksysak.fleet.compliance", "-i", inventory, "-e", json.dumps(options)), place / "strict", policy

    return run


@pytest.fixture(scope="module")
def refused(comply):
    return comply(days=-1)


def fleet_of(folder):
    fleet = json.loads((folder / "fleet.json").read_text())
    validate(fleet)
    return fleet


def test_what_nobody_answers_for_any_more_fails_the_playbook(refused):
    done, folder, _policy = refused
    assert done.returncode == FAILED, done.stdout + done.stderr
    fleet = fleet_of(folder)
    (finding,) = fleet["findings"]
    assert finding["rule"] == "kernel-known"
    assert finding["title"] in done.stdout
    assert [expired["rule"] for expired in fleet["compliance"]["expired"]] == ["kernel-known"]
    assert "Expired, and without effect: 1 waiver." in done.stdout
    junit = ElementTree.parse(folder / "junit.xml")
    assert [case.find("failure").get("message") for case in junit.iter("testcase") if case.find("failure") is not None] == [
        finding["title"]
    ]
    assert {path.name for path in folder.iterdir()} >= {"report.html", "fleet.json", "junit.xml", "findings.sarif", "findings.csv"}


def test_a_waiver_that_holds_lets_it_pass_and_is_told(comply):
    done, folder, policy = comply(days=0)
    assert done.returncode == 0, done.stdout + done.stderr
    fleet = fleet_of(folder)
    assert (fleet["findings"], fleet["verdict"]["level"]) == ([], "clear")
    (waived,) = [entry for entry in fleet["compliance"]["waived"] if entry["rule"] == "kernel-known"]
    assert (waived["owner"], waived["hosts"]) == ("the tests", ["target"])
    assert waived["place"].startswith(policy.name)
    assert "Waived, not counted" in done.stdout
    assert ElementTree.parse(folder / "junit.xml").find(".//skipped") is not None
    results = json.loads((folder / "findings.sarif").read_text())["runs"][0]["results"]
    assert results and all(result["suppressions"] for result in results)


def test_it_compares_with_the_last_complete_scan(ansible, inventory, tmp_path):
    options = {"ksysak_results": str(tmp_path), "ksysak_probes": ["host_health"], "ksysak_duration": 1}
    for name in ("first", "second"):
        done = ansible.playbook("ksysak.fleet.compliance", "-i", inventory, "-e", json.dumps({**options, "ksysak_scan_id": name}))
        assert "PLAY RECAP" in done.stdout, done.stdout
    first, second = fleet_of(tmp_path / "first"), fleet_of(tmp_path / "second")
    assert (first["drift"], second["drift"]["baseline"]["scan_id"]) == (None, "first")
    assert "There is no earlier scan to compare with yet." in first["verdict"]["notes"]


@pytest.mark.parametrize(
    "override",
    [{"enabled": False}, {"hosts": {"targ*": {"known": ["{kernel}"]}}}, {"severity": "info"}],
    ids=["off", "for this host", "milder"],
)
def test_an_override_needs_no_new_scan(refused, ansible, override):
    _done, folder, policy = refused
    kernel = json.loads((folder / "hosts/target.json").read_text())["system"]["kernel"]
    options = {
        **STRICT,
        "ksysak_policies": [*STRICT["ksysak_policies"], str(policy)],
        "ksysak_policy_overrides": {"kernel-known": json.loads(json.dumps(override).replace("{kernel}", kernel))},
        "ksysak_results": str(folder),
        "ksysak_report": str(folder.parent / "again.html"),
    }
    done = ansible.playbook("ksysak.fleet.report", "-e", json.dumps(options))
    # What an override hides was not evaluated: no finding, and no all-clear either.
    assert done.returncode == FAILED, done.stdout + done.stderr
    fleet = json.loads((folder.parent / "fleet.json").read_text())
    assert fleet["verdict"]["level"] == "incomplete"
    assert "kernel-known" in done.stdout
    done = ansible.playbook("ksysak.fleet.report", "-e", json.dumps({**options, "ksysak_fail_on": "warning"}))
    assert done.returncode == 0, done.stdout + done.stderr
