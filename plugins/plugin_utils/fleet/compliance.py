# SPDX-License-Identifier: GPL-3.0-or-later
"""The policy in force: every rule of it, what was changed, what was therefore not judged, and on how many hosts it is kept."""

from __future__ import annotations

import collections
from collections.abc import Collection

from ..policy.policy import SEVERITIES, Evaluation, Policy
from ..policy.waivers import Waiver

OUTCOMES = ("pass", "fail", "waived", "unknown", "off")
HOSTS = 50
WAIVED = 2000
# Of all rules on all hosts together. More are no help to anybody: see report/junit.py.
LETTERS = 30000


class Compliance:
    """Counts the outcomes of rules, host by host, and keeps what was waived."""

    def __init__(self, policy: Policy):
        self._policy = policy
        self._outcomes: dict[str, collections.Counter[str]] = {rule.id: collections.Counter() for rule in policy.rules}
        self._not_judged: dict[str, dict] = {}
        self._waived: dict[str, dict] = {}
        self._used: set[str] = set()
        self._hosts: dict[str, str] = {}
        self._unmet: collections.Counter[str] = collections.Counter()
        self._unmet_hosts = 0

    def add(self, host: str, evaluation: Evaluation) -> None:
        """evaluation: the outcome of every rule of the policy on this host."""
        self._hosts[host] = "".join(evaluation.outcomes[rule][0] for rule in self._outcomes)
        for rule, outcome in evaluation.outcomes.items():
            self._outcomes[rule][outcome] += 1
        self._unmet.update(evaluation.unmet)
        self._unmet_hosts += bool(evaluation.unmet)
        for rule, severities in evaluation.not_judged.items():
            hidden = self._not_judged.setdefault(rule, {"hosts": 0, "findings": 0, "severity": severities[0]})
            hidden["hosts"] += 1
            hidden["findings"] += len(severities)
            hidden["severity"] = min(hidden["severity"], *severities, key=SEVERITIES.index)
        for finding in evaluation.waived:
            self._used.add(finding["waiver"]["place"])
            entry = self._waived.setdefault(
                f"{finding['signature']}\0{finding['waiver']['place']}",
                {
                    **{field: finding[field] for field in ("signature", "rule", "severity", "category", "title")},
                    **finding["waiver"],
                    "hosts": {},
                },
            )
            entry["hosts"][host] = None

    def result(self, hosts: Collection[str]) -> dict:
        """Return the section 'compliance' of the fleet document. hosts: all of them; what was not added is unknown."""
        rules = []
        unknown = "u" * len(self._outcomes)
        few = len(hosts) * len(self._outcomes) <= LETTERS
        for entry in self._policy.summary:
            count = self._outcomes[entry["rule"]]
            outcomes = {outcome: count[outcome] for outcome in OUTCOMES}
            outcomes["unknown"] += len(hosts) - len(self._hosts)
            rules.append({**entry, **outcomes, "not_judged": self._not_judged.get(entry["rule"])})
        waived = [
            {**entry, "host_count": len(entry["hosts"]), "hosts": sorted(entry["hosts"])[:HOSTS]}
            for entry in sorted(self._waived.values(), key=lambda entry: (entry["expires"], entry["signature"]))
        ]
        return {
            "sha256": self._policy.sha256,
            "version": self._policy.version,
            "rules": rules,
            "unmet": {"hosts": self._unmet_hosts, "rules": [rule for rule in self._outcomes if self._unmet[rule]]},
            "outcomes": {host: self._hosts.get(host, unknown) for host in sorted(hosts)} if few else None,
            "waived": waived[:WAIVED],
            "expired": [_said(waiver) for waiver in self._policy.expired],
            "unused": [_said(waiver) for waiver in self._policy.waivers if waiver.place not in self._used],
        }


def _said(waiver: Waiver) -> dict:
    return {**waiver.summary, "rule": waiver.spec.get("rule"), "signature": waiver.spec.get("signature")}
