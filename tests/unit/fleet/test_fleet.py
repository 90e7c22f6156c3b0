# SPDX-License-Identifier: GPL-3.0-or-later
"""From a results folder to the fleet document."""

import collections
import json
import os
import random

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.plugins.plugin_utils.sections.runlatency import percentiles, upper_bound
from ansible_collections.ksysak.fleet.tests import fleet_data as data


def made(folder):
    fleet = build(folder, load_policy())
    validate(fleet)
    return fleet


def fleet_of(tmp_path, *kinds, **changes):
    return made(data.write(tmp_path, [data.host(f"web{place}", kind) for place, kind in enumerate(kinds)], **changes))


def host_of(fleet, name):
    (entry,) = [entry for entry in fleet["hosts"] if entry["host"] == name]
    return entry


def test_all_clear_only_when_everything_was_looked_at(tmp_path):
    fleet = fleet_of(tmp_path, "healthy", "healthy")
    assert fleet["verdict"] == {
        "level": "clear",
        "sentence": "All clear: nothing was found on 2 of 2 hosts in a window of 20 s.",
        "notes": [],
        "not_judged": [],
    }
    assert fleet["findings"] == []


@pytest.mark.parametrize("kind", ["unreachable", "failed", "lost"])
def test_a_host_that_was_not_looked_at_is_never_fine(tmp_path, kind):
    fleet = fleet_of(tmp_path, "healthy", kind)
    assert fleet["verdict"]["level"] == "incomplete"
    assert "Incomplete: no findings on 1 of 2 hosts, but 1 of 2 hosts could not be measured" in fleet["verdict"]["sentence"]
    assert host_of(fleet, "web1")["state"] == kind
    assert host_of(fleet, "web1")["reason"]


def test_a_host_without_a_result_is_missing(tmp_path):
    fleet = made(data.write(tmp_path, [data.host("web1")], meant=["web1", "gone"]))
    assert host_of(fleet, "gone")["state"] == "missing"
    assert "no result was collected" in host_of(fleet, "gone")["reason"]
    assert fleet["verdict"]["level"] == "incomplete"


def test_probes_that_did_not_measure_prevent_an_all_clear(tmp_path):
    fleet = fleet_of(tmp_path, "healthy", "degraded")
    assert fleet["verdict"]["level"] == "incomplete"
    assert host_of(fleet, "web1")["coverage"] == "partial"
    assert host_of(fleet, "web1")["not_measured"] == ["memleak"]


def test_a_host_on_which_no_probe_worked_was_not_looked_at(tmp_path):
    not_measured = data.host("web0")
    not_measured["probes"] = {"memleak": data.envelope("memleak", {}, "failed", "no bcc")}
    fleet = made(data.write(tmp_path, [not_measured]))
    assert fleet["verdict"]["level"] == "unknown"
    assert fleet["counts"]["hosts"]["coverage_none"] == 1


def test_when_all_hosts_failed_nothing_can_be_said(tmp_path):
    fleet = fleet_of(tmp_path, "failed", "unreachable")
    assert fleet["verdict"]["level"] == "unknown"
    assert "none of 2 hosts could be measured" in fleet["verdict"]["sentence"]


def test_a_scan_without_hosts_says_so(tmp_path):
    assert "there is no host" in made(data.write(tmp_path, []))["verdict"]["sentence"]


def test_the_worst_is_named_with_its_place(tmp_path):
    verdict = fleet_of(tmp_path, "healthy", "oopsing", "leaking", "lost")["verdict"]
    assert verdict["level"] == "critical"
    assert verdict["sentence"].startswith('2 of 4 hosts need attention; 1 of 4 hosts could not be measured. Worst: "BUG: ')
    assert verdict["sentence"].endswith('", on web1.')


def test_an_interrupted_scan_is_noted(tmp_path):
    fleet = fleet_of(tmp_path, "healthy", ended_at=None)
    assert any("interrupted" in note for note in fleet["verdict"]["notes"])


def test_findings_are_grouped_over_hosts(tmp_path):
    fleet = fleet_of(tmp_path, "leaking", "healthy", "leaking")
    leak = next(group for group in fleet["findings"] if group["rule"] == "memleak-suspected")
    assert (leak["host_count"], leak["finding_count"]) == (2, 2)
    assert [host["host"] for host in leak["hosts"]] == ["web0", "web2"]
    (entry,) = [entry for entry in fleet["leaks"]["outstanding"] if entry["finding"]]
    assert (entry["culprit"], entry["finding"], entry["host_count"]) == ("acme_rx_refill", leak["id"], 2)
    assert entry["growth_bytes_per_s"] == 2 * data.LEAK["growth_bytes_per_s"]


