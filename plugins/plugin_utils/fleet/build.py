# SPDX-License-Identifier: GPL-3.0-or-later
"""From a results folder to the fleet document, one host after the other."""

from __future__ import annotations

import time
from pathlib import Path

from ..known_bugs.known_bugs import KnownBugs
from ..policy.policy import SEVERITIES, Policy
from ..policy.text import plain_function
from ..results.names import host_file_name
from . import load, selftest
from .exceptions import Exceptions
from .groups import Groups, by_severity
from .hosts import NO_RESULT, absent, counts, summary
from .interference import Interference
from .jitter import Jitter
from .leaks import Leaks
from .measurement import Measurement
from .verdict import plural, verdict

PROBLEMS = 1000


def build(folder: Path, policy: Policy, known_bugs: KnownBugs | None = None) -> dict:
    """Return the fleet document (schema ksysak.fleet/1) of the scan in folder.

    known_bugs: where kernel reports are looked up, None: nowhere.

    Raises load.ResultsError when there is nothing that a report could be made of.
    """
    scan, problems = load.read_scan(folder)
    requested = scan["options"]["probes"] if scan else []
    hosts: dict[str, dict] = {}
    broken: dict[str, str] = {}
    groups, sections, measurement = Groups(), _Sections(known_bugs or KnownBugs([])), Measurement()
    rules: dict[str, list[str]] = {}
    for file, document, reason in load.read_hosts(folder, scan["scan_id"] if scan else None):
        if document is None:
            broken[file] = reason
            continue
        host = document["host"]
        findings, troubles = policy.evaluate(document)
        for trouble in troubles:
            rules.setdefault(trouble, []).append(host)
        groups.add(host, findings)
        sections.add(document, findings)
        measurement.add(host, document["probes"])
        hosts[host] = summary(document, findings, requested)
    scan_id = scan["scan_id"] if scan else next(iter(sections.scan_ids), folder.name[:64])
    notes = _add_absent(hosts, broken, scan)
    owners = {f"hosts/{host_file_name(host)}": host for host in hosts}
    problems += [{"file": file, "host": owners.get(file), "reason": f"{file} {reason}"} for file, reason in broken.items()]
    problems += [{"file": None, "host": None, "reason": _rule_trouble(trouble, where)} for trouble, where in rules.items()]
    entries = sorted(hosts.values(), key=_host_order)
    tested, troubles = selftest.section(folder, entries)
    problems += troubles
    listed, cut = groups.result()
    if cut:
        problems.append(
            {"file": None, "host": None, "reason": f"{plural(cut, 'kind')} of findings beyond the first {len(listed)} are not shown"}
        )
    if len(problems) > PROBLEMS:
        more = {"file": None, "host": None, "reason": f"{len(problems) - PROBLEMS} more problems are not shown"}
        problems = [*problems[:PROBLEMS], more]
    host_counts = counts(entries)
    said = verdict(host_counts, listed, problems, scan["options"]["duration_s"] if scan else None)
    return {
        "schema": "ksysak.fleet/1",
        "generated_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "scan": _scan(scan, scan_id),
        "policies": policy.origins,
        "verdict": {**said, "notes": [*said["notes"], *notes]},
        "counts": {
            "hosts": host_counts,
            "findings": {severity: sum(entry["findings"][severity] for entry in entries) for severity in SEVERITIES},
            "groups": by_severity(listed),
        },
        "findings": listed,
        "hosts": entries,
        **sections.result(listed),
        "measurement": measurement.result(),
        "selftest": tested,
        "problems": problems,
    }


class _Sections:
    """The sections that are about one probe each."""

    def __init__(self, known_bugs: KnownBugs):
        self.scan_ids: dict[str, None] = {}
        self._jitter, self._leaks, self._interference, self._exceptions = Jitter(), Leaks(), Interference(), Exceptions(known_bugs)
        self._suspected: dict[tuple, str] = {}
        self._reported: dict[str, str] = {}

    def add(self, document: dict, findings: list[dict]) -> None:
        self.scan_ids[document["scan_id"]] = None
        host = document["host"]
        measured = {name: probe for name, probe in document["probes"].items() if probe["status"] in ("ok", "degraded")}
        if "runlatency" in measured:
            self._jitter.add(host, measured["runlatency"]["data"])
        if "memleak" in measured:
            self._leaks.add(host, measured["memleak"]["data"])
        if "interference" in measured:
            self._interference.add(host, measured["interference"]["data"], measured["interference"]["window_s"])
        if "os_exceptions" in measured:
            self._exceptions.add(host, measured["os_exceptions"]["data"])
        for finding in findings:
            evidence = finding["evidence"]
            if {"type", "culprit", "module"} <= set(evidence):
                self._suspected[evidence["type"], plain_function(evidence["culprit"]), evidence["module"]] = finding["signature"]
            if {"kind", "signature", "excerpt"} <= set(evidence):
                self._reported.setdefault(evidence["signature"], finding["signature"])

    def result(self, groups: list[dict]) -> dict:
        by_signature = {group["signature"]: group for group in groups}
        suspected = {key: by_signature[signature]["id"] for key, signature in self._suspected.items() if signature in by_signature}
        reported = {key: by_signature[signature] for key, signature in self._reported.items() if signature in by_signature}
        return {
            "jitter": self._jitter.result(),
            "leaks": self._leaks.result(suspected),
            "interference": self._interference.result(),
            "exceptions": self._exceptions.result(reported),
        }


def _add_absent(hosts: dict[str, dict], broken: dict[str, str], scan: dict | None) -> list[str]:
    """Add the hosts that were meant to be scanned and have no usable file; return notes for the verdict."""
    if scan is None:
        return ["Which hosts were meant to be scanned is not known: scan.json is missing or broken."]
    extra = len(set(hosts) - set(scan["hosts"]))
    for host in scan["hosts"]:
        if host not in hosts:
            reason = broken.get(f"hosts/{host_file_name(host)}")
            hosts[host] = absent(host, "unreadable", f"its result file {reason}") if reason else absent(host, "missing", NO_RESULT)
    notes = []
    if scan["ended_at"] is None:
        notes.append("The scan was interrupted, or was still running when this report was made.")
    if extra:
        notes.append(f"Not named in scan.json, as after merging slices of a scan: {plural(extra, 'host')}.")
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
