# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of proc and sys: one value each, None where a host does not have it."""

import os

_READ_BYTES = 4096


def text(path):
    """The start of a file of proc or sys, or None. Some of these files fail when they are read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(fd, _READ_BYTES).decode('utf-8', 'replace').strip()
        finally:
            os.close(fd)
    except OSError:
        return None


def integer(path):
    """The number in a file (decimal, or hexadecimal with 0x), or None."""
    found = text(path)
    try:
        return int(found, 0) if found else None
    except ValueError:
        return None


def flag(path):
    """Whether the number in a file is 1, or None."""
    value = integer(path)
    return None if value is None else value == 1


def entries(folder):
    """The names in a folder, sorted; none where it does not exist."""
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []
