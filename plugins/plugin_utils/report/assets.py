# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report is made of: a template, styles and scripts, and the libraries that come with them."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

TEMPLATE = "templates/report.html.j2"
# It would make a browser's developer tools look for a file that is not there.
SOURCE_MAP = re.compile(r"(//|/\*)# sourceMappingURL=\S+( \*/)?")


class AssetError(ValueError):
    """The folder of the report's template and files is incomplete. The text names the file."""


class Assets:
    """The texts of a role folder.

    template: str; styles and scripts: lists of str, in the order they are used; libraries: as in vendor.json, which names
    them with the sha256 that each file must have, and licence_text. Raises AssetError.
    """

    def __init__(self, folder: str):
        root = Path(folder)
        self.template = _text(root / TEMPLATE)
        files = root / "files"
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
        self.scripts = [text for name, text in texts.items() if name.endswith(".js")] + [_text(files / "report.js")]


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
