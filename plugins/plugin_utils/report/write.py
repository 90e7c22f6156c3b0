# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a file as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


class WriteError(OSError):
    """A file cannot be written. The text names the option and the path."""


def check(path: Path, option: str) -> None:
    """Raise WriteError unless path could be written. Changes nothing; folders that are missing would be made."""
    if path.is_dir():
        raise WriteError(f"{option}: {path} is a folder, a file is expected")
    folder = path.parent
    while not os.path.lexists(folder):
        folder = folder.parent
    if not folder.is_dir():
        raise WriteError(f"{option}: {path} cannot be written: {folder} is not a folder")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise WriteError(f"{option}: {path} cannot be written: no permission to write in {folder}")


def write(path: Path, text: str, option: str) -> None:
    """Write text as UTF-8. Whoever opens the file meanwhile sees the old one or the new one. Raises WriteError."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_text(text, encoding="utf-8", errors="replace")
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f"{option}: {path} cannot be written: {error.strerror or error}") from None
