# SPDX-License-Identifier: GPL-3.0-or-later
"""From the maps of the BPF program to allocation sites: what one call stack allocated, freed and holds."""

import collections
import math

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import bpf
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.survivors import Cohort

# Pages behind other memory that is counted itself: slabs, large kmalloc, vmalloc areas, per-CPU chunks.
_OTHERS_PAGES = frozenset((
    'allocate_slab', 'new_slab', 'alloc_slab_page', '___slab_alloc', '___kmalloc_large_node', '__kmalloc_large_node',
    'kmalloc_large_node', 'kmalloc_large', 'kmalloc_order', 'kmalloc_order_trace', '__vmalloc_area_node',
    'vm_area_alloc_pages', '__vmalloc_node_range', '__vmalloc_node_range_noprof', 'pcpu_populate_chunk',
    'pcpu_alloc_pages', 'pcpu_alloc', 'pcpu_alloc_noprof', 'pcpu_create_chunk', 'apply_to_pte_range',
    'memcg_alloc_page_obj_cgroups', 'alloc_slab_obj_exts'))

Group = collections.namedtuple(
    'Group', 'site cache stack type allocations frees old_freed_bytes dropped mask allocated_bytes freed_bytes allocated freed')
Object = collections.namedtuple('Object', 'site cache stack type at_ns bytes mask chosen comm tgid accounted')
Object.__new__.__defaults__ = (0, None)


def read_groups(items):
    """Return [Group] of the entries of the BPF map, as plain values."""
    return [Group(key.site, key.cache, key.stack, key.type, value.allocations, value.frees, value.old_frees, value.dropped, value.mask,
                  list(value.allocated_bytes), list(value.freed_bytes), list(value.allocated), list(value.freed)) for key, value in items]


def read_objects(items, tells_charged=()):
    """Return [Object] of the entries of the BPF map, as plain values. accounted: None where it is not known.

    tells_charged: types of which an allocation without the flag is known to be charged to nobody, but for its cache.
    """
    return [Object(value.site, value.cache, value.stack, value.type, value.at_ns, value.bytes, value.mask, value.chosen,
                   value.comm.decode('utf-8', 'replace'), value.tgid,
                   True if value.accounted else False if value.type in tells_charged else None) for _key, value in items]


class Site:
    """One type and call stack. It may have several groups: inlined copies, several caches, pages of several sizes."""

    def __init__(self, kind, frames, cohort, traced):
        self.type, self.frames, self.cohort, self.traced = kind, frames, cohort, traced
        self.allocated_bytes, self.freed_bytes = [0.0] * bpf.SLOTS, [0.0] * bpf.SLOTS
        self.caches, self.sizes, self.comms = collections.Counter(), collections.Counter(), collections.Counter()
        self._allocators = {True: collections.Counter(), False: collections.Counter()}  # (tgid, comm): survivors; of those that settled
        self.charged = {True: 0, False: 0, None: 0}  # survivors that are charged to a cgroup, that are not, of which that is not known
        self.largest_weight = 1
        self.earlier_bytes = self.earlier_objects = 0.0  # from before it was traced: its share of what its call site held
        self.allocations = self.frees = 0.0
        self.dropped = 0
        self.areas_of = None  # the caller whose vmalloc areas these are

    def add_group(self, group):
        self.cohort.old_freed_bytes += group.old_freed_bytes
        self.dropped += group.dropped
        self.add_share(group, 1.0)

    def add_share(self, group, share):
        self.allocations += group.allocations * share
        self.frees += group.frees * share
        for slot in range(bpf.SLOTS):
            self.allocated_bytes[slot] += group.allocated_bytes[slot] * share
            self.freed_bytes[slot] += group.freed_bytes[slot] * share

    def add_survivor(self, at_ns, size, weight, cache, comm, tgid=0, charged=None):
        """charged: whether a cgroup pays for it, None: not known."""
        self.cohort.survivors.append((at_ns, size, weight))
        self.charged[charged] += weight
        if tgid:
            self.add_allocator(tgid, comm, weight, at_ns <= self.cohort.until_ns - self.cohort.settle_ns)
        self.sizes[size] += weight
        self.largest_weight = max(self.largest_weight, int(math.ceil(weight)))
        if cache:
            self.caches[cache] += weight
        if comm:
            self.comms[comm] += 1

    def add_allocator(self, tgid, comm, weight, settled=True):
        self._allocators[settled][tgid, comm] += weight

    @property
    def allocators(self):
        """Who allocated what survived, {(tgid, comm): objects}: of what is old enough to count, where anything is."""
        return self._allocators[True] or self._allocators[False]

    @property
    def charged_share(self):
        """The share of the survivors that is charged to cgroups, None: not known."""
        known = self.charged[True] + self.charged[False]
        return self.charged[True] / float(known) if known else None

    @property
    def objects(self):
        """Objects outstanding, estimated."""
        return int(round(sum(weight for _at, _size, weight in self.cohort.survivors) + self.earlier_objects))

    @property
    def bytes(self):
        """Bytes outstanding, estimated."""
        return int(round(sum(size * weight for _at, size, weight in self.cohort.survivors) + self.earlier_bytes))

    def points(self, slots, slot_s, window_s):
        """Return the bytes outstanding over the window, [[seconds, bytes], …], one point for each of its slots."""
        total, found = 0.0, [[0.0, 0]]
        for slot in range(slots):
            total += self.allocated_bytes[slot] - self.freed_bytes[slot]
            found.append([round(min(window_s, (slot + 1) * slot_s), 2), int(max(0, total))])
        return found


