# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the facts of several probes of one host together: a stage between facts and findings.

A join is a pure function of host documents. Rules read what it makes as a member of the host document, under its name. Its
schema is schema/<name>-<version>.json. Nothing of it is stored: a new release, or another policy, needs no new scan.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from . import memory, time_lost


@dataclasses.dataclass(frozen=True)
class Join:
    """probes: whose facts it reads, of which one at least must be there; make: function of {probe: data} that returns what rules read."""

    probes: tuple[str, ...]
    make: Callable[[dict[str, dict]], list[dict]]


JOINS: dict[str, Join] = {
    "causes": Join(("memleak", "memory"), lambda data: memory.causes(data.get("memory"), data.get("memleak"))),
    "time_lost": Join(("runlatency", "blocked"), lambda data: time_lost.time_lost(data.get("runlatency"), data.get("blocked"))),
}


def joined(document: dict, names: set[str]) -> dict:
    """Return the host document with what these joins make of it. document: valid; names: of JOINS."""
    measured = {name: probe["data"] for name, probe in document["probes"].items() if probe["status"] in ("ok", "degraded")}
    return {**document, **{name: JOINS[name].make(measured) for name in names}}
