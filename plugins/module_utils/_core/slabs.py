# SPDX-License-Identifier: GPL-3.0-or-later
"""Slab caches: how many objects each has, and which the kernel merged. It shows the first one's name and the objects of all of them."""

import collections
import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text

FOLDER = 'sys/kernel/slab'
_ALIASES = 6
_PAGE_BYTES = os.sysconf('SC_PAGE_SIZE')

# objects: in use; object_bytes: of one; bytes: of all slabs of the cache, whether in use or not
Cache = collections.namedtuple('Cache', 'objects object_bytes bytes')


def parse(text):
    """Return {slab cache: Cache} of /proc/slabinfo's text (slabinfo(5), version 2.1)."""
    caches = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) > 14 and words[1].isdigit() and words[14].isdigit():
            caches[words[0]] = Cache(int(words[1]), int(words[3]), int(words[14]) * int(words[5]) * _PAGE_BYTES)
    return caches


def read(root='/'):
    """Return {slab cache: Cache} of the host, {} for who may not read it. root: folder that is taken for the host's root."""
    return parse(read_text(os.path.join(root, 'proc/slabinfo')))


def _file(root, cache, name):
    return os.path.join(root, FOLDER, os.path.basename(cache), name)


def object_bytes(cache, root='/'):
    """Return what one object of a slab cache takes, also of one that is merged with others; None: there is no such cache."""
    return sysfs.integer(_file(root, cache, 'slab_size')) if os.path.basename(cache) == cache else None


def is_reclaimable(cache, root='/'):
    """Does the kernel give the objects of this cache back when memory runs low?"""
    flag = sysfs.flag(_file(root, cache, 'reclaim_account'))
    return flag if flag is not None else 'inode_cache' in cache or cache in ('dentry', 'buffer_head', 'radix_tree_node')


def aliases(root='/'):
    """Return {slab cache: all names that the kernel merged into it, itself among them} of /sys/kernel/slab."""
    folder = os.path.join(root, FOLDER)
    merged = {}
    for name in sysfs.entries(folder):
        try:
            merged.setdefault(os.readlink(os.path.join(folder, name)), []).append(name)
        except OSError:
            continue
    return dict((name, group) for group in merged.values() if len(group) > 1 for name in group)


def cache_name(cache, merged):
    """Return a slab cache's name with those that share it (of aliases()): the kernel shows the first one's name, whosever they are."""
    others = [name for name in merged.get(cache, ()) if name != cache]
    if not others:
        return cache
    return '%s (shared by %s%s)' % (cache, ', '.join(others[:_ALIASES]), ', …' if len(others) > _ALIASES else '')
