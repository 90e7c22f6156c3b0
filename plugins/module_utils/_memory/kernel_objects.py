# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of the kernel that a process holds without a descriptor of each: timers, signals, locks, AIO contexts, inotify watches.

The totals are those of slab caches, or of the kernel's own counters. Files of proc that list objects one by one are read to a bound: the
kernel walks its list anew for each page of the text, with a lock held.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

READ_BYTES = 256 * 1024
LEAST = 64  # objects of an owner that are listed
MAPPINGS_BYTES, MANY_MAPPINGS = 4 * 1024 * 1024, 1000  # of maps that are read in one census, 100 bytes a mapping; that are listed
MAPS_BYTES = 1024 * 1024  # of maps of processes that are read, of the busiest first


def head(path, limit=READ_BYTES):
    """Return (the start of a file as bytes, whether it is all of it); (b'', True) where it cannot be read."""
    parts, size = [], 0
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b'', True
    try:
        while size < limit:
            part = os.read(fd, 65536)
            if not part:
                return b''.join(parts), True
            parts.append(part)
            size += len(part)
    except OSError:
        return b''.join(parts), True
    finally:
        os.close(fd)
    return b''.join(parts), False


class TimersAndSignals(Source):
    """POSIX timers and queued signals. A user's timers and signals together are SigQ in status of each of the user's processes.

    Timers are counted in /proc/PID/timers. Where that is longer than READ_BYTES, the process has what SigQ leaves over.
    """

    LARGE = {'timers': (1000, None)}
    FRESH = ('timers',)

    def read(self):
        return {'timers': (self.host.objects('posix_timers_cache', 'sigqueue'), None)}

    def census(self, classes):
        queued, members = {}, {}
        for process in self.host.processes():
            if process.uid is not None:
                queued[process.uid] = max(queued.get(process.uid, 0), int(process.fields.get('SigQ', 0)))
                members.setdefault(process.uid, []).append(process)
        found = {}
        for uid, number in queued.items():
            if number >= LEAST:
                self._census_of_user(found, members[uid], number)
        return found

    def _census_of_user(self, found, processes, queued):
        timers, many = [], []
        for process in processes:
            text, whole = head(process.place + '/timers')
            number = text.count(b'\nID: ') + text.startswith(b'ID: ')
            if number:
                (timers if whole else many).append((process, number))
        left = queued - sum(number for _process, number in timers)
        if many:
            known = sum(number for _process, number in many)
            timers += [(process, max(number, left * number // known)) for process, number in many]
            left = 0
        for key, (process, number) in self.host.sum_by_owner(timers).items():
            if number >= LEAST:
                found['posix_timer', key] = Holding('posix_timer', self.host.later(process), number)
        # Of a signal below 32 one is queued at most.
        pending = [one for one in processes if any(int(one.fields.get(name, '0'), 16) >> 31 for name in ('SigPnd', 'ShdPnd'))]
        if left >= LEAST and pending:
            # How many of a user's signals are queued for which process, the kernel does not report.
            key = self.host.key_of(pending[0])
            found['pending_signal', key] = Holding(
                'pending_signal', self.host.later(pending[0]), left, detail={'processes': len(pending)} if len(pending) > 1 else None)


class FileLocks(Source):
    """Locks of files. The newest of each CPU come first in /proc/locks."""

    LARGE = {'file_locks': (5000, None)}

    def read(self):
        return {'file_locks': (self.host.objects('file_lock_cache'), None)}

    def census(self, classes):
        text, whole = head(self.host.proc + '/locks')
        by_pid, lines = {}, 0
        for line in text.decode('ascii', 'replace').splitlines():
            words = line.replace('->', '').split()
            if len(words) >= 6 and words[4].lstrip('-').isdigit():
                by_pid[int(words[4])] = by_pid.get(int(words[4]), 0) + 1
                lines += 1
        total = lines if whole else max(lines, self.host.objects('file_lock_cache') or 0)
        held = [(one, by_pid[one.pid] * total // lines) for one in self.host.processes() if one.pid in by_pid]
        return dict((('file_lock', key), Holding('file_lock', self.host.later(process), number))
                    for key, (process, number) in self.host.sum_by_owner(held).items() if number >= LEAST)


class AioContexts(Source):
    """Contexts of io_setup(2): each is a mapping of its process."""

    LARGE = {'aio_contexts': (1000, None)}

    def read(self):
        return {'aio_contexts': (self.host.objects('kioctx'), None), 'aio_events': (sysfs.integer(self.host.proc + '/sys/fs/aio-nr'), None)}

    def census(self, classes):
        if not sysfs.integer(self.host.proc + '/sys/fs/aio-nr'):
            return {}
        held = []
        left = MAPS_BYTES
        for process in self.host.busiest():
            text, _whole = head(process.place + '/maps', max(1, min(left, MAPS_BYTES // 2)))
            left -= len(text)
            number = text.count(b'/[aio]')
            if number:
                held.append((process, number))
            if left <= 0:
                break
        return dict((('aio_context', key), Holding('aio_context', self.host.later(process), number))
                    for key, (process, number) in self.host.sum_by_owner(held).items())


class InotifyWatches(Source):
    """Watches of inotify instances: one line each in fdinfo. The kernel writes the whole text at once, so a long one is read only twice."""

    STEPS = {'inotify_watches': (200, None)}
    LARGE = {'inotify_watches': (20000, None)}

    def __init__(self, host):
        super().__init__(host)
        self._series = {}  # {(key of a process, descriptor): [watches of each census]}

    def read(self):
        return {'inotify_watches': (self.host.objects('inotify_inode_mark'), None)}

    def census(self, classes):
        held = [(process, self._watches(process, number)) for process in self.host.busiest()
                for number in self.host.inotify.of(process)]
        return dict((('inotify_watch', key), Holding('inotify_watch', self.host.later(process), number))
                    for key, (process, number) in self.host.sum_by_owner(held).items() if number >= LEAST)

    def _watches(self, process, number):
        series = self._series.setdefault((process.key, number), [])
        if len(series) == 1 and series[0] > 10000:
            series.append(series[0])
        else:
            text, _whole = head('%s/fdinfo/%d' % (process.place, number), 64 * READ_BYTES)
            series.append(text.count(b'inotify wd:'))
        return series[-1]


class Mappings(Source):
    """Mappings of processes, a line each of their maps: of those that were busiest, and of the same ones in later censuses."""

    STEPS = {'mappings': (1000, None)}

    def __init__(self, host):
        super().__init__(host)
        self._seen = set()  # keys of processes that had many

    def read(self):
        return {'mappings': (self.host.objects('vm_area_struct'), None)}

    def census(self, classes):
        most, left, held = sysfs.integer(self.host.proc + '/sys/vm/max_map_count'), MAPPINGS_BYTES, []
        for process in sorted(self.host.busiest(), key=lambda one: one.key not in self._seen):
            text, _whole = head(process.place + '/maps', left)
            left -= len(text)
            number = text.count(b'\n')
            if number >= MANY_MAPPINGS:
                held.append((process, number))
                self._seen.add(process.key)
            if left <= 0:
                break
        self.host.mappings = dict((process.key, (process, number)) for process, number in held)
        return dict((('mapping', key), Holding('mapping', self.host.later(process), number, limit=most))
                    for key, (process, number) in self.host.sum_by_owner(held).items())
