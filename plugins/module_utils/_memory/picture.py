# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this host's memory is: parts that add up to MemTotal, none counted twice, with the top owners of each.

Method: the kernel's own counters (/proc/meminfo, /proc/vmstat, /proc/zoneinfo). Three of them overlap and are taken apart: Cached has
Shmem in it, VmallocUsed has the stacks of tasks (CONFIG_VMAP_STACK), KReclaimable has SReclaimable. NFS_Unstable, Mapped, Unevictable,
Mlocked and the LRU lists are views of pages that other parts have. Socket buffers are slab objects and page fragments: they are
reported as 'within', not as a part.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_cpu_list_pages, parse_fields, parse_sockstat, read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import slabs

PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')
PARTS = (
    'anonymous', 'page_cache', 'shmem', 'swap_cache', 'slab_reclaimable', 'slab_unreclaimable', 'kernel_reclaimable', 'vmalloc', 'percpu',
    'page_tables', 'kernel_stacks', 'hugetlb', 'zswap', 'balloon', 'bounce', 'fuse_writeback', 'memmap', 'free', 'cpu_free_lists',
)
OWNERS, _CACHES_LOOKED_AT, _NAME_CHARS = 3, 24, 128
_STACK_PAGES = 4  # THREAD_SIZE of x86_64
_VMALLOCINFO_BYTES = 8 * 2 ** 20


class Reading:
    """The counters at one instant. root: folder that is taken for the host's root."""

    def __init__(self, root='/'):
        def read(path):
            return read_text(os.path.join(root, path))
        self.meminfo = parse_fields(read('proc/meminfo'))
        self.vmstat = parse_fields(read('proc/vmstat'))
        self.cpu_list_pages = parse_cpu_list_pages(read('proc/zoneinfo'))
        self.caches = slabs.parse_caches(read('proc/slabinfo'))
        self.areas = read_areas(os.path.join(root, 'proc/vmallocinfo'))
        self.sockstat = parse_sockstat(read('proc/net/sockstat'))
        self.huge_pools = huge_pools(os.path.join(root, 'sys/kernel/mm/hugepages'))


def read_areas(path):
    """Return {caller: [areas, pages, areas of exactly the size of a stack]} of /proc/vmallocinfo, {} for who may not read it.

    Only areas with pages of their own; at most _VMALLOCINFO_BYTES of the file.
    """
    found = {}
    try:
        with open(path, errors='replace') as stream:
            for line in stream.readlines(_VMALLOCINFO_BYTES):
                at = line.find(' pages=')
                if at < 0 or ' vmalloc' not in line:
                    continue
                caller = line.split(None, 3)[2].partition('+')[0][:_NAME_CHARS]
                pages = int(line[at + 7:].split(None, 1)[0])
                row = found.setdefault(caller, [0, 0, 0])
                row[0] += 1
                row[1] += pages
                row[2] += pages == _STACK_PAGES
    except (OSError, ValueError, IndexError):
        return {}
    return found


def huge_pools(folder):
    """Return {bytes a page: {'nr': pages, 'free': …, 'resv': …, 'overcommit': …}} of the pools in sysfs."""
    pools = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return pools
    for name in names:
        size = name[len('hugepages-'):-len('kB')]
        if size.isdigit():
            values = [read_text('%s/%s/%s' % (folder, name, field)).strip() for field in
                      ('nr_hugepages', 'free_hugepages', 'resv_hugepages', 'nr_overcommit_hugepages')]
            pools[int(size) * 1024] = dict(zip(('nr', 'free', 'resv', 'overcommit'), (int(v) if v.isdigit() else 0 for v in values)))
    return pools


def stack_callers(areas):
    """Return the callers whose vmalloc areas are stacks of tasks: the one with most areas, when nearly all have a stack's size.

    A rule of shape, as the function that allocates stacks has had four names (alloc_thread_stack_node, dup_task_struct, …).
    """
    most = max(areas.items(), key=lambda item: item[1][2], default=None)
    return [most[0]] if most and most[1][2] >= 16 and most[1][2] >= 0.9 * most[1][0] else []


