# SPDX-License-Identifier: GPL-3.0-or-later
"""What has changed since an earlier scan. Today's policy evaluates both scans, so that a new threshold is no change of a host."""

from __future__ import annotations

import collections
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from ..policy.policy import SEVERITIES, Evaluation, Policy
from . import load
from .evaluated import evaluated_hosts

# not_measured_before, not_measured_now: what shows it was not measured in that scan; rebooted: gone, but the host rebooted since.
CHANGES = ("new", "worse", "unchanged", "better", "resolved", "rebooted", "not_measured_now", "not_measured_before")
NOT_BEFORE = ("new", "not_measured_before")  # of findings that the earlier scan did not have
GONE = ("resolved", "rebooted", "not_measured_now")  # of findings that are not there now
WORSE = 1.25
GROUPS = 2000
NAMES = 200


class Drift:
    """Compares findings with those of an earlier scan, host by host.

    folder: of the earlier scan; trend: as for evaluated_hosts. Raises load.ResultsError when there is nothing to compare with.
    """

    def __init__(self, folder: Path, policy: Policy, trend: Callable[[dict], dict] | None = None):
        scan, problems = load.read_scan(folder)
        self.problems = [{**problem, "reason": f"baseline: {problem['reason']}"} for problem in problems]
        self._scan_id = scan["scan_id"] if scan else folder.name[:64]
        self._started_at = scan["started_at"] if scan else None
        self._before: dict[str, tuple] = {}
        self._said: dict[str, dict] = {}
        rules: dict[frozenset, frozenset] = {}  # most hosts have the same ones
        for file, document, reason, evaluation in evaluated_hosts(folder, policy, scan["scan_id"] if scan else None, trend, _identity):
            if document is None or evaluation is None:
                self.problems.append({"file": file, "host": None, "reason": f"baseline: {file} {reason}"})
            elif document["state"] == "scanned":
                self._before[document["host"]] = (
                    _boot(document),
                    _kernel(document),
                    rules.setdefault(known := _open(evaluation), known),
                    _worst(evaluation.findings),
                )
                for finding in evaluation.findings:
                    self._said.setdefault(finding["signature"], _said(finding))
        self._changes: dict[str, dict[str, list[str]]] = {}
        self._now: set[str] = set()
        self._rebooted: list[str] = []
        self._kernels: list[dict] = []

    def add(self, document: dict, evaluation: Evaluation) -> None:
        """document: of a scanned host of the present scan; evaluation: of the policy on it."""
        host = document["host"]
        self._now.add(host)
        now = _worst(evaluation.findings)
        for finding in evaluation.findings:
            self._said.setdefault(finding["signature"], _said(finding))
        boot, kernel, known, before = self._before.get(host, (None, None, set(), {}))
        rebooted = boot is not None and boot != _boot(document)
        if rebooted:
            self._rebooted.append(host)
        if kernel is not None and kernel != _kernel(document):
            self._kernels.append({"host": host, "before": kernel, "now": _kernel(document)})
        for signature, worst in now.items():
            if signature in before:
                self._note(signature, _compared(before[signature], worst), host)
            else:
                self._note(signature, "new" if self._said[signature]["rule"] in known else "not_measured_before", host)
        evaluated_rules = _open(evaluation)
        for signature in before.keys() - now.keys():
            rule = self._said[signature]["rule"]
            if evaluation.outcomes.get(rule) in ("waived", "off"):
                continue
            self._note(signature, "not_measured_now" if rule not in evaluated_rules else "rebooted" if rebooted else "resolved", host)

    def then(self) -> Iterator[tuple[str, str | None, Collection[str], Collection[str]]]:
        """Yield (host, kernel, rules that were evaluated, signatures of its findings) of each host of the earlier scan."""
        for host, (_boot_id, kernel, rules, found) in self._before.items():
            yield host, kernel, rules, found.keys()

    def _note(self, signature: str, change: str, host: str) -> None:
        self._changes.setdefault(signature, {}).setdefault(change, []).append(host)

    def result(self, groups: list[dict], all_hosts: set[str]) -> dict:
        """Return the section 'drift' of the fleet document.

        Gives each group of findings its 'drift' {change: hosts}, and each host of it its 'change'.

        all_hosts: names of all hosts of the present scan, also of those that were not measured.
        """
        for host in sorted(set(self._before) & all_hosts - self._now):
            for signature in self._before[host][3]:
                self._note(signature, "not_measured_now", host)
        present = {group["signature"]: group for group in groups}
        listed = []
        for signature, changes in self._changes.items():
            group = present.get(signature)
            count = {change: len(changes.get(change, ())) for change in CHANGES}
            names = {change: sorted(changes[change]) for change in CHANGES if change in changes}
            # One finding has one title and one severity: those of this scan, where it is there.
            said = _said(group) if group else self._said[signature]
            listed.append({"signature": signature, **said, "finding": group["id"] if group else None, "counts": count, "hosts": names})
            change_of = {host: change for change, hosts in changes.items() if change not in GONE for host in hosts}
            for member in group["hosts"] if group else []:
                member["change"] = change_of.get(member["host"])
        listed.sort(
            key=lambda entry: (SEVERITIES.index(entry["severity"]), -entry["counts"]["new"], -entry["counts"]["worse"], entry["signature"])
        )
        by_signature = {entry["signature"]: entry["counts"] for entry in listed}
        for group in groups:
            group["drift"] = by_signature.get(group["signature"])
        total: collections.Counter[str] = collections.Counter()
        for entry in listed:
            total.update(entry["counts"])
        return {
            "baseline": {"scan_id": self._scan_id, "started_at": self._started_at, "hosts": len(self._before)},
            "counts": {change: total[change] for change in CHANGES},
            "new_groups": sum(entry["counts"]["new"] > 0 and not _was_there(entry["counts"]) for entry in listed),
            "groups": listed[:GROUPS],
            "cut": max(0, len(listed) - GROUPS),
            "hosts_added": sorted(all_hosts - set(self._before))[:NAMES],
            "hosts_added_count": len(all_hosts - set(self._before)),
            "hosts_removed": sorted(set(self._before) - all_hosts)[:NAMES],
            "hosts_removed_count": len(set(self._before) - all_hosts),
            "rebooted": sorted(self._rebooted)[:NAMES],
            "rebooted_count": len(self._rebooted),
            "kernels": sorted(self._kernels, key=lambda change: change["host"])[:NAMES],
            "kernels_count": len(self._kernels),
        }


