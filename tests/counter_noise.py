# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters as they are without growth, for the judgement of growth between scans, and instants of scans.

TUNED are the kinds of noise on which its thresholds were chosen. OTHERS were added after that, and one of them (a cache that is
emptied) led to one more rule. LAST were added when all was done, and changed nothing.
"""

import itertools
import math

DAY_S = 86400.0
UNIT = 100e6
FLOOR = 1e6


def white(rng, times):
    return [rng.gauss(0, UNIT) for _unused in times]


def walk(rng, times):
    value, found, before = 0.0, [], times[0]
    for at in times:
        value += rng.gauss(0, UNIT) * math.sqrt((at - before) / DAY_S)
        before = at
        found.append(value)
    return found


def daily(rng, times):
    phase, sharp = rng.random() * DAY_S, rng.choice([1, 6])
    return [UNIT * ((0.5 + 0.5 * math.sin(2 * math.pi * (at + phase) / DAY_S)) ** sharp) + rng.gauss(0, UNIT / 20) for at in times]


def steps(rng, times):
    """A level that changes now and then and stays."""
    span = times[-1] - times[0]
    cuts = sorted(rng.random() * span for _unused in range(rng.choice([1, 2, 3, 5])))
    levels = [rng.gauss(0, UNIT) for _unused in range(len(cuts) + 1)]
    return [levels[sum(cut <= at - times[0] for cut in cuts)] + rng.gauss(0, UNIT / 30) for at in times]


def fills(rng, times):
    """A cache that fills: at least twice as long as its time constant."""
    tau = (times[-1] - times[0]) / rng.uniform(2.5, 12)
    return [UNIT * (1 - math.exp(-(at - times[0]) / tau)) + rng.gauss(0, UNIT / 50) for at in times]


def mixed(rng, times):
    parts = [white(rng, times), walk(rng, times), daily(rng, times)]
    weights = [rng.random() for _unused in parts]
    return [sum(w * part[n] for w, part in zip(weights, parts, strict=True)) for n in range(len(times))]


def reverting(rng, times):
    """A level that wanders and comes back, within days."""
    value, found, before, days = 0.0, [], times[0], rng.uniform(0.5, 3)
    for at in times:
        keep = math.exp(-(at - before) / DAY_S / days)
        value = keep * value + rng.gauss(0, UNIT) * math.sqrt(1 - keep * keep)
        before = at
        found.append(value)
    return found


def heavy(rng, times):
    """Mostly quiet, at times far off (Student's t of 2 degrees of freedom)."""
    return [UNIT / 4 * rng.gauss(0, 1) / math.sqrt(rng.expovariate(1)) for _unused in times]


def pink(rng, times):
    """A sum of levels that change at all time scales."""
    span = times[-1] - times[0]
    total = [0.0] * len(times)
    for octave in range(6):
        width = span / 2**octave
        offset, levels = rng.random() * width, [rng.gauss(0, UNIT / 2) for _unused in range(2**octave + 2)]
        total = [value + levels[int((at - times[0] + offset) / width)] for value, at in zip(total, times, strict=True)]
    return total


def weekly(rng, times):
    """Busy on five days, quiet on two."""
    start = rng.randrange(7)
    return [UNIT * ((start + int(at / DAY_S)) % 7 < 5) * rng.uniform(0.8, 1) + rng.gauss(0, UNIT / 20) for at in times]


def emptied(rng, times):
    """A cache that fills within days and is emptied all at once, again and again."""
    period, phase = rng.uniform(1.5, 4) * DAY_S, rng.random()
    return [UNIT * ((at / period + phase) % 1) + rng.gauss(0, UNIT / 30) for at in times]


def backup(rng, times):
    """Quiet but for an hour or two a night, in which some scans fall."""
    begin, length = rng.random() * DAY_S, rng.uniform(1, 3) * 3600
    return [UNIT * ((at - begin) % DAY_S < length) + rng.gauss(0, UNIT / 30) for at in times]


def rare(rng, times):
    """A random walk of few large steps."""
    value, found = 0.0, []
    for _unused in times:
        value += rng.choice([-1, 1]) * rng.expovariate(1) * UNIT if rng.random() < 0.4 else 0.0
        found.append(value + rng.gauss(0, UNIT / 30))
    return found


def two_states(rng, times):
    """A service that is on or off for hours to days."""
    state, found, before, stay = rng.random() < 0.5, [], times[0], rng.uniform(0.3, 3) * DAY_S
    for at in times:
        flips = rng.expovariate(1) < (at - before) / stay
        state, before = state != flips, at
        found.append(UNIT * state + rng.gauss(0, UNIT / 40))
    return found


def multiplied(rng, times):
    """A level whose noise is a share of itself, skewed to above (log-normal), in steps of 64 KiB."""
    return [UNIT * rng.lognormvariate(0, 0.7) // 65536 * 65536 for _unused in times]


def bursts(rng, times):
    """Quiet times and noisy times take turns."""
    scale, found = UNIT / 5, []
    for _unused in times:
        scale = min(UNIT, max(UNIT / 20, scale * rng.choice([0.5, 1, 2])))
        found.append(rng.gauss(0, scale))
    return found


def odd_cycle(rng, times):
    """Two cycles, none of them of a day."""
    periods, phases = [rng.uniform(1.5, 4) * DAY_S, rng.uniform(0.2, 0.8) * DAY_S], [rng.random() * 6.3 for _unused in range(2)]
    return [sum(UNIT / 2 * math.sin(6.2832 * at / period + phase) for period, phase in zip(periods, phases, strict=True)) for at in times]


def drained(rng, times):
    """It falls slowly, and is filled at once now and then."""
    period, phase = rng.uniform(1.5, 6) * DAY_S, rng.random()
    return [UNIT * (1 - (at / period + phase) % 1) + rng.gauss(0, UNIT / 30) for at in times]


TUNED = {"white": white, "walk": walk, "daily": daily, "steps": steps, "fills": fills, "mixed": mixed}
OTHERS = {
    "reverting": reverting, "heavy": heavy, "pink": pink, "weekly": weekly, "emptied": emptied, "backup": backup, "rare": rare,
}  # fmt: skip
LAST = {"two states": two_states, "multiplied": multiplied, "bursts": bursts, "odd cycle": odd_cycle, "drained": drained}


def nightly(rng, count):
    return [DAY_S * night + rng.gauss(0, 600) for night in range(count)]


def irregular(rng, count):
    """Scans of people: at any hour, some nights missing, some twice."""
    return sorted(rng.uniform(0, count * DAY_S * 0.7) for _unused in range(count))


def hourly(rng, count):
    return [3600.0 * hour + rng.gauss(0, 60) for hour in range(count)]


def with_gaps(rng, count):
    """Nightly, of which a third is missing, in one or two pieces."""
    nights = list(range(count + count // 2))
    while len(nights) > count:
        first = rng.randrange(1, len(nights) - 1)
        del nights[first : first + min(rng.randrange(1, 2 + count // 4), len(nights) - count)]
    return [DAY_S * night + rng.gauss(0, 1800) for night in nights]


def twice(rng, count):
    """At noon and midnight."""
    return [DAY_S / 2 * place + rng.gauss(0, 300) for place in range(count)]


TIMES = {"nightly": nightly, "irregular": irregular, "hourly": hourly}
OTHER_TIMES = {"with gaps": with_gaps, "twice a day": twice, "nightly": nightly}


def changes(path):
    """Standard deviation of what noise changes a reading by, from one scan to the next."""
    return math.sqrt(sum((later - early) ** 2 for early, later in itertools.pairwise(path)) / (len(path) - 1))


def grown(rng, noise, times, ratio, by_range):
    """Noise, and growth: from scan to scan, ratio times what noise changes by; or in all, ratio times the range of the noise."""
    path = noise(rng, times)
    size = ratio * ((max(path) - min(path)) if by_range else changes(path) * (len(times) - 1))
    span = times[-1] - times[0]
    return [(at, 4e9 + value + size * (at - times[0]) / span) for at, value in zip(times, path, strict=True)]
