# SPDX-License-Identifier: GPL-3.0-or-later
"""JUnit XML, as build servers show it: a suite for each rule, a case for each host that breaks it and one for all that keep it.

The suite 'policy' has the policy in force, and a case for each rule that is off or that overrides hide findings of.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from ..fleet.verdict import plural

# Characters that XML 1.0 cannot hold at all.
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
HOSTS_SUITE = "hosts"
POLICY_SUITE = "policy"


def render(fleet: dict) -> str:
    """Return a fleet document (schema ksysak.fleet/1) as JUnit XML.

    Findings of severity info are cases that pass; waived ones are skipped; hosts that nobody could look at, and rules that could
    not be evaluated on some, are errors of the suite 'hosts'.
    """
    root = ElementTree.Element("testsuites", name=_text(f"ksysak.fleet {fleet['scan']['scan_id']}"))
    groups: dict[str, list[dict]] = {}
    for group in fleet["findings"]:
        groups.setdefault(group["rule"], []).append(group)
    waived: dict[str, list[dict]] = {}
    for entry in fleet["compliance"]["waived"]:
        waived.setdefault(entry["rule"], []).append(entry)
    _policy(_suite(root, POLICY_SUITE, fleet), fleet)
    _hosts(_suite(root, HOSTS_SUITE, fleet), fleet["hosts"])
    for rule in fleet["compliance"]["rules"]:
        if rule["enabled"] or rule["rule"] in groups:
            _rule(_suite(root, rule["rule"], fleet), rule, groups.get(rule["rule"], []), waived.get(rule["rule"], []))
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


def _policy(suite: Element, fleet: dict) -> None:
    """What was judged, and what was not. Nothing that was not judged is a case that passes."""
    policy = fleet["compliance"]
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("policy.sha256", policy["sha256"]), ("policy.version", policy["version"])):
        ElementTree.SubElement(properties, "property", name=name, value=_text(value))
    for rule in policy["rules"]:
        places = ", ".join(dict.fromkeys(change["place"] for change in rule["changes"]))
        where = f" ({places})" if places else ""
        hidden = rule["not_judged"]
        count = f"{plural(hidden['findings'], 'finding')} on {plural(hidden['hosts'], 'host')} not reported" if hidden else ""
        if rule["off"]:
            message = f"off on {plural(rule['off'], 'host')}{where}{f': {count}' if count else ''}"
            _outcome(_case(suite, f"{rule['rule']} is off"), "skipped", message)
        elif hidden:
            _outcome(_case(suite, f"{rule['rule']} is changed"), "skipped", f"{count}{where}")
    if fleet["verdict"]["level"] == "unknown":
        _outcome(_case(suite, "verdict"), "error", fleet["verdict"]["sentence"], of="unknown")
    elif not fleet["verdict"]["not_judged"]:
        _case(suite, f"{plural(len(policy['rules']), 'rule')} in force")


def _hosts(suite: Element, hosts: list[dict]) -> None:
    seen = 0
    for host in hosts:
        if host["coverage"] == "none":
            _outcome(_case(suite, host["host"]), "error", host["reason"] or "no probe could measure", of=host["state"])
        else:
            seen += 1
    if seen:
        _case(suite, f"{plural(seen, 'host')} measured")


def _rule(suite: Element, rule: dict, groups: list[dict], waived: list[dict]) -> None:
    for group in groups:
        for member in group["hosts"]:
            case = _case(suite, f"{member['host']}: {group['signature']}")
            detail = f"{member['title']}\n\n{group['remedy']}\n" + "".join(f"{address}\n" for address in group["references"])
            if member["severity"] == "info":
                ElementTree.SubElement(case, "system-out").text = _text(detail)
            else:
                _outcome(case, "failure", member["title"], detail, member["severity"])
    for entry in waived:
        where = entry["hosts"][0] if entry["host_count"] == 1 else plural(entry["host_count"], "host")
        message = f"waived until {entry['expires']} by {entry['owner']}: {entry['reason']}"
        _outcome(_case(suite, f"{where}: {entry['signature']}"), "skipped", message)
    if rule["pass"]:
        _case(suite, f"{plural(rule['pass'], 'host')} without this")
    if rule["unknown"]:
        _outcome(_case(suite, f"{plural(rule['unknown'], 'host')} not evaluated"), "skipped", "what this rule asks was not measured there")
