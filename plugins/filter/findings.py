# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of a host, for people who write their own plays."""

from __future__ import annotations

import json
from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import PolicyError, load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.text import clean
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import SchemaError, validate

# Fields that only order findings.
RANKING = ("weight", "bytes_per_s", "excess", "last_seen")


def findings(document: object, policies: list | None = None, overrides: dict | None = None) -> list[dict]:
    """Return the findings of a host document, worst first. Raises AnsibleFilterError."""
    try:
        plain = clean(json.loads(json.dumps(document)))
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
