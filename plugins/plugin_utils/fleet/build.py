# SPDX-License-Identifier: GPL-3.0-or-later
"""From a results folder to the fleet document, one host after the other."""

from __future__ import annotations

import time
from pathlib import Path

from ..known_bugs.known_bugs import KnownBugs
from ..messages import ENGLISH, Messages
from ..policy.policy import SEVERITIES, Evaluation, Policy
from ..results.names import host_file_name
from ..trend.history import History
from . import load, memory_trend, selftest
from .beneath import beneath
from .compliance import Compliance
from .drift import Drift
from .evaluated import evaluated_hosts
from .factors import Factors
from .finding_history import FindingHistory
from .groups import Groups, by_severity
from .hosts import NO_RESULT, absent, counts, summary
from .judged import not_judged
from .measurement import Measurement
from .modules import Modules
from .order import ordered
from .outliers import Outliers
from .rollouts import Rollouts
from .sections import Sections, listed as listed_sections, measured as measured_probes
from .verdict import plural, verdict

PROBLEMS = 1000
RULES_NAMED = 6  # in one note


def build(
    folder: Path,
    policy: Policy,
    baseline: Path | None = None,
    translate: Messages = ENGLISH,
    known_bugs: KnownBugs | None = None,
    history: History | None = None,
    earlier: FindingHistory | None = None,
) -> dict:
    """Return the fleet document (schema ksysak.fleet/1) of the scan in folder.

    baseline: folder of an earlier scan to compare with; translate: language of the verdict; known_bugs: where kernel reports are
    looked up, None: nowhere; history: earlier scans for growth between scans, None: none; earlier: their findings, None: none.
    Raises load.ResultsError when there is nothing that a report could be made of.
    """
    scan, problems = load.read_scan(folder)
    requested = scan["options"]["probes"] if scan else []
    hosts: dict[str, dict] = {}
    broken: dict[str, str] = {}
    history = history or History(None, folder)
    groups, sections, measurement, modules = Groups(), Sections(known_bugs or KnownBugs([])), Measurement(), Modules()
    analysis = _Analysis(policy, baseline, history)
    host_scan_id = None
    measured: set[str] = set()
    rules: dict[str, list[str]] = {}
    for file, document, reason, evaluation in evaluated_hosts(folder, policy, scan["scan_id"] if scan else None, history.facts):
        if document is None or evaluation is None:
            broken[file] = reason
            continue
        host = document["host"]
        for trouble in evaluation.problems:
            rules.setdefault(trouble, []).append(host)
        groups.add(host, evaluation.findings)
        host_scan_id = host_scan_id or document["scan_id"]
        sections.add(document, evaluation.findings)
        analysis.add(document, evaluation)
        measurement.add(host, document["probes"])
        modules.add(document)
        measured |= measured_probes(document).keys()
        hosts[host] = summary(document, evaluation.findings, requested)
    scan_id = scan["scan_id"] if scan else host_scan_id or folder.name[:64]
    notes = _add_absent(hosts, broken, scan, translate)
    owners = {f"hosts/{host_file_name(host)}": host for host in hosts}
    problems += [{"file": file, "host": owners.get(file), "reason": f"{file} {reason}"} for file, reason in broken.items()]
    problems += [{"file": None, "host": None, "reason": _rule_trouble(trouble, where)} for trouble, where in rules.items()]
    entries = sorted(hosts.values(), key=_host_order)
    tested, troubles = selftest.section(folder, entries, translate)
    problems += troubles + analysis.problems
    grouped = groups.result()
    beneath(grouped, {rule.id: rule.part_of for rule in policy.rules if rule.part_of})
    listed, cut, analysed = analysis.result(grouped, set(hosts), scan, earlier or FindingHistory(None, folder), translate)
    if cut:
        problems.append(
            {"file": None, "host": None, "reason": f"{plural(cut, 'kind')} of findings beyond the first {len(listed)} are not shown"}
        )
    if len(problems) > PROBLEMS:
        more = {"file": None, "host": None, "reason": f"not shown: {plural(len(problems) - PROBLEMS, 'more problem')}"}
        problems = [*problems[:PROBLEMS], more]
    host_counts = counts(entries)
    left_out = not_judged(analysed["compliance"]["rules"], {rule.id: rule.probes for rule in policy.rules}, measured)
    result = verdict(host_counts, listed, problems, scan["options"]["duration_s"] if scan else None, left_out, translate)
    notes += _policy_notes(analysed["compliance"], translate) + _drift_notes(analysed["drift"], translate)
    notes += memory_trend.notes(analysed["memory_trend"], translate)
    return {
        "schema": "ksysak.fleet/1",
        "generated_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scan": _scan(scan, scan_id),
        "policies": policy.origins,
        "runbooks": None,
        "verdict": {**result, "notes": [*result["notes"], *notes]},
        "counts": {
            "hosts": host_counts,
            "findings": {severity: sum(entry["findings"][severity] for entry in entries) for severity in SEVERITIES},
            "groups": by_severity(listed),
        },
        "findings": listed,
        "hosts": entries,
        "modules": modules.result([entry["host"] for entry in entries]),
        "sections": listed_sections(),
        **sections.result(listed),
        **analysed,
        "measurement": measurement.result(),
        "selftest": tested,
        "problems": problems,
    }


