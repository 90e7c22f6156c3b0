# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel functions that are seldom to blame: patterns of whole names, separated by blanks."""

import functools
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.infrastructure import is_infrastructure

# Code that reports a failure: traps, sanitizers, stack dumps, printk.
_REPORTING = r'''
    (?:__)?dump_(?:stack|backtrace|header)\w* show_(?:stack|regs|trace)\w* (?:__)?save_stack\w* (?:__)?save_trace stack_trace_\w+
    stack_depot\w* __?(?:__)?warn\w* warn_(?:slowpath|alloc|bogus_irq)\w* report_(?:bug|cfi|ubsan)\w* handle_bug __report_bug exc_\w+
    asm_\w+ sysvec_\w+ do_(?:error_)?trap\w*
    do_(?:invalid_op|general_protection|page_fault|kern_addr_fault|DataAbort|PrefetchAbort|debug_exception|mem_abort)
    do_(?:undefinstr|translation_fault|sparc\w*|int3|divide_error|double_fault) invalid_op error_(?:entry|code|exit) page_fault
    general_protection async_page_fault __do_page_fault no_context (?:__)?bad_area\w* __die die\w* oops_\w+ v?panic fixup_bug
    brk_handler bug_handler call_break_hook el[01]h?_\w+ el[01]_dbg __(?:dabt|und|pabt)_(?:svc|usr|invalid) _exception\w*
    handle_page_fault program_check_exception\w* ret_from_exception notify_die atomic_notifier_call_chain notifier_call_chain
    print_(?:address_desc|bad_irq|bad_p|circular_|deadlock_|freed_lock|held_lock|irq_inversion|lock_|modules|oops_end|report|tainted|trailer|unlock_imb|usage_bug)\w*
    (?:__)?k[acm]san_\w+ k[acm]san\w* (?:__)?asan_\w+ __hwasan\w* __?msan\w* __tsan\w* (?:__)?ubsan_\w+ kfence_\w+
    check_(?:memory_region|region_inline)\w* handle_overflow val_to_string ubsan\w* memory_is_\w+ bytes_is_\w+ __sanitizer\w*
    write_comp_data lockdep_\w+ rcu_lockdep\w* object_(?:err|is_on_stack) slab_(?:err|bug|fix|pad_check)
    check_(?:bytes\w*|object|slab|poison\w*) free_debug_processing alloc_debug_processing on_freelist
    (?:__)?debug_(?:object|check_no|dma|lockdep|locks|kmap)_?\w* usercopy_\w+ (?:__)?copy_overflow
    __check_(?:object_size|heap_object)\w* check_(?:heap_object|object_size) fortify_\w+ __fortify\w* printk _printk vprintk\w*
    console_(?:unlock|flush\w*) bad_page bad_rmap free_pages_check\w* free_page_is_bad\w* ref_tracker_\w+
    nmi_(?:cpu|trigger|handle|panic|shootdown|raise|enter|exit)\w* trigger_(?:all_cpu|allbut|cpumask|single_cpu)\w* arch_trigger\w*
    rcu_dump\w* watchdog_(?:timer_fn|overflow|hardlockup|check|nmi|buddy|smp)\w* lockup_detector_\w+ __schedule_bug schedule_debug
    __stack_chk_fail __kasan\w* kthread_\w*backtrace sched_show_task _sched_show_task trace_hardirqs_\w+ trace_softirqs_\w+
    perf_trace_\w+ trace_event_(?:raw_event|buffer|get_offsets)_\w+ check_preemption_disabled __this_cpu_preempt_check
    __do_kernel_fault do_\w+_fault do_mem_abort _stext __rela_dyn_start _text dequeue_task_stop end_report start_report
    rcu_read_lock_\w*held\w* ftrace_\w*call\w* return_to_handler should_fail\w* rust_panic\w* __rustc::.*
    xfs_error_report xfs_corruption_error xfs_stack_trace xfs_do_force_shutdown core::panicking::.* rust_helper_BUG
'''.split()

# Code that walks stacks, for the reports and for much else.
_UNWINDING = r'walk_stackframe unwind_\w+ __unwind_start arch_stack_walk\w*'.split()

