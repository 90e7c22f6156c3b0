# SPDX-License-Identifier: GPL-3.0-or-later
"""A few readings that each scan keeps, so that growth too slow for a window is seen between scans.

At most 2 KiB of JSON. What cannot be read is left out: a counter that is missing was not measured.
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo, slabs, sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_fields, parse_sockstat, read_text, uptime_s

CACHES, RECLAIMABLE = 8, 4
ALIASES = 3
_MERGED = 5  # caches whose other names are listed
_NAME_CHARS = 32
_BYTES = ('MemTotal', 'MemAvailable', 'AnonPages', 'Shmem', 'Hugetlb', 'SReclaimable', 'SUnreclaim', 'KernelStack', 'PageTables',
          'Percpu', 'VmallocUsed', meminfo.UNACCOUNTED)
# One of them is there: version 2 alone, beside version 1 (hybrid), or neither.
_CGROUP_STAT = ('/sys/fs/cgroup/cgroup.stat', '/sys/fs/cgroup/unified/cgroup.stat')


def read(merged=None):
    """Return the readings of this host, now.

    {'uptime_s': float, 'bytes': {counter: bytes}, 'counts': {counter: number}, 'slab_bytes' and 'slab_reclaimable_bytes': {cache: bytes} of
    the largest that the kernel cannot and can shrink, 'slab_aliases': {cache: [name]} of those that it has merged with others}. The
    uptime is the time of all of them: nobody sets that clock. merged: of slabs.aliases().
    """
    caches, counts = slab_caches(slabs.read())
    kept, shrinking = largest(caches)
    aliases = merged_names((kept + shrinking)[:_MERGED], slabs.aliases() if merged is None else merged)
    return {'uptime_s': uptime_s(), 'bytes': memory(), 'counts': dict(host_counts(), **counts),
            'slab_bytes': dict((name[:_NAME_CHARS], caches[name]) for name in kept),
            'slab_reclaimable_bytes': dict((name[:_NAME_CHARS], caches[name]) for name in shrinking),
            'slab_aliases': dict((name[:_NAME_CHARS], names) for name, names in aliases.items())}


def largest(caches):
    """Return (names of the largest caches that the kernel cannot shrink, of those that it can), of {cache: bytes}."""
    kept, shrinking = [], []
    for name in sorted(caches, key=lambda name: (-caches[name], name)):
        if len(kept) == CACHES and len(shrinking) == RECLAIMABLE:
            break
        few, most = (shrinking, RECLAIMABLE) if slabs.is_reclaimable(name) else (kept, CACHES)
        if len(few) < most:
            few.append(name)
    return kept, shrinking


def memory():
    """Return {counter: bytes} of /proc/meminfo, of swap in use, and of what TCP and UDP buffers take."""
    fields = meminfo.accounted()
    found = dict((name, fields[name]) for name in _BYTES if name in fields)
    if 'SwapTotal' in fields and 'SwapFree' in fields:
        found['SwapUsed'] = fields['SwapTotal'] - fields['SwapFree']
    for protocol, values in parse_sockstat(read_text('/proc/net/sockstat')).items():
        if protocol in ('TCP', 'UDP') and 'mem' in values:
            found[protocol + 'Buffers'] = values['mem'] * meminfo.PAGE_BYTES
    return found


def slab_caches(caches):
    """Return ({cache: bytes of its slabs}, {counter: objects} of what nothing else counts) of slabs.read()."""
    objects = {'net_namespaces': caches['net_namespace'].objects} if 'net_namespace' in caches else {}  # also those without a process
    return dict((name, cache.bytes) for name, cache in caches.items()), objects


def merged_names(caches, merged):
    """Return {cache: its other names, sorted, up to ALIASES} of those of the caches that the kernel has merged with others."""
    return dict((cache, [name[:_NAME_CHARS] for name in merged[cache] if name != cache][:ALIASES]) for cache in caches if cache in merged)


def host_counts():
    """Return {counter: number} of what programs and containers hold. Sockets and connections are those of the probe's network namespace."""
    files = read_text('/proc/sys/fs/file-nr').split()
    tasks = read_text('/proc/loadavg').split()
    sockets = parse_sockstat(read_text('/proc/net/sockstat'))
    mounts = read_text('/proc/1/mountinfo').count('\n')  # of init: a probe may have mounts of its own
    keys = [words for words in (line.split() for line in read_text('/proc/key-users').splitlines()) if len(words) > 1]
    found = {'files': int(files[0]) if files else None,
             'tasks': int(tasks[3].partition('/')[2]) if len(tasks) > 3 else None,
             'sockets': sockets.get('sockets', {}).get('used'),
             'tcp_orphans': sockets.get('TCP', {}).get('orphan'),
             'tcp_time_wait': sockets.get('TCP', {}).get('tw'),
             'conntrack': sysfs.integer('/proc/sys/net/netfilter/nf_conntrack_count'),
             'mounts': mounts or None,
             'modules': read_text('/proc/modules').count('\n') or None,
             'keys': sum(int(words[1]) for words in keys if words[1].isdigit()) if keys else None}
    found.update(cgroups())
    return dict((name, value) for name, value in found.items() if value is not None)


def cgroups():
    """Return {'cgroups': number, 'cgroups_dying': number}, as far as the kernel counts them.

    Version 1 counts removed ones that live on among all of them, version 2 apart. A hybrid host has the memory controller in version 1.
    """
    rows = dict((line.split()[0], line.split()) for line in read_text('/proc/cgroups').splitlines() if len(line.split()) == 4)
    memory_row = rows.get('memory', ('', '0', '0', '0'))
    if memory_row[1].isdigit() and int(memory_row[1]) > 0:
        return {'cgroups': int(memory_row[2])}
    for path in _CGROUP_STAT:
        fields = parse_fields(read_text(path))
        if 'nr_descendants' in fields:
            dying = fields.get('nr_dying_descendants', 0)
            return {'cgroups': fields['nr_descendants'] + dying, 'cgroups_dying': dying}
    return {}
