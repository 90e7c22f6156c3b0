# SPDX-License-Identifier: GPL-3.0-or-later
"""Where all memory of a host is, by the kernel's own counters: parts that overlap nowhere, and what none of them explains.

Method: /proc/meminfo, /proc/vmstat and /proc/zoneinfo. Three counters overlap and are taken apart: Cached has Shmem in it, VmallocUsed
has the stacks of tasks (CONFIG_VMAP_STACK), KReclaimable has SReclaimable. NFS_Unstable, Mapped, Unevictable, Mlocked and the LRU lists
are views of pages that other parts have.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_cpu_list_pages, parse_fields, read_text

PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')
UNACCOUNTED = 'unaccounted'
PARTS = (
    'anonymous', 'page_cache', 'shmem', 'swap_cache', 'slab_reclaimable', 'slab_unreclaimable', 'kernel_reclaimable', 'vmalloc', 'percpu',
    'page_tables', 'kernel_stacks', 'hugetlb', 'zswap', 'balloon', 'bounce', 'fuse_writeback', 'memmap', 'free', 'cpu_free_lists',
)
_POOL_FIELDS = (('nr', 'nr_hugepages'), ('free', 'free_hugepages'), ('resv', 'resv_hugepages'), ('overcommit', 'nr_overcommit_hugepages'))


def read(root='/'):
    """Return {field: bytes} of /proc/meminfo, {} where it cannot be read. root: folder that is taken for the host's root."""
    return parse_fields(read_text(os.path.join(root, 'proc/meminfo')))


def huge_pools(root='/'):
    """Return {bytes a page: {'nr': pages, 'free': …, 'resv': …, 'overcommit': …}} of the pools in sysfs."""
    folder, pools = os.path.join(root, 'sys/kernel/mm/hugepages'), {}
    try:
        names = os.listdir(folder)
    except OSError:
        return pools
    for name in names:
        size = name[len('hugepages-'):-len('kB')]
        if size.isdigit():
            values = [(key, read_text('%s/%s/%s' % (folder, name, field)).strip()) for key, field in _POOL_FIELDS]
            pools[int(size) * 1024] = dict((key, int(value) if value.isdigit() else 0) for key, value in values)
    return pools


class Account:
    """The counters at one instant.

    fields: {field: bytes} of /proc/meminfo; pages: {counter: pages} of /proc/vmstat; cpu_list_pages: free pages that CPUs keep in lists
    of their own, which are in no field of meminfo; pools: of huge_pools(). Raises nothing: what cannot be read is empty.
    """

    def __init__(self, root='/'):
        self.fields = read(root)
        self.pages = parse_fields(read_text(os.path.join(root, 'proc/vmstat')))
        self.cpu_list_pages = parse_cpu_list_pages(read_text(os.path.join(root, 'proc/zoneinfo')))
        self.pools = huge_pools(root)

    def parts(self, mapped_stacks=True):
        """Return {part: bytes} of PARTS. mapped_stacks: stacks of tasks are in VmallocUsed, as distributions build their kernels."""
        def kept(name):
            return self.fields.get(name, 0)

        def counted(name):
            return self.pages.get(name, 0) * PAGE_BYTES

        stacks = kept('KernelStack') + kept('ShadowCallStack')
        twice = min(stacks, kept('VmallocUsed')) if mapped_stacks else 0
        hugetlb = self.fields.get('Hugetlb')
        if hugetlb is None:
            hugetlb = sum(size * pool['nr'] for size, pool in self.pools.items())
        # A page in the swap cache may also be mapped, and is then counted as anonymous.
        unmapped = kept('Active(anon)') + kept('Inactive(anon)') - kept('AnonPages') - kept('Shmem')
        parts = {
            'anonymous': kept('AnonPages'),
            'page_cache': max(0, kept('Cached') + kept('Buffers') - kept('Shmem')),
            'shmem': kept('Shmem'),
            'swap_cache': max(0, min(kept('SwapCached'), unmapped)),
            'slab_reclaimable': kept('SReclaimable'),
            'slab_unreclaimable': kept('SUnreclaim'),
            'kernel_reclaimable': max(0, kept('KReclaimable') - kept('SReclaimable')),
            'vmalloc': kept('VmallocUsed') - twice,
            'percpu': kept('Percpu'),
            'page_tables': kept('PageTables') + kept('SecPageTables'),
            'kernel_stacks': stacks,
            'hugetlb': hugetlb,
            'zswap': max(counted('nr_zspages'), kept('Zswap')),  # zram is in nr_zspages too
            'bounce': kept('Bounce'),
            'fuse_writeback': kept('WritebackTmp'),
            'memmap': counted('nr_memmap_pages'),
            'free': kept('MemFree'),
            'cpu_free_lists': self.cpu_list_pages * PAGE_BYTES,
        }
        # Drivers differ in whether they take a balloon's pages out of MemTotal: no more of them is counted than is missing.
        missing = kept('MemTotal') - sum(parts.values())
        parts['balloon'] = max(0, min(max(kept('Balloon'), counted('nr_balloon_pages')), missing))
        return parts

    def unaccounted_bytes(self, mapped_stacks=True):
        """Return what no part explains: pages that somebody took from the kernel and keeps, as drivers and leaks of pages do."""
        return self.fields.get('MemTotal', 0) - sum(self.parts(mapped_stacks).values())


def accounted(root='/'):
    """Return {field: bytes} of /proc/meminfo with UNACCOUNTED added, {} where it cannot be read."""
    account = Account(root)
    if 'MemTotal' in account.fields:
        account.fields[UNACCOUNTED] = account.unaccounted_bytes()
    return account.fields
