# SPDX-License-Identifier: GPL-3.0-or-later
"""How text and numbers of hosts are written in titles, remedies, signatures and digests."""

from __future__ import annotations

import datetime
import functools
import re
from typing import Any

from ...module_utils._core.symbols import without_suffixes
from ...module_utils._memory.kinds import KINDS as MEMORY_KINDS

# C0 and C1 controls, DEL, bidirectional overrides, zero-width characters, line separators, lone surrogates
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff\ufff9-\ufffb]")
_UNSAFE_BUT_LINES = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x08\x0b-\x1f"))
_ADDRESS = re.compile(r"\+?0x[0-9a-fA-F]+(/0x[0-9a-fA-F]+)?|\b[0-9a-fA-F]{16}\b")
_DIGITS = re.compile(r"[0-9]+")
_RANDOM_COPY = re.compile(r"^kmalloc-rnd-[0-9]+-")
_THINGS = {row.kind: row.many for row in MEMORY_KINDS}
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"


def visible(text: str) -> str:
    """Return text in which no character moves a cursor, hides or reorders others. Keeps the length."""
    return _UNSAFE.sub(_visible, text)


# What build servers take for a command in a log: Azure Pipelines (##vso[…], ##[…]), TeamCity (##teamcity[…]), GitHub (::error …).
_COMMAND = re.compile(r"##(?=\w*\[)|(?<![\w:]):(?=:[A-Za-z])")


def for_log(text: str) -> str:
    """Return text in which no build server finds a command when it is written to a log: '##vso[' becomes '# #vso['."""
    return _COMMAND.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


def clean(value: Any) -> Any:
    """Return a JSON value whose strings and keys are all made visible, but for newlines and tabs in strings."""
    if isinstance(value, str):
        return _UNSAFE_BUT_LINES.sub(_visible, value)
    if isinstance(value, list):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): clean(item) for key, item in value.items()}
    return value


def is_clean(raw: str) -> bool:
    """Tell whether the text of a JSON document has nothing for clean() to do (escapes of newline and tab are fine).

    JSON has no control characters but white space between its values, and of ASCII only DEL remains.
    """
    if "\\u" in raw or "\\b" in raw or "\\f" in raw or "\\r" in raw:
        return False
    return "\x7f" not in raw if raw.isascii() else not _UNSAFE_BUT_LINES.search(raw)


def bounded(text: str, chars: int) -> str:
    """Return text cut to that many characters, with an ellipsis where something was cut."""
    return text if len(text) <= chars else text[: chars - 1] + "…"


@functools.lru_cache(maxsize=16384)  # hosts have the same functions
def plain_function(name: str | None) -> str:
    """Return a function's name without address, offset and compiler suffixes ('?' for null)."""
    return "?" if name is None else without_suffixes(_ADDRESS.sub("", name)).strip()


def family(name: str | None) -> str:
    """Return a name with each run of digits as 'N', as ethN-TxRx-N for eth0-TxRx-3 ('?' for null)."""
    return "?" if name is None else _DIGITS.sub("N", name)


def in_bytes(value: float | None) -> str:
    """Return bytes for people, as '1.5 MiB' ('?' for null)."""
    if value is None:
        return "?"
    size = float(value)
    for unit in _UNITS:
        if abs(size) < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or abs(size) >= 100 else f"{size:.1f} {unit}"


def in_time(seconds: float | None) -> str:
    """Return seconds for people, as '9 d', '14 h' or '25 min' ('?' for null)."""
    if seconds is None:
        return "?"
    size, unit = (seconds, "s") if seconds < 120 else (seconds / 60, "min") if seconds < 7200 else (seconds / 3600, "h")
    size, unit = (seconds / 86400, "d") if seconds >= 172800 else (size, unit)
    return f"{size:.0f} {unit}"


def seconds_of(instant: str | None) -> float | None:
    """Return the seconds since 1970 of an instant as '2026-11-23T03:08:00Z' (None for what is no date, and for null)."""
    if instant is None:
        return None
    try:
        return datetime.datetime.fromisoformat(instant.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def plain_cache(name: str | None) -> str:
    """Return the name of a slab cache without the number of a random copy, which differs from boot to boot ('?' for null)."""
    return "?" if name is None else _RANDOM_COPY.sub("kmalloc-rnd-", name)


def things(kind: str | None) -> str:
    """Return what things of a kind that holds memory are called, as 'sockets' (the kind itself where it is not known, '?' for null)."""
    return "?" if kind is None else _THINGS.get(kind, kind)


def many(number: int | None, one: str) -> str:
    """Return a number of things, as '1 error' or '2 errors' ('? errors' for null). one: what one of them is called."""
    return f"{'?' if number is None else number} {one}{'' if number == 1 else 's'}"


def in_us(value: float | None) -> str:
    """Return microseconds for people, as '48 ms' ('?' for null)."""
    if value is None:
        return "?"
    size, unit = (value, "us") if abs(value) < 1e3 else (value / 1e3, "ms") if abs(value) < 1e6 else (value / 1e6, "s")
    return f"{size:.0f} {unit}" if abs(size) >= 100 or size == int(size) else f"{size:.1f} {unit}"


def in_percent(share: float | None) -> str:
    """Return a share of 1 as '12 %' ('?' for null)."""
    if share is None:
        return "?"
    return f"{share * 100:.0f} %" if share >= 0.1 else f"{share * 100:.2g} %"