# Helpers that all code calls: copying, strings, allocation.
_MEMORY = r'''
    _{0,3}mem(?:cpy|set|move|cmp|chr|scan|zero|dup)\w* _{0,2}str[a-z]{2,9} _{0,3}copy_(?:to|from|in)_(?:highpage|iter|kernel|page|user)\w*
    _{0,3}clear_user\w* copy_user_\w+ raw_copy_\w+ _copy_\w+ copyin copyout copy_page\w* _{0,3}(?:k|v|kv|kz|km|devm_k)[mzc]?alloc\w*
    kmem_\w+ _{0,3}slab_\w+ cache_(?:alloc|free|grow)\w* _{0,3}cache_\w*free\w* _{0,2}k(?:v)?free\w* _{0,2}kvfree\w* _{0,2}vmalloc\w*
    _{0,2}vmap\w* _{0,3}alloc_pages\w* alloc_pages\w* alloc_page free_pages_\w+ _{0,3}alloc_percpu\w* pcpu_alloc\w* _{0,2}percpu_\w+
    sock_\w*alloc\w* alloc_page\w* kmalloc_\w+ kmemleak_\w+ folio_alloc\w* _{0,2}folio_alloc\w* string(?:_nocheck)? vsnprintf snprintf
    sprintf crc(?:7|8|16|32c?|64|_ccitt|_itu_t|_t10dif|t10dif)\w* virt_to_(?:head_page|cache) page_to_nid _{0,2}virt_to_phys\w*
    _{0,2}phys_addr\w*
'''.split()

