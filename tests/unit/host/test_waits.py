# SPDX-License-Identifier: GPL-3.0-or-later
"""Who ran while a task waited, by the timeslices and the snapshots that the BPF program kept, and why it waited."""

from types import SimpleNamespace

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import attribution, causes
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import constants

UNUSED = SimpleNamespace(ended_ns=0, ran_ns=0, tid=0, prio=0, comm=b"")
UNIT_NS = 1 << constants.UNIT_SHIFT
BEGAN_NS, ENDED_NS = 1000 * UNIT_NS, 2000 * UNIT_NS


def words(name):
    raw = name.encode().ljust(16, b"\0")
    return [int.from_bytes(raw[:8], "little"), int.from_bytes(raw[8:], "little")]


def timeslice(tid, ended, ran, comm=None):
    comm = comm or f"task{tid}" if tid else "swapper"
    return SimpleNamespace(ended_ns=ended * UNIT_NS, ran_ns=ran * UNIT_NS, tid=tid, prio=120, comm=comm.encode())


def runner(name, after=0, around=0, tid=7, tasks=0):
    return SimpleNamespace(name=words(name), after=after, around=around, tid=tid, prio=120, tasks=tasks)


def waited(timeslices=(), runners=(), **changes):
    """A wait from 1000 to 2000 units; times in units, of snapshots too (None: at the begin)."""
    kept = {"idle_after": 0, "idle_around": 0, "paused_after": 0, "paused_around": 0, "ended": constants.IDLE, "ended_ran": 0}
    kept.update(running_ns=0, running_tid=0, running_prio=120, running_name=words(""), before_ns=BEGAN_NS, after_ns=BEGAN_NS)
    kept.update({key: value * UNIT_NS if key.endswith("_ns") else value for key, value in changes.items()})
    places = [*runners, *(runner("") for _unused in range(constants.ACCOUNTS - len(runners)))]
    return SimpleNamespace(
        ended_ns=ENDED_NS,
        delay_ns=ENDED_NS - BEGAN_NS,
        long_slices=SimpleNamespace(slices=[*timeslices, UNUSED]),
        runners=SimpleNamespace(runners=places, **kept),
    )


def units(us):
    return round(us * 1e3 / UNIT_NS)


@pytest.mark.parametrize(
    ("timeslices", "longest_runner", "idle", "unattributed"),
    [
        ([(7, 2000, 5000)], 7, 0, 0),  # it has run since long before
        ([(7, 900, 500), (8, 2000, 1100)], 8, 0, 0),  # the first one's timeslice was over
        ([(7, 1600, 600), (0, 2000, 400)], 7, 400, 0),
        ([(7, 1400, 400), (0, 2000, 600)], None, 600, 0),  # idle for longer
        ([(7, 1800, 300), (8, 2000, 200)], None, 0, 500),  # who ran before that may have done so for longer
        ([], None, 0, 1000),
    ],
)
def test_timeslices_alone_name_who_ran_longest_where_it_is_known(timeslices, longest_runner, idle, unattributed):
    found = attribution.who_ran(waited([timeslice(*row) for row in timeslices]))
    assert (found["longest_runner"] and found["longest_runner"]["pid"]) == longest_runner
    assert (units(found["idle_us"]), units(found["unattributed_us"])) == (idle, unattributed)
    assert units(sum(row["ran_us"] for row in found["blockers"])) + idle + unattributed == 1000


def test_a_storm_of_short_timeslices_is_told_by_command():
    storm = [runner("bash", 600, tid=70, tasks=900), runner("true", 350, tid=71, tasks=900)]
    found = attribution.who_ran(waited(runners=storm, idle_after=50))
    assert [(row["comm"], row["pid"], units(row["ran_us"])) for row in found["commands"]] == [("bash", None, 600), ("true", None, 350)]
    assert found["longest_runner"] == found["commands"][0] and found["commands"][0]["share"] == pytest.approx(0.6)
    assert (units(found["idle_us"]), units(found["unattributed_us"])) == (50, 0)


def test_kworkers_are_one_command_however_their_timeslices_are_kept():
    kept = [timeslice(40 + number, 1100 + 100 * number, 100, f"kworker/{number}:1") for number in range(4)]
    found = attribution.who_ran(waited(kept, [runner("kworker/", 470, tid=43, tasks=9), runner("app", 530, tid=9)]))
    assert [(row["comm"], row["pid"], units(row["ran_us"])) for row in found["commands"]] == [("app", 9, 530), ("kworker", None, 470)]


def test_one_task_of_an_account_is_one_row_with_its_timeslices():
    found = attribution.who_ran(waited([timeslice(7, 1500, 300, "app")], [runner("app", 900, tid=7)]))
    assert [(row["comm"], row["pid"], units(row["ran_us"])) for row in found["blockers"]] == [("app", 7, 900)]
    assert units(found["unattributed_us"]) == 100


