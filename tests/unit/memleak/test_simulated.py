# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on sites whose truth is known, made by simulation.py. Bounds hold with these seeds; main() of simulation.py measures more."""

import pytest

from ansible_collections.ksysak.fleet.tests.unit.memleak import simulation

EACH = 120
STILL = ("steady", "mixed", "ring", "backlog", "burst", "once")


def shares(kind, noise, verdict):
    found = simulation.counted(EACH, [(kind,)], noise=noise)[kind]
    assert sum(found.values()) == EACH
    return found[verdict] / EACH


@pytest.mark.parametrize("kind", STILL)
def test_on_a_quiet_host_nothing_that_stands_still_is_a_leak(kind):
    assert shares(kind, 0, "leak") == 0


@pytest.mark.parametrize("kind", STILL)
def test_a_counter_that_others_move_makes_no_leak_of_what_stands_still(kind):
    """Noise of up to 70 % of the growth that the survivors seem to be: a 95 % interval errs once in forty."""
    assert shares(kind, None, "leak") <= 0.025


@pytest.mark.parametrize(("noise", "most"), [(0, 0.025), (None, 0.06)])
def test_a_cache_that_became_full_within_the_window_is_hardly_ever_a_leak(noise, most):
    assert shares("cache", noise, "leak") <= most


@pytest.mark.parametrize(("noise", "least"), [(0, 0.94), (0.05, 0.9), (None, 0.8)])
def test_leaks_of_any_rate_size_and_pattern_are_found(noise, least):
    assert shares("leak", noise, "leak") >= least


@pytest.mark.parametrize(("kind", "noise", "least"), [("late", 0, 0.75), ("late", None, 0.6), ("jerky", 0, 0.92), ("jerky", None, 0.8)])
def test_leaks_that_begin_within_the_window_or_come_in_jerks_are_found(kind, noise, least):
    assert shares(kind, noise, "leak") >= least


def test_leaks_beside_others_of_one_cache_are_found():
    found = simulation.counted(25, [("leak", kind) for kind in STILL], noise=0)["leak"]
    assert found["leak"] >= 0.9 * sum(found.values())
