# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: their descriptors by kind."""

import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core import sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

LARGEST = 16  # processes whose descriptors are listed although their number did not grow
LARGE_FILES = 10000
LINKS = 4000  # descriptors whose links are read in one census

# What the kernel calls the inode behind a descriptor (fs/anon_inodes.c and its callers): name in the link → kind.
ANON_INODES = {
    'eventfd': 'eventfd',
    'eventpoll': 'epoll',
    'inotify': 'inotify',
    'timerfd': 'timerfd',
    'signalfd': 'signalfd',
    'fanotify': 'fanotify',
    'pidfd': 'pidfd',
    'io_uring': 'io_uring',
    'perf_event': 'perf_event',
    'bpf-map': 'bpf_map',
    'bpf-prog': 'bpf_program',
}
_ANON = re.compile(r'anon_inode:\[?([^\]:]+)')
_SPECIAL = {'socket': 'socket', 'pipe': 'pipe', 'net': 'network_namespace', 'pidfd': 'pidfd'}
_NAMESPACES = ('mnt', 'uts', 'ipc', 'pid', 'user', 'cgroup', 'time')


def kind_of(link):
    """Return the kind of a descriptor, of the text of its link in /proc/PID/fd."""
    anonymous = _ANON.match(link)
    if anonymous:
        return ANON_INODES.get(anonymous.group(1), 'anon_inode')
    if link.startswith('/'):
        if link.startswith(('/dev/pts/', '/dev/ptmx')):
            return 'pty'
        if link.startswith('/memfd:'):
            return 'memfd'
        return 'device' if link.startswith('/dev/') else 'file'
    name, colon, _inode = link.partition(':[')
    if not colon:
        return 'file'
    return _SPECIAL.get(name, 'namespace' if name in _NAMESPACES else 'anon_inode')


class Descriptors(Source):
    """Open descriptors of processes by kind. The total is that of the whole host; kinds are read where the number grew or is large."""

    LARGE = {'files': (LARGE_FILES, None)}

    def __init__(self, host):
        super().__init__(host)
        self._kinds = {}  # {(pid, started): {descriptor: kind}}
        self._numbers = {}  # {(pid, started): number at the last census}

    def read(self):
        words = (sysfs.text(os.path.join(self.host.proc, 'sys/fs/file-nr')) or '').split()
        return {'files': (int(words[0]) if words else None, None)}

    def census(self, classes):
        numbers, known = {}, dict(((one.pid, one.started), one) for one in self.host.processes())
        for key, process in known.items():
            numbers[key] = process.descriptors()
        grown = [key for key, number in numbers.items() if number > self._numbers.get(key, 0)] if self._numbers else []
        largest = sorted(numbers, key=numbers.get, reverse=True)[:LARGEST]
        found, left = {}, LINKS
        for key in sorted(set(grown + largest), key=lambda one: -numbers[one]):
            process = known[key]
            of_kind, left = self._classify(process, left)
            for kind, count in of_kind.items():
                found[kind, key] = Holding(kind, self.host.owner_of(process), count)
        self._numbers = numbers
        return found

    def _classify(self, process, left):
        """Count the descriptors of a process by kind; returns ({kind: count}, links that may still be read).

        Of descriptors that are too many, some are read and the rest is taken to be like these.
        """
        key, folder = (process.pid, process.started), os.path.join(process.place, 'fd')
        before = self._kinds.get(key, {})
        try:
            names = os.listdir(folder)
        except OSError:
            return {}, left
        known = dict((name, before[name]) for name in names if name in before)
        fresh = [name for name in names if name not in known]
        step = max(1, -(-len(fresh) // max(1, left // 2)))
        for name in fresh[::step]:
            try:
                known[name] = kind_of(os.readlink(os.path.join(folder, name)))
            except OSError:
                continue
        self._kinds[key] = known
        return _scaled(known, fresh, before), left - len(fresh[::step])


def _scaled(known, fresh, before):
    counts, sample = {}, {}
    for name, kind in known.items():
        counts[kind] = counts.get(kind, 0) + 1
        if name not in before:
            sample[kind] = sample.get(kind, 0) + 1
    read = sum(sample.values())
    for kind, number in sample.items():
        counts[kind] += round(number * (len(fresh) - read) / float(read))
    return counts
