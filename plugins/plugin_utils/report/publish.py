# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the files of a report go (ksysak_publish): checked before a scan, so that no window is measured for a misspelt address.

Messages name destination and field and never a value: what was given may be a secret.
"""

from __future__ import annotations

import difflib
import re
import urllib.parse
from collections.abc import Callable, Collection
from typing import Any

from ..results.options import given, mapping
from .formats import FILES

OPTION = "ksysak_publish"
MANY = 20
# ASCII without control characters, which would end a line of a request.
VISIBLE = re.compile(r"[\x20-\x7e]{1,4096}")
BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
BRANCH = re.compile(r"(?!.*(\.\.|//|@\{|\.lock(/|$)))[A-Za-z0-9_][A-Za-z0-9_./+-]{0,199}(?<![./])")
RELATIVE = re.compile(r"(?!.*(^|/)\.{1,2}(/|$))[A-Za-z0-9_.@+=,-][A-Za-z0-9_.@+=,/ -]{0,399}")
MAIL = re.compile(r"[^\x00-\x1f\x7f]{0,200}[^\s@<>]{1,100}@[^\s@<>]{1,200}>?")
AUTHOR = re.compile(r"[^\x00-\x1f\x7f<>]{1,100} <[^\s@<>]{1,100}@[^\s@<>]{1,200}>")


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and VISIBLE.fullmatch(value) else "visible ASCII text is expected"


def _name(value: Any) -> str | None:
    return None if isinstance(value, str) and 1 <= len(value) <= 100 and value.isprintable() else "1 to 100 visible characters are expected"


def _matching(pattern: re.Pattern, expected: str) -> Callable[[Any], str | None]:
    return lambda value: None if isinstance(value, str) and pattern.fullmatch(value) else f"{expected} is expected"


def _number(least: int, most: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        whole = isinstance(value, int) and not isinstance(value, bool)
        return None if whole and least <= value <= most else f"a whole number from {least} to {most} is expected"

    return check


def _one_of(*known: str) -> Callable[[Any], str | None]:
    return lambda value: None if value in known else f"one of {', '.join(known)} is expected"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "true or false is expected"


def _path(value: Any) -> str | None:
    return None if isinstance(value, str) and value.startswith("/") and value.isprintable() else "an absolute path is expected"


def _headers(value: Any) -> str | None:
    fine = isinstance(value, dict) and all(
        isinstance(name, str) and re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) and _text(content) is None
        for name, content in value.items()
    )
    return None if fine else "a dictionary of header names and visible ASCII texts is expected"


def _addresses(value: Any) -> str | None:
    listed = [value] if isinstance(value, str) else value
    fine = isinstance(listed, list) and listed and all(isinstance(one, str) and MAIL.fullmatch(one) for one in listed)
    return None if fine else "mail addresses are expected"


def _host_keys(value: Any) -> str | None:
    listed = [value] if isinstance(value, str) else value
    fine = isinstance(listed, list) and listed and all(_text(one) is None and len(one.split()) >= 3 for one in listed)
    return None if fine else "lines of a known_hosts file, as 'name ssh-ed25519 key', are expected"


def _url(*schemes: str) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        expected = f"an address that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
        if _text(value) is not None or " " in value:
            return f"{expected} is expected"
        try:
            parts = urllib.parse.urlsplit(value)
        except ValueError:
            return f"{expected} is expected"
        if parts.scheme not in schemes or not parts.hostname:
            return f"{expected} is expected"
        return "a password in an address would be shown; use the fields for credentials" if parts.password is not None else None

    return check


def _repository(value: Any) -> str | None:
    if _text(value) is not None or value.startswith("-") or "::" in value:
        return "an address or an absolute path of a Git repository is expected"
    if value.startswith(("https://", "http://", "ssh://")):
        return _url("https", "http", "ssh")(value)
    if value.startswith("/") or re.fullmatch(r"[\w.-]+@[\w.-]+:[^\s]+", value):
        return None
    return "an address or an absolute path of a Git repository is expected"


def _formats(value: Any) -> str | None:
    fine = isinstance(value, list) and value and all(one in FILES for one in value)
    return None if fine else f"a list of {', '.join(FILES)} is expected"


Fields = dict[str, Callable[[Any], str | None]]
COMMON: Fields = {
    "name": _name,
    "formats": _formats,
    "timeout": _number(1, 3600),
    "retries": _number(0, 20),
    "delay": _number(0, 300),
}
# By type: (fields that are required, fields that are not).
TYPES: dict[str, tuple[Fields, Fields]] = {
    "folder": ({"path": _path}, {"host": _name, "become": _flag}),
    "http": (
        {"url": _url("https", "http")},
        {"method": _one_of("PUT", "POST"), "headers": _headers, "username": _text, "password": _text, "ca_path": _path, "check": _flag},
    ),
    "s3": (
        {"bucket": _matching(BUCKET, "the name of a bucket")},
        {
            "prefix": _matching(RELATIVE, "a relative path"),
            "region": _text,
            "endpoint_url": _url("https", "http"),
            "access_key": _text,
            "secret_key": _text,
            "session_token": _text,
        },
    ),
    "mail": (
        {"host": _text, "to": _addresses, "from": _matching(MAIL, "a mail address")},
        {
            "port": _number(1, 65535),
            "username": _text,
            "password": _text,
            "secure": _one_of("always", "starttls", "try", "never"),
            "subject": _name,
        },
    ),
    "git": (
        {"url": _repository, "branch": _matching(BRANCH, "the name of a branch")},
        {
            "folder": _matching(RELATIVE, "a relative path"),
            "headers": _headers,
            "username": _text,
            "password": _text,
            "ca_path": _path,
            "key_file": _path,
            "host_keys": _host_keys,
            "author": _matching(AUTHOR, "'Name <address>'"),
        },
    ),
}
TOGETHER = (("username", "password"), ("access_key", "secret_key"))
# What else a type needs on the controller: (module, Python package).
NEEDS = {"s3": ("amazon.aws.s3_object", "boto3"), "mail": ("community.general.mail", None)}


def destinations(value: Any, formats: Collection[str], hosts: Collection[str], problems: list[str]) -> list[dict]:
    """Return the destinations, and add what is wrong with them to problems.

    value: as the user gave it, a list or its text in YAML or JSON; formats: those that are written; hosts: names in the inventory.
    """
    listed = given(value, [])
    listed = mapping(listed) if isinstance(listed, str) else listed
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        problems.append(f"{OPTION}: a list of destinations is expected, each a dictionary with 'type'")
        return []
    if len(listed) > MANY:
        problems.append(f"{OPTION}: {len(listed)} destinations, at most {MANY} are allowed")
    for number, one in enumerate(listed, 1):
        problems += [f"{OPTION}, destination {number}{_of(one)}: {problem}" for problem in _wrong(one, formats, hosts)]
    return listed


def _of(destination: dict) -> str:
    kind = destination.get("type")
    return f" ({kind})" if isinstance(kind, str) and kind in TYPES else ""


def _wrong(destination: dict, formats: Collection[str], hosts: Collection[str]) -> list[str]:
    kind = destination.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        return [f"'type' is missing or none of {', '.join(TYPES)}{_hint(kind, TYPES)}"]
    required, optional = TYPES[kind]
    known = {**required, **optional, **COMMON}
    problems = [f"'{name}' is missing" for name in required if name not in destination]
    for name, value in destination.items():
        if name == "type":
            continue
        if name not in known:
            problems.append(f"there is no field {str(name)[:60]!r}{_hint(name, known)} (known: {', '.join(sorted(known))})")
        elif problem := known[name](value):
            problems.append(f"'{name}': {problem}")
    for first, second in TOGETHER:
        if (first in destination) != (second in destination):
            problems.append(f"'{first}' and '{second}' belong together")
    named = destination.get("formats")
    if isinstance(named, list) and (lacking := [str(one) for one in named if one in FILES and one not in formats]):
        problems.append(f"'formats': {', '.join(lacking)} is not written; add it to ksysak_formats")
    host = destination.get("host")
    if kind == "folder" and isinstance(host, str) and host not in {*hosts, "localhost"}:
        problems.append("'host' is not in the inventory")
    if kind == "http" and destination.get("method") == "POST" and destination.get("check"):
        problems.append("'check' needs the method PUT: what became of a POST cannot be read")
    return problems


def _hint(name: Any, known: Collection[str]) -> str:
    near = difflib.get_close_matches(str(name), list(known), 1)
    return f"; did you mean '{near[0]}'?" if near else ""


def needs(listed: list[dict]) -> list[tuple[str, str, str | None]]:
    """Return (type, module, Python package or None) of all that the destinations need and ansible-core does not have."""
    return [(kind, *NEEDS[kind]) for kind in NEEDS if any(one.get("type") == kind for one in listed)]
