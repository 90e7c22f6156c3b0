# SPDX-License-Identifier: GPL-3.0-or-later
"""Which call sites of slab allocations are worth their call stacks, while the window is still open."""

from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import bpf

MOST = 256
_SURVIVORS, _SLOTS = 64, 3
# Stacks that may be taken in a second on each CPU, some microseconds each.
STACKS_PER_S = 2000


def select_suspects(groups, slot, settle_slots, elapsed_s, cpus, known):
    """Return ({call site: estimated allocations per second}, mask for following them) of all sites to follow.

    groups: [Group]; slot: the current one; settle_slots: how many before it are too young; known: {site: rate} that are followed already.
    """
    sites = {}
    for group in groups:
        if group.type == bpf.SLAB and not group.stack:
            entry = sites.setdefault(group.site, {'survivors': [0] * bpf.SLOTS, 'bytes': 0, 'rate': 0.0})
            for index in range(bpf.SLOTS):
                entry['survivors'][index] += group.allocated[index] - group.freed[index]
            entry['bytes'] += sum(group.allocated_bytes) - sum(group.freed_bytes)
            entry['rate'] += group.allocations / max(elapsed_s, 1e-3)
    settled = slot - settle_slots
    chosen = dict(known)
    if settled >= _SLOTS:
        new = [(entry['bytes'], site) for site, entry in sites.items()
               if site not in chosen and _grows(entry['survivors'][:settled], entry['bytes'])]
        for _unused, site in sorted(new, reverse=True)[:MOST - len(chosen)]:
            chosen[site] = sites[site]['rate']
    mask = 0
    while sum(chosen.values()) / (mask + 1) > STACKS_PER_S * cpus:
        mask = mask * 2 + 1
    return chosen, mask


def fair_cap(numbers, room):
    """Return the largest cap with which groups of so many objects each fit into `room` objects, none above the cap."""
    left = sorted(numbers)
    for index, number in enumerate(left):
        share = room // (len(left) - index)
        if number >= share:
            return share
        room -= number
    return max(left or [0])


def are_blocks_that_grow(groups, slot, settle_slots):
    """Is one of the groups a site that keeps blocks of pages? They may be given back in pieces, which costs more to follow."""
    settled = slot - settle_slots
    blocks = [group for group in groups if group.type == bpf.PAGE and 0 < group.site & 0xff <= bpf.SPLIT_ORDER]
    if settled < _SLOTS:
        return False
    for group in blocks:
        survivors = [allocated - freed for allocated, freed in zip(group.allocated, group.freed)]
        if _grows(survivors[:settled], sum(group.allocated_bytes) - sum(group.freed_bytes)):
            return True
    return False


def _grows(survivors, outstanding_bytes):
    """survivors: estimated numbers by the slot in which they were allocated."""
    half = len(survivors) // 2
    enough = sum(survivors) >= _SURVIVORS or outstanding_bytes >= 16384 and sum(survivors) >= 4
    return enough and any(survivors[:half]) and any(survivors[half:]) and sum(1 for count in survivors if count > 0) * 2 >= len(survivors)
