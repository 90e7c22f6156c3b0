# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a counter grow? Judges a few readings at irregular instants, of which nothing is known but that they are noisy.

The slope is the median slope of all pairs (Theil and Sen), its interval Sen's. Kendall's test, on which that interval rests, takes
readings for independent. Counters of a kernel are not: they wander, and one random walk in three passes for a line. So the growth must
also be several times the spread of the readings around the line, which in a random walk is as large as its drift. How many times is from
simulation (tests/bench/trend.py): of noise alone, whether white, wandering, in steps or daily, less than 1 % passes.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

DAY_S = 86400.0
FEW = 5  # readings from which growth can be told from a step
WHITE_FROM = 14  # readings
WHITE_LEAST = 2.2
PART = 1.3  # times as sure when only the later part of the readings grows
SPIKE = 3.0  # times the spread of the other readings: a scan while a backup ran
ALIKE = 64  # readings closer than this part of the whole time are one
BOOT_S = DAY_S  # of uptime: until then a host fills its caches
STOPPED = 0.6  # of the rate at first, below which the rate at last is that of a cache that has filled
FILLED = 3.0  # times the spread at last, that it must have grown to be called so
STEADY = 0.9  # the same for the later part of readings after a cache has filled
SURE = 0.8  # times the noise from reading to reading
SAME_HOUR_S = 1.5 * 3600
SEVERAL_DAYS_S = 3 * DAY_S  # in which a daily cycle is part of the spread
SAME_HOUR = 0.4  # of the slope, that readings whole days apart must have too
Z95 = 1.96

