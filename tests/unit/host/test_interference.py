# SPDX-License-Identifier: GPL-3.0-or-later
"""From counts by vector and CPU to the facts of interference."""

import os
import subprocess
from types import SimpleNamespace

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._interference import bpf, cputime, probe, rows

TIMER = ("softirq", "TIMER")


def stat(count, total_ns, longest_ns, **buckets):
    histogram = [0] * bpf.BUCKETS
    for bucket, number in buckets.items():
        histogram[int(bucket[1:])] = number
    return SimpleNamespace(count=count, total_ns=total_ns, longest_ns=longest_ns, histogram=histogram)


def found(*stats):
    """One vector, a stat a CPU."""
    merged = {}
    for cpu, one in enumerate(stats):
        rows.merge(merged, TIMER, cpu, one)
    return merged


def test_times_of_cpus_add_up():
    (row,) = rows.vectors(found(stat(3, 3000, 2000, b0=2, b1=1), stat(1, 9000, 9000, b5=1)), 2, {}, 2.0)
    assert (row["kind"], row["name"], row["irq"]) == ("softirq", "TIMER", None)
    assert (row["count"], row["rate_per_s"], row["total_us"], row["mean_us"], row["longest_us"]) == (4, 2.0, 12.0, 3.0, 9.0)
    assert row["histogram_ns"] == {"0": 2, "512": 1, "8192": 1}
    assert row["by_cpu"][0] == {"cpu": 1, "count": 1, "total_us": 9.0, "mean_us": 9.0, "longest_us": 9.0}


@pytest.mark.parametrize(
    ("stats", "cpus", "expected"),
    [
        ((stat(1, 500, 500, b0=1), stat(9, 500, 100, b0=9)), 2, {"cpu": 1, "share": 0.5, "coefficient": 0.0}),
        ((stat(0, 0, 0), stat(2, 500, 400, b0=2)), 2, {"cpu": 1, "share": 1.0, "coefficient": 1.0}),
        ((stat(1, 300, 300, b0=1), stat(1, 100, 100, b0=1)), 4, {"cpu": 0, "share": 0.75, "coefficient": 0.5}),
        ((stat(1, 300, 300, b0=1),), 1, None),
    ],
    ids=["even", "one alone", "two of four", "one CPU"],
)
def test_concentration(stats, cpus, expected):
    (row,) = rows.vectors(found(*stats), cpus, {}, 1.0)
    assert row["concentration"] == expected


def test_what_was_only_counted_has_no_times_and_is_weighed_by_count():
    (row,) = rows.vectors({("vector", "TLB"): rows.counted({0: 3, 1: 1, 2: 0})}, 3, {"TLB": "TLB shootdowns"}, 2.0)
    assert (row["kind"], row["name"], row["count"], row["rate_per_s"]) == ("ipi", "TLB shootdowns", 4, 2.0)
    assert (row["total_us"], row["mean_us"], row["longest_us"], row["histogram_ns"]) == (None, None, None, None)
    assert row["concentration"]["cpu"] == 0 and row["concentration"]["share"] == 0.75
    assert [place["cpu"] for place in row["by_cpu"]] == [0, 1]


@pytest.mark.parametrize(
    ("count", "least", "most", "disagrees", "grave"),
    [(1000, 995, 1002, False, 0), (1024, 990, 1002, True, 0), (975, 1000, 1002, True, 0), (900, 1000, 1002, True, 1), (5, 9, 14, False, 0)],
)
def test_cross_check(count, least, most, disagrees, grave):
    traced = found(stat(count, count, 1, b0=count))
    check, serious = rows.cross_check(traced, {TIMER: {0: least}}, {TIMER: {0: most}}, {}, 10.0)
    assert (check["compared"], serious) == (1, grave)
    listed = [{"kind": "softirq", "name": "TIMER", "traced": count, "counted": most}] if disagrees else []
    assert check["disagreements"] == listed
    off = max(least - count, count - most, 0) / most if most >= 100 else 0.0
    assert check["largest_share"] == pytest.approx(off, abs=1e-5)


@pytest.mark.parametrize(
    ("missed", "window_s", "disagrees"), [(10, 2.0, False), (11, 2.0, True), (20, 20.0, False), (21, 20.0, True), (60, 60.0, False)]
)
def test_what_passes_the_tracepoints_of_an_idle_kernel_is_no_disagreement(missed, window_s, disagrees):
    traced, counted = found(stat(100, 100, 1, b0=100)), {TIMER: {0: 100 + missed}}
    check, grave = rows.cross_check(traced, counted, counted, {}, window_s)
    assert (len(check["disagreements"]), grave) == ((1, 1) if disagrees else (0, 0))


