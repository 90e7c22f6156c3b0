# SPDX-License-Identifier: GPL-3.0-or-later
"""Each report counts once, whoever tells it; groups are ordered, dated and bounded."""

import time
import tracemalloc

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import Scanner
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions import groups

DAY = 1795404000.0


def event(signature="warning:ksy", timestamp_s=None, **other):
    return dict({
        "kind": signature.split(":")[0], "title": "title", "culprit": "ksy", "called_by": [], "signature": signature,
        "timestamp_s": timestamp_s, "written_by": "unknown", "induced": False,
        "trace": ["f%d" % number for number in range(32)], "excerpt": "excerpt " * 500,
        "context": {}, "details": {}, "host": None}, **other)


@pytest.mark.parametrize("first,second", [
    # (source, printk seconds, seconds since 1970)
    (("kmsg", 100.000001, DAY), ("/var/log/kern.log", 100.000001, DAY + 3)),
    (("kmsg", 100.000001, DAY), ("/var/log/kern.log", 100.000001, None)),
    (("kmsg", 100.000001, DAY), ("journal", None, DAY + 2)),
    (("journal", None, DAY), ("kmsg", 100.0, DAY - 4)),
    (("journal", None, DAY), ("kmsg", 9000000.0, DAY + 600)),  # 104 days up: the printk clock has drifted
    (("/var/log/a", None, None), ("/var/log/b", None, None)),
])
def test_the_same_report_of_two_sources_counts_once(first, second):
    for one, two in ((first, second), (second, first)):
        found = groups.Groups()
        for source, timestamp_s, seconds in (one, two):
            found.add(event(timestamp_s=timestamp_s), source, seconds)
        [entry] = found.entries(10)
        assert (entry["count"], found.kinds, sorted(entry["sources"])) == (1, {"warning": 1}, sorted((one[0], two[0])))


@pytest.mark.parametrize("first,second", [
    (("kmsg", 100.000001, DAY), ("kmsg", 100.000002, DAY)),
    (("kmsg", 100.000001, DAY), ("/var/log/kern.log", 101.0, DAY)),
    (("kmsg", 100.000001, DAY), ("/var/log/kern.log", 100.000001, DAY - 5 * 86400)),  # of another boot
    (("journal", None, DAY), ("journal", None, DAY)),
    (("journal", None, DAY), ("/var/log/messages", None, DAY + 60)),
])
def test_two_reports_count_twice(first, second):
    found = groups.Groups()
    for source, timestamp_s, seconds in (first, second):
        found.add(event(timestamp_s=timestamp_s), source, seconds)
    assert found.entries(10)[0]["count"] == 2