Points = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is known of a counter.

    verdict: grows; jumped (one step up between two readings); rose (up, and it may yet stop or fall); filled (it grew and stopped);
    steady. per_s, least_per_s, most_per_s: slope and its 95 % interval; gained: growth along the line, or size of the jump; spread: of the
    readings around the line; first, last: places of the readings between which it grew, or jumped; readings: how many the verdict
    rests on, those close to each other counted once; confidence: from 0 to 1; open: why a rise is not surely growth: 'few'
    readings, or all of them of one 'day', so that it may fall again by the next.
    """

    verdict: str
    per_s: float = 0.0
    least_per_s: float = 0.0
    most_per_s: float = 0.0
    gained: float = 0.0
    spread: float = 0.0
    first: int = 0
    last: int = 0
    readings: int = 0
    confidence: float = 0.0
    open: str = ""


def judge(points: Points, floor: float) -> Verdict:
    """Return the verdict on points [(seconds, value), …]: at least two, sorted by time, no two at one instant.

    floor: what the counter differs by without any reason, more than 0.
    """
    values = [value for _at, value in points]
    if max(values) - min(values) <= floor:
        return Verdict("steady", readings=len(points))
    merged, places = _merged(points)
    jump, step = _jump(merged, floor) if len(merged) > 2 else (0, 0.0)
    booted = jump == 1 and step > 0 and merged[0][0] < BOOT_S
    gained = merged[-1][1] - merged[0][1]
    filled = Verdict("filled", gained=gained, last=places[-1][-1], readings=len(merged)) if booted else None
    if len(merged) >= FEW:
        level = [(at, value - (step if jump and place >= jump else 0.0)) for place, (at, value) in enumerate(merged)]
        for first in _starts(level):
            found = _line(level[first:], floor, PART if first else 1.0, STEADY if filled else STOPPED)
            rises = found.verdict not in ("filled", "steady") if found else False
            if rises and _was_higher(merged, max(first, jump if step < 0 else 0)):
                continue
            if found:
                found = dataclasses.replace(found, first=places[first][0], last=places[-1][-1])
            if found and rises:
                return found
            filled = filled or found
    if step > 0 and not booted and not _was_higher(merged, jump):
        return _jumped(merged, places, jump, 0.9 if jump < len(merged) - 1 else 0.5)
    return filled or (_rose(merged, places, floor) if len(merged) < FEW else Verdict("steady", readings=len(merged)))


def _least_growth(residuals: Sequence[float]) -> float:
    """Return how many times the spread of its residuals a growth must be: what 1 random walk in 200 reaches, by simulation.

    Residuals that change from reading to reading as much as white noise (von Neumann's ratio is 2 then, and near 0 for a random walk) need
    less, as far as so many readings can show it.
    """
    readings = len(residuals)
    walking = 3.6 + 34 / (readings - 2) ** 1.4
    if readings < WHITE_FROM:
        return walking
    mean = sum(residuals) / readings
    changes = sum((later - early) ** 2 for early, later in itertools.pairwise(residuals))
    ratio = changes / (sum((value - mean) ** 2 for value in residuals) or 1.0)
    white = min(1.0, max(0.0, 2 * (ratio - 1 - 8 / readings)))
    return walking + white * (WHITE_LEAST - walking)


def _least_jump(readings: int) -> float:
    """Return how many times the spread of the other readings a jump must be."""
    return 4 + 40 / (readings - 2) ** 2


def _was_higher(points: Points, first: int) -> bool:
    """Was the counter as high before as it is now? A cache that is emptied now and then grows each time, and never beyond that."""
    before = sorted(value for _at, value in points[:first])
    return bool(before) and points[-1][1] <= before[-1 - len(before) // 8]


def slope(points: Points) -> tuple[float, float, float]:
    """Return (median slope of all pairs, least, most: Sen's 95 % interval) of two or more points at different instants."""
    slopes = sorted((later[1] - early[1]) / (later[0] - early[0]) for n, early in enumerate(points) for later in points[n + 1 :])
    count, pairs = len(points), len(slopes)
    half = Z95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    least, most = max(0, math.floor((pairs - half) / 2)), min(pairs - 1, math.ceil((pairs + half) / 2))
    return _median(slopes), slopes[least], slopes[most]


def _median(ordered: Sequence[float]) -> float:
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _middle(points: Points) -> tuple[float, float]:
    return _median(sorted(at for at, _value in points)), _median(sorted(value for _at, value in points))


def _merged(points: Points) -> tuple[list[tuple[float, float]], list[list[int]]]:
    """Return (points in which those that are close together are one, places of the points that each one is of)."""
    apart = (points[-1][0] - points[0][0]) / ALIKE
    places: list[list[int]] = []
    for place, (at, _value) in enumerate(points):
        if places and at - points[places[-1][0]][0] < apart:
            places[-1].append(place)
        else:
            places.append([place])
    return [_middle([points[place] for place in same]) for same in places], places


def _starts(points: Points) -> list[int]:
    """Return from which points on growth is looked for: the first one; as it may have begun late, those of the last half and quarter."""
    begin, end = points[0][0], points[-1][0]
    found = [0]
    for part in (2, 4):
        first = next(place for place, (at, _value) in enumerate(points) if at >= end - (end - begin) / part)
        if len(points) - first >= FEW and first not in found:
            found.append(first)
    return found


def _residuals(points: Points, per_s: float) -> list[float]:
    return [value - per_s * at for at, value in points]


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _without_spikes(points: Points, floor: float) -> Points:
    """Leave out readings that stand far off all others, one in eight at most."""
    left = list(points)
    for _unused in range(len(points) // 8):
        rest = _residuals(left, slope(left)[0])
        middle = _median(sorted(rest))
        far = max(range(len(rest)), key=lambda place: abs(rest[place] - middle))
        others = [value for place, value in enumerate(rest) if place != far]
        if abs(rest[far] - middle) < SPIKE * max(_spread(others), floor):
            break
        del left[far]
    return left


def _line(points: Points, floor: float, surer: float, stopped: float) -> Verdict | None:
    """Return the verdict grows, rose or filled, steady where it stopped within noise, or None.

    points: FEW or more; surer: factor of what is needed; stopped: as STOPPED.
    """
    thirds = [_middle(part) for part in _thirds(points)]
    if thirds[2][1] - thirds[0][1] < 2 * floor:  # at little cost, as most counters of most hosts end here
        return None
    if _has_filled(points, thirds, floor, stopped):
        gained = points[-1][1] - points[0][1]
        settled = [value for at, value in points if at >= thirds[2][0]]
        verdict = "filled" if gained >= FILLED * max(_spread(settled), floor) else "steady"
        return Verdict(verdict, *slope(points), gained=gained, readings=len(points))
    points = _without_spikes(points, floor)
    per_s, least, most = slope(points)
    span = points[-1][0] - points[0][0]
    gained = per_s * span
    residuals = _residuals(points, per_s)
    spread = max(_spread(residuals), floor)
    ratio = gained / spread / (surer * _least_growth(residuals))
    if least <= 0 or ratio < 1:
        return None
    whole_days = span >= DAY_S - SAME_HOUR_S
    same_hour = _same_hour(points) if whole_days else None
    if same_hour is not None and same_hour < SAME_HOUR * per_s:
        return None
    if not whole_days or (same_hour is None and span < SEVERAL_DAYS_S):
        return Verdict("rose", per_s, least, most, gained, spread, readings=len(points), confidence=0.5, open="day")
    confidence = min(0.99, 0.95 + 0.04 * (ratio - 1))
    return Verdict("grows", per_s, least, most, gained, spread, readings=len(points), confidence=confidence)


def _thirds(points: Points) -> list[Points]:
    """Return the points of the first, middle and last third of the time, at least one each."""
    begin, span = points[0][0], points[-1][0] - points[0][0]
    parts: list[Points] = [[p for p in points if n <= 3 * (p[0] - begin) / span < n + 1 or (n == 2 and p is points[-1])] for n in range(3)]
    if not parts[1]:
        half = len(points) // 2
        parts[1] = [points[half]]
    return parts


def _has_filled(points: Points, thirds: list[tuple[float, float]], floor: float, stopped: float) -> bool:
    """Did it grow at first and hardly any more at last? Compares rates before and after the middle third, as surely as noise allows."""
    (at0, value0), (at1, value1), (at2, value2) = thirds
    if not at0 < at1 < at2:
        return False
    before, after = (value1 - value0) / (at1 - at0), (value2 - value1) / (at2 - at1)
    jitter = sorted(abs(b[1] - a[1] - (b[0] - a[0]) * (before if b[0] <= at1 else after)) for a, b in itertools.pairwise(points))
    noise = max(floor / 4, _median(jitter)) / (at2 - at1)
    return before > 0 and after + SURE * noise < stopped * before


def _same_hour(points: Points) -> float | None:
    """Return the median slope of pairs that are whole days apart, which a daily cycle does not change; None: there is none."""
    slopes = []
    for n, early in enumerate(points):
        for later in points[n + 1 :]:
            apart = later[0] - early[0]
            if apart >= DAY_S - SAME_HOUR_S and abs(apart - DAY_S * round(apart / DAY_S)) <= SAME_HOUR_S:
                slopes.append((later[1] - early[1]) / apart)
    return _median(sorted(slopes)) if slopes else None


def _jump(points: Points, floor: float) -> tuple[int, float]:
    """Return (place of the point before which the level changed at once, and stayed; by how much); (0, 0.0): nowhere."""
    place = max(range(1, len(points)), key=lambda n: abs(points[n][1] - points[n - 1][1]))
    rates = sorted((b[1] - a[1]) / (b[0] - a[0]) for n, (a, b) in enumerate(itertools.pairwise(points)) if n != place - 1)
    grown = _median(rates) * (points[place][0] - points[place - 1][0]) if len(points) >= FEW else 0.0
    step = points[place][1] - points[place - 1][1] - grown
    without = [(at, value - (step if n >= place else 0.0)) for n, (at, value) in enumerate(points)]
    if len(points) < FEW:  # too few to know their noise
        return (place, step) if abs(step) >= 2 * floor and _spread([value for _at, value in without]) <= floor else (0, 0.0)
    spread = max(_spread(_residuals(without, slope(without)[0])), floor)
    return (place, step) if abs(step) >= _least_jump(len(points)) * spread else (0, 0.0)


def _jumped(points: Points, places: list[list[int]], place: int, confidence: float) -> Verdict:
    before, after = points[place - 1], points[place]
    rate = (after[1] - before[1]) / (after[0] - before[0])
    others = max(_spread([value for _at, value in points[:place]]), _spread([value for _at, value in points[place:]]))
    first, last = places[place - 1][-1], places[place][0]
    return Verdict("jumped", rate, rate, rate, after[1] - before[1], others, first, last, len(points), confidence)


def _rose(points: Points, places: list[list[int]], floor: float) -> Verdict:
    """The verdict on a few readings: what went up at every one of them rose. Whether it goes on cannot be known."""
    ups = [later[1] - early[1] for early, later in itertools.pairwise(points)]
    if not ups or min(ups) < -floor / 2 or sum(ups) < 2 * floor:
        return Verdict("steady", readings=len(points))
    per_s, least, most = slope(points)
    spread = max(_spread(_residuals(points, per_s)), floor)
    return Verdict("rose", per_s, least, most, sum(ups), spread, places[0][0], places[-1][-1], len(points), 0.5, "few")
