# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings over the last scans, from what their reports left behind."""

import json

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.finding_history import FILE, SCANS, FindingHistory
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data

NAMES = [f"db-{place:05d}.rack07.fra2.prod.example.net" for place in range(4)]


def scanned(root, day, noisy, overrides=None):
    """Make the scan of a day and its report; noisy: places of hosts with long waits. Returns the fleet document."""
    name = f"202611{day:02d}T030800Z-a1b2c3"
    documents = [data.host(host, "noisy" if place in noisy else "healthy", scan_id=name) for place, host in enumerate(NAMES)]
    folder = data.write(root / "made", documents, scan_id=name, started_at=f"2026-11-{day:02d}T03:08:00Z")
    folder = folder.rename(root / name)
    history = FindingHistory(root, folder)
    fleet = build(folder, load_policy(overrides=overrides), earlier=history)
    validate(fleet)
    history.write(fleet)
    return fleet


def waits(fleet):
    return next(group for group in fleet["findings"] if group["rule"] == "runq-latency")


def test_each_finding_and_host_has_its_first_scan_and_a_strip(tmp_path):
    (tmp_path / "made").mkdir()
    scanned(tmp_path, 1, [])
    scanned(tmp_path, 2, [0])
    scanned(tmp_path, 3, [])
    fleet = scanned(tmp_path, 4, [0, 1])
    group = waits(fleet)
    assert group["history"] == {"first_seen": "2026-11-02T03:08:00Z", "hosts": [0, 1, 0, 2]}
    assert {member["host"]: member["first_seen"][:10] for member in group["hosts"]} == {NAMES[0]: "2026-11-02", NAMES[1]: "2026-11-04"}
    assert [scan["findings_by_severity"]["error"] for scan in fleet["trend"]["scans"]][:3:2] == [0, 0]
    assert [scan["measured"] for scan in fleet["trend"]["scans"]] == [4, 4, 4]
    assert all(scan["same_policy"] for scan in fleet["trend"]["scans"])


def test_a_rule_that_was_not_evaluated_then_is_not_absent(tmp_path):
    (tmp_path / "made").mkdir()
    scanned(tmp_path, 1, [0], {"runq-latency": {"enabled": False}})
    fleet = scanned(tmp_path, 2, [0])
    assert waits(fleet)["history"]["hosts"] == [None, 1]
    assert [scan["same_policy"] for scan in fleet["trend"]["scans"]] == [False]


def test_only_the_last_scans_are_read(tmp_path):
    (tmp_path / "made").mkdir()
    for day in range(1, SCANS + 4):
        fleet = scanned(tmp_path, day, [0])
    assert [scan["started_at"][8:10] for scan in fleet["trend"]["scans"]] == [f"{day:02d}" for day in range(3, SCANS + 3)]
    assert len(waits(fleet)["history"]["hosts"]) == SCANS + 1


def test_what_cannot_be_read_is_named(tmp_path):
    (tmp_path / "made").mkdir()
    for day, content in ((1, None), (2, "{"), (3, '{"schema": "ksysak.findings_history/9"}'), (4, "other")):
        name = scanned(tmp_path, day, [0])["scan"]["scan_id"]
        path = tmp_path / name / FILE
        if content is None:
            path.unlink()
        elif content == "other":
            path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), "scan_id": "x"}), encoding="utf-8")
        else:
            path.write_text(content, encoding="utf-8")
    fleet = scanned(tmp_path, 5, [0])
    assert fleet["trend"]["scans"] == []
    reasons = [entry["reason"] for entry in fleet["trend"]["skipped"]]
    for reason, said in zip(reasons, ("belongs to another scan", "newer release", "is not JSON", "cannot be read"), strict=True):
        assert said in reason
    assert waits(fleet)["history"] == {"first_seen": "2026-11-05T03:08:00Z", "hosts": [1]}


def test_without_a_folder_of_results_there_is_no_earlier_scan(tmp_path):
    fleet = build(data.write(tmp_path, [data.host(NAMES[0], "noisy")]), load_policy())
    assert fleet["trend"] == {"scans": [], "skipped": []}
    assert waits(fleet)["hosts"][0]["first_seen"] == data.NOW


def test_a_scan_of_another_schema_is_no_part_of_the_history(tmp_path):
    """Its folder has a file of findings that could be read; what scan it is of cannot."""
    (tmp_path / "made").mkdir()
    for day in (1, 2):
        scanned(tmp_path, day, [0])
    for path in tmp_path.glob("*/scan.json"):
        scan = json.loads(path.read_text(encoding="utf-8"))
        if scan["started_at"].startswith("2026-11-01"):
            path.write_text(json.dumps({**scan, "schema": "ksysak.scan/9"}), encoding="utf-8")
    fleet = scanned(tmp_path, 3, [0])
    assert [scan["started_at"][:10] for scan in fleet["trend"]["scans"]] == ["2026-11-02"]
    assert waits(fleet)["history"] == {"first_seen": "2026-11-02T03:08:00Z", "hosts": [1, 1]}
    (skipped,) = fleet["trend"]["skipped"]
    assert skipped["scan_id"] == "20261101T030800Z-a1b2c3"
    assert "scan.json" in skipped["reason"] and "newer release" in skipped["reason"]
