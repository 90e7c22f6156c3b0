# SPDX-License-Identifier: GPL-3.0-or-later
"""For what a task sleeps, in words, from the functions in which it sleeps.

One table. A row has the functions by which the wait is known, and the reason why these tell. The names were read in the sources
of 5.10, 6.1, 6.12 and 7.3: a function that only some of them have stands beside its successor. What no row knows keeps the
name of its function.
"""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.symbols import bare

# The functions that let a task sleep are in a section of their own (__sched), and stacks leave that section out. The call that
# the innermost frame made names the one that was called.
ANYWHERE = 64  # frames: the whole stack
_NEAR = 4  # frames: the function that sleeps, and what calls it

RWSEM = r'(?:down_(?:read|write)(?:_\w+)?|(?:call_)?rwsem_down_(?:read|write)_\w+|__down_(?:read|write)\w*)$'
MUTEX = r'(?:mutex_lock(?:_\w+)?|__mutex_lock(?:_\w+)?|ww_mutex_lock\w*|rt_mutex_lock\w*|__rt_mutex_\w+|rt_mutex_slowlock\w*)$'
LOCKS = r'(?:%s|%s|(?:percpu_down_\w+|__percpu_down_read|percpu_rwsem_wait|down(?:_\w+)?|__down(?:_\w+)?)$)' % (RWSEM[:-1], MUTEX[:-1])
_LOCK = re.compile(LOCKS)
IO = r'(?:io_schedule(?:_timeout|_prepare)?|wait_for_completion_io(?:_timeout)?|bit_wait_io(?:_timeout)?|blk_wait_io)$'


class Row:
    """One kind of wait.

    kind: its name in facts; words: in a sentence; functions: one of them is among the first `depth` frames of the stack;
    called: pattern of the function of the scheduler or of a lock that the innermost frame called, or None; expected: the
    program asked for this wait, or it is the administrator's, and no finding is made of it; why: the reason why these functions tell.
    """

    def __init__(self, kind, words, functions, why, depth=_NEAR, called=None, expected=False):
        self.kind, self.words, self.why, self.expected = kind, words, why, expected
        self.depth = depth
        self.functions = frozenset(functions.split())
        self.called = re.compile(called) if called else None

    def matches(self, names, called, uninterruptible):
        """names: of the frames, innermost first, without offsets; called: name or ''.

        Where the call is not known, functions alone decide for a sleep that cannot be interrupted: locks sleep so.
        """
        if self.called is not None and not (self.called.match(called) if called else self.functions and uninterruptible):
            return False
        # A function that calls the scheduler in its place, as its last act (a tail call), has no frame: it is the one that was called.
        return not self.functions or called in self.functions or not self.functions.isdisjoint(names[:self.depth])


