# SPDX-License-Identifier: GPL-3.0-or-later
"""Joins ES modules into one script, so that the page may run them without loading anything.

Each module becomes a function that runs once, after those that it imports, and returns what it exports. The joined modules may
use these forms alone, each at the begin of a line; anything else is refused:

    import { name, other } from './path.js'
    export const name = …    export function name(…) …    export async function name(…) …    export class Name …
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable

IMPORT = re.compile(r"^import \{(\s*[\w$]+(?:\s*,\s*[\w$]+)*\s*,?\s*)\} from '(\.\.?/[^']+)'$", re.M)
EXPORT = re.compile(r"^export (?=(?:(?:async )?function|const|class) (\w+))", re.M)
OTHER = re.compile(r"^[ \t]*(?:import|export)\b.*|.*\bimport\s*\(.*", re.M)
# Whole lines of comments; the project's own sources have none inside of texts, and no text over several lines (eslint says so).
COMMENT = re.compile(r"^[ \t]*(?:/\*.*?\*/|//[^\n]*)\n", re.M | re.S)
LICENCE = "/* SPDX-License-Identifier: GPL-3.0-or-later */"


class ModuleError(ValueError):
    """A module cannot be joined. The text names it."""


def join(read: Callable[[str], str], entry: str, parts: dict[str, str]) -> str:
    """Return one script that runs ``start`` of the entry with the modules of parts.

    read: returns the text of a path; entry: a path; parts: {key: path}, which start gets as {key: module} in this order.
    Raises ModuleError, and what read raises.
    """
    joined: dict[str, str] = {}

    def add(path: str, above: tuple[str, ...]) -> None:
        if path in above:
            raise ModuleError(f"{path} imports itself: {' -> '.join([*above[above.index(path) :], path])}")
        if path not in joined:
            text = read(path)
            for _names, target in IMPORT.findall(text):
                add(_resolved(path, target), (*above, path))
            joined[path] = _as_function(path, text)

    for path in (*parts.values(), entry):
        add(path, ())
    given = ", ".join(f"{json.dumps(key)}: m[{json.dumps(path)}]" for key, path in parts.items())
    start = f"m[{json.dumps(entry)}].start({{ {given} }})"
    return "\n".join([LICENCE, "(() => {", "'use strict'", "const m = {} // the modules, by path", *joined.values(), start, "})()", ""])


def _resolved(path: str, target: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _as_function(path: str, text: str) -> str:
    body = IMPORT.sub(lambda match: f"const {{{_list(match[1])}}} = m[{json.dumps(_resolved(path, match[2]))}]", text)
    names = EXPORT.findall(body)
    body = COMMENT.sub("", EXPORT.sub("", body))
    if other := OTHER.search(body):
        raise ModuleError(f"{path}: this form of import or export cannot be joined: {other[0].strip()[:80]}")
    lines = [line.strip() for line in body.splitlines()]
    shown = "\n".join(line for line in lines if line)
    return f"m[{json.dumps(path)}] = (() => {{\n{shown}\nreturn {{{','.join(names)}}}\n}})()"


def _list(names: str) -> str:
    return ",".join(name.strip() for name in names.split(",") if name.strip())
