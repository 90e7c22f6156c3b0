# SPDX-License-Identifier: GPL-3.0-or-later
"""The probe from log files to its documented result."""

import json
import os
import socket
import time

import fastjsonschema
import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions import groups, kmsg, probe, sources

WARNING = "WARNING: CPU: 0 PID: 1 at drivers/ksy/core.c:1 ksy_init+0x0/0x10"


@pytest.fixture(scope="module")
def valid(repo):
    return fastjsonschema.compile(json.loads((repo / "plugins/plugin_utils/schema/os_exceptions-1.json").read_text()))


@pytest.fixture
def host(tmp_path, monkeypatch):
    """A host with an empty log folder, no journal, and a ring buffer that `feed` fills."""
    records, feeds, pairs, priorities = [], [], [], []

    def open_device(self):
        """A reader of its own, as every open of /dev/kmsg gives: first the old records, then the new ones."""
        pairs.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        feeds.append(pairs[-1][0])
        pairs[-1][1].setblocking(False)
        for record in records:
            feeds[-1].send(record)
        return os.dup(pairs[-1][1].fileno())

    def skip_old(fd):
        with pytest.raises(BlockingIOError):
            while True:
                os.read(fd, 65536)

    class Host:
        folder = tmp_path
        nice = priorities

        @staticmethod
        def printk(text, facility=0):
            """Log a text as the kernel does (facility 0), or a program through /dev/kmsg (1), now."""
            records.append(b"%d,%d,%d,-;%s" % (facility * 8 + 4, len(records), int(time.monotonic() * 1e6), text.encode()))
            for feed in feeds:
                feed.send(records[-1])

    monkeypatch.setattr(kmsg.Kmsg, "_open", open_device)
    monkeypatch.setattr(kmsg.Kmsg, "_skip_old", staticmethod(skip_old))
    monkeypatch.setattr(probe, "own_name", lambda: "host.example.org")
    monkeypatch.setattr(sources, "program", lambda name: None)
    monkeypatch.setattr(sources.log_files, "__defaults__", ((), str(tmp_path)))
    monkeypatch.setattr(sources.crash_files, "__defaults__", ((str(tmp_path / "crash/*/dmesg*"),),))
    monkeypatch.setattr(sources.Pstore.__init__, "__defaults__", (str(tmp_path / "pstore"),))
    monkeypatch.setattr(probe, "_set_priority", priorities.append)
    yield Host
    for pair in pairs:
        for end in pair:
            end.close()


def options(**given):
    return dict({"sources": probe.SOURCES, "paths": [], "max_age_days": 30, "since": None, "top": 50, "other_hosts": "report"}, **given)


def measure(during=lambda: None, polls=3, **given):
    """One window of the engine. Returns (data, engine)."""
    engine = probe.LogsEngine(options(**given))
    try:
        engine.open()
        engine.start(1.0)
        during()
        for _unused in range(polls):
            engine.poll(0.01)
        engine.stop()
        return engine.read(1.0), engine
    finally:
        engine.close()


def syslog(seconds, text):
    return "%s host kernel: %s\n" % (time.strftime("%b %e %H:%M:%S", time.localtime(seconds)), text)


def test_what_happens_within_the_window_is_told_from_what_was_before(host, valid):
    host.printk("BUG: ksy: before the window")
    data, engine = measure(lambda: host.printk(WARNING))
    valid(data)
    assert [(entry["kind"], entry["culprit"], entry["in_window"], entry["sources"]) for entry in data["events"]] == [
        ("warning", "ksy_init", True, ["kmsg"]), ("bug_other", None, False, ["kmsg"])]
    assert data["kinds"] == {"warning": 1, "bug_other": 1} and engine.degradations == []
    assert abs(groups.seconds_of(data["events"][0]["last_seen"]) - time.time()) < 3600


def test_what_a_program_wrote_to_the_ring_buffer_is_not_the_kernels(host, valid):
    host.printk(WARNING)
    host.printk(WARNING, facility=1)
    host.printk("Call Trace:", facility=1)
    host.printk(" ksy_other+0x1/0x2", facility=1)
    host.printk("BUG: ksy: a test", facility=1)
    data, _unused = measure()
    valid(data)
    assert sorted((entry["kind"], entry["written_by"], entry["count"]) for entry in data["events"]) == [
        ("bug_other", "program", 1), ("warning", "kernel", 1), ("warning", "program", 1)]
    assert data["kinds"] == {"warning": 1}
    (kernels,) = [entry for entry in data["events"] if entry["written_by"] == "kernel"]
    assert "ksy_other" not in kernels["trace"] and "ksy_other" not in kernels["excerpt"]


