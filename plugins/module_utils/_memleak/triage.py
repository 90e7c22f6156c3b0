# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's own counters say of its memory, read again and again within a window."""

import os
import re
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo, slabs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_fields, read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import areas, trend

PAGE_BYTES = 4096

_REPORTED = ('SReclaimable', 'SUnreclaim', 'KernelStack', 'PageTables', 'Percpu', 'VmallocUsed', meminfo.UNACCOUNTED)
# The counters that tell of a leak, with its type.
COUNTERS = (('slab', 'SUnreclaim'), ('page', 'unaccounted'), ('vmalloc', 'areas'), ('percpu', 'Percpu'))
# Growth below this cannot be told from a host at work. Whole slabs, and lists of free pages, come and go.
_FLOOR_BYTES = {'slab': 262144, 'page': 4194304, 'vmalloc': 131072, 'percpu': 131072}
CACHE_FLOOR_BYTES = 131072
# What SysAK's memleak -c calls too much, as a share of memory where that is less.
_MUCH = {'SUnreclaim': (5 * 2 ** 30, 0.15), 'unaccounted': (3 * 2 ** 29, 0.15), 'VmallocUsed': (2 * 2 ** 30, 0.15)}
READINGS, LEAST_READINGS = 24, 16
_COST_SHARE = 0.005  # of one CPU, that reading may take; a slow host gets fewer readings, but not fewer than the least
_CACHES = '/sys/kernel/slab'
_ALLOCINFO = re.compile(r'^\s*(\d+)\s+\d+ (\S+:\d+) (?:\[([^\]]+)\] )?func:(\S+)')


def parse_buddyinfo(text):
    """Return the bytes in free blocks of each order, smallest first, of /proc/buddyinfo's text; all zones together."""
    found = []
    for line in text.splitlines():
        blocks = line.partition(' zone ')[2].split()[1:]
        found += [0] * (len(blocks) - len(found))
        for order, count in enumerate(blocks):
            found[order] += int(count) * (PAGE_BYTES << order)
    return found


def parse_allocinfo(text):
    """Return {(code line, function, module or None): bytes} of /proc/allocinfo's text (6.10, CONFIG_MEM_ALLOC_PROFILING)."""
    found = {}
    for line in text.splitlines():
        match = _ALLOCINFO.match(line)
        if match:
            size, place, module, function = match.groups()
            found[place, function, module] = int(size)
    return found


def snapshot():
    """Read the counters now. Returns {'meminfo': {…}, 'caches': {…}, 'areas': […] or None, 'holders': {…}, 'free_blocks': […]}.

    meminfo: of meminfo.accounted(); caches: {cache: (objects in use, bytes an object)}. For who may not read them caches are empty, areas
    None.
    """
    fields = meminfo.accounted()
    try:
        held = areas.read()
        fields['areas'] = sum(size for _address, _caller, size in held)
    except OSError:
        held = None
    holders = _holders()
    holders['process_bytes'] = sum(fields.get(name, 0) for name in ('AnonPages', 'Shmem', 'PageTables'))
    holders['cached_pages'] = sum(fields.get(name, 0) for name in ('Cached', 'Buffers')) // PAGE_BYTES
    caches = dict((name, (cache.objects, cache.object_bytes)) for name, cache in slabs.read().items())
    return {'meminfo': fields, 'caches': caches, 'areas': held, 'holders': holders,
            'free_blocks': parse_buddyinfo(read_text('/proc/buddyinfo'))}


def _holders():
    """Counts of what programs may hold: memory of the kernel that grows with these is theirs."""
    words = read_text('/proc/loadavg').split()
    files = read_text('/proc/sys/fs/file-nr').split()
    sockstat = read_text('/proc/net/sockstat')
    sockets = sockstat.split()
    counted = dict(zip(sockets, sockets[1:]))  # used, orphan, tw (closed ones that wait) ...
    inodes, names = read_text('/proc/sys/fs/inode-state').split(), read_text('/proc/sys/fs/dentry-state').split()
    groups = parse_fields(read_text('/sys/fs/cgroup/cgroup.stat'))
    return {'tasks': int(words[3].partition('/')[2]) if len(words) > 3 else 0,
            'files': int(files[0]) if files else 0,
            'sockets': sum(int(counted.get(name, '0')) for name in ('used', 'orphan', 'tw')),
            'socket_bytes': PAGE_BYTES * sum(int(pages) for pages in re.findall(r' mem (\d+)', sockstat)),
            'modules': read_text('/proc/modules').count('\n'),
            'namespaces': read_text('/proc/self/mountinfo').count('\n'),
            'inodes': int(inodes[0]) if inodes else 0, 'dentries': int(names[0]) if names else 0,
            'cgroups': sum(groups.get(name, 0) for name in ('nr_descendants', 'nr_dying_descendants'))}


