# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of many hosts, grouped by signature."""

from __future__ import annotations

import collections
import hashlib
import itertools

from ..policy.policy import SEVERITIES

GROUPS = 2000
HOSTS_WITH_EVIDENCE = 25
EVIDENCE_A_HOST = 3
FIELDS = ("signature", "rule", "probes", "severity", "category", "title", "remedy", "references")  # of the worst finding of a group


class Groups:
    """Groups findings as they come, host by host."""

    def __init__(self) -> None:
        self._groups: dict[str, dict] = {}

    def add(self, host: str, findings: list[dict]) -> None:
        """findings: of one host, worst first."""
        for signature, same in itertools.groupby(sorted(findings, key=lambda f: f["signature"]), key=lambda f: f["signature"]):
            members = sorted(same, key=_order)
            self._groups.setdefault(signature, {"members": []})["members"].append(
                {
                    "host": host,
                    "severity": members[0]["severity"],
                    "weight": members[0]["weight"],
                    "bytes_per_s": members[0]["bytes_per_s"],
                    "title": members[0]["title"],
                    "count": len(members),
                    "evidence": [member["evidence"] for member in members[:EVIDENCE_A_HOST]],
                    "finding": members[0],
                }
            )

    def result(self) -> tuple[list[dict], int]:
        """Return (the list 'findings' of the fleet document, number of groups that were cut)."""
        listed, rates = [], {}
        for signature, group in self._groups.items():
            members = sorted(group["members"], key=_order)
            worst = members[0]["finding"]
            rates[signature] = max(member["bytes_per_s"] for member in members)
            listed.append(
                {
                    "id": hashlib.sha256(signature.encode()).hexdigest()[:12],
                    **{field: worst[field] for field in FIELDS},
                    "host_count": len(members),
                    "finding_count": sum(member["count"] for member in members),
                    "hosts": [_shown(member, place < HOSTS_WITH_EVIDENCE) for place, member in enumerate(members)],
                }
            )
        listed.sort(key=lambda group: _worst_first(group, rates[group["signature"]]))
        return listed[:GROUPS], max(0, len(listed) - GROUPS)


def _worst_first(group: dict, bytes_per_s: float) -> tuple:
    """What a host suffers from comes before what only the measurement does; of equals, what fills a host's memory soonest is first."""
    rank = SEVERITIES.index(group["severity"])
    return rank, group["category"] == "config", -group["host_count"], -bytes_per_s, group["title"], group["signature"]


def _order(finding: dict) -> tuple:
    return SEVERITIES.index(finding["severity"]), -finding["weight"], finding["host"]


def _shown(member: dict, with_evidence: bool) -> dict:
    shown = {field: member[field] for field in ("host", "severity", "title", "count")}
    return {**shown, "evidence": member["evidence"] if with_evidence else []}


def by_severity(groups: list[dict]) -> dict[str, int]:
    """Return {severity: number of groups}, with every severity."""
    count = collections.Counter(group["severity"] for group in groups)
    return {severity: count[severity] for severity in SEVERITIES}
