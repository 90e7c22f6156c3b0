# SPDX-License-Identifier: GPL-3.0-or-later
"""Leak or churn: what the survivors of a window's allocations say.

Allocations are told apart by their time of birth (cohorts). A leak has survivors of every age and nothing old is
freed; churn has young survivors only; a cache that fills or a burst has survivors of its beginning only. Only what is
older than a settling time counts, as younger objects may still be in use. The idea is that of generational leak
detectors (Jump and McKinley, Cork, 2007; Hauswirth and Chilimbi, SWAT, 2004), applied to kernel call sites.
"""

import math

from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import trend

PARTS = 16
AGES = 8
# Less than this shows too few cohorts: of a window, or of what is left of it when a site begins.
LEAST_S = 8.0
_EVEN = 0.8  # share of the parts of the time that have survivors, from which on these do not come in bursts
_LEAST_BURSTS, _FEW_BURSTS = 4, 0.45  # so many are a rhythm; one less may be
_LEAST_EACH = 4  # objects of a burst


class Cohort:
    """The allocations of one allocation site.

    since_ns, until_ns: the part of the window in which the site was followed completely; settle_ns: see the module.
    """

    def __init__(self, since_ns, until_ns, settle_ns):
        self.since_ns, self.until_ns, self.settle_ns = since_ns, until_ns, settle_ns
        self.allocations = self.frees = 0
        self.old_freed_bytes = 0  # freed when older than settle_ns, with their weights
        self.parts = PARTS  # that the window is cut into, to see whether allocations are spread over it
        self.survivors = []  # (allocated at, bytes, weight); only appended to
        self._settled = None  # (number of survivors, those that are settled)
        self._begun = None  # (number of survivors, begun_ns)

    def settled(self):
        """The survivors that are old enough to count."""
        if self._settled is None or self._settled[0] != len(self.survivors):
            last_ns = self.until_ns - self.settle_ns
            self._settled = len(self.survivors), [row for row in self.survivors if self.since_ns <= row[0] <= last_ns]
        return self._settled[1]

    def growth(self):
        """Return (bytes per second, least, most): the rate of settled survivors over the window and its 95 % interval.

        Each object that is followed stands for `weight` (Horvitz and Thompson, 1952). The interval is that of a Poisson number,
        of as many objects of equal weight as tell as much (Kish, 1965), made narrower by the share of the variance that is due to
        following one in a few only: where all are followed the rate is exact, but for the object, or the burst, that is due at either
        end. A site that began within the window is taken to go on until the end of it as it did before.
        """
        rows = self.settled()
        if not rows:
            return 0.0, 0.0, 0.0
        total = float(sum(size * weight for _at, size, weight in rows))
        number = _equal([size * weight for _at, size, weight in rows])
        spread = math.sqrt(sum(size * size * weight * (weight - 1) for _at, size, weight in rows))
        share = min(1.0, spread * math.sqrt(number) / total) if total else 0.0
        least, most = trend.poisson_interval(number)
        span_s = max(1e-3, (self.until_ns - self.settle_ns - self.begun_ns) / 1e9)
        span_s *= (self.until_ns - self.since_ns) / float(max(1, self.until_ns - self.begun_ns))
        edge = total / (len(self.bursts()) or sum(weight for _at, _size, weight in rows)) / span_s
        rate = total / span_s
        low = rate * (1 + (least / number - 1) * share) - edge
        return rate, max(0.0, low), rate * (1 + (most / number - 1) * share) + edge

    @property
    def begun_ns(self):
        """When the site began to keep objects, where it did so within the window and long enough before its end; else since_ns.

        From there on it is evaluated as in a window that was opened then.
        """
        if self._begun is None or self._begun[0] != len(self.survivors):
            self._begun = len(self.survivors), self._begin()
        return self._begun[1]

    def _begin(self):
        times_ns = self._times()
        late = len(times_ns) > 2 and times_ns[0] - self.since_ns > max(self._usual_gap_ns(times_ns), self.settle_ns)
        left_ns = self.until_ns - times_ns[0] if late else 0
        return times_ns[0] if late and left_ns >= max(LEAST_S * 1e9, (self.until_ns - self.since_ns) / 4.0) else self.since_ns

    def steadiness(self):
        """Return (how evenly the survivors' allocations are spread, how far they went on to the end), each in [0, 1].

        Survivors count with their weight, as fewer may have been followed at the end than at the beginning; what chance does
        to their number is that of (sum of weights)^2 / (sum of their squares) of equal weight (Kish, 1965). Where they come in
        bursts, the bursts are what is counted.
        """
        rows = self.settled()
        if not rows:
            return 0.0, 0.0
        number = _equal([weight for _at, _size, weight in rows])
        spread = self._spread(rows, number)
        bursts = self.bursts()
        if bursts:
            number = min(number, _equal(bursts))
            spread = max(spread, 1 - math.exp(-number / 3.0)) if len(bursts) >= _LEAST_BURSTS else max(spread, _FEW_BURSTS)
        first_ns, last_ns = min(row[0] for row in rows), self.until_ns - self.settle_ns
        later = sum(weight for at_ns, _size, weight in rows if at_ns - first_ns > (last_ns - first_ns) / 2.0)
        going_on = 2 * later / float(sum(weight for _at, _size, weight in rows)) + 1 / math.sqrt(number)
        return spread, min(1.0, going_on) ** 2 if later and not self.ended() else 0.0

    def _spread(self, rows, number):
        """Return the share of the parts of the time, of those that `number` allocations without a pattern would meet, that rows do."""
        part_ns = max(1.0, (self.until_ns - self.settle_ns - self.begun_ns) / float(self.parts))
        parts = set(min(self.parts - 1, int((at_ns - self.begun_ns) / part_ns)) for at_ns, _size, _weight in rows)
        return min(1.0, len(parts) / (self.parts * (1 - math.exp(-number / self.parts))))

    def bursts(self):
        """Return how many objects each burst kept, of settled survivors that come in bursts of one rhythm; [] of others."""
        rows = self.settled()
        if not rows or self._spread(rows, _equal([weight for _at, _size, weight in rows])) >= _EVEN:
            return []
        found = _bursts(rows)
        # A few objects lie apart by chance.
        return found if len(found) >= _LEAST_BURSTS - 1 and len(rows) >= _LEAST_EACH * len(found) else []

    def _times(self):
        """When each survivor was allocated, in order."""
        return sorted(at_ns for at_ns, _size, _weight in self.survivors if self.since_ns <= at_ns <= self.until_ns)

    @staticmethod
    def _usual_gap_ns(times_ns):
        """The longest time that may pass between two survivors."""
        gap_ns = max(later - sooner for sooner, later in zip(times_ns, times_ns[1:]))
        return 1.5 * gap_ns + 2 * (times_ns[-1] - times_ns[0]) / len(times_ns)

    def ended(self):
        """Has nothing been kept for so long, at the end, as between two survivors never before?"""
        times_ns = self._times()
        return len(times_ns) > 2 and self.until_ns - times_ns[-1] > max(self._usual_gap_ns(times_ns), self.settle_ns)

    def growth_between(self, begin_ns, end_ns):
        """Return bytes per second: the rate of the survivors that were allocated in that part."""
        size = sum(size * weight for at_ns, size, weight in self.survivors if begin_ns <= at_ns <= end_ns)
        return size / max(1e-3, (end_ns - begin_ns) / 1e9)

    def pace(self):
        """Return bytes per second: the rate of settled survivors since the site began to keep objects."""
        return self.growth()[0] if self.begun_ns == self.since_ns else self.growth_between(self.begun_ns, self.until_ns - self.settle_ns)

    def confidence(self):
        """Return the confidence in [0, 1] that this site leaks, and its parts {name: factor}."""
        rows = self.settled()
        spread, going_on = self.steadiness()
        kept = float(sum(size * weight for _at, size, weight in rows))
        freed = self.old_freed_bytes / (self.old_freed_bytes + kept) if kept else 1.0
        steady = min(1.0, spread / _EVEN)
        parts = {'enough': 1 - math.exp(-len(rows) / 6.0), 'steady': steady, 'going_on': going_on, 'kept': (1 - freed) ** 2}
        result = 1.0
        for factor in parts.values():
            result *= factor
        return result, parts

    def ages(self):
        """Return how many objects outstanding there are in each of AGES equal parts of the window, oldest first."""
        found = [0] * AGES
        part_ns = max(1.0, (self.until_ns - self.since_ns) / float(AGES))
        for at_ns, _size, weight in self.survivors:
            found[max(0, min(AGES - 1, int((at_ns - self.since_ns) / part_ns)))] += weight
        return [int(round(number)) for number in found]


def _equal(weights):
    """Return how many of equal weight have as much chance in their sum as these (Kish, 1965)."""
    return sum(weights) ** 2 / float(sum(weight ** 2 for weight in weights))


def _bursts(rows):
    """Return the objects in each burst that comes after about the same time as the others do; [] where they do not.

    rows: [(allocated at, bytes, weight)]. A burst ends where at least half of the longest gap follows.
    """
    rows = sorted(rows)
    gap_ns = max([later[0] - sooner[0] for sooner, later in zip(rows, rows[1:])] or [0])
    begun, found = [], []
    for number, (at_ns, _size, weight) in enumerate(rows):
        if not number or at_ns - rows[number - 1][0] >= gap_ns / 2.0:
            begun.append(at_ns)
            found.append(0)
        found[-1] += weight
    apart = sorted(later - sooner for sooner, later in zip(begun, begun[1:]))
    return found if apart and apart[-1] <= 2 * apart[len(apart) // 2] else []
