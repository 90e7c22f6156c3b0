# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a results folder. Whatever is wrong with a file becomes a problem with a name and a reason, never an exception."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from ..policy.text import clean, is_clean, visible
from ..results.names import host_file_name
from ..schema.validate import SchemaError, validate

FILE_BYTES = 1024 * 1024
SCAN_BYTES = 16 * 1024 * 1024
# A scan of several jobs has a file of each of these in place of scan.json.
SLICES = "slices"
# As a baseline: the last complete scan beside the present one.
LAST = "last"
HISTORY_BYTES = 64 * 1024 * 1024
LARGEST_INTEGER = 2**63


class ResultsError(ValueError):
    """The results folder has nothing that a report could be made of. The text names the folder."""


class Unreadable(ValueError):
    """One file cannot be used; the text says why."""


def find(results: str, scan_id: str | None = None) -> Path:
    """Return the folder of one scan.

    results: that folder itself, or one that holds folders of scans; scan_id: which of them (default: the one that
    began last). Raises ResultsError.
    """
    root = Path(results)
    if not root.is_dir():
        raise ResultsError(f"ksysak_results: {root}: no such folder")
    if scan_id:
        for folder in (root / scan_id, root):
            if folder.name == scan_id and _is_scan(folder):
                return folder
        raise ResultsError(f"ksysak_scan_id: {root} holds no scan '{scan_id}'")
    if _is_scan(root):
        return root
    scans = [folder for folder in root.iterdir() if _is_scan(folder)]
    if not scans:
        raise ResultsError(f"ksysak_results: {root}: neither scan.json nor a folder of a scan is in here")
    return max(scans, key=lambda folder: (_began(folder), folder.name))


def find_baseline(results: str, present: Path) -> Path | None:
    """Return the folder of a scan to compare with.

    results: that folder itself, or one that holds folders of scans: then the last that began before the present one, or None if
    there is none yet; LAST: the last of them in the folder that holds the present one, without scans that did not end or lack a
    slice; present: folder of the present scan. Raises ResultsError.
    """
    root = present.absolute().parent if results == LAST else Path(results)
    if not root.is_dir():
        raise ResultsError(f"ksysak_baseline: {root}: no such folder")
    if _is_scan(root) and results != LAST:
        return root
    scans = [folder for folder in root.iterdir() if _is_scan(folder) and folder.resolve() != present.resolve()]
    if results == LAST:
        scans = [folder for folder in scans if _is_complete(folder)]
    earlier = [folder for folder in scans if _began(folder) and _began(folder) <= (_began(present) or "9")]
    return max(earlier, key=lambda folder: (_began(folder), folder.name), default=None)


def earlier(results: Path, present: Path, unreadable: list[dict] | None = None) -> list[tuple[Path, dict]]:
    """Return (folder, {scan_id, started_at, options}) of the scans of a results folder that began before the present one, in this order.

    present: folder of the present scan. A scan without a readable scan.json is none: unreadable gets its {scan_id: name of its folder,
    reason}. One of other hosts alone, as another slice of a job, is left out.
    """
    if not results.is_dir():
        raise ResultsError(f"ksysak_history: {results}: no such folder")
    own, limit = present.resolve(), _began(present) or "9"
    hosts = _hosts(present)
    found = []
    try:
        folders = sorted(results.iterdir())
    except OSError as error:
        raise ResultsError(f"ksysak_history: {results}: {error.strerror or error}") from None
    for folder in folders:
        if not _is_scan(folder) or folder.resolve() == own:
            continue
        try:
            scan = _scan_document(folder)[0]
        except Unreadable as error:
            if unreadable is not None:
                unreadable.append({"scan_id": visible(folder.name)[:64], "reason": f"scan.json {error}"[:256]})
            continue
        if scan["started_at"] <= limit and (hosts is None or not hosts.isdisjoint(scan["hosts"])):
            found.append((folder, {name: scan[name] for name in ("scan_id", "started_at", "options")}))
    return sorted(found, key=lambda one: (one[1]["started_at"], one[0].name))


def _hosts(folder: Path) -> set[str] | None:
    """Return the hosts of a scan; None: they are not known."""
    try:
        return set(_scan_document(folder)[0]["hosts"])
    except Unreadable:
        return None


def _is_scan(folder: Path) -> bool:
    return (folder / "scan.json").is_file() or (folder / SLICES).is_dir() or (folder / "hosts").is_dir()


def _scan_document(folder: Path) -> tuple[dict, list[str]]:
    """Return (scan document, what is wrong with its slices). One of slices is made of the documents of all. Raises Unreadable."""
    if (folder / "scan.json").exists() or not (folder / SLICES).is_dir():
        return _read(folder / "scan.json", SCAN_BYTES, "scan")[0], []
    parts: list[dict] = []
    wrong: list[str] = []
    for path in sorted((folder / SLICES).glob("*.json")):
        name = visible(f"{SLICES}/{path.name}")
        try:
            part = _read(path, SCAN_BYTES, "scan")[0]
        except Unreadable as error:
            wrong.append(f"{name} {error}")
            continue
        if parts and part["scan_id"] != parts[0]["scan_id"]:
            wrong.append(f"{name} belongs to another scan: {part['scan_id']}")
        elif parts and part["options"] != parts[0]["options"]:
            wrong.append(f"{name} has other options than {parts[0].get('slice', {}).get('name')}; its hosts are in the report")
            parts.append(part)
        else:
            parts.append(part)
    if not parts:
        raise Unreadable("is missing, and no file of a slice can be used")
    ends = [part["ended_at"] for part in parts]
    merged = {
        **parts[0],
        "started_at": min(part["started_at"] for part in parts),
        "ended_at": max(ends) if all(ends) else None,
        "hosts": list(dict.fromkeys(host for part in parts for host in part["hosts"])),
    }
    merged.pop("slice", None)
    return merged, wrong + _missing_slices([part.get("slice", {}) for part in parts])


