# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the memory of a host is, who holds it, what of it grows, and how near the limits are. Only reads."""

import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo, text
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe, Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import counters, picture, rows
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import Host
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.limits import Limits
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.picture_owners import owners
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.sources import SOURCES
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.watch import Watch

NOT_MEASURED = 16
TEXT_CHARS = 256


class ProcfsEngine(Engine):
    """Files of proc and sys, and netlink."""

    NAME = 'procfs'
    _host = None

    def open(self):
        if 'MemTotal' not in meminfo.read():
            raise Unavailable('/proc/meminfo cannot be read', 'Mount /proc on the host.')
        self._host = Host()
        self._watch = Watch(SOURCES, self._host)
        self._limits = Limits(self._host)

    def start(self, duration_s):
        self._first = picture.Reading()
        self._limits.observe()
        self._watch.start(duration_s)

    def poll(self, timeout_s):
        next_s = self._watch.next_s()
        left_s = timeout_s if next_s is None else min(timeout_s, next_s - time.monotonic())
        time.sleep(max(0.0, left_s))
        if self._watch.due():
            self._limits.observe(dear=True)  # of the processes that the census has read

    def stop(self):
        self._watch.stop()
        self._last = picture.Reading()
        self._limits.observe(dear=True)

    def close(self):
        if self._host:
            self._host.creators.close()

    def read(self, window_s):
        growth, holders, missing = [], {}, self._host.missing()
        for one in self._watch.watched:
            growth += rows.growth(one.censuses, self._host.bytes_of, lambda key: self._host.is_old(key[1]))
            holders.update(one.last)
            missing += one.not_measured
        missing = [text.printable(reason, TEXT_CHARS) for reason in missing[:NOT_MEASURED]]
        self.degradations += missing
        return {
            'picture': picture.picture(self._first, self._last, owners(self._host), merged=self._host.merged()),
            'growth': rows.distinct(sorted(growth, key=rows.worst))[:self.options['top']],
            'holders': rows.distinct(rows.holders(holders, self._host.bytes_of))[:self.options['top']],
            'limits': self._limits.rows(),
            'counters': counters.read(self._host.merged()),
            'not_measured': missing,
        }


class MemoryProbe(Probe):
    """Holders of memory, growth and limits."""

    NAME = 'memory'
    ENGINES = (ProcfsEngine,)
    BUDGET_BYTES = 11 * 1024
    OPTIONS = {'top': {'type': 'int', 'default': 24}}
    BOUNDS = {'top': (1, 64)}