def test_a_storm_that_two_sources_tell_counts_once():
    found = groups.Groups()
    for source in ("journal", "kmsg"):
        for number in range(3000):
            found.add(event(timestamp_s=number / 10.0 if source == "kmsg" else None), source, DAY + number // 10)
    assert found.kinds == {"warning": 3000}


def test_a_storm_takes_no_more_memory_the_longer_it_lasts(monkeypatch):
    monkeypatch.setattr(groups, "MAX_OCCURRENCES", 1000)
    scanner, found, held = Scanner(), groups.Groups(), []
    tracemalloc.start()
    for number in range(12000):
        for report in scanner.feed("[%5d.%06d] ksyd[812]: segfault at 0 ip 0 sp 0 error 4" % divmod(number, 1000)):
            found.add(report, "kmsg", DAY + number / 1000.0)
        if number % 4000 == 3999:
            held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sum(found.kinds.values()) + len(scanner.finish()) == 12000 and len(found) == 1
    assert held[2] < held[0] + 65536


def test_first_last_and_newest():
    found = groups.Groups()
    for seconds, title in ((DAY, "old"), (DAY + 60, "new"), (DAY - 60, "oldest")):
        found.add(event(title=title), "journal", seconds)
    [entry] = found.entries(10)
    assert (entry["first_seen"], entry["last_seen"], entry["title"]) == (groups.instant(DAY - 60), groups.instant(DAY + 60), "new")


def test_order_and_bounds():
    found = groups.Groups()
    found.add(event("a:timeless"), "f", None)
    for number in range(30):
        found.add(event("a:%d" % number), "f", DAY + number)
    found.add(event("a:inside"), "f", DAY - 99, in_window=True)
    entries = found.entries(20)
    assert [entry["signature"] for entry in entries[:3]] == ["a:inside", "a:29", "a:28"] and len(entries) == 20
    assert found.entries(100)[-1]["signature"] == "a:timeless" and found.entries(100)[-1]["last_seen"] is None
    assert len(entries[0]["excerpt"]) > len(entries[-1]["excerpt"]) and len(entries[0]["trace"]) > len(entries[-1]["trace"])


def test_induced_only_where_every_one_was():
    found = groups.Groups()
    found.add(event(induced=True), "kmsg", DAY)
    assert found.entries(1)[0]["induced"]
    found.add(event(induced=False), "kmsg", DAY + 1)
    assert not found.entries(1)[0]["induced"]


def test_more_signatures_than_are_kept_are_counted_by_kind(monkeypatch):
    monkeypatch.setattr(groups, "MAX_SIGNATURES", 3)
    found = groups.Groups()
    for number in range(5):
        found.add(event("warning:%d" % number), "kmsg", DAY)
    assert len(found) == 3 and found.full and found.kinds == {"warning": 5}


@pytest.fixture
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Kolkata")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_date_without_a_year_is_the_last_such_date(zone):
    january = groups.seconds_of("2026-01-02T00:00:00Z")
    assert groups.instant(groups.seconds_of_local("Dec 31 05:30:00", january)) == "2025-12-31T00:00:00Z"
    assert groups.instant(groups.seconds_of_local("Jan  1 05:30:00", january)) == "2026-01-01T00:00:00Z"
    for text in ("Feb 31 00:00:00", "Foo 12 00:00:00", "", "Jan  1 99:99:99"):
        seconds = groups.seconds_of_local(text, january)
        assert seconds is None or seconds <= january + 86400


def test_an_instant_that_no_calendar_has_is_none():
    assert groups.instant(None) is groups.instant(-1.0) is groups.instant(1e15) is None


def test_boots_are_told_apart_by_when_they_began():
    found = groups.Groups()
    for timestamp_s, seconds in ((10.0, DAY), (500.0, DAY + 490), (20.0, DAY + 7000), (None, DAY + 9000), (30.0, None)):
        found.add(event(timestamp_s=timestamp_s), "journal", seconds)
    assert found.entries(10)[0]["boots"] == 2
    unknown = groups.Groups()
    unknown.add(event(), "journal", DAY)
    assert unknown.entries(10)[0]["boots"] is None


def written(found):
    return [(entry["written_by"], entry["count"], entry["sources"], entry["signature"]) for entry in found.entries(9)]


def test_what_a_program_wrote_is_not_counted_as_the_kernels():
    found = groups.Groups()
    found.add(event(timestamp_s=7.0, written_by="kernel"), "kmsg", DAY)
    found.add(event(timestamp_s=8.0, written_by="program"), "kmsg", DAY + 1)
    one = event()
    assert sorted(written(found)) == [
        ("kernel", 1, ["kmsg"], one["signature"]), ("program", 1, ["kmsg"], "program:" + one["signature"])]  # fmt: skip
    assert found.kinds == {one["kind"]: 1}


@pytest.mark.parametrize("order", [("kern.log", "kmsg"), ("kmsg", "kern.log")])
def test_a_log_that_does_not_tell_the_writer_follows_one_that_does(order):
    found = groups.Groups()
    for source in order:
        found.add(event(timestamp_s=8.0, written_by="program" if source == "kmsg" else "unknown"), source, DAY)
    ((writer, count, sources, signature),) = written(found)
    assert (writer, count, sorted(sources), signature) == ("program", 1, ["kern.log", "kmsg"], "program:" + event()["signature"])
    assert found.kinds == {}


def test_the_kernels_own_keep_their_times_when_others_turn_out_to_be_a_programs():
    found = groups.Groups()
    found.add(event(timestamp_s=7.0), "kern.log", DAY)
    found.add(event(timestamp_s=9.0), "kern.log", DAY + 2)
    found.add(event(timestamp_s=9.0, written_by="program"), "kmsg", DAY + 2, in_window=True)
    program, kernel = sorted(found.entries(9), key=lambda entry: entry["written_by"])
    assert (program["written_by"], program["count"], program["in_window"]) == ("program", 1, True)
    assert (kernel["written_by"], kernel["count"], kernel["in_window"], kernel["sources"]) == ("unknown", 1, False, ["kern.log"])
    assert kernel["last_seen"] == kernel["first_seen"] == groups.instant(DAY)
