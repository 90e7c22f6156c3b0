# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a report, checked without a scan. Each message names the variable of the role."""

from __future__ import annotations

import difflib
import fractions
import re
from collections.abc import Collection, Iterable
from typing import Any

from ..fleet.verdict import FAIL_ON
from ..results.options import OptionsError, given, mapping, shown
from .formats import FILES
from .publish import destinations

FORMATS = ["html", "json"]
MIN_HOSTS = 1
RUNBOOKS = re.compile(r"https://[^\s<>\"'`\\]{1,500}")
PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")


def check_options(args: dict, hosts: Collection[str] = ()) -> dict:
    """Return the options with a value for each one that is empty, as a survey leaves it.

    args: formats, fail_on, language, policies, policy_overrides, known_bugs, runbooks, min_hosts, only_new and publish as the user gave
    them, or without them. formats, policies and known_bugs become lists of str, policy_overrides a dict, min_hosts what enough() takes,
    runbooks an address to which a rule's id is added, or None, publish a list of destinations. hosts: names in the inventory.
    Raises OptionsError, which lists all that is wrong.
    """
    problems: list[str] = []
    formats = _names(given(args.get("formats"), FORMATS), "ksysak_formats", FILES, problems)
    (fail_on,) = _names([given(args.get("fail_on"), "never")], "ksysak_fail_on", FAIL_ON, problems) or ["never"]
    overrides = given(args.get("policy_overrides"), {})
    overrides = mapping(overrides) if isinstance(overrides, str) else overrides
    if not isinstance(overrides, dict):
        problems.append(f"ksysak_policy_overrides: {shown(overrides)} is not a dictionary of parameters by rule")
    lists = {name: _list(args.get(name), f"ksysak_{name}", problems) for name in ("policies", "known_bugs")}
    required = _required(given(args.get("min_hosts"), MIN_HOSTS), problems)
    only_new = given(args.get("only_new"), False)
    if str(only_new).lower() not in ("true", "false", "yes", "no", "1", "0"):
        problems.append(f"ksysak_only_new: {shown(only_new)} is neither true nor false")
    runbooks = _runbooks(given(args.get("runbooks"), ""), problems)
    publish = destinations(args.get("publish"), formats, hosts, problems)
    if problems:
        raise OptionsError(problems)
    language = str(given(args.get("language"), "en"))
    named = {"formats": formats, "fail_on": fail_on, "policy_overrides": overrides, "language": language, "min_hosts": required}
    named["runbooks"], named["publish"] = runbooks, publish
    named["only_new"] = str(only_new).lower() in ("true", "yes", "1")
    return {**args, **lists, **named}


def _list(value: Any, option: str, problems: list[str]) -> list[str]:
    items = value.split(",") if isinstance(value, str) else [] if value is None else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        problems.append(f"{option}: {shown(value)} is not a list")
        return []
    return [item.strip() for item in items if item.strip()]


def _names(value: Any, option: str, known: Iterable[str], problems: list[str]) -> list[str]:
    names = _list(value, option, problems)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            problems.append(f"{option}: {shown(name)} is none of {', '.join(known)}{hint}")
    return names


def _runbooks(value: Any, problems: list[str]) -> str | None:
    address = str(value)
    if not address:
        return None
    if not RUNBOOKS.fullmatch(address):
        problems.append(f"ksysak_runbooks: {shown(address)} is no address that begins with https://")
    return address if address.endswith(("/", "=", "#")) else f"{address}/"


def _required(value: Any, problems: list[str]) -> fractions.Fraction | int:
    """Return how many hosts must have been scanned: a number (int), or a part of all hosts (Fraction)."""
    text = str(value).strip()
    percent = PERCENT.fullmatch(text)
    if percent and 0 <= float(percent[1]) <= 100:
        return fractions.Fraction(percent[1]) / 100
    if text.isascii() and text.isdigit() and not isinstance(value, bool):
        return int(text)
    problems.append(f"ksysak_min_hosts: {shown(value)} is neither a number of hosts nor a percentage from '0%' to '100%'")
    return 0


def enough(scanned: int, total: int, required: fractions.Fraction | int) -> bool:
    """Tell whether enough hosts were scanned. required: as check_options returns it."""
    return scanned >= (required * total if isinstance(required, fractions.Fraction) else required)
