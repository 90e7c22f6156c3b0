# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written: scan documents and host documents. A host's answer is not trusted here, it is checked."""

from __future__ import annotations

import dataclasses
import json
import re
import time

from ...module_utils._core.version import VERSION
from ..policy.text import for_log
from ..schema.validate import SchemaError, validate

MAX_RESULT_BYTES = 1024 * 1024
REASON_CHARS = 2000
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a scan of one host went.

    state: scanned|unreachable|failed|lost; reason: why it is not 'scanned';
    scan: what the host sent as its scan (any type: it is not checked yet), None unless the state is 'scanned'.
    """

    state: str
    reason: str = ""
    scan: object = None


def instant(seconds: float | None = None) -> str:
    """Return a Unix time (default: now) as in all documents: '2026-11-23T03:08:00Z'."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def plain(text: object, limit: int = REASON_CHARS) -> str:
    """Return text of a host as one bounded line without control characters or commands of build servers, so that a log can show it."""
    line = for_log(CONTROL.sub(" ", str(text)).strip())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def scan_document(scan_id: str, options: dict, hosts: list[str], controller: dict, part: dict | None = None) -> dict:
    """Return the document scan-1.json of a scan that begins now. part: {name, of} of a slice; None: the scan has none."""
    return {
        **({"slice": part} if part else {}),
        "schema": "ksysak.scan/1",
        "scan_id": scan_id,
        "collection_version": VERSION,
        "started_at": instant(),
        "ended_at": None,
        "options": options,
        "hosts": hosts,
        "controller": controller,
    }


def _parts_of(scan: object) -> dict:
    """Return the part of a host document that the host itself knows, as plain JSON types. Raises ValueError."""
    try:
        text = json.dumps(scan, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON: {plain(error, 200)}") from None
    if len(text) > MAX_RESULT_BYTES:
        raise ValueError(f"it is too large: {len(text)} bytes, {MAX_RESULT_BYTES} are allowed")
    parts = json.loads(text)
    if not isinstance(parts, dict) or set(parts) != {"collection_version", "system", "probes"}:
        raise ValueError("it is not of the shape {collection_version, system, probes}")
    return parts


def host_document(host: str, groups: list[str], scan_id: str, outcome: Outcome) -> dict:
    """Return the document host-1.json of a host; always a valid one.

    host, groups: from the inventory. A scan that is too large or not as its schema says gives the state 'failed'.
    """
    document: dict = {
        "schema": "ksysak.host/1",
        "host": host,
        "scan_id": scan_id,
        "state": outcome.state,
        "reason": plain(outcome.reason),
        "groups": [group[:255] for group in groups],
        "collected_at": instant(),
        "collection_version": VERSION,
        "system": None,
        "probes": {},
    }
    if outcome.state != "scanned":
        return document
    try:
        scanned = {**document, **_parts_of(outcome.scan)}
        validate(scanned)
    except (SchemaError, ValueError) as error:
        return {**document, "state": "failed", "reason": plain(f"the result of the host was refused: {error}")}
    return scanned
