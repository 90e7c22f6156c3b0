# SPDX-License-Identifier: GPL-3.0-or-later
"""Is growth between scans found, and noise not taken for it? Noise of fixed seeds, of kinds on which no threshold was chosen."""

import collections
import itertools
import math
import random

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend.series import judge, slope
from ansible_collections.ksysak.fleet.tests import counter_noise as noise

DAY_S, KIB, MIB, GIB = 86400.0, 2**10, 2**20, 2**30


def verdicts(kind, schedule, count, ratio, runs, seed):
    rng = random.Random(seed)
    paths = [noise.grown(rng, kind, schedule(rng, count), ratio, False) for _unused in range(runs)]
    return collections.Counter(judge(path, noise.FLOOR).verdict for path in paths)


@pytest.mark.parametrize("schedule", noise.OTHER_TIMES.values(), ids=noise.OTHER_TIMES)
def test_noise_is_no_growth_and_growth_thrice_the_noise_is_found(schedule):
    """Of all kinds and numbers of scans together: 1 % at most, and 99 % at least from 10 scans on."""
    alone, grown = collections.Counter(), collections.Counter()
    for (name, kind), count in itertools.product({**noise.OTHERS, **noise.LAST}.items(), (5, 8, 14, 30)):
        alone += verdicts(kind, schedule, count, 0, 30, f"{name} {count}")
        if count >= 10:
            grown += verdicts(kind, schedule, count, 3, 30, f"{name} {count} grows")
    assert alone["grows"] <= 0.01 * alone.total()
    assert grown["grows"] >= 0.99 * grown.total()


def nightly(per_s, nights, level=300 * MIB, wander=4 * MIB, seed=1):
    """Readings of SUnreclaim each night, not quite at the same time; it wanders by some MiB a night."""
    rng, value, points = random.Random(seed), float(level), []
    for night in range(nights):
        at = 40000 + DAY_S * night + rng.gauss(0, 900)
        value += rng.gauss(0, wander)
        points.append((at, value + per_s * at))
    return points


@pytest.mark.parametrize("seed", range(20))
def test_50_kib_a_second_shows_after_one_night_and_2_kib_within_a_week(seed):
    first = judge(nightly(50 * KIB, 2, seed=seed), 4 * MIB)
    assert (first.verdict, first.open) == ("rose", "few")
    assert first.gained == pytest.approx(50 * KIB * DAY_S, rel=0.1)
    assert judge(nightly(50 * KIB, 5, seed=seed), 4 * MIB).verdict == "grows"
    week = judge(nightly(2 * KIB, 8, seed=seed), 4 * MIB)
    assert week.verdict == "grows"
    assert week.least_per_s <= 2 * KIB <= week.most_per_s or week.per_s == pytest.approx(2 * KIB, rel=0.1)
    assert judge(nightly(0, 8, seed=seed), 4 * MIB).verdict in ("steady", "jumped")


def test_a_line_is_its_slope():
    line = [(at, 7 * at + 3) for at in (10.0, 20.0, 50.0, 90.0)]
    assert slope(line) == pytest.approx((7, 7, 7))
    assert slope(line[:2]) == pytest.approx((7, 7, 7))


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 5.0), (9.0, 5.0)],
        [(0.0, 0.0), (9.0, -1e12)],
        [(0.0, 1e12), (9.0, 5.0), (10.0, 0.0)],
        [(1e-9 * n, 0.0) for n in range(50)],
        [(DAY_S * n, (-1) ** n * 1e9) for n in range(50)],
        [(DAY_S * n, -1e9 * n) for n in range(50)],
        [(DAY_S * n, 1e10 if n == 20 else 0.0) for n in range(50)],  # one scan while a backup ran
    ],
    ids=["equal", "less", "less of three", "at one instant", "back and forth", "falls", "a spike"],
)
def test_what_does_not_grow_is_steady(points):
    assert judge(points, 1e6).verdict == "steady"