def test_what_only_concerns_the_measurement_comes_last_of_its_severity(tmp_path):
    lossy = data.host("web1", "noisy")
    lossy["probes"]["interference"]["cost"]["lost_events"] = 3
    folder = data.write(tmp_path, [lossy, *(data.host(f"web{place}", "degraded") for place in range(2, 9))])
    overrides = {"probe-status": {"severity": "warning"}}
    warnings = [group["category"] for group in build(folder, load_policy(["default", "compliance"], overrides))["findings"]
                if group["severity"] == "warning"]  # fmt: skip
    assert "config" in warnings and "interference" in warnings
    assert warnings == sorted(warnings, key="config".__eq__)


def test_exceptions_are_grouped_and_linked(tmp_path):
    fleet = fleet_of(tmp_path, "oopsing", "oopsing")
    oops, oom = sorted(fleet["exceptions"]["events"], key=lambda event: event["kind"], reverse=True)
    assert (oops["kind"], oom["kind"]) == ("oops_page_fault", "oom")
    assert (oops["host_count"], oops["count"], oops["in_window"], oops["excerpt"]) == (2, 2, True, data.OOPS)
    assert (oom["count"], oom["severity"]) == (6, "error")
    assert {oops["finding"], oom["finding"]} == {group["id"] for group in fleet["findings"]}
    assert fleet["exceptions"]["kinds"] == {"oom": 6, "oops_page_fault": 2}


def test_vectors_are_added_up_and_the_worst_share_is_kept(tmp_path):
    fleet = fleet_of(tmp_path, "healthy", "noisy")
    loud, *_rest = fleet["interference"]["vectors"]
    assert (loud["name"], loud["hosts"], loud["worst_host"], loud["worst_cpu"]) == ("eth0-TxRx-3", 1, "web1", 1)
    assert loud["worst_share"] == pytest.approx(9100000 / 20e6)
    timer = next(vector for vector in fleet["interference"]["vectors"] if vector["name"] == "LOC")
    assert (timer["hosts"], timer["count"], timer["mean_us"]) == (2, 2 * 9800, pytest.approx(39100 / 9800))
    assert fleet["interference"]["cpus"][0]["host"] == "web1"


def test_timers_are_added_up_by_function_and_cpus_are_ranked_by_all_that_was_taken(tmp_path):
    storm = data.timer("hrtimer_wakeup.isra.0", 900.0, 5e4, (77, "spinner", 9), (5, "other", 1))
    quiet, loud = data.host("web0"), data.host("web1")
    loud["probes"]["interference"]["data"] = data.interference(timers=[storm], threads=[(14, "ksoftirqd/0", 0.4)], steal=0.3)
    counted = data.host("web2")
    counted["probes"]["interference"]["data"].update(cpus=[], timers=[])
    found = build(data.write(tmp_path, [quiet, loud, counted]), load_policy())["interference"]
    timer = next(row for row in found["timers"] if row["function"] == "hrtimer_wakeup")
    assert (timer["hosts"], timer["count"], timer["total_us"]) == (2, 18000 + 2 * 1800, 5e4 + 2 * 900.0)
    assert (timer["worst_host"], timer["worst_rate_per_s"], timer["started_by"]["comm"]) == ("web1", 900.0, "spinner")
    assert found["threads"][0] == {"host": "web1", "pid": 14, "comm": "ksoftirqd/0", "cpu_us": 8e6, "share": 0.4}
    assert (found["cpus"][0]["host"], found["cpus"][0]["cpu"], found["cpus"][0]["steal"]) == ("web1", 0, 0.3)
    assert {(row["cpu"], row["share"], row["steal"]) for row in found["cpus"] if row["host"] == "web2"} == {(0, None, 0.0), (1, None, 0.0)}


def test_histograms_merge_exactly(tmp_path):
    """The fleet's percentiles are those of all the waits thrown together."""
    rng = random.Random(7)
    documents, everything = [], []
    for number in range(5):
        waits = [rng.lognormvariate(2 + number, 1.5) for _wait in range(2000)]
        everything += waits
        document = data.host(f"web{number}")
        bins = collections.Counter(str(0 if wait < 1 else 1 << (int(wait).bit_length() - 1)) for wait in waits)
        measured = data.runlatency()
        measured.update(histograms={"wakeup": dict(bins)}, count=len(waits), max_us=max(waits))
        document["probes"]["runlatency"]["data"] = measured
        documents.append(document)
    jitter = made(data.write(tmp_path, documents))["jitter"]
    assert sum(jitter["histograms"]["wakeup"].values()) == jitter["count"] == len(everything)
    everything.sort()
    for name, share in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p999", 0.999)):
        exact = everything[int(share * len(everything)) - 1]
        assert exact <= jitter["percentiles_us"][name] <= min(2 * exact, jitter["max_us"])
    assert jitter["max_us"] == everything[-1]


