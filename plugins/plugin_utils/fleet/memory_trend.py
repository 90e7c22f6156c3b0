# SPDX-License-Identifier: GPL-3.0-or-later
"""Growth of memory between scans, over all hosts: the member memory_trend of the fleet document."""

from __future__ import annotations

import collections
from typing import Any

from ..messages import Messages
from ..trend.history import FIRST, History

ROWS = 200
HOSTS = 50
REASONS = 8
RANK = ("grows", "jumped", "rose", "filled")
# What a row of the list says of the host where the counter grows fastest.
WORST = (
    "also",
    "open",
    "confidence",
    "per_s",
    "per_s_ci95",
    "gained",
    "value",
    "since",
    "since_s",
    "scans",
    "readings",
    "part_of",
    "parts",
    "beside",
    "points",
)


class MemoryTrend:
    """Adds up what scans say together of each host. history: where that is from."""

    def __init__(self, history: History):
        self._history = history
        self._compared = 0
        self._reasons: dict[str, list[str]] = {}
        self._entries: dict[tuple, dict[str, Any]] = {}
        self._signatures: dict[tuple, set[str]] = {}

    def add(self, document: dict, findings: list[dict]) -> None:
        """document: of a scanned host, with its trend; findings: of that host."""
        host, trend = document["host"], document["trend"]["memory"]
        if not trend["compared"]:
            self._reasons.setdefault(trend["reason"], []).append(host)
            return
        self._compared += 1
        for row in trend["rows"]:
            key = (row["counter"], row["group"], row["verdict"])
            entry = self._entries.setdefault(key, {"hosts": {}, "worst": row, "worst_host": host})
            entry["hosts"][host] = row["per_s"]
            if (row["part_of"] is None, row["per_s"]) > (entry["worst"]["part_of"] is None, entry["worst"]["per_s"]):
                entry.update(worst=row, worst_host=host)
        for finding in findings:
            evidence = finding["evidence"]
            key = tuple(evidence.get(name) for name in ("counter", "group", "verdict"))
            if all(isinstance(part, str) for part in key) and "memory" in finding["probes"]:
                self._signatures.setdefault(key, set()).add(finding["signature"])

    def result(self, groups: list[dict]) -> dict:
        """Return the member. groups: the findings of the fleet document, worst first."""
        listed = []
        for key, entry in self._entries.items():
            hosts = sorted(entry["hosts"], key=lambda host: (-entry["hosts"][host], host))
            finding = next((group["id"] for group in groups if group["signature"] in self._signatures.get(key, ())), None)
            row = entry["worst"]
            listed.append(
                {
                    **{name: row[name] for name in ("counter", "group", "unit", "falls", "verdict")},
                    "host_count": len(hosts),
                    "hosts": [{"host": host, "per_s": entry["hosts"][host]} for host in hosts[:HOSTS]],
                    "worst_host": entry["worst_host"],
                    **{name: row[name] for name in WORST},
                    "finding": finding,
                }
            )
        listed.sort(
            key=lambda row: (
                row["finding"] is None,
                RANK.index(row["verdict"]),
                row["part_of"] is not None,
                -row["host_count"],
                row["counter"],
            )
        )
        reasons = sorted(self._reasons.items(), key=lambda one: (-len(one[1]), one[0]))
        return {
            "scans": [{"scan_id": scan.scan_id, "started_at": scan.started_at, "hosts": len(scan)} for scan in self._history.scans],
            "skipped": self._history.skipped,
            "not_used": self._history.not_used,
            "compared": self._compared,
            "not_compared": [
                {"reason": reason, "host_count": len(hosts), "hosts": sorted(hosts)[:HOSTS]} for reason, hosts in reasons[:REASONS]
            ],
            "rows": listed[:ROWS],
            "cut": max(0, len(listed) - ROWS),
        }


def notes(trend: dict, translate: Messages) -> list[str]:
    """Return what one must know to read a verdict: on which hosts nothing is known of growth between scans."""
    known = collections.Counter({entry["reason"]: entry["host_count"] for entry in trend["not_compared"]})
    several = sum(known.values()) - known[FIRST]
    if not several or not trend["scans"]:
        return []
    return [translate("Growth of memory between scans was not compared on {hosts}.", hosts=translate.many(several, "host"))]
