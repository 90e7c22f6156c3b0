# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock, the bit and the culprit of stalls, and what tells them from a machine that was paused."""

import os
import struct
from types import SimpleNamespace

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import interrupted, stalls
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import constants
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import RunlatencyProbe


@pytest.mark.parametrize(
    ("release", "mask"),
    [("4.19.0-27-amd64", 8), ("6.1.0-28-amd64", 8), ("6.12.107+deb13-amd64", 8), ("6.17.3", 8), ("6.18.44", 16), ("7.0.0-rc1", 16)],
)
def test_the_bit_that_wants_a_switch_moved(release, mask):
    assert stalls.resched_mask(release) == mask


@pytest.mark.parametrize(("irqoff_us", "nosched_us", "period_us"), [(10000, 10000, 2000), (2000, 10000, 400), (10**7, 500, 100)])
def test_the_clock_ticks_a_fifth_of_the_smaller_threshold(irqoff_us, nosched_us, period_us):
    assert stalls.period_us({"irqoff_us": irqoff_us, "nosched_us": nosched_us, "syscall_us": None}) == period_us


@pytest.mark.parametrize(
    ("stack", "culprit"),
    [
        (["_raw_spin_unlock_irqrestore+0x15", "acme_reset.isra.0+0x61 [acme_nic]", "worker_thread+0x1"], "acme_reset"),
        (["finish_task_switch.isra.0+0x93", "__schedule+0x3e4"], "finish_task_switch"),
        (["_raw_spin_unlock_irq+0x15"], "_raw_spin_unlock_irq"),
        ([], None),
    ],
)
def test_the_culprit_is_not_the_lock(stack, culprit):
    assert stalls.culprit(stack) == culprit


@pytest.mark.parametrize("option", ["irqoff_us", "nosched_us", "syscall_us"])
@pytest.mark.parametrize("value", [0, -1, 499])
def test_thresholds_that_no_clock_can_serve_are_refused(option, value):
    defaults = {name: spec["default"] for name, spec in RunlatencyProbe.OPTIONS.items()}
    with pytest.raises(ValueError, match=f"{option} must be between 500 and 10000000, got {value}"):
        RunlatencyProbe({**defaults, option: value})


@pytest.mark.parametrize(("irqoff_us", "nosched_us", "tick_us"), [(10000, 10000, 1666), (2000, 10000, 333), (10**7, 500, 83)])
def test_ticks_leave_room_for_one_that_is_late(irqoff_us, nosched_us, tick_us):
    assert stalls.tick_us({"irqoff_us": irqoff_us, "nosched_us": nosched_us, "syscall_us": None}) == tick_us


class Watched:
    """A program whose map of masks is filled by the kernel's tracepoint, when there is one."""

    class Resched(list):
        Key = Leaf = staticmethod(lambda value: value)

    def __init__(self, seen):
        self._seen, self.attached = seen, []
        self.resched = self.Resched([None, SimpleNamespace(value=0)])

    def table(self, _name):
        return self.resched

    def attach_raw(self, event, _name):
        if self._seen is None:
            raise Unavailable("no such tracepoint")
        self.attached.append(event)
        self.resched[1].value = self._seen

    def detach_raw(self, event):
        self.attached.remove(event)


@pytest.mark.parametrize(
    ("release", "seen", "mask"),
    [
        ("5.10.0-32-amd64", None, 8),
        ("6.12.107+deb13-amd64", None, 8),
        ("6.17.3", 8, 8),
        ("6.17.3-backport", 16, 16),
        ("6.18.44", 16, 16),
        ("6.18.44", 0, 16),
        ("7.1.0", 32, 32),
    ],
)
def test_the_kernel_itself_says_which_bit_it_sets(monkeypatch, release, seen, mask):
    """Where it has the tracepoint and wakes an idle CPU; else its version does."""
    monkeypatch.setattr(stalls.platform, "release", lambda: release)
    program = Watched(seen)
    assert stalls.learn_resched_mask(program, True) == mask
    assert program.resched[0] == mask
    assert program.attached == []


def test_without_the_place_of_a_tasks_number_no_bit_is_learnt(monkeypatch):
    monkeypatch.setattr(stalls.platform, "release", lambda: "6.18.44")
    assert stalls.learn_resched_mask(Watched(32), False) == 16


STI_NOP = bytes.fromhex("00004889dfe8d3f5e500fb0f1f440000")  # finish_task_switch of 6.18
POPF = bytes.fromhex("0f1f4400000f1f4400000f1f4400009d")
CALL = bytes.fromhex("0f1f44000089fb0f1f440000e8112233")  # mov %edi,%ebx has the byte of sti, too


@pytest.mark.parametrize(("before", "on"), [(STI_NOP, True), (POPF, True), (CALL, False), (bytes(16), False), (b"\x90" * 16, False)])
def test_the_place_where_interrupts_came_back_on_is_known_by_its_code(before, on):
    assert interrupted.switched_on(before) is on


