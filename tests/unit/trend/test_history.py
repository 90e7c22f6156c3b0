# SPDX-License-Identifier: GPL-3.0-or-later
"""Growth between the scans of a results folder: what is compared, what is left out and why, and what becomes of it."""

import json
import random

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema import validate as schema
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend import history as module, readings
from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend.history import History
from ansible_collections.ksysak.fleet.tests import fleet_data as data

DAY_S, KIB, MIB, GIB = 86400.0, 2**10, 2**20, 2**30
BOOT = "0" * 32


def host(name, night, scan_id, uptime_s=None, boot_id=BOOT, caches=None, counts=None, **bytes_):
    document = data.host(name, scan_id=scan_id)
    document["system"].update(boot_id=boot_id, uptime_s=uptime_s or 40000 + night * DAY_S)
    found = data.counters(uptime_s=document["system"]["uptime_s"], **{name: int(value) for name, value in bytes_.items()})
    found["slab_bytes"].update(caches or {})
    found["counts"].update(counts or {})
    document["probes"]["memory"] = data.envelope("memory", data.memory(counters=found))
    return document


def night(results, number, hosts, started_at=None, reported=True, probes=tuple(data.PROBES)):
    """Write the scan of a night; reported: a report was made of it then. Returns its folder."""
    scan_id = f"night{number:03}"
    at = started_at or f"2026-{1 + number // 28:02}-{1 + number % 28:02}T03:00:00Z"
    documents = [make(number, scan_id) for make in hosts]
    folder = data.write(
        results, documents, scan_id=scan_id, started_at=at, options={"duration_s": 20, "probes": list(probes), "probe_options": {}}
    )
    folder = folder.rename(results / scan_id)
    if reported:
        writer = readings.Writer(folder)
        for document in documents:
            writer.add(document)
        writer.write(scan_id)
    return folder


def made(results, folder, baseline=None):
    history = History(results, folder)
    fleet = build(folder, load_policy(), baseline, history=history)
    validate(fleet)
    history.write(fleet["scan"]["scan_id"])
    return fleet


def leaking(name="web1", per_s=10 * KIB, **more):
    """A host whose SUnreclaim grows from night to night, by timers."""

    def make(number, scan_id):
        grown = per_s * DAY_S * number + random.Random(f"{name}{number}").gauss(0, MIB)
        caches = {"mnt_cache": int(5 * MIB + grown)}
        return host(name, number, scan_id, caches=caches, counts={"tasks": 240 + number}, SUnreclaim=100 * MIB + grown, **more)

    return make


def quiet(name="db1", **more):
    def make(number, scan_id):
        rng = random.Random(f"{name}{number}")
        return host(
            name, number, scan_id, SUnreclaim=100 * MIB + rng.gauss(0, 2 * MIB), AnonPages=2 * GIB + rng.gauss(0, 200 * MIB), **more
        )

    return make


def findings(fleet):
    return {
        group["rule"]: group for group in fleet["findings"] if group["rule"].startswith(("memory-trend", "memory-jump", "memory-count"))
    }


def row_of(fleet, counter):
    return next((row for row in fleet["memory_trend"]["rows"] if row["counter"] == counter), None)


def test_a_leak_of_some_hosts_is_one_finding(tmp_path):
    hosts = [*(leaking(f"web{n}", 10 * KIB * (1 + n)) for n in range(3)), *(quiet(f"db{n}") for n in range(5))]
    for number in range(9):
        folder = night(tmp_path, number, hosts)
    fleet = made(tmp_path, folder)
    (finding,) = findings(fleet).values()
    assert finding["rule"] == "memory-trend-growth"
    assert sorted(one["host"] for one in finding["hosts"]) == ["web0", "web1", "web2"]
    assert finding["signature"] == "memory-trend-growth|SUnreclaim|mnt_cache"
    assert finding["title"].startswith(
        "SUnreclaim grows by 105 MiB an hour since 8 d (mostly mnt_cache, posix_timers_cache): 10 % of memory in 8 h"
    )
    row = row_of(fleet, "SUnreclaim")
    assert (row["verdict"], row["host_count"], row["worst_host"], row["finding"]) == ("grows", 3, "web2", finding["id"])
    assert row["per_s"] == pytest.approx(30 * KIB, rel=0.02)
    assert [part["counter"] for part in row["parts"]] == ["mnt_cache"]
    assert row_of(fleet, "mnt_cache")["part_of"] == "SUnreclaim"
    assert (fleet["memory_trend"]["compared"], fleet["memory_trend"]["not_compared"]) == (8, [])
    assert "memory" in finding["probes"]


