# SPDX-License-Identifier: GPL-3.0-or-later
"""Descriptors of processes, by kind.

To list /proc/PID/fd costs 4 µs a descriptor, and an inode and a dentry of the kernel each; so does the link of one. The number alone is
cheap since Linux 6.2. So descriptors are counted for all processes, and links are read of a sample where many were added or are held:
numbers are given out from the lowest free one on, so the last ones are the newest.
"""

import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs, sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import kinds
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

TRACKED = 24  # owners whose descriptors are read by kind, of those that grew and of the largest
LEAST, LEAST_GROWTH = 64, 8  # descriptors of an owner that are worth it
SAMPLE = 96  # links that are read of one process
PROCESSES = 24  # of one family of which links are read
EXAMPLES = 8  # descriptors of one kind whose size is read
SMALL_TABLE, LISTED_TABLE = 64, 512
PROTOCOLS = ('TCP', 'TCPv6', 'UDP', 'UDPv6', 'UNIX')
_TERMINAL_BYTES = 13 * 1024  # of one end: struct tty_struct, and its line discipline in vmalloc (drivers/tty/n_tty.c)
PAGE = os.sysconf('SC_PAGE_SIZE')

# What the kernel calls the inode behind a descriptor (fs/anon_inodes.c and its callers): name in the link → kind.
ANON_INODES = {
    'eventfd': 'eventfd', 'eventpoll': 'epoll', 'inotify': 'inotify', 'timerfd': 'timerfd', 'signalfd': 'signalfd',
    'fanotify': 'fanotify', 'pidfd': 'pidfd', 'io_uring': 'io_uring', 'perf_event': 'perf_event', 'bpf-map': 'bpf_map',
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


def count(process):
    """Return the number of descriptors of a process, 0 where it has ended; raises PermissionError.

    Before Linux 6.2 the size of the folder is 0. A small table counts as nothing there, and of a large one, which is full but for its
    end, the end is looked for.
    """
    if process.descriptors is None:
        process.descriptors = _count(process)
    return process.descriptors


def _size(folder):
    try:
        return os.stat(folder).st_size
    except OSError:
        return 0


def _count(process):
    folder = process.place + '/fd'
    try:
        size = os.stat(folder).st_size
        table = int(process.fields.get('FDSize', 0))
        if size or table <= SMALL_TABLE:
            return size
        return len(os.listdir(folder)) if table <= LISTED_TABLE else _end(folder, table)
    except PermissionError:
        raise
    except OSError:
        return 0


def _end(folder, table):
    low, high = 0, table
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if link(folder, middle) else (low, middle)
    return high


def link(folder, number):
    """Return the text of the link of a descriptor, None where there is none."""
    try:
        return os.readlink('%s/%d' % (folder, number))
    except OSError:
        return None


def sample(process, number, first, most):
    """Return links {descriptor: text} of at most so many of a process's descriptors, those from the number `first` on."""
    step = max(1, (number - first) // most)
    numbers = range(first, number, step)
    found = dict((one, link(process.place + '/fd', one)) for one in numbers)
    found = dict((one, text) for one, text in found.items() if text)
    if len(found) * 4 < len(numbers) and number <= LISTED_TABLE:  # numbers with holes
        try:
            names = os.listdir(process.place + '/fd')
        except OSError:
            return {}
        return dict((int(one), link(process.place + '/fd', int(one)) or '') for one in names[:most] if one.isdigit())
    return found


class Descriptors(Source):
    """Open descriptors of processes by kind. Kinds are read where the number of an owner grew or is among the largest.

    The census is always taken: while one program opens files, others may close as many.
    """

    LARGE = {'files': (0, None)}

    def __init__(self, host):
        super().__init__(host)
        self._base = None  # {pid: descriptors} when the window opened
        self._counted = {}  # {key of a process: descriptors} of its first census
        self._tracked = {}  # {key of an owner: {kind: descriptors} of its last census}
        self._examples = {}  # {(key of an owner, kind): [(process, descriptor)] that were seen last}
        self._sockets = {}  # {key of an owner: [what it held of sockets in each census]}
        self._protocols = None  # {slab cache of a protocol's sockets: objects} when the window opened
        self._denied = 0

    def read(self):
        if self._base is None:
            self._base = dict((pid, _size('%s/%d/fd' % (self.host.proc, pid))) for pid in procfs.numbers(self.host.proc))
            self._protocols = dict((name, self.host.objects(name) or 0) for name in PROTOCOLS)
        words = (sysfs.text(self.host.proc + '/sys/fs/file-nr') or '').split()
        return {'files': (int(words[0]) if words else None, None)}

    def _numbers(self):
        """Return {key of an owner: ([its processes], their descriptors, how many these were when the window opened)}.

        Where the kernel does not report that cheaply (before Linux 6.2), the first census stands for it.
        """
        found, denied = {}, 0
        for process in self.host.processes():
            try:
                number = count(process)
            except PermissionError:
                denied += 1
                continue
            before = self._base.get(process.pid) or self._counted.setdefault(process.key, number)
            key = self.host.key_of(process)
            members, numbers, base = found.get(key, ([], 0, 0))
            found[key] = (members + [process] if len(members) < PROCESSES else members, numbers + number, base + before)
        if denied and not self._denied:
            self._denied = denied
            self.not_measured.append('descriptors of %d processes of other users (run it as root)' % denied)
        return found

    def census(self, classes):
        numbers = self._numbers()
        growth = dict((key, number - base) for key, (_members, number, base) in numbers.items())
        grown = sorted((key for key in growth if growth[key] >= LEAST_GROWTH), key=lambda key: -growth[key])[:TRACKED]
        largest = sorted((key for key in numbers if numbers[key][1] >= LEAST), key=lambda key: -numbers[key][1])[:TRACKED]
        found = {}
        for key in set(grown) | set(largest) | set(key for key in self._tracked if key in numbers):
            members, number, _base = numbers[key]
            self._tracked[key] = self._by_kind(key, members, number, self._tracked.get(key, {}))
            for kind, held in self._tracked[key].items():
                found[kind, key] = Holding(kind, self.host.later(members[0]), held, *self._bytes(key, kind, held))
            if ('socket', key) in found:
                self._name_protocol(key, found['socket', key])
        return found

    def _name_protocol(self, key, holding):
        """Sockets that come with objects of a protocol are of that one. What was held in earlier censuses takes as much for each."""
        series = self._sockets.setdefault(key, [])
        series.append(holding)
        if holding.count - series[0].count < LEAST_GROWTH:
            return
        grown = dict((name, (self.host.objects(name) or 0) - before) for name, before in self._protocols.items())
        name = max(sorted(grown), key=grown.get)
        each = self.host.bytes_of(kinds.BY_NAME['socket'].objects + (name,))
        if grown[name] >= LEAST_GROWTH and each:
            for one in series:
                one.bytes, one.detail = each * one.count, {'protocol': name}

    def _bytes(self, key, kind, held):
        """Return (bytes,) of descriptors whose cost depends on what they are; (None,) where the kind's slab objects are all."""
        measure = {'memfd': _file_bytes, 'io_uring': _ring_bytes, 'pty': lambda process, number: _TERMINAL_BYTES}.get(kind)
        sizes = [measure(process, number) for process, number in self._examples.get((key, kind), ())] if measure else []
        sizes = [size for size in sizes if size is not None]
        own = self.host.bytes_of(kinds.BY_NAME[kind].objects) or 0
        return (held * (own + sum(sizes) // len(sizes)),) if sizes else (None,)

    def _by_kind(self, key, members, number, before):
        """Return {kind: descriptors} of some processes with so many together.

        before: the same at the last census: only what was added since is read, if anything was.
        """
        known = sum(before.values())
        if not before or number < known:
            before, known = {}, 0
        added = number - known
        if not added:
            return before
        seen = {}
        for process in members:
            own = count(process)
            first = own - min(own, added) if len(members) == 1 else 0
            for place, text in sample(process, own, first, max(4, SAMPLE // len(members))).items():
                kind = kind_of(text)
                seen[kind] = seen.get(kind, 0) + 1
                self._examples[key, kind] = (self._examples.get((key, kind), []) + [(process, place)])[-EXAMPLES:]
        return _add(before, seen, added)


def _file_bytes(process, number):
    """Return the memory of the file of a descriptor, None where it is gone."""
    try:
        return os.stat('%s/fd/%d' % (process.place, number)).st_blocks * 512
    except OSError:
        return None


def _ring_bytes(process, number):
    """Return the memory of the rings of an io_uring: entries of 64 and 4 bytes for submission, of 16 for completion."""
    masks = dict(re.findall(r'^(SqMask|CqMask):\s*(0x[0-9a-f]+)', procfs.read_text('%s/fdinfo/%d' % (process.place, number)), re.MULTILINE))
    if len(masks) < 2:
        return None
    submission, completion = int(masks['SqMask'], 16) + 1, int(masks['CqMask'], 16) + 1
    return sum(-(-size // PAGE) * PAGE for size in (submission * 64, submission * 4 + completion * 16))


def _add(before, seen, added):
    """{kind: number} of before, with so many added that are as those that were seen."""
    total = sum(seen.values())
    found, left = dict(before), added
    for kind, share in sorted(seen.items(), key=lambda item: item[1]):
        number = left if share == total else int(round(left * share / float(total)))
        total, left = total - share, left - number
        found[kind] = found.get(kind, 0) + number
    return found
