# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that a fleet document can be written as."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from ..messages import Messages
from . import digest, findings, html, junit, pipeline, sarif, table
from .assets import Assets

# The name of the file of each format.
FILES = {
    "html": "report.html",
    "json": "fleet.json",
    "findings": "findings.json",
    "junit": "junit.xml",
    "sarif": "findings.sarif",
    "csv": "findings.csv",
    "digest": "digest.txt",
    "codequality": "codequality.json",
}


def renderers(assets: Assets, translate: Messages, folder: Path | None = None) -> dict[str, Callable[[dict], str]]:
    """Return {format: function that makes the text of a fleet document}.

    assets: of the HTML file; translate: the language; folder: of the scan, for what the HTML file shows of single hosts.
    """
    return {
        "html": lambda fleet: html.render(fleet, assets, folder),
        # Not indented: ten thousand hosts would take seconds more.
        "json": lambda fleet: json.dumps(fleet, allow_nan=False) + "\n",
        "findings": findings.render,
        "junit": junit.render,
        "sarif": sarif.render,
        "csv": table.render,
        "codequality": pipeline.codequality,
        "digest": lambda fleet: "\n".join(digest.digest(fleet, translate)) + "\n",
    }
