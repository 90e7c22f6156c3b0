# SPDX-License-Identifier: GPL-3.0-or-later
"""From the maps of the BPF program to places: what one call stack allocated, freed and holds."""

import collections

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

Group = collections.namedtuple('Group', 'site cache stack type allocations frees old_frees born_bytes freed_bytes born died')


def read_groups(items):
    """Return [Group] of the entries of the BPF map, as plain values."""
    return [Group(key.site, key.cache, key.stack, key.type, value.allocations, value.frees, value.old_frees,
                  list(value.born_bytes), list(value.freed_bytes), list(value.born), list(value.died)) for key, value in items]


class Place:
    """One type and call stack. It may have several groups: inlined copies, several caches, pages of several sizes."""

    def __init__(self, kind, frames, cohort, traced):
        self.type, self.frames, self.cohort, self.traced = kind, frames, cohort, traced
        self.born_bytes, self.freed_bytes = [0.0] * bpf.SLOTS, [0.0] * bpf.SLOTS
        self.caches, self.sizes, self.comms = collections.Counter(), collections.Counter(), collections.Counter()
        self.largest_weight = 1
        self.earlier_bytes = self.earlier_objects = 0.0  # from before it was traced: its share of what its call site held
        self.allocations = self.frees = 0.0

    def add_group(self, group):
        self.cohort.old_frees += group.old_frees
        self.add_share(group, 1.0)

    def add_share(self, group, share):
        self.allocations += group.allocations * share
        self.frees += group.frees * share
        for slot in range(bpf.SLOTS):
            self.born_bytes[slot] += group.born_bytes[slot] * share
            self.freed_bytes[slot] += group.freed_bytes[slot] * share

    def add_live(self, at_ns, size, weight, cache, comm):
        self.cohort.alive.append((at_ns, size, weight))
        self.sizes[size] += weight
        self.largest_weight = max(self.largest_weight, weight)
        if cache:
            self.caches[cache] += weight
        if comm:
            self.comms[comm] += 1

    @property
    def objects(self):
        """Objects outstanding, estimated."""
        return int(round(sum(weight for _at, _size, weight in self.cohort.alive) + self.earlier_objects))

    @property
    def bytes(self):
        """Bytes outstanding, estimated."""
        return int(round(sum(size * weight for _at, size, weight in self.cohort.alive) + self.earlier_bytes))

    def points(self, slots, slot_s, window_s):
        """Return the bytes outstanding over the window, [[seconds, bytes], …], one point for each of its slots."""
        total, found = 0.0, [[0.0, 0]]
        for slot in range(slots):
            total += self.born_bytes[slot] - self.freed_bytes[slot]
            found.append([round(min(window_s, (slot + 1) * slot_s), 2), int(max(0, total))])
        return found


class Places:
    """Sorts groups and live objects into places.

    names: frames_of(stack id, site) gives a tuple of names; cache_of(pointer) the name of a slab cache or None.
    opened_ns, closed_ns, settle_ns: of the window; flagged: {call site: when it began to be followed with its stacks}.
    """

    def __init__(self, frames_of, cache_of, opened_ns, closed_ns, settle_ns, flagged):
        self._frames_of, self._cache_of = frames_of, cache_of
        self._opened_ns, self._closed_ns, self._settle_ns, self._flagged = opened_ns, closed_ns, settle_ns, flagged
        self.found = {}
        self._by_group = {}

    def fill(self, groups, live):
        """groups: [Group]; live: [(site, cache, stack, type, born at, bytes, weight, comm)]. Returns [Place]."""
        first_stage = collections.defaultdict(list)
        traced = collections.defaultdict(list)
        for group in groups:
            key = (group.site, group.cache, group.stack, group.type)
            if group.type == bpf.VMALLOC:
                continue
            if group.type == bpf.SLAB and group.stack < 0 and group.site in self._flagged:
                first_stage[group.site].append(group)
                continue
            place = self._place(key)
            if place is None:
                continue
            place.add_group(group)
            if group.type == bpf.SLAB and group.stack >= 0 and group.site in self._flagged:
                traced[group.site].append((place, group))
        earlier = collections.defaultdict(lambda: [0, 0])
        for site, cache, stack, kind, at_ns, size, weight, comm in live:
            if kind == bpf.SLAB and stack < 0 and site in self._flagged:
                earlier[site][0] += size * weight
                earlier[site][1] += weight
                continue
            place = self._place((site, cache, stack, kind)) if kind != bpf.VMALLOC else None
            if place is not None:
                place.add_live(at_ns, size, weight, self._cache_of(cache), comm)
        self._share(first_stage, traced, earlier)
        return list(self.found.values())

    def _share(self, first_stage, traced, earlier):
        """What a call site did before it was followed with its stacks is shared out among them."""
        for site, groups in first_stage.items():
            parts = traced.get(site)
            if not parts:  # nothing came from it since: its call site is all that is known
                place = self._place((site, groups[0].cache, -1, bpf.SLAB))
                for group in groups:
                    place.add_group(group)
                place.earlier_bytes, place.earlier_objects = earlier[site]
                continue
            total = float(sum(sum(group.born_bytes) - sum(group.freed_bytes) for _place, group in parts)) or 1.0
            for place, own in parts:
                share = max(0.0, (sum(own.born_bytes) - sum(own.freed_bytes)) / total)
                for group in groups:
                    place.add_share(group, share)
                place.earlier_bytes += earlier[site][0] * share
                place.earlier_objects += earlier[site][1] * share

    def _place(self, key):
        """Return the Place of a group's key; None for pages that are counted as something else."""
        if key in self._by_group:
            return self._by_group[key]
        site, _cache, stack, kind = key
        frames = self._frames_of(stack, site if kind == bpf.SLAB else 0)
        place = None
        if kind != bpf.PAGE or not _OTHERS_PAGES.intersection(stacks.bare(frame) for frame in frames):
            place = self.found.get((kind, frames))
            if place is None:
                since_ns = self._opened_ns
                if kind == bpf.SLAB and stack >= 0:
                    since_ns = self._flagged.get(site, since_ns)
                place = Place(bpf.TYPES[kind], frames, Cohort(since_ns, self._closed_ns, self._settle_ns), stack >= 0)
                self.found[kind, frames] = place
        self._by_group[key] = place
        return place
