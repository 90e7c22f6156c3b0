# SPDX-License-Identifier: GPL-3.0-or-later
"""From single reports of several sources to one entry a signature, each report counted once."""

import bisect
import calendar
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import instant
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.lines import MONTHS

MAX_OCCURRENCES = 50000
MAX_SIGNATURES = 2000
MAX_SOURCES = 8

# Two clocks that tell the same event: seconds apart for certain, and what the printk clock, which nobody
# corrects, may drift in a second of uptime.
_NEAR_S = 5.0
_DRIFT = 1e-4
_CANDIDATES = 100
_BOOT_APART_S = 10.0  # no machine boots and fails twice in less

# Excerpts and traces fall in length with the rank of the entry, so that many entries fit into one result.
_LONG_EXCERPTS = 4
_LONG_EXCERPT_CHARS = 2048
_SHORT_EXCERPT_CHARS = 400
_LONG_TRACES = 12
_SHORT_TRACE = 8


def seconds_of(wall):
    """Seconds since 1970 of an ISO UTC text."""
    return float(calendar.timegm(time.strptime(wall, '%Y-%m-%dT%H:%M:%SZ')))


def seconds_of_local(date, not_after_s):
    """Seconds since 1970 of a syslog date in the host's zone: '2026 Nov 23 05:38:57', or without a year the last one not after a time.

    Returns None where it is no date.
    """
    try:
        if date[:4].isdigit():
            stamp = time.strptime(date, '%Y %b %d %H:%M:%S')
            return time.mktime(stamp[:8] + (-1,))
        month = MONTHS.index(date[:3]) + 1
        day = int(date[3:6])
        hour, minute, second = (int(part) for part in date[-8:].split(':'))
        year = time.localtime(not_after_s).tm_year
        for candidate in (year, year - 1):
            seconds = time.mktime((candidate, month, day, hour, minute, second, 0, 0, -1))
            if seconds <= not_after_s + 86400:
                return seconds
    except (ValueError, OverflowError):
        pass
    return None


class _Occurrence:
    __slots__ = ('seconds', 'timestamp_s', 'sources', 'written_by', 'in_window', 'induced')

    def __init__(self, seconds, timestamp_s, source, written_by):
        self.seconds = seconds
        self.timestamp_s = timestamp_s
        self.sources = set((source,))
        self.written_by = written_by
        self.in_window = False
        self.induced = True


class _Side:
    """The reports of one signature that the kernel wrote (or an unknown one did), or those that programs wrote."""

    def __init__(self):
        self.newest = None  # event
        self.newest_s = None
        self.first_s = None
        self.count = 0
        self.in_window = False
        self.induced = True
        self.sources = []

    def count_one(self, event, seconds, induced):
        self.count += 1
        self.induced = self.induced and induced
        if seconds is not None:
            self.first_s = seconds if self.first_s is None else min(self.first_s, seconds)
        if self.newest is None or self.newest_s is None or (seconds is not None and seconds >= self.newest_s):
            self.newest, self.newest_s = event, seconds if seconds is not None else self.newest_s

    def note(self, source, in_window):
        if source not in self.sources:
            self.sources.append(source)
        self.in_window = self.in_window or in_window

    def recount(self, occurrences):
        """Take the times and marks from these occurrences, after others turned out to be a program's."""
        times = [occurrence.seconds for occurrence in occurrences if occurrence.seconds is not None]
        self.first_s, self.newest_s = (min(times), max(times)) if times else (None, None)
        self.in_window = any(occurrence.in_window for occurrence in occurrences)
        self.induced = all(occurrence.induced for occurrence in occurrences)
        self.sources = [source for source in self.sources if any(source in occurrence.sources for occurrence in occurrences)]


class _Group:
    def __init__(self, event):
        self.kind = event['kind']
        self.signature = event['signature']
        self.host = event['host']  # None: this one
        self.sides = {}         # whether a program wrote them: _Side
        self.moved = False      # some were counted as the kernel's before another source told that a program wrote them
        self.by_time = []       # (seconds, number) of the occurrences that have a time, sorted
        self.by_timestamp = {}  # printk microseconds: occurrence
        self.timeless = {}      # excerpt: occurrence
        self.occurrences = []
        self.told_by = set()    # the sources of all of them

    def side(self, program):
        return self.sides.setdefault(program, _Side())

    def move(self, occurrence, event):
        """Count an occurrence as a program's."""
        self.side(False).count -= 1
        self.side(True).count_one(event, occurrence.seconds, occurrence.induced)
        for source in occurrence.sources:
            self.side(True).note(source, occurrence.in_window)
        self.moved = True

    def written(self, program):
        return [occurrence for occurrence in self.occurrences if (occurrence.written_by == 'program') == program]

    def settled(self):
        """[(_Side, program)] of those that have counted something."""
        if self.moved and False in self.sides:
            self.sides[False].recount(self.written(False))
            self.moved = False
        return [(side, program) for program, side in sorted(self.sides.items()) if side.count > 0]

    def entry(self, side, program, rank):
        event, occurrences = side.newest, self.written(program)
        excerpt = _LONG_EXCERPT_CHARS if rank < _LONG_EXCERPTS else _SHORT_EXCERPT_CHARS
        by_kernel = any(occurrence.written_by == 'kernel' for occurrence in occurrences)
        return {
            'kind': self.kind, 'title': event['title'], 'culprit': event['culprit'], 'called_by': event['called_by'], 'host': self.host,
            'signature': ('host:%s:' % self.host if self.host else '') + ('program:' if program else '') + self.signature,
            'count': side.count,
            'first_seen': instant(side.first_s), 'last_seen': instant(side.newest_s), 'in_window': side.in_window,
            'written_by': 'program' if program else 'kernel' if by_kernel else 'unknown',
            'induced': side.induced, 'sources': side.sources[:MAX_SOURCES], 'boots': _boots(occurrences),
            'context': event['context'], 'details': event['details'],
            'trace': event['trace'] if rank < _LONG_TRACES else event['trace'][:_SHORT_TRACE], 'excerpt': event['excerpt'][:excerpt],
        }


