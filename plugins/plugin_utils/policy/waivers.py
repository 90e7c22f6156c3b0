# SPDX-License-Identifier: GPL-3.0-or-later
"""Waivers: findings that an owner accepts, for a reason, until a day."""

from __future__ import annotations

import datetime
import fnmatch


def fits(host: str, groups: list[str], hosts: list[str] | None, wanted: list[str] | None) -> bool:
    """Tell whether a host is meant. hosts: patterns as web*; wanted: groups; neither given: every host is."""
    if hosts is None and wanted is None:
        return True
    return any(fnmatch.fnmatchcase(host, pattern) for pattern in hosts or []) or any(group in groups for group in wanted or [])


class Waiver:
    """One waiver of a policy file.

    spec: as in the policy's schema; place: file, line and column. Raises ValueError for a day that is none.
    """

    def __init__(self, spec: dict, place: str):
        self.spec = spec
        self.place = place
        self.expires = datetime.date.fromisoformat(spec["expires"])

    def covers(self, finding: dict, groups: list[str]) -> bool:
        """Tell whether it is about this finding. groups: of the finding's host."""
        spec = self.spec
        return (
            spec.get("rule", finding["rule"]) == finding["rule"]
            and fnmatch.fnmatchcase(finding["signature"], spec.get("signature", "*"))
            and fits(finding["host"], groups, spec.get("hosts"), spec.get("groups"))
        )

    def expired(self, today: datetime.date) -> bool:
        """Tell whether its last day is over."""
        return today > self.expires

    @property
    def summary(self) -> dict:
        """What a report shows of the waiver: {owner, reason, expires, place, scope: {rule, signature, hosts, groups}}; None: any."""
        scope = {field: self.spec.get(field) for field in ("rule", "signature", "hosts", "groups")}
        return {**{field: self.spec[field] for field in ("owner", "reason", "expires")}, "place": self.place, "scope": scope}