class Sites:
    """Sorts groups and survivors into allocation sites.

    names: frames_of(stack, call site) gives a tuple of names; cache_of(pointer) (name of a slab cache, whether its objects are
    charged to cgroups) or None.
    opened_ns, closed_ns, settle_ns: of the window; flagged: {call site: when it began to be followed with its stacks};
    pieces_ns: since when pages that are given back in pieces are followed, None: they are not.
    """

    def __init__(self, frames_of, cache_of, opened_ns, closed_ns, settle_ns, flagged, pieces_ns=None):
        self._frames_of, self._cache_of = frames_of, cache_of
        self._opened_ns, self._closed_ns, self._settle_ns, self._flagged = opened_ns, closed_ns, settle_ns, flagged
        self._pieces_ns = pieces_ns
        self.found = {}
        self._by_group = {}

    def fill(self, groups, objects, share=1.0):
        """groups: [Group]; objects: [Object], by chance this share of all there are. Returns [Site]."""
        first_stage = collections.defaultdict(list)
        traced = collections.defaultdict(list)
        masks = {}
        for group in groups:
            key = (group.site, group.cache, group.stack, group.type)
            masks[key] = group.mask
            if group.type == bpf.VMALLOC:
                continue
            if group.type == bpf.SLAB and not group.stack and group.site in self._flagged:
                first_stage[group.site].append(group)
                continue
            site = self._site(key)
            if site is None:
                continue
            site.add_group(group)
            if group.type == bpf.SLAB and group.stack and group.site in self._flagged:
                traced[group.site].append((site, group))
        earlier = collections.defaultdict(lambda: [0, 0])
        for one in objects:
            key = (one.site, one.cache, one.stack, one.type)
            common = masks.get(key, 0)
            if one.type == bpf.VMALLOC or one.chosen & common:
                continue  # left out when the group's mask rose
            weight = (one.mask | common) + 1
            if share < 1:
                weight /= share
            if one.type == bpf.SLAB and not one.stack and one.site in self._flagged:
                earlier[one.site][0] += one.bytes * weight
                earlier[one.site][1] += weight
                continue
            site = self._site(key)
            if site is not None:
                cache, charged = self._cache_of(one.cache) or (None, None)
                charged = True if charged else one.accounted
                site.add_survivor(one.at_ns, one.bytes, weight, cache, one.comm, one.tgid, charged)
        self._share(first_stage, traced, earlier)
        return list(self.found.values())

    def _share(self, first_stage, traced, earlier):
        """What a call site did before it was followed with its stacks is shared out among them."""
        for address, groups in first_stage.items():
            parts = traced.get(address)
            if not parts:  # nothing came from it since: its call site is all that is known
                site = self._site((address, groups[0].cache, 0, bpf.SLAB))
                for group in groups:
                    site.add_group(group)
                site.earlier_bytes, site.earlier_objects = earlier[address]
                continue
            total = float(sum(sum(group.allocated_bytes) - sum(group.freed_bytes) for _site, group in parts)) or 1.0
            for site, own in parts:
                share = max(0.0, (sum(own.allocated_bytes) - sum(own.freed_bytes)) / total)
                for group in groups:
                    site.add_share(group, share)
                site.earlier_bytes += earlier[address][0] * share
                site.earlier_objects += earlier[address][1] * share

    def _site(self, key):
        """Return the Site of a group's key; None for pages that are counted as something else."""
        if key in self._by_group:
            return self._by_group[key]
        address, _cache, stack, kind = key
        frames = self._frames_of(stack, address if kind == bpf.SLAB else 0)
        site = None
        if kind != bpf.PAGE or not any(stacks.bare(frame) in _OTHERS_PAGES and not stacks.module_of(frame) for frame in frames):
            site = self.found.get((kind, frames))
            if site is None:
                since_ns = self._opened_ns
                if kind == bpf.SLAB and stack:
                    since_ns = max(since_ns, self._flagged.get(address, since_ns))
                if kind == bpf.PAGE and self._pieces_ns and 0 < address & 0xff <= bpf.SPLIT_ORDER:
                    since_ns = max(since_ns, self._pieces_ns)
                site = Site(bpf.TYPES[kind], frames, Cohort(since_ns, self._closed_ns, self._settle_ns), bool(stack))
                self.found[kind, frames] = site
        self._by_group[key] = site
        return site
