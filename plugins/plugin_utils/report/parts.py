# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the page, in its order: what stands in the navigation, and which script draws it."""

from __future__ import annotations

from typing import NamedTuple

from ..fleet.sections import listed


class Part(NamedTuple):
    """One part. key: its id in the page, and where its data is in the fleet document, if it has any of its own."""

    key: str
    title: str
    heading: str
    script: str


def _page(key: str, title: str, heading: str | None = None) -> Part:
    return Part(key, title, heading or title, f"page/{key}.js")


BEFORE = (
    _page("findings", "Findings"),
    _page("groups", "Groups", "Groups, kernels and distributions"),
    _page("trend", "Trend", "Findings of the last scans"),
    _page("map", "Map", "Hosts by category"),
    _page("changes", "Changes", "Changes since the earlier scan"),
)
AFTER = (
    _page("memory_trend", "Memory trend", "Memory trend: growth between scans"),
    _page("outliers", "Outliers", "Outliers: hosts far above the median"),
    _page("compliance", "Policy", "Policy in force: rules and hosts"),
    _page("hosts", "Hosts"),
    _page("measurement", "Measurement", "Measurement and its cost"),
    _page("selftest", "Self-test", "Self-test: do the probes find what is injected?"),
)


def parts() -> list[Part]:
    """Return the parts of the page: those about the whole fleet stand around the probes' sections."""
    sections = [Part(one["key"], one["title"], one["title"], f"sections/{one['key']}.js") for one in listed()]
    return [*BEFORE, *sections, *AFTER]
