# SPDX-License-Identifier: GPL-3.0-or-later
"""The folder of one scan: scan.json and hosts/<name>.json, each written as a whole or not at all."""

from __future__ import annotations

import collections
import json
import os
import re
from pathlib import Path

from .names import host_file_name

SCAN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


# Where ansible-runner, and so AWX, keeps what a job leaves: what is in there comes back from an execution node.
ARTIFACTS = "AWX_ISOLATED_DATA_DIR"


def default_results() -> str:
    """Return the folder of all results when none is named: that of the job's artifacts under ansible-runner, else the current one's."""
    return str(Path(os.environ.get(ARTIFACTS) or os.environ.get("PWD") or os.getcwd()) / "ksysak-results")


class ResultsError(Exception):
    """The results folder cannot be used. The message names the option or the path."""


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def write_json(path: Path, document: dict) -> None:
    """Write a document to a file, as write_text."""
    write_text(path, json.dumps(document, indent=1, allow_nan=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file so that nobody ever sees half of it. Raises OSError; then nothing is left of it."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


class ScanFolder:
    """<results>/<scan_id>. Making the object touches no file; everything raises ResultsError.

    part: name of the slice, for one job of several that share the scan; '' for a scan of one job.
    """

    def __init__(self, results: str, scan_id: str, part: str = ""):
        if not SCAN_ID.fullmatch(scan_id):
            raise ResultsError(
                f"ksysak_scan_id: '{scan_id[:80]}' is not a scan id "
                "(1 to 64 letters, digits, '_', '.', '-'; the first one a letter or a digit)"
            )
        self.root = Path(results or default_results()).expanduser().absolute()
        self.scan_id = scan_id
        self.path = self.root / scan_id
        self.hosts = self.path / "hosts"
        self.whole_file = self.path / "scan.json"
        self.scan_file = self.path / "slices" / f"{part}.json" if part else self.whole_file

    def _cannot(self, path: Path, error: OSError) -> ResultsError:
        return ResultsError(f"ksysak_results: cannot write to {path}: {_why(error)}")

    def check_new(self) -> None:
        """Raise unless a new scan could be written here. Changes nothing."""
        if self.whole_file.exists() or (self.scan_file is self.whole_file and self.scan_file.parent.joinpath("slices").exists()):
            raise ResultsError(f"ksysak_scan_id: there is a scan '{self.scan_id}' in {self.root} already")
        if self.scan_file.exists():
            raise ResultsError(f"ksysak_slice: there is a slice '{self.scan_file.stem}' of '{self.scan_id}' in {self.root} already")
        there = self.hosts
        try:
            while not os.path.lexists(there):
                there = there.parent
        except OSError as error:
            raise self._cannot(self.root, error) from error
        if not there.is_dir():
            raise ResultsError(f"ksysak_results: cannot write to {self.root}: {there} is not a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise ResultsError(f"ksysak_results: cannot write to {self.root}: no permission to write in {there}")

    def check_there(self) -> None:
        """Raise unless there is a scan in this folder."""
        if not self.scan_file.is_file() and not (self.path / "slices").is_dir():
            raise ResultsError(f"ksysak_scan_id: there is no scan '{self.scan_id}' in {self.root} (ksysak_results)")

    def begin(self, document: dict) -> None:
        """Make the folder and write scan.json. document: as in scan-1.json, ended_at null."""
        self.check_new()
        try:
            self.hosts.mkdir(parents=True, exist_ok=True)
            self.scan_file.parent.mkdir(exist_ok=True)
            write_json(self.scan_file, document)
        except OSError as error:
            raise self._cannot(self.path, error) from error

    def end(self, ended_at: str) -> None:
        """Note the end of the scan in scan.json."""
        try:
            document = json.loads(self.scan_file.read_text(encoding="utf-8"))
            document["ended_at"] = ended_at
            write_json(self.scan_file, document)
        except OSError as error:
            raise self._cannot(self.scan_file, error) from error
        except (ValueError, TypeError) as error:
            raise ResultsError(f"{self.scan_file} is not a scan document: {error}") from error

    def host_file(self, host: str) -> Path:
        """Return the path of a host's document."""
        return self.hosts / host_file_name(host)

    def write_host(self, document: dict) -> Path:
        """Write the document of a host, as in host-1.json, and return its path."""
        path = self.host_file(document["host"])
        try:
            self.hosts.mkdir(parents=True, exist_ok=True)
            write_json(path, document)
        except OSError as error:
            raise self._cannot(path, error) from error
        return path

    def write_selftest(self, document: dict) -> Path:
        """Write the self-test document of a host, as in selftest-1.json, and return its path."""
        path = self.path / "selftest" / host_file_name(document["host"])
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, document)
        except OSError as error:
            raise self._cannot(path, error) from error
        return path

    def _host_files(self) -> list[Path]:
        return [path for path in self.hosts.glob("*.json") if not path.name.startswith(".")]

    def states(self) -> dict[str, int]:
        """Return the number of host documents by state; one that cannot be read counts as 'unreadable'."""
        return dict(collections.Counter(self.states_by_file({}).values()))

    def states_by_file(self, known: dict[Path, str]) -> dict[Path, str]:
        """Return the state of each host document. known: states of earlier calls, which are not read again; the new ones are added."""
        for path in self._host_files():
            if path in known:
                continue
            try:
                known[path] = str(json.loads(path.read_text(encoding="utf-8"))["state"])
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                known[path] = "unreadable"
        return known
