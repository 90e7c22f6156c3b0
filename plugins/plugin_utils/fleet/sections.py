# SPDX-License-Identifier: GPL-3.0-or-later
"""All sections of the fleet document: one for each probe of the registry, in its order."""

from __future__ import annotations

import functools
import importlib

from ...module_utils._core.registry import NAMES
from ..joins.joins import joined
from ..known_bugs.known_bugs import KnownBugs
from .section import Section

PACKAGE = f"{__name__.rsplit('.', 2)[0]}.sections"


@functools.cache
def classes() -> tuple[type[Section], ...]:
    """Return the sections' classes. A probe without a section raises ImportError."""
    return tuple(importlib.import_module(f"{PACKAGE}.{probe}").Section for probe in NAMES)


def listed() -> list[dict[str, str]]:
    """Return [{key, title, probe}], as in the fleet document."""
    return [{"key": section.KEY, "title": section.TITLE, "probe": section.PROBE} for section in classes()]


def measured(document: dict) -> dict[str, dict]:
    """Return {probe: envelope} of the probes that measured on a host. document: a valid host document."""
    return {name: envelope for name, envelope in document["probes"].items() if envelope["status"] in ("ok", "degraded")}


def summaries(document: dict) -> dict[str, dict]:
    """Return {key of a section: what it shows of this host}, of those that show something."""
    probes = measured(document)
    found = {section.KEY: section.summary(probes[section.PROBE]) for section in classes() if section.PROBE in probes}
    return {key: summary for key, summary in found.items() if summary is not None}


class Sections:
    """One object of each class. known_bugs: where kernel reports are looked up."""

    def __init__(self, known_bugs: KnownBugs):
        self._sections = [section(known_bugs) for section in classes()]

    def add(self, document: dict, findings: list[dict]) -> None:
        """document: a valid host document; findings: those of this host."""
        probes = measured(document)
        made = joined(document, set().union(*(section.JOINS for section in self._sections)))
        for section in self._sections:
            if section.PROBE in probes:
                section.add(document["host"], probes[section.PROBE])
                section.add_joined(document["host"], {name: made[name] for name in section.JOINS})
            for finding in findings:
                if section.PROBE in finding["probes"]:
                    section.note(finding)

    def result(self, groups: list[dict]) -> dict[str, dict]:
        """Return {key: section}. groups: the findings of the fleet document, worst first."""
        return {section.KEY: section.result(groups) for section in self._sections}
