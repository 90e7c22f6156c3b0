# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this a leak? The confidence of the cohorts, weighed with the kernel's own counters and with who else may hold the memory."""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import trend

LEAK, SUSPECT = 0.7, 0.4
# Growth of less than this is too little to be called a leak: wait for longer.
LEAK_BYTES = 131072
# Shorter windows hold too few cohorts.
LEAST_WINDOW_S = 8.0
_CLEAN, _SUSPECT = 0.3, 0.6  # the most that a site's confidence may be when something speaks against it

CONFIRMED, CONTRADICTED, NOISY, FLAT, SHARED = 'confirmed', 'contradicted', 'noisy', 'flat', 'shared'

# Memory of the core kernel that something visible holds, and the counter that then grows with it. A name alone excuses nothing: the
# counter must have grown by as many (bytes where the holder is measured in bytes), and a module's function is never looked up here.
# The last column is the most that the confidence may then be.
_HELD = (
    ('tasks', 'more tasks', _SUSPECT, re.compile(
        r'^(?:copy_process|_do_fork|kernel_clone|dup_task_struct|alloc_thread_stack_node|copy_\w+)$')),
    ('files', 'more open files', _SUSPECT, re.compile(
        r'^(?:_*alloc_(?:empty_)?file\w*|alloc_file_\w+|path_openat|do_filp_open|do_pipe2|create_pipe_files'
        r'|alloc_pipe_info|pipe_write|alloc_fdtable|expand_\w*files?'
        r'|do_epoll_\w+|ep_\w+|do_eventfd|__anon_inode_\w+|do_inotify\w+|do_timerfd\w+)$')),
    ('sockets', 'more sockets, closed ones that still wait among them', _SUSPECT, re.compile(
        r'^(?:sk_alloc|sk_prot_alloc|sk_clone\w*|sock_alloc\w*|__sock_create|inet_create|inet6_create|unix_create1?'
        r'|inet_csk_\w+|__inet_hash_connect|tcp_time_wait|inet_reqsk_alloc|inet_bind\w*|inet_twsk_\w+|netlink_create|packet_create)$')),
    ('modules', 'more kernel modules', _SUSPECT, re.compile(
        r'^(?:load_module|do_init_module|init_module_from_file|idempotent_init_module|__do_sys_(?:f?init|delete)_module'
        r'|move_module|module_\w+|layout_and_allocate|execmem_\w+|bpf_jit_\w+|bpf_prog_\w+)$')),
    ('cgroups', 'more cgroups, removed ones that still hold memory among them', _SUSPECT, re.compile(
        r'^(?:cgroup_mkdir|css_create|cgroup_apply_control_enable|mem_cgroup_css_alloc|cgroup_create|kernfs_iop_mkdir)$')),
    ('namespaces', 'more mounts and name spaces', _SUSPECT, re.compile(
        r'^(?:copy_net_ns|setup_net|create_new_namespaces|copy_mnt_ns|copy_tree|clone_mnt|alloc_vfsmnt|do_mount'
        r'|path_mount|do_new_mount\w*|copy_ipcs|copy_pid_ns|copy_utsname|unshare_nsproxy_namespaces|copy_namespaces)$')),
    ('inodes', 'more inodes in the cache of file systems', _CLEAN, re.compile(
        r'^(?:alloc_inode|new_inode\w*|inode_init_always\w*|security_inode_\w+|lsm_inode_alloc|inode_doinit\w*|iget\w*_locked)$')),
    ('dentries', 'more names in the cache of file systems', _CLEAN, re.compile(r'^(?:__d_alloc|d_alloc\w*)$')),
    ('process_bytes', 'more bytes of processes, which it describes', _CLEAN, re.compile(
        r'^(?:_*p[mu4g]*[td]e?_alloc\w*|get_pmd\w*|pagetable_alloc\w*|do_anonymous_page|do_fault\w*|do_cow_fault|wp_page_copy'
        r'|handle_mm_fault|do_huge_pmd_\w+|vm_area_alloc|vm_area_dup|anon_vma_\w+|__anon_vma_\w+|mas_\w+|mt_\w+|mtree_\w+|dup_mm\w*'
        r'|copy_page_range|mm_init|mm_alloc\w*|__split_vma|__mmap_region|mmap_region|swap_\w+|add_swap_\w+|userfaultfd_\w+)$')),
)


# Slabs of any cache have some memory beside them.
_BOOKKEEPING = frozenset(('alloc_slab_obj_exts', 'memcg_alloc_slab_cgroups', 'memcg_alloc_page_obj_cgroups', 'allocate_slab'))


def is_bookkeeping(stack):
    """Does this memory (a stack of names, innermost first) go with slabs, whose own objects are listed?"""
    return any(stacks.bare(frame) in _BOOKKEEPING and not stacks.module_of(frame) for frame in stack)


