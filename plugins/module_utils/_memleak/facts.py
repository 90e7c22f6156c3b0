# SPDX-License-Identifier: GPL-3.0-or-later
"""The data of schema ksysak.memleak/1, of places and counters."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import triage, verdict

TYPES = ('slab', 'page', 'vmalloc', 'percpu')
_COMMS = 3
# Growth of a cache comes in whole slabs, of which each CPU keeps some.
_SLAB_NOISE_BYTES = 262144


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

    watch: triage.Watch; slots, slot_s: how the window was cut; hidden: the kernel shows no symbols.
    """

    def __init__(self, options, watch, window_s, slots, slot_s, hidden=False):
        self._options, self._watch, self._window_s = options, watch, window_s
        self._slots, self._slot_s, self._hidden = slots, slot_s, hidden
        self._caches = watch.caches_grown()
        self._reclaimable = {}
        names = ('tasks', 'files', 'sockets', 'modules', 'cgroups', 'namespaces')
        self._holders = dict((name, watch.grown('holders', name)) for name in names)

    def data(self, places, sample, budget):
        """places: [Place]; sample: one address in this many was followed at the end, 0: nothing was traced; budget: dict or None."""
        entries = [self._entry(place) for place in places if place.objects > 0]
        found = [entry for entry in entries if entry['verdict'] in ('leak', 'suspect')]
        others = [entry for entry in entries if entry['verdict'] not in ('leak', 'suspect')
                  and entry['bytes_outstanding'] >= self._options['min_bytes']]
        found.sort(key=lambda entry: (entry['verdict'] != 'leak', -entry['growth_bytes_per_s'], entry['stack']))
        others.sort(key=lambda entry: (-entry['bytes_outstanding'], entry['stack']))
        for entry in others:
            entry['trend'] = []
        result, trends = self._watch.result(self._options['top'])
        totals = dict((kind, self._total(kind, places)) for kind in types(self._options)) if sample else {}
        return {'verdict': self._verdict(found, result), 'leaks': found[:self._options['top']],
                'outstanding': others[:self._options['top']],
                'totals': totals, 'triage': result, 'trends': trends, 'sample': sample, 'budget': budget}

    def _verdict(self, found, result):
        if any(entry['verdict'] == 'leak' for entry in found):
            return 'leak'
        if found or any(row['by'] == 'growth' for row in result['suspects']):
            return 'suspect'
        return 'clean' if self._window_s >= verdict.LEAST_WINDOW_S else 'unknown'

    @staticmethod
    def _total(kind, places):
        own = [place for place in places if place.type == kind]
        return {'allocations': int(round(sum(place.allocations for place in own))), 'frees': int(round(sum(place.frees for place in own))),
                'objects_outstanding': sum(place.objects for place in own), 'bytes_outstanding': sum(place.bytes for place in own)}

    def _entry(self, place):
        frames, cohort = list(place.frames), place.cohort
        function, module = stacks.culprit(frames)
        blamed = next((frame for frame in frames if stacks.bare(frame) == function), '')
        rate, least, most = cohort.growth()
        cache = self._cache(place)
        case = verdict.Case(
            frames, cohort, self._window_s, reclaimable=bool(cache) and self._is_reclaimable(cache),
            corroborated=self._corroborated(place, cache),
            holder=verdict.holder_of(frames, place.objects, self._holders), traced=place.traced, named=not self._hidden)
        said, confidence, reasons = case.judge()
        oldest = min([at_ns for at_ns, _size, _weight in cohort.alive] or [cohort.until_ns])
        return {
            'type': place.type, 'verdict': said, 'confidence': confidence, 'reasons': reasons[:4],
            'culprit': function, 'offset': stacks.offset(blamed), 'module': module, 'cache': cache and cache[:64],
            'allocations': int(round(place.allocations)), 'frees': int(round(place.frees)),
            'objects_outstanding': place.objects, 'bytes_outstanding': place.bytes,
            'growth_bytes_per_s': round(rate, 1), 'growth_ci95': [round(least, 1), round(most, 1)],
            'oldest_age_s': round(max(0, cohort.until_ns - oldest) / 1e9, 3), 'ages': cohort.ages(),
            'trend': place.points(self._slots, self._slot_s, self._window_s), 'corroborated': case.corroborated,
            'sampled': place.largest_weight, 'stack': frames,
            'comms': [comm for comm, _unused in sorted(place.comms.items(), key=lambda item: (-item[1], item[0])) if comm][:_COMMS],
        }

    def _cache(self, place):
        """The slab cache of a place: as traced, else the only one of its object size, or the one of that size that grew enough."""
        if place.type != 'slab':
            return None
        if place.caches:
            return place.caches.most_common(1)[0][0]
        if not place.sizes:
            return None
        size = place.sizes.most_common(1)[0][0]
        fitting = [(delta, cache) for cache, (delta, bytes_each) in self._caches.items() if bytes_each == size]
        grown = [(delta, cache) for delta, cache in fitting if delta * 2 >= place.objects]
        return fitting[0][1] if len(fitting) == 1 else grown[0][1] if len(grown) == 1 else None

    def _is_reclaimable(self, cache):
        if cache not in self._reclaimable:
            self._reclaimable[cache] = triage.is_reclaimable(cache)
        return self._reclaimable[cache]

    def _corroborated(self, place, cache):
        """Did the caches that these objects may lie in grow by half as many of them? None: there is no counter to ask.

        Some frees have no tracepoint (bulk and RCU frees); the caches' own counters see those.
        """
        if place.type != 'slab' or not self._caches or not place.sizes:
            return None
        size = place.sizes.most_common(1)[0][0]
        if cache in self._caches:
            grown = self._caches[cache][0]
        else:
            fitting = [delta for delta, bytes_each in self._caches.values() if bytes_each == size]
            if not fitting:
                return None
            grown = sum(max(0, delta) for delta in fitting)
        if grown * 2 >= place.objects:
            return True
        return None if place.objects * size < _SLAB_NOISE_BYTES else False
