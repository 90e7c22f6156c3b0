# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that share a scan: the merged document is that of one job, and a slice that never came is named."""

import json
import shutil

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.documents import scan_document
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.folder import ResultsError, ScanFolder
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.options import OptionsError, check_slice, check_start
from ansible_collections.ksysak.fleet.tests import fleet_data as data

NOW = 1_800_000_000.0


def sliced(whole, root, slices, of=None, **changes):
    """Write a scan again as slices do. whole: its folder; slices: how many of them came."""
    folder = root / whole.name
    shutil.copytree(whole / "hosts", folder / "hosts")
    scan = json.loads((whole / "scan.json").read_text())
    (folder / "slices").mkdir()
    for number in range(1, slices + 1):
        part = {**scan, "hosts": scan["hosts"][number - 1 :: of or slices], "slice": {"name": str(number), "of": of or slices}}
        (folder / "slices" / f"{number}.json").write_text(json.dumps({**part, **changes.get(f"slice{number}", {})}))
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return data.write(tmp_path_factory.mktemp("whole"), data.fleet(40, 0.3))


def test_merged_slices_are_the_scan_of_one_job(whole, tmp_path):
    expected, merged = (build(folder, load_policy()) for folder in (whole, sliced(whole, tmp_path, 7)))
    expected["generated_at"] = merged["generated_at"]
    assert json.dumps(merged) == json.dumps(expected)


def test_a_slice_that_never_came_is_named(whole, tmp_path):
    fleet = build(sliced(whole, tmp_path, 3, of=5), load_policy())
    assert "2 of 5 slices of this scan never came: 4, 5; their hosts are not known" in [problem["reason"] for problem in fleet["problems"]]
    assert fleet["verdict"]["level"] != "clear"


def test_a_healthy_scan_without_one_slice_is_incomplete(tmp_path):
    healthy = data.write(tmp_path / "whole", [data.host(f"web{number}") for number in range(4)])
    fleet = build(sliced(healthy, tmp_path / "cut", 1, of=2), load_policy())
    assert fleet["verdict"]["level"] == "incomplete"


def test_a_slice_with_other_options_and_one_of_another_scan(whole, tmp_path):
    options = {"duration_s": 5, "probes": ["memleak"]}
    folder = sliced(whole, tmp_path, 3, slice2={"options": options}, slice3={"scan_id": "other"})
    reasons = [problem["reason"] for problem in load.read_scan(folder)[1]]
    assert reasons == [
        "slices/2.json has other options than 1; its hosts are in the report",
        "slices/3.json belongs to another scan: other",
        "1 of 3 slices of this scan never came: 3; their hosts are not known",
    ]


def test_times_of_the_merged_scan(whole, tmp_path):
    first, last = "2026-11-23T03:00:00Z", "2026-11-23T04:00:00Z"
    folder = sliced(whole, tmp_path, 2, slice1={"started_at": first}, slice2={"ended_at": last})
    scan = load.read_scan(folder)[0]
    assert (scan["started_at"], scan["ended_at"]) == (first, last)
    folder = sliced(whole, tmp_path / "running", 2, slice1={"ended_at": None})
    assert load.read_scan(folder)[0]["ended_at"] is None


def test_slices_are_found_like_any_scan(whole, tmp_path):
    folder = sliced(whole, tmp_path, 2)
    assert load.find(str(tmp_path)) == folder
    (folder / "slices" / "1.json").write_text("{")
    assert load.read_scan(folder)[1][0]["reason"].startswith("slices/1.json is not JSON")


def test_the_last_complete_scan_is_the_baseline(whole, tmp_path):
    def scan(name, began, ended="2026-11-23T23:00:00Z", slices=0):
        folder = data.write(tmp_path / name, [data.host("web1", scan_id=name)], scan_id=name, started_at=began, ended_at=ended)
        folder = folder.rename(tmp_path / "all" / name)
        (tmp_path / name).rmdir()
        return folder if not slices else sliced(folder, tmp_path / "cut", slices, of=2).rename(tmp_path / "all" / f"{name}-cut")

    (tmp_path / "all").mkdir()
    (tmp_path / "cut").mkdir()
    now = scan("now", "2026-11-23T10:00:00Z")
    assert load.find_baseline(load.LAST, now) is None
    whole_one = scan("whole", "2026-11-23T03:00:00Z")
    scan("later", "2026-11-23T11:00:00Z")
    interrupted = scan("interrupted", "2026-11-23T09:00:00Z", ended=None)
    assert load.find_baseline(load.LAST, now) == whole_one
    assert load.find_baseline(str(tmp_path / "all"), now) == interrupted
    (interrupted / "scan.json").write_text("{")
    assert load.find_baseline(load.LAST, now) == whole_one
    half = scan("half", "2026-11-23T08:00:00Z", slices=1)
    shutil.rmtree(tmp_path / "all" / "half")
    assert load.find_baseline(load.LAST, now) == whole_one
    (half / "slices" / "2.json").write_text((half / "slices" / "1.json").read_text().replace('"name": "1"', '"name": "2"'))
    assert load.find_baseline(load.LAST, now) == half


def test_each_slice_writes_its_own_file(tmp_path):
    for number in ("1", "2"):
        folder = ScanFolder(str(tmp_path), "night", number)
        folder.begin(scan_document("night", {"duration_s": 1, "probes": ["memleak"]}, [f"web{number}"], {}, {"name": number, "of": 2}))
        folder.end("2026-11-23T03:08:00Z")
    assert sorted(path.name for path in (tmp_path / "night" / "slices").iterdir()) == ["1.json", "2.json"]
    assert not (tmp_path / "night" / "scan.json").exists()
    with pytest.raises(ResultsError, match="^ksysak_slice: there is a slice '2' of 'night' in "):
        ScanFolder(str(tmp_path), "night", "2").check_new()
    with pytest.raises(ResultsError, match="^ksysak_scan_id: there is a scan 'night' in "):
        ScanFolder(str(tmp_path), "night").check_new()
    ScanFolder(str(tmp_path), "night").check_there()


@pytest.mark.parametrize(
    ("name", "count", "job", "part"),
    [
        ("", "", "", None), ("", "", "77", None), ("", 0, "77", None), ("3", "5", "77", {"name": "3", "of": 5}),
        (3, 5, "", {"name": "3", "of": 5}), ("", 5, "77", {"name": "77", "of": 5}), ("east", "", "", {"name": "east", "of": None}),
    ],
)  # fmt: skip
def test_names_of_slices(name, count, job, part):
    assert check_slice(name, count, job) == part


@pytest.mark.parametrize(("name", "count"), [("", 5), ("../x", 5), ("1", "many"), ("1", -1), ("x" * 33, "")])
def test_slices_that_make_no_sense(name, count):
    with pytest.raises(OptionsError, match=r"^ksysak_slices?: "):
        check_slice(name, count, "")


@pytest.mark.parametrize(
    ("start_at", "wait_s"), [("", 0), (None, 0), (NOW - 5, 0), (str(int(NOW) + 60), 60), ("2027-01-15T08:01:00Z", 60), (NOW + 1.5, 1.5)]
)
def test_the_common_start(start_at, wait_s):
    assert check_start(start_at, NOW) == wait_s


@pytest.mark.parametrize("start_at", ["soon", "2027-01-15", NOW + 86401, [1], {}])
def test_starts_that_make_no_sense(start_at):
    with pytest.raises(OptionsError, match="^ksysak_start_at: "):
        check_start(start_at, NOW)