def cache_size(name):
    """Return the bytes an object of a slab cache takes, also of one that is merged with another; None: there is no cache of that name."""
    cache = slabs.read().get(name)
    return cache.object_bytes if cache else slabs.object_bytes(name)


def slack_bytes(cache, size, cpus):
    """Return how many bytes of this cache (and object size) can be allocated or freed without its counter moving.

    A slab counts as used up once a CPU has taken it (mm/slub.c: set_cpu_partial), and so do the objects in a CPU's and a
    node's sheaves (6.18: calculate_sheaf_capacity, MAX_FULL_SHEAVES).
    """
    partial = 6 if size >= 4096 else 24 if size >= 1024 else 52 if size >= 256 else 120
    folder = '%s/%s/' % (_CACHES, os.path.basename(cache or ''))
    each = read_text(folder + 'objs_per_slab').strip() if cache else ''
    sheaf = read_text(folder + 'sheaf_capacity').strip() if cache else ''
    objects = cpus * (2 * partial + (int(each) if each.isdigit() else 32))
    if sheaf.isdigit():
        objects += int(sheaf) * (3 * cpus + 10)
    return objects * size


def file_systems():
    """Return the set of the names of file systems that the kernel has now; a module of one has its name as a rule."""
    return frozenset(line.split()[-1] for line in read_text('/proc/filesystems').splitlines() if line.strip())


