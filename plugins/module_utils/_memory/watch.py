# SPDX-License-Identifier: GPL-3.0-or-later
"""Watch classes of things through a window, and take censuses of those that grow or are large.

The totals are read often, because they are cheap. Who holds what is dear: it is counted only for classes that grew or are large, when
these shares of the window are over: CENSUSES, and at its end. The difference of the first and the last is growth.
"""

import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core.lifecycle import REPORT_BUG
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import source as sources

CENSUSES = (0.4, 0.7)
READINGS = (0.2, 0.4, 0.55, 0.7, 0.85)  # as CENSUSES, besides those at start and end


class Watched:
    """One source with its readings and censuses: each a pair (seconds of the monotonic clock, what was read)."""

    def __init__(self, source):
        self.source = source
        self.readings = []
        self.censuses = []
        self._broken = False

    @property
    def name(self):
        return type(self.source).__name__

    @property
    def not_measured(self):
        return self.source.not_measured

    @property
    def last(self):
        """The last census: {key: Holding}."""
        return self.censuses[-1][1] if self.censuses else {}

    def read(self):
        """Read the totals; returns them."""
        totals = self._call('its totals', self.source.read, {})
        if totals is not None:
            self.readings.append((time.monotonic(), totals))
        return totals or {}

    def census(self, classes):
        """Count who holds things of these classes."""
        found = self._call('who holds what', self.source.census, {}, classes) if classes else None
        if found is not None:
            self.censuses.append((time.monotonic(), found))

    def wanted(self, also_large=True):
        """Return the classes of which a census is worth its cost: they grew since some reading, or are large."""
        if not self.readings:
            return set()
        last = self.readings[-1][1]
        return set(name for name, now in last.items() if any(self._grew(name, before.get(name), now) for _seconds, before in self.readings)
                   or (also_large and self._large(name, now)))

    def _grew(self, name, before, after):
        steps = self.source.STEPS.get(name, (sources.COUNT_STEP, sources.BYTES_STEP))
        return before is not None and any(
            step is not None and old is not None and new is not None and new - old >= step for old, new, step in zip(before, after, steps)
        )

    def _large(self, name, now):
        return any(
            level is not None and value is not None and value >= level
            for value, level in zip(now, self.source.LARGE.get(name, (None, None)))
        )

    def _call(self, what, function, otherwise, *arguments):
        """A source that fails ends no other one: the result says what is missing."""
        if self._broken:
            return None
        try:
            return function(*arguments)
        except Exception as error:
            self._broken = True
            self.source.not_measured.append('%s of source %s (%s: %s; %s)' % (what, self.name, type(error).__name__, error, REPORT_BUG))
            return None


class Watch:
    """All sources through one window."""

    def __init__(self, classes, host):
        self._host = host
        self.watched = [Watched(source(host)) for source in classes]
        self._readings = self._censuses = ()

    def start(self, duration_s):
        """Read for the first time. duration_s: seconds that the window is meant to last."""
        began_s = time.monotonic()
        self._host.begin()
        self._readings = [began_s + duration_s * share for share in READINGS]
        self._censuses = [began_s + duration_s * share for share in CENSUSES]
        self.read()

    def next_s(self):
        """Return the instant of the next reading, None: there is none before the end."""
        return self._readings[0] if self._readings else None

    def due(self):
        """Do what is due by now: a reading, and a census. Returns whether this was the first census."""
        now_s = time.monotonic()
        if not self._readings or now_s < self._readings[0]:
            return False
        self._readings = [one for one in self._readings if one > now_s]
        self.read()
        if self._censuses and self._censuses[0] <= now_s:
            # The first one shows levels too; those between are about growth that goes on.
            first = len(self._censuses) == len(CENSUSES)
            self.census(also_large=first)
            self._censuses = [one for one in self._censuses if one > now_s]
            return first
        return False

    def stop(self):
        """The last reading and census."""
        self.read()
        self.census()

    def census(self, also_large=True):
        """Take a census of all classes that grew, or are large.

        also_large: without, it is about growth of those that held something in the first census: other processes are not read again.
        """
        self._host.partial = not also_large
        wanted = [(one, one.wanted(also_large)) for one in self.watched]
        self._host.fresh = any(set(one.source.FRESH) & classes for one, classes in wanted)
        for one, classes in wanted:
            one.census(classes)

    def read(self):
        """Read the totals of all classes."""
        self._host.forget()
        for one in self.watched:
            one.read()
