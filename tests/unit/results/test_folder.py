# SPDX-License-Identifier: GPL-3.0-or-later
import json

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.results import folder as module
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.folder import ResultsError, ScanFolder, write_json


def host(name, state="scanned"):
    return {"host": name, "state": state}


@pytest.fixture
def scan(tmp_path):
    scan = ScanFolder(str(tmp_path / "new" / "results"), "night")
    scan.begin({"ended_at": None})
    return scan


def test_a_scan_begins_and_ends(scan):
    assert json.loads(scan.scan_file.read_text()) == {"ended_at": None}
    scan.end("2026-11-23T03:08:00Z")
    assert json.loads(scan.scan_file.read_text()) == {"ended_at": "2026-11-23T03:08:00Z"}


def test_hosts_are_counted_also_those_that_cannot_be_read(scan):
    for document in (host("a"), host("../b"), host("c", "lost")):
        scan.write_host(document)
    scan.host_file("d").write_text('{"state": "sca')
    scan.host_file("e").write_text("[]")
    (scan.hosts / ".x.json").write_text("{}")
    assert scan.states() == {"scanned": 2, "lost": 1, "unreadable": 2}
    known = {scan.host_file("a"): "scanned"}
    scan.host_file("a").write_text("")  # is known, so not read again
    assert sorted(scan.states_by_file(known).values()) == ["lost", "scanned", "scanned", "unreadable", "unreadable"]


def test_hosts_stay_inside_their_folder(scan):
    path = scan.write_host(host("../../../x"))
    assert path.parent == scan.hosts


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        write_json(path, {"a": float("nan")})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(OSError):
        write_json(path, {"a": 2})
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.json"]
    assert json.loads(path.read_text()) == {"a": 1}


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_a_folder_that_cannot_be_written_is_named(tmp_path, below):
    file = tmp_path / "file"
    file.touch()
    results = file / below
    scan = ScanFolder(str(results), "night")
    for attempt in (scan.check_new, lambda: scan.begin({}), lambda: scan.write_host(host("a"))):
        with pytest.raises(ResultsError) as error:
            attempt()
        assert "ksysak_results" in str(error.value)
        assert str(results) in str(error.value)


def test_a_check_changes_nothing(tmp_path):
    ScanFolder(str(tmp_path / "results"), "night").check_new()
    assert not list(tmp_path.iterdir())


def test_a_scan_is_not_overwritten(scan):
    with pytest.raises(ResultsError, match="ksysak_scan_id: there is a scan 'night'"):
        ScanFolder(str(scan.root), "night").begin({})


def test_a_scan_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ResultsError, match="ksysak_scan_id: there is no scan 'night'"):
        ScanFolder(str(tmp_path), "night").check_there()


@pytest.mark.parametrize("scan_id", ["", "..", "a/b", "-x", "a\nb", "x" * 65, "é"])
def test_a_scan_id_that_is_no_file_name_is_refused(tmp_path, scan_id):
    with pytest.raises(ResultsError, match="ksysak_scan_id"):
        ScanFolder(str(tmp_path), scan_id)


def test_a_scan_file_that_was_spoilt_is_named(scan):
    scan.scan_file.write_text("[1]")
    with pytest.raises(ResultsError, match="scan.json is not a scan document"):
        scan.end("2026-11-23T03:08:00Z")


def test_results_go_to_the_artifacts_of_a_job_unless_a_folder_is_named(monkeypatch, tmp_path):
    """ansible-runner names the folder that comes back from an execution node in AWX_ISOLATED_DATA_DIR."""
    monkeypatch.setenv("PWD", str(tmp_path))
    monkeypatch.delenv("AWX_ISOLATED_DATA_DIR", raising=False)
    assert ScanFolder("", "night").root == tmp_path / "ksysak-results"
    monkeypatch.setenv("AWX_ISOLATED_DATA_DIR", str(tmp_path / "artifacts" / "7"))
    assert ScanFolder("", "night").root == tmp_path / "artifacts" / "7" / "ksysak-results"
    assert ScanFolder(str(tmp_path / "own"), "night").root == tmp_path / "own"
