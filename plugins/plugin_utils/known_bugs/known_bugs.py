# SPDX-License-Identifier: GPL-3.0-or-later
"""Bugs of the kernel that are known, and the reports that they make."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from ..schema.validate import SchemaError, validate

SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
DEFAULT = Path(__file__).parent / "default.yml"
FILE_BYTES = 4 * 1024 * 1024
MATCHES = 4

# A stable release says which fixes it has. A distribution's own number (6.1.0-28, 5.14.0-427.el9) does not.
_RELEASE = re.compile(r"(\d{1,3})\.(\d{1,3})(?:\.(\d{1,4}))?(-rc\d+)?")


class KnownBugsError(ValueError):
    """A file of known bugs is wrong. The text names the file and what is wrong."""


class KnownBugs:
    """Looks reports up.

    bugs: entries as in schema ksysak.known_bugs/1; the first ones win where more than MATCHES fit.
    """

    def __init__(self, bugs: list[dict]):
        self._by_kind: dict[str, list[dict]] = {}
        for bug in bugs:
            for kind in bug["kinds"]:
                self._by_kind.setdefault(kind, []).append(bug)

    def match(self, event: dict, kernels: set[str]) -> list[dict]:
        """Return the bugs that a report may be of, as in the fleet document.

        Each is {id, subject, commit, fixed, references, affected, matched_by}.

        event: one of os_exceptions, or of the fleet document; kernels: releases that it was seen on. affected is True where one of
        these is known to have the bug, None where that cannot be told; bugs that all of these have the fix for are left out.
        matched_by: what the report and the bug have in common besides the kind: the culprit, the frames, the module. It proves nothing.
        """
        found = []
        functions = {*event["trace"], event["culprit"]}
        # the culprit, and what it called: the bug may be in a function of the kernel's infrastructure
        blamed = {event["culprit"], *event["trace"][: event["trace"].index(event["culprit"]) if event["culprit"] in event["trace"] else 0]}
        for bug in self._by_kind.get(event["kind"], ()):
            if "culprits" in bug and blamed.isdisjoint(bug["culprits"]):
                continue
            if not functions.issuperset(bug.get("frames", ())):
                continue
            if "module" in bug and bug["module"] not in event.get("context", {}).get("modules", (bug["module"],)):
                continue
            verdicts = {affected(bug, kernel) for kernel in kernels} or {None}
            if verdicts == {False}:
                continue
            found.append(
                {
                    "id": bug["id"], "subject": bug["subject"], "references": bug["references"], "commit": bug.get("commit"),
                    "fixed": bug.get("fixed", []), "affected": True if True in verdicts else None,
                    "matched_by": _matched_by(bug, event),
                },
            )  # fmt: skip
        return found[:MATCHES]


def _matched_by(bug: dict, event: dict) -> list[str]:
    """What a bug asks for and the report has: culprit, frames, module."""
    modules = event.get("context", {}).get("modules")
    asked = {"culprit": "culprits" in bug, "frames": bool(bug.get("frames")), "module": "module" in bug and modules is not None}
    return [part for part, there in asked.items() if there]


def affected(bug: dict, kernel: str) -> bool | None:
    """Whether a release has a bug: True, False, or None where its number does not tell.

    bug: {introduced: '6.1', fixed: ['6.6.34', '6.10']}, both optional; kernel: as uname -r.
    """
    version = _version(kernel)
    if version is None:
        return None
    numbers, exact = version
    if "introduced" in bug and numbers[:2] < _numbers(bug["introduced"])[:2]:
        return None  # it may have come with a backport
    fixed = sorted(map(_numbers, bug.get("fixed", ())))
    if not fixed:
        return None
    if numbers[:2] >= fixed[-1][:2]:
        return numbers < fixed[-1] if exact else None if numbers < fixed[-1] else False
    branch = next((release for release in fixed if release[:2] == numbers[:2]), None)
    if branch is None:
        return None
    return numbers < branch if exact else None


def _version(release: str) -> tuple[tuple[int, int, int], bool] | None:
    """((major, minor, patch), whether these are the numbers of kernel.org), or None. A candidate comes before its release."""
    found = _RELEASE.match(release)
    if not found:
        return None
    patch = int(found[3] or 0)
    if found[4]:
        return (int(found[1]), int(found[2]), -1), False
    return (int(found[1]), int(found[2]), patch), patch > 0 or not release[found.end() :].startswith("-")


def _numbers(release: str) -> tuple[int, int, int]:
    """The numbers of a release of the list, which the schema has checked."""
    version = _version(release)
    if version is None:
        raise KnownBugsError(f"'{release}' is no release of the kernel")
    return version[0]


def _read(path: Path) -> list[dict]:
    try:
        if path.stat().st_size > FILE_BYTES:
            raise KnownBugsError(f"{path}: larger than {FILE_BYTES} bytes")
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=SafeLoader)  # noqa: S506 - it is the safe one, in C
        if not isinstance(document, dict) or document.get("schema") != "ksysak.known_bugs/1":
            raise SchemaError("schema", "a list of known bugs begins with 'schema: ksysak.known_bugs/1'")
        validate(document)
    except OSError as error:
        raise KnownBugsError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise KnownBugsError(f"{path}: not YAML: {' '.join(str(error).split())[:300]}") from None
    except SchemaError as error:
        raise KnownBugsError(f"{path}: {error}") from None
    return document["bugs"]


def load(paths: list[str]) -> KnownBugs:
    """Return the bugs of these files, and behind them those that come with the collection. Raises KnownBugsError."""
    bugs = [bug for path in paths for bug in _read(Path(path))]
    own = {bug["id"] for bug in bugs}
    return KnownBugs(bugs + [bug for bug in _read(DEFAULT) if bug["id"] not in own])
