# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a scan, checked before any host is touched."""

from __future__ import annotations

import calendar
import re
import time
from typing import Any

import yaml

from ...module_utils._core.registry import ALL, NAMES, classes

DURATION_S = 20
MAX_DURATION_S = 3600
MAX_SLICES = 1000
MAX_START_S = 24 * 3600
SLICE_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
WAIT_S = 300
MAX_WAIT_S = 3600
MAX_HOST_NAME = 255


class OptionsError(ValueError):
    """Options that cannot be scanned with: one line for each, which names the variable."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


def shown(value: object) -> str:
    """Return a value of the user's for a message: short, in quotes if it is text."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _seconds(value: Any, option: str, least: int, most: int, problems: list[str]) -> int:
    try:
        number = int(value) if not isinstance(value, (bool, float)) else -1
    except (TypeError, ValueError):
        number = -1
    if not least <= number <= most:
        problems.append(f"{option}: {shown(value)} is not a whole number of seconds from {least} to {most}")
    return number


def _probes(value: object, problems: list[str]) -> list[str]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        problems.append(f"ksysak_probes: {shown(value)} is not a list of probes (known: {', '.join((*NAMES, ALL))})")
        return []
    unknown = [name for name in names if name not in NAMES and name != ALL]
    if unknown:
        problems.append(f"ksysak_probes: no probe is called {', '.join(map(shown, unknown))} (known: {', '.join((*NAMES, ALL))})")
    return [name for name in NAMES if name in names or ALL in names]


def _probe_options(value: object, probes: list[str], problems: list[str]) -> dict:
    if isinstance(value, str):
        value = mapping(value)
    if not isinstance(value, dict) or not all(isinstance(options, dict) for options in value.values()):
        problems.append(f"ksysak_probe_options: {shown(value)} is not a dictionary of options by probe")
        return {}
    unknown = [name for name in value if name not in NAMES]
    if unknown:
        problems.append(f"ksysak_probe_options: no probe is called {', '.join(map(shown, unknown))} (known: {', '.join(NAMES)})")
    for name, options in value.items():
        if name in NAMES and options:
            problems += _of_probe(name, options)
    return {name: options for name, options in value.items() if name in probes}


def _of_probe(name: str, options: dict) -> list[str]:
    """Return what the probe itself will refuse, as on a host."""
    from ...module_utils._core.runner import build_probes  # here, because it imports what only a host needs

    try:
        build_probes([name], {name: options}, {name: classes()[name]})
    except ValueError as error:
        return [f"ksysak_{error}".replace(f"ksysak_probe_options.{name}", f"ksysak_probe_options: {name}", 1)]
    return []


def mapping(text: str) -> Any:
    """Return what a survey's text area holds, YAML or JSON; the text itself when it is neither."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def given(value: Any, default: Any) -> Any:
    """Return the value, or the default for one that a survey gives when its question has no answer."""
    return default if value is None or value in ("", [], [""]) else value


def check_options(duration: object, probes: object, probe_options: object) -> dict:
    """Return {'duration_s': int, 'probes': [str], 'probe_options': {probe: {option: value}}}.

    duration: seconds, int or its decimal text; probes: list of names, or their text with commas between; 'all' stands for all.
    What is empty has its default: 20 s, all probes, no options. Options of probes that are not asked for are checked and dropped.
    Raises OptionsError, which lists all that is wrong.
    """
    problems: list[str] = []
    duration_s = _seconds(given(duration, DURATION_S), "ksysak_duration", 1, MAX_DURATION_S, problems)
    names = _probes(given(probes, ALL), problems)
    options = _probe_options(given(probe_options, {}), names, problems)
    if problems:
        raise OptionsError(problems)
    return {"duration_s": duration_s, "probes": names, "probe_options": options}


def check_wait(wait: object) -> int:
    """Return for how many seconds a host may wait for another scan. wait: int or its decimal text; empty is 300. Raises OptionsError."""
    problems: list[str] = []
    wait_s = _seconds(given(wait, WAIT_S), "ksysak_wait", 0, MAX_WAIT_S, problems)
    if problems:
        raise OptionsError(problems)
    return wait_s


def check_slice(name: object, count: object, job: str) -> dict | None:
    """Return {name, of} of the slice, or None for a scan of one job.

    name: of this slice, mostly its number; count: of all slices, 0 or empty: not known; job: number of the job in AWX, which names the
    slice when only the count is given. Raises OptionsError.
    """
    problems: list[str] = []
    of = _seconds(given(count, 0), "ksysak_slices", 0, MAX_SLICES, problems)
    text = str(given(name, job if of else ""))
    if of and not text:
        problems.append("ksysak_slices: needs ksysak_slice, the number of this slice")
    if text and not SLICE_NAME.fullmatch(text):
        problems.append(f"ksysak_slice: {shown(text)} is not a name of a slice (1 to 32 letters, digits, '_', '-')")
    if problems:
        raise OptionsError([problem.replace("a whole number of seconds", "a whole number") for problem in problems])
    return {"name": text, "of": of or None} if text else None


def check_start(start_at: object, now: float) -> float:
    """Return for how many seconds to wait until the scan begins.

    start_at: instant as '2026-11-23T03:08:00Z', or seconds since 1970; empty or past: now. Raises OptionsError for one that is more than
    a day away.
    """
    value = given(start_at, now)
    try:
        if isinstance(value, str) and not value.isdigit():
            value = calendar.timegm(time.strptime(value, "%Y-%m-%dT%H:%M:%SZ"))
        wait_s = float(value) - now
    except (TypeError, ValueError):
        raise OptionsError([f"ksysak_start_at: {shown(start_at)} is not an instant, as 2026-11-23T03:08:00Z"]) from None
    if wait_s > MAX_START_S:
        raise OptionsError([f"ksysak_start_at: {shown(start_at)} is more than a day away"])
    return max(0.0, wait_s)


def check_hosts(hosts: list[str]) -> None:
    """Raise OptionsError for inventory names that no document could hold."""
    bad = [name for name in hosts if not 1 <= len(name) <= MAX_HOST_NAME]
    if bad:
        raise OptionsError([f"inventory: host name longer than {MAX_HOST_NAME} characters: {shown(name)}" for name in bad])