@pytest.mark.parametrize(
    ("ended", "ended_ran", "expected"),
    [
        (0, 5000, {"hog": 1000}),  # the timeslice that ended at the snapshot had gone on since before the begin
        (constants.IDLE, 0, {"hog": 900, "other": 100}),  # in proportion to what both ran between the two snapshots
    ],
)
def test_what_ran_before_the_first_snapshot_of_a_wait(ended, ended_ran, expected):
    around = [runner("hog", 500, around=800), runner("other", 0, around=200, tid=8)]
    found = attribution.who_ran(waited(runners=around, before_ns=500, after_ns=1500, ended=ended, ended_ran=ended_ran))
    assert {row["comm"]: units(row["ran_us"]) for row in found["commands"]} == pytest.approx(expected, abs=1)
    assert units(found["unattributed_us"]) == 0


def test_without_a_snapshot_since_the_begin_nothing_is_more_than_the_wait():
    found = attribution.who_ran(waited(runners=[runner("a", 900), runner("b", 300, tid=8)], before_ns=800, after_ns=800))
    assert {row["comm"]: units(row["ran_us"]) for row in found["commands"]} == {"a": 750, "b": 250}


def test_on_another_cpu_the_task_that_runs_counts():
    found = attribution.who_ran(waited(running_ns=5000, running_tid=77, running_name=words("app-hog")))
    assert [(row["comm"], row["pid"], units(row["ran_us"])) for row in found["commands"]] == [("app-hog", 77, 1000)]


def test_a_pause_is_nobodys_time():
    found = attribution.who_ran(waited([timeslice(7, 2000, 900, "app")], [runner("app", 80, tid=7)], paused_after=820, idle_after=100))
    assert (units(found["paused_us"]), units(found["idle_us"])) == (820, 100)
    assert units(sum(row["ran_us"] for row in found["commands"])) == 80
    assert found["longest_runner"] is None and found["unattributed_us"] == pytest.approx(0, abs=0.01)


def test_the_longest_slice_is_what_one_task_ran_without_a_switch():
    found = attribution.who_ran(waited([timeslice(7, 1700, 700), timeslice(8, 1800, 100), timeslice(7, 2000, 200)]))
    assert (found["longest_slice"]["pid"], units(found["longest_slice"]["ran_us"])) == (7, 700)


def test_many_who_ran_are_bounded_but_the_longest_stay():
    kept = [timeslice(100 + number, 1020 + 30 * number, 10 + number) for number in range(25)]
    found = attribution.who_ran(waited(kept))
    assert [row["pid"] for row in found["blockers"]] == [100 + number for number in range(24, 8, -1)]
    assert len(found["commands"]) == 8


def event(**changes):
    known = {"delay_us": 50000.0, "idle_us": 0.0, "paused_us": 0.0, "prio": 120, "throttled": None, "cpu": 1, "from_cpu": 1}
    top = {"pid": 7, "comm": "app", "prio": 120, "policy": "normal", "ran_us": 49000.0}
    return {**known, "longest_runner": top, **changes}


QUOTA = {"cgroup": "/app", "times": 9, "total_us": 900000, "share_of_waits": 0.9}


@pytest.mark.parametrize(
    ("changes", "facts", "cause"),
    [
        ({}, {}, "run_queue"),
        ({"throttled": QUOTA}, {}, "throttled"),  # others ran, but it could not have
        ({"throttled": {**QUOTA, "share_of_waits": 0.01}}, {}, "run_queue"),
        ({"throttled": {**QUOTA, "share_of_waits": 0.01}, "idle_us": 48000.0, "longest_runner": None}, {}, "throttled"),
        ({"idle_us": 48000.0, "longest_runner": None}, {"virtual": True}, "cpu_not_running"),
        ({"idle_us": 48000.0, "longest_runner": None}, {}, "idle"),
        ({"paused_us": 30000.0}, {}, "cpu_not_running"),
        ({"prio": 49}, {}, "realtime_throttled"),
        ({"prio": 49, "longest_runner": {"pid": 8, "comm": "rt", "prio": 10, "ran_us": 49000.0}}, {}, "run_queue"),
        ({}, {"allowed": {1}, "idle_elsewhere": 0.9}, "affinity"),
        ({}, {"allowed": {1}, "idle_elsewhere": 0.1}, "run_queue"),
        ({}, {"allowed": {1}, "idle_elsewhere": None}, "run_queue"),
    ],
)
def test_the_cause_of_a_wait(changes, facts, cause):
    found, pinned = causes.of_event(event(**changes), {"virtual": False, "allowed": None, "idle_elsewhere": None, **facts})
    assert found == cause
    assert pinned["allowed_cpus"] == ("1" if "allowed" in facts else None)


