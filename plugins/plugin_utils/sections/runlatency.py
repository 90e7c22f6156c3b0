# SPDX-License-Identifier: GPL-3.0-or-later
"""Run-queue latency and stalls of the whole fleet."""

from __future__ import annotations

import collections
import heapq

from ..fleet.section import Section as Base
from ..known_bugs.known_bugs import KnownBugs

EVENTS = 50
BUCKETS = 40  # of a host: up to six days
STALL_RANK = {"cpu_not_running": 0, "syscall": 1}  # what a CPU suffered is shown before them
PERCENTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


def upper_bound(lower_us: int) -> int:
    """Return where the log2 bucket that begins at lower_us ends."""
    return 2 * lower_us if lower_us else 1


def percentiles(histogram: dict[int, int], max_us: float) -> dict[str, float]:
    """Return {p50, p90, p99, p999} in us: the upper bound of the bucket that holds it, never above max_us.

    histogram: {lower bound in us: waits}. Empty for an empty histogram.
    """
    total = sum(histogram.values())
    found: dict[str, float] = {}
    if not total:
        return found
    reached = 0
    for lower in sorted(histogram):
        reached += histogram[lower]
        for name, share in PERCENTILES.items():
            if name not in found and reached >= share * total:
                found[name] = min(upper_bound(lower), max_us)
    return found


def by_log2(histograms: dict[str, dict[str, int]]) -> list[int]:
    """Return the waits of a host by delay: those below 1 us, from 1, from 2, from 4 us, … to the longest that occurred.

    histograms: {kind of wait: {lower bound of a log2 bucket in us: waits}}.
    """
    waits: collections.Counter[int] = collections.Counter()
    for histogram in histograms.values():
        for lower, count in histogram.items():
            waits[int(lower).bit_length()] += count
    return [waits[place] for place in range(max(waits, default=-1) + 1)][:BUCKETS]


def shown(event: dict) -> dict:
    """Return what the fleet document keeps of a wait; its host's document has the rest. 'longest_runner' is the first of its blockers."""
    kept = {key: event[key] for key in ("kind", "wait", "delay_us", "cpu", "pid", "comm", "prio", "at_s")}
    kept.update((key, event[key]) for key in ("idle_us", "unattributed_us") if key in event)
    other = event["longest_runner"]
    return {**kept, "longest_runner": other and {key: other[key] for key in ("pid", "comm", "ran_us")}}


class Longest:
    """The EVENTS items with the largest keys; of equal ones those that came first."""

    def __init__(self) -> None:
        self._kept: list[tuple] = []
        self._seen = 0

    def add(self, key: tuple, item: dict) -> None:
        """key: numbers; item: what is kept."""
        self._seen += 1
        row = (key, -self._seen, item)
        if len(self._kept) < EVENTS:
            heapq.heappush(self._kept, row)
        else:
            heapq.heappushpop(self._kept, row)

    def items(self) -> list[dict]:
        """Return them, largest key first."""
        return [item for _key, _seen, item in sorted(self._kept, key=lambda row: row[:2], reverse=True)]


class Section(Base):
    """Adds up the runlatency data of hosts. Histograms are merged exactly: their buckets are the same everywhere."""

    PROBE = "runlatency"
    KEY = "jitter"
    TITLE = "Jitter"
    MEASURES = {"wait_p99_us": "99th percentile of waits for a CPU", "wait_longest_us": "longest wait for a CPU"}

    def __init__(self, known_bugs: KnownBugs) -> None:
        super().__init__(known_bugs)
        self._histograms: dict[str, collections.Counter[int]] = {"wakeup": collections.Counter(), "preempted": collections.Counter()}
        self._hosts = 0
        self._count = 0
        self._over = 0
        self._thresholds: set[int] = set()
        self._max = (0.0, "")
        self._events, self._stalls = Longest(), Longest()
        self._stall_counts = collections.Counter(hosts=0, irqoff=0, nosched=0, cpu_not_running=0)

    @staticmethod
    def measures(envelope: dict) -> dict[str, float | None]:
        data = envelope["data"]
        return {"wait_p99_us": data["percentiles_us"].get("p99"), "wait_longest_us": data["max_us"]} if data["count"] else {}

    @staticmethod
    def summary(envelope: dict) -> dict:
        data = envelope["data"]
        return {"p99_us": data["percentiles_us"].get("p99"), "max_us": data["max_us"], "count": data["count"], "waits_log2_us": by_log2(data["histograms"])}

    def add(self, host: str, envelope: dict) -> None:
        data = envelope["data"]
        self._hosts += 1
        self._count += data["count"]
        self._over += data["over_threshold"]
        self._thresholds.add(data["threshold_us"])
        if data["count"]:
            self._max = max(self._max, (data["max_us"], host))
        for wait, histogram in data["histograms"].items():
            self._histograms[wait].update({int(lower): count for lower, count in histogram.items()})
        for event in data["events"]:
            self._events.add((event["delay_us"],), {"host": host, **shown(event)})
        for stall in data.get("stalls", []):
            self._stalls.add((STALL_RANK.get(stall["kind"], 2), stall["delay_us"]), {"host": host, **stall})
        if "stall_counts" in data:
            self._stall_counts.update(hosts=1, **data["stall_counts"])

    def result(self, groups: list[dict]) -> dict:
        both = self._histograms["wakeup"] + self._histograms["preempted"]
        max_us, host = self._max
        return {
            "hosts": self._hosts,
            "count": self._count,
            "over_threshold": self._over,
            "thresholds_us": sorted(self._thresholds),
            "max_us": max_us,
            "max_host": host or None,
            "percentiles_us": percentiles(both, max_us),
            "percentiles_us_by_wait": {wait: percentiles(histogram, max_us) for wait, histogram in self._histograms.items()},
            "histograms": {
                wait: {str(lower): histogram[lower] for lower in sorted(histogram)} for wait, histogram in self._histograms.items()
            },
            "events": self._events.items(),
            "stall_counts": dict(self._stall_counts),
            "stalls": self._stalls.items(),
        }
