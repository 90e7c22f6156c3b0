# SPDX-License-Identifier: GPL-3.0-or-later
"""What a pipeline gets of a fleet document: a judgement, an exit code, lines for GitHub Actions, a code-quality report for GitLab."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from ..fleet.verdict import passes
from ..messages import ENGLISH
from ..policy.policy import SEVERITIES
from ..policy.text import bounded, visible
from ..results.names import host_file_name

# Exit codes of the callback exit_code.
PASSED, FINDINGS, INCOMPLETE = 0, 2, 3
SERIOUS = tuple(severity for severity in SEVERITIES if severity != "info")

GITHUB = {"fatal": "error", "critical": "error", "error": "error", "warning": "warning", "info": "notice"}
# GitHub shows no more of each kind for a step.
ANNOTATIONS = 10
# In a task's result.
LISTED = 20
NAMED_HOSTS = 5
GITLAB = {"fatal": "blocker", "critical": "critical", "error": "major", "warning": "minor", "info": "info"}


def brought(group: dict) -> bool:
    """Tell whether a group of findings is new or worse on some host, compared with the baseline."""
    counts = group.get("drift")
    return bool(counts and counts["new"] + counts["worse"])


def judged(fleet: dict, only_new: bool) -> tuple[str, list[dict]]:
    """Return (level, groups of findings, worst first) that decide.

    only_new: only what is new or worse since the baseline; without a baseline, everything. The level is one of fleet.verdict.LEVELS,
    or 'unknown'.
    """
    if not only_new or not fleet["drift"]:
        return fleet["verdict"]["level"], fleet["findings"]
    groups = [group for group in fleet["findings"] if brought(group)]
    worst = next((severity for severity in SERIOUS if any(group["severity"] == severity for group in groups)), None)
    hosts = fleet["counts"]["hosts"]
    gaps = hosts["coverage_none"] or hosts["coverage_partial"] or fleet["problems"] or fleet["verdict"]["not_judged"]
    if worst or fleet["verdict"]["level"] == "unknown":
        return worst or "unknown", groups
    return "incomplete" if gaps else "clear", groups


def brief(group: dict) -> dict:
    """Return what a task's result has of a group of findings."""
    told = [entry["sentence"] for entry in group["rollout"]]
    return {**{name: group[name] for name in ("rule", "severity", "title", "host_count")}, "rollout": told}


def outcome(fleet: dict, level: str, paths: dict[str, Path]) -> dict:
    """Return what the next node of a workflow needs to know, at most some KiB. level: that decided; paths: of the files, by format."""
    affected: dict[str, int] = {}
    for group in fleet["findings"]:
        for host in group["hosts"] if group["severity"] in SERIOUS else ():
            affected[host["host"]] = affected.get(host["host"], 0) + 1
    worst = sorted(affected, key=lambda name: (-affected[name], name))[:LISTED]
    return {
        "scan_id": fleet["scan"]["scan_id"],
        "level": level,
        "sentence": bounded(fleet["verdict"]["sentence"], 1000),
        "hosts": fleet["counts"]["hosts"],
        "findings": fleet["counts"]["groups"],
        "worst_hosts": [{"host": name, "findings": affected[name]} for name in worst],
        "files": {name: str(path) for name, path in paths.items()},
    }


def exit_code(level: str, fail_on: str, enough_hosts: bool) -> int:
    """Return PASSED, FINDINGS or INCOMPLETE. level: as judged() returns it; enough_hosts: whether enough hosts were scanned."""
    if passes(level, fail_on):
        return PASSED if enough_hosts else INCOMPLETE
    return FINDINGS if level in SERIOUS else INCOMPLETE


def github_lines(fleet: dict, groups: list[dict]) -> list[str]:
    """Return lines that GitHub Actions shows with a run: one for each group of findings, and one for hosts without a measurement."""
    lines = []
    count = dict.fromkeys(GITHUB.values(), 0)
    for group in groups:
        kind = GITHUB[group["severity"]]
        count[kind] += 1
        if count[kind] <= ANNOTATIONS:
            names = [host["host"] for host in group["hosts"][:NAMED_HOSTS]]
            more = group["host_count"] - len(names)
            where = ", ".join(names) + (f" and {more} more" if more > 0 else "")
            text = "; ".join([where, *brief(group)["rollout"][:1]])
            text = f"{text}: {group['remedy']}" if group["remedy"] else text
            lines.append(f"::{kind} title={_property(group['title'])}::{_data(text)}")
    missing = [host for host in fleet["hosts"] if host["coverage"] == "none"]
    if missing:
        listed = ", ".join(f"{host['host']} ({host['state']})" for host in missing[:NAMED_HOSTS])
        title = f"{ENGLISH.many(len(missing), 'host')} not measured"
        lines.append(f"::warning title={_property(title)}::{_data(listed)}")
    return lines


def _data(text: str) -> str:
    return bounded(visible(text), 1000).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(bounded(text, 200)).replace(":", "%3A").replace(",", "%2C")


def codequality(fleet: dict) -> str:
    """Return the findings as a report of GitLab's Code Quality: one entry for each finding and host."""
    entries = [
        {
            "description": f"{member['host']}: {member['title']}",
            "check_name": group["rule"],
            "fingerprint": hashlib.sha256(f"{group['signature']}|{member['host']}".encode("utf-8", "surrogatepass")).hexdigest(),
            "severity": GITLAB[member["severity"]],
            "location": {"path": f"hosts/{host_file_name(member['host'])}", "lines": {"begin": 1}},
        }
        for group in fleet["findings"]
        for member in group["hosts"]
    ]
    return json.dumps(entries, indent=1, allow_nan=False) + "\n"
