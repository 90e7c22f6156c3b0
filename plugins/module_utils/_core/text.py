# SPDX-License-Identifier: GPL-3.0-or-later
"""Text of a host, made fit to be shown, and instants as text."""

import re
import time

_UNPRINTABLE = re.compile('[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')


def printable(text, limit):
    """The text without control characters (a tab stays), cut to limit characters."""
    return _UNPRINTABLE.sub('?', text[:limit])


def instant(seconds):
    """ISO UTC text of seconds since 1970, or None."""
    if seconds is None or not 0 <= seconds < 253402300800:
        return None
    return time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(seconds))
