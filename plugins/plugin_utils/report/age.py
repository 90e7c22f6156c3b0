# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a finding is and whether it is new, in a few words."""

from __future__ import annotations

from ..fleet.order import age_days
from ..messages import Messages


def age_text(group: dict, fleet: dict, translate: Messages) -> str:
    """Return as 'now, new' or 'last 6 days ago, known'. group: of the fleet document."""
    return ", ".join(text for text in (_seen(group, fleet, translate), _known(group, fleet, translate)) if text)


def _seen(group: dict, fleet: dict, translate: Messages) -> str:
    if group["last_seen"] is None:
        return translate("no date")
    days = age_days(group["last_seen"], fleet["scan"]["started_at"])
    if days < 1:
        return translate("now") if days == 0 else translate("within a day")
    return translate("last {days}", days=translate.many(int(days), "day ago", "days ago"))


def _known(group: dict, fleet: dict, translate: Messages) -> str:
    if fleet["drift"] and group["drift"]:
        new = group["drift"]["new"]
    elif fleet["trend"]["scans"]:
        new = sum(member["first_seen"] == fleet["scan"]["started_at"] for member in group["hosts"])
    else:
        return ""
    if not new:
        return translate("known")
    return (
        translate("new")
        if new == group["host_count"]
        else translate("new on {n} of {hosts}", n=new, hosts=translate.many(group["host_count"], "host"))
    )
