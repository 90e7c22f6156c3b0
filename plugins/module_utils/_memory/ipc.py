# SPDX-License-Identifier: GPL-3.0-or-later
"""What outlives the programs that make it: System V segments, queues and semaphores, POSIX message queues, keys.

The owner is the process that made or used it last, where that still runs, else the user. The kernel keeps no process for keys.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs, sysfs, text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import semaphores
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

SEMAPHORES_ASKED = 256
PATH = '/dev/mqueue'

# Files of /proc/sysvipc: (kind, name, column of bytes, columns of pids that may be the owner's, the first that runs is).
TABLES = (
    ('sysv_shm', 'shm', 'rss', ('cpid', 'lpid')),
    ('sysv_queue', 'msg', 'cbytes', ('lspid', 'lrpid')),
    ('sysv_semaphore', 'sem', None, ()),
)
_SEMAPHORE_BYTES, _SET_BYTES = 64, 256  # struct sem, one each on its own cache line; struct sem_array before them (ipc/sem.c)


def table(lines):
    """Return the rows of a file of /proc/sysvipc as {column: number}."""
    names = (lines[:1] or [''])[0].split()
    rows = []
    for line in lines[1:]:
        words = line.split()
        if len(words) == len(names):
            rows.append(dict((name, int(word)) for name, word in zip(names, words) if word.lstrip('-').isdigit()))
    return rows


def user(uid):
    """The owner of what belongs to a user and no process."""
    return owner('uid', 'uid %d' % uid, uid=uid)


class SystemV(Source):
    """Segments, message queues and semaphore sets of this IPC namespace."""

    STEPS = {'sysv_shm': (16, 256 * 1024), 'sysv_queue': (16, 64 * 1024), 'sysv_semaphore': (16, None)}
    LARGE = {'sysv_shm': (1000, 256 * 1024 * 1024), 'sysv_queue': (1000, 16 * 1024 * 1024), 'sysv_semaphore': (1000, None)}

    def read(self):
        self._lines, found = {}, {}
        for kind, name, taken, _pids in TABLES:
            lines = procfs.read_text('%s/sysvipc/%s' % (self.host.proc, name)).splitlines()
            place = (lines[:1] or [''])[0].split().index(taken) if taken and lines and taken in lines[0].split() else None
            self._lines[kind] = lines
            found[kind] = (max(0, len(lines) - 1), None if place is None else sum(int(line.split()[place]) for line in lines[1:]))
        return found

    def census(self, classes):
        by_pid = dict((one.pid, one) for one in self.host.processes())
        found = {}
        for kind, _name, taken, pids in TABLES:
            if kind not in classes:
                continue
            for number, row in enumerate(table(self._lines[kind])):
                candidates = [row.get(column) for column in pids]
                if kind == 'sysv_semaphore' and number < SEMAPHORES_ASKED:
                    candidates = [semaphores.last_pid(row.get('semid', -1))]
                process = next((by_pid[pid] for pid in candidates if pid in by_pid), None)
                uid = row.get('cuid', row.get('uid', 0))
                key = ('uid', uid) if process is None else self.host.key_of(process)
                one = found.setdefault((kind, key), Holding(kind, user(uid) if process is None else self.host.later(process), 0, 0, {}))
                one.count += 1
                one.bytes += row.get(taken, 0) if taken else _SET_BYTES + row.get('nsems', 0) * _SEMAPHORE_BYTES
                if kind == 'sysv_queue':
                    one.detail['messages'] = one.detail.get('messages', 0) + row.get('qnum', 0)
        return found


class PosixQueues(Source):
    """POSIX message queues, where their file system is mounted."""

    LARGE = {'posix_queues': (1000, 16 * 1024 * 1024)}

    def read(self):
        self._queues = []
        folder = self.host.root.rstrip('/') + PATH
        for name in sysfs.entries(folder):
            try:
                uid = os.stat(os.path.join(folder, name)).st_uid
            except OSError:
                continue
            size = (sysfs.text(os.path.join(folder, name)) or '').partition('QSIZE:')[2].split()
            self._queues.append((name, uid, int(size[0]) if size and size[0].isdigit() else 0))
        return {'posix_queues': (len(self._queues), sum(size for _name, _uid, size in self._queues))}

    def census(self, classes):
        found = {}
        for name, uid, size in self._queues:
            detail = {'queue': text.printable(name, 64)}
            one = found.setdefault(('posix_queue', ('uid', uid)), Holding('posix_queue', user(uid), 0, 0, detail))
            one.count += 1
            one.bytes += size + (self.host.object_bytes('mqueue_inode_cache') or 0)
        return found


class Keys(Source):
    """Keys by user."""

    STEPS = {'keys': (16, 16 * 1024)}
    LARGE = {'keys': (1000, None)}

    def read(self):
        self._users = []
        for line in procfs.read_text(self.host.proc + '/key-users').splitlines():
            words = line.replace(':', ' ').split()
            if len(words) >= 5:
                number, (quota, most), taken = words[2].split('/')[0], words[3].split('/'), words[4].split('/')[0]
                self._users.append((int(words[0]), int(number), int(quota), int(most), int(taken)))
        return {'keys': (sum(row[1] for row in self._users), sum(row[4] for row in self._users))}

    def census(self, classes):
        each = self.host.object_bytes('key_jar') or 0
        return dict((('key', ('uid', uid)), Holding('key', user(uid), number, taken + number * each, {}, most))
                    for uid, number, _quota, most, taken in self._users if number >= 16)