def _missing_slices(slices: list[dict]) -> list[str]:
    """Return a reason when not all slices came. slices: {name, of} of those that did."""
    total = max((part.get("of") or 0 for part in slices), default=0)
    if len(slices) >= total:
        return []
    numbers = {str(number) for number in range(1, total + 1)}
    names = {part["name"] for part in slices}
    missing = sorted(numbers - names, key=int) if names <= numbers else []
    which = f": {', '.join(missing[:20])}" if missing else ""
    return [f"{total - len(slices)} of {total} slices of this scan never came{which}; their hosts are not known"]


def _began(folder: Path) -> str:
    try:
        return _scan_document(folder)[0]["started_at"]
    except Unreadable:
        return ""


def _is_complete(folder: Path) -> bool:
    try:
        document, wrong = _scan_document(folder)
    except Unreadable:
        return False
    return document["ended_at"] is not None and not wrong


def read_scan(folder: Path) -> tuple[dict | None, list[dict]]:
    """Return (scan document or None, problems). Raises ResultsError when there are no host files either."""
    try:
        document, wrong = _scan_document(folder)
        return document, [{"file": None, "host": None, "reason": reason} for reason in wrong]
    except Unreadable as error:
        if not _files(folder):
            raise ResultsError(f"ksysak_results: {folder}: scan.json {error}, and there are no host files") from None
        return None, [{"file": "scan.json", "host": None, "reason": f"{error}; which hosts were meant to be scanned is not known"}]


def host_files(folder: Path) -> list[Path]:
    """Return the files of hosts, sorted by name."""
    return _files(folder)


def read_host(path: Path, scan_id: str | None, *, known: bool = False) -> tuple[str, dict | None, str]:
    """Return (file name, host document or None, reason why there is none).

    scan_id: documents of other scans are refused; None: unknown; known: this report has read the file already, so that its schema is not
    checked again, which takes as long as all else.
    """
    name = visible(f"hosts/{path.name}")
    try:
        document, file_name = _read(path, FILE_BYTES, "host", known)
        if file_name != path.name:
            raise Unreadable(f"is of host '{document['host']}', whose file is {file_name}")
        if scan_id is not None and document["scan_id"] != scan_id:
            raise Unreadable(f"belongs to another scan: {document['scan_id']}")
    except Unreadable as error:
        return name, None, str(error)
    return name, document, ""


def read_selftests(folder: Path, most: int) -> Iterator[tuple[str, dict | None, str]]:
    """Yield (file name, self-test document or None, reason why there is none) of the results folder that the scan's folder is in.

    most: how many folders are looked into, by name from the last one.
    """
    beside = sorted((path for path in folder.absolute().parent.iterdir() if (path / "selftest").is_dir()), reverse=True)
    for path in [path for scan in beside[:most] for path in _files(scan, "selftest")]:
        name = visible(f"{path.parents[1].name}/selftest/{path.name}")
        try:
            document, file_name = _read(path, FILE_BYTES, "selftest")
            if file_name != path.name:
                raise Unreadable(f"is of host '{document['host']}', whose file is {file_name}")
        except Unreadable as error:
            yield name, None, str(error)
            continue
        yield name, document, ""


def read_findings_history(path: Path, scan_id: str) -> dict:
    """Return what an earlier report left of the findings of a scan. Raises Unreadable."""
    document = _read(path, HISTORY_BYTES, "findings_history")[0]
    if document["scan_id"] != scan_id:
        raise Unreadable(f"belongs to another scan: {document['scan_id']}")
    return document


def _files(folder: Path, kind: str = "hosts") -> list[Path]:
    files = folder / kind
    if not files.is_dir() or files.is_symlink():
        return []
    return sorted(path for path in files.iterdir() if path.name.endswith(".json") and not path.name.startswith("."))


def _read(path: Path, limit: int, kind: str, known: bool = False) -> tuple[dict, str]:
    """Return (document that fits its schema and whose text is visible, name that the file of its host has).

    kind: 'scan', 'host', 'selftest' or 'findings_history'; known: its schema was checked before. Raises Unreadable.
    """
    raw = _bytes(path, limit)
    if not raw.strip():
        raise Unreadable("is empty")
    try:
        text = raw.decode("utf-8")
        document = json.loads(text, parse_constant=_no_constant, parse_float=_finite, parse_int=_moderate)
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"is not JSON (cut or edited?): {str(error)[:200]}") from None
    try:
        if not known:
            validate(document)
    except SchemaError as error:
        raise Unreadable(f"does not fit its schema: {visible(str(error))}") from None
    if not document["schema"].startswith(f"ksysak.{kind}/"):
        raise Unreadable(f"is no {kind} document but '{document['schema']}'")
    file_name = path.name if kind in ("scan", "findings_history") else host_file_name(document["host"])
    return document if is_clean(text) else clean(document), file_name


def _bytes(path: Path, limit: int) -> bytes:
    """Read a regular file that is no link, however it changes meanwhile."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        reason = "is a symbolic link, which is not followed" if path.is_symlink() else f"cannot be read: {error.strerror}"
        raise Unreadable(reason) from None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("is not a regular file")
        raw = file.read(limit + 1)
    if len(raw) > limit:
        raise Unreadable(f"is larger than {limit} bytes")
    return raw


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _moderate(digits: str) -> int:
    if len(digits) < 19:  # nearly all
        return int(digits)
    if len(digits) > 20 or abs(int(digits)) > LARGEST_INTEGER:
        raise ValueError("a number is too large")
    return int(digits)
