# SPDX-License-Identifier: GPL-3.0-or-later
"""A few lines for a terminal. Nothing that a host sent can move the cursor or make a line long."""

from __future__ import annotations

from ..policy.policy import SEVERITIES
from ..policy.text import bounded, visible

LINE_CHARS = 160
FINDINGS = 10
BLIND_HOSTS = 10
PROBLEMS = 5


def digest(fleet: dict) -> list[str]:
    """Return the lines: verdict, hosts, findings by severity, the worst findings, hosts that nobody looked at.

    fleet: a fleet document (schema ksysak.fleet/1).
    """
    hosts, groups = fleet["counts"]["hosts"], fleet["counts"]["groups"]
    lines = [f"{fleet['verdict']['level'].upper()}: {fleet['verdict']['sentence']}"]
    lines += [f"  {note}" for note in fleet["verdict"]["notes"]]
    states = [f"{hosts[state]} {state}" for state in ("scanned", "unreachable", "failed", "lost", "missing", "unreadable") if hosts[state]]
    lines.append(f"Hosts: {hosts['total']} ({', '.join(states) or 'none'}); measured wholly {hosts['coverage_full']}, "
                 f"partly {hosts['coverage_partial']}, not at all {hosts['coverage_none']}")  # fmt: skip
    lines.append("Findings: " + ", ".join(f"{groups[severity]} {severity}" for severity in SEVERITIES))
    lines.append(f"Self-test: {fleet['selftest']['sentence']}")
    listed = fleet["findings"][:FINDINGS]
    lines += [f"  {group['severity']:8} {_where(group):28} {group['title']}" for group in listed]
    lines += _more(len(fleet["findings"]) - len(listed), "findings")
    blind = [host for host in fleet["hosts"] if host["coverage"] == "none"]
    if blind:
        lines.append("Not looked at:")
    lines += [f"  {host['state']:11} {host['host']}: {host['reason'] or 'no probe could measure'}" for host in blind[:BLIND_HOSTS]]
    lines += _more(len(blind) - BLIND_HOSTS, "hosts")
    if fleet["problems"]:
        lines.append("Problems of this report:")
    lines += [f"  {problem['reason']}" for problem in fleet["problems"][:PROBLEMS]]
    lines += _more(len(fleet["problems"]) - PROBLEMS, "problems")
    return [bounded(visible(line), LINE_CHARS * (3 if number == 0 else 1)) for number, line in enumerate(lines)]


def _where(group: dict) -> str:
    return bounded(group["hosts"][0]["host"], 28) if group["host_count"] == 1 else f"{group['host_count']} hosts"


def _more(number: int, what: str) -> list[str]:
    return [f"  … and {number} more {what}"] if number > 0 else []
