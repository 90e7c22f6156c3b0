# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel memory that nobody freed, over the whole fleet."""

from __future__ import annotations

from ..policy.text import plain_function

ENTRIES = 200
HOSTS = 50
# What is told of the host where it is worst.
FIELDS = ("verdict", "reasons", "cache", "growth_ci95", "trend", "corroborated", "stack", "comms")


class Leaks:
    """Adds up the memleak data of hosts by type, function and module."""

    def __init__(self) -> None:
        self._entries: dict[tuple, dict] = {}
        self._hosts = 0

    def add(self, host: str, data: dict) -> None:
        """data: what memleak measured on this host."""
        self._hosts += 1
        for leak in [*data["leaks"], *data["outstanding"]]:
            culprit = plain_function(leak["culprit"])
            key = (leak["type"], culprit, leak["module"])
            entry = self._entries.setdefault(
                key,
                {
                    "type": leak["type"], "culprit": culprit, "module": leak["module"], "hosts": {},
                    "bytes_outstanding": 0, "objects_outstanding": 0, "growth_bytes_per_s": 0.0,
                    "confidence": 0.0, "oldest_age_s": 0.0, "worst": (False, -1.0),
                },
            )  # fmt: skip
            entry["hosts"][host] = entry["hosts"].get(host, 0.0) + leak["growth_bytes_per_s"]
            for field in ("bytes_outstanding", "objects_outstanding", "growth_bytes_per_s"):
                entry[field] += leak[field]
            for field in ("confidence", "oldest_age_s"):
                entry[field] = max(entry[field], leak[field])
            worst = (bool(leak["trend"]), leak["growth_bytes_per_s"])
            if worst > entry["worst"]:
                entry.update(worst=worst, worst_host=host)
                entry.update((field, leak[field]) for field in FIELDS)

    def result(self, suspected: dict[tuple, str]) -> dict:
        """Return the section 'leaks' of the fleet document.

        suspected: {(type, function, module): id of the group of findings that suspects it}.
        """
        listed = []
        for key, entry in self._entries.items():
            hosts = sorted(entry["hosts"], key=lambda host: (-entry["hosts"][host], host))
            listed.append(
                {
                    **{name: value for name, value in entry.items() if name not in ("worst", "hosts")},
                    "host_count": len(hosts),
                    "hosts": [{"host": host, "growth_bytes_per_s": entry["hosts"][host]} for host in hosts[:HOSTS]],
                    "finding": suspected.get(key),
                }
            )
        listed.sort(key=lambda entry: (entry["finding"] is None, -entry["growth_bytes_per_s"], entry["culprit"]))
        return {"hosts": self._hosts, "outstanding": listed[:ENTRIES], "cut": max(0, len(listed) - ENTRIES)}
