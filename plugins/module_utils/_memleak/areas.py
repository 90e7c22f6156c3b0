# SPDX-License-Identifier: GPL-3.0-or-later
"""vmalloc areas, from /proc/vmallocinfo read again and again: exact, and the same on every kernel."""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.survivors import Cohort

_PATH = '/proc/vmallocinfo'
_PAGE_BYTES = 4096
# Only what vmalloc made holds memory of its own; vmap and ioremap show what belongs to others.
_LINE = re.compile(r'^0x([0-9a-f]+)-0x[0-9a-f]+\s+\d+\s+(\S+?)(?:/0x[0-9a-f]+)?(?: \[([\w.-]+)\])?\s+pages=(\d+)\s(?:.*\s)?vmalloc\b')


def parse(text):
    """Return [(address, caller as 'function+0x1c [module]', bytes)] of /proc/vmallocinfo's text."""
    found = []
    for line in text.splitlines():
        match = _LINE.match(line) if ' vmalloc' in line else None
        if match:
            address, caller, module, pages = match.groups()
            found.append((address, (caller + (' [%s]' % module if module else ''))[:300], int(pages) * _PAGE_BYTES))
    return found


def read():
    """Return the areas there are now. Raises OSError for who may not read them."""
    with open(_PATH) as stream:
        return parse(stream.read())


class Areas:
    """What was allocated since the first reading, by caller."""

    def __init__(self, settle_ns):
        self._settle_ns = settle_ns
        self._before = None  # of the first reading: never blamed
        self._survivors = {}  # key: (first seen at, bytes)
        self._gone = {}  # caller: [frees, bytes of those that were old]
        self._held = []  # (at, {caller: bytes held, with what was there before})

    def observe(self, at_ns, areas):
        """areas: from read()."""
        # An address may be hidden (kptr_restrict) and then be all zeros: the areas of a caller are numbered instead.
        numbers, now = {}, {}
        for address, caller, size in areas:
            if not address.strip('0'):
                numbers[caller, size] = numbers.get((caller, size), 0) + 1
                address = '#%d' % numbers[caller, size]
            now[address, caller, size] = size
        held = {}
        for (_address, caller, size) in now:
            held[caller] = held.get(caller, 0) + size
        self._held.append((at_ns, held))
        if self._before is None:
            self._before = set(now)
            return
        self._before.intersection_update(now)
        for key in set(self._survivors) - set(now):
            gone = self._gone.setdefault(key[1], [0, 0])
            gone[0] += 1
            seen_ns, size = self._survivors.pop(key)
            gone[1] += size if at_ns - seen_ns > self._settle_ns else 0
        for key, size in now.items():
            if key not in self._before and key not in self._survivors:
                self._survivors[key] = (at_ns, size)

    def cohorts(self, opened_ns, closed_ns, settle_ns, readings=32):
        """Return {caller: Cohort}. A reading sees areas some time after they were allocated, and none that lived between two.

        readings: how many there were; allocations can be no finer spread than these.
        """
        found = {}
        for (_address, caller, _size), (at_ns, size) in self._survivors.items():
            cohort = found.setdefault(caller, Cohort(opened_ns, closed_ns, settle_ns))
            cohort.survivors.append((at_ns, size, 1))
        for caller, cohort in found.items():
            cohort.parts = max(2, min(cohort.parts, readings // 2))
            cohort.frees, cohort.old_freed_bytes = self._gone.get(caller, (0, 0))
            cohort.allocations = len(cohort.survivors) + cohort.frees
        return found

    def series(self, caller):
        """Return [(at, bytes held)] of a caller, areas from before the window among them."""
        return [(at_ns, held.get(caller, 0)) for at_ns, held in self._held]
