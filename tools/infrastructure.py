#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the table of the kernel's infrastructure, which a kernel report seldom blames, from kernel source.

    tools/infrastructure.py SOURCE...           write it; a SOURCE is a tree, or a linux-source-*.tar.xz of Debian
    tools/infrastructure.py --names SOURCE...   print the names instead

A function is infrastructure by where it is defined: L(PATHS) is the one owner of that. A name counts when all its definitions
in all sources lie there. The table is made from Debian's linux-source-5.10, -6.1, -6.12 and the newest of its backports.
"""

from __future__ import annotations

import re
import sys
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

# Not the running kernel: boot code, hypervisors' own, tools, examples, user space, and what the kernel tests itself with.
OTHER = re.compile(
    r"(?:arch/\w+/(?:boot|purgatory|tools|kvm/hyp/nvhe)|arch/um|tools|scripts|samples|usr|Documentation|drivers/firmware/efi/libstub)/"
    r"|.*/vdso(?:32|64)?/|.*(?:^|[/_-])k?(?:unit|tests?|selftests?)(?:[/_-].*)?(?:/|\.[chS]$)"
)

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
DEFINITION = re.compile(r"^(?!typedef|struct \w+ \{|union|enum)([A-Za-z_][\w\s*,()\"]{0,200}?\([^;{}#]{0,2000}?\)[\w\s()]{0,120}?)\n?\{", re.MULTILINE)
CALLED = re.compile(r"([A-Za-z_]\w*)\s*\(")
EXPORTED = re.compile(r"^EXPORT_\w*SYMBOL\w*\((\w+)", re.MULTILINE)
ASSEMBLED = re.compile(r"^\s*(?:SYM_\w*START\w*|SYM_\w*ALIAS\w*|SYM_INNER_LABEL\w*|ENTRY|WEAK|_GLOBAL\w*|LEAF|NESTED|idtentry\w*)\s*\(?\s*(\w+)", re.MULTILINE)
SYSCALL = re.compile(r"(?:COMPAT_)?SYSCALL_DEFINE\d?$")
# Words of a declaration that look like a call: attributes and sparse's annotations.
ANNOTATION = re.compile(r"__attribute__|__(?:printf|scanf|acquires|releases|must_hold|cond_acquires|section|aligned|alloc_size|malloc|must_hold_shared"
                        r"|acquires_shared|releases_shared|cond_lock|no_sanitize|nocfi|diagnose_as|counted_by|context_unsafe|guarded_by|assume_aligned"
                        r"|nonstring|error|warning|target|realloc_size|copy|alias|no_context_analysis)$")
BODY = re.compile(r"^\{|\)[ \t\w]*\{[^\n]*\}[ \t]*$", re.MULTILINE)


def declared(text: str) -> str | None:
    """Return the name of the function that a definition's declaration (all before its body) declares; None: of no function."""
    depth, name = 0, None
    for token in re.finditer(r"[A-Za-z_]\w*(?=\s*\()|[()]|[=\"]", text):
        word = token.group()
        if word == "(":
            depth += 1
        elif word == ")":
            depth -= 1
        elif depth == 0 and word in ("=", '"'):
            return None
        elif depth == 0 and not ANNOTATION.match(word):
            name = name or word
    if name and name.isupper() or name and re.match(r"[A-Z][A-Z0-9_]+$", name):
        argument = re.search(re.escape(name) + r"\s*\(\s*([A-Za-z_]\w*)", text)
        if argument is None:
            return None
        return ("sys_" if SYSCALL.match(name) else "") + argument.group(1)
    return name


def definitions(path: str, text: str) -> Iterator[str]:
    """Yield the names of the functions that a source file (its path within the tree, its text) defines."""
    if path.endswith(".S"):
        yield from ASSEMBLED.findall(text)
        yield from EXPORTED.findall(text)
        return
    if "{" not in text:
        return
    text = COMMENT.sub(" ", text)
    yield from EXPORTED.findall(text)
    for body in BODY.finditer(text):
        until = body.start() + (text[body.start()] == ")")
        # a declaration begins behind the last statement, body, directive or empty line
        since = max(text.rfind(mark, max(0, until - 2000), until) + len(mark) for mark in (";\n", "}\n", "\n\n"))
        declaration = text[since:until]
        at = max(declaration.rfind("\n#"), declaration.find("#", 0, 1))
        if at >= 0:  # a macro goes on behind a backslash
            end = declaration.find("\n", at + 1)
            while end > 0 and declaration[end - 1] == "\\":
                end = declaration.find("\n", end + 1)
            declaration = declaration[end + 1:] if end >= 0 else ""
        name = declared(declaration) if not declaration[:1].isspace() or declaration.lstrip()[:1] != "{" else None
        if name:
            yield name


def files(source: Path) -> Iterator[tuple[str, str]]:
    """Yield (path within the tree, text) of each file of a source that defines functions of the running kernel."""
    if source.is_dir():
        found = ((str(path.relative_to(source)), path.read_bytes) for path in source.rglob("*.[chS]") if path.is_file())
        yield from ((path, read().decode("utf-8", "replace")) for path, read in found if not OTHER.match(path))
        return
    with tarfile.open(source) as archive:
        for member in archive:
            path = member.name.split("/", 1)[-1]
            if member.isfile() and path.endswith((".c", ".h", ".S")) and not OTHER.match(path):
                yield path, archive.extractfile(member).read().decode("utf-8", "replace")  # type: ignore[union-attr]


def index(sources: Iterable[Path]) -> dict[str, set[str]]:
    """Return where each function is defined: paths by name."""
    found: dict[str, set[str]] = {}
    for source in sources:
        for path, text in files(source):
            for name in definitions(path, text):
                found.setdefault(name, set()).add(path)
    return found
