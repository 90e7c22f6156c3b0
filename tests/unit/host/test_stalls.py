# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock, the bit and the culprit of stalls."""

from types import SimpleNamespace

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils.runlatency import stalls
from ansible_collections.ksysak.fleet.plugins.module_utils.runlatency.probe import RunlatencyProbe


@pytest.mark.parametrize(
    ("release", "mask"),
    [("4.19.0-27-amd64", 8), ("6.1.0-28-amd64", 8), ("6.12.107+deb13-amd64", 8), ("6.17.3", 8), ("6.18.44", 16), ("7.0.0-rc1", 16)],
)
def test_the_bit_that_wants_a_switch_moved(release, mask):
    assert stalls.resched_mask(release) == mask


@pytest.mark.parametrize(("irqoff_us", "nosched_us", "period_us"), [(10000, 10000, 2000), (2000, 10000, 400), (10**7, 500, 100)])
def test_the_clock_ticks_a_fifth_of_the_smaller_threshold(irqoff_us, nosched_us, period_us):
    assert stalls.period_us({"irqoff_us": irqoff_us, "nosched_us": nosched_us}) == period_us


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


@pytest.mark.parametrize("option", ["irqoff_us", "nosched_us"])
@pytest.mark.parametrize("value", [0, -1, 499])
def test_thresholds_that_no_clock_can_serve_are_refused(option, value):
    defaults = {name: spec["default"] for name, spec in RunlatencyProbe.OPTIONS.items()}
    with pytest.raises(ValueError, match=f"{option} must be between 500 and 10000000, got {value}"):
        RunlatencyProbe({**defaults, option: value})


class Recorded:
    """A program whose maps hold these stalls, one CPU each: [(kind, length in ms, end in ms)]."""

    def __init__(self, made):
        self._counts = [[sum(row[0] == kind for row in made)] for kind in stalls.KINDS]
        rows = {}
        for cpu, (kind, length_ms, end_ms) in enumerate(made):
            frames = SimpleNamespace(ip=[] if kind == "pause" else [1])
            stall = {"ended_ns": end_ms * 10**6, "most_ns": length_ms * 10**6, "least_ns": (length_ms - 2) * 10**6, "frames": frames}
            rows.setdefault(stalls.KINDS.index(kind) * stalls.KEPT, []).append(SimpleNamespace(**stall, cpu=cpu, tid=7, comm=b"task"))
        self._stalls = [rows.get(index, []) for index in range(len(stalls.KINDS) * stalls.KEPT)]

    def table(self, name):
        return {"stalls": self._stalls, "stall_counts": self._counts}[name]


SYMBOLS = SimpleNamespace(stack=lambda addresses: ["acme_reset+0x1"] * len(addresses))


@pytest.mark.parametrize(
    ("made", "virtual", "kinds"),
    [
        ([("irqoff", 100, 500), ("irqoff", 100, 500)], True, ["pause", "pause"]),
        ([("irqoff", 100, 500), ("pause", 101, 500)], True, ["pause", "pause"]),
        ([("irqoff", 100, 500), ("irqoff", 100, 500)], False, ["irqoff", "irqoff"]),
        ([("irqoff", 100, 500), ("irqoff", 50, 500)], True, ["irqoff", "irqoff"]),
        ([("irqoff", 100, 500), ("irqoff", 100, 502)], True, ["irqoff", "irqoff"]),
        ([("irqoff", 100, 500), ("nosched", 100, 500)], True, ["irqoff", "nosched"]),
        ([("irqoff", 100, 500)], True, ["irqoff"]),
    ],
    ids=["all at once", "one in user mode", "bare metal", "one waited for the other", "one after the other", "no standstill", "one CPU"],
)
def test_a_machine_that_was_paused_blames_no_function(made, virtual, kinds):
    counts, events = stalls.read(Recorded(made), SYMBOLS, 0, 20, virtual)
    assert sorted(event["kind"] for event in events) == sorted(kinds)
    assert counts == {kind: kinds.count(kind) for kind in stalls.KINDS}
    assert all((event["kind"] == "pause") == (event["culprit"] is None) == (event["stack"] == []) for event in events)
