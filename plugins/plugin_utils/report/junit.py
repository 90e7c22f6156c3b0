# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML, as build servers show it: a suite for each rule, and in it a case for each host, whatever became of it.

Names of suites and cases depend on the policy and the inventory alone. What was repaired therefore turns green, and its history goes on.

GitLab refuses reports of more than 250,000 objects or 30 MB, and each case is several objects. Up to compliance.LETTERS cases there is one
for each rule and host. A larger fleet has one for each rule and one for each host: again by the size of policy and inventory, never by
the findings.

The suite 'policy' has a case for each rule that tells whether it is in force as its file has it, the suite 'hosts' one for each host
that tells whether it was measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ..fleet.verdict import plural
from ..policy.policy import SEVERITIES

# Characters that XML 1.0 cannot hold at all.
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HOSTS_SUITE = "hosts"
POLICY_SUITE = "policy"
ALL_HOSTS = "all hosts"
LISTED = 20
# Of the longer texts of all cases together; then only their messages.
DETAIL_CHARS = 8_000_000
NOT_PASSED = {
    "f": "found, and reported under another rule that explains it, or beyond the findings that the report lists",
    "w": "waived",
    "u": "not evaluated: what this rule reads was not measured on this host",
    "o": "off for this host",
}


def render(fleet: dict) -> str:
    """Return a fleet document (schema ksysak.fleet/1) as JUnit XML.

    Findings of severity info are cases that pass; what is waived, off or not evaluated is skipped; hosts that were not measured are errors
    of the suite 'hosts'.
    """
    root = ElementTree.Element("testsuites", name=_text(f"ksysak.fleet {fleet['scan']['scan_id']}"))
    cases = _Cases(fleet)
    cases.policy(_suite(root, POLICY_SUITE, fleet))
    cases.hosts(_suite(root, HOSTS_SUITE, fleet))
    for place, rule in enumerate(fleet["compliance"]["rules"] if fleet["hosts"] else []):
        cases.rule(_suite(root, rule["rule"], fleet), place, rule)
    totals = dict.fromkeys(("tests", "failures", "errors"), 0)
    for suite in root:
        count = {kind: len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error", "skipped")}
        of = {"tests": len(suite.findall("testcase")), "failures": count["failure"], "errors": count["error"], "skipped": count["skipped"]}
        suite.attrib.update({name: str(value) for name, value in of.items()})
        for name in totals:
            totals[name] += of[name]
    root.attrib.update({name: str(value) for name, value in totals.items()})
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _text(text: str) -> str:
    return NOT_XML.sub("\ufffd", text)


def _suite(root: Element, name: str, fleet: dict) -> Element:
    attributes: dict[str, str] = {"timestamp": fleet["scan"]["started_at"].rstrip("Z")} if fleet["scan"]["started_at"] else {}
    return ElementTree.SubElement(root, "testsuite", {"name": _text(name), **attributes})


def _case(suite: Element, name: str) -> Element:
    return ElementTree.SubElement(suite, "testcase", classname=suite.get("name", ""), name=_text(name))


def _outcome(case: Element, kind: str, message: str, detail: str = "", of: str = "") -> None:
    attributes = {"type": of} if of else {}
    ElementTree.SubElement(case, kind, {"message": _text(message), **attributes}).text = _text(detail) or None


class _Cases:
    """The cases of each suite of one fleet document."""

    def __init__(self, fleet: dict):
        self._fleet = fleet
        self._outcomes: dict[str, str] | None = fleet["compliance"]["outcomes"]
        self._found: dict[tuple[str, str], list[tuple[dict, dict]]] = {}
        for group in fleet["findings"]:
            for member in group["hosts"]:
                for key in ((group["rule"], member["host"]), (group["rule"], ALL_HOSTS), ("", member["host"])):
                    self._found.setdefault(key, []).append((group, member))
        self._waived: dict[tuple[str, str], dict] = {}
        for entry in fleet["compliance"]["waived"]:
            for host in entry["hosts"]:
                self._waived.setdefault((entry["rule"], host), entry)
        self._room = DETAIL_CHARS

    def policy(self, suite: Element) -> None:
        """What was judged, and what was not. Nothing that was not judged is a case that passes."""
        policy, verdict = self._fleet["compliance"], self._fleet["verdict"]
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in (("policy.sha256", policy["sha256"]), ("policy.version", policy["version"])):
            ElementTree.SubElement(properties, "property", name=name, value=_text(value))
        case = _case(suite, "verdict")
        if verdict["level"] == "unknown":
            _outcome(case, "error", verdict["sentence"], of="unknown")
        elif verdict["not_judged"]:
            _outcome(case, "skipped", " ".join(verdict["not_judged"]))
        for rule in policy["rules"]:
            case = _case(suite, rule["rule"])
            places = ", ".join(dict.fromkeys(change["place"] for change in rule["changes"]))
            where = f" ({places})" if places else ""
            hidden = rule["not_judged"]
            count = f"{plural(hidden['findings'], 'finding')} on {plural(hidden['hosts'], 'host')} not reported" if hidden else ""
            if rule["off"]:
                _outcome(case, "skipped", f"off on {plural(rule['off'], 'host')}{where}{f': {count}' if count else ''}")
            elif hidden:
                _outcome(case, "skipped", f"changed: {count}{where}")

    def hosts(self, suite: Element) -> None:
        """Whether each host was measured; in a large fleet also what was found there."""
        for host in sorted(self._fleet["hosts"], key=lambda host: host["host"]):
            case = _case(suite, host["host"])
            if host["coverage"] == "none":
                _outcome(case, "error", host["reason"] or "no probe could measure", of=host["state"])
            elif self._outcomes is None:
                self._findings(case, self._found.get(("", host["host"]), []))

    def rule(self, suite: Element, place: int, rule: dict) -> None:
        """What one rule found, on each host; in a large fleet on all of them."""
        name = rule["rule"]
        if self._outcomes is None:
            case = _case(suite, ALL_HOSTS)
            found = self._found.get((name, ALL_HOSTS), [])
            self._findings(case, found)
            if not (found or rule["pass"]):
                counts = [
                    f"{outcome} on {plural(rule[outcome], 'host')}" for outcome in ("fail", "waived", "unknown", "off") if rule[outcome]
                ]
                _outcome(case, "skipped", ", ".join(counts))
            return
        for host, letters in sorted(self._outcomes.items()):
            case = _case(suite, host)
            found, letter = self._found.get((name, host), []), letters[place]
            if found:
                self._findings(case, found)
            elif letter == "w" and (entry := self._waived.get((name, host))):
                _outcome(case, "skipped", f"waived until {entry['expires']} by {entry['owner']}: {entry['reason']}")
            elif letter != "p":
                _outcome(case, "skipped", NOT_PASSED[letter])

    def _findings(self, case: Element, found: list[tuple[dict, dict]]) -> None:
        """Give a case its outcome. found: (group, member of its hosts), none where the case passes."""
        if not found:
            return
        found = sorted(found, key=lambda one: SEVERITIES.index(one[1]["severity"]))
        worst = found[0][1]
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        detail = "\n".join(self._lines(found, with_host=case.get("name") == ALL_HOSTS))
        self._room -= len(detail)
        if self._room < 0:
            detail = ""
        if worst["severity"] == "info":
            ElementTree.SubElement(case, "system-out").text = _text(detail or worst["title"])
        else:
            _outcome(case, "failure", f"{worst['title']}{more}", detail, worst["severity"])

    @staticmethod
    def _lines(found: list[tuple[dict, dict]], with_host: bool) -> Iterator[str]:
        advised = set()
        for group, member in found[:LISTED]:
            yield f"{member['severity']}: {member['host'] + ': ' if with_host else ''}{member['title']}"
            if group["id"] not in advised:
                advised.add(group["id"])
                rollout = [entry["sentence"] for entry in group["rollout"]]
                yield from [line for line in (*rollout, group["remedy"], *group["references"]) if line]
        if len(found) > LISTED:
            yield f"and {len(found) - LISTED} more: the report has all"