def test_a_report_that_the_log_file_has_as_well_counts_once(host, valid):
    host.printk(WARNING)
    (host.folder / "kern.log").write_text(syslog(time.time(), WARNING) + syslog(time.time() - 3600, WARNING))
    data, _unused = measure()
    valid(data)
    [entry] = data["events"]
    assert entry["count"] == 2 and sorted(entry["sources"]) == sorted(["kmsg", str(host.folder / "kern.log")])


def test_lines_of_other_hosts_are_reported_as_theirs_or_left_out(host, valid):
    now = time.strftime("%b %e %H:%M:%S", time.localtime())
    (host.folder / "syslog").write_text(
        "%s HOST kernel: %s\n" % (now, WARNING)
        + "%s db7 kernel: %s\n" % (now, WARNING)
        + "%s db7 kernel:  ksy_far+0x1/0x2\n" % now
        + "%s localhost kernel: BUG: ksy: early\n" % now
        + "%s 192.0.2.7 [    7.000001] BUG: ksy: by netconsole\n" % now
    )
    data, engine = measure()
    valid(data)
    assert sorted((entry["kind"], entry["host"], entry["count"], entry["signature"]) for entry in data["events"] if entry["host"]) == [
        ("bug_other", "192.0.2.7", 1, "host:192.0.2.7:bug_other:bug_ksy_by_netconsole"), ("warning", "db7", 1, "host:db7:warning:ksy_init")]
    assert data["kinds"] == {"warning": 1, "bug_other": 1} and engine.degradations == []
    [own] = [entry for entry in data["events"] if entry["host"] is None and entry["kind"] == "warning"]
    assert "ksy_far" not in own["excerpt"]
    data, _unused = measure(other_hosts="ignore")
    assert sorted((entry["kind"], entry["host"]) for entry in data["events"]) == [("bug_other", None), ("warning", None)]


def test_reports_behind_an_unknown_prefix_degrade_the_source(host, valid):
    lockup = "watchdog: BUG: soft lockup - CPU#3 stuck for 23s! [ksyd:812]"
    path = host.folder / "collected"
    path.write_text("node7 | 23/11/26 05.38.57 | %s\n05:38:58.123 I %s\n" % (lockup, lockup))
    data, engine = measure(sources=[], paths=[str(path)])
    valid(data)
    [source] = data["sources"]
    assert (data["events"], source["status"]) == ([], "partial")
    said = "2 lines look like kernel reports behind an unknown prefix, for example: node7 | 23/11/26 05.38.57 | "
    assert source["reason"] == said + lockup
    assert len(engine.degradations) == 1
    path.write_text("".join(line + "\n" for line in (
        "Nov 23 05:38:57 host app[7]: " + lockup, "2026-11-23 05:38:57 ERROR app: " + lockup, "05:38:57 found '%s'" % lockup,
        "see " + lockup)))
    data, engine = measure(sources=[], paths=[str(path)])
    assert (data["events"], data["sources"][0]["status"], engine.degradations) == ([], "read", [])


def test_what_is_older_than_asked_for_is_left_out(host):
    (host.folder / "messages").write_text(syslog(time.time() - 10 * 86400, WARNING))
    assert measure(max_age_days=9)[0]["events"] == []
    assert len(measure(max_age_days=11)[0]["events"]) == 1


def test_since_bounds_the_age_to_a_moment(host):
    (host.folder / "messages").write_text(syslog(time.time() - 2 * 86400, WARNING) + syslog(time.time() - 3600, "BUG: ksy: later"))
    for form, zone in (("%Y-%m-%d", time.localtime), ("%Y-%m-%d %H:%M", time.localtime), ("%Y-%m-%dT%H:%M:%SZ", time.gmtime)):
        data, _unused = measure(since=time.strftime(form, zone(time.time() - 86400)))
        assert [entry["kind"] for entry in data["events"]] == ["bug_other"]


def test_only_what_was_asked_for_is_read(host, valid):
    host.printk(WARNING)
    (host.folder / "messages").write_text(syslog(time.time(), "BUG: ksy: in a file"))
    (host.folder / "console").write_text("BUG: kernel NULL pointer dereference, address: 10\n")
    for wanted, names in ((["kmsg"], ["kmsg"]), (["files"], [str(host.folder / "messages")]), ([], [])):
        data, _unused = measure(sources=wanted, paths=[str(host.folder / "console")])
        valid(data)
        assert sorted(source["name"] for source in data["sources"]) == sorted([*names, str(host.folder / "console")])
        assert {name for entry in data["events"] for name in entry["sources"]} == {*names, str(host.folder / "console")}