def _boots(occurrences):
    """In how many boots it happened, or None where no report tells when its boot was."""
    began = sorted((occurrence.seconds - occurrence.timestamp_s, occurrence.timestamp_s) for occurrence in occurrences
                   if occurrence.seconds is not None and occurrence.timestamp_s is not None)
    boots, last = 0, None
    for start_s, uptime_s in began:
        if last is None or start_s - last > _BOOT_APART_S + _DRIFT * uptime_s:
            boots += 1
        last = start_s
    return boots or None


class Groups:
    """Collects reports. full: True when there were more than could be kept apart."""

    def __init__(self):
        self._groups = {}
        self._occurrences = 0
        self.kinds = {}
        self.full = False

    def add(self, event, source, seconds, in_window=False):
        """Count a report, unless another source has told it already.

        event: dict of scan_lines(), its host None where it is this one; source: name; seconds: since 1970 or None; in_window: it happened
        within the window. What a program wrote, and what happened on another host, is not among the kinds.
        """
        written_by = event['written_by']
        key = (event['host'], event['signature'])
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= MAX_SIGNATURES:
                self.full = True
                self._count(event, written_by, 1)
                return
            group = self._groups[key] = _Group(event)
        known = self._known(group, event, source, seconds)
        if known is None:
            known = self._remember(group, event, source, seconds)
            group.side(written_by == 'program').count_one(event, seconds, event['induced'])
            self._count(event, written_by, 1)
        elif known.written_by == 'unknown' != written_by:
            known.written_by = written_by
            if written_by == 'program':
                group.move(known, event)
                self._count(event, 'unknown', -1)
        if known is not None:
            known.sources.add(source)
            group.told_by.add(source)
            known.in_window = known.in_window or in_window
            written_by = known.written_by
        group.side(written_by == 'program').note(source, in_window)

    def entries(self, top):
        """The `top` newest groups as in the schema ksysak.os_exceptions/1, newest first, those without a time last.

        What a program wrote has entries of its own, beside those of the kernel with the same signature.
        """
        settled = [(side, program, group) for group in self._groups.values() for side, program in group.settled()]
        settled.sort(key=lambda found: (
            not found[0].in_window, found[0].newest_s is None, -(found[0].newest_s or 0), found[2].signature, found[1],
            found[2].host or ''))
        return [group.entry(side, program, rank) for rank, (side, program, group) in enumerate(settled[:top])]

    def __len__(self):
        return len(self._groups)

    def _count(self, event, written_by, number):
        kind = event['kind']
        if written_by != 'program' and event['host'] is None:
            self.kinds[kind] = self.kinds.get(kind, 0) + number
            if not self.kinds[kind]:
                del self.kinds[kind]

    @staticmethod
    def _known(group, event, source, seconds):
        """The occurrence that is this report as another source told it, or None."""
        if len(group.told_by) < 2 and source in group.told_by:
            return None
        timestamp_s = event['timestamp_s']
        if timestamp_s is not None:
            same = group.by_timestamp.get(int(round(timestamp_s * 1e6)))
            if same is not None and source not in same.sources and _may_be_one(same, event) and (
                    same.seconds is None or seconds is None or abs(same.seconds - seconds) < 86400):
                return same
        if seconds is None:
            same = group.timeless.get(event['excerpt']) if timestamp_s is None else None
            return same if same is not None and source not in same.sources and _may_be_one(same, event) else None
        near_s = _NEAR_S + _DRIFT * (timestamp_s or 0.0)
        middle = bisect.bisect_left(group.by_time, (seconds, -1))
        best = None
        for when, number in group.by_time[max(0, middle - _CANDIDATES):middle + _CANDIDATES]:
            other = group.occurrences[number]
            if source in other.sources or not _may_be_one(other, event) or (timestamp_s is not None and other.timestamp_s is not None):
                continue  # two printk times that differ are two events
            if abs(when - seconds) <= max(near_s, _NEAR_S + _DRIFT * (other.timestamp_s or 0.0)):
                if best is None or abs(when - seconds) < abs(best.seconds - seconds):
                    best = other
        return best

    def _remember(self, group, event, source, seconds):
        if self._occurrences >= MAX_OCCURRENCES:
            self.full = True
            return None
        self._occurrences += 1
        occurrence = _Occurrence(seconds, event['timestamp_s'], source, event['written_by'])
        occurrence.induced = event['induced']
        group.told_by.add(source)
        group.occurrences.append(occurrence)
        if event['timestamp_s'] is not None:
            group.by_timestamp[int(round(event['timestamp_s'] * 1e6))] = occurrence
        if seconds is not None:
            entry = (seconds, len(group.occurrences) - 1)
            if not group.by_time or group.by_time[-1] <= entry:
                group.by_time.append(entry)  # a log is in order, mostly
            else:
                bisect.insort(group.by_time, entry)
        elif event['timestamp_s'] is None:
            group.timeless[event['excerpt']] = occurrence
        return occurrence


def _may_be_one(occurrence, event):
    """False where one is known to be the kernel's and the other a program's."""
    return 'unknown' in (occurrence.written_by, event['written_by']) or occurrence.written_by == event['written_by']
