# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes: their threads, children that nobody waits for, and their own memory."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo, sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

MIB = 1024 * 1024

# Kinds of memory: (kind, field of status, least bytes that are listed, whether processes of a family have the same memory).
MEMORY = (
    ('anonymous_memory', 'RssAnon', 16 * MIB, False),
    ('shared_memory', 'RssShmem', 16 * MIB, True),
    ('locked_memory', 'VmLck', MIB, False),
    ('huge_page', 'HugetlbPages', MIB, True),
    ('page_table', 'VmPTE', MIB, False),
)
THREADS, ZOMBIES, CHILDREN = 32, 8, 32  # least numbers that are listed


class Processes(Source):
    """The census is always taken: most memory of most hosts is that of processes."""

    STEPS = {'memory': (None, 16 * MIB), 'threads': (32, None)}
    LARGE = {'memory': (None, 0)}

    def __init__(self, host):
        super().__init__(host)
        self._stack_bytes = 0
        self._each = None  # what one thread takes, as of the first census: another share of stacks is no growth

    def read(self):
        running = (sysfs.text(self.host.proc + '/loadavg') or '').split()
        threads = int(running[3].split('/')[1]) if len(running) > 3 else None
        fields = meminfo.read(self.host.root)
        self._stack_bytes = fields.get('KernelStack', 0) // threads if threads else 0
        return {'threads': (threads, fields.get('KernelStack')), 'memory': (None, fields.get('AnonPages', 0))}

    def census(self, classes):
        processes = self.host.processes()
        by_pid = dict((one.pid, one) for one in processes)
        found, sums = {}, dict((row[0], {}) for row in MEMORY)
        for one in processes:
            key = self.host.key_of(one)
            for kind, field, _least, shared in MEMORY:
                value = int(one.fields.get(field, 0)) * 1024
                if value:
                    process, before = sums[kind].get(key, (one, 0))
                    sums[kind][key] = (process, max(before, value) if shared else before + value)
        for kind, _field, least, _shared in MEMORY:
            for key, (process, value) in sums[kind].items():
                if value >= least:
                    found[kind, key] = Holding(kind, self.host.later(process), None, value)
        self._add(found, 'thread', THREADS, ((one, one.threads) for one in processes if one.state != 'Z'))
        if self._each is None:
            self._each = self._stack_bytes + (self.host.bytes_of(('task_struct', 'pid')) or 0)
        for (kind, _key), holding in found.items():
            if kind == 'thread':
                holding.bytes = holding.count * self._each
        # The first thread of a process may have ended while others run: that one is no zombie.
        zombies = [one for one in processes if one.state == 'Z' and one.threads <= 1]
        self._add(found, 'zombie', ZOMBIES, ((by_pid[one.parent], 1) for one in zombies if one.parent in by_pid))
        living = (one for one in processes if one.state != 'Z' and one.parent in by_pid)
        self._add(found, 'process', CHILDREN, ((by_pid[one.parent], 1) for one in living))
        return found

    def _add(self, found, kind, least, values):
        for key, (process, number) in self.host.sum_by_owner(values).items():
            if number >= least:
                found[kind, key] = Holding(kind, self.host.later(process), number)
