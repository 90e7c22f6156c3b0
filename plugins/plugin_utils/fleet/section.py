# SPDX-License-Identifier: GPL-3.0-or-later
"""What a section is: the part of the fleet document, and of the report, that is about one probe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import ClassVar

from ..known_bugs.known_bugs import KnownBugs


class Section(ABC):
    """Adds up the facts of one probe over hosts. A plug-in: the class 'Section' of plugin_utils/sections/<probe>.py.

    PROBE: name of the probe; KEY: member of the fleet document, name of its schema (schema/sections/<KEY>.json) and id of the
    report's section; TITLE: its heading, in English; MEASURES: {name: what it is, in English} of what is compared between hosts;
    a name ends with its unit (_us, _s, _bytes, _per_s, _share); TEXTS: English texts within the section that its script translates;
    JOINS: names of the joins that it shows.
    known_bugs: where kernel reports are looked up.
    """

    PROBE: ClassVar[str]
    KEY: ClassVar[str]
    TITLE: ClassVar[str]
    MEASURES: ClassVar[dict[str, str]] = {}
    TEXTS: ClassVar[frozenset[str]] = frozenset()
    JOINS: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, known_bugs: KnownBugs):
        self.known_bugs = known_bugs
        self._signatures: dict[Hashable, set[str]] = {}

    @abstractmethod
    def add(self, host: str, envelope: dict) -> None:
        """Take what the probe measured on a host. envelope: valid, of status ok or degraded."""

    def add_joined(self, host: str, made: dict) -> None:
        """Take what follows from the facts of several probes of a host: {join: what it makes}, of the names in JOINS."""
        return

    @abstractmethod
    def result(self, groups: list[dict]) -> dict:
        """Return the section. groups: the findings of the fleet document, worst first."""

    @staticmethod
    def measures(envelope: dict) -> dict[str, float | None]:
        """Return {measure: value} of one host, of the names in MEASURES; None: not measured."""
        return {}

    @staticmethod
    def summary(envelope: dict) -> dict | None:
        """Return what the list of hosts shows of one host, None: nothing. Its schema is the definition 'host' of the section's."""
        return None

    def finding_key(self, evidence: dict) -> Hashable | None:
        """Return which entry of the section a finding is about, None: none of them.

        evidence: of a finding whose rule reads this probe; rules are anybody's, so it may be of any shape.
        """
        return None

    def note(self, finding: dict) -> None:
        """Take a finding of a host whose rule reads this probe."""
        key = self.finding_key(finding["evidence"])
        if key is not None:
            self._signatures.setdefault(key, set()).add(finding["signature"])

    def by_key(self, groups: list[dict]) -> dict[Hashable, dict]:
        """Return {key of finding_key: the worst group of findings that is about it}. groups: as in result."""
        place = {group["signature"]: number for number, group in enumerate(groups)}
        found = {key: min((place[one] for one in signatures if one in place), default=None) for key, signatures in self._signatures.items()}
        return {key: groups[number] for key, number in found.items() if number is not None}
