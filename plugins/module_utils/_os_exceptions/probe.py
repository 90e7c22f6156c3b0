# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel exceptions (oopses, warnings, lock-ups, I/O errors, ...) in all logs that a host still has."""

import calendar
import os
import re
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe, Unavailable, check_bounds
from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import Scanner
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions import groups, sources
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.grep_prefilter import Sifted
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.kmsg import Kmsg

FINISH_S = 10.0  # what reading may take after the window
MAX_PATHS = 32

_BATCH = 512
_NO_TIME = 'there was no time to read all of it, take a longer window'
_END = object()
_LOWEST = 19
_NAME_CHARS = 256
_REASON_CHARS = 512
_NO_NAMES = ('-', '(none)', 'localhost', 'localhost.localdomain', '127.0.0.1', '::1')  # before a host has a name, and of its own interface
_SINCE = re.compile(r'(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d))?(Z?))?$')


class LogsEngine(Engine):
    """Ring buffer, journal and log files.

    History is read during the window, half of the time at most and at the lowest priority, so that it does not
    disturb what is measured beside it; the ring buffer when the window is over, so that what was logged within
    the window is seen.
    """

    NAME = 'logs'

    def __init__(self, options):
        super().__init__(options)
        self._max_age_s = options['max_age_days'] * 86400.0 if options['since'] is None else time.time() - since_s(options['since'])
        self._wanted = options['sources']
        self._own_name = own_name()
        self._groups = groups.Groups()
        self._opened = []   # every source, in the order of the result
        self._history = []  # sources still to be read
        self._reader = None
        self._kmsg = None
        self._window = (0.0, 0.0)
        self._priority = 0

    def open(self):
        self._kmsg = Kmsg()
        history = [sources.LogFile(path, asked_for=True) for path in self.options['paths']]
        if 'journal' in self._wanted:
            history.append(sources.Journal(self._max_age_s))
        if 'pstore' in self._wanted:
            history.append(sources.Pstore())
        if 'crash' in self._wanted:
            history += sources.crash_files(self._max_age_s)
        if 'files' in self._wanted:
            history += sources.log_files(self._max_age_s, self.options['paths'])
        if 'kmsg' in self._wanted:
            self._opened = [self._kmsg] + history
        else:
            self._kmsg.unread('it was not asked for', damaged=False)
            self._opened = history
        readable = [source for source in self._opened if source.open()]
        if not readable:
            raise Unavailable('no kernel log can be read: ' + '; '.join(
                '%s: %s' % (printable(source.name, _NAME_CHARS), source.reason) for source in self._opened[:4]),
                'Run this as root (become: true); in a container run it on the host instead.')
        self._history = [source for source in history if source in readable]

    def start(self, duration_s):
        self._priority = os.getpriority(os.PRIO_PROCESS, 0)
        _set_priority(_LOWEST)
        self._kmsg.mark_start()
        self._window = (time.time(), None)

    def poll(self, timeout_s):
        """Read history for half of the time, then sleep the rest."""
        began_s = time.monotonic()
        # where the ring buffer cannot be read, only the history can tell what happens within the window
        if self._kmsg.status != 'unread' or 'kmsg' not in self._wanted:
            self._work(began_s + timeout_s / 2)
        time.sleep(max(0.0, timeout_s - (time.monotonic() - began_s)))

    def stop(self):
        self._kmsg.mark_stop()
        self._window = (self._window[0], time.time())

    def read(self, window_s):
        deadline_s = time.monotonic() + FINISH_S
        _set_priority(self._priority)  # the ring buffer is short, and matters most on a host that is busy
        if self._kmsg.status != 'unread':
            for _unused in self._scan(self._kmsg):
                if time.monotonic() >= deadline_s:
                    self._kmsg.partial(_NO_TIME, damaged=True)
                    break
        _set_priority(_LOWEST)
        self._work(deadline_s)
        for source in self._history:
            if source.lines:
                source.partial(_NO_TIME, damaged=True)
            else:
                source.unread(_NO_TIME)
        for source in self._opened:
            if source.damaged:
                self.degradations.append('%s is %s: %s' % (printable(source.name, _NAME_CHARS), source.status, source.reason))
        if self._groups.full:
            self.degradations.append('there are too many reports to tell them all apart, some may be counted twice')
        return {'events': self._groups.entries(self.options['top']), 'kinds': self._groups.kinds,
                'sources': [_described(source) for source in self._opened if not source.missing]}

    def close(self):
        for source in self._opened:
            source.close()

    def _work(self, deadline_s):
        """Read history until the deadline, or until there is none left or nothing to read yet."""
        while self._history and time.monotonic() < deadline_s:
            if self._reader is None:
                self._reader = self._scan(self._history[0])
            waits = next(self._reader, _END)
            if waits is _END:
                self._history.pop(0).close()
                self._reader = None
            elif waits:
                time.sleep(max(0.0, min(0.02, deadline_s - time.monotonic())))

    def _scan(self, source):
        """Read one source; yields after every few lines whether there is nothing to read yet."""
        scanner = Scanner()
        headers = {}  # line number: whether that line was logged within the window; only of the ring buffer
        count = 0
        for line in source.read():
            if line is None:
                yield True
                continue
            count += 1
            if source.live and source.in_window():
                headers[count] = True
            for event in scanner.feed(*line) if isinstance(line, Sifted) else scanner.feed(line):
                self._add(event, source, headers)
            if count % _BATCH == 0:
                yield False
        for event in scanner.finish():
            self._add(event, source, headers)
        if scanner.unknown_lines:
            source.partial('%d lines look like kernel reports behind an unknown prefix, for example: %s' % (
                scanner.unknown_lines, scanner.unknown_example), damaged=True)

    def _add(self, event, source, headers):
        if event['host'] is not None and is_own(event['host'], self._own_name):
            event['host'] = None
        elif event['host'] is not None and self.options['other_hosts'] == 'ignore':
            return
        seconds = when(event, source)
        if seconds is not None and seconds < time.time() - self._max_age_s:
            return
        if source.live:
            inside = event['line'] in headers
        else:
            inside = seconds is not None and self._window[0] <= seconds <= (self._window[1] or time.time())
        self._groups.add(event, printable(source.name, _NAME_CHARS), seconds, inside)


