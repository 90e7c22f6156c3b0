# SPDX-License-Identifier: GPL-3.0-or-later
"""SARIF 2.1.0, which code scanning services and editors read. A host is a logical location, its result file the physical one."""

from __future__ import annotations

import json
import uuid

from ...module_utils._core.version import VERSION
from ..results.names import host_file_name

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {"fatal": "error", "critical": "error", "error": "error", "warning": "warning", "info": "note"}
# From 0 to 100, as 'rank' wants it.
RANKS = {"fatal": 100.0, "critical": 90.0, "error": 70.0, "warning": 40.0, "info": 10.0}
# Services refuse files with more.
RESULTS = 25000
# Of a finding of this scan, by its change since the earlier one.
BASELINE = {"new": "new", "not_measured_before": "new", "worse": "updated", "better": "updated", "unchanged": "unchanged"}
GONE = ("resolved", "rebooted")
NOTIFICATIONS = 1000


def render(fleet: dict) -> str:
    """Return a fleet document (schema ksysak.fleet/1) as SARIF: a result for each finding and host, waived ones suppressed."""
    rules = [_rule(rule, fleet["runbooks"]) for rule in fleet["compliance"]["rules"]]
    places = {rule["id"]: place for place, rule in enumerate(rules)}
    results = [_result(group, member, places) for group in fleet["findings"] for member in group["hosts"]]
    results += _gone(fleet["drift"], places) if fleet["drift"] else []
    results += [_waived(entry, host, places) for entry in fleet["compliance"]["waived"] for host in entry["hosts"]]
    notes = [_note(f"{host['host']} ({host['state']}): {host['reason'] or 'no probe could measure'}", "error")
             for host in fleet["hosts"] if host["coverage"] == "none"]  # fmt: skip
    notes += [_note(problem["reason"], "warning") for problem in fleet["problems"]]
    if len(results) > RESULTS:
        more = len(results) - RESULTS
        text = f"{more} more {'result is' if more == 1 else 'results are'} not in this file; fleet.json has all"
        notes.insert(0, _note(text, "warning"))
    scan, policy = fleet["scan"], fleet["compliance"]
    left_out = [{**_note(text, "warning"), "descriptor": {"id": "not-judged"}} for text in fleet["verdict"]["not_judged"]]
    invocation = {
        "executionSuccessful": fleet["verdict"]["level"] != "unknown",
        "toolExecutionNotifications": notes[:NOTIFICATIONS],
        "toolConfigurationNotifications": left_out,
        **{name: value for name, value in (("startTimeUtc", scan["started_at"]), ("endTimeUtc", scan["ended_at"])) if value},
    }
    run = {
        "tool": {"driver": {"name": "ksysak.fleet", "version": VERSION, "semanticVersion": VERSION, "rules": rules}},
        "properties": {"policySha256": policy["sha256"], "policyVersion": policy["version"]},
        "automationDetails": {
            "id": f"ksysak.fleet/{scan['scan_id']}",
            "guid": _guid(scan["scan_id"]),
            "description": {"text": fleet["verdict"]["sentence"]},
        },
        **({"baselineGuid": _guid(fleet["drift"]["baseline"]["scan_id"])} if fleet["drift"] else {}),
        "invocations": [invocation],
        "originalUriBaseIds": {"SCAN": {"description": {"text": "The folder of the scan, which holds scan.json."}}},
        "columnKind": "unicodeCodePoints",
        "results": results[:RESULTS],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, allow_nan=False) + "\n"