ROWS = (
    # Waits that a program asked for, or that are the administrator's.
    Row('stopped', 'the cgroup or the host is frozen',
        '__refrigerator do_freezer_trap',
        'kernel/freezer.c and cgroup v2: the task was told to stand still', expected=True),
    Row('file_lock', 'a file lock',
        'locks_lock_inode_wait flock_lock_inode_wait posix_lock_inode_wait fcntl_setlk fcntl_setlk64 do_lock_file_wait __do_sys_flock '
        '__break_lease',
        'fs/locks.c: another process has locked the file', expected=True),
    Row('child', 'its child, which has not called exec or exit (vfork)',
        'kernel_clone _do_fork wait_for_vfork_done',
        'kernel/fork.c: a parent sleeps there for its vfork child alone', depth=2, called=r'wait_for_completion', expected=True),
    Row('userfault', 'a program that serves its page faults (userfaultfd)',
        'handle_userfault',
        'fs/userfaultfd.c: the fault waits for the program that registered the memory', expected=True),
    Row('exit', 'other threads of the process to end',
        'do_coredump coredump_wait vfs_coredump de_thread zap_pid_ns_processes',
        'fs/coredump.c, fs/exec.c, kernel/pid_namespace.c: a process waits for its own threads or its namespace', expected=True),

    # Memory: these call everything else that waits below them, so they are looked for in the whole stack.
    Row('compaction', 'memory compaction',
        'try_to_compact_pages compact_zone_order compact_node compact_nodes proactive_compact_node',
        'mm/compaction.c: pages are moved so that a large one can be had', depth=ANYWHERE),
    Row('memcg', 'reclaim at the memory limit of its cgroup',
        'try_charge try_charge_memcg mem_cgroup_handle_over_high __mem_cgroup_handle_over_high try_to_free_mem_cgroup_pages '
        'mem_cgroup_oom_synchronize reclaim_high mem_cgroup_force_empty memory_high_write memory_max_write mem_cgroup_resize_max',
        'mm/memcontrol.c: the charge of a page exceeds memory.max or memory.high', depth=ANYWHERE),
    Row('reclaim', 'direct reclaim of memory',
        'try_to_free_pages __alloc_pages_direct_reclaim throttle_direct_reclaim reclaim_throttle shrink_node shrink_slab '
        'do_shrink_slab node_reclaim __node_reclaim',
        'mm/vmscan.c: memory is freed by the task that wants some', depth=ANYWHERE),
    Row('reclaim', 'room in the cache of ZFS (ARC)',
        'arc_wait_for_eviction',
        'arc.c of OpenZFS: until enough was evicted', depth=6),
    Row('dirty_throttling', 'writeback: it writes faster than the device (dirty throttling)',
        'balance_dirty_pages balance_dirty_pages_ratelimited balance_dirty_pages_ratelimited_flags',
        'mm/page-writeback.c: a writer sleeps so that dirty pages stay below their limit', depth=ANYWHERE),
    Row('migration', 'a page that is being moved',
        'migration_entry_wait migration_entry_wait_on_locked __migration_entry_wait softleaf_entry_wait_on_locked migrate_pages '
        'migrate_misplaced_page migrate_misplaced_folio do_numa_page',
        'mm/migrate.c: compaction or NUMA balancing moves the page', depth=8),
    Row('swap', 'pages from swap',
        'do_swap_page swap_readpage swap_read_folio swapin_readahead read_swap_cache_async',
        'mm/memory.c: the page of the fault lies in swap', depth=8),

    # Journals and logs of file systems.
    Row('journal', 'a commit of the jbd2 journal',
        'jbd2_log_wait_commit jbd2_complete_transaction wait_transaction_locked wait_transaction_switching jbd2_log_start_commit '
        'jbd2_journal_force_commit jbd2_journal_force_commit_nested jbd2_journal_commit_transaction jbd2_journal_wait_updates '
        'jbd2_fc_begin_commit ext4_fc_commit jbd2_fc_wait_bufs',
        'fs/jbd2/commit.c, journal.c, transaction.c: until the commit is on disk', depth=8),
    Row('journal', 'a buffer that the jbd2 commit writes',
        'do_get_write_access jbd2_journal_get_write_access jbd2_journal_get_create_access',
        'fs/jbd2/transaction.c: the buffer belongs to the transaction that commits', depth=6),
    Row('journal', 'free space in the jbd2 journal (checkpoint)',
        '__jbd2_log_wait_for_space jbd2_log_do_checkpoint add_transaction_credits start_this_handle jbd2__journal_start',
        'fs/jbd2/checkpoint.c, transaction.c: the journal is full, or locked by a commit', depth=8),
    Row('journal', 'the XFS log',
        'xfs_log_force xfs_log_force_seq xlog_wait_on_iclog xlog_state_get_iclog_space xlog_grant_head_wait xlog_grant_head_check '
        'xlog_cil_force_seq xlog_cil_push_work xlog_cil_order_write xlog_wait_iclog_completion',
        'fs/xfs/xfs_log.c: until the log is on disk, or has space', depth=8),
    Row('journal', 'a commit of Btrfs',
        'btrfs_commit_transaction wait_current_trans btrfs_sync_log wait_log_commit btrfs_wait_for_commit wait_for_commit '
        'btrfs_wait_ordered_range btrfs_start_ordered_extent btrfs_wait_ordered_roots',
        'fs/btrfs/transaction.c, tree-log.c, ordered-data.c', depth=8),
    Row('journal', 'a transaction group of ZFS',
        'txg_wait_synced txg_wait_synced_impl txg_wait_synced_flags txg_wait_open dmu_tx_wait zil_commit zil_commit_impl zil_commit_waiter',
        'txg.c, dmu_tx.c and zil.c of OpenZFS: until the group, or the intent log, is on disk', depth=8),

    # Locks: by what was called, then by who called it.
    Row('mmap_lock', 'mmap_lock',
        'vm_mmap_pgoff __vm_munmap vm_munmap __do_sys_brk __x64_sys_brk do_mprotect_pkey __do_sys_mremap do_mremap mremap_to '
        'do_madvise madvise_lock madvise_do_behavior madvise_walk_vmas do_user_addr_fault lock_mm_and_find_vma exc_page_fault '
        'do_page_fault __do_page_fault '
        'mmap_read_lock_maybe_expand upgrade_mmap_lock_carefully get_mmap_lock_carefully dup_mm dup_mmap exit_mmap exit_mm exec_mmap '
        'begin_new_exec m_start proc_maps_open lock_next_vma lock_vma_range show_smaps_rollup pagemap_read clear_refs_write do_mlock '
        '__mm_populate apply_vma_lock_flags __access_remote_vm access_remote_vm get_cmdline proc_pid_cmdline_read get_mm_cmdline '
        'environ_read khugepaged_scan_mm_slot collapse_huge_page hpage_collapse_scan_pmd collapse_scan_mm_slot task_numa_work '
        'unmerge_ksm_pages ksm_scan_thread scan_get_next_rmap_item __gup_longterm_locked get_user_pages_unlocked '
        '__get_user_pages_locked internal_get_user_pages_fast gup_fast_fallback pin_user_pages_remote fixup_user_fault '
        'fault_in_user_writeable expand_stack acct_collect userfaultfd_register userfaultfd_unregister mfill_atomic __mcopy_atomic '
        'prctl_set_mm prctl_set_vma process_vm_rw_core process_vm_rw_single_vec uprobe_register uprobe_mmap build_map_info do_shmat '
        'ksys_shmdt __do_sys_remap_file_pages do_mincore __do_sys_mincore do_migrate_pages kernel_mbind do_mbind do_pages_move '
        'add_folio_for_migration walk_page_range',
        'include/linux/mmap_lock.h is inline: these functions take the lock of an address space', depth=2, called=RWSEM),
    Row('rmap_lock', 'the lock of who maps a file or an area of memory',
        'unlink_file_vma_batch_process unlink_file_vma unlink_anon_vmas anon_vma_clone anon_vma_fork rmap_walk_anon rmap_walk_file '
        'folio_lock_anon_vma_read page_lock_anon_vma_read vma_prepare vma_link __vma_adjust vma_link_file unlink_file_vma_batch_final',
        'mm/rmap.c, mm/vma.c: i_mmap_rwsem and anon_vma->rwsem, of mmap, fork and exit against reclaim, migration and DAMON',
        depth=3, called=RWSEM),
    Row('inode_lock', 'the inode lock of a directory',
        'path_openat open_last_lookups lookup_open filename_create do_unlinkat do_rmdir lock_rename lock_two_directories do_renameat2 '
        'vfs_rename lookup_slow __lookup_slow walk_component iterate_dir kern_path_locked vfs_rmdir vfs_unlink vfs_mkdir '
        '__start_dirop start_dirop start_creating start_removing start_creating_path start_renaming filename_mkdirat '
        'filename_unlinkat filename_rmdir __start_renaming lookup_one_unlocked kern_path_create simple_recursive_removal',
        'fs/namei.c, fs/readdir.c: they lock the directory for a lookup, a creation, a removal or a listing', depth=3, called=RWSEM),
    Row('inode_lock', 'the inode lock of a file',
        'ext4_file_write_iter ext4_buffered_write_iter ext4_dio_write_iter ext4_file_read_iter ext4_dio_read_iter '
        'generic_file_write_iter shmem_file_write_iter xfs_ilock xfs_ilock_nowait xfs_file_buffered_write xfs_file_write_iter '
        'xfs_ilock_iocb btrfs_inode_lock btrfs_buffered_write btrfs_sync_file btrfs_direct_write fuse_cache_write_iter '
        'fuse_file_write_iter fuse_direct_write_iter nfs_start_io_read nfs_start_io_write nfs_file_write do_truncate chmod_common '
        'chown_common vfs_setxattr vfs_removexattr vfs_utimes vfs_fallocate ext4_fallocate blkdev_write_iter generic_file_llseek '
        'f2fs_file_write_iter file_remove_privs ext4_evict_inode ext4_truncate ext4_setattr ext4_map_blocks ext4_map_create_blocks '
        'ext4_da_map_blocks ext4_llseek',
        'fs: they take inode->i_rwsem, or the lock of the blocks of the inode', depth=3, called=RWSEM),
    Row('cgroup_lock', 'the lock of all cgroups',
        'cgroup_kn_lock_live cgroup_lock_and_drain_offline cgroup_procs_write_start cgroup_attach_lock cgroup_mkdir cgroup_rmdir '
        'cgroup_can_fork cgroup_css_set_fork proc_cgroup_show cgroup_show_path cgroup_release cgroup_exit cgroup_free '
        'cgroup_subtree_control_write css_killed_work_fn css_release_work_fn cgroup1_release_agent proc_cgroupstats_show '
        'cgroupstats_build cpuset_write_resmask cgroup_rstat_flush mem_cgroup_flush_stats __cgroup_procs_write cgroup_attach_task_all '
        'cgroup_enter_frozen',
        'kernel/cgroup: cgroup_mutex, the rwsem of thread groups, or that of the statistics', depth=3, called=LOCKS),
    Row('rtnl', 'the RTNL lock of the network configuration',
        'rtnl_lock rtnl_lock_killable rtnetlink_rcv_msg rtnl_newlink rtnl_dumpit dev_ioctl register_netdev unregister_netdev '
        'default_device_exit_batch cleanup_net',
        'net/core/rtnetlink.c: one lock for all of it', depth=2, called=MUTEX),
    Row('fs_frozen', 'its file system, which is frozen',
        '__sb_start_write mnt_want_write freeze_super thaw_super ext4_journal_check_start',
        'fs/super.c: writes wait until the file system is thawed', depth=3),
    Row('rwsem', 'the lock of a mounted file system (umount, remount, sync)',
        'iterate_supers iterate_supers_type get_super __get_super user_get_super grab_super deactivate_super super_lock super_lock_shared '
        'super_lock_excl ovl_sync_fs sget sget_fc',
        'fs/super.c: s_umount is held while a file system is mounted, unmounted, frozen or written out', depth=2, called=RWSEM),
    Row('pipe_lock', 'the lock of a pipe',
        'pipe_write pipe_read pipe_lock pipe_release pipe_double_lock splice_pipe_to_pipe',
        'fs/pipe.c: another task is within the pipe', depth=2, called=MUTEX),
    Row('file_position', 'the position of a file that other threads use',
        '__fdget_pos fdget_pos ksys_lseek',
        'fs/file.c: read, write and lseek of one open file take turns', depth=2, called=MUTEX),

    # The network and user-space file systems.
    Row('nfs', 'an NFS server',
        'rpc_wait_bit_killable nfs_wait_bit_killable nfs_wait_on_request nfs4_delay_killable nfs4_handle_exception '
        'nfs4_wait_clnt_recover nfs_wait_client_init_complete __rpc_wait_for_completion_task nfs_wait_atomic_killable '
        'nfs_commit_inode nfs4_proc_layoutget rpc_wait_for_completion_task nfs4_run_open_task',
        'fs/nfs, net/sunrpc: until the server answers', depth=6),
    Row('network_fs', 'the server of a network file system',
        'wait_for_response compound_send_recv cifs_send_recv SendReceive ceph_mdsc_do_request ceph_mdsc_wait_request '
        'ceph_osdc_wait_request p9_client_rpc p9_virtio_request afs_make_call netfs_wait_for_read',
        'fs/smb, fs/ceph, net/9p, fs/afs, fs/netfs', depth=4),
    Row('fuse', 'a FUSE daemon',
        'request_wait_answer __fuse_request_send fuse_simple_request __fuse_simple_request fuse_wait_on_page_writeback '
        'fuse_dev_do_write',
        'fs/fuse/dev.c: until the daemon answers', depth=4),

    # Pages and devices.
    Row('writeback', 'pages that are being written',
        'folio_wait_writeback wait_on_page_writeback folio_wait_writeback_killable folio_wait_stable wait_for_stable_page '
        '__filemap_fdatawait_range filemap_fdatawait_range wb_wait_for_completion writeback_inodes_sb_nr wait_sb_inodes '
        'sync_inodes_sb __writeback_inodes_sb_nr inode_wait_for_writeback __inode_wait_for_writeback inode_sleep_on_writeback',
        'mm/page-writeback.c, fs/fs-writeback.c: until the device has them', depth=6),
    Row('block_io', 'pages that are read',
        'filemap_get_pages filemap_update_page filemap_fault filemap_read generic_file_buffered_read do_read_cache_page '
        'do_read_cache_folio filemap_read_folio page_cache_ra_unbounded page_cache_ra_order read_pages folio_put_wait_locked '
        '__lock_page_or_retry __folio_lock_or_retry',
        'mm/filemap.c: until the device has delivered them', depth=6),
    Row('page_lock', 'a page that another task has locked',
        'wait_on_page_bit_common folio_wait_bit_common __lock_page __lock_page_killable __folio_lock __folio_lock_killable '
        'folio_wait_bit truncate_inode_pages_range truncate_inode_partial_folio',
        'mm/filemap.c: the lock of a page', depth=3),
    Row('block_io', 'a free request of a block device (its queue is full)',
        'blk_mq_get_tag __blk_mq_get_driver_tag __blk_mq_alloc_requests blk_mq_submit_bio __bio_queue_enter blk_queue_enter '
        '__submit_bio',
        'block/blk-mq-tag.c: all requests of the queue are in use, or the queue is frozen', depth=2),
    Row('io_throttling', 'the I/O limit of its cgroup, or writeback throttling',
        'rq_qos_wait wbt_wait __rq_qos_throttle ioc_rqos_throttle blkcg_maybe_throttle_current blkcg_maybe_throttle_blkg '
        'blkcg_iolatency_throttle blk_throtl_bio __blk_throtl_bio',
        'block/blk-wbt.c, blk-iocost.c, blk-iolatency.c, blk-throttle.c', depth=5),
    Row('block_io', 'a software RAID (its resync, its superblock or a free stripe)',
        'md_write_start wait_barrier _wait_barrier wait_read_barrier raise_barrier raid5_get_active_stripe md_handle_request',
        'drivers/md: until the barrier of a resync falls, the superblock says that there are writes, or a stripe is free', depth=3),
    Row('block_io', 'a request of ZFS',
        'zio_wait',
        'zio.c of OpenZFS: until the request and its parts are done', depth=6),
    Row('block_io', 'a block device',
        'blk_io_schedule submit_bio_wait __wait_on_buffer __lock_buffer __bread_gfp __bh_read_batch __sync_dirty_buffer '
        'blkdev_issue_flush blkdev_issue_discard blkdev_issue_zeroout __blkdev_direct_IO __blkdev_direct_IO_simple iomap_dio_rw '
        '__iomap_dio_rw dio_await_one do_blockdev_direct_IO __blockdev_direct_IO blk_execute_rq blk_execute_rq_nowait '
        'scsi_execute_cmd __scsi_execute nvme_submit_sync_cmd __nvme_submit_sync_cmd nvme_execute_rq xfs_buf_iowait xfs_buf_lock '
        '_xfs_buf_read ext4_read_bh read_extent_buffer_pages wait_on_extent_buffer_writeback md_flush_request md_super_wait '
        'dm_wait_for_completion lock_extent btrfs_lock_extent',
        'block, fs/buffer.c, fs/iomap: until a request is done', depth=5),

    # The kernel's own machinery.
    Row('rcu', 'an RCU grace period',
        '__wait_rcu_gp synchronize_rcu synchronize_rcu_normal synchronize_rcu_expedited rcu_barrier __synchronize_srcu '
        'synchronize_srcu synchronize_srcu_expedited synchronize_rcu_expedited_wait synchronize_net rcu_sync_enter '
        'synchronize_rcu_tasks_generic synchronize_rcu_tasks srcu_barrier',
        'kernel/rcu: until all CPUs were quiet once', depth=4),
    Row('workqueue', 'work that a kernel worker has to finish',
        '__flush_work flush_work __flush_workqueue flush_workqueue drain_workqueue flush_delayed_work __cancel_work_timer '
        '__cancel_work_sync cancel_work_sync lru_add_drain_all __lru_add_drain_all work_on_cpu work_on_cpu_key schedule_on_each_cpu '
        'flush_rcu_work',
        'kernel/workqueue.c', depth=4),
    Row('cpu_hotplug', 'all CPUs, or one of them, to be taken over',
        'stop_machine stop_machine_cpuslocked stop_cpus __stop_cpus stop_one_cpu stop_two_cpus migrate_swap sched_exec cpus_read_lock '
        'cpu_down _cpu_down _cpu_up cpuhp_kick_ap text_poke_sync kick_all_cpus_sync',
        'kernel/stop_machine.c, kernel/cpu.c', depth=3),
    Row('helper', 'a module, firmware or a helper program',
        'call_usermodehelper_exec call_usermodehelper __request_module _request_firmware request_firmware '
        'idempotent_wait_for_completion do_init_module devtmpfs_submit_req',
        'kernel/umh.c, kernel/module, drivers/base', depth=4),
    Row('kthread', 'a kernel thread to start or to end',
        'kthread_stop __kthread_create_on_node kthread_create_on_node kthread_park kthread_flush_worker kthread_flush_work',
        'kernel/kthread.c', depth=3),
    Row('delay', 'a delay that a driver asks for',
        'msleep usleep_range usleep_range_state msleep_interruptible',
        'kernel/time: the kernel sleeps by the clock, uninterruptibly', depth=1),

    # By what was called alone.
    Row('rwsem', 'a read-write semaphore',
        '',
        'kernel/locking/rwsem.c', called=RWSEM),
    Row('mutex', 'a mutex',
        '',
        'kernel/locking/mutex.c', called=MUTEX),
    Row('lock', 'a lock of the kernel',
        '',
        'kernel/locking', called=LOCKS),
    Row('io', 'I/O',
        '',
        'kernel/sched/core.c: io_schedule counts the task as waiting for I/O', called=IO),
)

