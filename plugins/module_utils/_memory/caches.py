# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel caches of files: pages, dentries and inodes. All of it is given back when memory is needed.

The kernel does not tell whose dentries and inodes are: who makes files while a census is taken is named, with the folder (fanotify(7)).
Names that are only looked up, as negative dentries, have no such event, and the host is named. The page cache is named by the file that
the process which reads or writes most has open; cachestat(2) (6.5) or mincore(2) tell how much of the file is cached.
"""

import collections
import ctypes
import mmap
import os
import stat

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_fields, read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

_SYS_CACHESTAT = 451
_PROCESSES, _FILES, _FILE_BYTES = 3, 64, 64 * 2 ** 30
_DENTRY_BYTES, _INODE_BYTES = 192, 640  # where their slab caches are not known

_PROT_READ, _MAP_SHARED = 1, 1
_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
_libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
_libc.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


def cached_bytes(path):
    """Return how much of a regular file on a block device is in the page cache, or None where that cannot be asked."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or os.major(found.st_dev) == 0 or not 0 < found.st_size <= _FILE_BYTES:
            return None
        fd = os.open(path, os.O_RDONLY | os.O_NOATIME | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked, told = (ctypes.c_uint64 * 2)(0, 0), (ctypes.c_uint64 * 5)()
        if _libc.syscall(_SYS_CACHESTAT, fd, asked, told, 0) == 0:
            return told[0] * mmap.PAGESIZE
        return resident_bytes(fd, found.st_size)
    finally:
        os.close(fd)


def resident_bytes(fd, size):
    """Return how much of an open file mincore(2) reports in the page cache, or None."""
    address = _libc.mmap(None, size, _PROT_READ, _MAP_SHARED, fd, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        return None
    try:
        vector = ctypes.create_string_buffer(-(-size // mmap.PAGESIZE))
        if _libc.mincore(address, size, vector):
            return None
        return sum(map((1).__and__, vector.raw[: -(-size // mmap.PAGESIZE)])) * mmap.PAGESIZE
    finally:
        _libc.munmap(address, size)


def parse_io(text):
    """Return the bytes that a process read from storage and wrote, of the text of /proc/PID/io."""
    fields = parse_fields(text)
    return fields.get('read_bytes', 0) + fields.get('write_bytes', 0)


class PageCacheSource(Source):
    """Files in the page cache of the processes that read and write most."""

    STEPS = {'page_cache': (None, 64 * 2 ** 20)}

    def __init__(self, host):
        super().__init__(host)
        self._before, self._known = {}, set()

    def read(self):
        """What is cached of files and block devices."""
        memory = meminfo.read(self.host.root)
        return {'page_cache': (None, memory.get('Cached', 0) + memory.get('Buffers', 0) - memory.get('Shmem', 0))}

    def census(self, classes):
        """The largest cached file of each of the processes with most input and output since the last census."""
        now, held = {}, {}
        for one in self.host.processes():
            now[one.key] = (parse_io(read_text(os.path.join(one.place, 'io'))), one)
        moved = dict((key, total - self._before.get(key, 0)) for key, (total, _one) in now.items())
        for key in sorted(moved, key=lambda key: (-moved[key], key))[:_PROCESSES]:
            one = now[key][1]
            path, size = self._largest(one) if moved[key] > 0 else (None, 0)
            if path is None:
                continue
            if self._before and (key, path) not in self._known:
                size = min(size, moved[key])  # what was cached before is not known: no more than it read and wrote is new
            self._known.add((key, path))
            held['page_cache', key] = Holding('page_cache', self.host.owner_of(one), None, size, {'file': path[:128], 'reclaimable': True})
        self._before = dict((key, total) for key, (total, _one) in now.items())
        return held

    @staticmethod
    def _largest(process):
        folder, best = os.path.join(process.place, 'fd'), (None, 0)
        try:
            names = os.listdir(folder)[-_FILES:]
        except OSError:
            return best
        for name in names:
            path = os.path.join(folder, name)
            try:
                link = os.readlink(path)
            except OSError:
                continue
            size = cached_bytes(path) if link.startswith('/') and not link.startswith('/dev/') else None
            if size and size > best[1]:
                best = (link, size)
        return best


class FileNamesSource(Source):
    """Dentries and inodes."""

    STEPS = {'dentry': (20000, None), 'inode': (20000, None)}
    _WATCH_S = 0.3

    def __init__(self, host):
        super().__init__(host)
        self._maker = self._first = None

    def _state(self, name):
        words = read_text(os.path.join(self.host.proc, 'sys/fs', name)).split()
        return [int(word) for word in words if word.lstrip('-').isdigit()]

    def read(self):
        """How many there are."""
        found = {}
        for kind, name in (('dentry', 'dentry-state'), ('inode', 'inode-state')):
            words = self._state(name)
            if words:
                found[kind] = (words[0], None)
        return found

    def census(self, classes):
        """The host's; or, named by whoever makes files during the first census, with the folder, what came since then."""
        held, counts, state = {}, self.read(), self._state('dentry-state')
        if self._first is None:
            self._first = dict((kind, count) for kind, (count, _bytes) in counts.items())
            self._maker = self.host.creators.maker_now(self._points(), self._WATCH_S)
        detail = {'reclaimable': True}
        if self._maker:
            detail['folder'] = self._maker[1][:128]
        elif len(state) > 4:
            detail['negative'] = state[4]
        who = self._maker[0] if self._maker else owner('host', 'all file systems')
        for kind, cache, guess in (('dentry', 'dentry', _DENTRY_BYTES), ('inode', 'inode_cache', _INODE_BYTES)):
            if kind in counts:
                count = counts[kind][0] - (self._first.get(kind, 0) if self._maker else 0)
                each = self.host.object_bytes(cache) or guess
                held[kind, 'host'] = Holding(kind, who, max(0, count), max(0, count) * each, dict(detail))
        return held

    def _points(self):
        """Mount points of local file systems, one of each."""
        found = collections.OrderedDict()
        for line in read_text(os.path.join(self.host.proc, 'self/mountinfo')).splitlines():
            words = line.split(' ')
            if len(words) > 4 and not words[2].startswith('0:'):
                found.setdefault(words[2], words[4])
        return list(found.values())[:8]
