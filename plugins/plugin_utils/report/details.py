# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page holds of single hosts, in parts of some hosts each that a browser opens one by one."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from ..fleet import load
from ..fleet.evaluated import no_collection
from ..results.names import host_file_name

EVIDENCE_HOSTS = 64
FACTS_HOSTS = 16


def packed(value: object) -> str:
    """Return a JSON value as gzip in base64: small, and free of any character that means something in HTML."""
    raw = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    return base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode()


def chunks(fleet: dict, evidence: dict[str, dict[str, list]], folder: Path | None, room: int) -> Iterator[tuple[str, str]]:
    """Yield (name, packed list with an entry a host, in the order of the fleet document) while there is room.

    Evidence first: evidence-0 …: {id of a finding: evidence on this host}, of EVIDENCE_HOSTS each, as far as hosts have findings.
    Then facts-0 …: {'modules', 'probes': {name: data}} of the host's file, null: it cannot be read; of FACTS_HOSTS each.
    evidence: {host: {id of a finding: evidence}}; folder: of the scan, None: no facts; room: bytes.
    """
    with no_collection():
        for name, value in _parts(fleet, evidence, folder):
            data = packed(value)
            room -= len(data) + 80
            if room < 0:
                return
            yield name, data


def _parts(fleet: dict, evidence: dict[str, dict[str, list]], folder: Path | None) -> Iterator[tuple[str, list]]:
    names = [host["host"] for host in fleet["hosts"]]
    concerned = max((place + 1 for place, name in enumerate(names) if name in evidence), default=0)
    for first in range(0, concerned, EVIDENCE_HOSTS):
        yield f"evidence-{first // EVIDENCE_HOSTS}", [evidence.get(name, {}) for name in names[first : first + EVIDENCE_HOSTS]]
    if folder is None:
        return
    scanned = max((place + 1 for place, host in enumerate(fleet["hosts"]) if host["state"] == "scanned"), default=0)
    for first in range(0, scanned, FACTS_HOSTS):
        found = [_facts(folder, name, fleet["scan"]["scan_id"]) for name in names[first : first + FACTS_HOSTS]]
        yield f"facts-{first // FACTS_HOSTS}", found


def _facts(folder: Path, host: str, scan_id: str) -> dict | None:
    try:
        _file, document, _reason = load.read_host(folder / "hosts" / host_file_name(host), scan_id, known=True)
        if document is None or document["state"] != "scanned":
            return None
        probes = {name: probe["data"] for name, probe in document["probes"].items() if probe["status"] in ("ok", "degraded")}
        return {"modules": document["system"]["modules"] if document["system"] else [], "probes": probes}
    except (AttributeError, KeyError, TypeError):  # somebody wrote another file since the report read it
        return None