def test_a_first_scan_is_not_compared_and_says_so(tmp_path):
    fleet = made(tmp_path, night(tmp_path, 0, [leaking()], reported=False))
    assert fleet["memory_trend"]["not_compared"] == [{"reason": module.FIRST, "host_count": 1, "hosts": ["web1"]}]
    rule = next(rule for rule in fleet["compliance"]["rules"] if rule["rule"] == "memory-trend-growth")
    assert (rule["unknown"], rule["pass"]) == (1, 0)
    assert not [note for note in fleet["verdict"]["notes"] if "between scans" in note]


def test_a_host_that_was_rebooted_is_not_compared_and_the_verdict_says_so(tmp_path):
    for number in range(6):
        night(tmp_path, number, [leaking(), quiet()])
    folder = night(tmp_path, 6, [leaking(), quiet(boot_id="f" * 32)])
    fleet = made(tmp_path, folder)
    assert fleet["memory_trend"]["not_compared"] == [{"reason": module.OTHER_BOOT, "host_count": 1, "hosts": ["db1"]}]
    assert "Growth of memory between scans was not compared on 1 host." in fleet["verdict"]["notes"]
    assert findings(fleet)["memory-trend-growth"]["host_count"] == 1
    rule = next(rule for rule in fleet["compliance"]["rules"] if rule["rule"] == "memory-trend-growth")
    assert (rule["fail"], rule["unknown"], rule["pass"]) == (1, 1, 0)


def test_the_first_minutes_after_a_boot_do_not_count(tmp_path):
    night(tmp_path, 0, [lambda n, scan_id: host("web1", n, scan_id, uptime_s=300.0, SUnreclaim=MIB)])
    fleet = made(tmp_path, night(tmp_path, 1, [lambda n, scan_id: host("web1", n, scan_id, SUnreclaim=9 * GIB)]))
    assert (findings(fleet), fleet["memory_trend"]["compared"]) == ({}, 0)
    fleet = made(tmp_path, night(tmp_path, 2, [lambda n, scan_id: host("web1", n, scan_id, uptime_s=300.0, boot_id="1" * 32)]))
    assert fleet["memory_trend"]["not_compared"][0]["reason"] == module.JUST_BOOTED


def test_only_readings_of_this_boot_count(tmp_path):
    for number in range(12):
        boot = f"{number // 7:032}"  # the reboot gives the memory back, and the leak begins anew
        folder = night(tmp_path, number, [lambda n, scan_id, boot=boot: {**leaking(boot_id=boot)(n % 7, scan_id)}])
    facts = History(tmp_path, folder).facts(load.read_host(load.host_files(folder)[0], None)[1])["memory"]
    assert (facts["compared"], facts["readings"], facts["left_out"]["other_boot"]) == (True, 5, 7)
    assert facts["rows"][0]["verdict"] == "grows"


def test_the_readings_are_the_same_with_and_without_their_file(tmp_path):
    for number in range(6):
        folder = night(tmp_path, number, [leaking(), quiet()])
    files = sorted(tmp_path.glob(f"*/{readings.FILE}"))
    assert len(files) == 6
    with_files = made(tmp_path, folder)["memory_trend"]
    for number, path in enumerate(files):
        if number % 2:
            path.unlink()
        else:
            path.write_text("broken", encoding="utf-8")
    assert made(tmp_path, folder)["memory_trend"] == with_files


def test_a_file_of_other_host_documents_is_not_used(tmp_path):
    first = night(tmp_path, 0, [leaking()])
    document = json.loads((first / "hosts" / "web1.json").read_text())
    document["probes"]["memory"]["data"]["counters"]["bytes"]["SUnreclaim"] = 7
    (first / "hosts" / "web1.json").write_text(json.dumps(document))
    scan = json.loads((first / "scan.json").read_text())
    assert readings.Readings(first, scan).reading("web1")["bytes"]["SUnreclaim"] == 7


def test_reading_an_indexed_scan_opens_no_host_document(tmp_path, monkeypatch):
    for number in range(3):
        folder = night(tmp_path, number, [leaking(), quiet()])
    monkeypatch.setattr(readings.load, "read_host", lambda *_: pytest.fail("a host document was read"))
    assert [len(scan) for scan in History(tmp_path, folder).scans] == [2, 2]


