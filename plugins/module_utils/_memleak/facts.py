# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of schema ksysak.memleak/1, of allocation sites and counters."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import slabs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import allocators, trend, triage, verdict

TYPES = ('slab', 'page', 'vmalloc', 'percpu')
_COMMS = 3
# Curves and stacks are most of the facts, and what does not fit in a host's document is lost: sites at the tail.
_FRAMES, _OTHERS_FRAMES, _LEAST_OTHERS = 18, 12, 4
# Lists of free pages, chunks of per-CPU memory: what may be allocated without the counter moving.
_SLACK_BYTES = {'page': 262144, 'percpu': 131072, 'vmalloc': 0}
# Rates of sites and slopes of counters agree within this share.
_EXACT = 0.05
# Where sites that share a counter grew by more than the counter did, as much from before the window was freed. A site of which so
# much of its rate may be that is a steady state perhaps.
_MOST_FREED = 0.7


def types(options):
    """Return the types to measure, of the options 'type' and 'cache'."""
    if options['cache']:
        return ['slab']
    return list(TYPES) if 'auto' in options['type'] else [kind for kind in TYPES if kind in options['type']]


def cache_size(name):
    """Return the bytes of an object of this slab cache. Raises Unavailable when there is none of that name."""
    size = triage.cache_size(name)
    if size is None:
        raise Unavailable('there is no slab cache %s on this host' % name[:64],
                          "See the names in /proc/slabinfo (as root), or with 'slabtop'.")
    return size


