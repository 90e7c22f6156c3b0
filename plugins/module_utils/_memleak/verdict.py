# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this a leak? The confidence of the cohorts, weighed with the kernel's own counters and with who may hold the memory."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import allocators, survivors, trend

LEAK, SUSPECT = 0.7, 0.4
# Growth of less than this is too little to be called a leak: wait for longer.
LEAK_BYTES = 131072
LEAST_WINDOW_S = survivors.LEAST_S
_CLEAN, _SUSPECT = 0.3, 0.6  # the most that a site's confidence may be when something speaks against it

CONFIRMED, CONTRADICTED, NOISY, FLAT, SHARED, ENDED = 'confirmed', 'contradicted', 'noisy', 'flat', 'shared', 'ended'

# What a system call makes (by the names of the ABI), and the counter that then grows with its memory: (counter, words, the most that the
# confidence may then be, calls). A page fault is one of the first.
_MADE = (
    ('process_bytes', 'more bytes of processes', _CLEAN,
     allocators.MEMORY_CALLS),
    ('modules', 'more kernel modules', _SUSPECT, frozenset(('init_module', 'finit_module'))),
    ('cgroups', 'more cgroups, removed ones that still hold memory among them', _SUSPECT, frozenset(('mkdir', 'mkdirat'))),
    ('namespaces', 'more mounts and name spaces', _SUSPECT,
     frozenset(('mount', 'fsconfig', 'fsmount', 'move_mount', 'open_tree', 'unshare', 'clone', 'clone3', 'fork', 'vfork'))),
    ('tasks', 'more tasks', _SUSPECT, frozenset(('clone', 'clone3', 'fork', 'vfork'))),
)
# What is counted one by one: as many objects are theirs.
_COUNTED = (('sockets', 'more sockets, closed ones that still wait among them'), ('files', 'more open files'), ('tasks', 'more tasks'),
            ('cgroups', 'more cgroups'), ('namespaces', 'more mounts and name spaces'))
_LEAST_COUNTED = 16
# What a task has one of may outlive it for a moment, and the kernel keeps two stacks for each CPU (kernel/fork.c: NR_CACHED_STACKS).
_FEW_TASKS, _CACHED_STACKS = 8, 2

# Slabs of any cache have some memory beside them.
_BOOKKEEPING = frozenset(('alloc_slab_obj_exts', 'memcg_alloc_slab_cgroups', 'memcg_alloc_page_obj_cgroups', 'allocate_slab'))


def is_bookkeeping(stack):
    """Does this memory (a stack of names, innermost first) go with slabs, whose own objects are listed?"""
    return any(stacks.bare(frame) in _BOOKKEEPING and not stacks.module_of(frame) for frame in stack)


def holder_of(stack, objects, size, grown, allocators_rows=(), did=None, charged=None):
    """Return (words for who holds `objects` of this stack, the most that its confidence may be); ('', 1.0) when nobody is known to.

    size: bytes held; grown: {what is counted: how many more of them there are than at the beginning}; allocators_rows: of
    allocators.Processes.describe; did: of allocators.context; charged: share that cgroups
    pay for. No name of a function holds anything: one process that allocated
    it by its system calls does, a counter that grew with it, or as much. What a module's own function allocates is held by
    nobody, but for the inodes of its file system, which the kernel's alloc_inode asks it for.
    """
    def more(name):
        return grown.get(name) or 0

    of_inode = any(stacks.bare(frame) == 'alloc_inode' and not stacks.module_of(frame) for frame in stack)
    if of_inode and more('inodes') * 4 >= objects > 0:
        return 'there are %d more inodes in the cache of file systems, which may hold it' % more('inodes'), _CLEAN
    if stacks.culprit(stack)[1] is not None:
        return '', 1.0
    context, call = did or allocators.context(stack)
    few_tasks = max(_FEW_TASKS, _CACHED_STACKS * os.sysconf('SC_NPROCESSORS_CONF'))
    for name, words, most, calls in _MADE:
        needed = size if name.endswith('_bytes') else objects
        if name == 'tasks' and call in calls and more(name) > 0 and objects <= more(name) + few_tasks:
            return 'there are as many more tasks', _CLEAN
        fault = name == 'process_bytes' and context == allocators.EXCEPTION
        if (fault or call in calls) and more(name) * 4 >= needed > 0 and more(name) > 0:
            return 'there are %d %s, which may hold it' % (more(name), words), most
    one = allocators.single(allocators_rows)
    if one is not None and context not in (allocators.INTERRUPT, allocators.KERNEL_THREAD):
        ended = '; it has ended, and what outlives a process may hold it' if one['ended'] else ', which may hold it'
        return 'it was allocated for %s%s%s' % (allocators.named(one), ' by %s()' % call if call else '', ended), _SUSPECT
    for name, words in _COUNTED:
        if objects >= _LEAST_COUNTED and 0.75 * objects <= more(name) <= 1.33 * objects:
            return 'there are %d %s, which may hold it' % (more(name), words), _SUSPECT
    running = sum(row['share'] for row in allocators_rows if row['ended'] is False and not row['kernel_thread'])
    if context == allocators.SYSTEM_CALL and (charged or 0.0) >= allocators.ONE and running >= allocators.ONE:
        return 'programs that run allocated it by their system calls, and their cgroups pay for it: they may hold it', _SUSPECT
    if more('socket_bytes') * 2 >= size > 0 and context in (allocators.INTERRUPT, allocators.KERNEL_THREAD):
        return 'sockets keep %d more bytes, which may be it' % more('socket_bytes'), _SUSPECT
    return '', 1.0


