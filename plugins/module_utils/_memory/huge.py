# SPDX-License-Identifier: GPL-3.0-or-later
"""Pools of huge pages: memory that nothing else can use, whether a program has it or not."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source


class HugePoolSource(Source):
    """Huge pages reserved in pools."""

    STEPS = {'huge_page_pool': (1, 2 ** 21)}

    def __init__(self, host):
        super().__init__(host)
        self._creators = host.creators
        total = meminfo.read(host.root).get('MemTotal', 0)
        self.LARGE = {'huge_page_pool': (None, max(2 ** 29, total // 10))}

    def _pools(self):
        return meminfo.huge_pools(self.host.root)

    def read(self):
        """Pages and bytes of all pools."""
        pools = self._pools()
        return {'huge_page_pool': (sum(pool['nr'] for pool in pools.values()), sum(size * pool['nr'] for size, pool in pools.items()))}

    def census(self, classes):
        """By size of a page, with what no program has. Whoever writes the size of a pool meanwhile is named."""
        held = {}
        setting = os.path.join(self.host.proc, 'sys/vm/nr_hugepages')
        self._creators.watch_file(setting)
        writer = self._creators.writer(setting)
        for size, pool in self._pools().items():
            if pool['nr']:
                sysfs_file = os.path.join(self.host.root, 'sys/kernel/mm/hugepages/hugepages-%dkB/nr_hugepages' % (size // 1024))
                self._creators.watch_file(sysfs_file)
                writer = self._creators.writer(sysfs_file) or writer
                detail = {'page_bytes': size, 'free_pages': pool['free'], 'reserved_pages': pool['resv']}
                who = writer or owner('kernel', 'pool of huge pages of %d KiB' % (size // 1024))
                held['huge_page_pool', size] = Holding('huge_page_pool', who, pool['nr'], size * pool['nr'], detail)
        return held