def _identity(document: dict) -> dict:
    """What is compared of a host document itself."""
    system = document["system"]
    return {
        "host": document["host"],
        "state": document["state"],
        "system": system and {"boot_id": system["boot_id"], "kernel": system["kernel"]},
    }


def _boot(document: dict) -> str | None:
    return document["system"]["boot_id"] if document["system"] else None


def _kernel(document: dict) -> str | None:
    return document["system"]["kernel"] if document["system"] else None


def _open(evaluation: Evaluation) -> frozenset[str]:
    return frozenset(rule for rule, outcome in evaluation.outcomes.items() if outcome in ("pass", "fail", "waived"))


def _said(finding: dict) -> dict:
    return {field: finding[field] for field in ("rule", "severity", "category", "title")}


def _worst(findings: list[dict]) -> dict[str, tuple]:
    """Return {signature: (rank of the severity, the lower the worse; weight)} of the worst finding of each signature."""
    worst: dict[str, tuple] = {}
    for finding in findings:
        found = (SEVERITIES.index(finding["severity"]), finding["weight"])
        known = worst.get(finding["signature"], found)
        worst[finding["signature"]] = min(known, found, key=lambda one: (one[0], -one[1]))
    return worst


def _compared(before: tuple, now: tuple) -> str:
    """worse or better: another severity, or a quarter more or less of what the rule calls its weight."""
    if before[0] != now[0]:
        return "worse" if now[0] < before[0] else "better"
    if now[1] > before[1] * WORSE:
        return "worse"
    return "better" if now[1] * WORSE < before[1] else "unchanged"


def _was_there(counts: dict[str, int]) -> bool:
    return any(counts[change] for change in CHANGES if change not in NOT_BEFORE)