KINDS = tuple(dict.fromkeys(row.kind for row in ROWS)) + ('other',)
WORDS_OF_OTHER = 'a sleep that cannot be interrupted'
# Of a device's own requests.
OF_DEVICES = frozenset(('block_io', 'io', 'writeback', 'journal', 'swap', 'io_throttling', 'dirty_throttling', 'page_lock'))
# What may sleep so that signals interrupt it, and is blocked by the kernel nevertheless.
_OTHER = Row('other', WORDS_OF_OTHER, '', 'no row knows the function')
_IDLE_THREADS = re.compile(r'(?:kthread|worker_thread|rescuer_thread|ret_from_fork|ret_from_fork_asm)$')
_SYSTEM_CALL = re.compile(r'__(?:x64|ia32|se|do)_(?:compat_)?sys_(\w+)$')
_FAULT = re.compile(r'(?:asm_)?exc_page_fault$|async_page_fault$|page_fault$')


# These wake a sleeper on behalf of whoever calls them.
_WAKING = re.compile(r'(?:try_to_wake_up|ttwu_\w+|wake_up_\w+|_*wake_up\w*|\w*wake_function|rwsem_\w+|up_(?:read|write)|mutex_unlock'
                     r'|_*mutex_unlock\w*|complete\w*|swake_\w+|folio_wake_\w+|folio_unlock|unlock_page|wake_page_function|_*rt_mutex_\w+'
                     r'|wake_bit_function|bit_wait\w*|percpu_up_\w+|_*percpu_up\w*|mark_wakeup_next_waiter)$')