def test_what_cannot_be_compared_is_named(tmp_path):
    night(tmp_path, 0, [quiet()], probes=["memleak"])
    night(tmp_path, 1, [lambda n, scan_id: data.host("db1", "lost", scan_id)])
    broken = night(tmp_path, 2, [quiet()], reported=False)
    (broken / "hosts" / "db1.json").write_text('{"schema": "ksysak.host/7"}')
    (night(tmp_path, 3, [quiet()]) / "scan.json").write_text('{"schema": "ksysak.scan/9"}')
    (tmp_path / "notes.txt").write_text("not a scan")
    night(tmp_path, 4, [quiet()])
    fleet = made(tmp_path, night(tmp_path, 5, [quiet()]))
    assert fleet["memory_trend"]["skipped"] == [
        {"scan_id": "night000", "reason": "did not measure memory"},
        {"scan_id": "night001", "reason": "has no readings of memory"},
        {"scan_id": "night002", "reason": "has no readings of memory"},
    ]
    assert [scan["scan_id"] for scan in fleet["memory_trend"]["scans"]] == ["night004"]


def test_a_clock_that_was_set_does_not_matter(tmp_path):
    """The controller's clock was a month ahead for some nights: the uptime of the host counts, and what runs against it is left out."""
    for number in range(10):
        at = f"2026-03-{1 + number:02}T03:00:00Z" if number < 4 else None
        folder = night(
            tmp_path, number + 31 if number >= 4 else number, [lambda n, scan_id, k=number: leaking()(k, scan_id)], started_at=at
        )
    fleet = made(tmp_path, folder)
    assert row_of(fleet, "SUnreclaim")["per_s"] == pytest.approx(10 * KIB, rel=0.05)
    uptimes = [row[0] for row in row_of(fleet, "SUnreclaim")["points"]]
    assert uptimes == sorted(uptimes)


def test_a_machine_that_was_put_back_is_compared_with_its_own_past_only(tmp_path):
    for number in range(12):
        past = number if number < 8 else number - 6  # after the eighth night a snapshot of the second one was restored
        folder = night(
            tmp_path,
            number,
            [lambda n, scan_id, k=past: host("vm1", k, scan_id, SUnreclaim=100 * MIB + (900 * MIB if n in range(2, 8) else 0))],
        )
    facts = History(tmp_path, folder).facts(load.read_host(load.host_files(folder)[0], None)[1])["memory"]
    assert facts["left_out"]["out_of_order"] == 6
    assert facts["rows"] == []


def test_an_older_scan_is_not_compared_with_later_ones(tmp_path):
    folders = [night(tmp_path, number, [leaking()]) for number in range(9)]
    fleet = made(tmp_path, folders[3])
    assert [scan["scan_id"] for scan in fleet["memory_trend"]["scans"]] == ["night000", "night001", "night002"]


def test_slices_of_other_hosts_take_no_place_of_scans(tmp_path):
    for number in range(0, 60, 2):
        night(tmp_path, number, [leaking()])
        night(tmp_path, number + 1, [quiet("other")])
    history = History(tmp_path, night(tmp_path, 60, [leaking()]))
    assert (len(history.scans), history.not_used) == (30, 0)


def test_growth_that_was_there_in_the_baseline_is_not_new(tmp_path):
    folders = [night(tmp_path, number, [leaking()]) for number in range(9)]
    fleet = made(tmp_path, folders[8], folders[7])
    assert findings(fleet)["memory-trend-growth"]["drift"]["unchanged"] == 1


def test_of_many_scans_the_last_and_some_of_the_older_count():
    instants = [f"2026-{1 + n // 28:02}-{1 + n % 28:02}T03:00:00Z" for n in range(300)]
    chosen = module._chosen(instants, 50)
    assert len(chosen) <= 50 and chosen[-10:] == list(range(290, 300))
    assert chosen == sorted(set(chosen)) and chosen[0] == 0
    assert max(later - early for early, later in zip(chosen, chosen[1:], strict=False)) <= 10
    assert module._chosen(instants[:50], 50) == list(range(50))
    assert len(module._chosen([instants[0]] * 70, 50)) <= 50  # all at once


def test_other_memory_and_missing_readings_are_counted(tmp_path):
    night(tmp_path, 0, [quiet(MemTotal=4 * GIB)])
    night(tmp_path, 1, [quiet("other"), lambda n, scan_id: data.host("db1", "lost", scan_id)])
    for number in (2, 3):
        folder = night(tmp_path, number, [quiet()])
    facts = History(tmp_path, folder).facts(load.read_host(load.host_files(folder)[0], None)[1])["memory"]
    assert facts["left_out"] == {"booting": 0, "other_boot": 0, "no_reading": 1, "out_of_order": 0, "other_memory": 1}
    assert facts["readings"] == 2


