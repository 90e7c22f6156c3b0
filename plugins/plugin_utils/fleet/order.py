# SPDX-License-Identifier: GPL-3.0-or-later
"""Which finding comes first."""

from __future__ import annotations

import math

from ..policy.policy import SEVERITIES
from ..policy.text import seconds_of

GROUPS = 2000
GROWTH = 3.0  # what grows gets worse until the host fails, what was slow once need not
DAY_S = 86400.0


def ordered(groups: list[dict], at: str | None) -> tuple[list[dict], int]:
    """Return (groups of findings, worst first, each with its 'priority'; number of groups that were cut).

    Severity decides. Among equals, what a host suffers from is before what only the measurement or a setting does, and then the priority
    does. It counts doublings: of the threshold that the worst host exceeds, of hosts, of days (plus one) since it was seen last (down);
    a finding that is new on some host has one more, and memory that grows GROWTH more.
    at: instant of the scan; None: age is not known. groups: with 'drift', if there is an earlier scan.
    """
    for group in groups:
        group["priority"] = round(_priority(group, at), 3)
    listed = sorted(groups, key=lambda group: (_rank(group), group["category"] == "config", -group["priority"], -group["bytes_per_s"],
                                               group["title"], group["signature"]))  # fmt: skip
    for group in listed:
        del group["excess"], group["bytes_per_s"]
    return listed[:GROUPS], max(0, len(listed) - GROUPS)


def _rank(group: dict) -> int:
    return SEVERITIES.index(group["severity"])


def _priority(group: dict, at: str | None) -> float:
    grows = GROWTH if group["bytes_per_s"] > 0 else 0.0
    new = 1.0 if group.get("drift") and group["drift"]["new"] else 0.0  # without an earlier scan nothing is known of it
    return math.log2(group["excess"]) + math.log2(group["host_count"]) + new + grows - math.log2(1.0 + age_days(group["last_seen"], at))


def age_days(last_seen: str | None, at: str | None) -> float:
    """Return the days from when something was seen last until the scan; 0: during the scan, or not known."""
    seen, now = seconds_of(last_seen), seconds_of(at)
    return 0.0 if seen is None or now is None else max(0.0, (now - seen) / DAY_S)
