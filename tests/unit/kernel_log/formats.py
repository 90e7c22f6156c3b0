# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares samples of the rules with the format strings of the kernel's source."""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import patterns
from ansible_collections.ksysak.fleet.tests.unit.kernel_log.samples import HEADERS, LINK_HEADERS

CONVERSION = re.compile(r"%(%|[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|t|L)?(?:p[A-Za-z]{0,3}\d?|[diouxXcs]))")
ESCAPE = re.compile(r"\\(n|t|r|\\|\"|[0-7]{1,3}|x[0-9a-fA-F]{2})")
LEAST_CHARS = 6  # of fixed text: fewer say nothing
FORMS = {"d": r"-?\d+", "i": r"-?\d+", "u": r"\d+", "x": "[0-9a-fx ]+", "X": "[0-9A-F ]+", "c": ".", "s": ".*?", "o": "[0-7]+"}


def samples():
    """Return {sample: what its rule matches of it}."""
    found = {}
    for header in [header for _kind, header in HEADERS] + LINK_HEADERS:
        rule, text = patterns.find(header, True)
        found[header] = rule.regex.match(text).group()
    return found


def letters(text):
    """Number of letters in the words of a text that are no arguments: names with digits, paths, symbols and options."""
    return sum(map(len, re.findall(r"(?<![\w./=-])[A-Za-z]+(?![\w/=]|\.\w)", re.sub(r"\S*ksy\S*|\b0x\S*", " ", text))))


def pieces(text):
    """The fixed texts and conversions of a format string's first line, as [(fixed text, conversion or None)]."""
    text = ESCAPE.sub(lambda escape: {"n": "\n", "t": "\t", "r": "\r"}.get(escape[1], escape[1] if len(escape[1]) == 1 else ""), text)
    text = text.partition("\n")[0]
    result, start = [], 0
    for conversion in CONVERSION.finditer(text):
        result.append((text[start : conversion.start()], conversion[1]))
        start = conversion.end()
    result.append((text[start:].rstrip(), None))
    return [(result[0][0].lstrip(), result[0][1]), *result[1:]]


def expression(parts):
    """The regular expression of what a format string prints."""
    text = ""
    for fixed, conversion in parts:
        text += re.escape(fixed)
        if conversion == "%":
            text += "%"
        elif conversion and "p" in conversion:
            text += r"\S+(?: \[[\w-]+\])?"
        elif conversion:
            text += FORMS[conversion[-1]]
    return text


def printed(sample, text):
    """The letters that a format string prints of the sample by itself, not as arguments. 0: it does not print a part of the sample."""
    parts = pieces(text)
    end = "$" if parts[-1] == ("", None) and len(parts) > 1 and parts[-2][1] == "s" else ""
    if not re.search(expression(parts) + end, sample):
        return 0
    return sum(letters(fixed) for fixed, _conversion in parts)


class Matcher:
    """Finds for each sample the format string that prints most of it.

    wanted: {sample: what the rule matches}. A format string counts that prints at least half of the words that the rule matches.
    """

    def __init__(self, wanted):
        self._least = {sample: max(LEAST_CHARS, (letters(matched) + 1) // 2) for sample, matched in wanted.items()}
        self._all = "\n".join(wanted)
        self._found = {}
        self._path = None
        self._prefixes = []  # of the file that is being read: what its pr_fmt, dev_fmt and the like put in front

    def offer(self, path, text):
        if path != self._path:
            self._path, self._prefixes = path, []
        name = text.rstrip(": ")
        if 2 < len(name) < 32 and "%" not in name and name + ":" in self._all:
            self._prefixes.append(name)
        if len(text) < LEAST_CHARS:
            return
        parts = pieces(text)
        fixed = max((part for part, _conversion in parts), key=len).strip()
        if len(fixed) < LEAST_CHARS or fixed not in self._all:
            return
        most = sum(letters(part) for part, _conversion in parts)
        for sample, least in self._least.items():
            if fixed not in sample or not most or most + 32 < least:
                continue
            whole = most + max((letters(name) for name in self._prefixes if name + ":" in sample and name not in text), default=0)
            if whole >= least and whole > self._found.get(sample, (0,))[0] and printed(sample, text):
                self._found[sample] = (whole, path, text)

    def result(self):
        """Return {sample: [file, format string]}."""
        return {sample: [path, text] for sample, (_most, path, text) in self._found.items()}
