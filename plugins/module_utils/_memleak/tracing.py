# SPDX-License-Identifier: GPL-3.0-or-later
"""The bcc engine of memleak: allocations and frees as they happen, weighed with the kernel's own counters."""

import collections
import mmap
import os
import platform
import random
import re
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import (
    btf,
    engine,
    kallsyms,
    kcore,
    maps,
    overhead,
    program,
    sandbox,
    stacks,
)
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import allocators, bpf, facts, sites, suspects, triage

SETTLE_S = 2.0
_NEEDED = {
    'slab': (('kmem:kmalloc', ('call_site', 'ptr', 'bytes_alloc', 'gfp_flags')), ('kmem:kfree', ('ptr',)),
             ('kmem:kmem_cache_alloc', ('call_site', 'ptr', 'bytes_alloc', 'gfp_flags')), ('kmem:kmem_cache_free', ('ptr',))),
    'page': (('kmem:mm_page_alloc', ('pfn', 'order', 'gfp_flags')), ('kmem:mm_page_free', ('pfn', 'order'))),
    'percpu': (('percpu:percpu_alloc_percpu', ('size', 'ptr')), ('percpu:percpu_free_percpu', ('ptr',))),
    'vmalloc': (),
}
_VMALLOC_FUNCTIONS = ('__vmalloc_node_range_noprof', '__vmalloc_node_range')
_MOST_SAMPLE = 1024
# Without reads in batches (before 5.6) an entry takes two system calls.
_OBJECTS_ONE_BY_ONE = 16384
# Reading survivors may take so long, as sorting them takes as much again: window.READ_LIMIT_S is for all of it.
_READ_S = 6.0
_FULL, _TIGHT = 0.6, 0.45  # shares of the table of survivors: to be swept from, and that all groups together may keep
_REVIEW_NS = 2000000000  # the longest time between two
# Code that enters interrupts: (first symbol, last one; None: this function alone).
_BOUNDARIES = (('__irqentry_text_start', '__irqentry_text_end'), ('__softirqentry_text_start', '__softirqentry_text_end'),
               ('handle_softirqs', None), ('__do_softirq', None))
