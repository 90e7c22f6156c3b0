# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel allocations of a window that nobody freed within it, by call stack."""

import collections
import random
import time

from ansible_collections.ksysak.fleet.plugins.module_utils.ebpf import program, stacks
from ansible_collections.ksysak.fleet.plugins.module_utils.memleak import bpf, triage
from ansible_collections.ksysak.fleet.plugins.module_utils.probe import LOST_COUNT, LOST_SHARE, Engine, Probe, Unavailable

PARTS = 16  # of the window, to tell steady growth from a burst
# Pages that belong to a slab cache or to a large kmalloc are counted there.
_SLAB_PAGES = frozenset(('allocate_slab', 'new_slab', '___slab_alloc', '___kmalloc_large_node', '__kmalloc_large_node',
                         'kmalloc_large_node', 'kmalloc_large', 'kmalloc_order', 'kmalloc_order_trace'))


class BccEngine(Engine):
    """bcc on the kmem tracepoints, one address in `sample` followed."""

    NAME = 'bcc'

    def __init__(self, options):
        super(BccEngine, self).__init__(options)
        self._program = None

    def open(self):
        program.prepare()
        for event, fields in (('kmalloc', ('call_site', 'ptr', 'bytes_alloc')), ('kfree', ('ptr',)),
                              ('kmem_cache_alloc', ('call_site', 'ptr', 'bytes_alloc')), ('kmem_cache_free', ('ptr',)),
                              ('mm_page_alloc', ('pfn', 'order', 'gfp_flags')), ('mm_page_free', ('pfn', 'order'))):
            program.require('kmem:' + event, fields)
        # Frees first: an allocation whose free is not seen would look like a leak.
        events = bpf.SLAB_FREES + ('mm_page_free', 'mm_page_alloc') + bpf.SLAB_ALLOCS
        events = [event for event in events if program.tracepoint_fields('kmem:' + event) is not None]
        self._program = program.Program(bpf.text(
            events, self.options['sample'], random.SystemRandom().getrandbits(62), stacks.DEPTH))
        for event in events:
            self._program.attach('kmem:' + event, 'on_' + event)

    def start(self):
        self._before = triage.snapshot()
        self._program.open_gate()
        self._opened_ns = _ktime_ns()

    def stop(self):
        self._program.close_gate()
        self._closed_ns = _ktime_ns()
        self._after = triage.snapshot()

    def read(self, window_s):
        sample = self.options['sample']
        counts = [sum(values) for _unused, values in sorted(
            (key.value, list(value)) for key, value in self._program.table('counts').items())]
        self._account(counts)
        names = stacks.Symbols(self._program.bpf)
        groups = self._groups(names)
        outstanding = [self._entry(group, sample, window_s) for group in groups]
        totals = dict((kind, {
            'allocations': counts[bpf.ALLOCATIONS + index] * sample, 'frees': counts[bpf.FREES + index] * sample,
            'objects_outstanding': sum(entry['objects_outstanding'] for entry in outstanding if entry['type'] == kind),
            'bytes_outstanding': sum(entry['bytes_outstanding'] for entry in outstanding if entry['type'] == kind),
        }) for index, kind in enumerate(bpf.TYPES))
        kept = [entry for entry in outstanding if entry['bytes_outstanding'] >= self.options['min_bytes']]
        kept.sort(key=lambda entry: (-entry['bytes_outstanding'], entry['stack']))
        return {'sample': sample, 'totals': totals, 'outstanding': kept[:self.options['top']],
                'triage': triage.compare(self._before, self._after, self.options['top'])}

    def close(self):
        if self._program is not None:
            self._program.close()

    def _account(self, counts):
        # What was dropped had been chosen to be followed; what was missed had not been looked at yet.
        sample = self.options['sample']
        events = sum(counts[bpf.ALLOCATIONS:bpf.DROPPED]) * sample
        self.lost_events = counts[bpf.DROPPED] * sample + self._program.missed()
        if self.lost_events > max(LOST_COUNT, LOST_SHARE * (events + self.lost_events)):
            self.limits.append('%d of %d events were lost (%d because the table of live objects was full): '
                               'counts are too low or objects look unfreed that are not'
                               % (self.lost_events, events + self.lost_events, counts[bpf.DROPPED] * sample))
        if counts[bpf.STACKLESS] * sample > max(1000, LOST_SHARE * events):
            self.limits.append('%d allocations have no call stack: the table of stacks was full' % (counts[bpf.STACKLESS] * sample))

    def _groups(self, names):
        """Collect the survivors by named stack. Several kernel stacks may carry one name, as after inlining."""
        sites = dict(((key.stack, key.type, key.call_site), value) for key, value in _items(self._program.table('sites')))
        table = self._program.table('stacks')
        groups, frames_of = {}, {}
        for _unused, value in _items(self._program.table('live')):
            site = (value.stack, value.type, value.call_site)
            if site not in frames_of:
                addresses = [value.call_site] if value.stack < 0 else list(table[table.Key(value.stack)].ip)
                frames_of[site] = tuple(names.stack(addresses))
            frames = frames_of[site]
            if value.type == 1 and _SLAB_PAGES.intersection(stacks.bare(frame) for frame in frames):
                continue
            group = groups.setdefault((value.type, frames), {
                'type': bpf.TYPES[value.type], 'stack': list(frames), 'sites': set(), 'times': [], 'bytes': 0,
                'sizes': collections.Counter(), 'comms': collections.Counter()})
            group['sites'].add(site)
            group['times'].append(value.at_ns)
            group['bytes'] += value.bytes
            group['sizes'][value.bytes] += 1
            group['comms'][value.comm.decode('utf-8', 'replace')] += 1
        for group in groups.values():
            known = [sites[site] for site in group['sites'] if site in sites]
            group['allocations'] = max(sum(site.allocations for site in known), len(group['times']))
            group['frees'] = sum(site.frees for site in known)
        return groups.values()

    def _entry(self, group, sample, window_s):
        function, module = stacks.culprit(group['stack'])
        part_ns = max(1, (self._closed_ns - self._opened_ns) // PARTS)
        parts = set(min(PARTS - 1, max(0, at_ns - self._opened_ns) // part_ns) for at_ns in group['times'])
        return {
            'type': group['type'], 'culprit': function, 'module': module,
            'allocations': group['allocations'] * sample, 'frees': group['frees'] * sample,
            'objects_outstanding': len(group['times']) * sample, 'bytes_outstanding': group['bytes'] * sample,
            'growth_bytes_per_s': round(group['bytes'] * sample / window_s, 1),
            'oldest_age_s': round(max(0, self._closed_ns - min(group['times'])) / 1e9, 3),
            'persistence': len(parts) / float(PARTS),
            'corroborated': self._corroborated(group, sample),
            'stack': group['stack'],
            'comms': [comm for comm, _unused in sorted(group['comms'].items(), key=lambda item: (-item[1], item[0]))[:3]],
        }

    def _corroborated(self, group, sample):
        """Did caches of this object size grow by at least half as many objects? None: there is no counter to ask.

        Some frees have no tracepoint (bulk and RCU frees); the caches' own counters see those.
        """
        if group['type'] != 'slab' or not self._after['caches']:
            return None
        size, _unused = group['sizes'].most_common(1)[0]
        grown = triage.grown_by_size(self._before, self._after)
        if size not in grown:
            return None
        return grown[size] * 2 >= group['sizes'][size] * sample


class ProcfsEngine(Engine):
    """The kernel's own counters: what grew, but not who allocated it."""

    NAME = 'procfs'

    def open(self):
        try:
            if not triage.snapshot()['caches']:
                raise Unavailable('/proc/slabinfo cannot be read', 'Run the play with become: true.')
        except (IOError, OSError) as error:
            raise Unavailable('the kernel\'s memory counters cannot be read: %s' % error, 'Mount /proc on the host.')
        self.limits.append('no call stacks: only the growth of the kernel\'s own counters')

    def start(self):
        self._before = triage.snapshot()

    def stop(self):
        self._after = triage.snapshot()

    def read(self, window_s):
        return {'sample': 0, 'totals': {}, 'outstanding': [],
                'triage': triage.compare(self._before, self._after, self.options['top'])}


class MemleakProbe(Probe):
    """Slab objects and pages."""

    NAME = 'memleak'
    ENGINES = (BccEngine, ProcfsEngine)
    OPTIONS = {
        'sample': {'type': 'int', 'default': 16, 'choices': [1, 2, 4, 8, 16, 32, 64, 128, 256]},
        'min_bytes': {'type': 'int', 'default': 4096},
        'top': {'type': 'int', 'default': 20},
    }
    BOUNDS = {'min_bytes': (0, 2 ** 50), 'top': (1, 1000)}


def _ktime_ns():
    """The clock of bpf_ktime_get_ns."""
    return int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)


def _items(table):
    """All entries of a BPF hash; in batches where kernel (5.6) and bcc can, which is some 20 times cheaper."""
    try:
        return list(table.items_lookup_batch())
    except Exception:  # bcc raises a bare Exception for what the kernel cannot do
        return table.items()