def _guid(scan_id: str) -> str:
    """Return the same identifier for the same scan, whichever report is about it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"urn:ksysak.fleet:{scan_id}"))


def _rule(rule: dict, runbooks: str | None) -> dict:
    """What is true of the rule wherever it finds something; what to do about one finding is in its result."""
    made = {
        "id": rule["rule"],
        "name": "".join(word.capitalize() for word in rule["rule"].split("-")),
        "shortDescription": {"text": f"{rule['name']}."},
        **({"fullDescription": {"text": rule["rationale"]}} if rule["rationale"] else {}),
        "help": {"text": _help(rule), "markdown": _help_markdown(rule)},
        "defaultConfiguration": {"level": LEVELS[rule["severity"]], "rank": RANKS[rule["severity"]], "enabled": rule["enabled"]},
        "properties": {"category": rule["category"], "severity": rule["severity"], "tags": ["kernel", rule["category"]]},
    }
    if runbooks or rule["references"]:
        made["helpUri"] = f"{runbooks}{rule['rule']}" if runbooks else rule["references"][0]
    return made


def _help(rule: dict) -> str:
    lines = [f"{rule['name']}.", rule["rationale"], *_remedies(rule), *_thresholds(rule)]
    return "\n".join([line for line in lines if line] + [f"Policy: {rule['file']}", *rule["references"]])


def _help_markdown(rule: dict) -> str:
    parts = [rule["rationale"]]
    for title, lines in (("What to do", _remedies(rule)), ("Thresholds", _thresholds(rule)), ("References", rule["references"])):
        if lines:
            parts.append("\n".join([f"**{title}**", "", *(f"- {line}" for line in lines)]))
    return "\n\n".join([part for part in parts if part] + [f"Policy: {rule['file']}"])


def _remedies(rule: dict) -> list[str]:
    return [f"{one['case']}: {one['text']}" if one["case"] else one["text"] for one in rule["remedies"]]


def _thresholds(rule: dict) -> list[str]:
    return [
        f"{parameter['name']}: {parameter['value']}{' ' + parameter['unit'] if parameter['unit'] else ''}. {parameter['description']}"
        for parameter in rule["parameters"]
    ]


def _located(rule: str, signature: str, title: str, severity: str, host: str, places: dict[str, int]) -> dict:
    return {
        "ruleId": rule,
        "ruleIndex": places[rule],
        "level": LEVELS[severity],
        "rank": RANKS[severity],
        "message": {"text": title or signature},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": f"hosts/{host_file_name(host)}", "uriBaseId": "SCAN"},
                    "region": {"startLine": 1},
                },
                "logicalLocations": [{"name": host, "fullyQualifiedName": host, "kind": "host"}],
            }
        ],
        "partialFingerprints": {"ksysakSignature/v1": f"{signature}|{host}"},
        "properties": {"severity": severity, "signature": signature},
    }


def _result(group: dict, member: dict, places: dict[str, int]) -> dict:
    result = _located(group["rule"], group["signature"], member["title"], member["severity"], member["host"], places)
    properties = {**result["properties"], "remedy": group["remedy"], "value": member["weight"], "lastSeen": member["last_seen"]}
    change = member.get("change")
    return {
        **result,
        "occurrenceCount": member["count"],
        **({"baselineState": BASELINE[change]} if change else {}),
        "properties": {**properties, **({"change": change} if change else {})},
    }


def _gone(drift: dict, places: dict[str, int]) -> list[dict]:
    """What the earlier scan found and this one looked for in vain; what could not be measured again is not among it."""
    return [
        {**_located(entry["rule"], entry["signature"], entry["title"], entry["severity"], host, places), "baselineState": "absent"}
        for entry in drift["groups"]
        if entry["rule"] in places
        for change in GONE
        for host in entry["hosts"].get(change, [])
    ]


def _waived(entry: dict, host: str, places: dict[str, int]) -> dict:
    result = _located(entry["rule"], entry["signature"], entry["title"], entry["severity"], host, places)
    justification = f"{entry['reason']} ({entry['owner']}, until {entry['expires']})"
    return {**result, "suppressions": [{"kind": "external", "status": "accepted", "justification": justification}]}


def _note(text: str, level: str) -> dict:
    return {"level": level, "message": {"text": text}}
