# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel memory that nobody freed, over the whole fleet."""

from __future__ import annotations

from ..fleet.causes import Causes, key as key_of_cause
from ..fleet.section import Section as Base
from ..known_bugs.known_bugs import KnownBugs
from ..policy.text import plain_function

ENTRIES = 200
HOSTS = 50
# What is told of the host where it is worst.
FIELDS = ("verdict", "reasons", "cache", "growth_ci95", "trend", "corroborated", "stack", "comms")


class Section(Base):
    """Adds up the memleak data of hosts by type, function and module."""

    PROBE = "memleak"
    KEY = "leaks"
    TITLE = "Leaks"
    JOINS = frozenset({"causes"})
    MEASURES = {"unfreed_bytes_per_s": "kernel memory not freed, per second"}

    def __init__(self, known_bugs: KnownBugs) -> None:
        super().__init__(known_bugs)
        self._entries: dict[tuple, dict] = {}
        self._hosts = 0
        self._causes = Causes()

    @staticmethod
    def measures(envelope: dict) -> dict[str, float | None]:
        return {"unfreed_bytes_per_s": sum(leak["growth_bytes_per_s"] for leak in envelope["data"]["outstanding"])}

    def finding_key(self, evidence: dict) -> tuple | None:
        """Return the key of the entry that a rule suspects, or of the cause that it is about."""
        if not isinstance(evidence.get("culprit"), str):
            return key_of_cause(evidence)
        return _key(evidence.get("type"), evidence["culprit"], evidence.get("module"))

    def add(self, host: str, envelope: dict) -> None:
        self._hosts += 1
        data = envelope["data"]
        for leak in [*data["leaks"], *data["outstanding"]]:
            key = _key(leak["type"], leak["culprit"], leak["module"])
            entry = self._entries.setdefault(
                key,
                {
                    "type": key[0], "culprit": key[1], "module": key[2], "hosts": {},
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

    def add_joined(self, host: str, made: dict) -> None:
        """Take what holds the kernel's memory, and what nobody holds."""
        self._causes.add(host, [cause for cause in made["causes"] if cause["sites"] or cause["counters"]])

    def result(self, groups: list[dict]) -> dict:
        suspected = self.by_key(groups)
        listed = []
        for key, entry in self._entries.items():
            hosts = sorted(entry["hosts"], key=lambda host: (-entry["hosts"][host], host))
            listed.append(
                {
                    **{name: value for name, value in entry.items() if name not in ("worst", "hosts")},
                    "host_count": len(hosts),
                    "hosts": [{"host": host, "growth_bytes_per_s": entry["hosts"][host]} for host in hosts[:HOSTS]],
                    "finding": suspected[key]["id"] if key in suspected else None,
                }
            )
        listed.sort(key=lambda entry: (entry["finding"] is None, -entry["growth_bytes_per_s"], entry["culprit"]))
        leaks = {("leak", key[1]): group for key, group in suspected.items() if isinstance(key, tuple) and len(key) == 3}
        causes = self._causes.listed({**leaks, **suspected})
        return {"hosts": self._hosts, "causes": causes, "outstanding": listed[:ENTRIES], "cut": max(0, len(listed) - ENTRIES)}


def _key(kind: str | None, culprit: str, module: str | None) -> tuple:
    return kind, plain_function(culprit), module
