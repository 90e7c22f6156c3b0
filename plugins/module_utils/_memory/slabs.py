# SPDX-License-Identifier: GPL-3.0-or-later
"""How many objects of a slab cache there are, also of one that the kernel merged with others: then it is an upper bound."""

import os

_ALIASES = 6


class Slabs:
    """Counts of one instant. merged: names that share a cache, as of aliases()."""

    def __init__(self, counts, merged):
        self._counts, self._merged = counts, merged

    def most(self, cache):
        """Return the number of objects that this cache has at most, or None where it does not exist or cannot be read."""
        for name in [cache] + self._merged.get(cache, []):
            if name in self._counts:
                return self._counts[name][0]
        return None

    def exact(self, cache):
        """Return the number of objects of a cache of its own, or None where it is merged or not known."""
        return self._counts[cache][0] if cache in self._counts and cache not in self._merged else None


def aliases(root='/'):
    """Return {slab cache: all names that the kernel merged into it, itself among them} of /sys/kernel/slab."""
    folder = os.path.join(root, 'sys/kernel/slab')
    merged = {}
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    for name in names:
        try:
            merged.setdefault(os.readlink(os.path.join(folder, name)), []).append(name)
        except OSError:
            continue
    return dict((name, sorted(group)) for group in merged.values() if len(group) > 1 for name in group)


def cache_name(cache, merged):
    """Return a slab cache's name with those that share it: the kernel shows the first one's name, whosever the objects are."""
    others = [name for name in merged.get(cache, ()) if name != cache]
    if not others:
        return cache
    return '%s (shared by %s%s)' % (cache, ', '.join(others[:_ALIASES]), ', …' if len(others) > _ALIASES else '')
