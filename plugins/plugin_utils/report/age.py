# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a finding is and whether it is new, in a few words."""

from __future__ import annotations

from ..fleet.drift import NOT_BEFORE
from ..fleet.order import age_days
from ..messages import Messages


def age_text(group: dict, fleet: dict, translate: Messages) -> str:
    """Return as 'now, new' or 'last seen 6 days ago, known'. group: of the fleet document."""
    return ", ".join(text for text in (_seen(group, fleet, translate), _known(group, fleet, translate)) if text)


def _seen(group: dict, fleet: dict, translate: Messages) -> str:
    if group["last_seen"] is None:
        return translate("no date")
    days = age_days(group["last_seen"], fleet["scan"]["started_at"])
    if days < 1:
        return translate("now") if days == 0 else translate("within a day")
    return translate("last seen {days}", days=translate.many(int(days), "day ago", "days ago"))


def _known(group: dict, fleet: dict, translate: Messages) -> str:
    count = group["host_count"]
    if fleet["drift"] and group["drift"]:
        drift = group["drift"]
        new, not_measured = drift["new"], drift["not_measured_before"]
        was_there = any(number for change, number in drift.items() if change not in NOT_BEFORE)
    elif fleet["trend"]["scans"]:
        earlier = group["history"]["hosts"][:-1]
        new = sum(member["first_seen"] == fleet["scan"]["started_at"] for member in group["hosts"])
        not_measured, was_there = count if all(hosts is None for hosts in earlier) else 0, any(earlier)
    else:
        return ""
    if not_measured == count:
        return translate("not measured before")
    if not new:
        return translate("known")
    hosts = translate.many(count, "host")
    if new < count:
        return translate("new on {n} of {hosts}", n=new, hosts=hosts)
    # Other hosts had it: it is new on these, not in the fleet.
    return translate("new on {hosts}", hosts=hosts) if was_there else translate("new")