class Watch:
    """The counters over a window: start(), poll() again and again, stop()."""

    def __init__(self, duration_s, settle_ns, now_ns):
        """now_ns: the clock that everything is noted by, a function."""
        self._now_ns = now_ns
        self._wanted_ns = self._interval_ns = duration_s * 1e9 / READINGS
        self._least_cost_s = float('inf')
        self._settle_ns = settle_ns
        self.readings = []  # (at, snapshot)
        self.areas = areas.Areas(settle_ns)
        self._lines, self.line_growth = {}, {}  # bytes by line of code, where the kernel counts them

    def start(self):
        self._lines = parse_allocinfo(read_text('/proc/allocinfo'))
        self._observe()

    def poll(self):
        """Read when it is time to."""
        if self._now_ns() - self.readings[-1][0] >= self._interval_ns:
            self._observe()

    def stop(self):
        self._observe()
        after = parse_allocinfo(read_text('/proc/allocinfo')) if self._lines else {}
        self.line_growth = dict((line, size - self._lines.get(line, 0)) for line, size in after.items())

    def _observe(self):
        began = time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID)
        read = snapshot()
        at_ns = self._now_ns()
        if read['areas'] is not None:
            self.areas.observe(at_ns, read['areas'])
        read['areas'] = None
        self.readings.append((at_ns, read))
        took_s = time.clock_gettime(time.CLOCK_PROCESS_CPUTIME_ID) - began
        self._least_cost_s = min(self._least_cost_s, took_s)  # the first one is slow, as nothing is in the CPU's caches yet
        cheap_ns = min(self._least_cost_s * 1e9 / _COST_SHARE, self._wanted_ns * READINGS / LEAST_READINGS)
        self._interval_ns = max(self._wanted_ns, cheap_ns)

    def areas_cohorts(self):
        """Return {caller: Cohort} of vmalloc. Births are cut at a reading, as an area is seen at the next one only."""
        opened_ns, closed_ns = self.readings[0][0], self.readings[-1][0]
        cuts = [at_ns for at_ns, _unused in self.readings if at_ns <= closed_ns - self._settle_ns]
        return self.areas.cohorts(opened_ns, closed_ns, closed_ns - cuts[-1] if cuts else self._settle_ns, len(cuts))

    def timed(self, kind, name):
        """Return [(at, value)] of a counter."""
        return [(at_ns, read[kind][name]) for at_ns, read in self.readings if name in read[kind]]

    def cache_series(self, cache, size):
        """Return [(at, bytes)] of a slab cache, or of all that are for any object of this size where it is not known."""
        found = []
        for at_ns, read in self.readings:
            caches = read['caches']
            if cache in caches:
                found.append((at_ns, caches[cache][0] * caches[cache][1]))
                continue
            fitting = [objects * each for name, (objects, each) in caches.items() if each == size and 'kmalloc' in name]
            fitting = fitting or [objects * each for objects, each in caches.values() if each == size]
            if fitting:
                found.append((at_ns, sum(fitting)))
        return found

    def area_series(self, caller):
        """Return [(at, bytes)] of the vmalloc areas of a caller."""
        return self.areas.series(caller)

    def series(self, kind, name):
        """Return [(seconds since the first reading, value)] of a counter: kind 'meminfo', 'holders', or 'caches' (in bytes)."""
        first_ns = self.readings[0][0]
        found = []
        for at_ns, read in self.readings:
            value = read[kind].get(name)
            if value is not None:
                found.append(((at_ns - first_ns) / 1e9, value[0] * value[1] if kind == 'caches' else value))
        return found

    def grown(self, kind, name):
        """Return last less first value of a counter; None where it is not known."""
        points = self.series(kind, name)
        return points[-1][1] - points[0][1] if len(points) > 1 else None

    def caches_grown(self):
        """Return {cache: (objects more than at the beginning, bytes an object)}."""
        before, after = self.readings[0][1]['caches'], self.readings[-1][1]['caches']
        return dict((cache, (objects - before.get(cache, (0, size))[0], size)) for cache, (objects, size) in after.items())

    def result(self, top):
        """Return (triage, trends) of the facts."""
        first, last = self.readings[0][1]['meminfo'], self.readings[-1][1]['meminfo']
        grown = [{'cache': cache[:64], 'object_bytes': size, 'objects_delta': delta, 'bytes_delta': delta * size}
                 for cache, (delta, size) in self.caches_grown().items() if delta > 0]
        grown.sort(key=lambda cache: (-cache['bytes_delta'], cache['cache']))
        trends, suspects = [], []
        for kind, name in COUNTERS:
            row = self._trend(kind, name, self.series('meminfo', name), _FLOOR_BYTES[kind])
            if row:
                trends.append(row)
                if row['grows']:
                    suspects.append({'type': kind, 'counter': name, 'by': 'growth', 'bytes': row['points'][-1][1] - row['points'][0][1]})
        for cache in grown[:5]:
            if cache['bytes_delta'] < CACHE_FLOOR_BYTES:
                break
            reclaimable = slabs.is_reclaimable(cache['cache'])
            row = self._trend('slab', cache['cache'], self.series('caches', cache['cache']), CACHE_FLOOR_BYTES)
            if row:
                row['reclaimable'] = reclaimable
                trends.append(row)
                if row['grows'] and not reclaimable:
                    suspects.append({'type': 'slab', 'counter': cache['cache'], 'by': 'growth', 'bytes': cache['bytes_delta']})
        for name, (most_bytes, share) in sorted(_MUCH.items()):
            if last.get(name, 0) > min(most_bytes, share * last.get('MemTotal', 0)):
                suspects.append({'type': dict((counter, kind) for kind, counter in COUNTERS).get(name, 'vmalloc'), 'counter': name,
                                 'by': 'size', 'bytes': last[name]})
        names = [name for name in _REPORTED if name in first and name in last]
        return {'meminfo_delta_bytes': dict((name, last[name] - first[name]) for name in names),
                'free_bytes_by_order': {'before': self.readings[0][1]['free_blocks'], 'after': self.readings[-1][1]['free_blocks']},
                'caches': grown[:top], 'code_lines': self._code_lines(top), 'suspects': suspects}, trends

    def _code_lines(self, top):
        """The lines of code whose allocations grew most; None: the kernel does not count them."""
        rows = [{'line': place[:128], 'function': function[:128], 'module': module and module[:64], 'bytes_delta': grown}
                for (place, function, module), grown in self.line_growth.items() if grown >= CACHE_FLOOR_BYTES]
        rows.sort(key=lambda row: (-row['bytes_delta'], row['line']))
        return rows[:top] if self.line_growth else None

    @staticmethod
    def _trend(kind, name, points, floor_bytes):
        if len(points) < 3:
            return None
        slope, least, most = trend.theil_sen(points)
        total = points[-1][1] - points[0][1]
        # A counter that jumped once, or that stopped growing, is no leak.
        grows = total >= floor_bytes and least > 0 and trend.steps_up(points) >= 0.25
        return {'type': kind, 'counter': name[:64], 'slope_bytes_per_s': round(slope, 1), 'slope_ci95': [round(least, 1), round(most, 1)],
                'grows': grows, 'reclaimable': False, 'points': trend.thinned([[round(at_s, 2), value] for at_s, value in points])}
