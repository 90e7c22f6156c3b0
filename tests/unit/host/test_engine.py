# SPDX-License-Identifier: GPL-3.0-or-later
"""What all engines that trace with bcc have in common."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import engine


class Program:
    closed = 0

    def close(self):
        self.closed += 1


class Example(engine.BccEngine):
    def check_options(self):
        if self.options.get("missing"):
            raise Unavailable("no such task")

    def compile_and_attach(self):
        self._program = Program()
        if self.options.get("refused"):
            raise Unavailable("cannot attach")


@pytest.fixture
def prepared(monkeypatch):
    """Count how often this process is prepared for bcc, without doing so."""
    calls = []
    monkeypatch.setattr(engine.program, "prepare", lambda: calls.append("prepare"))
    return calls


def test_nothing_is_prepared_for_options_that_name_nothing(prepared):
    example = Example({"missing": True})
    with pytest.raises(Unavailable, match="no such task"):
        example.open()
    example.close()
    assert not prepared


@pytest.mark.parametrize("refused", [False, True])
def test_what_was_compiled_is_closed_also_when_it_could_not_be_attached(prepared, refused):
    example = Example({"refused": refused})
    try:
        example.open()
    except Unavailable:
        assert refused
    compiled = example._program
    example.close()
    assert prepared == ["prepare"] and compiled.closed == 1


def test_what_is_only_counted_may_lack_a_larger_share():
    example = Example({})
    example.account_lost(999, 99_001, "interrupts", "counts are too low", engine.COUNTED_SHARE)
    assert example.degradations == []
    example.account_lost(1001, 98_999, "interrupts", "counts are too low", engine.COUNTED_SHARE)
    assert example.degradations == ["1001 of 100000 interrupts were lost: counts are too low"]


@pytest.mark.parametrize(
    ("lost", "seen", "degraded"),
    [(0, 0, False), (100, 0, False), (101, 0, True), (101, 100_898, True), (101, 100_899, False), (5000, 4_995_000, False)],
)
def test_more_lost_events_than_a_few_degrade(lost, seen, degraded):
    example = Example({})
    example.account_lost(lost, seen, "waits", "counts are too low")
    assert (example.lost_events, example.lost_share) == (lost, pytest.approx(lost / max(lost + seen, 1), abs=1e-6))
    assert example.degradations == ([f"{lost} of {lost + seen} waits were lost: counts are too low"] if degraded else [])