SOURCES = ['kmsg', 'journal', 'files', 'pstore', 'crash']


class OsExceptionsProbe(Probe):
    """Kernel exceptions in the ring buffer, the journal and log files."""

    NAME = 'os_exceptions'
    ENGINES = (LogsEngine,)
    BUDGET_BYTES = 8 * 1024
    OPTIONS = {
        'sources': {'type': 'list', 'elements': 'str', 'choices': SOURCES, 'default': SOURCES},
        'paths': {'type': 'list', 'elements': 'path', 'default': []},
        'since': {'type': 'str'},
        'max_age_days': {'type': 'int', 'default': 30},
        'top': {'type': 'int', 'default': 50},
        'other_hosts': {'type': 'str', 'choices': ['report', 'ignore'], 'default': 'report'},
    }
    BOUNDS = {'max_age_days': (1, 3650), 'top': (1, 500)}

    def __init__(self, options):
        super().__init__(options)
        check_bounds(options, self.BOUNDS)
        if not options['sources'] and not options['paths']:
            raise ValueError('sources and paths are empty, so there is nothing to read')
        if options['since'] is not None:
            since_s(options['since'])
        if len(options['paths']) > MAX_PATHS:
            raise ValueError('paths has %d entries, at most %d are read' % (len(options['paths']), MAX_PATHS))
        for path in options['paths']:
            if not os.path.isabs(path) or '\0' in path:
                raise ValueError('paths must hold absolute paths of files, got %s' % printable(path, _NAME_CHARS))


def _set_priority(nice):
    """Change this process's CPU priority, where the host lets it."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except OSError:
        pass  # only root may go back up


def own_name():
    """This host's name as its syslog writes it."""
    return os.uname()[1]


def is_own(name, own):
    """Whether a host's name in a log line is this host's: the same up to the first dot, or one that every host has."""
    return name.lower() in _NO_NAMES or name.split('.')[0].lower() == own.split('.')[0].lower()


def when(event, source):
    """Seconds since 1970 at which a report was logged, or None."""
    if event['wall']:
        return groups.seconds_of(event['wall'])
    if source.live:
        if event['timestamp_s'] is None:
            return None
        return event['timestamp_s'] + time.time() - time.monotonic()
    modified_s = getattr(source, 'modified_s', None)
    if event['local_date'] and modified_s is not None:
        return groups.seconds_of_local(event['local_date'], modified_s)
    ended_s = getattr(source, 'ended_s', None)
    if ended_s is not None and event['timestamp_s'] is not None:
        return modified_s - max(0.0, ended_s - event['timestamp_s'])  # it was written when its last line was
    return None


def since_s(text):
    """Seconds since 1970 of an option 'since'. Raises ValueError naming the option."""
    found = _SINCE.match(text)
    if found:
        year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
        parts = (year, month, day, hour, minute, second, 0, 0, -1)
        try:
            time.strptime('%d-%d-%d %d:%d:%d' % parts[:6], '%Y-%m-%d %H:%M:%S')
            return float(calendar.timegm(parts)) if found.group(7) else time.mktime(parts)
        except (ValueError, OverflowError):
            pass
    raise ValueError("since must be a date as '2026-11-20', '2026-11-20 03:00' or '2026-11-20T03:00:00Z', got %s" % (
        printable(text, _NAME_CHARS)))


def _described(source):
    return {'name': printable(source.name, _NAME_CHARS), 'status': source.status,
            'reason': printable(source.reason, _REASON_CHARS), 'lines': source.lines, 'bytes': source.bytes}
