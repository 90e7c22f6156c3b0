# SPDX-License-Identifier: GPL-3.0-or-later
"""Section 'memory' of the fleet document: who holds the memory of the hosts, and what of it grows."""

from __future__ import annotations

from collections.abc import Hashable

from ..fleet.causes import Causes
from ..fleet.section import Section as Base
from ..known_bugs.known_bugs import KnownBugs

ROWS = 300


class Section(Base):
    """Lists what grows and who holds most, over all hosts, worst first."""

    PROBE = "memory"
    KEY = "memory"
    TITLE = "Memory"
    JOINS = frozenset({"causes"})

    def __init__(self, known_bugs: KnownBugs):
        super().__init__(known_bugs)
        self._hosts = 0
        self._causes = Causes()
        self._growth: list[dict] = []
        self._holders: list[dict] = []
        self._limits: list[dict] = []

    @staticmethod
    def summary(envelope: dict) -> dict | None:
        """Return what the host can still give to programs, for the time until a leak has filled it."""
        available = envelope["data"]["counters"]["bytes"].get("MemAvailable")
        return None if available is None else {"available_bytes": available}

    def finding_key(self, evidence: dict) -> Hashable | None:
        """A finding is about what one owner holds of one kind, on any host."""
        owner = evidence.get("owner")
        name = owner.get("name") if isinstance(owner, dict) else None
        key = (evidence.get("kind"), name)
        return key if all(isinstance(part, str) for part in key) else None

    def add(self, host: str, envelope: dict) -> None:
        """Take the facts of one host."""
        data = envelope["data"]
        self._hosts += 1
        self._growth += [_row(host, row) for row in data["growth"]]
        self._holders += [_row(host, row) for row in data["holders"]]
        self._limits += [
            {
                "host": host,
                **{name: row[name] for name in ("limit", "unit", "used", "limit_value", "share", "exhausted_in_s")},
                "owner": _owner(row),
            }
            for row in data["limits"]
        ]

    def add_joined(self, host: str, made: dict) -> None:
        """Take what programs hold more of."""
        self._causes.add(host, [cause for cause in made["causes"] if cause["growth"]])

    def result(self, groups: list[dict]) -> dict:
        """Return the section."""
        found = self.by_key(groups)
        growth = sorted(self._growth, key=lambda row: (-(row["bytes_per_s"] or 0), -(row["per_s"] or 0), row["host"], row["kind"]))
        holders = sorted(self._holders, key=lambda row: (-(row["bytes"] or 0), -(row["count"] or 0), row["host"], row["kind"]))
        for row in growth:
            group = found.get((row["kind"], row["owner"]))
            row["finding"] = group["id"] if group else None
        return {
            "hosts": self._hosts,
            "cut": sum(max(0, len(rows) - ROWS) for rows in (growth, holders, self._limits)),
            "causes": self._causes.listed(found),
            "growth": growth[:ROWS],
            "holders": holders[:ROWS],
            "limits": sorted(self._limits, key=lambda row: (-row["share"], row["host"], row["limit"]))[:ROWS],
        }


def _owner(row: dict) -> str | None:
    return row["owner"]["name"] if row["owner"] else None


def _row(host: str, row: dict) -> dict:
    owner = row["owner"]
    shown = {name: row[name] for name in ("kind", "count", "bytes", "command", "per_s", "bytes_per_s") if name in row}
    return {"host": host, "owner": owner["name"], "pid": owner["pid"], "unit": owner["unit"], **shown}