class Reason:
    """kind: of KINDS; words: in a sentence; function: where the task sleeps, '' when not known; call: the system call, 'page fault' or '';
    expected: no finding is made of it."""

    def __init__(self, row, function, call):
        self.kind, self.words, self.expected = row.kind, row.words, row.expected
        self.function, self.call = function, call


def reason(frames, called, uninterruptible, is_kernel_thread, is_mmap_lock=False):
    """Return the Reason of a wait; None for an ordinary sleep, or for one that a program asked for and no row knows.

    frames: names as given by Symbols.stack, innermost first; called: name of the function that the innermost one called, '' when not
    known; is_mmap_lock: the task waits for the lock of its own address space.
    """
    names, called = [bare(frame) for frame in frames], bare(called) if called else ''
    # Some kernels leave slow paths of locks out of that section (rwsem_down_write_slowpath of 5.10): then the stack begins with them.
    while names and _LOCK.match(names[0]):
        called = names.pop(0)
    row = _row(names, called, uninterruptible, is_mmap_lock)
    if row is None:
        if not uninterruptible or (is_kernel_thread and is_idle_thread(names)):
            return None
        row = _OTHER
    return Reason(row, names[0] if names else '', call_of(names))


def _row(names, called, uninterruptible, is_mmap_lock):
    if is_mmap_lock:
        return next(row for row in ROWS if row.kind == 'mmap_lock')
    return next((row for row in ROWS if row.matches(names, called, uninterruptible)), None)


def is_idle_thread(names):
    """Does a kernel thread sleep in its own main function, which waits for work?"""
    return len(names) < 2 or bool(_IDLE_THREADS.match(names[1])) or bool(_IDLE_THREADS.match(names[0]))


def call_of(names):
    """Return the name of the system call that a stack belongs to, 'page fault', or '' for neither."""
    for name in reversed(names):
        found = _SYSTEM_CALL.match(name)
        if found:
            return found.group(1)
    return 'page fault' if any(_FAULT.match(name) for name in names) else ''


def is_waking(name):
    """Does a function wake others on behalf of whoever calls it?"""
    return bool(_WAKING.match(name))
