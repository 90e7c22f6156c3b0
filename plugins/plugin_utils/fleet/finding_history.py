# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings over the last scans: since when each is there, on how many hosts, and how many there were.

Each report leaves a small file in the folder of its scan; only these files are read, never all hosts of all scans.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from ..results.folder import write_text
from . import load

FILE = "findings-history.json"
SCHEMA = "ksysak.findings_history/1"
SCANS = 9  # earlier ones
SKIPPED = 100
EVALUATED = ("pass", "fail", "waived")


class FindingHistory:
    """The findings of scans before the present one.

    results: folder of all scans, None: there are none; present: folder of the present scan. Raises load.ResultsError.
    """

    def __init__(self, results: Path | None, present: Path):
        self._present = present
        self._scans: list[dict] = []
        self.skipped: list[dict] = []
        for folder, scan in reversed(load.earlier(results, present, self.skipped)) if results else []:
            if len(self._scans) == SCANS:
                break
            try:
                self._scans.append(load.read_findings_history(folder / FILE, scan["scan_id"]))
            except load.Unreadable as error:
                self.skipped.append({"scan_id": scan["scan_id"], "reason": f"{FILE} {error}"[:256]})
        self._scans.reverse()

    def explain(self, groups: list[dict], scan: dict | None, compliance: dict) -> dict:
        """Return the member 'trend' of the fleet document.

        Gives each group of findings its 'history' {first_seen, hosts: number of hosts in each scan, null: the rule was not evaluated
        then}, and each of its hosts 'first_seen'. scan: scan document of the present scan, None: there is none.
        """
        now = scan["started_at"] if scan else None
        known = [{one["signature"]: set(one["hosts"]) for one in earlier["findings"]} for earlier in self._scans]
        for group in groups:
            found = [findings.get(group["signature"], set()) for findings in known]
            judged = [bool(hosts) or group["rule"] in earlier["rules"] for hosts, earlier in zip(found, self._scans, strict=True)]
            counts = [len(hosts) if known_then else None for hosts, known_then in zip(found, judged, strict=True)]
            for member in group["hosts"]:
                member["first_seen"] = self._first([member["host"] in hosts for hosts in found], now)
            first_seen = self._first([bool(hosts) for hosts in found], now)
            group["history"] = {"first_seen": first_seen, "hosts": [*counts, group["host_count"]]}
        shown = ("scan_id", "started_at", "hosts", "measured", "findings_by_severity")
        scans = [{**{name: earlier[name] for name in shown}, "same_policy": earlier["policy_sha256"] == compliance["sha256"]}
                 for earlier in self._scans]  # fmt: skip
        return {"scans": scans, "skipped": self.skipped[:SKIPPED]}

    def _first(self, there: list[bool], now: str | None) -> str | None:
        """Return the instant of the first scan in which something was there, the present one at last."""
        return next((scan["started_at"] for scan, found in zip(self._scans, there, strict=True) if found), now)

    def write(self, fleet: dict) -> None:
        """Leave the file of the present scan, or, where its folder cannot be written to, none."""
        with contextlib.suppress(OSError):
            write_text(self._present / FILE, json.dumps(entry(fleet), separators=(",", ":")) + "\n")


def entry(fleet: dict) -> dict:
    """Return what later scans need of a fleet document."""
    return {
        "schema": SCHEMA,
        "scan_id": fleet["scan"]["scan_id"],
        "started_at": fleet["scan"]["started_at"] or fleet["generated_at"],
        "policy_sha256": fleet["compliance"]["sha256"],
        "hosts": fleet["counts"]["hosts"]["total"],
        "measured": fleet["counts"]["hosts"]["total"] - fleet["counts"]["hosts"]["coverage_none"],
        "findings_by_severity": fleet["counts"]["groups"],
        "rules": [rule["rule"] for rule in fleet["compliance"]["rules"] if any(rule[outcome] for outcome in EVALUATED)],
        "findings": [
            {"signature": group["signature"], "severity": group["severity"], "hosts": [member["host"] for member in group["hosts"]]}
            for group in fleet["findings"]
        ],
    }