def test_waits_of_the_fleet_name_the_worst_blocker_only(tmp_path):
    document = data.host("web1", "noisy")
    event = document["probes"]["runlatency"]["data"]["events"][0]
    worst = {name: event["longest_runner"][name] for name in ("pid", "comm", "ran_us")}
    event["blockers"] = [event["longest_runner"], {"pid": 14, "comm": "ksoftirqd/0", "ran_us": 21.0}]
    event.update(from_cpu=0, policy="normal", throttled={"cgroup": "/a", "times": 1, "total_us": 9})
    shown = made(data.write(tmp_path, [document]))["jitter"]["events"][0]
    assert shown["longest_runner"] == worst
    own = {"policy", "cgroup", "from_cpu", "longest_slice"}  # of the host's document alone
    assert set(shown) == (set(data.wait(1.0)) | {"host"}) - own
    assert shown["commands"] == [{"comm": worst["comm"], "ran_us": worst["ran_us"]}]


def test_percentiles_of_nothing_and_of_one():
    assert percentiles({}, 0.0) == {}
    assert percentiles({0: 1}, 0.4) == {"p50": 0.4, "p90": 0.4, "p99": 0.4, "p999": 0.4}
    assert [upper_bound(lower) for lower in (0, 1, 8)] == [1, 2, 16]


def test_the_longest_waits_of_the_fleet_come_first(tmp_path):
    documents = []
    for number in range(4):
        document = data.host(f"web{number}")
        document["probes"]["runlatency"]["data"] = data.runlatency(*(data.wait(1000.0 * number + place) for place in range(30)))
        documents.append(document)
    events = made(data.write(tmp_path, documents))["jitter"]["events"]
    assert [event["delay_us"] for event in events] == sorted((1000.0 * n + p for n in range(4) for p in range(30)), reverse=True)[:50]
    assert events[0]["host"] == "web3"


def test_the_longest_stalls_of_the_fleet_come_first_and_pauses_last(tmp_path):
    documents = []
    for number in range(3):
        document = data.host(f"web{number}")
        if number:
            found = [data.stall("irqoff", 3000.0 * number + place) for place in range(20)]
            found += [data.stall("cpu_not_running", 90000.0 + number)] * 20
            found += [data.stall("syscall", 200000.0 + number, syscall_nr=19)] * 4
            document["probes"]["runlatency"]["data"].update(data.stalled(*found))
        else:
            for field in data.stalled():
                del document["probes"]["runlatency"]["data"][field]
        documents.append(document)
    jitter = made(data.write(tmp_path, documents))["jitter"]
    assert jitter["stall_counts"] == {"hosts": 2, "irqoff": 40, "nosched": 0, "cpu_not_running": 40, "syscall": 8}
    kernel = sorted((3000.0 * number + place for number in (1, 2) for place in range(20)), reverse=True)
    assert [stall["delay_us"] for stall in jitter["stalls"]] == kernel + [200002.0] * 4 + [200001.0] * 4 + [90002.0] * 2
    assert jitter["stalls"][0] == {"host": "web2", **data.stall("irqoff", 6019.0)}


def test_the_cost_is_added_up(tmp_path):
    documents = [data.host("web1"), data.host("web2")]
    documents[1]["probes"]["memleak"]["cost"].update(cpu_s=9.5, lost_events=12)
    (memleak,) = [probe for probe in made(data.write(tmp_path, documents))["measurement"]["probes"] if probe["probe"] == "memleak"]
    assert (memleak["cpu_s_total"], memleak["cpu_s_worst_host"]) == (9.91, "web2")
    assert (memleak["lost_events"], memleak["lost_events_hosts"], memleak["engines"]) == (12, 1, {"bcc": 2})


