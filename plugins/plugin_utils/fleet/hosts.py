# SPDX-License-Identifier: GPL-3.0-or-later
"""What the report says of each host, also of those that nobody could look at."""

from __future__ import annotations

import collections

from ..policy.policy import SEVERITIES
from .sections import summaries

STATES = ("scanned", "unreachable", "failed", "lost", "missing", "unreadable")
NO_RESULT = "no result was collected: the scan was interrupted, or this host was never reached"


def summary(document: dict, findings: list[dict], requested: list[str]) -> dict:
    """Return the entry of a host in the fleet document.

    document: a valid host document; findings: of this host; requested: probes that the scan asked for.
    """
    probes = {name: _probe(envelope) for name, envelope in document["probes"].items()}
    measured = [name for name, probe in probes.items() if probe["status"] in ("ok", "degraded")]
    not_measured = sorted({*requested, *probes} - set(measured))
    if document["state"] != "scanned" or not measured:
        coverage = "none"
    else:
        coverage = "partial" if not_measured or any(probes[name]["status"] == "degraded" for name in measured) else "full"
    count = collections.Counter(finding["severity"] for finding in findings)
    return {
        "host": document["host"],
        "state": document["state"],
        "reason": document["reason"],
        "coverage": coverage,
        "groups": document["groups"],
        "collected_at": document["collected_at"],
        "system": _system(document["system"]),
        "probes": probes,
        "not_measured": not_measured if document["state"] == "scanned" else [],
        "findings": {severity: count[severity] for severity in SEVERITIES},
        **summaries(document),
    }


def absent(host: str, state: str, reason: str) -> dict:
    """Return the entry of a host without a usable file. state: missing or unreadable."""
    return {
        "host": host,
        "state": state,
        "reason": reason,
        "coverage": "none",
        "groups": [],
        "collected_at": None,
        "system": None,
        "probes": {},
        "not_measured": [],
        "findings": dict.fromkeys(SEVERITIES, 0),
    }


def _probe(envelope: dict) -> dict:
    fields = ("status", "reason", "remedy", "engine", "started_at", "window_s", "cost")
    return {field: envelope[field] for field in fields}


def _system(system: dict | None) -> dict | None:
    """The lists of modules are long and the same on most hosts: they stay in the host's own file."""
    if system is None:
        return None
    return {
        **{name: value for name, value in system.items() if name not in ("modules", "module_versions")},
        "module_count": len(system["modules"]),
    }


def counts(hosts: list[dict]) -> dict[str, int]:
    """Return the number of hosts by state, their total, and how many were fully, partially or not measured."""
    states = collections.Counter(host["state"] for host in hosts)
    coverage = collections.Counter(host["coverage"] for host in hosts)
    return {
        "total": len(hosts),
        **{state: states[state] for state in STATES},
        **{f"coverage_{level}": coverage[level] for level in ("full", "partial", "none")},
    }