@pytest.mark.parametrize(
    "code",
    [
        "90", "c3", "5b", "415c", "c9", "0f1f440000", "66662e0f1f840000000000", "4889df", "488b4520", "488b0425c0000000", "488b05aabbccdd",
        "8b84c810203040", "e811223344", "eb10", "7405", "0f8511223344", "85c0", "a901020304", "66a90102", "f6432801", "48f7c300020000",
        "f7d8", "48c7c011223344", "48b81122334455667788", "660f6f05aabbccdd", "660f3a0fc108", "0f38f0c1", "f0480fba6d0001",
        "654889042500b00000", "66c704241234", "dd7c2408",
    ],
)  # fmt: skip
def test_instructions_have_the_length_that_a_disassembler_gives_them(code):
    """Each as objdump prints it, followed by other bytes; one that is cut has none."""
    whole = bytearray.fromhex(code)
    assert interrupted.length(whole + bytearray(b"\x11" * 8)) == len(whole)
    assert interrupted.length(whole[:-1]) is None


class Recorded:
    """A program whose maps hold these stalls, each on a CPU of its own: [(kind as the kernel sees it, length in ms, end in ms, code)].

    here: how many of 10,000 ticks that were not late came where the stalls ended.
    """

    def __init__(self, made, here=0):
        self._in_time = {0: [SimpleNamespace(in_time=4000), SimpleNamespace(in_time=6000)]}
        self._places = [(SimpleNamespace(value=1), SimpleNamespace(value=here))] if here else []
        self._counts = {row: [0] * len(made) for row in range(len(stalls.KINDS) * constants.STALL_CLASSES)}
        self._stalls = {}
        for cpu, (kind, length_ms, end_ms, code) in enumerate(made):
            frames = SimpleNamespace(ip=[0] if kind == "cpu_not_running" else [1])
            stall = {"ended_ns": end_ms * 10**6, "most_ns": length_ms * 10**6, "least_ns": (length_ms - 2) * 10**6, "frames": frames}
            stall["ticked_ns"] = 10**6 if code is None else stall["least_ns"]
            number = stalls.KINDS.index(kind) * constants.STALL_CLASSES
            self._counts[number][cpu] = 1
            row = self._stalls.setdefault(number * constants.STALLS_KEPT, [None] * len(made))
            row[cpu] = SimpleNamespace(**stall, code=struct.unpack("<2Q", code or bytes(16)), cpu=cpu, tid=7, comm=b"task")

    def table(self, name):
        places = SimpleNamespace(items=lambda: self._places)
        return {"stalls": self._stalls, "stall_counts": self._counts, "tick_states": self._in_time, "tick_places": places}[name]


SYMBOLS = SimpleNamespace(stack=lambda addresses: ["acme_reset+0x1"] * len(addresses), refresh=lambda: None)
HELD = ("irqoff", 100, 500, STI_NOP)


@pytest.mark.parametrize(
    ("made", "virtual", "stolen_us", "expected"),
    [
        ([HELD], True, {0: 0}, [("irqoff", True, "")]),
        ([HELD], True, {}, [("irqoff", True, "")]),
        ([("irqoff", 100, 500, CALL)], True, {}, [("cpu_not_running", False, "interrupts were on")]),
        ([("irqoff", 100, 500, CALL)], False, {}, [("cpu_not_running", False, "interrupts were on")]),
        ([("irqoff", 100, 500, None)], False, {}, [("irqoff", False, "could not be read")]),
        ([("cpu_not_running", 100, 500, None)], False, {}, [("cpu_not_running", False, "in user mode")]),
        (
            [HELD, ("cpu_not_running", 60, 900, None)],
            True,
            {},
            [("irqoff", False, "did not run for up to 60000 us"), ("cpu_not_running", False, "user mode")],
        ),
        ([HELD, ("cpu_not_running", 60, 900, None)], False, {}, [("irqoff", True, ""), ("cpu_not_running", False, "user mode")]),
        ([HELD, ("cpu_not_running", 40, 900, None)], True, {}, [("irqoff", True, ""), ("cpu_not_running", False, "user mode")]),
        ([HELD], True, {0: 60000}, [("irqoff", False, "took 60000 us from this CPU")]),
        ([HELD], True, {0: 40000, 1: 60000}, [("irqoff", True, "")]),
        ([HELD, ("irqoff", 50, 500, STI_NOP)], False, {}, [("irqoff", True, ""), ("irqoff", False, "CPU 0 had interrupts off")]),
        ([HELD, ("irqoff", 99, 500, STI_NOP)], True, {}, [("irqoff", False, "CPU 1 had"), ("irqoff", False, "CPU 0 had")]),
        ([HELD, ("irqoff", 100, 502, STI_NOP)], True, {}, [("irqoff", True, ""), ("irqoff", True, "")]),
        ([("nosched", 100, 500, STI_NOP)], True, {}, [("nosched", True, "")]),
        ([("nosched", 100, 500, None)], True, {}, [("nosched", False, "ticked for 1000 us only")]),
        ([("syscall", 100, 500, STI_NOP)], True, {}, [("syscall", True, "")]),
        ([HELD, ("syscall", 300, 500, None)], True, {}, [("irqoff", True, ""), ("syscall", False, "ticked for 1000 us only")]),
    ],
)
def test_a_stall_says_what_speaks_against_it(made, virtual, stolen_us, expected):
    found = stalls.Found(Recorded(made), stalls.KINDS, SYMBOLS, 0)
    found.collect()
    events = found.longest(20, virtual, stolen_us)
    assert [event["cpu"] for event in events] == sorted(range(len(made)), key=lambda cpu: -made[cpu][1])
    for event in events:
        kind, certain, reason = expected[event["cpu"]]
        assert (event["kind"], event["certain"]) == (kind, certain)
        assert reason in "; ".join(event["reasons"])
        assert bool(event["reasons"]) != certain
        assert (event["culprit"] is None) == (event["stack"] == []) == (kind == "cpu_not_running")
    assert found.counts == {kind: sum(row[0] == kind for row in expected) for kind in stalls.KINDS}