def broken_files():
    whole = json.dumps(data.host("web1"))
    nested = "[" * 200000
    return {
        "empty": ("", "is empty"),
        "blank": (" \n", "is empty"),
        "cut": (whole[: len(whole) // 2], "is not JSON"),
        "edited": (whole.replace('"scanned"', '"fine"'), "does not fit its schema: state"),
        "newer": (whole.replace("ksysak.host/1", "ksysak.host/2"), "newer release"),
        "newer probe": (whole.replace("ksysak.memleak/1", "ksysak.memleak/7"), "newer release"),
        "no object": ("[1, 2]", "a JSON object is expected"),
        "deep": (nested, "is not JSON"),
        "binary": (b"\xff\xfe\x00", "is not UTF-8"),
        "not a number": (whole.replace("0.41", "NaN"), "NaN is no JSON number"),
        "infinite": (whole.replace("0.41", "1e999"), "too large"),
        "huge integer": (whole.replace("71303168", "9" * 6000), "too large"),
        "too large": (whole + " " * load.FILE_BYTES, "is larger than"),
        "another host": (json.dumps(data.host("web2")), "is of host 'web2', whose file is web2.json"),
        "another scan": (json.dumps(data.host("web1", scan_id="other")), "belongs to another scan: other"),
        "a scan": (json.dumps(data.scan(["web1"])), "is no host document"),
    }


@pytest.mark.parametrize("name", broken_files())
def test_broken_files_are_problems_with_a_name_and_a_reason(tmp_path, name):
    content, said = broken_files()[name]
    folder = data.write(tmp_path, [data.host("web1"), data.host("web2")])
    (folder / "hosts" / "web1.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    fleet = made(folder)
    (problem,) = fleet["problems"]
    assert problem["file"] == "hosts/web1.json"
    assert problem["host"] == "web1"
    assert said in problem["reason"]
    assert host_of(fleet, "web1")["state"] == "unreadable"
    assert host_of(fleet, "web2")["coverage"] == "full"
    assert fleet["verdict"]["level"] == "incomplete"


def test_links_and_pipes_are_not_followed(tmp_path):
    folder = data.write(tmp_path, [data.host("web1"), data.host("web2"), data.host("web3")])
    outside = tmp_path / "outside.json"
    (folder / "hosts" / "web1.json").rename(outside)
    (folder / "hosts" / "web1.json").symlink_to(outside)
    (folder / "hosts" / "web2.json").unlink()
    os.mkfifo(folder / "hosts" / "web2.json")
    fleet = made(folder)
    assert [problem["reason"].split(" ", 1)[1] for problem in fleet["problems"]] == [
        "is a symbolic link, which is not followed",
        "is not a regular file",
    ]


def test_a_copy_under_another_name_is_a_problem(tmp_path):
    folder = data.write(tmp_path, [data.host("web1")])
    (folder / "hosts" / "copy.json").write_bytes((folder / "hosts" / "web1.json").read_bytes())
    fleet = made(folder)
    assert [problem["file"] for problem in fleet["problems"]] == ["hosts/copy.json"]
    assert fleet["counts"]["hosts"]["total"] == 1


@pytest.mark.parametrize("name", ["../../etc/x", "Web1", "web\x1b[31m", "host with spaces", "ünïcode", "x" * 255])
def test_hosts_with_strange_names_are_read(tmp_path, name):
    fleet = made(data.write(tmp_path, [data.host(name)]))
    assert fleet["problems"] == []
    assert fleet["counts"]["hosts"]["coverage_full"] == 1
    assert "\x1b" not in fleet["hosts"][0]["host"]


def test_without_scan_json_a_report_is_still_made_and_says_so(tmp_path):
    folder = data.write(tmp_path, [data.host("web1")])
    (folder / "scan.json").unlink()
    fleet = made(folder)
    assert fleet["problems"][0]["file"] == "scan.json"
    assert fleet["verdict"]["level"] == "incomplete"
    assert fleet["scan"]["scan_id"] == data.SCAN_ID


def test_slices_of_a_scan_are_merged_and_noted(tmp_path):
    fleet = made(data.write(tmp_path, [data.host("web1"), data.host("web2")], meant=["web1"]))
    assert fleet["counts"]["hosts"]["total"] == 2
    assert any("Not named in scan.json" in note for note in fleet["verdict"]["notes"])


def test_nothing_to_report_is_an_error_that_names_the_folder(tmp_path):
    with pytest.raises(load.ResultsError, match="none: no such folder"):
        load.find(str(tmp_path / "none"))
    with pytest.raises(load.ResultsError, match=str(tmp_path)):
        load.find(str(tmp_path))
    (tmp_path / "hosts").mkdir()
    with pytest.raises(load.ResultsError, match="there are no host files"):
        build(load.find(str(tmp_path)), load_policy())


def test_a_scan_is_found_by_name_or_as_the_latest(tmp_path):
    for name, began in (("b-old", "2026-01-01T00:00:00Z"), ("a-new", "2026-02-01T00:00:00Z")):
        folder = data.write(tmp_path / "made", [], scan_id=name, started_at=began)
        folder.rename(tmp_path / name)
    assert load.find(str(tmp_path)).name == "a-new"
    assert load.find(str(tmp_path), "b-old").name == "b-old"
    assert load.find(str(tmp_path / "b-old")).name == "b-old"
    assert load.find(str(tmp_path / "b-old"), "b-old").name == "b-old"
    with pytest.raises(load.ResultsError, match="no scan 'c'"):
        load.find(str(tmp_path), "c")
    with pytest.raises(load.ResultsError):
        load.find(str(tmp_path / "a-new"), "../b-old")


def test_the_fleet_document_is_the_same_every_time(tmp_path):
    folder = data.write(tmp_path, data.fleet(40, 0.5))
    first, second = made(folder), made(folder)
    first.pop("generated_at"), second.pop("generated_at")
    assert json.dumps(first) == json.dumps(second)