class Measured:
    """What one window gave.

    watch: triage.Watch; slots, slot_s: how the window was cut; hidden: the kernel shows no symbols; complete: all survivors
    were followed and read; evaluated_s: seconds of the window that allocation sites are evaluated by; calls: names of system calls;
    bulk_frees: frees of many slab objects at once are seen.
    """

    def __init__(self, options, watch, window_s, slots, slot_s, hidden=False, complete=True, evaluated_s=None, cpus=None,
                 calls=(), processes=None, bulk_frees=True):
        self._options, self._watch, self._window_s = options, watch, window_s
        self._slots, self._slot_s, self._hidden = slots, slot_s, hidden
        self._caches = watch.caches_grown()
        self._complete, self._evaluated_s = complete, window_s if evaluated_s is None else evaluated_s
        self._reclaimable, self._slack = {}, {}
        self._bulk_frees = bulk_frees
        self._calls, self._processes = calls, processes or allocators.Processes()
        self._file_systems = triage.file_systems()
        self._cpus = cpus or os.sysconf('SC_NPROCESSORS_ONLN')
        names = ('tasks', 'files', 'sockets', 'modules', 'cgroups', 'namespaces', 'inodes', 'dentries', 'process_bytes', 'socket_bytes',
                 'cached_pages')
        self._holders = dict((name, watch.grown('holders', name)) for name in names)

    def data(self, sites, sample, budget):
        """sites: [Site]; sample: one address in this many was followed at the end, 0: nothing was traced; budget: dict or None."""
        held = [site for site in sites if site.objects > 0]
        counters = self._counters(held)
        entries = [self._entry(site, counters[index]) for index, site in enumerate(held)]
        found = [entry for entry in entries if entry['verdict'] in ('leak', 'suspect')]
        others = [entry for entry in entries if entry['verdict'] not in ('leak', 'suspect')
                  and entry['bytes_outstanding'] >= self._options['min_bytes']]
        _sort(found)
        others.sort(key=lambda entry: (-entry['bytes_outstanding'], entry['stack']))
        for entry in others:
            entry['trend'], entry['allocators'], entry['stack'] = [], entry['allocators'][:1], entry['stack'][:_OTHERS_FRAMES]
        result, trends = self._watch.result(self._options['top'])
        self._explain(result['suspects'], trends, found, bool(sample))
        totals = dict((kind, self._total(kind, sites)) for kind in types(self._options)) if sample else {}
        return {'verdict': self._verdict(found, result), 'leaks': found[:self._options['top']],
                'outstanding': others[:max(_LEAST_OTHERS, self._options['top'] - 2 * len(found))],
                'totals': totals, 'triage': result, 'trends': trends, 'sample': sample, 'budget': budget}

    def _verdict(self, found, result):
        if self._window_s < verdict.LEAST_WINDOW_S:
            return 'unknown'
        if any(entry['verdict'] == 'leak' for entry in found):
            return 'leak'
        if found or any(row['by'] == 'growth' for row in result['suspects']):
            return 'suspect'
        return 'clean' if self._complete and self._evaluated_s >= verdict.LEAST_WINDOW_S else 'unknown'

    @staticmethod
    def _explain(rows, trends, found, traced):
        """Note for each counter that grew how fast, and how much of it allocation sites that leak or may explain."""
        slopes = dict(((row['type'], row['counter']), row['slope_bytes_per_s']) for row in trends)
        for row in rows:
            own = [entry['growth_bytes_per_s'] for entry in found if entry['type'] == row['type']
                   and (row['counter'] == 'SUnreclaim' or row['type'] != 'slab' or entry['cache'] == row['counter'])]
            growth = row['by'] == 'growth'
            row['bytes_per_s'] = slopes.get((row['type'], row['counter']), 0.0) if growth else None
            row['explained_bytes_per_s'] = round(sum(own), 1) if growth and traced else None

    def _counters(self, sites):
        """Return for each site what the kernel's counter of its memory says: of verdict.compare, verdict.ENDED or verdict.SHARED."""
        rates = [site.cohort.pace() for site in sites]
        states, sharing = [], {}
        for number, (site, rate) in enumerate(zip(sites, rates)):
            cache = self._cache(site)
            size = site.sizes.most_common(1)[0][0] if site.sizes else 0
            points = self._points(site, cache, size)
            slack = self._slack_of(site.type, cache, size)
            state, most = verdict.compare(points, rate, slack)
            if state in (verdict.CONFIRMED, verdict.NOISY) and self._stood_still(site.cohort, points, slack):
                state = verdict.ENDED
            states.append(state)
            if site.type != 'vmalloc' and state == verdict.CONFIRMED and site.cohort.confidence()[0] >= verdict.SUSPECT:
                group = sharing.setdefault((site.type, cache, size if site.type == 'slab' else 0), [slack, []])
                group[1].append((number, most))
        for slack, members in sharing.values():
            together = sum(rates[number] for number, _most in members)
            largest = max(rates[number] for number, _most in members)
            most = max(most for _number, most in members)
            freed = together - most - _EXACT * together - slack / (4 * max(1.0, self._evaluated_s))
            for number, _most in members if len(members) > 1 else ():
                if freed > _MOST_FREED * rates[number] or rates[number] < _EXACT * largest:
                    states[number] = verdict.SHARED
        return states

    @staticmethod
    def _stood_still(cohort, points, slack):
        """Did the counter stand still at the end, while survivors were allocated: in the last third of the time in which settled
        ones were, or in the last quarter of all? Slabs and lists that were filled up before leave little of the slack.
        """
        settled_ns = cohort.until_ns - cohort.settle_ns
        for part, end_ns, most in ((3, settled_ns, None), (4, cohort.until_ns, cohort.growth()[0])):
            begin_ns = end_ns - (end_ns - cohort.since_ns) // part
            last = [(at_s, value) for at_s, value in points if begin_ns / 1e9 <= at_s <= end_ns / 1e9]
            rate = cohort.growth_between(begin_ns, end_ns)
            if verdict.compare(last, rate if most is None else min(rate, most), slack / (4 * part))[0] == verdict.CONTRADICTED:
                return True
        return False

    def _points(self, site, cache, size):
        """The readings of the counter of a site's memory, while the site was followed, from when it began to keep objects."""
        if site.type == 'slab':
            points = self._watch.cache_series(cache, size)
        elif site.type == 'vmalloc':
            points = self._watch.area_series(site.areas_of)
        else:
            points = self._watch.timed('meminfo', 'unaccounted' if site.type == 'page' else 'Percpu')
        begun_ns = site.cohort.begun_ns
        return [(at_ns / 1e9, value) for at_ns, value in points if begun_ns <= at_ns <= site.cohort.until_ns]

    def _slack_of(self, kind, cache, size):
        if kind != 'slab':
            return _SLACK_BYTES[kind] * (self._cpus if kind == 'page' else 1)
        if (cache, size) not in self._slack:
            self._slack[cache, size] = triage.slack_bytes(cache, size, self._cpus)
        return self._slack[cache, size]

    @staticmethod
    def _total(kind, sites):
        own = [site for site in sites if site.type == kind]
        return {'allocations': int(round(sum(site.allocations for site in own))), 'frees': int(round(sum(site.frees for site in own))),
                'objects_outstanding': sum(site.objects for site in own), 'bytes_outstanding': sum(site.bytes for site in own)}

    def _entry(self, site, counter):
        frames, cohort = list(site.frames), site.cohort
        function, module = stacks.culprit(frames)
        blamed = next((frame for frame in frames if stacks.bare(frame) == function), '')
        rate, least, most = cohort.growth()
        if counter == verdict.CONTRADICTED:
            least = 0.0  # as much may have been freed unseen, or of what was there before
        cache = self._cache(site)
        # A lone frame that allocates on behalf of others says nothing of who leaks.
        known = function is not None and (site.traced or not stacks.is_layer(frames[-1]))
        described = self._processes.describe(site.allocators)
        context, call = allocators.context(frames, self._calls)
        # Whom an interrupt interrupted has no part in what it allocates.
        who = [] if context == allocators.INTERRUPT else described[:allocators.MOST]
        case = verdict.Case(
            frames, cohort, self._evaluated_s, counter, kind=site.type, reclaimable=bool(cache) and self._is_reclaimable(cache),
            fs_objects=sum(max(0, self._holders[name] or 0) for name in ('inodes', 'dentries', 'cached_pages')),
            holder=verdict.holder_of(frames, site.objects, site.bytes, self._holders, described, (context, call), site.charged_share),
            traced=known, whole=context != allocators.UNKNOWN, named=not self._hidden, file_systems=self._file_systems,
            frees_seen=site.type != 'slab' or self._bulk_frees,
            cached=self._cached_bytes() if site.type == 'page' and stacks.is_page_cache(blamed) else None)
        said, confidence, reasons = case.evaluate()
        oldest = min([at_ns for at_ns, _size, _weight in cohort.survivors] or [cohort.until_ns])
        return {
            'type': site.type, 'verdict': said, 'confidence': confidence, 'reasons': reasons[:3],
            'culprit': function, 'offset': stacks.offset(blamed), 'module': module, 'cache': cache and cache[:64],
            'allocations': int(round(site.allocations)), 'frees': int(round(site.frees)),
            'objects_outstanding': site.objects, 'bytes_outstanding': site.bytes,
            'growth_bytes_per_s': round(rate, 1), 'growth_ci95': [round(least, 1), round(most, 1)],
            'oldest_age_s': round(max(0, cohort.until_ns - oldest) / 1e9, 3), 'ages': cohort.ages(),
            'trend': trend.thinned(site.points(self._slots, self._slot_s, self._window_s)),
            'corroborated': {verdict.CONFIRMED: True, verdict.CONTRADICTED: False}.get(counter),
            'sampled': site.largest_weight, 'stack': frames[:_FRAMES],
            'reclaimable': bool(cache) and self._is_reclaimable(cache), 'context': context,
            'system_call': call and call[:64], 'allocators': who,
            'accounted': None if site.charged_share is None else round(site.charged_share, 3),
            'comms': [comm for comm, _unused in sorted(site.comms.items(), key=lambda item: (-item[1], item[0])) if comm][:_COMMS],
        }

    def _cache(self, site):
        """The slab cache of a site: as traced, else the only one of its object size, or the one of that size that grew enough.

        Of the general caches of one size the kernel takes that of what cgroups pay for, or the other (kmalloc_type(), from 5.14).
        """
        if site.type != 'slab':
            return None
        if site.caches:
            return site.caches.most_common(1)[0][0]
        if not site.sizes:
            return None
        size = site.sizes.most_common(1)[0][0]
        fitting = [(delta, cache) for cache, (delta, bytes_each) in self._caches.items() if bytes_each == size]
        grown = [(delta, cache) for delta, cache in fitting if delta * 2 >= site.objects]
        if len(grown) > 1 and site.charged_share is not None and all(cache.startswith('kmalloc-') for _delta, cache in grown):
            grown = [one for one in grown if one[1].startswith('kmalloc-cg-') == (site.charged_share >= 0.5)]
        return fitting[0][1] if len(fitting) == 1 else grown[0][1] if len(grown) == 1 else None

    def _cached_bytes(self):
        return max(0, self._holders['cached_pages'] or 0) * triage.PAGE_BYTES

    def _is_reclaimable(self, cache):
        if cache not in self._reclaimable:
            self._reclaimable[cache] = slabs.is_reclaimable(cache)
        return self._reclaimable[cache]


def _sort(found):
    """Sort what leaks or may: leaks first; then the largest of each process, so that a list that is cut names all; then by growth."""
    found.sort(key=lambda entry: (-entry['growth_bytes_per_s'], entry['stack']))
    seen, rank = {}, {}
    for entry in found:
        owner = tuple(row['comm'] for row in entry['allocators'][:1]) or (entry['module'], entry['culprit'])
        rank[id(entry)] = seen[owner] = seen.get(owner, -1) + 1
    found.sort(key=lambda entry: (entry['verdict'] != 'leak', rank[id(entry)] if entry['verdict'] != 'leak' else 0))
