# SPDX-License-Identifier: GPL-3.0-or-later
"""Slab caches that the kernel merged: it shows the first one's name and the objects of all of them."""

import os

_ALIASES = 6
_PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')


def exact(host, cache):
    """Return the number of objects of a slab cache of a Host, or None where it shares its slabs with others or is not known."""
    found = host.slabs().get(cache)
    return found[0] if found and cache not in aliases(host.root) else None


def parse_caches(text):
    """Return {slab cache: (objects in use, bytes of its slabs)} of /proc/slabinfo's text."""
    caches = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 14 and words[1].isdigit() and words[14].isdigit():
            caches[words[0]] = (int(words[1]), int(words[14]) * int(words[5]) * _PAGE_BYTES)
    return caches


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
