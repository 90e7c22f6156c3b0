# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this a leak? The confidence of the cohorts, weighed with who else may hold the memory."""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks

LEAK, SUSPECT = 0.7, 0.4
# Growth of less than this is too little to be called a leak: wait for longer.
LEAK_BYTES = 131072
# Shorter windows hold too few cohorts.
LEAST_WINDOW_S = 8.0

# Functions that fill caches which the kernel gives back when memory runs low.
_CACHE = re.compile(
    r'^(?:__filemap_get_folio\w*|filemap_alloc_folio\w*|filemap_get_pages|pagecache_get_page|page_cache_ra_\w+'
    r'|ra_alloc_folio|__do_page_cache_readahead'
    r'|page_cache_sync_ra|page_cache_async_ra|do_page_cache_ra|force_page_cache_ra|do_read_cache_(?:page|folio)'
    r'|add_to_page_cache_\w+|__filemap_add_folio'
    r'|__add_to_page_cache_locked|grow_dev_page|grow_dev_folio|__getblk\w*|bdev_getblk|block_\w*buffers'
    r'|create_empty_buffers|create_page_buffers'
    r'|folio_alloc_buffers|alloc_page_buffers|alloc_buffer_head|shmem_alloc_\w+|simple_write_begin'
    r'|alloc_inode|new_inode\w*|\w+_alloc_inode|\w+_inode_alloc|\w+_inode_alloc_security|lsm_inode_alloc'
    r'|inode_alloc_security|inode_doinit\w*'
    r'|__d_alloc|d_alloc\w*|xas_\w+|radix_tree_\w+|__es_insert_extent|ext4_es_insert_extent|__es_alloc_extent'
    r'|mb_cache_entry_create'
    r'|iomap_page_create|ifs_alloc|xfs_buf_\w+|xfs_inode_item_init|xfs_iread_extents|btrfs_alloc_\w+|alloc_extent_\w+'
    r'|jbd2_journal_add_journal_head'
    r'|journal_alloc_journal_head|start_this_handle|ext4_init_\w+|ext4_mb_\w+|ext4_ext_\w+|__kernfs_iattrs|kernfs_iattrs'
    r'|simple_xattr_\w+'
    r'|workingset_\w+|list_lru_\w+|memcg_list_lru_\w+|shrinker_\w+|sysfs_\w*alloc\w*|proc_\w*alloc_inode|proc_alloc_inum'
    r'|nfs_\w*alloc\w*|fuse_alloc_\w+|ovl_alloc_\w+|p9_\w+|v9fs_\w+|avc_alloc_node|avc_\w+|dax_\w+|swap_\w+|add_swap_\w+'
    r'|zs_malloc|z3fold_\w+|zbud_\w+|zswap_\w+'
    r')$')
# Functions that make the memory of processes and what describes it.
_PROCESS = re.compile(
    r'^(?:_*pte_alloc\w*|_*pmd_alloc\w*|_*pud_alloc\w*|_*p4d_alloc\w*|_*pgd_alloc\w*|get_pmd\w*|___pte_free_tlb'
    r'|pagetable_alloc\w*'
    r'|do_anonymous_page|alloc_anon_folio|wp_page_copy|do_cow_fault|do_fault\w*|vma_alloc_\w*folio\w*|folio_prealloc'
    r'|alloc_zeroed_user_highpage\w*'
    r'|do_huge_pmd_\w+|vma_alloc_anon_folio_pmd|alloc_charge_\w+|collapse_\w+|khugepaged_\w+|get_huge_zero_\w+'
    r'|do_swap_page|tlb_\w+|__tlb_\w+'
    r'|vm_area_alloc|vm_area_dup|anon_vma_\w+|__anon_vma_\w+|mas_\w+|mt_\w+|mtree_\w+|mm_alloc|dup_mm\w*|copy_page_range'
    r'|copy_p[umgt4]*d?_range|mm_init|mm_alloc_\w+'
    r'|_install_special_mapping|__install_special_mapping|mpol_\w+|vma_\w+|__split_vma|__mmap_region|mmap_region'
    r'|expand_stack\w*'
    r'|setup_arg_pages|get_arg_page|copy_string\w*|bprm_\w+|alloc_bprm|migrate_\w+|compaction_\w+|alloc_migration_target'
    r'|new_page_nodemask'
    r'|damon_\w+|userfaultfd_\w+'
    r')$')
