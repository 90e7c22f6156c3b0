# SPDX-License-Identifier: GPL-3.0-or-later
"""From waits to causes, holders, chains and services."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked import reasons, rows

MS = 10**6


def task(pid, comm, cgroup="/a.service", tid=None, is_kernel_thread=False):
    return rows.Task(pid, tid or pid, comm, cgroup, None, is_kernel_thread)


def reason(kind):
    row = next(row for row in reasons.ROWS if row.kind == kind)
    return reasons.Reason(row, "function_of_" + kind, "write")


VICTIM, AGENT, DISK, OTHER = task(10, "victim"), task(20, "agent", "/b.service"), task(30, "writer", "/c.service"), task(40, "other")


def wait(of, kind, ended_ms, slept_ms, **more):
    return rows.Wait(of, reason(kind), ended_ms * MS, slept_ms * MS, ["f+0x1"], **more)


def facts(*waits, begin_ms=0, end_ms=None, top=10, also=None):
    found = rows.Waits(begin_ms * MS)
    found.end_ns = end_ms and end_ms * MS
    for one in waits:
        found.add(one)
    if also:
        also(found)
    return found.facts(top)


def test_the_owner_is_the_holder_before_who_woke():
    found = facts(wait(VICTIM, "mmap_lock", 500, 100, owner=AGENT, waker=OTHER))["waits"][0]["holder"]
    assert (found["comm"], found["by"]) == ("agent", "owner")


def test_who_woke_holds_only_what_a_task_lets_go_of():
    assert facts(wait(VICTIM, "mutex", 500, 100, waker=AGENT))["waits"][0]["holder"]["by"] == "waker"
    assert facts(wait(VICTIM, "block_io", 500, 100, waker=AGENT))["waits"][0]["holder"] is None
    assert facts(wait(VICTIM, "memcg", 500, 100, waker=AGENT))["reasons"][0]["holders"] == []


def test_nobody_holds_what_it_waits_for_itself():
    assert facts(wait(VICTIM, "mutex", 500, 100, owner=VICTIM, waker=VICTIM))["waits"][0]["holder"] is None


def test_the_chain_ends_with_who_waits_for_nobody():
    """victim waits for agent, agent for writer, writer for a device."""
    found = facts(
        wait(VICTIM, "inode_lock", 1000, 800, owner=AGENT),
        wait(AGENT, "journal", 990, 780, waker=DISK),
        wait(DISK, "block_io", 980, 770),
    )["waits"]
    chain = next(row for row in found if row["comm"] == "victim")["chain"]
    assert [(row["comm"], row["kind"]) for row in chain] == [("agent", "journal"), ("writer", "block_io")]


def test_a_short_wait_of_the_holder_is_no_part_of_the_chain():
    found = facts(wait(VICTIM, "mutex", 1000, 800, owner=AGENT), wait(AGENT, "journal", 990, 100))["waits"]
    assert next(row for row in found if row["comm"] == "victim")["chain"] == []


def test_a_circle_of_holders_ends():
    found = facts(wait(VICTIM, "mutex", 1000, 800, owner=AGENT), wait(AGENT, "mutex", 1000, 790, owner=VICTIM))["waits"]
    assert [len(row["chain"]) for row in found] == [1, 1]


@pytest.mark.parametrize(("end_ms", "total_us"), [(None, 300000.0), (1300, 300000.0), (1250, 250000.0), (900, 0.0)])
def test_what_lies_outside_the_window_counts_for_the_length_and_for_no_sum(end_ms, total_us):
    cause = facts(wait(VICTIM, "nfs", 1300, 5000), begin_ms=1000, end_ms=end_ms)["reasons"][0]
    assert (cause["longest_us"], cause["total_us"]) == (5000000.0, total_us)


def test_a_wait_that_was_asked_for_is_no_cause():
    found = rows.Waits(0)
    found.add(wait(VICTIM, "file_lock", 500, 400))
    listed = found.facts(5)
    assert (found.count, found.expected, listed["reasons"], listed["services"]) == (0, 1, [], [])
    assert listed["waits"][0]["expected"]


def test_a_kernel_thread_is_no_victim_and_can_be_a_holder():
    thread = task(5, "jbd2/vda1-8", None, is_kernel_thread=True)
    found = facts(wait(thread, "block_io", 400, 300), wait(VICTIM, "journal", 500, 100, waker=thread))
    assert [cause["kind"] for cause in found["reasons"]] == ["journal"]
    assert found["reasons"][0]["holders"][0]["comm"] == "jbd2/vda1-8"


def test_waits_of_users_come_before_longer_ones_that_nobody_is_to_blame_for():
    found = facts(wait(VICTIM, "file_lock", 900, 800), wait(OTHER, "mutex", 500, 60), top=1)
    assert found["waits"][0]["comm"] == "other"


def test_causes_add_up_by_victim_and_holder():
    found = facts(
        *(wait(VICTIM, "mmap_lock", 200 * n, 100, owner=AGENT) for n in range(1, 5)), wait(OTHER, "mmap_lock", 300, 60, owner=DISK)
    )
    cause = found["reasons"][0]
    assert (cause["count"], cause["tasks"], cause["total_us"], cause["longest_us"]) == (5, 2, 460000.0, 100000.0)
    assert [(row["comm"], row["count"]) for row in cause["victims"]] == [("victim", 4), ("other", 1)]
    assert [(row["comm"], row["total_us"]) for row in cause["holders"]] == [("agent", 400000.0), ("writer", 60000.0)]


def test_a_storm_of_waits_keeps_the_longest():
    found = rows.Waits(0)
    for number in range(5000):
        found.add(wait(task(number + 1, "task"), "mutex", 10000, 50 + number % 3000))
    assert found.count == 5000
    assert found.facts(3)["waits"][0]["delay_us"] == 3049000.0
    assert len(found._longest) <= rows._KEPT


def test_looks_give_services_their_blocked_time_by_kind():
    found = rows.Waits(0)
    for _unused in range(40):
        found.sample(VICTIM, reason("block_io"), "vda", 20 * MS)
    found.sample(VICTIM, reason("mutex"), None, 20 * MS)
    found.sample(AGENT, reason("file_lock"), None, 20 * MS)
    found.sample(task(5, "kworker", None, is_kernel_thread=True), reason("block_io"), "vda", 20 * MS)
    listed = found.facts(5)
    assert [(row["cgroup"], row["blocked_us"]) for row in listed["services"]] == [("/a.service", 820000.0)]
    assert listed["services"][0]["kinds"] == {"block_io": 800000.0, "mutex": 20000.0}
    assert (listed["reasons"][0]["device"], listed["reasons"][0]["sampled_us"], listed["reasons"][0]["count"]) == ("vda", 800000.0, 0)


def test_an_interruptible_wait_is_in_the_time_of_its_service():
    """Looks weigh uninterruptible sleep alone."""
    assert facts(wait(VICTIM, "fuse", 500, 100, state="S"))["services"][0]["blocked_us"] == 100000.0
    assert facts(wait(VICTIM, "fuse", 500, 100, state="D"))["services"][0]["blocked_us"] == 0.0


@pytest.mark.parametrize(
    "stack, expected",
    [
        (["try_to_wake_up+0x1", "wake_up_q+0x4a", "rwsem_wake+0x90", "up_read+0x60", "m_stop+0x40", "__x64_sys_read+0x1"], "read, m_stop"),
        (["try_to_wake_up+0x1", "mutex_unlock+0x2", "driver_ioctl+0x8 [driver]"], "driver_ioctl"),
        ([], ""),
    ],
)  # fmt: skip
def test_what_the_holder_was_doing(stack, expected):
    assert rows.doing(stack) == expected


def test_a_device_has_its_own_waits_and_those_behind_who_waits_for_it():
    """victim and agent wait for the lock of writer, which waits for vda; other waits for vda itself, and for a lock of nobody."""
    found = facts(
        wait(VICTIM, "rwsem", 1000, 800, owner=DISK),
        wait(AGENT, "rwsem", 1000, 400, owner=DISK),
        wait(DISK, "block_io", 990, 780, device="vda"),
        wait(OTHER, "io_throttling", 500, 300, device="vda"),
        wait(OTHER, "rwsem", 900, 100),
    )
    (device,) = found["devices"]
    assert (device["device"], device["count"], device["tasks"]) == ("vda", 2, 4)
    assert (device["total_us"], device["behind_us"], device["longest_us"]) == (2280000.0, 1200000.0, 780000.0)
    assert list(device["kinds"].items()) == [("block_io", 780000.0), ("io_throttling", 300000.0)]
    assert [victim["comm"] for victim in device["victims"]] == ["victim", "writer", "agent"]
    assert {row["kind"]: row["behind"] for row in found["reasons"]} == {"rwsem": "vda", "block_io": None, "io_throttling": None}


def test_a_lock_that_is_held_behind_a_device_now_and_then_is_not_the_devices():
    found = facts(
        wait(VICTIM, "rwsem", 1000, 100, owner=DISK),
        wait(DISK, "block_io", 1000, 100, device="vda"),
        wait(VICTIM, "rwsem", 9000, 700, owner=AGENT),
    )
    assert {row["kind"]: row["behind"] for row in found["reasons"]}["rwsem"] is None
    assert found["devices"][0]["behind_us"] == 100000.0


def test_a_wait_for_a_device_behind_another_one_for_it_counts_once():
    """fsync waits for the journal on vda, whose thread waits for vda: one wait of the program, and one device."""
    thread = task(50, "jbd2/vda-8", is_kernel_thread=True)
    found = facts(
        wait(VICTIM, "journal", 1000, 800, waker=thread, device="vda"), wait(thread, "block_io", 990, 780, device="vda"),
        wait(AGENT, "journal", 1000, 500, waker=OTHER, device="md0"), wait(OTHER, "block_io", 1000, 500, device="sda"),
    )  # fmt: skip
    sums = {row["device"]: (row["total_us"], row["behind_us"], row["tasks"]) for row in found["devices"]}
    assert sums == {"vda": (800000.0, 0.0, 1), "md0": (500000.0, 0.0, 1), "sda": (1000000.0, 500000.0, 2)}


def test_a_device_has_its_short_waits_as_samples_estimate_them():
    def sample(waits):
        for _number in range(40):
            waits.sample(VICTIM, reason("block_io"), "vda", 20_000_000)
            waits.sample(AGENT, reason("writeback"), "vda", 10_000_000)
            waits.sample(OTHER, reason("mutex"), "vda", 10_000_000)  # no wait for a device

    found = facts(wait(DISK, "block_io", 900, 60, device="vda"), also=sample)
    (device,) = found["devices"]
    assert (device["sampled_us"], device["total_us"], device["count"]) == (1_200_000.0, 60000.0, 1)
    assert (device["tasks"], device["sampled_tasks"]) == (1, 2)
    assert device["kinds"] == {"block_io": 800000.0, "writeback": 400000.0}
    assert [(victim["comm"], victim["sampled_us"]) for victim in device["victims"]] == [("victim", 8e5), ("agent", 4e5), ("writer", 0.0)]


def test_a_sleep_that_was_asked_for_and_a_kernel_thread_add_nothing_to_a_device():
    flusher = task(50, "kworker", is_kernel_thread=True)
    asked = wait(VICTIM, "file_lock", 1000, 800, owner=DISK)
    assert asked.reason.expected
    found = facts(asked, wait(flusher, "rwsem", 1000, 800, owner=DISK), wait(DISK, "block_io", 1000, 900, device="vda"))
    assert [(row["behind_us"], row["tasks"]) for row in found["devices"]] == [(0.0, 1)]
