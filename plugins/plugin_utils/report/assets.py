# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report is made of: a template, styles and scripts, and the libraries that come with them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from ..messages import Messages
from .modules import ModuleError, join
from .parts import Part, parts

TEMPLATE = "templates/report.html.j2"
ENTRY = "main.js"
LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
# It would make a browser's developer tools look for a file that is not there.
SOURCE_MAP = re.compile(r"(//|/\*)# sourceMappingURL=\S+( \*/)?")


class AssetError(ValueError):
    """The folder of the report's template and files is incomplete. The text names the file."""


class Assets:
    """The texts of a role folder.

    template: str; styles and scripts: lists of str, in the order they are used; parts: of the page, each drawn by a script;
    libraries: as in vendor.json, which names them with the sha256 that each file must have, and licence_text; language: as in
    HTML; translate: the messages of the language; rules: the texts of the shipped policies in it.
    Raises AssetError.
    """

    def __init__(self, folder: str, language: str = "en"):
        root = Path(folder)
        self.language, self.translate, self.rules = _messages(root / "files" / "messages", language)
        self.template = _text(root / TEMPLATE)
        files = root / "files"
        self.parts = parts()
        try:
            listed = json.loads(_text(files / "vendor.json"))["libraries"]
            vendored = [entry for library in listed for entry in library["files"]]
            texts = {entry["file"]: _checked(files / "vendor" / entry["file"], entry["sha256"]) for entry in vendored}
            self.libraries = [{**library, "licence_text": _text(files / "vendor" / library["licence_file"])} for library in listed]
        except AssetError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise AssetError(f"{files / 'vendor.json'}: {error}") from None
        self.styles = [text for name, text in texts.items() if name.endswith(".css")] + [_text(files / "report.css")]
        self.scripts = [text for name, text in texts.items() if name.endswith(".js")] + [_joined(files, self.parts)]


def _joined(files: Path, listed: list[Part]) -> str:
    """The report's own modules as one script. A section's script that belongs to no section is refused, or nobody would miss it."""
    known = {part.script for part in listed}
    for path in sorted(files.glob("sections/*.js")):
        if path.relative_to(files).as_posix() not in known:
            raise AssetError(f"{path}: the fleet document has no section '{path.stem}'")
    try:
        return join(lambda name: _text(files / name), ENTRY, {part.key: part.script for part in listed})
    except ModuleError as error:
        raise AssetError(f"{files}: {error}") from None


def _messages(folder: Path, language: str) -> tuple[str, Messages, Messages]:
    """English is the language of the sources and has no file."""
    if language == "en":
        return "en", Messages(), Messages()
    path = folder / f"{language}.json"
    if not LANGUAGE.fullmatch(language) or not path.is_file():
        known = ", ".join(["en", *sorted(path.stem for path in folder.glob("*.json"))])
        raise AssetError(f"ksysak_language: there is no '{language[:32]}' (known: {known})")
    texts: dict[str, str] = {}
    rules: dict[str, str] = {}
    # A probe may bring its own texts: <language>/<probe>.json.
    for file in [*sorted((folder / language).glob("*.json")), path]:
        try:
            document = json.loads(_text(file))
            texts.update(document["messages"])
            rules.update(document["policies"])
            if not all(isinstance(text, str) for text in [document["language"], *texts.values(), *rules.values()]):
                raise ValueError("a language and texts are expected")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise AssetError(f"{file}: {error}") from None
    return document["language"], Messages(texts), Messages(rules)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AssetError(f"{path}: {getattr(error, 'strerror', None) or error}") from None


def _checked(path: Path, sha256: str) -> str:
    text = _text(path)
    if hashlib.sha256(text.encode()).hexdigest() != sha256:
        raise AssetError(f"{path} is not the file that was vendored (its sha256 differs from vendor.json)")
    return SOURCE_MAP.sub("", text)
