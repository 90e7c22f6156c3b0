# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation sites whose truth is known: leaks, and what only looks like one, at random rates, lifetimes and sizes.

A process gives for each object when it was allocated and freed, from long before the window on. From that follows all that the probe
would see: survivors of the followed part, frees of old objects, and readings of the kernel's counter with noise.

    python -m tests.unit.memleak.simulation [number of each kind]      prints how often each kind was called what
"""

import bisect
import collections
import itertools
import math
import random
import sys

from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import facts, probe, sites, triage
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.survivors import Cohort

S = 10**9
SETTLE_S = 2.0
FOREVER_S = 1e9
MOST_OBJECTS = 12000
CPUS = 4
HOLDERS = ("tasks", "files", "sockets", "modules", "cgroups", "namespaces", "inodes", "dentries", "process_bytes", "cached_pages")


def arrivals(draw, rate, begin_s, end_s):
    """Return times of allocations: evenly, by chance or in batches."""
    how, at_s, found = draw.choice(("even", "poisson", "batches")), begin_s, []
    batch = draw.choice((4, 16, 64)) if how == "batches" and rate > 100 else 1
    gap_s = batch / rate
    while True:
        at_s += gap_s if how == "even" else draw.expovariate(1 / gap_s)
        if at_s >= end_s:
            return found
        found += [at_s] * batch


def lifetime(draw, mean_s):
    """Return a function that draws a lifetime of this mean."""
    return draw.choice((
        lambda: mean_s,
        lambda: draw.expovariate(1 / mean_s),
        lambda: draw.uniform(0, 2 * mean_s),
        lambda: draw.lognormvariate(math.log(mean_s) - 0.125, 0.5),
        lambda: 0.2 * mean_s if draw.random() < 0.5 else 1.8 * mean_s,
    ))  # fmt: skip


def leak(draw, rate, window_s):
    """All through the window and before it; up to nine in ten are freed again soon."""
    freed, short = draw.choice((0, 0, 0.5, 0.9)), lifetime(draw, draw.uniform(0.01, 0.5))
    times = arrivals(draw, rate / (1 - freed), -draw.uniform(0.5, 20), window_s)
    return [(at_s, at_s + short() if draw.random() < freed else FOREVER_S) for at_s in times]


def steady(draw, rate, window_s):
    """As much is freed as is allocated: lifetimes from a tenth of a second to three windows."""
    mean_s = 10 ** draw.uniform(-1, math.log10(3 * window_s))
    long = lifetime(draw, mean_s)
    return [(at_s, at_s + long()) for at_s in arrivals(draw, rate, -4 * mean_s, window_s)]


def ring(draw, rate, window_s):
    """Full before the window begins; the oldest is replaced."""
    number = max(2, int(rate * 10 ** draw.uniform(-0.5, math.log10(3 * window_s))))
    times = arrivals(draw, rate, -1.2 * number / rate, window_s)
    return [(at_s, times[place + number] if place + number < len(times) else FOREVER_S) for place, at_s in enumerate(times)]


def backlog(draw, rate, window_s):
    """Piles up and is worked off, at least twice in the window."""
    period_s = window_s * draw.uniform(0.05, 0.45)
    begin_s = -draw.uniform(1, 2) * period_s
    left = draw.choice((0, 0, 0.2))

    def freed_s(at_s):
        periods = 1
        while draw.random() < left:
            periods += 1
        return begin_s + (math.floor((at_s - begin_s) / period_s) + periods) * period_s

    return [(at_s, freed_s(at_s)) for at_s in arrivals(draw, rate, begin_s, window_s)]


def burst(draw, rate, window_s):
    """One to three at any time, of up to a tenth of the window; kept, or freed some time later."""
    found, life_s = [], draw.choice((FOREVER_S, window_s * draw.uniform(0.05, 1)))
    number = draw.randint(1, 3)
    for _burst in range(number):
        took_s = window_s * draw.uniform(0.001, 0.1)
        begin_s = draw.uniform(0, window_s - took_s)
        times = arrivals(draw, rate * window_s / took_s / number, begin_s, begin_s + took_s)
        found += [(at_s, at_s + life_s) for at_s in times]
    return sorted(found)


def once(draw, rate, window_s):
    """Set up until some time in the first two thirds of the window, and kept."""
    until_s = window_s * draw.uniform(0.05, 0.67)
    return [(at_s, FOREVER_S) for at_s in arrivals(draw, rate, -draw.uniform(0, window_s), until_s)]


def cache(draw, rate, window_s):
    """Fills: slower and slower as more is found in it, or until it is full, a quarter before the end of the window at the latest;
    then it stands still or replaces its oldest."""
    begin_s = draw.uniform(-window_s, window_s / 4)
    if draw.random() < 0.5:
        settles_s = window_s * draw.uniform(0.05, 0.5)
        times = arrivals(draw, rate * 3, begin_s, window_s)
        kept = [at_s for at_s in times if draw.random() < math.exp((begin_s - at_s) / settles_s)]
        return [(at_s, FOREVER_S) for at_s in kept]
    full_s = max(begin_s + 0.1, window_s * draw.uniform(0, 0.75))
    times = arrivals(draw, rate, begin_s, window_s)
    number = max(1, bisect.bisect(times, full_s))
    if draw.random() < 0.5:
        return [(at_s, FOREVER_S) for at_s in times[:number]]
    return [(at_s, times[place + number] if place + number < len(times) else FOREVER_S) for place, at_s in enumerate(times)]


def late(draw, rate, window_s):
    """A leak that begins in the first two thirds of the window."""
    return [(at_s, FOREVER_S) for at_s in arrivals(draw, rate, window_s * draw.uniform(0.05, 0.67), window_s)]


def jerky(draw, rate, window_s):
    """A leak that comes in jerks, four to twenty in the window."""
    period_s, phase_s = window_s / draw.uniform(4, 20), draw.uniform(0, 1)
    times = (math.ceil(at_s / period_s + phase_s) * period_s for at_s in arrivals(draw, rate, -window_s, window_s))
    return [(at_s, FOREVER_S) for at_s in times if at_s < window_s]


def mixed(draw, rate, window_s):
    """A cache that is full and drops any of its entries for a new one."""
    number = max(2, int(rate * 10 ** draw.uniform(-0.5, math.log10(3 * window_s))))
    held, found = [], []
    for at_s in arrivals(draw, rate, -3 * number / rate, window_s):
        if len(held) < number:
            held.append(at_s)
            continue
        place = draw.randrange(number)
        found.append((held[place], at_s))
        held[place] = at_s
    return sorted([*found, *((at_s, FOREVER_S) for at_s in held)])


KINDS = {made.__name__: made for made in (leak, late, jerky, steady, mixed, ring, backlog, burst, once, cache)}


class Made:
    """One site: its objects, [(allocated, freed)] in seconds since the window opened, all of one size."""

    def __init__(self, draw, kind, window_s, name, rate_bytes, size, memory):
        self.kind, self.name, self.size, self.memory, self.window_s = kind, name, size, memory, window_s
        self.rate_bytes, self.objects = rate_bytes, KINDS[kind](draw, rate_bytes / size, window_s)
        self._module = draw.random() < 0.7
        self._weight = draw.choice((1, 1, 4, 16))
        # Slab sites are followed with their stacks only after they were suspected, but earlier in long windows.
        self._since_s = draw.uniform(0, 0.25) * min(20, window_s) if memory == "slab" else 0.0
        self._draw = draw

    def held(self, at_times_s):
        """Return the bytes held at each of these times."""
        began, ended = sorted(at_s for at_s, _end in self.objects), sorted(end_s for _at, end_s in self.objects)
        return [(bisect.bisect(began, at_s) - bisect.bisect(ended, at_s)) * self.size for at_s in at_times_s]

    def site(self):
        """Return the Site that the probe makes of it."""
        frames = ("__kmalloc+0x1", self.name + ("+0x7 [acme]" if self._module else "+0x7"), "worker_thread+0x1")
        cohort = Cohort(int(self._since_s * S), int(self.window_s * S), int(SETTLE_S * S))
        made = sites.Site(self.memory, frames, cohort, True)
        for at_s, end_s in self.objects:
            if self._since_s <= at_s <= self.window_s and self._draw.random() * self._weight < 1:
                made.allocations += self._weight
                if end_s > self.window_s:
                    made.add_survivor(int(at_s * S), self.size, self._weight, "simulated" if self.memory == "slab" else None, "sh")
                else:
                    made.frees += self._weight
                    old = end_s - at_s > SETTLE_S
                    cohort.old_freed_bytes += self.size * self._weight * old
        return made


def watched(draw, window_s, made, noise_bytes):
    """Return a Watch that read the counters of these sites: whole slabs, and noise that comes and goes."""
    watch = triage.Watch(window_s, int(SETTLE_S * S), lambda: 0)
    times_s = [window_s * number / 23 for number in range(24)]
    held = {memory: [0] * 24 for memory in ("slab", "page")}
    for one in made:
        held[one.memory] = [total + more for total, more in zip(held[one.memory], one.held(times_s), strict=True)]
    drift = 0.0
    for number, at_s in enumerate(times_s):
        drift = 0.7 * drift + draw.gauss(0, noise_bytes)
        noise = max(-5e7, drift)
        meminfo = dict.fromkeys(("MemTotal", "SReclaimable", "KernelStack", "PageTables", "Percpu", "VmallocUsed", "areas"), 2**34)
        slab = held["slab"][number] + noise
        meminfo.update(SUnreclaim=int(10**9 + slab), unaccounted=int(10**9 + held["page"][number] + noise))
        read = {"meminfo": meminfo, "holders": dict.fromkeys(HOLDERS, 7), "free_blocks": []}
        size = next((one.size for one in made if one.memory == "slab"), 1024)
        each = max(1, 32768 // size)
        read["caches"] = {"simulated": (int((10**8 + slab) / size / each) * each, size)}
        watch.readings.append((int(at_s * S), read))
    return watch


def evaluated(made, watch, window_s):
    """Return {name: entry} of what the probe reports of these sites, and the verdict of the host."""
    options = {name: spec["default"] for name, spec in probe.MemleakProbe.OPTIONS.items()}
    options.update(top=1000, min_bytes=0)
    measured = facts.Measured(options, watch, float(window_s), 20, window_s / 20.0, cpus=CPUS)
    data = measured.data([one.site() for one in made], 16, None)
    return {entry["culprit"]: entry for entry in [*data["leaks"], *data["outstanding"]]}, data["verdict"]


def world(seed, kinds, window_s=None, noise=None):
    """Return [(kind, its entry or None)]: sites of these kinds at once, which share a slab cache or the counter of pages."""
    draw = random.Random(seed)
    window_s = window_s or draw.choice((10, 20, 20, 80, 300))
    memory = draw.choice(("slab", "slab", "page"))
    size = 4096 if memory == "page" else draw.choice((64, 192, 512, 1024, 2048, 4096))
    made = []
    for number, kind in enumerate(kinds):
        # What is called a leak has grown by 128 KiB; no more objects than there is time for.
        rate_bytes = 10 ** draw.uniform(math.log10(300e3 / window_s), math.log10(size * MOST_OBJECTS / window_s / 8 + 300e3 / window_s))
        made.append(Made(draw, kind, window_s, f"{kind}_{number}", rate_bytes, size, memory))
    share = draw.choice((0, 0, 0.02, 0.1, 0.5)) if noise is None else noise
    largest = max(one.rate_bytes * window_s for one in made)
    entries, _verdict = evaluated(made, watched(draw, window_s, made, share * largest), window_s)
    return [(one.kind, entries.get(one.name)) for one in made]


def counted(number, mixes, **changes):
    """Return {kind: Counter of verdicts} of so many worlds for each mix of kinds."""
    found = collections.defaultdict(collections.Counter)
    for mix, seed in itertools.product(mixes, range(number)):
        for kind, entry in world("%s %d" % (mix, seed), mix, **changes):
            found[kind][entry["verdict"] if entry else "clean"] += 1
    return found


def main():
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    alone = [(kind,) for kind in KINDS]
    beside = [("leak", kind) for kind in KINDS] + [("leak", "leak", "leak", kind) for kind in KINDS]
    for title, mixes, noise in (("alone, quiet", alone, 0), ("alone, any noise", alone, None), ("beside leaks, quiet", beside, 0),
                                ("beside leaks, any noise", beside, None)):  # fmt: skip
        print(title)
        for kind, verdicts in counted(number, mixes, noise=noise).items():
            total = sum(verdicts.values())
            shares = ", ".join("%s %.1f %%" % (verdict, 100.0 * count / total) for verdict, count in sorted(verdicts.items()))
            print("  %-8s %6d: %s" % (kind, total, shares), flush=True)


if __name__ == "__main__":
    main()