# Helpers that all code calls: locks, counters, containers, waiting, timers.
_HELPERS = r'''
    check_(?:prev\w*|deadlock|noncircular|irq\w*|usage\w*|wait_context|chain\w*) valid_state add_chain\w* find_lock\w*
    _{0,3}might_(?:sleep|fault|resched)\w* might_(?:alloc|sleep|fault)\w* _{0,3}mutex_\w+ rt_mutex\w* _{0,3}_?raw_(?:spin|read|write)_\w+
    _{0,3}(?:spin|read|write)_(?:lock|unlock|trylock)\w* do_raw_\w+ _{0,2}(?:native_|pv_)*queued?_(?:spin|read|write)_\w*lock\w*
    native_queued\w+
    _{0,3}(?:down|up)(?:_(?:read|write))?(?:_(?:common|failed\w*|interruptible|killable|nest_lock|nested|non_owner|timeout|trylock))?
    rwsem_\w+ call_rwsem\w* arch_(?:spin|read|write|atomic)\w* (?:raw_|arch_|instrument_)?atomic\w* _{0,2}refcount_\w+
    _{0,2}(?:arch_|const_)?test_(?:and_)?(?:set|clear|change)?_?\w*bit\w* _{0,2}(?:set|clear|change)_bit\w* find_(?:next|first)_bit\w*
    _find_\w+bit _{0,2}list_\w+ _{0,2}hlist_\w+ hlist_\w+ _{0,2}rb_(?:add|erase|find|first|insert|last|link|next|prev|replace|rotate)\w*
    _{0,2}rht_\w+ rht_\w+ idr_\w+ _{0,2}radix_\w+ kref_\w+ sysfs_(?:add|create|emit|merge|notify|remove|rename|unmerge|update)\w*
    kernfs_(?:remove|add|get|put|find)\w* llist_\w+
    bitmap_(?:alloc|and|andnot|clear|complement|copy|empty|equal|fill|find|free|from|full|gather|intersects|or|parse|print|release|scatter|set|shift|subset|to|weight|xor|zalloc|zero)\w*
    interval_tree\w* _{0,2}schedule(?:_(?:idle|user|preempt_disabled|loop|rtlock|notrace|(?:delayed_)?work\w*))? preempt_schedule\w*
    (?:context|finish_task|prepare_task)_switch _{0,2}switch_to\w* io_schedule\w*
    _{0,2}wait_(?:for_(?:common|completion)|on_(?:bit|buffer|page)|woken)\w* do_wait_(?:for|intr)\w* prepare_to_\w+ msleep\w*
    usleep_range\w*
    (?:_{0,2}wake_up\w*|autoremove_wake\w*|default_wake\w*|try_to_wake_up|complete(?:_all|_and_exit|_with_flags)?|swake_up\w*|add_wait_queue\w*)
    _{0,2}(?:flush_work|cancel_work)\w* add_timer\w* _{0,2}queue_work\w* smp_call_function_single_async on_each_cpu\w* _{0,2}lock_page\w*
    _{0,2}folio_(?:lock|wait)\w* folio_wait\w* lock_(?:page|buffer)\w* _{0,2}lock_buffer _{0,2}local_bh_\w+ local_bh_\w+ _{0,2}preempt_\w+
    current(?:_time|_thread_info)? get_current arch_local\w* kmsan\w* native_(?:safe_halt|save_fl|write_msr|irq_\w+)
    _{0,2}(?:const_)?udelay _{0,2}delay cpu_relax crc32\w* crc16 jhash\w* hash_(?:32|64|long|ptr)\w*
    _{0,2}(?:read|write|get|put)_(?:once|unaligned)\w* bug _{0,2}bug\w*
    _{0,2}raw_(?:atomic|copy|cpu|irqentry|local|notifier|read|res_spin|spin|write)\w* iowrite\w* ioread\w* get_unaligned\w*
    cancel_\w+_sync _{0,3}preempt_schedule\w* psi_\w+ drop_nlink inc_nlink _{0,2}sock_(?:lock|release)\w* static_key_\w+
    _{0,2}static_key\w* text_poke\w* _?dev_(?:printk|err|warn) netdev_(?:printk|err|warn) kmap\w* kunmap\w* _{0,2}might_\w+ cdev_put
    module_put usb_(?:submit_urb|start_wait_urb|\w*control_msg\w*|\w*bulk_msg) (?:un)?register_netdev(?:ice(?:_many|_queue)?)?
    rollback_registered\w* tty_(?:un)?register_device \w+_del_adapter _?dev_(?:info|notice|crit|alert|emerg) _{0,2}filemap_\w+ filemap_\w+
    fdatawait_\w+ pagecache_\w+ \w*read_cache_(?:page|folio)\w* wait_on_page\w* _{0,2}(?:getblk|bread|find_get_block)\w* sb_bread\w*
    sb_getblk\w* _{0,2}brelse iput\w* ihold igrab dput dget\w* \w+_(?:read|write)_(?:un)?lock
    _{0,2}(?:raw_)?(?:read|write)[bwlqs]{1,2}(?:_relaxed)? (?:logic_)?(?:in|out)s?[bwl] _{0,2}raw_(?:read|write)[bwlq] _{0,2}nla_\w+
    nlmsg_\w+ ttwu_\w+ (?:en|de)queue_task\w* update_rq_clock\w* \w*rt_mutex\w* __x86_(?:indirect|return)_\w*thunk\w* __SC[TK]__\w+
    __(?:pfx|cfi)_\w+ \w*_wait_bit\w* _{0,2}cv_(?:timed)?wait\w* \w*_wait_for_completion\w* _{0,2}call_rcu\w* _{0,2}k?free_rcu\w*
    kill_fasync\w* sk_filter_\w+ _{0,2}cond_resched rust_helper_\w+ <?&?(?:core|alloc)::.*
    <?kernel::(?:alloc|error|list|print|rbtree|str|sync|task|time|types|workqueue|xarray)::.*
'''.split()

