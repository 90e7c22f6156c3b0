# SPDX-License-Identifier: GPL-3.0-or-later
"""For what a task sleeps, by stacks as kernels 5.10 to 6.18 print them."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked import reasons

END = ["do_syscall_64+0x71", "entry_SYSCALL_64_after_hwframe+0x76"]

# (kind, what the innermost frame called, frames)
BLOCKED = [
    ("mmap_lock", "down_write_killable", ["vm_mmap_pgoff+0x11c"]),
    ("mmap_lock", "down_read", ["do_user_addr_fault+0x4a2", "exc_page_fault+0x60", "asm_exc_page_fault+0x22"]),
    ("mmap_lock", "down_write_killable", ["__vm_munmap+0x60", "__x64_sys_munmap+0x17"]),
    ("inode_lock", "down_write", ["path_openat+0x2f0", "do_filp_open+0xb0", "do_sys_openat2+0x60", "__x64_sys_openat+0x4e"]),
    ("rmap_lock", "down_write", ["unlink_file_vma_batch_process+0x4c", "free_pgtables+0x120", "exit_mmap+0x110", "__mmput+0x40"]),
    ("inode_lock", "down_write", ["do_unlinkat+0xc0", "__x64_sys_unlink+0x20"]),
    ("inode_lock", "down_write", ["ext4_buffered_write_iter+0x2d [ext4]", "vfs_write+0x1f0", "ksys_write+0x60"]),
    ("journal", "schedule", ["jbd2_log_wait_commit+0xd0 [jbd2]", "ext4_sync_file+0x1d0 [ext4]", "__x64_sys_fsync+0x30"]),
    ("journal", "io_schedule", ["do_get_write_access+0x290 [jbd2]", "jbd2_journal_get_write_access+0x30 [jbd2]"]),
    ("journal", "schedule", ["xlog_wait_on_iclog+0x140 [xfs]", "xfs_log_force_seq+0x90 [xfs]", "__x64_sys_fsync+0x30"]),
    ("memcg", "schedule_timeout", ["reclaim_throttle+0x90", "shrink_node+0x700", "do_try_to_free_pages+0xd0",
                                   "try_to_free_mem_cgroup_pages+0xf0", "try_charge_memcg+0x1a0", "charge_memcg+0x70"]),
    ("memcg", "io_schedule_timeout", ["__mem_cgroup_handle_over_high+0x1b0", "exit_to_user_mode_loop+0xd0"]),
    ("reclaim", "io_schedule", ["folio_wait_bit_common+0x130", "shrink_folio_list+0x9a0", "shrink_node+0x800", "try_to_free_pages+0xe0"]),
    ("reclaim", "mutex_lock", ["xfs_reclaim_inodes_nr+0x40 [xfs]", "super_cache_scan+0x180", "do_shrink_slab+0x140", "shrink_slab+0x100"]),
    ("compaction", "schedule", ["migrate_pages_batch+0x800", "compact_zone+0x9c0", "compact_zone_order+0x80", "try_to_compact_pages+0xe0"]),
    ("dirty_throttling", "io_schedule_timeout", ["balance_dirty_pages+0x3a0", "balance_dirty_pages_ratelimited_flags+0x240"]),
    ("page_lock", "io_schedule", ["folio_wait_bit_common+0x130", "__folio_lock+0x17", "truncate_inode_pages_range+0x3a0"]),
    ("writeback", "io_schedule", ["folio_wait_bit_common+0x130", "folio_wait_writeback+0x2b", "__filemap_fdatawait_range+0x80"]),
    ("block_io", "io_schedule", ["folio_wait_bit_common+0x130", "filemap_get_pages+0x600", "filemap_read+0xd0", "vfs_read+0x200"]),
    ("block_io", "io_schedule", ["wait_on_page_bit_common+0x110", "generic_file_buffered_read+0x500", "new_sync_read+0x110"]),
    ("block_io", "blk_wait_io", ["submit_bio_wait+0x90", "blkdev_issue_flush+0x80", "ext4_sync_file+0x200"]),
    ("nfs", "schedule", ["rpc_wait_bit_killable+0xd [sunrpc]", "__rpc_execute+0x100 [sunrpc]", "nfs4_call_sync_sequence+0x70 [nfsv4]"]),
    ("fuse", "schedule", ["request_wait_answer+0x120 [fuse]", "fuse_simple_request+0x1a0 [fuse]", "fuse_lookup_name+0xf0 [fuse]"]),
    ("rcu", "wait_for_completion", ["__wait_rcu_gp+0x150", "synchronize_rcu_normal+0x80", "namespace_unlock+0x1a0"]),
    ("workqueue", "wait_for_completion", ["__flush_work+0x1c0", "lru_add_drain_all+0x1f0", "__x64_sys_mlockall+0x60"]),
    ("rtnl", "mutex_lock", ["rtnetlink_rcv_msg+0x1a0", "netlink_rcv_skb+0x50"]),
    ("cgroup_lock", "mutex_lock", ["cgroup_kn_lock_live+0x70", "cgroup_mkdir+0x30"]),
    ("file_position", "mutex_lock", ["__fdget_pos+0x90", "ksys_read+0x20"]),
    ("delay", "schedule_timeout_uninterruptible", ["msleep+0x2d", "my_driver_ioctl+0x40 [driver]"]),
    ("mutex", "mutex_lock_interruptible", ["my_driver_read+0x40 [driver]", "vfs_read+0x200"]),
    ("rwsem", "down_write", ["my_driver_ioctl+0x40 [driver]", "__x64_sys_ioctl+0x90"]),
    ("io", "io_schedule", ["my_fs_read+0x40 [myfs]", "vfs_read+0x200"]),
    ("other", "schedule", ["my_driver_ioctl+0x40 [driver]", "__x64_sys_ioctl+0x90"]),
    ("other", "", ["my_driver_ioctl+0x40 [driver]", "__x64_sys_ioctl+0x90"]),
]  # fmt: skip


@pytest.mark.parametrize("kind, called, frames", BLOCKED)
def test_a_task_that_is_blocked(kind, called, frames):
    found = reasons.reason(frames + END, called, True, False)
    assert (found.kind, found.expected, found.function) == (kind, False, reasons.bare(frames[0]))


# Ways into the wait of hung tasks that users of many kernels reported: names of functions alone, as stacks here have them.
REPORTED = [
    ("block_io", "a block device", "__wait_on_buffer", ["ext4_bread", "__ext4_read_dirblock", "htree_dirblock_to_tree"]),  # 4.15
    ("journal", "a commit of the jbd2 journal", "schedule", ["jbd2_log_wait_commit", "jbd2_log_do_checkpoint", "add_transaction_credits"]),
    ("mmap_lock", "mmap_lock", "down_read", ["do_page_fault"]),  # 4.14
    ("page_lock", "a page that another task has locked", "io_schedule", ["__lock_page", "write_cache_pages", "fuse_writepages"]),
    ("block_io", "a block device", "wait_for_completion", ["xfs_buf_iowait", "__xfs_buf_submit", "xfs_buf_read_map"]),  # 5.10
    ("block_io", "a block device", "wait_for_completion_io", ["blkdev_issue_flush", "xfs_blkdev_issue_flush", "xfs_file_fsync"]),  # 3.10
    ("rwsem", "the lock of a mounted file system", "rwsem_down_read_slowpath", ["ovl_sync_fs", "sync_filesystem"]),  # 5.4
    ("journal", "a buffer that the jbd2 commit writes", "out_of_line_wait_on_bit", ["do_get_write_access", "ext4_reserve_inode_write"]),
    ("rcu", "an RCU grace period", "wait_for_completion", ["__synchronize_srcu"]),
    ("inode_lock", "the inode lock of a file", "rwsem_down_read_failed", ["call_rwsem_down_read_failed", "xfs_ilock"]),  # 4.10
    ("journal", "a transaction group of ZFS", "io_schedule",
     ["cv_wait_common", "__cv_wait_io", "txg_wait_synced_impl", "txg_wait_synced", "dmu_tx_wait", "zfs_write"]),  # 6.8
    ("block_io", "a request of ZFS", "schedule", ["cv_wait_common", "__cv_wait", "zio_wait", "dmu_buf_hold_array_by_dnode", "zfs_fsync"]),
    ("block_io", "a software RAID", "schedule", ["md_write_start", "raid5_make_request", "md_handle_request"]),
]  # fmt: skip


@pytest.mark.parametrize("kind, words, called, frames", REPORTED)
def test_a_hung_task_that_was_reported(kind, words, called, frames):
    found = reasons.reason(["%s+0x1" % frame for frame in frames] + END, called + "+0x0", True, False)
    assert (found.kind, found.words[:len(words)], found.expected) == (kind, words, False)


@pytest.mark.parametrize("kind, frames", [
    ("inode_lock", ["rwsem_down_write_slowpath+0x257", "filename_create+0x7d", "do_mkdirat+0x5d"]),  # 5.10
    ("mmap_lock", ["rwsem_down_read_slowpath+0x1a0", "down_read+0x20", "do_user_addr_fault+0x4a2", "exc_page_fault+0x60"]),
    ("rtnl", ["__mutex_lock.constprop.0+0x2a0", "rtnetlink_rcv_msg+0x1a0", "netlink_rcv_skb+0x50"]),
    ("rwsem", ["rwsem_down_write_slowpath+0x257"]),
])  # fmt: skip
def test_a_stack_that_begins_within_the_lock(kind, frames):
    found = reasons.reason(frames + (END if len(frames) > 1 else []), "schedule", True, False)
    assert found.kind == kind
    assert len(frames) == 1 or not reasons._LOCK.match(found.function)


# Interruptible sleeps of user programs, in containers as elsewhere.
ORDINARY = [
    ("schedule_hrtimeout_range_clock", ["poll_schedule_timeout.constprop.0+0x40", "do_sys_poll+0x4b0", "__x64_sys_poll+0xb0"]),
    ("schedule_hrtimeout_range_clock", ["do_epoll_wait+0x700", "__x64_sys_epoll_wait+0x70"]),
    ("schedule", ["do_nanosleep+0x70", "hrtimer_nanosleep+0xb0", "__x64_sys_clock_nanosleep+0xc0"]),
    ("schedule", ["futex_do_wait+0x60", "__futex_wait+0x90", "futex_wait+0x70", "do_futex+0x100", "__x64_sys_futex+0x140"]),
    ("schedule", ["futex_wait_queue_me+0xb0", "futex_wait+0x100", "do_futex+0x170"]),
    ("schedule", ["pipe_read+0x3d0", "vfs_read+0x2e0", "ksys_read+0xd0"]),
    ("schedule", ["do_wait+0x60", "kernel_wait4+0xb0", "__do_sys_wait4+0xa0"]),
    ("schedule_timeout", ["unix_stream_read_generic+0x890", "unix_stream_recvmsg+0x90", "sock_recvmsg+0xd0"]),
    ("schedule", ["do_sigtimedwait.isra.0+0x180", "__x64_sys_rt_sigtimedwait+0xc0"]),
    ("schedule", ["ep_poll+0x300", "do_epoll_pwait.part.0+0x90"]),
    ("schedule", ["io_cqring_wait+0x400", "__do_sys_io_uring_enter+0x5c0"]),
    ("schedule", ["n_tty_read+0x500", "tty_read+0x130"]),
    ("schedule", ["inotify_read+0x2c0", "vfs_read+0xa0"]),
    ("schedule", ["do_msgrcv+0x200", "__x64_sys_msgrcv+0x20"]),
    ("schedule", ["my_driver_wait_for_event+0x20 [driver]", "vfs_read+0xa0"]),
]


@pytest.mark.parametrize("called, frames", ORDINARY)
@pytest.mark.parametrize("known", [True, False])
def test_an_ordinary_sleep_is_no_wait(called, frames, known):
    assert reasons.reason(frames + END, called if known else "", False, False) is None


EXPECTED = [
    ("file_lock", "schedule", False, ["locks_lock_inode_wait+0x82", "__do_sys_flock+0x1a3"]),
    ("file_lock", "schedule", False, ["fcntl_setlk+0x200", "do_fcntl+0x500"]),
    ("child", "wait_for_completion_killable", True, ["kernel_clone+0x2e0", "__x64_sys_vfork+0x40"]),
    ("stopped", "schedule", True, ["__refrigerator+0xd0", "get_signal+0x900"]),
    ("stopped", "schedule", False, ["do_freezer_trap+0x70", "get_signal+0x800"]),
    ("userfault", "schedule", True, ["handle_userfault+0x400", "do_anonymous_page+0x200"]),
]


@pytest.mark.parametrize("kind, called, uninterruptible, frames", EXPECTED)
def test_what_a_program_or_the_administrator_asked_for_is_expected(kind, called, uninterruptible, frames):
    found = reasons.reason(frames + END, called, uninterruptible, False)
    assert (found.kind, found.expected) == (kind, True)


IDLE = [
    ["kthread+0xf0", "ret_from_fork+0x30"],
    ["worker_thread+0x1a0", "kthread+0xf0", "ret_from_fork+0x30"],
    ["kdamond_fn+0x300", "kthread+0xf0", "ret_from_fork+0x30", "ret_from_fork_asm+0x11"],
    [],
]


@pytest.mark.parametrize("frames", IDLE)
def test_a_kernel_thread_without_work_is_idle(frames):
    assert reasons.reason(frames, "schedule", True, True) is None


def test_a_function_that_sleeps_in_its_last_call_is_the_one_that_was_called():
    """__wait_on_buffer of 6.18 ends with a jump to the scheduler's code, and has no frame."""
    frames = ["ext4_wait_block_bitmap+0x41", "ext4_mb_init_cache+0x2a8", "ext4_mb_load_buddy_gfp+0x1f0"]
    found = reasons.reason(frames, "__wait_on_buffer+0x0", True, False)
    assert (found.kind, found.function) == ("block_io", "ext4_wait_block_bitmap")
    assert reasons.reason(frames, "schedule+0x0", True, False).kind == "other"


