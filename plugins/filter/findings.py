# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of a host, for people who write their own plays."""

from __future__ import annotations

import json
from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.ksysak.fleet.plugins.module_utils._core.registry import NAMES
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import PolicyError, load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.text import clean
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.documents import Outcome, host_document
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import SchemaError, validate

FACT = "ksysak_"
HOST = "localhost"
# What is no part of the scan when the facts of single probes are evaluated.
NO_SYSTEM: dict = {"collection_version": "", "system": None}
# Fields that only order findings.
RANKING = ("weight", "bytes_per_s", "excess", "last_seen", "first_reported", "dated")


def _host_document(given: object, host: str) -> object:
    """Return the document of a host for what a task returned; a document as it is. Raises ValueError."""
    if not isinstance(given, dict) or "schema" in given:
        return given
    parts = given.get("scan") or given
    facts = given.get("ansible_facts") or given
    if not isinstance(parts, dict) or not isinstance(facts, dict):
        raise ValueError("the scan or the facts in it are not a dictionary")
    if "probes" not in parts:
        probes = {name: facts[FACT + name] for name in NAMES if FACT + name in facts}
        if not probes:
            raise ValueError("a host document, the result of ksysak.fleet.scan or facts of a probe, as ksysak_memleak, are expected")
        parts = {**NO_SYSTEM, "probes": probes}
    made = host_document(host, [], "now", Outcome("scanned", scan=parts))
    if made["state"] != "scanned":
        raise ValueError(made["reason"])
    return made


def findings(document: object, policies: list | None = None, overrides: dict | None = None, host: str = HOST) -> list[dict]:
    """Return the findings of what was measured on a host, worst first. Raises AnsibleFilterError.

    document: a host document, what the module scan or the module of a probe returned, or facts of a host.
    """
    try:
        plain = clean(_host_document(json.loads(json.dumps(document)), host))
        validate(plain)
        if not plain["schema"].startswith("ksysak.host/"):
            raise SchemaError("schema", f"a host document is expected, not '{plain['schema']}'")
        found, problems = load(policies, overrides).findings(plain)
    except (SchemaError, PolicyError, TypeError, ValueError) as error:
        raise AnsibleFilterError(f"ksysak.fleet.findings: {error}") from None
    if problems:
        raise AnsibleFilterError(f"ksysak.fleet.findings: {problems[0]}")
    return [{name: value for name, value in finding.items() if name not in RANKING} for finding in found]


class FilterModule:
    def filters(self) -> dict[str, Callable]:
        return {"findings": findings}