def of_length(*lengths_ms):
    """Stalls of these lengths, far from one another in time."""
    return [("irqoff", length, 500 + 1000 * place, STI_NOP) for place, length in enumerate(lengths_ms)]


@pytest.mark.parametrize(
    ("made", "here", "virtual", "certain"),
    [
        (of_length(35, 36), 2000, True, False),  # a storm of switches: interrupts are off in the scheduler for a fifth of the time
        (of_length(35, 36), 2000, False, True),  # no hypervisor, no pause
        (of_length(35, 36), 900, True, True),
        (of_length(35), 200, True, False),  # one of one
        (of_length(35), 20, True, True),
        (of_length(*range(30, 36)), 2000, True, True),  # six of six
        (of_length(*range(30, 36)), 6000, True, False),
        (of_length(35, 36), 10000, True, False),
    ],
)
def test_a_pause_of_the_machine_may_meet_interrupts_that_are_off_anyway(made, here, virtual, certain):
    found = stalls.Found(Recorded(made, here), stalls.KINDS, SYMBOLS, 0)
    found.collect()
    events = found.longest(20, virtual, {})
    assert [event["certain"] for event in events] == [certain] * len(made)
    assert all(("would look so" in "; ".join(event["reasons"])) != certain for event in events)


@pytest.mark.parametrize(
    ("times", "number", "share", "expected"), [(0, 5, 0.3, 1), (2, 2, 0.1, 0.01), (1, 3, 0.5, 0.875), (3, 2, 0.5, 0), (2, 9, 1, 1)]
)
def test_the_chance_of_pauses_that_meet_a_share_of_the_time(times, number, share, expected):
    assert stalls.by_chance(times, number, share) == pytest.approx(expected)


def test_a_storm_of_stalls_with_many_culprits_is_weighed():
    events = [
        {"kind": "irqoff", "cpu": 0, "delay_us": 9.0, "least_us": 8.0, "at_s": float(number), "pid": 1, "reasons": []}
        for number in range(1000)
    ]
    for number, event in enumerate(events):
        event.update(culprit=f"f{number % 500}", place=number % 500)
    stalls.doubt(events, True, {}, (10000, {}))
    assert all(event["certain"] for event in events)
    assert 0.0 <= stalls.by_chance(3, 5000, 0.5) <= 1.0 + 1e-9


@pytest.mark.parametrize(
    ("call", "depth", "outermost", "expected"),
    [
        (constants.PAGE_FAULT, 9, "asm_exc_page_fault+0x1", ""),
        (constants.PAGE_FAULT, 9, "net_rx_action+0x1", None),  # the work of an interrupt
        (constants.PAGE_FAULT, constants.DEPTH, "exc_page_fault+0x1", "too deep to show"),
        (19, 9, "do_syscall_64+0x1", ""),
        (19, constants.DEPTH, "do_readv+0x1", ""),
        (19, 0, None, "no stack of it could be taken"),
    ],
)
def test_a_system_call_or_page_fault_by_its_stack(call, depth, outermost, expected):
    names = [*["f+0x1"] * (depth - 1), outermost] if depth else []
    frames = SimpleNamespace(ip=[1] * depth + [0] * (constants.DEPTH - depth))
    times = {"least_ns": 10**7, "most_ns": 10**7, "ticked_ns": 10**7, "ended_ns": 10**9}
    stall = SimpleNamespace(code=[call, 0], frames=frames, cpu=0, tid=7, comm=b"reader", **times)
    event = stalls._event("syscall", stall, SimpleNamespace(stack=lambda addresses: names), 0)
    if expected:
        assert len(event["reasons"]) == 1 and expected in event["reasons"][0]
    else:
        assert (event and event["reasons"]) == (None if expected is None else [])


