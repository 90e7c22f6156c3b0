# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the log scanner names the function to blame, on logs with known culprits, also cross-validated.

    python tests/bench/culprit.py LOGS.jsonl.xz [--misses]

Each line of LOGS is a JSON object: `id`, `log` (or `log_b64`), `funcs` (the functions to blame, best first), and perhaps `all_reports`
(its first entry's `line_no` is the line of the report that counts). Three figures are printed:

    as shipped      what a host would report
    by pattern      in each of ten folds of the logs, only patterns that match a function of another fold's logs
    by name         in each fold, the patterns know only names that are in another fold's logs: the lower bound

The table of infrastructure comes from kernel source, not from logs, so it counts in all three.
"""

from __future__ import annotations

import base64
import hashlib
import json
import lzma
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / ".cache" / "import")]

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import culprit, scanner, symbol_classes  # noqa: E402

FOLDS = 10
CALL = re.compile(r"_{0,4}(?:x64_|ia32_|arm64_|do_|se_)?(?:sys|SyS|SYSC|compat_SyS)_|ksys_|__x64_|__se_")


def records(path: str) -> Iterator[dict[str, Any]]:
    """Yield the logs that have a culprit."""
    with lzma.open(path, "rt", encoding="utf-8") if path.endswith(".xz") else open(path, encoding="utf-8") as stream:
        for line in stream:
            record = json.loads(line)
            if record.get("funcs") and record.get("positive", True) and record.get("kernel_event", True) and not record.get("corrupted"):
                yield record


def report(record: dict[str, Any]) -> tuple[Any, ...] | None:
    """Return what L(culprit.blame) gets for the report of a log that counts."""
    text = base64.b64decode(record["log_b64"]).decode("utf-8", "replace") if record.get("log_b64") else record["log"]
    calls: list[tuple[Any, ...]] = []
    original = culprit.blame

    def note(kind: str, header: str, entries: Any) -> Any:
        calls.append((kind, header, list(entries)))
        return original(kind, header, entries)

    culprit.blame = note
    try:
        events = list(scanner.scan_lines(text.replace("\r", "").split("\n")))
    finally:
        culprit.blame = original
    wanted = (record.get("all_reports") or [{}])[0].get("line_no")
    at = [index for index, event in enumerate(events) if wanted and wanted <= event["line"] <= wanted + 1]
    return calls[(at or [0])[0]] if calls else None


def bare(name: str) -> str:
    """Return a name without what system calls are wrapped in."""
    return CALL.sub("", name.split(".")[0])


class Allowed:
    """A regular expression that knows only some names."""

    def __init__(self, pattern: re.Pattern[str], names: set[str]) -> None:
        self.pattern, self.names = pattern, names

    def match(self, name: str) -> Any:
        """Match as the pattern does."""
        return self.pattern.match(name) if name in self.names else None


def main() -> None:
    logs = [(record, report(record)) for record in records(sys.argv[1])]
    names = [{entry[1] for entry in found[2] if entry[0] != "mark"} if found else set() for _record, found in logs]
    fold = [int(hashlib.sha256(record["id"].encode()).hexdigest(), 16) % FOLDS for record, _found in logs]
    others = [set().union(*(seen for seen, at in zip(names, fold, strict=True) if at != number)) for number in range(FOLDS)]
    generic, dispatch = symbol_classes.GENERIC, symbol_classes.DISPATCH

    def known(words: tuple[str, ...], seen: set[str]) -> re.Pattern[str]:
        return symbol_classes.matcher([word for word in words if any(map(re.compile(f"(?:{word})$").match, seen))])

    ways = {
        "as shipped": [(generic, dispatch)] * FOLDS,
        "by pattern": [(known(symbol_classes.GENERIC_WORDS, seen), known(symbol_classes.DISPATCH_WORDS, seen)) for seen in others],
        "by name": [(Allowed(generic, seen), Allowed(dispatch, seen)) for seen in others],
    }
    for way, patterns in ways.items():
        right = near = 0
        for (record, found), number in zip(logs, fold, strict=True):
            symbol_classes.GENERIC, symbol_classes.DISPATCH = culprit.GENERIC, culprit.DISPATCH = patterns[number]
            symbol_classes.incidental.cache_clear()
            blamed, _trace, callers = culprit.blame(*found) if found else (None, [], [])
            wanted = {bare(name) for name in record["funcs"]}
            good = bool(blamed) and bare(blamed) in wanted
            right += good
            near += bool(wanted & {bare(name) for name in [blamed or "", *callers]})
            if not good and "--misses" in sys.argv:
                print(f"    {way}: {record['id']} {found and found[0]}: {blamed}, not {record['funcs'][0]}")
        print(f"{way:12} {right}/{len(logs)} ({100 * right / len(logs):.1f} %), or one of its two callers {100 * near / len(logs):.1f} %")


if __name__ == "__main__":
    main()