@pytest.mark.parametrize(
    ("per_night", "rule"),
    [
        (lambda n: {"SUnreclaim": 100 * MIB + (GIB if n >= 5 else 0)}, "memory-jump"),
        (lambda n: {"AnonPages": 2 * GIB + n * 100 * MIB}, "memory-trend-process"),
        (lambda n: {"MemAvailable": 6 * GIB - n * 300 * MIB}, "memory-trend-available"),
        (lambda n: {"unaccounted": 60 * MIB + n * 50 * MIB}, "memory-trend-growth"),
        (lambda n: {"counts": {"files": 2000 + 900 * n}}, "memory-count-growth"),
        (lambda n: {"SReclaimable": 60 * MIB + n * 300 * MIB}, None),
        (lambda n: {"counts": {"tcp_time_wait": 2000 + 900 * n}}, None),
        (lambda n: {"SUnreclaim": 100 * MIB + n * 100 * KIB}, None),
        (lambda n: {"AnonPages": 2 * GIB + min(n, 3) * GIB / 2}, None),
    ],
    ids=["a jump", "programs", "available", "unaccounted", "a number", "a cache", "what ends by itself", "too little", "a plateau"],
)
def test_each_rule(tmp_path, per_night, rule):
    for number in range(10):
        folder = night(tmp_path, number, [lambda n, scan_id: host("web1", n, scan_id, **per_night(n))])
    assert list(findings(made(tmp_path, folder))) == ([rule] if rule else [])


def test_a_pair_of_scans_shows_a_large_rise(tmp_path):
    night(tmp_path, 0, [leaking(per_s=50 * KIB)])
    fleet = made(tmp_path, night(tmp_path, 1, [leaking(per_s=50 * KIB)]))
    (finding,) = findings(fleet).values()
    assert (finding["rule"], finding["severity"]) == ("memory-trend-rise", "warning")
    assert finding["title"] == "SUnreclaim rose by 4.1 GiB in 24 h (mostly mnt_cache); too few scans to call it growth"


def facts_fit(folder, results):
    """Check what a rule sees of each host against its schema; return it."""
    history = History(results, folder)
    found = [history.facts(load.read_host(path, None)[1]) for path in load.host_files(folder)]
    for facts in found:
        schema._check(schema._validator("trend", 1), facts, [])
    return found


def test_what_rules_see_fits_its_schema(tmp_path):
    names = {f"cache{n}": (n + 1) * MIB for n in range(30)}

    def make(number, scan_id):
        caches = {name: size * (1 + number) for name, size in names.items()}
        counts = {f"things{n}": 1000 * (1 + number) for n in range(25)}
        return host(
            "web1", number, scan_id, caches=caches, counts=counts, SUnreclaim=GIB * (1 + number / 10), AnonPages=GIB * (1 + number / 9)
        )

    for number in range(60):
        folder = night(tmp_path, number, [make, quiet(boot_id=f"{number:032}")], reported=number == 0)
    grows, rebooted = sorted(facts_fit(folder, tmp_path), key=lambda facts: not facts["memory"]["compared"])
    assert len(grows["memory"]["rows"]) == 32 and grows["memory"]["readings"] <= 51
    assert not rebooted["memory"]["compared"]


def test_one_cause_is_one_finding(tmp_path):
    """A namespace that leaks takes slabs, per-CPU memory and mounts."""

    def make(number, scan_id):
        grown = number * 60 * MIB
        counts = {"mounts": 40 + 30 * number, "net_namespaces": 5 + 900 * number}
        return host(
            "node1",
            number,
            scan_id,
            counts=counts,
            SUnreclaim=100 * MIB + grown,
            Percpu=20 * MIB + grown / 3,
            MemAvailable=6 * GIB - 2 * grown,
        )

    for number in range(8):
        folder = night(tmp_path, number, [make])
    (finding,) = findings(made(tmp_path, folder)).values()
    evidence = finding["hosts"][0]["evidence"][0]
    assert evidence["counter"] == "SUnreclaim"
    assert [one["counter"] for one in evidence["beside"]] == ["Percpu", "net_namespaces"]


def test_caches_of_one_cause_are_one_finding_where_their_sum_is_too_noisy(tmp_path):
    """A datagram takes an object of two caches, and something else makes SUnreclaim go up and down."""

    def make(number, scan_id):
        caches = {"kmalloc-cg-512": 200 * MIB * (1 + number), "skbuff_head_cache": 100 * MIB * (1 + number)}
        return host("web1", number, scan_id, caches=caches, SUnreclaim=5 * GIB + 3 * GIB * (number % 3 - 1))

    for number in range(9):
        folder = night(tmp_path, number, [make])
    (finding,) = findings(made(tmp_path, folder)).values()
    (evidence,) = finding["hosts"][0]["evidence"]
    assert (evidence["counter"], [one["counter"] for one in evidence["beside"]]) == ("kmalloc-cg-512", ["skbuff_head_cache"])


