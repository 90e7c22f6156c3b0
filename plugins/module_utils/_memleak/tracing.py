# SPDX-License-Identifier: GPL-3.0-or-later
"""The bcc engine of memleak: allocations and frees as they happen, weighed with the kernel's own counters."""

import os
import platform
import random
import re
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf, engine, kallsyms, overhead, program, stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import bpf, facts, places, suspects, triage

SETTLE_S = 2.0
_NEEDED = {
    'slab': (('kmem:kmalloc', ('call_site', 'ptr', 'bytes_alloc')), ('kmem:kfree', ('ptr',)),
             ('kmem:kmem_cache_alloc', ('call_site', 'ptr', 'bytes_alloc')), ('kmem:kmem_cache_free', ('ptr',))),
    'page': (('kmem:mm_page_alloc', ('pfn', 'order', 'gfp_flags')), ('kmem:mm_page_free', ('pfn', 'order'))),
    'percpu': (('percpu:percpu_alloc_percpu', ('size', 'ptr')), ('percpu:percpu_free_percpu', ('ptr',))),
    'vmalloc': (),
}
_VMALLOC_FUNCTIONS = ('__vmalloc_node_range_noprof', '__vmalloc_node_range')
_MOST_SAMPLE = 1024


def ktime_ns():
    """The clock of bpf_ktime_get_ns."""
    return int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)


def settle_ns(duration_s):
    """How old an object must be to be counted: what is younger may still be in use."""
    return int(min(SETTLE_S, duration_s / 5.0) * 1e9)