def test_a_kernel_thread_that_is_blocked():
    frames = ["__wait_on_buffer+0x2b", "jbd2_journal_commit_transaction+0x900 [jbd2]", "kjournald2+0xa0 [jbd2]", "kthread+0xf0"]
    assert reasons.reason(frames, "bit_wait_io", True, True).kind == "journal"


def test_a_stack_that_could_not_be_read_is_not_guessed():
    found = reasons.reason([], "", True, False)
    assert (found.kind, found.function, found.call) == ("other", "", "")


def test_the_lock_of_its_own_address_space_needs_no_name():
    assert reasons.reason(["never_seen+0x1"] + END, "down_read", True, False, is_mmap_lock=True).kind == "mmap_lock"


@pytest.mark.parametrize(
    "frames, call",
    [
        (["f+0x1", "__x64_sys_fsync+0x30", "do_syscall_64+0x71"], "fsync"),
        (["f+0x1", "__do_sys_brk+0x30", "do_syscall_64+0x71"], "brk"),
        (["f+0x1", "exc_page_fault+0x60", "asm_exc_page_fault+0x22"], "page fault"),
        (["f+0x1", "kthread+0xf0"], ""),
    ],
)
def test_the_system_call_of_a_stack(frames, call):
    assert reasons.reason(frames, "", True, False).call == call


def test_each_row_has_a_reason_and_a_way_to_match():
    for row in reasons.ROWS:
        assert row.why and row.words and (row.functions or row.called), row.kind
        assert all(name.isidentifier() for name in row.functions), row.kind


def test_no_function_is_in_two_rows_that_ask_for_the_same():
    """The first row would take all."""
    seen = {}
    for row in reasons.ROWS:
        for name in row.functions:
            assert (name, row.called and row.called.pattern) not in seen, (name, row.kind)
            seen[name, row.called and row.called.pattern] = row
