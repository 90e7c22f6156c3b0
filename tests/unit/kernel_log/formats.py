# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares samples of the rules with the format strings of the kernel's source."""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import patterns
from ansible_collections.ksysak.fleet.tests.unit.kernel_log.samples import HEADERS, LINK_HEADERS

CONVERSION = re.compile(r"%(%|[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|t|L)?(?:p[A-Za-z]{0,3}|[diouxXcs]))")
ESCAPE = re.compile(r"\\(n|t|r|\\|\"|[0-7]{1,3}|x[0-9a-fA-F]{2})")
LEAST_CHARS = 6  # of fixed text: fewer say nothing
FORMS = {"d": r"-?\d+", "i": r"-?\d+", "u": r"\d+", "x": "[0-9a-fx ]+", "X": "[0-9A-F ]+", "c": ".", "s": ".*?", "o": "[0-7]+"}


def samples():
    """Return {sample: its rule's needle}: the words that a kernel must print."""
    found = {}
    for header in [header for _kind, header in HEADERS] + LINK_HEADERS:
        found[header] = patterns.find(header, True)[0].needle
    return found


def pieces(text):
    """The fixed texts and conversions of a format string's first line, as [(fixed text, conversion or None)]."""
    text = ESCAPE.sub(lambda escape: {"n": "\n", "t": "\t", "r": "\r"}.get(escape[1], escape[1] if len(escape[1]) == 1 else ""), text)
    text = text.partition("\n")[0]
    result, start = [], 0
    for conversion in CONVERSION.finditer(text):
        result.append((text[start : conversion.start()], conversion[1]))
        start = conversion.end()
    return [*result, (text[start:], None)]


def expression(parts):
    """The regular expression of what a format string prints."""
    text = ""
    for fixed, conversion in parts:
        text += re.escape(fixed)
        if conversion == "%":
            text += "%"
        elif conversion and conversion[0] == "p" or conversion and "p" in conversion:
            text += r"\S+(?: \[[\w-]+\])?"
        elif conversion:
            text += FORMS[conversion[-1]]
    return text


def covers(sample, needle, text):
    """Whether a format string prints a part of the sample that holds the words of its rule."""
    parts = pieces(text)
    words = needle.strip()
    fixed = max((part for part, _conversion in parts), key=len).strip()
    if len(fixed) < LEAST_CHARS or fixed not in sample:
        return False
    end = "" if parts[-1][0] or len(parts) == 1 else "$"
    for found in re.finditer(expression(parts).strip() + end, sample):
        if words in found.group():
            return True
    return False


class Matcher:
    """Collects for each sample the first format string that prints it."""

    def __init__(self, wanted):
        self._wanted = dict(wanted)
        self._all = "\n".join(wanted)
        self._found = {}

    def offer(self, path, text):
        if len(text) < LEAST_CHARS:
            return
        fixed = max((part for part, _conversion in pieces(text)), key=len).strip()
        if len(fixed) < LEAST_CHARS or fixed not in self._all:
            return
        for sample, needle in list(self._wanted.items()):
            if fixed in sample and covers(sample, needle, text):
                self._found[sample] = {"file": path, "format": text}
                del self._wanted[sample]

    def result(self):
        return self._found