def compare(points, rate, slack_bytes):
    """Compare the rate of a site's survivors with the kernel's counter of the same memory.

    points: [(seconds, bytes)] of the counter while the site was followed; rate: bytes a second; slack_bytes: what may be
    allocated without the counter moving, as slabs are filled up. Returns (CONFIRMED, CONTRADICTED, NOISY: the counter moves
    too much to tell, FLAT: the growth is too little for it to tell, or None: no counter; the most that the counter's slope may be,
    bytes a second).
    """
    if len(points) < 5:
        return None, 0.0
    slope, least, most = trend.theil_sen(points)
    span_s = points[-1][0] - points[0][0]
    if least >= 0.5 * rate or slope >= 0.7 * rate and least > 0:
        return CONFIRMED, most
    if most >= 0.5 * rate:
        return NOISY, most
    return (CONTRADICTED if most * span_s + slack_bytes < 0.5 * rate * span_s else FLAT), most


class Case:
    """What is known of one allocation site.

    stack: names; cohort: Cohort; counter: what compare() returned of its class, or SHARED: the counter grew by less than all sites
    that fill the same cache together, or ENDED: it grew no more at the end; kind: its type; reclaimable: its slab cache is one that
    the kernel shrinks; fs_objects: how many objects the caches of file systems gained; file_systems: the names of those that the
    kernel has; holder: of holder_of; traced: its place is known; whole: the way to it is known, too; named: the kernel shows its
    symbols; frees_seen: also frees of many objects at once are seen; cached: how many bytes the page cache gained, for pages that
    are allocated for it; None: for others; window_s: seconds.
    """

    def __init__(self, stack, cohort, window_s, counter=None, kind='slab', reclaimable=False, fs_objects=0, holder=('', 1.0),
                 traced=True, whole=True, named=True, file_systems=(), cached=None, frees_seen=True):
        self.stack, self.cohort, self.window_s, self.counter = stack, cohort, window_s, counter
        self.kind = kind
        self.reclaimable, self.fs_objects, self.holder, self.traced, self.named = reclaimable, fs_objects, holder, traced, named
        self._whole, self._file_systems, self._cached, self._frees_seen = whole, file_systems, cached, frees_seen

    def evaluate(self):
        """Return (verdict 'leak', 'suspect', 'clean' or 'unknown', confidence, reasons: short texts, most important first)."""
        confidence, parts = self.cohort.confidence()
        settled = self.cohort.settled()
        if self.window_s < LEAST_WINDOW_S:
            return 'unknown', 0.0, ['the window of %.1f s is too short to tell a leak from work' % self.window_s]
        if not settled:
            return 'clean', 0.0, ['nothing of it is older than %.1f s' % (self.cohort.settle_ns / 1e9)]
        if is_bookkeeping(self.stack):
            return 'clean', 0.0, ['it goes with slabs, whose own objects are listed']
        against = [row for row in self._against(settled) if row[0] < 1]
        for factor, _reason in against:
            confidence = min(confidence, factor)
        reasons = [reason for _factor, reason in sorted(against, key=lambda row: row[0])]
        if parts['kept'] < 0.8:
            reasons.append('old objects are freed too')
        if parts['going_on'] < 0.8:
            reasons.append('it slowed down or ended')
        if parts['steady'] < 0.8:
            reasons.append('it comes in bursts')
        if parts['enough'] < 0.8:
            reasons.append('%d objects are few' % len(settled))
        # Of a lone frame of the core kernel it is not known for whom it allocated: programs that start may hold it.
        least = SUSPECT if self._whole or stacks.culprit(self.stack)[1] is not None else LEAK
        verdict = 'leak' if confidence >= LEAK else 'suspect' if confidence >= least else 'clean'
        if confidence >= SUSPECT and verdict == 'clean':
            reasons.insert(0, 'for whom it was allocated is not known')
        if verdict == 'leak':
            late_s = (self.cohort.begun_ns - self.cohort.since_ns) / 1e9
            when = 'from %.1f s on until the end of' % late_s if late_s else 'all through'
            reasons.insert(0, 'it grew %s the window, and what is older than %.1f s stays' % (when, self.cohort.settle_ns / 1e9))
            if self.counter == CONFIRMED:
                reasons.insert(1, "the kernel's counter of this memory grew as much")
        return verdict, round(confidence, 3), reasons

    def _against(self, settled):
        """Yield (the most that the confidence may be, reason) of all that speaks against a leak."""
        _function, module = stacks.culprit(self.stack)
        if self.counter == CONTRADICTED:
            yield 0.2, "the kernel's counter of this memory did not grow as much: as much is freed, older objects or unseen ones"
        if self.counter == SHARED:
            yield _SUSPECT, "the kernel's counter of this memory grew, but by less than all sites that allocate it"
        if self.counter == ENDED:
            yield _SUSPECT, "the kernel's counter of this memory grew, but no more at the end"
        # Pages of the core kernel are most often accounted for elsewhere: as page tables, cache or memory of processes. The areas
        # of each caller of vmalloc are counted exactly: where those do not grow clearly, they come and go, as stacks of tasks do.
        elsewhere = module is None and self.kind in ('page', 'vmalloc')
        if not self._frees_seen and module is None and self.counter in (NOISY, FLAT):
            yield _CLEAN, "this kernel hides frees of many objects at once, and its counter of this memory does not confirm it"
        if self.counter == FLAT:
            yield (_CLEAN if elsewhere else _SUSPECT), "too little for the kernel's counter of this memory to tell: measure for longer"
        if self.counter == NOISY:
            yield (_CLEAN if elsewhere else _SUSPECT), "the kernel's counter of this memory moves too much to confirm it"
        if self.reclaimable:
            objects = sum(weight for _at, _size, weight in settled)
            filled = self.fs_objects * 2 >= objects
            # A module of a file system fills caches as it caches files. Any other module's cache is its own affair.
            caches_files = module is None or any(stacks.module_of(frame) in self._file_systems for frame in self.stack)
            if filled and caches_files:
                yield (_CLEAN if module is None else _SUSPECT), 'it fills a cache that the kernel gives back, as file systems cache more'
            elif module is None:  # growth that stays is found between scans
                yield _CLEAN, 'it fills a cache that the kernel gives back when memory runs low'
        words, most = self.holder
        if words:
            yield most, words
        settled_bytes = sum(size * weight for _at, size, weight in settled)
        if self._cached is not None and self._cached * 2 >= settled_bytes:
            yield _CLEAN, 'it fills the page cache, which the kernel gives back'
        if settled_bytes < LEAK_BYTES:
            doubtful = module is None and self.counter in (NOISY, FLAT)
            most = _SUSPECT if settled_bytes >= LEAK_BYTES / 4 and not doubtful else _CLEAN
            yield most, '%d bytes are too few to be sure: measure for longer' % settled_bytes
        if not self.traced or not self.named:
            yield _SUSPECT, 'its call stack is not known'
