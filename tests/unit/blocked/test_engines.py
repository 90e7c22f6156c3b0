# SPDX-License-Identifier: GPL-3.0-or-later
"""Pure parts of the two engines: clocks, calls, and looks at a /proc that is made up."""

import struct

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked import sampling, tracing
from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.probe import BlockedProbe

BOOT_NS = 5 * 10**9  # CLOCK_MONOTONIC is that far behind the scheduler's clock


def _samples(rate, late_ns, span_ns=150 * 10**6, step_ns=10**6):
    """Wake-ups as on_calibrate notes them. late_ns: of each, from the wake-up to the switch."""
    for number in range(span_ns // step_ns):
        now = 10**12 + number * step_ns
        yield now, (now + 300) * rate // 10**9, now - late_ns(number) + BOOT_NS


@pytest.mark.parametrize("rate", [100, 250, 300, 1000])
@pytest.mark.parametrize("late_ns", [lambda n: 2000, lambda n: 2000 + 37 * n % 9 * 100000, lambda n: 5 * 10**6 if n % 7 else 3000])
def test_clocks_are_compared_by_the_wakeup_that_was_delayed_least(rate, late_ns):
    jiffy_ns, jiffies_offset, offset = tracing.clock(list(_samples(rate, late_ns)))
    assert jiffy_ns == 10**9 // rate
    assert 0 <= BOOT_NS - offset <= 10000
    now = 10**12 + 10**8
    assert abs(now * rate // 10**9 * jiffy_ns + jiffies_offset - (now + BOOT_NS)) <= jiffy_ns + 10**6


def test_the_call_before_a_return_address():
    address = 0xFFFFFFFF81234560
    code = b"\x00\x00\x00\xe8" + struct.pack("<i", -0x1000)
    assert tracing.called_by(int.from_bytes(code, "little"), address) == address - 0x1000
    assert tracing.called_by(int.from_bytes(b"\x00" * 6 + b"\xff\xd0", "little"), address) is None  # call *%rax
    assert tracing.called_by(0, address) is None


@pytest.mark.parametrize("threshold_ms, word", [(0, "threshold_ms"), (3600001, "threshold_ms"), (-1, "threshold_ms")])
def test_a_threshold_that_cannot_be(threshold_ms, word):
    with pytest.raises(ValueError, match=word):
        BlockedProbe({"threshold_ms": threshold_ms, "top": 10})


@pytest.mark.parametrize("threshold_ms", [1, 50, 3600000])
def test_looks_come_often_enough_to_see_a_wait_of_the_threshold(threshold_ms):
    engine = tracing.BccEngine({"threshold_ms": threshold_ms, "top": 10})
    assert engine._least_pause_s <= tracing._LOOK_S
    assert threshold_ms < 15 or engine._suspect_ns + engine._least_pause_s * 1e9 <= threshold_ms * 10**6


class Proc:
    """A folder like /proc whose tasks are set before each look."""

    def __init__(self, folder):
        self.folder = folder

    def set(self, tasks):
        """tasks: {(pid, tid): (comm, state, switches, stack)}"""
        for old in self.folder.iterdir():
            for file in sorted(old.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            old.rmdir()
        for (pid, tid), (comm, state, switches, stack) in tasks.items():
            place = self.folder / str(pid) / "task" / str(tid)
            place.mkdir(parents=True)
            (place / "stat").write_text(f"{tid} ({comm}) {state} 1 1 1 0 -1 {4194304} 0 0 0\n")
            (place / "status").write_text(f"Name:\t{comm}\nvoluntary_ctxt_switches:\t{switches}\n")
            (place / "stack").write_text("".join(f"[<0>] {frame}/0x200\n" for frame in stack))


@pytest.fixture
def looks(tmp_path, monkeypatch):
    """``looks([(ms, tasks), ...])``: the facts of an engine that looked at those times."""
    proc, now = Proc(tmp_path), [0]
    monkeypatch.setattr(sampling, "_now_ns", lambda: now[0])

    def run(steps, threshold_ms=50):
        engine = sampling.ProcfsEngine({"threshold_ms": threshold_ms, "top": 10})
        engine.open()
        engine._root = str(tmp_path)
        engine.start(1)
        for at_ms, tasks in steps:
            proc.set(tasks)
            now[0] = at_ms * 10**6
            engine._look()
        engine.stop()
        return engine.read(1.0)

    return run


FSYNC = ("jbd2_log_wait_commit+0xd0", "ext4_sync_file+0x1d0", "__x64_sys_fsync+0x30")


def blocked(switches, stack=FSYNC, comm="a (b) c", state="D"):
    return {(10, 11): (comm, state, switches, list(stack))}


def test_a_wait_is_seen_from_the_first_to_the_last_look(looks):
    found = looks([(50, blocked(1)), (100, blocked(1)), (150, blocked(1)), (200, {})])
    wait = found["waits"][0]
    assert (wait["comm"], wait["tid"], wait["kind"], wait["call"], wait["delay_us"]) == ("a (b) c", 11, "journal", "fsync", 100000.0)
    assert found["count"] == 1
    assert found["reasons"][0]["sampled_us"] == 150000.0


def test_two_sleeps_of_a_task_are_two_waits(looks):
    found = looks([(50, blocked(1)), (100, blocked(2)), (150, blocked(3)), (200, blocked(4)), (250, {})])
    assert found["count"] == 0  # each was seen once
    assert found["reasons"][0]["sampled_us"] == 200000.0


def test_a_wait_that_goes_on_is_ongoing(looks):
    found = looks([(50, blocked(1)), (150, blocked(1))])
    assert found["waits"][0]["ongoing"]


def test_a_task_that_ends_while_it_is_looked_at(looks, tmp_path):
    found = looks([(50, {(10, 11): ("x", "D", 1, []), (12, 12): ("y", "D", 1, list(FSYNC))}), (100, {}), (150, {})])
    assert found["count"] == 0


@pytest.mark.parametrize("state", ["S", "R", "T", "t", "I", "Z"])
def test_no_other_state_is_blocked(looks, state):
    found = looks([(50, blocked(1, state=state)), (250, blocked(1, state=state))])
    assert (found["count"], found["reasons"], found["waits"]) == (0, [], [])


def test_without_stacks_the_wait_has_no_function(looks):
    wait = looks([(50, blocked(1, [])), (250, blocked(1, []))])["waits"][0]
    assert (wait["kind"], wait["function"], wait["stack"]) == ("other", "", [])


def test_a_stack_of_proc():
    text = "[<0>] folio_wait_bit_common+0x13d/0x350\n[<0>] ext4_sync_file+0x1/0x2 [ext4]\nnonsense\n"
    assert sampling.parse_stack(text) == ["folio_wait_bit_common+0x13d", "ext4_sync_file+0x1 [ext4]"]
