# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes of memory growth as sections list them: who, how much, and the parts beneath."""

from __future__ import annotations

from ..policy.text import bounded, plain_function

ROWS, PARTS = 100, 12


class Causes:
    """Collects the causes of hosts, of those that a section is about."""

    def __init__(self) -> None:
        self._rows: list[dict] = []

    def add(self, host: str, causes: list[dict]) -> None:
        """causes: as in schema causes-1.json, of one host."""
        self._rows += [_row(host, cause) for cause in causes]

    def listed(self, findings: dict) -> list[dict]:
        """Return the rows, most bytes a second first. findings: {key(): the worst group of findings that is about it}."""
        rows = sorted(self._rows, key=lambda row: (-row["bytes_per_s"], -(row["per_s"] or 0), row["host"], row["owner"]))[:ROWS]
        return [{**row, "finding": findings.get((row["kind"], row["owner"]), {}).get("id")} for row in rows]


def key(evidence: dict) -> tuple[str, str] | None:
    """Return which cause the evidence of a finding is about, None: none of them. Evidence may be of any shape."""
    owner = evidence.get("owner")
    name = owner.get("name") if isinstance(owner, dict) else None
    kind = evidence.get("kind")
    return (kind, name) if isinstance(kind, str) and isinstance(name, str) else None


def _row(host: str, cause: dict) -> dict:
    parts = [
        *(_part(row["kind"], row["owner"]["name"], row["per_s"], row["bytes_per_s"]) for row in cause["growth"]),
        *(_site(site) for site in cause["sites"]),
        *(_part(row["type"], row["counter"], None, row["bytes_per_s"]) for row in cause["counters"]),
    ]
    owner = cause["owner"]
    shown = {name: cause[name] for name in ("kind", "held", "per_s", "bytes_per_s", "command")}
    evidence = [bounded(words, 300) for words in cause["evidence"][:PARTS]]
    name = plain_function(owner["name"]) if cause["kind"] == "leak" else owner["name"]
    named = {"owner": name, "pid": owner["pid"], "unit": owner["unit"]}
    return {"host": host, **shown, **named, "parts": parts[: 2 * PARTS], "evidence": evidence}


def _part(what: str, place: str, per_s: float | None, bytes_per_s: float | None) -> dict:
    return {"what": what, "place": place, "per_s": per_s, "bytes_per_s": bytes_per_s}


def _site(site: dict) -> dict:
    each = site["bytes_outstanding"] / site["objects_outstanding"] if site["objects_outstanding"] else 0
    place = plain_function(site["culprit"]) + (f" ({site['cache']})" if site["cache"] else "")
    per_s = round(site["growth_bytes_per_s"] / each, 1) if each else None
    return _part(site["type"], place, per_s, site["growth_bytes_per_s"])