def test_cpus_are_shown_as_the_kernel_writes_them():
    assert causes.shown({0, 1, 2, 5, 7, 8}) == "0-2,5,7-8"


def sums(**changes):
    return {"ran_ns": 0, "wait_ns": 0, "idle_wait_ns": 0, "longest_ns": 0, "paused_ns": 0, "waits": 0, **changes}


def test_services_are_ordered_by_the_time_that_they_lost_and_each_part_has_its_cause():
    by_path = {
        "/": sums(ran_ns=10**9, wait_ns=10**8, waits=10),
        "/system.slice/db.service": sums(ran_ns=10**9, wait_ns=4 * 10**9, idle_wait_ns=10**9, longest_ns=10**8, waits=40),
        "/box": sums(ran_ns=10**8, wait_ns=10**9, idle_wait_ns=9 * 10**8, paused_ns=10**7, waits=5),
    }
    throttled = {"/box": {"cgroup": "/box", "times": 3, "total_us": 950000}}
    causes.share_of_waits(throttled, by_path)
    assert throttled["/box"]["share_of_waits"] == pytest.approx(0.95)
    reported = [{**event(cause="run_queue", comm="postgres", pid=5, at_s=1.0), "cgroup": "/system.slice/db.service"}] * 5
    rows = causes.services(by_path, reported, throttled, True, 20, interrupts=0.02)
    assert [row["cgroup"] for row in rows] == ["/system.slice/db.service", "/box", "/"]
    db, box, _root = rows
    assert (db["unit"], db["run_queue_ns"], db["steal_ns"], db["throttled_ns"]) == ("db.service", 3 * 10**9, 10**9, 0)
    assert db["interrupted_ns"] == 2 * 10**7 and len(db["worst"]) == 3 and db["worst"][0]["by"] == "app"
    assert (box["run_queue_ns"], box["throttled_ns"], box["steal_ns"]) == (5 * 10**7, 95 * 10**7, 10**7)
    shares = causes.wait_shares(by_path, throttled, True)
    assert shares == {"throttled": round(0.95 / 5.1, 4), "cpu_not_running": round(1 / 5.1, 4)}
    assert causes.services(by_path, [], {}, False, 1)[0]["steal_ns"] == 0  # on bare metal an idle CPU was not taken away


def cpu(switched_ns, accounts=(), running=("", 0), idle_ns=0):
    """accounts: (name, group, ran_ns, since_ns, wait_ns, tid, tasks)."""
    rows, ran = [], []
    for name, group, ran_ns, since_ns, wait_ns, tid, tasks in accounts:
        row = dict(name=words(name), group_id=group, used_ns=1, since_ns=since_ns, wait_ns=wait_ns, tid=tid, tasks=tasks, prio=120)
        rows.append(SimpleNamespace(idle_wait_ns=0, longest_ns=wait_ns, paused_ns=0, waits=1, **row))
        ran.append(ran_ns)
    names = dict(running_name=words(running[0]), running_tid=running[1], running_prio=120)
    return SimpleNamespace(switched_ns=switched_ns, accounts=rows, ran_ns=ran, idle_ns=idle_ns, unaccounted_ns=0, **names)


def test_cpu_time_of_commands_is_that_of_all_cpus_and_of_what_still_runs():
    by_cpu = {
        0: cpu(900, [("app", 5, 700, 100, 30, 7, 0), ("kworker/", 5, 100, 0, 2, 40, 3)], ("app", 7)),
        1: cpu(500, [("kworker/", 1, 200, 0, 0, 41, 0)], ("", 0), idle_ns=300),
        2: cpu(0),
    }
    account = SimpleNamespace(
        group_id=6, ran_ns=50, wait_ns=5, idle_wait_ns=0, longest_ns=5, paused_ns=0, waits=2, tid=8, prio=120, tasks=0
    )
    flushed = [(SimpleNamespace(name=words("app")), account)]
    accounts = attribution.Accounts(by_cpu, flushed, 0, 1000)
    rows = {row["comm"]: row for row in accounts.commands(10)}
    assert (rows["app"]["ran_us"], rows["app"]["share"], rows["app"]["waits"]) == (0.75, 0.375, 3)
    assert (rows["kworker"]["ran_us"], rows["kworker"]["pid"], rows["app"]["pid"]) == (0.3, None, None)
    assert accounts.idle_share() == 0.4 and accounts.idle_share({1}) == 0.8 and accounts.idle_share({2}) is None
    groups, tids = accounts.groups()
    assert {group: row["ran_ns"] for group, row in groups.items()} == {5: 800, 6: 50, 1: 200}
    assert tids[5] == {7, 40}
