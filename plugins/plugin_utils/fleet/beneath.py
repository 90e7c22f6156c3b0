# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes, not symptoms: which finding another one is a part of."""

from __future__ import annotations


def beneath(groups: list[dict], part_of: dict[str, dict[str, list[str]]]) -> None:
    """Give each group of findings 'part_of': id of the group that it is a part of, None: it stands alone.

    part_of: {rule: {rule of the cause: fields that are equal in the evidence of both}}; groups: of the fleet document, with evidence.
    A finding is a part of another one when the other one is on each of its hosts, with equal fields there.
    """
    by_rule: dict[str, list[dict]] = {}
    for group in groups:
        by_rule.setdefault(group["rule"], []).append(group)
    for group in groups:
        causes = part_of.get(group["rule"], {})
        group["part_of"] = next(
            (
                cause["id"]
                for rule, fields in causes.items()
                for cause in by_rule.get(rule, [])
                if cause is not group and _covers(cause, group, fields)
            ),
            None,
        )


def _covers(cause: dict, group: dict, fields: list[str]) -> bool:
    if group["host_count"] > cause["host_count"]:
        return False
    evidence = {member["host"]: member["evidence"] for member in cause["hosts"]}
    return all(_same(member["evidence"], evidence.get(member["host"], []), fields) for member in group["hosts"])


def _same(part: list[dict], whole: list[dict], fields: list[str]) -> bool:
    """Does every piece of evidence have one of the cause with equal fields?"""
    return bool(whole) and all(any(all(one.get(field) == other.get(field) for field in fields) for other in whole) for one in part)
