# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that came from a log, made fit to be shown."""

import re

_UNPRINTABLE = re.compile('[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')


def printable(text, limit):
    """The text without control characters (a tab stays), cut to limit characters."""
    return _UNPRINTABLE.sub('?', text[:limit])