def test_a_results_folder_of_another_hand_breaks_nothing(tmp_path):
    """Lines of the file that no release wrote: too long, no numbers, no object, a name without a reading, an infinite number."""
    folder = night(tmp_path, 0, [quiet()])
    path = folder / readings.FILE
    header, line = path.read_text().splitlines()
    reading = json.loads(line.partition("\t")[2])
    odd = [
        '"long"\t' + "x" * 10000,
        '"text"\t"x"',
        '"nothing"\t',
        '"list"\t[1]',
        "no json\t{}",
        '"infinite"\t' + json.dumps({**reading, "uptime_s": 1e400}),
        '"negative"\t' + json.dumps({**reading, "bytes": {"SUnreclaim": "1"}}),
    ]
    scan = json.loads((folder / "scan.json").read_text())
    for lines in (odd[:4], odd[5:]):
        path.write_text("\n".join([header, line, *lines]) + "\n")
        found = readings.Readings(folder, scan)
        assert found.reading("db1") == {**reading, "bytes": reading["bytes"]}
        assert [found.reading(name) for name in ("long", "text", "nothing", "list", "infinite", "negative", "none")] == [None] * 7
    path.write_text("\n".join([header, odd[4]]) + "\n")
    assert readings.Readings(folder, scan).reading("db1") is not None  # from the documents
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert readings.Readings(folder, scan).reading("db1") is not None


def test_a_report_writes_the_readings_that_the_next_one_uses(tmp_path, monkeypatch):
    folder = night(tmp_path, 0, [quiet(), leaking()], reported=False)
    made(tmp_path, folder)
    monkeypatch.setattr(readings.load, "read_host", lambda *_: pytest.fail("a host document was read"))
    scan = readings.Readings(folder, json.loads((folder / "scan.json").read_text()))
    assert scan.reading("web1")["slab_bytes"]["mnt_cache"] > 4 * MIB


def unwritable(*_path_and_text):
    raise OSError(30, "Read-only file system")


def test_a_folder_that_cannot_be_written_keeps_the_report(tmp_path, monkeypatch):
    folder = night(tmp_path, 0, [quiet()], reported=False)
    history = History(tmp_path, folder)
    monkeypatch.setattr(readings, "write_text", unwritable)
    history.write("night000")
    assert not (folder / readings.FILE).exists()


def test_a_history_of_other_hands_breaks_no_report(tmp_path):
    """Scans of another schema, with broken files, without hosts, without scan.json, and a folder that is none: the others are compared."""
    for number in range(6):
        night(tmp_path, number, [leaking(), quiet()], reported=number != 4)

    def changed(number, **changes):
        path = tmp_path / f"night{number:03}" / "scan.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    changed(0, schema="ksysak.scan/9")
    (tmp_path / "night001" / "scan.json").write_text('{"schema": "ksysak.sc')
    for path in (tmp_path / "night002" / "hosts").iterdir():
        path.write_bytes(b"\x00\xff{")
    (tmp_path / "night002" / readings.FILE).unlink()
    broken = tmp_path / "night004" / "hosts" / "db1.json"
    broken.write_text(broken.read_text()[:-200])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").write_text("no scan")
    (tmp_path / "empty" / "hosts").mkdir(parents=True)
    fleet = made(tmp_path, tmp_path / "night005")
    assert [scan["scan_id"] for scan in fleet["memory_trend"]["scans"]] == ["night003", "night004"]
    assert [scan["hosts"] for scan in fleet["memory_trend"]["scans"]] == [2, 1]
    assert fleet["memory_trend"]["skipped"] == [{"scan_id": "night002", "reason": "has no readings of memory"}]
    assert fleet["memory_trend"]["compared"] == 2


def test_a_folder_without_another_scan_is_no_history(tmp_path):
    fleet = made(tmp_path, night(tmp_path, 0, [quiet()]))
    assert (fleet["memory_trend"]["scans"], fleet["memory_trend"]["skipped"]) == ([], [])
    (tmp_path / "nothing").mkdir()
    assert History(tmp_path / "nothing", tmp_path / "night000").scans == []
    with pytest.raises(load.ResultsError, match="ksysak_history: .*no such folder"):
        History(tmp_path / "none", tmp_path / "night000")