def holder_of(stack, objects, size, grown):
    """Return (words for who holds `objects` of this stack, the most that its confidence may be); ('', 1.0) when nobody is known to.

    size: bytes held; grown: {holder: how many more of them there are than at the beginning}. Only functions of the core
    kernel are held by others, and only where no module's function allocates.
    """
    names = set(stacks.bare(frame) for frame in stack if not stacks.module_of(frame))
    if stacks.culprit(stack)[1] is not None and 'alloc_inode' not in names:
        return '', 1.0
    for holder, words, most, functions in _HELD:
        more = grown.get(holder) or 0
        needed = size if holder.endswith('_bytes') else objects
        if more > 0 and more * 4 >= needed and any(functions.match(name) for name in names):
            return '%d %s' % (more, words), most
    return '', 1.0


def compare(points, rate, slack_bytes):
    """Compare the rate of a site's survivors with the kernel's counter of the same memory.

    points: [(seconds, bytes)] of the counter while the site was followed; rate: bytes a second; slack_bytes: what may be
    allocated without the counter moving, as slabs are filled up. Returns (CONFIRMED, CONTRADICTED, NOISY: the counter moves
    too much to tell, FLAT: the growth is too little for it to tell, or None: no counter; the counter's slope, bytes a second).
    """
    if len(points) < 5:
        return None, 0.0
    slope, least, most = trend.theil_sen(points)
    span_s = points[-1][0] - points[0][0]
    if least >= 0.5 * rate or slope >= 0.7 * rate and least > 0:
        return CONFIRMED, slope
    if most >= 0.5 * rate:
        return NOISY, slope
    return (CONTRADICTED if most * span_s + slack_bytes < 0.5 * rate * span_s else FLAT), slope


class Case:
    """What is known of one allocation site.

    stack: names; cohort: Cohort; counter: what compare() returned of its class, or SHARED: the counter grew by less than all sites
    that fill the same cache together; kind: its type; reclaimable: its slab cache is one that the kernel shrinks;
    fs_objects: how many objects the caches of file systems gained; file_systems: the names of those that the kernel has;
    holder: of holder_of; traced: its place is known; named: the kernel shows its symbols; window_s: seconds.
    """

    def __init__(self, stack, cohort, window_s, counter=None, kind='slab', reclaimable=False, fs_objects=0, holder=('', 1.0),
                 traced=True, named=True, file_systems=()):
        self.stack, self.cohort, self.window_s, self.counter = stack, cohort, window_s, counter
        self.kind = kind
        self.reclaimable, self.fs_objects, self.holder, self.traced, self.named = reclaimable, fs_objects, holder, traced, named
        self._file_systems = file_systems

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
        verdict = 'leak' if confidence >= LEAK else 'suspect' if confidence >= SUSPECT else 'clean'
        if verdict == 'leak':
            reasons.insert(0, 'it grew all through the window, and what is older than %.1f s stays' % (self.cohort.settle_ns / 1e9))
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
        # Pages of the core kernel are most often accounted for elsewhere: as page tables, cache or memory of processes. The areas
        # of each caller of vmalloc are counted exactly: where those do not grow clearly, they come and go, as stacks of tasks do.
        elsewhere = module is None and self.kind in ('page', 'vmalloc')
        if self.counter == FLAT:
            yield (_CLEAN if elsewhere else _SUSPECT), "too little for the kernel's counter of this memory to tell: measure for longer"
        if self.counter == NOISY:
            most = _CLEAN if elsewhere else _SUSPECT if module is None else 1.0
            yield most, "the kernel's counter of this memory moves too much to confirm it"
        if self.reclaimable:
            objects = sum(weight for _at, _size, weight in settled)
            filled = self.fs_objects * 2 >= objects
            # A module of a file system fills caches as it caches files. Any other module's cache is its own affair.
            caches_files = module is None or any(stacks.module_of(frame) in self._file_systems for frame in self.stack)
            if filled and caches_files:
                yield (_CLEAN if module is None else _SUSPECT), 'it fills a cache that the kernel gives back, as file systems cache more'
            elif module is None:
                yield _SUSPECT, 'it fills a cache that the kernel gives back when memory runs low'
        words, most = self.holder
        if words:
            yield most, 'there are %s, which may hold it' % words
        settled_bytes = sum(size * weight for _at, size, weight in settled)
        if settled_bytes < LEAK_BYTES:
            doubtful = module is None and self.counter in (NOISY, FLAT)
            most = _SUSPECT if settled_bytes >= LEAK_BYTES / 4 and not doubtful else _CLEAN
            yield most, '%d bytes are too few to be sure: measure for longer' % settled_bytes
        if not self.traced or not self.named:
            yield _SUSPECT, 'its call stack is not known'