def test_cross_check_of_one_process_has_no_lower_bound_and_cpus_that_went_are_left_out():
    traced = found(stat(5, 5, 1, b0=5), stat(900, 900, 1, b0=900))
    check, serious = rows.cross_check(traced, None, {TIMER: {0: 1000}}, {}, 10.0)
    assert (check, serious) == ({"compared": 1, "largest_share": 0.0, "disagreements": []}, 0)


def test_kernel_threads_and_all_tasks():
    before, after = (
        {2: ("kthreadd", 100), 9: ("gone", 5)},
        {2: ("kthreadd", 100), 7: ("kworker/0:1-events", 2_000_000), 8: ("ksoftirqd/0", 500)},
    )
    listed = rows.kernel_threads(before, after, 2.0, 1)
    assert listed == [{"pid": 7, "comm": "kworker/0:1-events", "cpu_us": 2000.0, "share": 0.001}]
    check = {"compared": 3, "disagreements": []}
    rows.check_busy(check, 2000.0, {0: 10**9, 1: 5}, {0: 10**9 + 990_000, 1: 1_000_005})
    rows.check_busy(check, 2000.0, None, None)
    # What went with a CPU, or came with one, is not of the window.
    rows.check_busy(check, 2000.0, {0: 0, 1: 10**9}, {0: 1_990_000})
    rows.check_busy(check, 2000.0, {0: 0}, {0: 1_000_000, 1: 10**9})
    assert check == {"compared": 4, "disagreements": []}
    rows.check_busy(check, 2000.0, {0: 0, 1: 0}, {0: 500_000, 1: 500_000})
    assert [row["kind"] for row in check["disagreements"]] == ["schedstat"]


@pytest.mark.parametrize("state", ["S", "R"])
def test_what_a_kernel_thread_does_while_the_books_are_read_is_no_disagreement(monkeypatch, state):
    """A kernel in which one thread alone runs, longest before the window; what runs now is in no CPU's sum yet."""
    now_ms = iter((1, 10, 11, 12))
    monkeypatch.setattr(cputime, "kernel_threads", lambda: {7: ("ksoftirqd/0", next(now_ms) * 10**6)})
    monkeypatch.setattr(cputime, "busy_ns", lambda: {0: next(now_ms) * 10**6 if state == "S" else 0})
    monkeypatch.setattr(cputime, "_fields", lambda pid: [state])
    accounting = probe._KernelAccounting({"pid": 0, "top": 20})
    accounting.start()
    accounting.stop()
    check = {"compared": 0, "disagreements": []}
    data = accounting.data({}, check, 1.0, [])
    assert data["kernel_threads"][0]["cpu_us"] >= 1000
    assert check == {"compared": 1, "disagreements": []}


def test_who_is_runnable():
    with subprocess.Popen(["true"]) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert cputime.runnable([os.getpid(), ended.pid, 2**22 + 1]) == [os.getpid()]


def test_steal():
    assert rows.steal({0: 1.0, 3: 0.5}, {0: 1.2, 3: 0.5, 4: 9.0}, 10.0) == [{"cpu": 0, "share": 0.02}, {"cpu": 3, "share": 0.0}]


def test_busy_time_of_schedstat(monkeypatch):
    text = "version 16\ncpu0 0 0 9 9 9 9 111 2000 7\ndomain0 3 1\ncpu1 0 0 9 9 9 9 222 3000 8\n"
    monkeypatch.setattr(cputime.procfs, "read_text", {"/proc/schedstat": text}.get)
    assert cputime.busy_ns() == {0: 111, 1: 222}
    monkeypatch.setattr(cputime.procfs, "read_text", lambda path: "")
    assert cputime.busy_ns() is None


def test_steal_of_this_host_in_seconds(monkeypatch):
    monkeypatch.setattr(cputime.procfs, "parse_steal_us", lambda text: {0: 1500000})
    assert cputime.steal() == {0: 1.5}


def test_own_process_has_times_and_one_that_is_not_there_has_none():

    own = cputime.process(os.getpid())
    assert own["comm"] and own["started"] > 0 and own["cpu_ns"] > 0
    assert cputime.process(2**22 + 1) is None


def test_only_what_a_kernel_has_is_compiled():
    assert "on_hrtimer" not in bpf.text(["local_timer"]) and "on_nmi" not in bpf.text([])
    assert "== 4242)" in bpf.text([], 4242) and "on_timer_expire_entry" in bpf.text([], timers=["timer"])
