# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the rows of the facts of two censuses: what grows, and who holds most. No input or output."""

from ansible_collections.ksysak.fleet.plugins.module_utils._memory import kinds

HOLDERS_A_KIND = 3
GOES_ON = 0.2  # growth of the second half, as a share of that of the first, that still goes on


def growth(censuses, size_of, is_old=lambda key: True):
    """Return the rows of what grew between the first and the last of some censuses (seconds, {key: Holding}), worst first.

    Of three or more, growth has to go on in the second half: what stopped within the window is no growth.
    An owner that is not in the first one is measured from where it appears. is_old: function that tells of a key whether its owner was
    there when the window opened; growth of others is left out, because each process takes memory when it starts.
    size_of: function of a tuple of slab caches that returns the bytes of one object of each together, or None.
    """
    found = []
    for key, now in (censuses[-1][1] if censuses else {}).items():
        held = [(seconds, census[key]) for seconds, census in censuses if key in census]
        elapsed_s = held[-1][0] - held[0][0]
        counts, taken = [one.count for _seconds, one in held], [bytes_of(one, size_of) for _seconds, one in held]
        if not is_old(key) or not (_grows(counts) or _grows(taken)):
            continue
        found.append(
            dict(_row(now, taken[-1]), count_delta=_delta(counts), per_s=_rate(counts, elapsed_s), bytes_per_s=_rate(taken, elapsed_s))
        )
    return sorted(found, key=worst)


def distinct(found):
    """Return rows without those of a kind and owner that an earlier row has: two sources may count the same."""
    seen, kept = set(), []
    for row in found:
        key = (row['kind'], row['owner']['type'], row['owner']['pid'], row['owner']['name'])
        if key not in seen:
            kept.append(row)
        seen.add(key)
    return kept


def worst(row):
    """Sorts rows of growth, worst first."""
    return -(row['bytes_per_s'] or 0), -(row['per_s'] or 0), row['kind'], row['owner']['name']


def holders(census, size_of):
    """Return rows of who holds most of each kind: {key: Holding} of one census, most bytes first."""
    by_kind = {}
    for holding in census.values():
        by_kind.setdefault(holding.kind, []).append(_row(holding, bytes_of(holding, size_of)))
    return sorted((row for rows in by_kind.values() for row in sorted(rows, key=_level)[:HOLDERS_A_KIND]), key=_level)


def _level(row):
    return -(row['bytes'] or 0), -(row['count'] or 0), row['kind'], row['owner']['name']


def _row(holding, taken):
    return {
        'kind': holding.kind,
        'owner': holding.owner,
        'count': holding.count,
        'bytes': taken,
        'limit': holding.limit,
        'detail': holding.detail,
        'command': kinds.command(holding.kind, holding.owner, holding.detail),
    }


def bytes_of(holding, size_of):
    """Return what a holding takes, or None where neither the source nor the sizes of slab objects tell."""
    if holding.bytes is not None or holding.count is None:
        return holding.bytes
    each = size_of(kinds.BY_NAME[holding.kind].objects)
    return None if each is None else each * holding.count


def _grows(series):
    """Whether a series grows, in its second half too."""
    if None in series or series[-1] <= series[0]:
        return False
    middle = series[len(series) // 2]
    return len(series) < 3 or series[-1] - middle > GOES_ON * (middle - series[0])


def _delta(series):
    return None if None in (series[0], series[-1]) else series[-1] - series[0]


def _rate(series, elapsed_s):
    delta = _delta(series)
    return None if delta is None or elapsed_s <= 0 else round(delta / elapsed_s, 3)
