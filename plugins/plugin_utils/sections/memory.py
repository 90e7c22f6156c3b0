# SPDX-License-Identifier: GPL-3.0-or-later
"""Section 'memory' of the fleet document: who holds the memory of the hosts, and what of it grows."""

from __future__ import annotations

from collections.abc import Hashable

from ..fleet.causes import Causes
from ..fleet.section import Section as Base
from ..known_bugs.known_bugs import KnownBugs

ROWS = 300
PICTURES, OWNERS = 24, 2
LEAST_SHARE, LEAST_CHANGE_BYTES = 0.01, 2**20  # of a part that is listed
GROUPS = {
    **dict.fromkeys(("anonymous", "shmem", "hugetlb", "swap_cache"), "programs"),
    **dict.fromkeys(("page_cache", "slab_reclaimable", "kernel_reclaimable", "fuse_writeback"), "caches"),
    **dict.fromkeys(("free", "cpu_free_lists"), "free"),
}
KERNEL, UNACCOUNTED = "kernel", "unaccounted"  # the group of all other parts, and that of none


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
        self._pictures: list[dict] = []

    def finding_key(self, evidence: dict) -> Hashable | None:
        """A finding is about what one owner holds of one kind, on any host, or about a limit and its owner."""
        owner = evidence.get("owner")
        name = owner.get("name") if isinstance(owner, dict) else None
        if isinstance(evidence.get("limit"), str):
            return ("limit", evidence["limit"], name) if name is None or isinstance(name, str) else None
        key = (evidence.get("kind"), name)
        return key if all(isinstance(part, str) for part in key) else None

    def add(self, host: str, envelope: dict) -> None:
        """Take the facts of one host."""
        data = envelope["data"]
        self._hosts += 1
        if data["picture"]:
            self._pictures.append(_picture(host, data["picture"]))
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
        for row in [*growth, *holders]:
            group = found.get((row["kind"], row["owner"]))
            row["finding"] = group["id"] if group else None
        for row in self._limits:
            group = found.get(("limit", row["limit"], row["owner"]))
            row["finding"] = group["id"] if group else None
        self._pictures.sort(key=lambda row: (-_kept_share(row), row["host"]))
        return {
            "hosts": self._hosts,
            "cut": sum(max(0, len(rows) - ROWS) for rows in (growth, holders, self._limits)),
            "pictures": self._pictures[:PICTURES],
            "causes": self._causes.listed(found),
            "growth": growth[:ROWS],
            "holders": holders[:ROWS],
            "limits": sorted(self._limits, key=lambda row: (-row["share"], row["host"], row["limit"]))[:ROWS],
        }


def _picture(host: str, picture: dict) -> dict:
    """The picture of one host, shortened: sums by group, and the parts that matter."""
    total = picture["total_bytes"]
    rest = {"part": UNACCOUNTED, "bytes": picture["unaccounted_bytes"], "delta_bytes": picture["unaccounted_delta_bytes"], "owners": []}
    parts = [
        {
            **{name: row[name] for name in ("part", "bytes", "delta_bytes")},
            "group": UNACCOUNTED if row is rest else GROUPS.get(row["part"], KERNEL),
            "owners": row["owners"][:OWNERS],
        }
        for row in [*picture["parts"], rest]
    ]
    groups = dict.fromkeys((*dict.fromkeys(GROUPS.values()), KERNEL, UNACCOUNTED), 0)
    for row in parts:
        groups[row["group"]] += row["bytes"]
    listed = [row for row in parts if abs(row["bytes"]) >= LEAST_SHARE * total or abs(row["delta_bytes"] or 0) >= LEAST_CHANGE_BYTES]
    return {"host": host, "total_bytes": total, "groups": groups, "parts": sorted(listed, key=lambda row: -row["bytes"])[:24]}


def _kept_share(picture: dict) -> float:
    groups: dict[str, int] = picture["groups"]
    return (groups[KERNEL] + groups[UNACCOUNTED]) / max(1, picture["total_bytes"])


def _owner(row: dict) -> str | None:
    return row["owner"]["name"] if row["owner"] else None


def _row(host: str, row: dict) -> dict:
    owner = row["owner"]
    shown = {name: row[name] for name in ("kind", "count", "bytes", "command", "per_s", "bytes_per_s") if name in row}
    return {"host": host, "owner": owner["name"], "pid": owner["pid"], "unit": owner["unit"], **shown}
