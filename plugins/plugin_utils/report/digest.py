# SPDX-License-Identifier: GPL-3.0-or-later
"""A few lines for a terminal. Nothing that a host sent can move the cursor or make a line long."""

from __future__ import annotations

from ..fleet.drift import CHANGES
from ..messages import ENGLISH, Messages
from ..policy.policy import SEVERITIES
from ..policy.text import bounded, visible

LINE_CHARS = 160
FINDINGS = 10
BLIND_HOSTS = 10
OUTLIERS = 5
PROBLEMS = 5


def digest(fleet: dict, say: Messages = ENGLISH) -> list[str]:
    """Return the lines: verdict, hosts, findings by severity, the worst findings, what changed, hosts that nobody looked at.

    fleet: a fleet document (schema ksysak.fleet/1); say: the language.
    """
    hosts, groups = fleet["counts"]["hosts"], fleet["counts"]["groups"]
    lines = [f"{say(fleet['verdict']['level']).upper()}: {fleet['verdict']['sentence']}"]
    lines += [f"  {note}" for note in fleet["verdict"]["notes"]]
    states = [
        f"{hosts[state]} {say(state)}" for state in ("scanned", "unreachable", "failed", "lost", "missing", "unreadable") if hosts[state]
    ]
    lines.append(say("Hosts: {total} ({states}); fully measured {full}, partially measured {partial}, not measured {none}",
        total=hosts["total"],
                     states=", ".join(states) or say("none"), full=hosts["coverage_full"], partial=hosts["coverage_partial"],
                     none=hosts["coverage_none"]))  # fmt: skip
    lines.append(say("Findings: {counts}", counts=", ".join(f"{groups[severity]} {say(severity)}" for severity in SEVERITIES)))
    lines += _drift(fleet["drift"], say)
    lines.append(say("Self-test: {said}", said=fleet["selftest"]["sentence"]))
    listed = fleet["findings"][:FINDINGS]
    for group in listed:
        lines.append(f"  {say(group['severity']):8} {_where(group, say):28} {group['title']}")
        lines += [f"{'':38}{_common(group['common'][0], say)}"] if group["common"] else []
    lines += _more(len(fleet["findings"]) - len(listed), "finding", say)
    lines += _outliers(fleet["outliers"], say)
    blind = [host for host in fleet["hosts"] if host["coverage"] == "none"]
    if blind:
        lines.append(say("Not measured:"))
    lines += [
        f"  {say(host['state']):11} {host['host']}: {host['reason'] or say('no probe could measure')}" for host in blind[:BLIND_HOSTS]
    ]
    lines += _more(len(blind) - BLIND_HOSTS, "host", say)
    if fleet["problems"]:
        lines.append(say("Problems of this report:"))
    lines += [f"  {problem['reason']}" for problem in fleet["problems"][:PROBLEMS]]
    lines += _more(len(fleet["problems"]) - PROBLEMS, "problem", say)
    return [bounded(visible(line), LINE_CHARS * (3 if number == 0 else 1)) for number, line in enumerate(lines)]


def _where(group: dict, say: Messages) -> str:
    return bounded(group["hosts"][0]["host"], 28) if group["host_count"] == 1 else say.many(group["host_count"], "host")


def _common(entry: dict, say: Messages) -> str:
    what = f"{say(entry['factor'].replace('_', ' '))} {entry['value']}"
    return say("in common: {what} ({a} of {b} affected hosts, {c} of {d} others)", what=what, a=entry["affected"], b=entry["affected_of"],
               c=entry["others"], d=entry["others_of"])  # fmt: skip


def _drift(drift: dict | None, say: Messages) -> list[str]:
    if drift is None:
        return []
    counts = ", ".join(f"{drift['counts'][change]} {say(change.replace('_', ' '))}" for change in CHANGES if drift["counts"][change])
    return [say("Since {scan}: {counts}", scan=drift["baseline"]["scan_id"], counts=counts or say("no finding then or now"))]


def _outliers(outliers: list[dict], say: Messages) -> list[str]:
    found = [(entry["score"], entry["host"], measure["measure"]) for measure in outliers for entry in measure["outliers"]]
    if not found:
        return []
    worst = sorted(found, reverse=True)[:OUTLIERS]
    return [say("Unlike the rest: {hosts}", hosts=", ".join(f"{bounded(host, 40)} ({measure})" for _score, host, measure in worst))]


def _more(number: int, what: str, say: Messages) -> list[str]:
    return [say("  … and {things}", things=say.many(number, f"more {what}"))] if number > 0 else []
