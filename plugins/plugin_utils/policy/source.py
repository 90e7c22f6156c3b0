# SPDX-License-Identifier: GPL-3.0-or-later
"""A YAML file that knows in which line and column each of its parts stands."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import yaml

from ...module_utils._core.registry import NAMES as PROBES

# In C where it is there: ten times as fast, and the same places.
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class SourceError(ValueError):
    """A file cannot be used. The text begins with its path and, where that is known, line and column."""


class Source:
    """One file. document: what it holds, of plain JSON types. Raises SourceError.

    path: of the file; limit: bytes from which it is too large; name: for people, default the file's own.
    """

    def __init__(self, path: Path, limit: int, name: str | None = None):
        self.path = path
        self.name = name or path.name
        try:
            if path.stat().st_size > limit:
                raise SourceError(f"{path}: larger than {limit} bytes")
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SourceError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
        self._lines = text.splitlines()
        try:
            self._root = yaml.compose(text, Loader=Loader)
            _check_nodes(self._root, set())
            self.document = _constructed(self._root)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
            raise SourceError(f"{path}{where}: not YAML: {' '.join(str(error.problem or error).split())[:300]}") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise SourceError(f"{path}: not YAML: {' '.join(str(error).split())[:300]}") from None

    def place(self, steps: list, offset: int = 0, word: str | None = None) -> str:
        """Return 'path:line:column' of a part of the document.

        steps: keys and indexes that lead to it (as far as they go); offset: of a character inside a text; word: a key of the
        part that is meant and not the part itself.
        """
        node = self._root
        for step in steps:
            below = _child(node, step)
            if below is None:
                break
            node = below
        if node is None:
            return str(self.path)
        key = _key(node, word) if word else None
        if key is not None:
            node, offset = key, 0
        line, column = node.start_mark.line, node.start_mark.column
        if offset and isinstance(node, yaml.ScalarNode):
            line, column = self._inside(node, offset)
        return f"{self.path}:{line + 1}:{column + 1}"

    def _inside(self, node: yaml.ScalarNode, offset: int) -> tuple[int, int]:
        """Return line and column of a character of a scalar; of its beginning, if it is written in a way that hides that."""
        line, column = node.start_mark.line, node.start_mark.column
        if node.style in ("|", ">"):
            before = 0
            indent = None
            for number in range(line + 1, min(node.end_mark.line + 1, len(self._lines))):
                raw = self._lines[number]
                if indent is None and raw.strip():
                    indent = len(raw) - len(raw.lstrip(" "))
                length = max(0, len(raw) - (indent or 0))
                if offset <= before + length and raw.strip():
                    return number, (indent or 0) + offset - before
                before += length + 1
            return line, column
        at = column + offset + (1 if node.style in ("'", '"') else 0)
        return (line, at) if node.start_mark.line == node.end_mark.line else (line, column)


def _child(node: yaml.Node | None, step: str | int) -> yaml.Node | None:
    if isinstance(node, yaml.MappingNode):
        return next((value for key, value in node.value if key.value == str(step)), None)
    if isinstance(node, yaml.SequenceNode) and str(step).isdigit() and int(step) < len(node.value):
        return node.value[int(step)]
    return None


def _key(node: yaml.Node | None, word: str) -> yaml.Node | None:
    return next((key for key, _value in node.value if key.value == word), None) if isinstance(node, yaml.MappingNode) else None


def _check_nodes(node: yaml.Node | None, seen: set[int]) -> None:
    """Refuse a key that is there twice, of which YAML would silently keep the last; leave dates as the text they are."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if node.tag == "tag:yaml.org,2002:timestamp":
        node.tag = "tag:yaml.org,2002:str"
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_nodes(item, seen)
    if isinstance(node, yaml.MappingNode):
        keys: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in keys and key.value != "<<":
                raise yaml.MarkedYAMLError(problem=f"the key '{key.value}' is there twice", problem_mark=key.start_mark)
            keys.add(key.value if isinstance(key, yaml.ScalarNode) else "")
            _check_nodes(key, seen)
            _check_nodes(value, seen)


def _constructed(node: yaml.Node | None) -> Any:
    if node is None:
        return None
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


@functools.cache
def shipped(name: str) -> tuple[Path, ...]:
    """Return the files of a policy that comes with the collection, by its name ('default', 'compliance'); none: there is no such one.

    A policy is one file, or a folder with a file for each probe: those of the probes first, in the order of the registry.
    """
    if not name.isidentifier():
        return ()
    path = Path(__file__).parent / f"{name}.yml"
    if path.is_file():
        return (path,)
    rank = {probe: number for number, probe in enumerate(PROBES)}
    return tuple(sorted(path.with_suffix("").glob("*.yml"), key=lambda file: (rank.get(file.stem, len(rank)), file.stem)))
