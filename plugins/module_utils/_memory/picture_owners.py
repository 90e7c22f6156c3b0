# SPDX-License-Identifier: GPL-3.0-or-later
"""The top owners of the parts of memory: processes, cgroups and mounts, from what the census of the end has read already."""

import heapq
import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_fields, read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import cgroups, picture, tmpfs

_STACK_BYTES, _GROUPS = 16384, 64  # stack of one thread on x86_64; cgroups whose page cache is read
_FIELDS = (('anonymous', 'RssAnon'), ('hugetlb', 'HugetlbPages'), ('page_tables', 'VmPTE'))


def owners(host):
    """Return {part: [(name, bytes)]} of a Host."""
    found = {'shmem': [('tmpfs ' + mount.point, mount.bytes) for mount in tmpfs.tmpfs_mounts(host, host.tasks.namespaces('mnt'))],
             'page_cache': page_caches(host.root)}
    processes = host.processes()
    for part, field in _FIELDS:
        found[part] = _largest(processes, lambda one, field=field: one.bytes(field))
    found['kernel_stacks'] = _largest(processes, lambda one: one.threads * _STACK_BYTES)
    return found


def _largest(processes, size_of):
    return [(_name(one), size_of(one)) for one in heapq.nlargest(picture.OWNERS, processes, key=size_of)]


def _name(process):
    return '%s[%d]' % (process.comm, process.pid)


def page_caches(root):
    """Return [(cgroup, bytes of files)] of the cgroups right below the top and below the slices, each counted once."""
    places = cgroups.hierarchies(root)
    top, field = (places['v2 memory'], 'file') if 'v2 memory' in places else (places.get('memory'), 'total_cache')
    if top is None:
        return []
    rows, queue, left = [], [''], _GROUPS
    while queue and left > 0:
        path = queue.pop(0)
        for name in _children(top + path):
            left -= 1
            child = '%s/%s' % (path, name)
            if left < 0:
                break
            if name.endswith('.slice') and _children(top + child):
                queue.append(child)  # its units say more
                continue
            fields = parse_fields(read_text('%s%s/memory.stat' % (top, child)))
            shared = fields.get('shmem' if field == 'file' else 'total_shmem', 0)
            rows.append((child, max(0, fields.get(field, 0) - shared)))
    return rows


def _children(folder):
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
