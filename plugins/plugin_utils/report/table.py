# SPDX-License-Identifier: GPL-3.0-or-later
"""CSV for spreadsheets. What hosts send must never become a formula there."""

from __future__ import annotations

import csv
import io

COLUMNS = (
    "state", "severity", "category", "rule", "title", "host", "value", "measure", "times", "last_seen", "change", "groups", "kernel",
    "distribution", "remedy", "signature", "reason",
)  # fmt: skip
# Also as full-width characters, and after blanks, which spreadsheets skip.
FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "|", "%")


def neutral(value: object) -> object:
    """Return a number as it is, anything else as one line that no spreadsheet takes for a formula: such a one begins with an apostrophe."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    text = " ".join(str(value).split())
    return f"'{text}" if text.startswith(FORMULA) else text


def render(fleet: dict) -> str:
    """Return a fleet document (schema ksysak.fleet/1) as CSV: a row for each finding and host, each waived one, and each host that
    nobody could look at. Numbers have no unit: the end of 'measure' names that of 'value'; the items of a list end with semicolons.
    Begins with a byte-order mark, or spreadsheets take UTF-8 for something else.
    """
    measures = {rule["rule"]: rule["weight"] for rule in fleet["compliance"]["rules"]}
    hosts = {host["host"]: host for host in fleet["hosts"]}
    rows = [
        _row(
            hosts,
            member["host"],
            "finding",
            group,
            severity=member["severity"],
            title=member["title"],
            **({"value": member["weight"], "measure": measures[group["rule"]]} if measures.get(group["rule"]) else {}),
            times=member["count"],
            last_seen=member["last_seen"] or "",
            change=member.get("change", ""),
            remedy=group["remedy"],
        )
        for group in fleet["findings"]
        for member in group["hosts"]
    ]
    rows += [
        _row(hosts, host, "waived", entry, reason=f"until {entry['expires']} by {entry['owner']}: {entry['reason']}")
        for entry in fleet["compliance"]["waived"]
        for host in entry["hosts"]
    ]
    rows += [
        _row(hosts, host["host"], host["state"], {}, reason=host["reason"] or "no probe could measure")
        for host in fleet["hosts"]
        if host["coverage"] == "none"
    ]
    file = io.StringIO()
    file.write("\ufeff")
    writer = csv.writer(file, quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(COLUMNS)
    writer.writerows([[neutral(row.get(column, "")) for column in COLUMNS] for row in rows])
    return file.getvalue()


def _row(hosts: dict[str, dict], name: str, state: str, finding: dict, **more: object) -> dict:
    host = hosts[name]
    system = host["system"] or {}
    fields = {field: finding[field] for field in ("severity", "category", "rule", "title", "signature") if field in finding}
    place = {
        "host": name,
        "groups": "; ".join(host["groups"]),
        "kernel": system.get("kernel", ""),
        "distribution": system.get("distribution", ""),
    }
    return {"state": state, **fields, **place, **more}
