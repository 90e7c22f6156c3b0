# SPDX-License-Identifier: GPL-3.0-or-later
"""Cases that rules take from a table instead of listing them: {name of the table: {value: outcome}}, as under 'of' in a policy file."""

from __future__ import annotations

from ...module_utils._kernel_log.kinds import KINDS
from ...module_utils._memory.kinds import KINDS as MEMORY_KINDS


def _kernel_report_kinds() -> dict[str, dict]:
    return {
        row.kind: {
            "severity": row.severity,
            "category": row.category,
            "remedy": row.remedy,
            "first_check": row.first_check or "",
            "references": [row.reference] if row.reference else [],
        }
        for row in KINDS
    }


def _memory_kinds() -> dict[str, dict]:
    return {row.kind: {"remedy": row.remedy} for row in MEMORY_KINDS}


TABLES = {"kernel_report_kinds": _kernel_report_kinds(), "memory_kinds": _memory_kinds()}
