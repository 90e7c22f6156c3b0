# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of this collection. The argument specifications of its roles own their names, the playbooks those of their own."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from ...module_utils._core.registry import NAMES

PREFIX = "ksysak_"
# What the role report sets for the next nodes of a workflow, which AWX gives to them as extra variables.
OUTPUTS = ("ksysak_outcome",)
COLLECTION = Path(__file__).parents[3]
# Of the part after the prefix: 'durtion' is 'duration' (0.93), 'note' is not 'hosts' (0.44).
NEAR = 0.72
NAME = re.compile(r"(?<![\w.])ksysak_[a-z0-9_]*[a-z0-9]\b")


@functools.cache
def known() -> frozenset[str]:
    """Return the names of all variables."""
    found: set[str] = set(OUTPUTS)
    for path in COLLECTION.glob("roles/*/meta/argument_specs.yml"):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        found.update(name for entry in specs.values() for name in entry.get("options", {}))
    for path in COLLECTION.glob("playbooks/*.yml"):
        found.update(NAME.findall(path.read_text(encoding="utf-8")))
    return frozenset(found)


def unknown(given: Iterable[str]) -> dict[str, str | None]:
    """Return the names with the prefix that are no variable, each with the nearest one, or None where none is near.

    Facts of the probes, as ksysak_memleak, are no variables of the collection, and no mistakes.
    """
    facts = {PREFIX + name for name in NAMES}
    strange = sorted(name for name in given if name.startswith(PREFIX) and name not in known() and name not in facts)
    return {name: _nearest(name) for name in strange}


def _nearest(name: str) -> str | None:
    parts = sorted(one.removeprefix(PREFIX) for one in known())
    near = difflib.get_close_matches(name.removeprefix(PREFIX), parts, 1, NEAR)
    return PREFIX + near[0] if near else None
