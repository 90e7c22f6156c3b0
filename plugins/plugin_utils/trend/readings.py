# SPDX-License-Identifier: GPL-3.0-or-later
"""The counter readings of one scan: a file of a line a host beside scan.json, or what the host documents have.

memory-counters.jsonl is written with the report, from documents that are read for it anyway. A first line says of which host files it was
made; when these have changed since, the documents themselves are read. A host's line is found by its name and read when it is wanted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ..fleet import load
from ..fleet.evaluated import no_collection
from ..results.folder import write_text

FILE = "memory-counters.jsonl"
SCHEMA = "ksysak.memory_counters/1"
FILE_BYTES = 256 * 2**20
LINE_BYTES = 8192
NAMES = 32
NAME_CHARS = 64
MEMBERS = ("bytes", "counts", "slab_bytes", "slab_reclaimable_bytes")


class Unusable(ValueError):
    """A scan has no readings that can be used; the text says why."""


def reading_of(document: dict) -> dict | None:
    """Return {'boot_id', 'uptime_s', 'bytes', …} of a valid host document; None: the probe memory did not measure there."""
    envelope = document["probes"].get("memory")
    if document["system"] is None or envelope is None or envelope["status"] not in ("ok", "degraded"):
        return None
    return {"boot_id": document["system"]["boot_id"], **envelope["data"]["counters"]}


class Readings:
    """Those of one scan. Raises Unusable.

    folder: of the scan; scan: its scan document.
    """

    def __init__(self, folder: Path, scan: dict):
        self.scan_id, self.started_at = scan["scan_id"], scan["started_at"]
        self._lines: dict[str, tuple[int, int]] = {}
        self._text: mmap.mmap | bytes = b""
        if "memory" not in scan["options"]["probes"]:
            raise Unusable("did not measure memory")
        try:
            self._text = _mapped(folder / FILE)
            self._index(_fingerprint(folder))
        except (OSError, ValueError):
            self._from_documents(folder)
        if not self._lines:
            raise Unusable("has no readings of memory")

    def __len__(self) -> int:
        return len(self._lines)

    def reading(self, host: str) -> dict | None:
        """Return the reading of a host, as reading_of; None: there is none, or it is broken."""
        place = self._lines.get(host)
        if place is None:
            return None
        with contextlib.suppress(ValueError, TypeError, KeyError, RecursionError):
            return _checked(json.loads(self._text[place[0] : place[1]]))
        return None

    def _index(self, fingerprint: str) -> None:
        end = 0
        for number, (begin, end, line) in enumerate(_split(self._text)):
            name, tab, _rest = line.partition(b"\t")
            if number == 0:
                if json.loads(line) != _header(self.scan_id, fingerprint):
                    raise ValueError("made of other files")
            elif tab:
                self._lines[json.loads(name)] = (begin + len(name) + 1, end)

    def _from_documents(self, folder: Path) -> None:
        lines: list[bytes] = []
        length = 0
        self._lines = {}
        with no_collection():
            for path in load.host_files(folder):
                _file, document, _reason = load.read_host(path, self.scan_id)
                reading = reading_of(document) if document else None
                if document is None or reading is None:
                    continue
                line = json.dumps(reading).encode()
                self._lines[document["host"]] = (length, length + len(line))
                lines.append(line)
                length += len(line)
        self._text = b"".join(lines)


class Writer:
    """Collects the readings of a scan while its documents are read, and writes its file."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._lines: list[str] = []
        with contextlib.suppress(OSError):
            self._fingerprint = _fingerprint(folder)

    def add(self, document: dict) -> None:
        """document: a valid host document."""
        reading = reading_of(document)
        if reading is not None:
            self._lines.append(f"{json.dumps(document['host'])}\t{json.dumps(reading, separators=(',', ':'))}\n")

    def write(self, scan_id: str) -> None:
        """Write the file as a whole, or, where the folder cannot be written to, not at all: the documents stay."""
        with contextlib.suppress(OSError):
            header = json.dumps(_header(scan_id, self._fingerprint))
            write_text(self._folder / FILE, "".join([f"{header}\n", *self._lines]))


def _header(scan_id: str, fingerprint: str) -> dict:
    return {"schema": SCHEMA, "scan_id": scan_id, "host_files": fingerprint}


def _fingerprint(folder: Path) -> str:
    """Return a hash of names, sizes and times of the host files."""
    listed = hashlib.sha256()
    for path in load.host_files(folder):
        found = path.stat(follow_symlinks=False)
        listed.update(f"{path.name}\0{found.st_size}\0{found.st_mtime_ns}\0".encode("utf-8", "surrogateescape"))
    return listed.hexdigest()


def _mapped(path: Path) -> mmap.mmap:
    """Return a regular file that is no link, in memory as far as it is read. Raises OSError or ValueError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= FILE_BYTES:
            raise ValueError("not a regular file of that size")
        return mmap.mmap(descriptor, found.st_size, access=mmap.ACCESS_READ)
    finally:
        os.close(descriptor)


def _split(text: mmap.mmap | bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield (begin, end, line) of each line; a longer one than LINE_BYTES is none of ours."""
    begin = 0
    while begin < len(text):
        end = text.find(b"\n", begin)
        end = len(text) if end < 0 else end
        if end - begin <= LINE_BYTES:
            yield begin, end, text[begin:end]
        begin = end + 1


def _checked(reading: dict) -> dict:
    """Return a reading with what is understood of it. Raises ValueError, TypeError or KeyError."""
    found: dict = {"boot_id": str(reading["boot_id"])[:64], "uptime_s": _number(reading["uptime_s"])}
    for member in MEMBERS:
        values = reading[member]
        found[member] = {str(name)[:NAME_CHARS]: _number(values[name]) for name in list(values)[:NAMES]}
    aliases = reading["slab_aliases"]
    found["slab_aliases"] = {str(cache): [str(name)[:NAME_CHARS] for name in aliases[cache][:8]] for cache in list(aliases)[:NAMES]}
    return found


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > 2**63:
        raise ValueError("no number")
    return value
