# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of many hosts, grouped by signature."""

from __future__ import annotations

import collections
import hashlib
import itertools
import re

from ..policy.policy import SEVERITIES

EVIDENCE_A_HOST = 3
FIELDS = ("signature", "rule", "probes", "severity", "category", "title", "remedy", "references")  # of the worst finding of a group
OWN = ("host", "severity", "title", "weight", "last_seen", "count", "evidence")  # of each host of a group


class Groups:
    """Groups findings as they come, host by host."""

    def __init__(self) -> None:
        self._groups: dict[str, list[dict]] = {}

    def add(self, host: str, findings: list[dict]) -> None:
        """findings: of one host, worst first."""
        for signature, same in itertools.groupby(sorted(findings, key=lambda f: f["signature"]), key=lambda f: f["signature"]):
            members = sorted(same, key=_order)
            self._groups.setdefault(signature, []).append(
                {
                    **{field: members[0][field] for field in ("severity", "title", "weight", "bytes_per_s", "excess")},
                    "host": host,
                    "last_seen": max((member["last_seen"] or "" for member in members), default="") or None,
                    "count": len(members),
                    "evidence": [member["evidence"] for member in members[:EVIDENCE_A_HOST]],
                    "finding": members[0],
                }
            )

    def result(self) -> list[dict]:
        """Return the list 'findings' of the fleet document, in any order: each with what every host has of its own.

        excess, bytes_per_s: of the worst host; what orders the findings.
        """
        listed = []
        for signature, group in self._groups.items():
            members = sorted(group, key=_order)
            worst = members[0]["finding"]
            listed.append(
                {
                    "id": hashlib.sha256(signature.encode()).hexdigest()[:12],
                    **{field: worst[field] for field in FIELDS},
                    "title": worst["title"] if len(members) == 1 else shared_title(worst, members),
                    "excess": max(member["excess"] for member in members),
                    "bytes_per_s": max(member["bytes_per_s"] for member in members),
                    "last_seen": max((member["last_seen"] or "" for member in members), default="") or None,
                    "host_count": len(members),
                    "finding_count": sum(member["count"] for member in members),
                    "hosts": [{field: member[field] for field in OWN} for member in members],
                }
            )
        return listed


def shared_title(worst: dict, members: list[dict]) -> str:
    """Return the title of the worst of several hosts without what is true of that host alone: numbers of processes.

    They stand as name[pid], name (pid), name:pid and process pid. A number is one where the evidence has it as 'pid', or where the word
    process is before it. Titles that do not differ stay as they are.
    """
    title = worst["title"]
    if all(member["title"] == title for member in members):
        return title
    pids = "|".join(sorted(_pids(worst["evidence"]), key=len, reverse=True)) or "(?!)"
    title = re.sub(rf"\[(?:{pids})\]|\s\((?:{pids})\)|:(?:{pids})\b", "", title)
    title = re.sub(r"(?<=process|Process) \d+\b", "", title)
    return " ".join(title.split()) or worst["title"]


def _pids(value: object) -> set[str]:
    """Return the process ids in evidence, wherever they are."""
    if isinstance(value, dict):
        own = {str(item) for name, item in value.items() if name == "pid" and isinstance(item, int) and not isinstance(item, bool)}
        return own.union(*(_pids(item) for item in value.values()))
    return set().union(*(_pids(item) for item in value)) if isinstance(value, list) else set()


def _order(finding: dict) -> tuple:
    return SEVERITIES.index(finding["severity"]), -finding["weight"], finding["host"]


def by_severity(groups: list[dict]) -> dict[str, int]:
    """Return {severity: number of groups}, with every severity."""
    count = collections.Counter(group["severity"] for group in groups)
    return {severity: count[severity] for severity in SEVERITIES}
