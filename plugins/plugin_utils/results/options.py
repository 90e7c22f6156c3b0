# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a scan, checked before any host is touched."""

from __future__ import annotations

from ...module_utils._core.registry import ALL, NAMES

MAX_DURATION_S = 3600
MAX_HOST_NAME = 255


class OptionsError(ValueError):
    """Options that cannot be scanned with: one line for each, which names the variable."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def _duration(value: object, problems: list[str]) -> int:
    try:
        number = int(value) if not isinstance(value, (bool, float)) else 0
    except (TypeError, ValueError):
        number = 0
    if not 1 <= number <= MAX_DURATION_S:
        problems.append(f"ksysak_duration: {_shown(value)} is not a whole number of seconds from 1 to {MAX_DURATION_S}")
    return number


def _probes(value: object, problems: list[str]) -> list[str]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        problems.append(f"ksysak_probes: {_shown(value)} is not a list of probes (known: {', '.join((*NAMES, ALL))})")
        return []
    unknown = [name for name in names if name not in NAMES and name != ALL]
    if unknown:
        problems.append(f"ksysak_probes: no probe is called {', '.join(map(_shown, unknown))} (known: {', '.join((*NAMES, ALL))})")
    return [name for name in NAMES if name in names or ALL in names]


def _probe_options(value: object, probes: list[str], problems: list[str]) -> dict:
    if not isinstance(value, dict) or not all(isinstance(options, dict) for options in value.values()):
        problems.append(f"ksysak_probe_options: {_shown(value)} is not a dictionary of options by probe")
        return {}
    unknown = [name for name in value if name not in NAMES]
    if unknown:
        problems.append(f"ksysak_probe_options: no probe is called {', '.join(map(_shown, unknown))} (known: {', '.join(NAMES)})")
    return {name: options for name, options in value.items() if name in probes}


def check_options(duration: object, probes: object, probe_options: object) -> dict:
    """Return {'duration_s': int, 'probes': [str], 'probe_options': {probe: {option: value}}}.

    duration: seconds, int or its decimal text; probes: list of names, or their text with commas between; 'all' stands for all.
    Options of probes that are not asked for are dropped. Raises OptionsError, which lists all that is wrong.
    """
    problems: list[str] = []
    duration_s = _duration(duration, problems)
    names = _probes(probes, problems)
    options = _probe_options(probe_options, names, problems)
    if problems:
        raise OptionsError(problems)
    return {"duration_s": duration_s, "probes": names, "probe_options": options}


def check_hosts(hosts: list[str]) -> None:
    """Raise OptionsError for inventory names that no document could hold."""
    bad = [name for name in hosts if not 1 <= len(name) <= MAX_HOST_NAME]
    if bad:
        raise OptionsError([f"inventory: host name longer than {MAX_HOST_NAME} characters: {_shown(name)}" for name in bad])