class BccEngine(engine.BccEngine):
    """bcc on the kmem tracepoints."""

    def __init__(self, options):
        super().__init__(options)
        self._overhead = None
        self._flagged = {}  # call site: when it began to be followed with its stacks
        self._rates = {}  # call site: allocations per second
        self._frames = {}  # (stack, site): names
        self._lowered = 1
        self._dropped = 0  # objects, when the table of live ones was looked at last

    def check_options(self):
        self._types = facts.types(self.options)
        self._size = 0
        if self.options['cache']:
            self._size = facts.cache_size(self.options['cache'])

    def compile_and_attach(self):
        self._modules = kallsyms.ModuleSymbols()
        self._modules.refresh()
        if self._modules.hidden:
            self.degradations.append('the kernel hides its symbols (kernel.kptr_restrict=2): functions are numbers, and nothing is called a leak')
        functions = self._functions()
        salt = random.SystemRandom().getrandbits(62)
        self._program = program.Program(bpf.text(functions, salt, stacks.DEPTH, os.sysconf('SC_NPROCESSORS_CONF'), self._offsets))
        for function in functions:
            try:
                self._attach(function)
            except Unavailable:
                # A verifier that does not take the loops: as on a host without kprobes, the slab counters tell what was freed unseen.
                if not function.at.startswith('k') or 'bulk' not in function.at:
                    raise
                break
        self._modules.forget_kernel()
        self._symbols = stacks.Symbols(self._program.bpf, self._modules)
        self._overhead = overhead.Overhead(self._program, os.sysconf('SC_NPROCESSORS_ONLN'))

    def _functions(self):
        """Choose what to attach to, for the types that are asked for. Raises Unavailable when the kernel has not what a type needs."""
        raw = _release() >= (4, 17)
        offsets = btf.offsets('kmem_cache', ('name', 'size')) if 'slab' in self._types else None
        self._offsets = (offsets['name'], offsets['size']) if offsets else None
        found, batch, kprobes = [], [], program.has_kprobes()
        for kind in [kind for kind in _NEEDED if kind in self._types]:
            for event, fields in _NEEDED[kind]:
                if kind != 'percpu' or self.options['type'] != ['auto'] or program.tracepoint_fields(event) is not None:
                    program.require(event, fields)
        if 'slab' in self._types:
            layout = self._layout(raw)
            found += bpf.frees(layout != 'fields')
            if kprobes and _release() >= (5, 3) and self._modules.has('kmem_cache_free_bulk'):
                batch = bpf.bulk(layout)
        if 'page' in self._types:
            found += bpf.pages(raw)
        if 'slab' in self._types:
            found += bpf.slab(layout, program.tracepoint_fields('kmem:kmalloc_node') is not None)
        if 'percpu' in self._types and program.tracepoint_fields('percpu:percpu_alloc_percpu') is not None:
            found += bpf.percpu()
        elif 'percpu' in self._types:
            self.degradations.append('per-CPU memory is not measured: this kernel has no tracepoint for it')
        if 'vmalloc' in self._types:
            found += self._vmalloc(kprobes)
        return found + batch

    def _layout(self, raw):
        """How the arguments of the slab tracepoints lie (include/trace/events/kmem.h)."""
        accounted = 'accounted' in program.tracepoint_fields('kmem:kmem_cache_alloc')  # since 5.19
        if not raw:
            return 'fields'
        if not accounted:
            return 'sizes'
        node = 'node' in program.tracepoint_fields('kmem:kmalloc')  # since 6.1
        return 'cache' if node and self._offsets else 'fields'

    def _vmalloc(self, kprobes):
        try:
            triage.areas.read()
        except OSError as error:
            if self.options['type'] == ['auto']:
                self.degradations.append('vmalloc is not measured: %s' % error)
                return []
            raise Unavailable('/proc/vmallocinfo cannot be read: %s' % error, 'Run the play with become: true, on the host itself.')
        if program.tracepoint_fields('vmalloc:alloc_vmap_area') is not None:
            return bpf.vmalloc(None)
        function = next((name for name in _VMALLOC_FUNCTIONS if self._modules.has(name)), None)
        return bpf.vmalloc(function) if kprobes and function else []  # without them there are callers, but no stacks

    def _attach(self, function):
        how, _colon, at = function.at.partition(':')
        if how == 'tracepoint':
            self._program.attach(at, function.name)
        elif how == 'raw':
            self._program.attach_raw(at, function.name)
        else:
            symbol = at if self._modules.has(at) or not self._modules.has(at + '_noprof') else at + '_noprof'
            self._program.attach_kprobe(symbol, function.name, at_return=how == 'kretprobe')

    def start(self, duration_s):
        self._settle_ns = settle_ns(duration_s)
        self._shift = 20
        while duration_s * 1e9 / (1 << self._shift) > bpf.SLOTS:
            self._shift += 1
        self._all = self.options['stacks'] and (self.options['sample'] == 1 or bool(self._size))
        self._sample = 1 if self._size else self.options['sample']
        self._watch = triage.Watch(duration_s, self._settle_ns, ktime_ns)
        self._watch.start()
        self._opened_ns = ktime_ns()
        self._next_review_ns = self._opened_ns + (1 << self._shift)
        self._suspect_mask = 0
        self._configure()
        self._program.open_gate()

    def _configure(self):
        sample = min(_MOST_SAMPLE, self._sample * self._lowered)
        config = self._program.table('config')
        value = config.Leaf()
        value.opened_ns, value.settle_ns, value.size, value.shift = self._opened_ns, self._settle_ns, self._size, self._shift
        value.slab_mask, value.page_mask = sample - 1, max(1, sample // 4) - 1
        value.page_passes = max(1, self._sample // 4) - 1
        value.suspect_mask = (self._suspect_mask + 1) * self._lowered - 1
        value.suspects, value.stacks = len(self._flagged), self._all
        config[config.Key(0)] = value

    def poll(self, timeout_s):
        time.sleep(timeout_s)
        self._watch.poll()
        self._modules.refresh()
        if self._overhead.poll():
            self._heed()
        if ktime_ns() >= self._next_review_ns:
            self._next_review_ns += 1 << self._shift
            self._review()

    def _heed(self):
        """Follow fewer when the functions take more than they may."""
        if self._overhead.percent > self.options['max_overhead_percent'] and self._sample * self._lowered < _MOST_SAMPLE:
            self._lowered *= 2
            self._configure()
            self._overhead.soon()

    def _review(self):
        """Look for call sites that deserve their stacks, and note names that may go with their module."""
        groups = places.read_groups(_items(self._program.table('groups')))
        elapsed_s = (ktime_ns() - self._opened_ns) / 1e9
        counts = self._counts()
        if not self._overhead.known:
            self._overhead.estimate(counts[bpf.FOLLOWED], elapsed_s, self._sample * self._lowered)
            self._heed()
        if counts[bpf.DROPPED] > self._dropped and self._sample * self._lowered < _MOST_SAMPLE:
            self._dropped = counts[bpf.DROPPED]
            self._lowered *= 2  # the table of live objects is full
            self._configure()
        if 'slab' in self._types and self.options['stacks'] and not self._all:
            settle_slots = 1 + (self._settle_ns >> self._shift)
            slot = (ktime_ns() - self._opened_ns) >> self._shift
            chosen, mask = suspects.look(groups, slot, settle_slots, elapsed_s, os.sysconf('SC_NPROCESSORS_ONLN'), self._rates)
            if set(chosen) != set(self._rates):
                self._flag(chosen, mask)
        table = self._program.table('stacks')
        for group in groups:
            if group.stack >= 0 and (group.stack, 0) not in self._frames:
                self._frames[group.stack, 0] = None
                self._symbols.remember(table[table.Key(group.stack)].ip)

    def _flag(self, chosen, mask):
        table = self._program.table('suspects')
        for site in chosen:
            index = (site * 0x9E3779B97F4A7C15 & 0xffffffffffffffff) >> 54
            if site not in self._flagged and not table[table.Key(index)].value:
                table[table.Key(index)] = table.Leaf(site)
                self._flagged[site] = ktime_ns()
        self._rates = chosen
        self._suspect_mask = mask
        self._configure()

    def stop(self):
        self._program.close_gate()
        self._closed_ns = ktime_ns()
        self._watch.stop()
        self._overhead.close()

    def _counts(self):
        return [sum(values) for _unused, values in sorted(
            (key.value, list(value)) for key, value in self._program.table('counts').items())]

    def read(self, window_s):
        counts = self._counts()
        self._account(counts)
        groups = places.read_groups(_items(self._program.table('groups')))
        objects = [(value.site, value.cache, value.stack, value.type, value.at_ns, value.bytes, value.weight,
                    value.comm.decode('utf-8', 'replace')) for _key, value in _items(self._program.table('live'))]
        self._caches = dict((key.value, value.name.decode('utf-8', 'replace')) for key, value in self._program.table('caches').items())
        sorter = places.Places(self._names, self._caches.get, self._opened_ns, self._closed_ns, self._settle_ns, self._flagged)
        found = sorter.fill(groups, objects)
        if self.options['cache']:
            found = [place for place in found if not place.caches or self.options['cache'] in place.caches]
        if 'vmalloc' in self._types:
            found += self._vmalloc_places(groups, objects)
        if not self.options['stacks']:
            for place in found:
                place.frames = place.frames[:1]
        slots = ((self._closed_ns - self._opened_ns) >> self._shift) + 1
        measured = facts.Measured(self.options, self._watch, window_s, min(slots, bpf.SLOTS), (1 << self._shift) / 1e9,
                                  self._modules.hidden)
        sample = min(_MOST_SAMPLE, self._sample * self._lowered)
        budget = {'max_overhead_percent': self.options['max_overhead_percent'], 'map_bytes': self._program.map_bytes(),
                  'overhead_percent': round(self._overhead.worst_percent, 2) if self._overhead.percent is not None else None,
                  'lowered': self._lowered, 'followed_events': counts[bpf.FOLLOWED], 'suspects': len(self._flagged)}
        return measured.data(found, sample, budget)

    def _names(self, stack, site):
        if self._frames.get((stack, site)) is None:
            addresses = [site]
            if stack >= 0:
                table = self._program.table('stacks')
                addresses = list(table[table.Key(stack)].ip)
            self._frames[stack, site] = tuple(self._symbols.stack(addresses))
        return self._frames[stack, site]

    def _vmalloc_places(self, groups, objects):
        """A Place for each caller of vmalloc that holds new areas, with the stack that made most of them."""
        comms = dict((row[2], row[7]) for row in objects if row[3] == bpf.VMALLOC)
        made = [(sum(group.born_bytes), group, self._names(group.stack, 0)) for group in groups if group.type == bpf.VMALLOC]
        made.sort(key=lambda row: -row[0])
        found = []
        for caller, cohort in self._watch.areas_cohorts().items():
            plain = caller.partition(' ')[0]
            own = [row for row in made if any(frame.partition(' ')[0] == plain for frame in row[2])]
            frames = (caller,)
            if own:
                frames = own[0][2]
                at = next(index for index, frame in enumerate(frames) if frame.partition(' ')[0] == plain)
                frames = frames[at:]
            place = places.Place('vmalloc', frames, cohort, True)
            for at_ns, size, _weight in cohort.alive:
                place.sizes[size] += 1
                place.born_bytes[max(0, min(bpf.SLOTS - 1, (at_ns - self._opened_ns) >> self._shift))] += size
            for _bytes, group, _frames in own[:1]:
                place.comms[comms.get(group.stack, '')] += group.allocations
            place.allocations = max(cohort.allocations, sum(row[1].allocations for row in own))
            place.frees = place.allocations - len(cohort.alive)
            found.append(place)
        return found

    def close(self):
        if self._overhead is not None:
            self._overhead.close()
        super().close()

    def _account(self, counts):
        # What was dropped had been chosen to be followed; what was missed had not been looked at yet.
        sample = self._sample * self._lowered
        events = counts[bpf.FOLLOWED] * sample
        dropped = counts[bpf.DROPPED] * sample
        self.account_lost(dropped + self._program.missed(), events, 'events', 'counts are too low or objects look unfreed that are not '
                          '(%d because the table of live objects was full)' % dropped)
        if engine.is_degrading(counts[bpf.STACKLESS], counts[bpf.FOLLOWED]):
            self.degradations.append('%d followed allocations have no call stack: others have their place in the table of stacks'
                               % counts[bpf.STACKLESS])
        if engine.is_degrading(counts[bpf.GROUPLESS], counts[bpf.FOLLOWED]):
            self.degradations.append('%d followed allocations are not counted: the table of call sites was full' % counts[bpf.GROUPLESS])
        if self._lowered > 1:
            self.degradations.append('one address in %d was followed instead of one in %d, %s'
                               % (min(_MOST_SAMPLE, sample), self._sample, 'because the table of live objects was full'
                                  if self._dropped else 'for max_overhead_percent=%g' % self.options['max_overhead_percent']))
        if (self._overhead.percent or 0) > self.options['max_overhead_percent'] and sample >= _MOST_SAMPLE:
            self.degradations.append('tracing took %.1f %% of the CPUs all the same: this host allocates very often'
                               % self._overhead.percent)


def _release():
    found = re.match(r'(\d+)\.(\d+)', platform.release())
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def _items(table):
    """All entries of a BPF hash; in batches where kernel (5.6) and bcc can, which is some 20 times cheaper."""
    try:
        return list(table.items_lookup_batch())
    except Exception:  # bcc raises a bare Exception for what the kernel cannot do
        return table.items()
