# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of memory: the parts of _core/meminfo.py, which add up to MemTotal, with the top owners of each.

Socket buffers are slab objects and page fragments: they are reported as 'within', not as a part.
"""

import heapq
import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo, slabs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_sockstat, read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable

OWNERS, _CACHES_LOOKED_AT, _NAME_CHARS = 3, 24, 128
_STACK_PAGES = 4  # THREAD_SIZE of x86_64
_VMALLOCINFO_BYTES = 4 * 2 ** 20
_FEW_STACKS_BYTES, _LARGE_SHARE = 16 * 2 ** 20, 0.01


class Reading(meminfo.Account):
    """The counters at one instant, with those of sockets."""

    def __init__(self, root='/'):
        super().__init__(root)
        self.sockstat = parse_sockstat(read_text(os.path.join(root, 'proc/net/sockstat')))


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


def stack_callers(areas):
    """Return the callers whose vmalloc areas are stacks of tasks: the one with most areas, when nearly all have a stack's size.

    A rule of shape, as the function that allocates stacks has had four names (alloc_thread_stack_node, dup_task_struct, …).
    """
    most = max(areas.items(), key=lambda item: item[1][2], default=None)
    return [most[0]] if most and most[1][2] >= 16 and most[1][2] >= 0.9 * most[1][0] else []


def picture(first, last, owners, root='/', merged=None):
    """Return the picture of the facts.

    first, last: Readings at the ends of the window; owners: {part: [(name, bytes)]} of what others know (processes, mounts, cgroups);
    merged: of slabs.aliases(). Slab caches and areas of vmalloc are read now.
    """
    areas = read_areas(os.path.join(root, 'proc/vmallocinfo')) if _is_worth_areas(last.fields) else {}
    stacks = stack_callers(areas)
    mapped_stacks = bool(stacks) or not areas
    before, after = first.parts(mapped_stacks), last.parts(mapped_stacks)
    known = dict(owners)
    known.update(_cache_owners(slabs.read(root), slabs.aliases(root) if merged is None else merged, root))
    known['vmalloc'] = [(caller, row[1] * meminfo.PAGE_BYTES) for caller, row in areas.items() if caller not in stacks]
    known['hugetlb'] = known.get('hugetlb', []) + [
        ('free pages of the pool of %d KiB' % (size // 1024), pool['free'] * size) for size, pool in last.pools.items()]
    known['page_cache'] = known.get('page_cache', []) + [('block devices (Buffers)', last.fields.get('Buffers', 0))]
    total = last.fields.get('MemTotal', 0)
    rows = [{'part': part, 'bytes': after[part], 'delta_bytes': after[part] - before[part], 'owners': _top(known.get(part, ()))}
            for part in meminfo.PARTS if after[part] or before[part]]
    rows.sort(key=lambda row: (-row['bytes'], row['part']))
    unaccounted = last.unaccounted_bytes(mapped_stacks)
    return {'total_bytes': total, 'parts': rows, 'unaccounted_bytes': unaccounted,
            'unaccounted_delta_bytes': unaccounted - first.unaccounted_bytes(mapped_stacks), 'within': _within(first, last)}


def _is_worth_areas(fields):
    """Each area costs 6 µs, and each task has one: with many tasks they are read only where others take much."""
    stacks = fields.get('KernelStack', 0)
    return stacks <= _FEW_STACKS_BYTES or fields.get('VmallocUsed', 0) - stacks >= _LARGE_SHARE * fields.get('MemTotal', 0)


def _within(first, last):
    """Views of memory that parts above have already: never added up."""
    def sockets(reading):
        return sum(fields.get('mem', 0) * meminfo.PAGE_BYTES + fields.get('memory', 0) for fields in reading.sockstat.values())

    rows = [('sockets', 'slab_unreclaimable, unaccounted', sockets(first), sockets(last))]
    for name, within, field in (('mlocked', 'anonymous, page_cache, shmem', 'Mlocked'), ('huge_anonymous', 'anonymous', 'AnonHugePages'),
                                ('dirty', 'page_cache', 'Dirty')):
        rows.append((name, within, first.fields.get(field, 0), last.fields.get(field, 0)))
    return [{'part': part, 'within': within, 'bytes': now, 'delta_bytes': now - before} for part, within, before, now in rows if now]


def _top(owners):
    largest = heapq.nsmallest(OWNERS, ((-size, name) for name, size in owners if size > 0))
    return [{'name': printable(name, _NAME_CHARS), 'bytes': -size} for size, name in largest]


def _cache_owners(caches, merged, root):
    """Return the owners of both slab parts. Which caches are reclaimable is read of the largest ones."""
    found = {'slab_reclaimable': [], 'slab_unreclaimable': []}
    largest = sorted(caches.items(), key=lambda item: (-item[1].bytes, item[0]))[:_CACHES_LOOKED_AT]
    for name, cache in largest:
        part = 'slab_reclaimable' if slabs.is_reclaimable(name, root) else 'slab_unreclaimable'
        found[part].append((slabs.cache_name(name, merged), cache.bytes))
    return found