_PAGE_BULK = ('alloc_pages_bulk_noprof', '__alloc_pages_bulk')


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
        self._overhead = self._code = None
        self._flagged = {}  # call site: when it began to be followed with its stacks
        self._rates = {}  # call site: allocations per second
        self._frames = {}  # (stack, site): names
        self._lowered = 1
        self._dropped = 0  # objects, when the table of survivors was read last
        self._cap = 0  # objects of one group that are followed
        self._pieces_ns = None  # since when blocks of pages are followed that are given back in pieces
        self._shallow = False  # call stacks hold one frame
        self._sweep_at = _FULL  # share of the table of survivors from which it is swept next
        self._removed = 0  # entries that user space took out of the table
        self._bulk_frees = False  # frees of many slab objects at once are seen
        self._followed = 0.0, {}  # seconds, and objects of each group that were followed by then

    def check_options(self):
        self._types = facts.types(self.options)
        self._size = 0
        if self.options['cache']:
            self._size = facts.cache_size(self.options['cache'])

    def compile_and_attach(self):
        self._modules, self._code = kallsyms.ModuleSymbols(), kcore.Code()
        self._modules.refresh()
        if self._modules.hidden:
            self.degradations.append('the kernel hides its symbols (kernel.kptr_restrict=2): functions are numbers, '
                                     'and nothing is called a leak')
        functions = self._functions()
        salt = random.SystemRandom().getrandbits(62)
        if _release() < (5, 6):
            bpf.OBJECTS = min(bpf.OBJECTS, _OBJECTS_ONE_BY_ONE)
        # Who asks for all objects gets exact counts, as long as there is room.
        self._cap = bpf.OBJECTS // (4 if self.options['sample'] == 1 or self._size else 16)
        extents = [self._modules.extent(first, last) for first, last in _BOUNDARIES]
        self._program = program.Program(bpf.text(functions, salt, stacks.DEPTH, os.sysconf('SC_NPROCESSORS_CONF'), self._offsets,
                                                 sorted(set(extent for extent in extents if extent)),
                                                 self._account_flag))
        refused = {}
        for function in functions:
            if function.group in refused:
                continue
            try:
                self._attach(function)
            except Unavailable as error:
                if not function.group:
                    raise
                refused[function.group] = error
        self._bulk_frees = bpf.BULK_FREES not in refused and any(function.group == bpf.BULK_FREES for function in functions)
        for group, error in sorted(refused.items()):
            self.degradations.append('%s are not seen, the kernel\'s counters alone tell of them: %s' % (group, str(error)[:300]))
        self._calls = self._modules.system_calls()
        self._modules.forget_kernel()
        self._symbols = stacks.Symbols(self._program.bpf, self._modules, self._code)
        self._overhead = overhead.Overhead(self._program, os.sysconf('SC_NPROCESSORS_ONLN'))
        self._try_stacks()

    def _try_stacks(self):
        """Look how deep the call stacks of allocations are that this process makes itself.

        On kernels from 4.14 to 5.1 with the ORC unwinder, stacks of tracepoints hold the BPF program alone.
        """
        if not self.options['stacks'] or self._modules.hidden or not {'slab', 'page'}.intersection(self._types):
            return
        config = self._program.table('config')
        value = config.Leaf()
        value.trial = os.getpid()
        config[config.Key(0)] = value
        for _again in range(8):
            for end in os.pipe():
                os.close(end)
            memory = mmap.mmap(-1, 64 * mmap.PAGESIZE)
            for page in range(64):
                memory[page * mmap.PAGESIZE] = 1
            memory.close()
        config[config.Key(0)] = config.Leaf()
        found, _all = maps.items(self._program.table('stacks'), bpf.STACKS)
        deepest = max([len(self._symbols.own_stack(list(value.ip))) for _key, value in found] or [0])
        if found and deepest < 2:
            self._shallow = True
            self.degradations.append('call stacks of this kernel hold no caller: slab objects are told apart by the caller that the '
                                     'tracepoint names, and where pages were allocated is not known')

    def _functions(self):
        """Choose what to attach to, for the types that are asked for. Raises Unavailable when the kernel has not what a type needs."""
        raw = _release() >= (4, 17)
        offsets = btf.offsets('kmem_cache', ('name', 'size', 'flags')) if 'slab' in self._types else None
        self._offsets = (offsets['name'], offsets['size'], offsets['flags']) if offsets else None
        self._tells_charged = set()
        event = 'mm_page_alloc' if 'page' in self._types else 'kmalloc'
        self._account_flag = allocators.account_flag(procfs.read_text('%s/events/kmem/%s/format' % (sandbox.TRACEFS, event)))
        if self._account_flag:
            self._tells_charged.add(bpf.PAGE)
        found, batch, kprobes = [], [], program.has_kprobes()
        for kind in [kind for kind in _NEEDED if kind in self._types]:
            for event, fields in _NEEDED[kind]:
                if kind != 'percpu' or self.options['type'] != ['auto'] or program.tracepoint_fields(event) is not None:
                    program.require(event, fields)
        if 'slab' in self._types:
            layout = self._layout(raw)
            if layout == 'cache' and self._account_flag:  # elsewhere only the flags of the allocation are seen, not those of its cache
                self._tells_charged.add(bpf.SLAB)
            found += bpf.frees(layout != 'fields')
            if kprobes and _release() >= (5, 3) and self._modules.has('kmem_cache_free_bulk'):
                batch += bpf.bulk_frees()
                if self._offsets:
                    batch += bpf.bulk_allocations()
        if 'page' in self._types:
            found += bpf.pages(raw)
            bulk = next((name for name in _PAGE_BULK if self._modules.has(name)), None)
            if kprobes and raw and bulk:
                batch += bpf.bulk_pages(bulk, 'ctx->r8' if _release() >= (6, 14) else 'ctx->r9')
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
        elif how == 'turn':
            self._program.call_in_turn('turns', int(at), function.name)
        else:
            symbol = at if self._modules.has(at) or not self._modules.has(at + '_noprof') else at + '_noprof'
            self._program.attach_kprobe(symbol, function.name, at_return=how == 'kretprobe')

    def start(self, duration_s):
        self._settle_ns, self._duration_s = settle_ns(duration_s), duration_s
        self._shift = 20
        while duration_s * 1e9 / (1 << self._shift) > bpf.SLOTS:
            self._shift += 1
        self._all = self.options['stacks'] and not self._shallow and (self.options['sample'] == 1 or bool(self._size))
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
        value.cap, value.splits = self._cap, self._pieces_ns is not None
        config[config.Key(0)] = value

    def poll(self, timeout_s):
        time.sleep(timeout_s)
        self._watch.poll()
        self._modules.refresh()
        if self._overhead.poll():
            self._enforce_budget()
        self._make_room()
        if ktime_ns() >= self._next_review_ns:
            self._next_review_ns += min(1 << self._shift, _REVIEW_NS)
            self._review()

    def _enforce_budget(self):
        """Follow fewer when the functions take more than they may."""
        if self._overhead.percent > self.options['max_overhead_percent'] and self._sample * self._lowered < _MOST_SAMPLE:
            self._lowered *= 2
            self._configure()
            self._overhead.reread_soon()

    def _make_room(self):
        """Take out of the table of survivors what was left out when its group's mask rose, before the table is full."""
        counts = self._counts()
        held = counts[bpf.ADDED] - counts[bpf.REMOVED] - self._removed
        if counts[bpf.DROPPED] > self._dropped:
            self._dropped = counts[bpf.DROPPED]
            if self._sample * self._lowered < _MOST_SAMPLE:
                self._lowered *= 2
        elif held < self._sweep_at * bpf.OBJECTS:
            return
        table = self._program.table('live')
        masks = dict(((key.site, key.cache, key.stack, key.type), value.mask)
                     for key, value in maps.items(self._program.table('groups'), bpf.GROUPS)[0])
        numbers, left_out = collections.Counter(), []
        for key, value in maps.items(table, bpf.OBJECTS)[0]:
            group = (value.site, value.cache, value.stack, value.type)
            if value.type != bpf.VMALLOC and value.chosen & masks.get(group, 0):
                left_out.append(key)
            else:
                numbers[group] += 1
        self._removed += maps.delete(table, left_out)
        left = sum(numbers.values())
        room = int(_TIGHT * bpf.OBJECTS) // (2 if counts[bpf.DROPPED] else 1)
        if left > room or counts[bpf.DROPPED]:
            self._share_room(list(numbers.values()), room)
        # Reading the table costs time of the host: not again before it has grown.
        self._sweep_at = max(_FULL, min(0.9, left / float(bpf.OBJECTS) + 0.1))
        self._configure()

    def _share_room(self, numbers, room):
        """Lower the cap so that groups of so many objects each fit into `room`."""
        self._cap = min(self._cap, max(bpf.LEAST_CAP, suspects.fair_cap(numbers, room)))

    def _lower_cap(self, rows, elapsed_s):
        """Lower the cap of all groups when the table would be too full after as long again, if the window goes on for so long.

        rows: [(key, value)] of the map `groups`. Many sites that leak evenly are under the cap for long, each of them. A group is
        taken to go on as it did since the last review.
        """
        then, before = self._followed
        ahead = max(0.0, min(elapsed_s, self._duration_s - elapsed_s)) / max(1e-3, elapsed_s - then)
        followed = dict(((key.site, key.cache, key.stack, key.type), value.followed) for key, value in rows if key.type != bpf.VMALLOC)
        self._followed = elapsed_s, followed
        numbers = [min(self._cap, now + int(max(0, now - before.get(key, 0)) * ahead)) for key, now in followed.items() if now > 0]
        room = int(_TIGHT * bpf.OBJECTS)
        if sum(numbers) > room:
            self._share_room(numbers, room)
            self._configure()

    def _review(self):
        """Look for call sites that deserve their stacks, and note names that may go with their module."""
        rows = maps.items(self._program.table('groups'), bpf.GROUPS)[0]
        groups = sites.read_groups(rows)
        elapsed_s = (ktime_ns() - self._opened_ns) / 1e9
        self._lower_cap(rows, elapsed_s)
        counts = self._counts()
        if not self._overhead.known:
            self._overhead.estimate(counts[bpf.FOLLOWED], elapsed_s, self._sample * self._lowered)
            self._enforce_budget()
        slot = (ktime_ns() - self._opened_ns) >> self._shift
        settle_slots = 1 + (self._settle_ns >> self._shift)
        if 'slab' in self._types and self.options['stacks'] and not self._all and not self._shallow:
            chosen, mask = suspects.select_suspects(groups, slot, settle_slots, elapsed_s, os.sysconf('SC_NPROCESSORS_ONLN'), self._rates)
            if set(chosen) != set(self._rates):
                self._flag(chosen, mask)
        if self._pieces_ns is None and suspects.are_blocks_that_grow(groups, slot, settle_slots):
            self._pieces_ns = ktime_ns()
            self._configure()
        table = self._program.table('stacks')
        for group in groups:
            if group.stack and (group.stack, 0) not in self._frames:
                self._frames[group.stack, 0] = None
                try:
                    self._symbols.remember(table[table.Key(group.stack)].ip)
                except KeyError:
                    pass

    def _flag(self, chosen, mask):
        table = self._program.table('suspects')
        for site in chosen:
            hashed = site * 0x9E3779B97F4A7C15 & 0xffffffffffffffff
            for index in (hashed >> 54, hashed >> 44 & bpf.SUSPECTS - 1):
                if site not in self._flagged and not table[table.Key(index)].value:
                    table[table.Key(index)] = table.Leaf(site)
                    self._flagged[site] = ktime_ns()
        self._rates = dict((site, rate) for site, rate in chosen.items() if site in self._flagged)
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
        groups = sites.read_groups(maps.items(self._program.table('groups'), bpf.GROUPS)[0])
        self._account(counts, groups)
        rows, whole = maps.items(self._program.table('live'), bpf.OBJECTS, _READ_S)
        objects = sites.read_objects(rows, self._tells_charged)
        account = allocators.slab_account(btf.enumerators('_slab_flag_bits', ('_SLAB_ACCOUNT',)))
        self._caches = dict((key.value, (value.name.decode('utf-8', 'replace'), bool(value.flags & account)))
                            for key, value in maps.items(self._program.table('caches'), 1024)[0])
        held = max(1, len(rows), counts[bpf.ADDED] - counts[bpf.REMOVED] - self._removed)
        if not whole:
            self.degradations.append('%d of %d survivors were read, then time was over: the others are estimated' % (len(rows), held))
        overflow = self._program.table('overflow')
        begin_ns, end_ns = evaluated_part(self._opened_ns, self._closed_ns, overflow[0].value, overflow[1].value)
        if overflow[0].value:
            self.degradations.append('the table of survivors was full at %.1f s: the verdict is that of the seconds from %.1f to %.1f'
                                     % tuple((at_ns - self._opened_ns) / 1e9 for at_ns in (overflow[0].value, begin_ns, end_ns)))
        sorter = sites.Sites(self._names, self._caches.get, begin_ns, end_ns, self._settle_ns,
                             self._flagged, self._pieces_ns)
        found = sorter.fill(groups, objects, 1.0 if whole else len(rows) / float(held))
        if self.options['cache']:
            found = [site for site in found if not site.caches or self.options['cache'] in site.caches]
        if 'vmalloc' in self._types:
            found += self._vmalloc_sites(groups, objects)
        if not self.options['stacks']:
            for site in found:
                site.frames = site.frames[:1]
        slots = ((self._closed_ns - self._opened_ns) >> self._shift) + 1
        evaluated_s = window_s - (self._closed_ns - self._opened_ns - (end_ns - begin_ns)) / 1e9
        measured = facts.Measured(self.options, self._watch, window_s, min(slots, bpf.SLOTS), (1 << self._shift) / 1e9,
                                  self._modules.hidden, whole and not overflow[0].value, evaluated_s, calls=self._calls,
                                  bulk_frees=self._bulk_frees)
        sample = min(_MOST_SAMPLE, self._sample * self._lowered)
        budget = {'max_overhead_percent': self.options['max_overhead_percent'], 'map_bytes': self._program.map_bytes(),
                  'overhead_percent': round(self._overhead.worst_percent, 2) if self._overhead.percent is not None else None,
                  'lowered': self._lowered, 'followed_events': counts[bpf.FOLLOWED], 'suspects': len(self._flagged)}
        return measured.data(found, sample, budget)

    def _names(self, stack, site):
        """The names of a stack, or of a call site where there is none, innermost first; only of functions that have one."""
        if self._frames.get((stack, site)) is None:
            addresses, named = [], []
            if stack:
                table = self._program.table('stacks')
                try:
                    addresses = list(table[table.Key(stack)].ip)
                except KeyError:
                    pass
                named = stacks.within_dispatch(self._symbols.own_stack(addresses))
            if site and not named:
                named = self._symbols.stack([site]) if self._modules.hidden else self._symbols.call_site(site)
            self._frames[stack, site] = tuple(named)
        return self._frames[stack, site]

    def _vmalloc_sites(self, groups, objects):
        """A Site for each caller of vmalloc that holds new areas, with the stack that made most of them."""
        who = dict((one.stack, one) for one in objects if one.type == bpf.VMALLOC)
        made = [(sum(group.allocated_bytes), group, self._names(group.stack, 0)) for group in groups if group.type == bpf.VMALLOC]
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
            site = sites.Site('vmalloc', frames, cohort, True)
            site.areas_of = caller
            for at_ns, size, _weight in cohort.survivors:
                site.sizes[size] += 1
                site.allocated_bytes[max(0, min(bpf.SLOTS - 1, (at_ns - self._opened_ns) >> self._shift))] += size
            for _bytes, group, _frames in own:
                one = who.get(group.stack)
                if one is not None:  # who made the first area of this stack
                    site.comms[one.comm] += group.allocations
                    site.add_allocator(one.tgid, one.comm, group.allocations)
            site.allocations = max(cohort.allocations, sum(row[1].allocations for row in own))
            site.frees = site.allocations - len(cohort.survivors)
            found.append(site)
        return found

    def close(self):
        if self._overhead is not None:
            self._overhead.close()
        if self._code is not None:
            self._code.close()
        super().close()

    def _account(self, counts, groups):
        # What was dropped had been chosen to be followed; what was missed had not been chosen yet.
        sample = self._sample * self._lowered
        events = sum(group.allocations + group.frees for group in groups)
        dropped = sum(group.dropped for group in groups)
        self.account_lost(dropped + self._program.missed(), events, 'events', 'counts are too low or objects look unfreed that are not '
                          '(%d because the table of survivors was full)' % dropped)
        if engine.is_degrading(counts[bpf.STACKLESS], counts[bpf.FOLLOWED]):
            self.degradations.append('%d followed allocations have no call stack: others have their place in the table of stacks'
                                     % counts[bpf.STACKLESS])
        if engine.is_degrading(counts[bpf.GROUPLESS], counts[bpf.FOLLOWED]):
            self.degradations.append('%d followed allocations are not counted: the table of call sites was full' % counts[bpf.GROUPLESS])
        # To follow fewer for max_overhead_percent makes intervals wider, and nothing is missing.
        if self._lowered > 1 and self._dropped:
            self.degradations.append('one address in %d was followed instead of one in %d, because the table of survivors was full'
                                     % (min(_MOST_SAMPLE, sample), self._sample))
        if (self._overhead.percent or 0) > self.options['max_overhead_percent'] and sample >= _MOST_SAMPLE:
            self.degradations.append('tracing took %.1f %% of the CPUs all the same: this host allocates very often'
                                     % self._overhead.percent)


def _release():
    found = re.match(r'(\d+)\.(\d+)', platform.release())
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def evaluated_part(opened_ns, closed_ns, first_ns, last_ns):
    """Return (begin, end) of the longer part of the window in which no allocation was dropped.

    first_ns, last_ns: when the first and the last one was; 0: none.
    """
    if not first_ns:
        return opened_ns, closed_ns
    if first_ns - opened_ns >= closed_ns - last_ns:
        return opened_ns, first_ns
    return min(last_ns, closed_ns), closed_ns
