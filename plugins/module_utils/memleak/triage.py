# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's own counters say of its memory, before and after a window."""

_MEMINFO = '/proc/meminfo'
_SLABINFO = '/proc/slabinfo'

# What the kernel accounts for; total less all of it grows when somebody takes pages and keeps them.
_ACCOUNTED = ('MemFree', 'Active', 'Inactive', 'Unevictable', 'Slab', 'KernelStack', 'ShadowCallStack', 'PageTables',
              'SecPageTables', 'Percpu', 'Hugetlb', 'VmallocUsed')
_REPORTED = ('SReclaimable', 'SUnreclaim', 'KernelStack', 'PageTables', 'Percpu', 'VmallocUsed')


def parse_meminfo(text):
    """Return {field: bytes} of /proc/meminfo's text, with 'unaccounted' added."""
    fields = {}
    for line in text.splitlines():
        name, colon, value = line.partition(':')
        words = value.split()
        if colon and words and words[0].isdigit():
            fields[name] = int(words[0]) * (1024 if words[-1] == 'kB' else 1)
    if 'MemTotal' in fields:
        fields['unaccounted'] = fields['MemTotal'] - sum(fields.get(name, 0) for name in _ACCOUNTED)
    return fields


def parse_slabinfo(text):
    """Return {cache: (objects in use, bytes an object)} of /proc/slabinfo's text."""
    caches = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 4 and words[1].isdigit() and words[3].isdigit():
            caches[words[0]] = (int(words[1]), int(words[3]))
    return caches


def snapshot():
    """Read the counters now. Returns {'meminfo': {…}, 'caches': {…}}; caches are empty for who may not read them."""
    with open(_MEMINFO) as stream:
        meminfo = parse_meminfo(stream.read())
    try:
        with open(_SLABINFO) as stream:
            caches = parse_slabinfo(stream.read())
    except (IOError, OSError):
        caches = {}
    return {'meminfo': meminfo, 'caches': caches}


def compare(before, after, top):
    """Return the 'triage' part of the facts: what grew between two snapshots, the `top` caches by bytes."""
    names = [name for name in _REPORTED + ('unaccounted',) if name in before['meminfo'] and name in after['meminfo']]
    grown = []
    for cache, (objects, size) in after['caches'].items():
        delta = objects - before['caches'].get(cache, (0, size))[0]
        if delta > 0:
            grown.append({'cache': cache[:64], 'object_bytes': size, 'objects_delta': delta, 'bytes_delta': delta * size})
    grown.sort(key=lambda cache: (-cache['bytes_delta'], cache['cache']))
    return {
        'meminfo_delta_bytes': dict((name, after['meminfo'][name] - before['meminfo'][name]) for name in names),
        'caches': grown[:top],
    }


def grown_by_size(before, after):
    """Return {bytes an object: objects by which the caches of that object size grew together}."""
    sizes = {}
    for cache, (objects, size) in after['caches'].items():
        delta = objects - before['caches'].get(cache, (0, size))[0]
        sizes[size] = sizes.get(size, 0) + max(0, delta)
    return sizes
