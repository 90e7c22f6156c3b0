# SPDX-License-Identifier: GPL-3.0-or-later
"""Write what a host can lack, and what to do about it, into the page on troubleshooting, from the places where the code raises Unavailable.

    tools/messages.py           write them
    tools/messages.py --check   write nothing; end with 1 when the page is not current, or a reason has no remedy

An ellipsis stands for what is known at run time only.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "plugins" / "module_utils"
PAGE = ROOT / "docs" / "troubleshooting.md"
TABLE = re.compile(r"(?s)(<!-- reasons: written by tools/messages\.py -->\n).*?(<!-- end of reasons -->)")
PLACEHOLDER = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?[a-z]")


def shown(node: ast.expr) -> str:
    """Return the text that an expression makes, with an ellipsis for what is not written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return PLACEHOLDER.sub("…", shown(node.left)).replace("%%", "%")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return shown(node.left) + shown(node.right)
    return "…"


def reasons() -> tuple[dict[str, str], list[str]]:
    """Return {reason: remedy}, and the places (file:line) where a reason has no remedy."""
    found: dict[str, str] = {}
    bare = []
    for path in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Unavailable"):
                continue
            if len(node.args) < 2:
                bare.append(f"{path.relative_to(ROOT)}:{node.lineno}")
            elif re.search(r"\w", reason := re.sub(r"…+", "…", shown(node.args[0]))):
                found[reason] = shown(node.args[1])
    return dict(sorted(found.items(), key=lambda entry: entry[0].strip("…").lower())), bare


def written(text: str, found: dict[str, str]) -> str:
    """Return the page with the table of these reasons."""
    rows = "".join(f"| `{reason}` | {remedy} |\n" for reason, remedy in found.items())
    return TABLE.sub(lambda match: f"{match[1]}| Reason | Remedy |\n|---|---|\n{rows}{match[2]}", text)


def main() -> int:
    """Return the exit code."""
    found, bare = reasons()
    old = PAGE.read_text(encoding="utf-8")
    new = written(old, found)
    for place in bare:
        print(f"{place}: Unavailable without a remedy")
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
    elif new != old:
        print(f"{PAGE.relative_to(ROOT)} is not current: run make probes")
        return 1
    return int(bool(bare))


if __name__ == "__main__":
    sys.exit(main())