class _Analysis:
    """What is only seen when hosts, rules and scans are compared."""

    def __init__(self, policy: Policy, baseline: Path | None, history: History):
        self._factors, self._outliers, self._compliance, self._rollouts = Factors(), Outliers(), Compliance(policy), Rollouts()
        self._drift = Drift(baseline, policy, history.facts) if baseline else None
        self._history, self._memory_trend = history, memory_trend.MemoryTrend(history)
        self.problems = self._drift.problems if self._drift else []

    def add(self, document: dict, evaluation: Evaluation) -> None:
        self._compliance.add(document["host"], evaluation)
        if document["state"] != "scanned":
            return
        self._history.keep(document)
        self._memory_trend.add(document, evaluation.findings)
        self._factors.add(document, evaluation.outcomes)
        self._rollouts.add(document, evaluation)
        self._outliers.add(document)
        if self._drift:
            self._drift.add(document, evaluation)

    def result(
        self, groups: list[dict], all_hosts: set[str], scan: dict | None, earlier: FindingHistory, translate: Messages
    ) -> tuple[list[dict], int, dict]:
        """Return (groups of findings, worst first; number of groups that were cut; members of the fleet document).

        scan: scan document, None: there is none; earlier: findings of earlier scans.
        """
        started_at = scan["started_at"] if scan else None
        drift = self._drift.result(groups, all_hosts) if self._drift else None
        compliance = self._compliance.result(all_hosts)
        trend = earlier.explain(groups, scan, compliance)
        listed, cut = ordered(groups, started_at)
        known = {group["id"] for group in listed}
        for entry in drift["groups"] if drift and cut else []:
            entry["finding"] = entry["finding"] if entry["finding"] in known else None
        self._factors.explain(listed)
        self._rollouts.explain(listed, self._factors, self._drift.then() if self._drift else (), started_at, translate)
        return (
            listed,
            cut,
            {
                "compliance": compliance,
                "trend": trend,
                "outliers": self._outliers.result(),
                "drift": drift,
                "memory_trend": self._memory_trend.result(listed),
            },
        )


def _policy_notes(compliance: dict, translate: Messages) -> list[str]:
    """What one must know of waivers, and of rules whose probes measured too little for them, to read the verdict."""
    waived, expired = len(compliance["waived"]), len(compliance["expired"])
    unmet, rules = compliance["unmet"]["hosts"], compliance["unmet"]["rules"]
    notes = []
    if unmet:
        more = translate(" and {n} more", n=len(rules) - RULES_NAMED) if len(rules) > RULES_NAMED else ""
        names = [rule["name"] for rule in compliance["rules"] if rule["rule"] in rules]
        named, hosts = ", ".join(names[:RULES_NAMED]) + more, translate.many(unmet, "host")
        notes.append(
            translate("Not evaluated on {hosts}, where their probes did not measure what they need: {rules}.", hosts=hosts, rules=named)
        )
    if waived:
        notes.append(translate("Waived, not counted: {waived}.", waived=translate.many(waived, "waived finding")))
    if expired:
        notes.append(translate("Expired, and without effect: {waivers}.", waivers=translate.many(expired, "waiver")))
    return notes


def _drift_notes(drift: dict | None, translate: Messages) -> list[str]:
    if drift is None:
        return []
    scan = drift["baseline"]["scan_id"]
    if not drift["new_groups"]:
        new = drift["counts"]["new"]
        if not new:
            return [translate("Nothing is new since the scan {scan}.", scan=scan)]
        known = translate.many(new, "known finding")
        return [translate("Since the scan {scan}, {findings} came up on hosts that had none of the kind.", scan=scan, findings=known)]
    kinds = translate.many(drift["new_groups"], "kind of findings", "kinds of findings")
    return [translate("New since the scan {scan}: {kinds}.", scan=scan, kinds=kinds)]


def _add_absent(hosts: dict[str, dict], broken: dict[str, str], scan: dict | None, translate: Messages) -> list[str]:
    """Add the hosts that were meant to be scanned and have no usable file; return notes for the verdict."""
    if scan is None:
        return [translate("Which hosts were meant to be scanned is not known: scan.json is missing or broken.")]
    extra = len(set(hosts) - set(scan["hosts"]))
    for host in scan["hosts"]:
        if host not in hosts:
            reason = broken.get(f"hosts/{host_file_name(host)}")
            hosts[host] = absent(host, "unreadable", f"its result file {reason}") if reason else absent(host, "missing", NO_RESULT)
    notes = []
    if scan["ended_at"] is None:
        notes.append(translate("The scan was interrupted, or was still running when this report was made."))
    if extra:
        notes.append(translate("Not named in scan.json, as after merging slices of a scan: {hosts}.", hosts=translate.many(extra, "host")))
    return notes


def _host_order(entry: dict) -> tuple:
    return tuple(-entry["findings"][severity] for severity in SEVERITIES[:-1]), entry["coverage"] != "none", entry["host"]


def _rule_trouble(trouble: str, hosts: list[str]) -> str:
    return f"{trouble} (on {hosts[0]}{f' and {len(hosts) - 1} more' if len(hosts) > 1 else ''})"


def _scan(scan: dict | None, scan_id: str) -> dict:
    if scan is None:
        unknown = dict.fromkeys(("started_at", "ended_at", "collection_version", "duration_s", "ansible_core"))
        return {"scan_id": scan_id, **unknown, "probes": []}
    return {
        "scan_id": scan["scan_id"],
        "started_at": scan["started_at"],
        "ended_at": scan["ended_at"],
        "collection_version": scan["collection_version"],
        "duration_s": scan["options"]["duration_s"],
        "probes": scan["options"]["probes"],
        "ansible_core": scan["controller"]["ansible_core"],
    }