def test_growth_is_found_beside_a_spike_a_jump_and_a_gap():
    line = nightly(2 * KIB, 20)
    spike = [(at, value + (3 * GIB if place == 9 else 0)) for place, (at, value) in enumerate(line)]
    jump = [(at, value + (8 * GIB if place > 9 else 0)) for place, (at, value) in enumerate(line)]
    fall = [(at, value - (GIB // 2 if place > 9 else 0)) for place, (at, value) in enumerate(line)]
    gap = line[:4] + line[14:]
    for points in (line, spike, jump, fall, gap):
        found = judge(points, 4 * MIB)
        assert found.verdict == "grows"
        assert found.per_s == pytest.approx(2 * KIB, rel=0.1)


def test_what_was_as_high_before_does_not_grow_yet():
    """A cache that is emptied now and then grows each time."""
    emptied = [(at, value - (8 * GIB if place > 9 else 0)) for place, (at, value) in enumerate(nightly(2 * KIB, 20))]
    assert judge(emptied, 4 * MIB).verdict == "steady"
    up_again = [(DAY_S * n, GIB * (n % 10 < 5) + 1e6 * (n % 3)) for n in range(17)]
    assert judge(up_again, 4 * MIB).verdict == "steady"


def test_growth_that_began_late_is_found_from_there_on():
    before = nightly(0, 30)
    points = [(at, value + max(0.0, 20 * KIB * (at - before[22][0]))) for at, value in before]
    found = judge(points, 4 * MIB)
    assert found.verdict == "grows"
    assert 15 <= found.first <= 23
    assert found.per_s == pytest.approx(20 * KIB, rel=0.15)


@pytest.mark.parametrize("half_life_days", [0.2, 1, 2, 4])
def test_a_cache_that_has_filled_is_no_growth(half_life_days):
    """Also not in its last part, which is nearly a line."""
    points = [(at, value + 8 * GIB * (1 - math.exp(-at / DAY_S / half_life_days * math.log(2)))) for at, value in nightly(0, 20)]
    assert judge(points, 4 * MIB).verdict in ("filled", "steady")


def test_a_leak_after_the_caches_have_filled_is_found():
    fill = [(at, value + 8 * GIB * (1 - math.exp(-at / DAY_S * 2))) for at, value in nightly(40 * KIB, 30, wander=0)]
    found = judge(fill, 4 * MIB)
    assert (found.verdict, found.per_s) == ("grows", pytest.approx(40 * KIB, rel=0.05))


@pytest.mark.parametrize("hours", [6, 12, 20])
def test_what_rises_within_a_day_may_fall_by_the_next(hours):
    points = [(600.0 * n, 5 * GIB - 2 * GIB * math.cos(math.pi * n / (6 * hours))) for n in range(6 * hours // 2)]
    found = judge(points, 4 * MIB)
    assert found.verdict in ("rose", "filled")
    assert found.verdict == "filled" or found.open == "day"


@pytest.mark.parametrize("days", [1.1, 1.6, 2.3, 4])
@pytest.mark.parametrize("phase", [0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
def test_a_daily_cycle_is_no_growth(days, phase):
    points = [(3600.0 * n, 5 * GIB + 2 * GIB * math.sin(2 * math.pi * n / 24 + phase)) for n in range(int(24 * days))]
    assert judge(points, 4 * MIB).verdict != "grows"
    leaking = [(at, value + 100 * KIB * at) for at, value in points]
    assert days < 2 or judge(leaking, 4 * MIB).verdict == "grows"


def test_a_jump_is_named_with_its_scans():
    points = [(at, value + (8 * GIB if place >= 6 else 0)) for place, (at, value) in enumerate(nightly(0, 12))]
    found = judge(points, 4 * MIB)
    assert (found.verdict, found.first, found.last) == ("jumped", 5, 6)
    assert found.gained == pytest.approx(8 * GIB, rel=0.01)
    assert judge(points[:7], 4 * MIB).confidence < found.confidence  # whether it stays is not known yet


def test_scans_close_to_each_other_count_once():
    """Ten scans of one hour and one of the next week say what two scans say."""
    points = [(50000.0 + 300 * n, 300 * MIB) for n in range(10)] + [(50000 + 7 * DAY_S, 2 * GIB)]
    found = judge(points, 4 * MIB)
    assert (found.verdict, found.open, found.readings) == ("rose", "few", 2)


def test_three_scans_of_a_fast_leak():
    found = judge([(3600.0, 100 * MIB), (4200.0, 220 * MIB), (4800.0, 341 * MIB)], 4 * MIB)
    assert found.verdict == "rose"
    assert found.per_s == pytest.approx(0.2 * MIB, rel=0.02)