def test_a_probe_of_this_measurement_is_not_to_blame():
    event = {"kind": "nosched", "cpu": 0, "delay_us": 9.0, "least_us": 8.0, "at_s": 1.0}
    events = [{**event, "pid": pid, "reasons": []} for pid in (os.getpid(), 1)]
    stalls.doubt(events, True, {}, (10000, {}))
    assert [event["certain"] for event in events] == [False, True]
    assert "a probe of this measurement" in events[0]["reasons"][0]


def test_pauses_displace_no_stall_that_has_a_culprit():
    made = [("irqoff", 20, 500, STI_NOP), ("nosched", 20, 500, STI_NOP)] + [("cpu_not_running", 60 + n, 900 + n, None) for n in range(30)]
    found = stalls.Found(Recorded(made), stalls.KINDS, SYMBOLS, 0)
    found.collect()
    kinds = [event["kind"] for event in found.longest(20, True, {})]
    assert sorted(kinds[:2]) == ["irqoff", "nosched"] and kinds[2:] == ["cpu_not_running"] * 20


class Storm:
    """One CPU with more stalls of one kind, as the kernel sees it, than that keeps."""

    def __init__(self, kind="irqoff", code=STI_NOP):
        self.count = 0
        self._code = code
        self._row = stalls.KINDS.index(kind) * constants.STALL_CLASSES
        self._stalls = {}

    def stall(self, number):
        for _unused in range(number):
            self.count += 1
            frames = SimpleNamespace(ip=[1])
            stall = {"ended_ns": self.count, "most_ns": self.count * 1000, "least_ns": 0, "frames": frames, "ticked_ns": 0}
            stall["code"] = struct.unpack("<2Q", self._code)
            place = self._row * constants.STALLS_KEPT + (self.count - 1) % constants.STALLS_KEPT
            self._stalls[place] = [SimpleNamespace(**stall, cpu=0, tid=7, comm=b"task")]

    def table(self, name):
        counts = [[0] for _row in range(len(stalls.KINDS) * constants.STALL_CLASSES)]
        counts[self._row] = [self.count]
        rest = {"tick_states": {0: [SimpleNamespace(in_time=1000)]}, "tick_places": {}}
        return {"stalls": self._stalls, "stall_counts": counts, **rest}[name]


def test_no_stall_is_forgotten_that_was_collected_in_time():
    storm = Storm()
    found = stalls.Found(storm, stalls.KINDS, SYMBOLS, 0)
    for _unused in range(5):
        storm.stall(constants.STALLS_KEPT)
        found.collect(constants.STALLS_KEPT)
    storm.stall(3)
    found.collect(constants.STALLS_KEPT)  # not worth it yet
    assert found.counts["irqoff"] == 5 * constants.STALLS_KEPT
    found.collect()
    assert (found.counts["irqoff"], found.overwritten) == (5 * constants.STALLS_KEPT + 3, 0)
    lengths = [event["delay_us"] for event in found.longest(10**6, False, {})]
    assert lengths == list(range(5 * constants.STALLS_KEPT + 3, 0, -1))
    storm.stall(constants.STALLS_KEPT + 9)
    found.collect()
    assert found.overwritten == 9


@pytest.mark.parametrize(("code", "reason"), [(bytes(16), "in user mode"), (CALL, "interrupts were on")])
def test_pauses_that_come_too_fast_are_counted_without_a_look(code, reason):
    storm = Storm("cpu_not_running", code)
    found = stalls.Found(storm, stalls.KINDS, SYMBOLS, 0)
    storm.stall(constants.STALLS_KEPT + 9)
    found.collect()
    assert (found.counts["cpu_not_running"], found.overwritten) == (constants.STALLS_KEPT + 9, 0)
    events = found.longest(10**6, False, {})
    assert len(events) == constants.STALLS_KEPT and all(event["reasons"][0].startswith(reason) for event in events)


def test_where_a_hypervisor_switches_interrupts_on_only_a_look_can_tell():
    storm = Storm("cpu_not_running", CALL)
    symbols = SimpleNamespace(stack=lambda _addresses: ["xen_irq_enable_direct+0x1"], refresh=lambda: None)
    found = stalls.Found(storm, stalls.KINDS, symbols, 0)
    storm.stall(constants.STALLS_KEPT + 9)
    found.collect()
    assert (found.counts["irqoff"], found.counts["cpu_not_running"], found.overwritten) == (constants.STALLS_KEPT, 0, 9)