# Functions whose memory somebody holds, and the counter that then grows with it.
_HELD = (
    ('tasks', 'more tasks', re.compile(r'^(?:copy_process|_do_fork|kernel_clone|dup_task_struct|alloc_thread_stack_node|copy_\w+)$')),
    ('files', 'more open files', re.compile(
        r'^(?:_*alloc_(?:empty_)?file\w*|alloc_file_\w+|path_openat|do_filp_open|do_pipe2|create_pipe_files'
        r'|alloc_pipe_info|pipe_write|alloc_fdtable|expand_\w*files?'
        r'|do_epoll_\w+|ep_\w+|do_eventfd|__anon_inode_\w+|do_inotify\w+|do_timerfd\w+)$')),
    ('sockets', 'more sockets, closed ones that still wait among them', re.compile(
        r'^(?:sk_alloc|sk_prot_alloc|sk_clone\w*|sock_alloc\w*|__sock_create|inet_create|inet6_create|unix_create1?'
        r'|inet_csk_\w+|__inet_hash_connect|tcp_time_wait|__alloc_skb|alloc_skb_with_frags'
        r'|inet_reqsk_alloc|inet_bind\w*|inet_twsk_\w+|netlink_create|packet_create)$')),
    ('modules', 'more kernel modules', re.compile(
        r'^(?:load_module|do_init_module|init_module_from_file|idempotent_init_module|__do_sys_(?:f?init|delete)_module'
        r'|move_module|module_\w+|layout_and_allocate'
        r'|execmem_\w+|bpf_jit_\w+|bpf_prog_\w+)$')),
    ('cgroups', 'more cgroups, removed ones that still hold memory among them', re.compile(
        r'^(?:cgroup_mkdir|css_create|cgroup_apply_control_enable|mem_cgroup_css_alloc|cgroup_create|kernfs_iop_mkdir)$')),
    ('namespaces', 'more mounts and name spaces', re.compile(
        r'^(?:copy_net_ns|setup_net|create_new_namespaces|copy_mnt_ns|copy_tree|clone_mnt|alloc_vfsmnt|do_mount'
        r'|path_mount|do_new_mount\w*|copy_ipcs|copy_pid_ns|copy_utsname'
        r'|unshare_nsproxy_namespaces|copy_namespaces)$')),
)


# Slabs of any cache have some memory beside them.
_BOOKKEEPING = frozenset(('alloc_slab_obj_exts', 'memcg_alloc_slab_cgroups', 'memcg_alloc_page_obj_cgroups', 'allocate_slab'))


def kind_of(stack):
    """Return 'cache', 'process', 'bookkeeping' or '' by the function that a stack (names, innermost first) blames."""
    if _BOOKKEEPING.intersection(stacks.bare(frame) for frame in stack):
        return 'bookkeeping'
    function, _module = stacks.culprit(stack)
    if function is None:
        return ''
    return 'cache' if _CACHE.match(function) else 'process' if _PROCESS.match(function) else ''


def holder_of(stack, objects, grown):
    """Return words for who holds `objects` of this stack, '' when nobody is known to.

    grown: {holder: how many more of them there are than at the beginning}.
    """
    names = set(stacks.bare(frame) for frame in stack)
    for holder, words, functions in _HELD:
        more = grown.get(holder) or 0
        if more > 0 and more * 4 >= objects and any(functions.match(name) for name in names):
            return '%d %s' % (more, words)
    return ''


class Case:
    """What is known of one place.

    stack: names; cohort: Cohort; reclaimable: its slab cache is one that the kernel shrinks; corroborated: the kernel's own counter
    agrees (True, False, None: cannot tell); holder: words of holder_of; traced: its stack was captured;
    named: the kernel shows its symbols; window_s: seconds.
    """

    def __init__(self, stack, cohort, window_s, reclaimable=False, corroborated=None, holder='', traced=True, named=True):
        self.stack, self.cohort, self.window_s = stack, cohort, window_s
        self.reclaimable, self.corroborated, self.holder, self.traced, self.named = reclaimable, corroborated, holder, traced, named

    def judge(self):
        """Return (verdict 'leak', 'suspect', 'clean' or 'unknown', confidence, reasons: short texts, most important first)."""
        confidence, parts = self.cohort.confidence()
        count = len(self.cohort.settled())
        if self.window_s < LEAST_WINDOW_S:
            return 'unknown', 0.0, ['the window of %.1f s is too short to tell a leak from work' % self.window_s]
        if not count:
            return 'clean', 0.0, ['nothing of it is older than %.1f s' % (self.cohort.settle_ns / 1e9)]
        kind = kind_of(self.stack)
        if self.reclaimable or kind == 'cache':
            return 'clean', 0.0, ['it fills a cache that the kernel gives back when memory runs low']
        if kind == 'bookkeeping':
            return 'clean', 0.0, ['it goes with slabs, whose own objects are listed']
        if kind == 'process':
            return 'clean', 0.0, ['it is memory of processes']
        reasons = []
        if self.corroborated is False:
            confidence *= 0.3
            reasons.append('its slab cache did not grow as much: the kernel frees these objects unseen')
        if self.holder:
            confidence = min(confidence, 0.6)
            reasons.append('there are %s, which may hold it' % self.holder)
        settled_bytes = sum(size * weight for _at, size, weight in self.cohort.settled())
        if settled_bytes < LEAK_BYTES:
            confidence = min(confidence, 0.6) if settled_bytes >= LEAK_BYTES / 4 else min(confidence, 0.3)
            reasons.append('%d bytes are too few to be sure: measure for longer' % settled_bytes)
        if not self.traced or not self.named:
            confidence = min(confidence, 0.6)
            reasons.append('its call stack is not known')
        if parts['kept'] < 0.8:
            reasons.append('old objects are freed too')
        if parts['going_on'] < 0.8:
            reasons.append('it slowed down or ended')
        if parts['steady'] < 0.8:
            reasons.append('it comes in bursts')
        if parts['enough'] < 0.8:
            reasons.append('%d objects are few' % count)
        verdict = 'leak' if confidence >= LEAK else 'suspect' if confidence >= SUSPECT else 'clean'
        if verdict == 'leak':
            reasons.insert(0, 'it grew all through the window, and what is older than %.1f s stays' % (self.cohort.settle_ns / 1e9))
        return verdict, round(confidence, 3), reasons