# What carries a CPU into an operation, the outermost frames of every task, interrupt and thread.
_DISPATCHING = r'''
    entry_(?:SYSCALL|SYSENTER|INT80)\w* ret_(?:from|fast|to)_\w+ do_syscall\w* invoke_syscall (?:do_)?el0?_?\w*svc\w* el0t?_\w+
    system_call\w* sysenter\w* syscall_(?:enter|exit|trace|return|call|handler|slow|fast)\w* kthread process_(?:one_work|scheduled_works)
    kernel_thread\w* start_kernel rest_init cpu_startup_entry do_idle cpuidle_(?:enter|idle_call)\w* default_idle\w* arch_cpu_idle
    cpu_idle\w* call_softirq net_rx_action __napi_poll napi_poll process_backlog (?:__)?netif_receive_skb\w* netif_receive\w* hrtimer_\w+
    (?:smp_|asm_|sysvec_|local_|__sysvec_)*apic_timer_interrupt\w* __?local_apic\w*
    _{0,2}irq_(?:enter|exit|thread|forced_thread_fn|work)\w* gic_handle_irq
    _{0,2}handle_(?:irq|domain_irq|(?:level|edge|fasteoi|simple|percpu|bad|nested|untracked)\w*_irq)\w* generic_handle\w*
    do_interrupt_handler asm_\w+ full_proxy_\w+ debugfs_attr_\w+
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:ioctl|read|write|readv|writev)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:pread\w*|pwrite\w*|preadv\w*)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:pwritev\w*|sendmsg|sendmmsg|recvmsg)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:sendto|recvfrom|setsockopt|getsockopt)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:socketcall|bind|connect|listen)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:accept\w*|close|open|openat\w*|socket)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:mount|fsync|fdatasync|sendfile\w*)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:splice|io_uring_enter|poll|ppoll)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:shutdown|finit_module|init_module)
    _{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:mmap\w*|exit_to\w*)
    (?:ksys_|__?)?(?:vfs_|do_vfs_)(?:read\w*|write\w*|ioctl|open|iter_\w+|fsync\w*|statx?|mkdir|unlink|get_tree) ksys_\w+ do_vfs_\w+
    __vfs_(?:read|write) new_sync_\w+ irqentry_\w+ _{0,2}flush_smp_call_function\w* \w*_{0,2}sysvec_\w+ \w*_timer_interrupt
    el[01]h?_\w*irq\w* arch_timer_handler\w* do_iter_\w+ do_readv\w* do_writev do_loop_readv\w* call_(?:read|write)_iter __?file_ioctl
    compat_\w*ioctl\w* _{0,4}sys_(?:sendmsg|sendmmsg|recvmsg|sendto|recvfrom|setsockopt|getsockopt|connect|bind|accept\w*)
    sock_(?:sendmsg|recvmsg|write_iter|read_iter|ioctl|do_ioctl|common_\w+|close|sendpage)\w*
    _{0,2}sock_(?:sendmsg|recvmsg|release|setsockopt)\w* do_sock_setsockopt ____sys_\w+ ___sys_\w+ do_sys_open\w* do_sys_ftruncate
    do_filp_open path_openat do_open do_last do_dentry_open do_o_path chrdev_open __fput ____fput fput _{0,2}prepare_exit_to_usermode
    __?exit_to_user\w* tracehook_\w+ resume_user\w* do_exit do_group_exit get_signal do_signal\w* do_notify_resume arch_do_signal\w*
    exit_files put_files_struct do_mount path_mount do_new_mount init_mount kernel_init\w* do_one_initcall do_basic_setup do_init_module
    load_module .*notifier_call_chain blkdev_(?:ioctl|common_ioctl|compat_ioctl) compat_blkdev\w* block_ioctl __blkdev_driver_ioctl
    blkdev_driver_ioctl rtnetlink_rcv\w* nfnetlink_rcv\w* gro_normal_list napi_gro\w* napi_threaded\w* handle_mm_fault __?handle_mm_fault
    do_mmap\w* mmap_region (?:pde|proc)_(?:read|write) do_task_dead
'''.split()

# Where an interrupt begins: what a trace has below it was interrupted and had no part in it.
_INTERRUPT = r'''
    (?:asm_)?sysvec_\w+ (?:smp_|trace_|smp_trace_)?(?:apic_timer|call_function|reschedule|irq_work)\w*_interrupt
    (?:asm_)?common_interrupt do_IRQ ret_from_intr gic_handle_irq el[01](?:h|t)?_(?:64_)?irq __irq_svc handle_IRQ do_interrupt_handler
    xen_hvm_callback_vector timer_interrupt hardware_interrupt_common\w* do_irq
'''.split()

GENERIC_WORDS = tuple(_REPORTING + _UNWINDING + _MEMORY + _HELPERS)
DISPATCH_WORDS = tuple(_DISPATCHING)


def matcher(words):
    """A regular expression of whole names."""
    return re.compile('(?:%s)$' % '|'.join(words))


GENERIC = matcher(GENERIC_WORDS)
REPORTING = matcher(_REPORTING)
UNWINDING = matcher(_UNWINDING)
INTERRUPT = matcher(_INTERRUPT)
DISPATCH = matcher(DISPATCH_WORDS)


@functools.lru_cache(maxsize=4096)
def incidental(name):
    """Is the function seldom to blame: a helper, a report's own, what carries a CPU into an operation, or infrastructure?"""
    return bool(GENERIC.match(name) or DISPATCH.match(name)) or is_infrastructure(name)
