# SPDX-License-Identifier: GPL-3.0-or-later
"""A few lines for a terminal. Nothing that a host sent can move the cursor or make a line long."""

from __future__ import annotations

from ..fleet.drift import CHANGES
from ..fleet.rollouts import is_telling
from ..messages import ENGLISH, Messages
from ..policy.policy import SEVERITIES
from ..policy.text import bounded, for_log, visible

LINE_CHARS = 160
FINDINGS = 10
NOT_MEASURED_HOSTS = 10
STATES = ("scanned", "unreachable", "failed", "lost", "missing", "unreadable")
OUTLIERS = 5
PROBLEMS = 5


def digest(fleet: dict, translate: Messages = ENGLISH) -> list[str]:
    """Return the lines: verdict, hosts, findings by severity, the worst findings, what changed, hosts that were not measured.

    fleet: a fleet document (schema ksysak.fleet/1); translate: the language.
    """
    hosts, groups = fleet["counts"]["hosts"], fleet["counts"]["groups"]
    level, sentence = translate(fleet["verdict"]["level"]), fleet["verdict"]["sentence"]
    lines = [sentence if sentence.lower().startswith(level.lower()) else f"{level.upper()}: {sentence}"]
    lines += [f"  {note}" for note in fleet["verdict"]["notes"]]
    states = [f"{hosts[state]} {translate(state)}" for state in STATES if hosts[state]]
    lines.append(
        translate(
            "Hosts: {total} ({states}); fully measured {full}, partially measured {partial}, not measured {none}",
            total=hosts["total"],
            states=", ".join(states) or translate("none"),
            full=hosts["coverage_full"],
            partial=hosts["coverage_partial"],
            none=hosts["coverage_none"],
        )
    )
    lines.append(translate("Findings: {counts}", counts=", ".join(f"{groups[severity]} {translate(severity)}" for severity in SEVERITIES)))
    lines += _drift(fleet["drift"], translate)
    lines.append(translate("Self-test: {sentence}", sentence=fleet["selftest"]["sentence"]))
    listed = fleet["findings"][:FINDINGS]
    for group in listed:
        lines.append(f"  {translate(group['severity']):8} {_where(group, translate):28} {group['title']}")
        lines += [f"{'':38}{text}" for text in _beneath(group, translate)]
    lines += _more(len(fleet["findings"]) - len(listed), "finding", translate)
    lines += _outliers(fleet["outliers"], translate)
    not_measured = [host for host in fleet["hosts"] if host["coverage"] == "none"]
    if not_measured:
        lines.append(translate("Not measured:"))
    for host in not_measured[:NOT_MEASURED_HOSTS]:
        lines.append(f"  {translate(host['state']):11} {host['host']}: {host['reason'] or translate('no probe could measure')}")
    lines += _more(len(not_measured) - NOT_MEASURED_HOSTS, "host", translate)
    if fleet["problems"]:
        lines.append(translate("Problems of this report:"))
    lines += [f"  {problem['reason']}" for problem in fleet["problems"][:PROBLEMS]]
    lines += _more(len(fleet["problems"]) - PROBLEMS, "problem", translate)
    return [bounded(for_log(visible(line)), LINE_CHARS * (3 if number == 0 else 1)) for number, line in enumerate(lines)]


def _where(group: dict, translate: Messages) -> str:
    return bounded(group["hosts"][0]["host"], 28) if group["host_count"] == 1 else translate.many(group["host_count"], "host")


def _beneath(group: dict, translate: Messages) -> list[str]:
    """What the hosts of a finding have in common, and one kernel or module that it is on; both may be the same."""
    told = [entry for entry in group["rollout"] if is_telling(entry)][:1]
    same = {(entry["factor"], entry["value"]) for entry in told}
    common = [entry for entry in group["common"][:1] if (entry["factor"], entry["value"]) not in same]
    return [*(_common(entry, translate) for entry in common), *(part for entry in told for part in entry["sentence"].split("; "))]


def _common(entry: dict, translate: Messages) -> str:
    what = f"{translate(entry['factor'].replace('_', ' '))} {entry['value']}"
    return translate(
        "in common: {what} ({a} of {b} affected hosts, {c} of {d} others)",
        what=what,
        a=entry["affected"],
        b=entry["affected_of"],
        c=entry["others"],
        d=entry["others_of"],
    )


def _drift(drift: dict | None, translate: Messages) -> list[str]:
    if drift is None:
        return []
    counts = ", ".join(f"{drift['counts'][change]} {translate(change.replace('_', ' '))}" for change in CHANGES if drift["counts"][change])
    return [translate("Since {scan}: {counts}", scan=drift["baseline"]["scan_id"], counts=counts or translate("no finding then or now"))]


def _outliers(outliers: list[dict], translate: Messages) -> list[str]:
    found = [(entry["score"], entry["host"], measure["measure"]) for measure in outliers for entry in measure["outliers"]]
    if not found:
        return []
    worst = sorted(found, reverse=True)[:OUTLIERS]
    return [translate("Unlike the rest: {hosts}", hosts=", ".join(f"{bounded(host, 40)} ({measure})" for _score, host, measure in worst))]


def _more(number: int, what: str, translate: Messages) -> list[str]:
    return [translate("  … and {things}", things=translate.many(number, f"more {what}"))] if number > 0 else []