def split(reading):
    """Return {part: bytes} of a Reading, all parts that the kernel counts, without what is unaccounted."""
    memory, pages = reading.meminfo, reading.vmstat

    def kept(name):
        return memory.get(name, 0)

    def counted(name):
        return pages.get(name, 0) * PAGE_BYTES

    stacks = kept('KernelStack') + kept('ShadowCallStack')
    on_vmalloc = sum(reading.areas[caller][1] for caller in stack_callers(reading.areas)) * PAGE_BYTES
    # Where areas cannot be read, stacks are taken for mapped ones, as every distribution builds its x86_64 kernels.
    twice = min(stacks, kept('VmallocUsed'), on_vmalloc) if reading.areas else min(stacks, kept('VmallocUsed'))
    hugetlb = memory.get('Hugetlb')
    if hugetlb is None:
        hugetlb = sum(size * pool['nr'] for size, pool in reading.huge_pools.items())
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
        'cpu_free_lists': reading.cpu_list_pages * PAGE_BYTES,
    }
    # Drivers differ in whether they take a balloon's pages out of MemTotal: no more of them is counted than is missing.
    missing = kept('MemTotal') - sum(parts.values())
    parts['balloon'] = max(0, min(max(kept('Balloon'), counted('nr_balloon_pages')), missing))
    return parts


def picture(first, last, owners, root='/'):
    """Return the picture of the facts.

    first, last: Readings at the ends of the window; owners: {part: [(name, bytes)]} of what others know (processes, mounts, cgroups).
    """
    before, after = split(first), split(last)
    known = dict(owners)
    known.update(_cache_owners(last.caches, root))
    stacks = stack_callers(last.areas)
    known['vmalloc'] = [(caller, row[1] * PAGE_BYTES) for caller, row in last.areas.items() if caller not in stacks]
    known['hugetlb'] = known.get('hugetlb', []) + [
        ('free pages of the pool of %d KiB' % (size // 1024), pool['free'] * size) for size, pool in last.huge_pools.items()]
    buffers = last.meminfo.get('Buffers', 0)
    known['page_cache'] = known.get('page_cache', []) + [('block devices (Buffers)', buffers)]
    total = last.meminfo.get('MemTotal', 0)
    rows = [{'part': part, 'bytes': after[part], 'delta_bytes': after[part] - before[part], 'owners': _top(known.get(part, ()))}
            for part in PARTS if after[part] or before[part]]
    rows.sort(key=lambda row: (-row['bytes'], row['part']))
    unaccounted = total - sum(after.values())
    return {'total_bytes': total, 'parts': rows, 'unaccounted_bytes': unaccounted,
            'unaccounted_delta_bytes': unaccounted - (first.meminfo.get('MemTotal', 0) - sum(before.values())),
            'within': _within(first, last)}


def _within(first, last):
    """Views of memory that parts above have already: never added up."""
    def sockets(reading):
        return sum(fields.get('mem', 0) * PAGE_BYTES + fields.get('memory', 0) for fields in reading.sockstat.values())

    rows = [('sockets', 'slab_unreclaimable, unaccounted', sockets(first), sockets(last))]
    for name, within, field in (('mlocked', 'anonymous, page_cache, shmem', 'Mlocked'), ('huge_anonymous', 'anonymous', 'AnonHugePages'),
                                ('dirty', 'page_cache', 'Dirty')):
        rows.append((name, within, first.meminfo.get(field, 0), last.meminfo.get(field, 0)))
    return [{'part': part, 'within': within, 'bytes': now, 'delta_bytes': now - before} for part, within, before, now in rows if now]


def _top(owners):
    rows = sorted(((size, name) for name, size in owners if size > 0), key=lambda row: (-row[0], row[1]))
    return [{'name': printable(name, _NAME_CHARS), 'bytes': size} for size, name in rows[:OWNERS]]


def _cache_owners(caches, root):
    """Return the owners of both slab parts. Which caches are reclaimable is read of the largest ones."""
    merged, found = slabs.aliases(root), {'slab_reclaimable': [], 'slab_unreclaimable': []}
    largest = sorted(caches.items(), key=lambda item: (-item[1][1], item[0]))[:_CACHES_LOOKED_AT]
    for cache, (_objects, size) in largest:
        path = os.path.join(root, 'sys/kernel/slab', os.path.basename(cache), 'reclaim_account')
        part = 'slab_reclaimable' if read_text(path).strip() == '1' else 'slab_unreclaimable'
        found[part].append((slabs.cache_name(cache, merged), size))
    return found
