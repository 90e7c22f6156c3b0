# SPDX-License-Identifier: GPL-3.0-or-later
"""What a few readings of one boot of a host say of its memory: which counters grow, what each is a part of, and what grows beside it."""

from __future__ import annotations

from ..policy.text import visible
from .counters import counter, counters_of
from .series import Verdict, judge

ROWS = 32
POINTS = 50
PARTS = 3
BESIDE = 4
EXPLAINED = 0.5  # of the rate of a counter, that its parts must have
RISING = ("grows", "rose", "jumped")


def judge_memory(readings: list[dict]) -> dict:
    """Return {readings, span_s, since, rows}, as in trend-1.json.

    readings: two or more of one boot, oldest first: as readings.reading_of, with scan_id and started_at.
    """
    series: dict[tuple[str, str], list[tuple[float, float, int]]] = {}
    for place, reading in enumerate(readings):
        for key, value in counters_of(reading).items():
            series.setdefault(key, []).append((reading["uptime_s"], value, place))
    rows = []
    for (member, name), points in series.items():
        # What is not in the last reading is not known to grow: a cache that is none of the largest any more.
        if len(points) > 1 and points[-1][2] == len(readings) - 1:
            row = _row(member, name, points, readings)
            if row is not None:
                rows.append(row)
    _explain(rows)
    rows.sort(key=_worst_first)
    first, last = readings[0], readings[-1]
    return {
        "readings": len(readings),
        "span_s": round(last["uptime_s"] - first["uptime_s"], 1),
        "since": first["started_at"],
        "memory_bytes": int(last["bytes"].get("MemTotal", 0)),
        "rows": rows[:ROWS],
    }


def _row(member: str, name: str, points: list[tuple[float, float, int]], readings: list[dict]) -> dict | None:
    """Return the row of a counter; None: it is steady."""
    about = counter(member, name)
    sign = -1.0 if about.falls else 1.0
    floor = max(about.floor, about.share * max(abs(value) for _at, value, _place in points))
    verdict = judge([(at, sign * value) for at, value, _place in points], floor)
    if verdict.verdict == "steady":
        return None
    first, last = points[verdict.first], points[verdict.last]
    aliases = readings[-1]["slab_aliases"].get(name, [])
    return {
        "counter": visible(name),
        "also": [visible(alias) for alias in aliases],
        "group": about.group,
        "unit": "number" if about.group == "count" else "bytes",
        "falls": about.falls,
        "verdict": verdict.verdict,
        "open": verdict.open or None,
        "confidence": round(verdict.confidence, 3),
        **_rates(verdict),
        "spread": round(verdict.spread, 1),
        "value": points[-1][1],
        "before": first[1],
        "after": last[1],
        "since": readings[first[2]]["started_at"],
        "since_s": round(last[0] - first[0], 1),
        "scans": [readings[first[2]]["scan_id"], readings[last[2]]["scan_id"]],
        "readings": verdict.readings,
        "parent": about.parent,
        "part_of": None,
        "parts": [],
        "beside": [],
        "points": [[round(at - points[0][0], 1), value] for at, value, _place in points[-POINTS:]],
    }


def _rates(verdict: Verdict) -> dict:
    return {
        "per_s": round(verdict.per_s, 4),
        "per_s_ci95": [round(verdict.least_per_s, 4), round(verdict.most_per_s, 4)],
        "gained": round(verdict.gained, 1),
    }


def _worst_first(row: dict) -> tuple:
    rank = RISING.index(row["verdict"]) if row["verdict"] in RISING else len(RISING)
    return rank, row["part_of"] is not None, row["unit"] == "number", -row["per_s"], row["counter"]


def _explain(rows: list[dict]) -> None:
    """Name the parts of each row, what grows beside it, and of which row it is a part: of one cause, one row is a part of no other."""
    rising = [row for row in rows if row["verdict"] in RISING]
    whole = {row["counter"]: row for row in rising if row["group"] not in ("slab", "reclaimable")}
    for row in rising:
        parent = whole.get(row["parent"] or "")
        if parent is not None:
            parent["parts"].append({name: row[name] for name in ("counter", "also", "per_s", "gained")})
            if row["group"] in ("slab", "reclaimable"):
                row["part_of"] = parent["counter"]
    for row in rising:
        row["parts"].sort(key=lambda part: (-part["gained"], part["counter"]))
        if row["group"] == "available" and sum(part["gained"] for part in row["parts"]) >= EXPLAINED * row["gained"]:
            row["part_of"] = row["parts"][0]["counter"]
        row["parts"] = [part for part in row["parts"] if part["gained"] >= row["gained"] / 10][:PARTS]
    for verdict in RISING:
        _beside([row for row in rising if row["verdict"] == verdict and row["part_of"] is None])


def _beside(rows: list[dict]) -> None:
    """A namespace that leaks takes slabs, per-CPU memory and mounts: what the kernel keeps more of at the same time is one cause."""
    kernel = sorted((row for row in rows if row["group"] in ("kernel", "buffer", "slab")), key=lambda row: (-row["gained"], row["counter"]))
    numbers = sorted(
        (row for row in rows if row["unit"] == "number"), key=lambda row: (-row["gained"] / max(1.0, row["before"]), row["counter"])
    )
    for row in kernel[:1]:
        others = [*kernel[1:], *numbers]
        row["beside"] = [{name: one[name] for name in ("counter", "unit", "per_s", "gained")} for one in others[:BESIDE]]
        for one in others:
            one["part_of"] = row["counter"]
