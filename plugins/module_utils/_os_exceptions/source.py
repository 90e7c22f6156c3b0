# SPDX-License-Identifier: GPL-3.0-or-later
"""What all places with log lines have in common.

A source is opened once and read lazily, within bounds. It never raises on what it finds: what it could
not read is told by its status and reason.
"""

import errno


class Source:
    """One place with log lines.

    name: as in the result; status: 'read', 'partial' or 'unread', with a reason for the latter two; lines, bytes: read so far;
    missing: True where this host has no such thing; damaged: True where something that should have been read was not.
    """

    live = False  # True: the ring buffer, whose timestamps count from this boot

    def __init__(self, name):
        self.name = name
        self.status = 'read'
        self.reason = ''
        self.lines = 0
        self.bytes = 0
        self.missing = False
        self.damaged = False

    def open(self):
        """Find out whether it can be read. Returns True if so."""
        raise NotImplementedError

    def read(self):
        """Yield str lines without newline, and None where nothing is there yet: the caller may come back later."""
        raise NotImplementedError

    def close(self):
        """Give everything back."""

    def unread(self, reason, damaged=True):
        self.status, self.reason, self.damaged = 'unread', reason, damaged
        return False

    def partial(self, reason, damaged=False):
        if self.status == 'read':
            self.status, self.reason = 'partial', reason
        self.damaged = self.damaged or damaged

    def fail(self, reason):
        """An error in the middle, or before the first line."""
        if self.lines:
            self.partial(reason, damaged=True)
        else:
            self.unread(reason)


def explain(error):
    """The text of an OSError, for an operator."""
    if getattr(error, 'errno', None) in (errno.EACCES, errno.EPERM):
        return 'not permitted, this needs root (become: true)'
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__
