# SPDX-License-Identifier: GPL-3.0-or-later
"""Run-queue latency of the whole fleet."""

from __future__ import annotations

import collections
import heapq

EVENTS = 50
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


def shown(event: dict) -> dict:
    """Return what the fleet document keeps of a wait; its host's document has the rest. 'instead' is the first of its blockers."""
    kept = {key: event[key] for key in ("kind", "wait", "delay_us", "cpu", "pid", "comm", "prio", "at_s")}
    other = event["instead"]
    return {**kept, "instead": other and {key: other[key] for key in ("pid", "comm", "ran_us")}}


class Jitter:
    """Adds up the runlatency data of hosts. Histograms are merged exactly: their buckets are the same everywhere."""

    def __init__(self):
        self._histograms = {"wakeup": collections.Counter(), "preempted": collections.Counter()}
        self._hosts = 0
        self._count = 0
        self._over = 0
        self._thresholds: set[int] = set()
        self._max = (0.0, "")
        self._events: list[tuple] = []

    def add(self, host: str, data: dict) -> None:
        """data: what runlatency measured on this host."""
        self._hosts += 1
        self._count += data["count"]
        self._over += data["over_threshold"]
        self._thresholds.add(data["threshold_us"])
        if data["count"]:
            self._max = max(self._max, (data["max_us"], host))
        for wait, histogram in data["histograms"].items():
            self._histograms[wait].update({int(lower): count for lower, count in histogram.items()})
        for number, event in enumerate(data["events"]):
            item = (event["delay_us"], self._hosts, number, {"host": host, **shown(event)})
            if len(self._events) < EVENTS:
                heapq.heappush(self._events, item)
            else:
                heapq.heappushpop(self._events, item)

    def result(self) -> dict:
        """Return the section 'jitter' of the fleet document."""
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
            "events": [item[3] for item in sorted(self._events, key=lambda item: item[:3], reverse=True)],
        }