def test_a_crash_is_dated_by_when_it_was_saved(host, valid):
    """The last line was written when the file was; others are as much older as their stamps translate."""
    (host.folder / "crash/1").mkdir(parents=True)
    saved = host.folder / "crash/1/dmesg.1"
    saved.write_text("[  100.000000] %s\n[  400.000000] Kernel panic - not syncing: ksy\n" % WARNING)
    os.utime(str(saved), (time.time() - 86400, time.time() - 86400))
    data, _unused = measure()
    valid(data)
    panic, warning = data["events"]
    assert (panic["kind"], warning["kind"]) == ("panic", "warning")
    assert groups.seconds_of(panic["last_seen"]) - groups.seconds_of(warning["last_seen"]) == pytest.approx(300, abs=1)


def test_a_large_file_is_sifted_to_the_same_result(host, valid, monkeypatch):
    lines = []
    for number in range(3000):
        lines.append(syslog(time.time() - 7200 + number, WARNING if number % 500 == 7 else "usb 1-1: new device %d" % number))
    (host.folder / "messages").write_text("".join(lines))
    whole, _unused = measure()
    monkeypatch.setattr(sources, "_SIFT_BYTES", 0)
    sifted, _unused = measure()
    valid(sifted)
    assert sifted["events"] == whole["events"] and whole["kinds"] == {"warning": 6}


def test_a_file_that_was_asked_for_and_cannot_be_read_is_a_limit(host, valid):
    data, engine = measure(paths=["/nonexistent/console.log"])
    valid(data)
    assert [source["status"] for source in data["sources"]] == ["read", "unread"]
    assert engine.degradations == ["/nonexistent/console.log is unread: No such file or directory"]


def test_what_there_was_no_time_for_is_a_limit(host, valid, monkeypatch):
    monkeypatch.setattr(probe, "FINISH_S", 0.0)
    (host.folder / "messages").write_text(syslog(time.time(), WARNING))
    data, engine = measure(polls=0)
    valid(data)
    assert data["sources"][1]["status"] == "unread" and "no time" in engine.degradations[0]


def test_no_log_at_all_is_unavailable(monkeypatch, tmp_path):
    monkeypatch.setattr(kmsg.Kmsg, "_open", lambda self: os.open(str(tmp_path / "none"), os.O_RDONLY))
    monkeypatch.setattr(sources, "program", lambda name: None)
    monkeypatch.setattr(sources.log_files, "__defaults__", ((), str(tmp_path)))
    engine = probe.LogsEngine(options())
    with pytest.raises(Unavailable) as raised:
        engine.open()
    assert "kmsg" in raised.value.reason and raised.value.remedy
    engine.close()


def test_everything_a_hostile_host_can_name_fits_the_schema(host, valid):
    path = host.folder / ("\x1b[31m" + "x" * 200)
    path.write_text("".join("[    1.%06d] BUG: %s\n" % (number, chr(97 + number % 26) * 9000) for number in range(300)))
    data, _unused = measure(paths=[str(path)], top=500)
    valid(data)
    assert sum(data["kinds"].values()) == 300 and "\x1b" not in json.dumps(data).encode().decode("unicode_escape")


def test_history_is_read_at_the_lowest_priority_and_the_ring_buffer_is_not(host):
    own = os.getpriority(os.PRIO_PROCESS, 0)
    measure()
    assert host.nice == [19, own, 19]


def test_top_cuts_the_entries_and_not_the_counts(host):
    for number in range(5):
        host.printk("BUG: ksy %s" % ("abcde"[number] * 3))
    data, _unused = measure(top=2)
    assert len(data["events"]) == 2 and data["kinds"] == {"bug_other": 5}


def test_nothing_stays_open(host, monkeypatch):
    for name in ("messages", "syslog", "kern.log"):
        (host.folder / name).write_text(syslog(time.time(), WARNING))
    real, opened = os.open, []
    monkeypatch.setattr(sources.os, "open", lambda *args: opened.append(real(*args)) or opened[-1])
    measure(polls=1)
    assert len(opened) >= 3
    for fd in opened:
        with pytest.raises(OSError):
            os.fstat(fd)


@pytest.mark.parametrize("given,named", [
    ({"max_age_days": 0}, "max_age_days"), ({"max_age_days": 3651}, "max_age_days"), ({"top": 0}, "top"),
    ({"since": "yesterday"}, "since"), ({"since": "2026-13-01"}, "since"), ({"since": "2026-11-20T03:00:00+01:00"}, "since"),
    ({"sources": [], "paths": []}, "sources"),
    ({"paths": ["relative.log"]}, "paths"), ({"paths": ["/a\0b"]}, "paths"), ({"paths": ["/a"] * 33}, "paths")])
def test_bad_options_are_named(given, named):
    with pytest.raises(ValueError, match=named):
        probe.OsExceptionsProbe(options(**given))
