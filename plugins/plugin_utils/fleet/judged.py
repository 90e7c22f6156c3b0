# SPDX-License-Identifier: GPL-3.0-or-later
"""What the policy in force left out: rules that are off, findings that overrides hide, probes that no rule reads."""

from __future__ import annotations

import dataclasses

from ..messages import Messages

NAMED = 4


@dataclasses.dataclass(frozen=True)
class NotJudged:
    """off: rules that are off on some host; hidden: rules of which overrides hide findings, both as in compliance.rules of the fleet
    document; unread: probes that measured and that no rule which is on reads; everything: nothing at all was judged; rules: their number.
    """

    off: list[dict]
    hidden: list[dict]
    unread: list[str]
    everything: bool
    rules: int

    def __bool__(self) -> bool:
        return bool(self.off or self.hidden or self.unread)

    def gap(self, translate: Messages) -> str:
        """Return in a few words what was not judged, for the sentence of the verdict."""
        if self.everything:
            return translate("no rule of the policy is on, nothing was evaluated")
        if self.off:
            return translate("{n} of {rules} are off", n=len(self.off), rules=translate.many(self.rules, "rule"))
        if self.hidden:
            findings = translate.many(sum(rule["not_judged"]["findings"] for rule in self.hidden), "finding")
            return translate("changes of the policy hide {findings}", findings=findings)
        return translate("no rule reads what was measured by {probes}", probes=", ".join(self.unread))

    def notes(self, translate: Messages) -> list[str]:
        """Return a line for each kind of what was not judged, with the file or variable that did it."""
        notes = []
        if self.off:
            notes.append(translate("Off: {rules}.", rules=_some([_off(rule, translate) for rule in self.off], translate)))
        changed = [rule for rule in self.hidden if rule not in self.off]
        if changed:
            hidden = _some([_hidden(rule, translate) for rule in changed], translate)
            notes.append(translate("Hidden by changes of the policy: {rules}.", rules=hidden))
        if self.unread:
            notes.append(translate("Measured, but no rule reads it: {probes}.", probes=", ".join(self.unread)))
        return notes


def not_judged(rules: list[dict], read: dict[str, set[str]], measured: set[str]) -> NotJudged:
    """Return what was left out.

    rules: compliance.rules of the fleet document; read: {rule: probes that it reads; none: what all probes have in common};
    measured: names of probes that measured on some host.
    """
    on = [rule["rule"] for rule in rules if rule["pass"] or rule["fail"] or rule["waived"] or rule["unknown"]]
    unread = measured - set().union(*(read[rule] for rule in on))
    return NotJudged(
        [rule for rule in rules if rule["off"]],
        [rule for rule in rules if rule["not_judged"]],
        sorted(unread),
        bool(measured) and unread == measured,
        len(rules),
    )


def _off(rule: dict, translate: Messages) -> str:
    changes = [change for change in rule["changes"] if change["field"] == "enabled" and change["to"] is False]
    where = translate(" ({place})", place=changes[-1]["place"]) if changes else ""
    evaluated = rule["pass"] + rule["fail"] + rule["waived"]
    some = translate(" on {hosts}", hosts=translate.many(rule["off"], "host")) if evaluated else ""
    return f"{rule['rule']}{some}{where}{_count(rule, translate)}"


def _hidden(rule: dict, translate: Messages) -> str:
    changes = [f"{change['field']} {_value(change['from'])} → {_value(change['to'])} ({change['place']})" for change in rule["changes"]]
    return f"{rule['rule']}: {'; '.join(changes[:NAMED])}{_count(rule, translate)}"


def _value(value: object) -> str:
    return ", ".join(value)[:80] if isinstance(value, list) else str(value)[:80]


def _count(rule: dict, translate: Messages) -> str:
    hidden = rule["not_judged"]
    if not hidden:
        return ""
    findings, hosts = translate.many(hidden["findings"], "finding"), translate.many(hidden["hosts"], "host")
    return translate(": {findings} on {hosts} not reported", findings=findings, hosts=hosts)


def _some(texts: list[str], translate: Messages) -> str:
    more = translate(" and {n} more", n=len(texts) - NAMED) if len(texts) > NAMED else ""
    return "; ".join(texts[:NAMED]) + more
