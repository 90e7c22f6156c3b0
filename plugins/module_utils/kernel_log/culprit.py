# SPDX-License-Identifier: GPL-3.0-or-later
"""Which function a kernel report blames.

A report's own header or program counter names where the kernel noticed, which is often a helper
(a lock, an allocator, a string function) or the reporting code itself. The blame goes to the first
function that is neither. A CPU that is stuck is different: its innermost frames are where it happened
to be when it was looked at, so the blame goes to the operation that it was asked to do, the outermost
frame below the dispatching code.
"""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log.patterns import STALL_KINDS

MAX_TRACE = 32

_SYMBOL = r'[.]?[A-Za-z_][\w.$]{0,200}'
_OFFSET = r'\+0x[0-9a-f]{1,8}/0x[0-9a-f]{1,8}'
_HEX = r'(?:\(?\[[<0-9a-f][^\]]{0,40}\]\)?\s*|\(\[?<?[0-9a-f]{8,16}>?\]?\)\s*|<[A-Z#]{2,6}>\s*|[0-9a-f]{16}\s+)'
_FRAME = re.compile(r'\s*' + _HEX + r'{0,4}(\? )?(' + _SYMBOL + r')' + _OFFSET)
_INLINE = re.compile(r'\s+(' + _SYMBOL + r') \S+:\d+ \[inline\]')
_ARM = re.compile(r'\s*(?:\[<[0-9a-fx]+>\] )?\(?(' + _SYMBOL + r')\)? from (?:\[<[0-9a-fx]+>\] )?\(?(' + _SYMBOL + r')(?:' + _OFFSET + r')?\)?')
_ADDRESS_ONLY = re.compile(r'\s*(?:\[<[0-9a-f]{8,16}>\]|<[0-9a-f]{8,16}>) (\? )?(' + _SYMBOL + r')(?: \[[\w-]+\])?\s*$')
_REGISTER = re.compile(r'\s*(?:Call Trace:\s*)?(?:(?:RIP|[ER]?IP|NIP|PC|pc|epc|EPC|Krnl PSW)(?: is at|\s?:|\s?\[))(.{0,200}?)(' + _SYMBOL + r')' + _OFFSET)
_LOCK_AT = re.compile(r',? at: (?:\[<[0-9a-fx]+>\] )?(' + _SYMBOL + r')(?:' + _OFFSET + r')?')
_IN_SYMBOL = re.compile(r' (?:in|at):? (' + _SYMBOL + r')' + _OFFSET)
_ANY_SYMBOL = re.compile(r'(' + _SYMBOL + r')' + _OFFSET)
_RACE = re.compile(r'(?:data-race|race) in (' + _SYMBOL + r')')
_BARE_IN = re.compile(r' in (' + _SYMBOL + r')\s*$')

# Code that reports, not code that failed.
_REPORTING = (
    r'(?:__)?dump_(?:stack|backtrace|header)\w*|show_(?:stack|regs|trace)\w*|walk_stackframe|unwind_\w+|__unwind_start|arch_stack_walk\w*|'
    r'(?:__)?save_stack\w*|(?:__)?save_trace|stack_trace_\w+|stack_depot\w*|__?(?:__)?warn\w*|warn_\w+|report_\w+|handle_bug|__report_bug|exc_\w+|'
    r'asm_\w+|sysvec_\w+|do_(?:error_)?trap\w*|do_(?:invalid_op|general_protection|page_fault|kern_addr_fault|DataAbort|PrefetchAbort|'
    r'debug_exception|mem_abort|undefinstr|translation_fault|sparc\w*|int3|divide_error|double_fault)|invalid_op|error_(?:entry|code|exit)|'
    r'page_fault|general_protection|async_page_fault|__do_page_fault|no_context|(?:__)?bad_area\w*|__die|die\w*|oops_\w+|panic\w*|'
    r'fixup_bug|brk_handler|bug_handler|call_break_hook|el[01]h?_\w+|el[01]_dbg|__(?:dabt|und|pabt)_(?:svc|usr|invalid)|_exception\w*|handle_page_fault|'
    r'program_check_exception\w*|ret_from_exception|notify_die|atomic_notifier_call_chain|notifier_call_chain|'
    r'print_\w+|(?:__)?k[acm]san_\w+|k[acm]san\w*|(?:__)?asan_\w+|__hwasan\w*|__?msan\w*|__tsan\w*|(?:__)?ubsan_\w+|kfence_\w+|check_(?:memory_region|region_inline)\w*|'
    r'handle_overflow|val_to_string|ubsan\w*|memory_is_\w+|bytes_is_\w+|__sanitizer\w*|write_comp_data|lockdep_\w+|rcu_lockdep\w*|'
    r'object_(?:err|is_on_stack)|slab_(?:err|bug|fix|pad_check)|check_(?:bytes\w*|object|slab|poison\w*)|free_debug_processing|alloc_debug_processing|on_freelist|'
    r'debug_\w+|__debug_\w+|usercopy_\w+|__check_(?:object_size|heap_object)\w*|check_(?:heap_object|object_size)|fortify_\w+|__fortify\w*|'
    r'printk|_printk|vprintk\w*|console_(?:unlock|flush\w*)|bad_page|bad_rmap|free_pages_check\w*|free_page_is_bad\w*|'
    r'ref_tracker_\w+|nmi_\w+|trigger_\w+|arch_trigger\w*|rcu_dump\w*|watchdog_\w+|__schedule_bug|schedule_debug|'
    r'__stack_chk_fail|__kasan\w*|kthread_\w*backtrace|sched_show_task|_sched_show_task|trace_hardirqs_\w+|trace_softirqs_\w+|'
    r'perf_trace_\w+|trace_event_\w+|check_preemption_disabled|__this_cpu_preempt_check|__do_kernel_fault|do_\w+_fault|do_mem_abort|_stext|__rela_dyn_start|_text|'
    r'dequeue_task_stop|end_report|start_report|rcu_read_lock_\w*held\w*|ftrace_\w*call\w*|return_to_handler|fault_\w+|should_fail\w*')

# Helpers that everybody calls: copying, strings, allocation.
_MEMORY = (
    r'_{0,3}mem(?:cpy|set|move|cmp|chr|scan|zero|dup)\w*|memcmp|bcmp|_{0,2}str[a-z]{2,9}|sized_strscpy|_{0,3}copy_(?:to|from|in)_\w+|_{0,3}clear_user\w*|copy_user_\w+|'
    r'_{0,2}(?:get|put)_user\w*|raw_copy_\w+|_copy_\w+|copyin|copyout|copy_(?:from|to)_iter|copy_page\w*|_{0,3}(?:k|v|kv|kz|km|devm_k)[mzc]?alloc\w*|_{0,3}do_kmalloc\w*|'
    r'_{0,3}kmem_cache_\w+|kmem_\w+|_{0,3}slab_\w+|new_slab\w*|allocate_slab|alloc_slab_page|cache_(?:alloc|free|grow)\w*|_{0,3}cache_\w*free\w*|'
    r'_{0,2}k(?:v)?free\w*|_{0,2}kvfree\w*|_{0,2}vfree\w*|_{0,2}vmalloc\w*|_{0,2}vmap\w*|kmemdup\w*|kstrdup\w*|kasprintf|kvasprintf\w*|_{0,3}krealloc\w*|krealloc\w*|kcalloc\w*|'
    r'_{0,3}alloc_pages\w*|alloc_pages\w*|alloc_page|_{0,2}alloc_frozen\w*|_{0,2}get_free_pages?|get_page_from_freelist\w*|prep_new_page|post_alloc_hook|rmqueue\w*|'
    r'_{0,2}free_(?:pages?|pages_ok|one_page|unref_page\w*|frozen_page\w*|hot_cold_page\w*)|free_pages_\w+|free_unref_\w+|_{0,3}alloc_percpu\w*|pcpu_alloc\w*|percpu_\w+|'
    r'sock_\w*alloc\w*|sk_prot_alloc|sk_alloc|create_object|pskb_expand_head|filemap_alloc_\w+|alloc_page\w*|'
    r'kmalloc_\w+|kmemleak_\w+|alloc_(?:skb|skb_with_frags)|_{0,2}alloc_skb\w*|folio_alloc\w*|_{0,2}folio_alloc\w*|discard_slab|nearest_obj|'
    r'hex_(?:dump_to_buffer|string)|va_format|dev_v?printk\w*|string(?:_nocheck)?|vsnprintf|snprintf|sprintf|pointer|vscnprintf|scnprintf|number|format_decode|crc\w*|'
    r'ksize|virt_to_(?:head_page|cache)|page_to_nid|qlist_\w+|qlink_free|quarantine_\w+|do_slab_free|_{0,2}virt_to_phys\w*|_{0,2}phys_addr\w*|get_freepointer\w*|set_freepointer')

# Helpers that everybody calls: locks, counters, containers, waiting.
_HELPERS = (
    r'_{0,3}lock_(?:acquire|release|downgrade|is_held\w*)\w*|lock_(?:acquire|release|downgrade)\w*|register_lock_class|look_up_lock_class|hlock_class|validate_chain|check_(?:prev\w*|deadlock|noncircular|irq\w*|usage\w*|wait_context|chain\w*)|'
    r'mark_(?:lock|held|usage)\w*|valid_state|mark_irqflags|add_chain\w*|assign_lock_key|is_dynamic_key|find_lock\w*|match_held_lock|_{0,3}might_(?:sleep|fault|resched)\w*|'
    r'might_(?:alloc|sleep|fault)\w*|_{0,3}mutex_\w+|_{0,2}ww_mutex\w*|rt_mutex\w*|_{0,3}_?raw_(?:spin|read|write)_\w+|_{0,3}(?:spin|read|write)_(?:lock|unlock|trylock)\w*|do_raw_\w+|_{0,2}(?:spin|rwlock)_\w*bug\w*|spin_dump|'
    r'(?:native_|pv_)?queued?_\w*lock\w*|native_queued\w+|_{0,3}(?:down|up)(?:_\w+)?|rwsem_\w+|call_rwsem\w*|arch_(?:spin|read|write|atomic)\w*|'
    r'(?:raw_|arch_|instrument_)?atomic\w*|instrument_\w+|_{0,2}refcount_\w+|_{0,2}(?:arch_|const_)?test_(?:and_)?(?:set|clear|change)?_?\w*bit\w*|_{0,2}(?:set|clear|change)_bit\w*|find_(?:next|first)_bit\w*|_find_\w+bit|'
    r'_{0,2}list_\w+|_{0,2}hlist_\w+|hlist_\w+|_{0,2}rb_\w+|rb_\w+|_{0,2}rht_\w+|rht_\w+|rhashtable_\w+|_{0,2}rhashtable_\w+|idr_\w+|ida_\w+|_{0,2}xa_\w+|xas_\w+|radix_tree_\w+|_{0,2}radix_\w+|'
    r'klist_\w+|kobject_\w+|_{0,2}kobject\w*|kref_\w+|kset_\w+|sysfs_\w+|internal_create_group\w*|kernfs_(?:remove|add|get|put|find)\w*|llist_\w+|plist_\w+|bitmap_\w+|interval_tree\w*|timerqueue_\w+|'
    r'_{0,2}schedule(?:_\w+)?|preempt_schedule\w*|context_switch|_{0,2}switch_to\w*|io_schedule\w*|_{0,2}wait_(?:for|on|woken)\w*|do_wait_(?:for|intr)\w*|_{0,2}bit_wait\w*|out_of_line_wait\w*|prepare_to_\w+|finish_wait|'
    r'(?:_{0,2}wake_up\w*|autoremove_wake\w*|default_wake\w*|try_to_wake_up|complete\w*|swake_up\w*|add_wait_queue\w*)|_{0,2}(?:flush_work|cancel_work)\w*|'
    r'(?:try_to_)?del_timer\w*|_{0,2}timer_delete\w*|_{0,2}mod_timer\w*|add_timer\w*|lock_timer_base|start_flush_work|insert_work|_{0,2}queue_work\w*|'
    r'smp_call_function_many\w*|smp_call_function_single_async|on_each_cpu\w*|generic_exec_single|csd_lock\w*|_{0,2}lock_page\w*|_{0,2}folio_(?:lock|wait)\w*|folio_wait\w*|lock_(?:page|buffer)\w*|_{0,2}lock_buffer|'
    r'rcu_(?:read_\w+|is_watching|note\w*|check\w*|sched_clock\w*|preempt\w*|dynticks\w*)|_{0,2}rcu_(?:read\w*|access\w*)|_{0,2}local_bh_\w+|local_bh_\w+|_{0,2}preempt_\w+|debug_smp_processor_id|check_preemption_disabled|'
    r'current\w*|get_current|arch_local\w*|kmsan\w*|kvm_clock\w*|native_(?:safe_halt|save_fl|write_msr|irq_\w+)|pv_native\w*|delay_tsc|_{0,2}(?:const_)?udelay|ndelay|_{0,2}delay|cpu_relax|'
    r'crc_itu_t|crc32\w*|crc16|jhash\w*|_{0,2}siphash\w*|hash_\w+|memcmp|_{0,2}(?:read|write|get|put)_(?:once|unaligned)\w*|bug|_{0,2}bug\w*|_{0,2}raw_\w+|iowrite\w*|ioread\w*|readl|writel|get_unaligned\w*|unlock_page|folio_unlock|folio_flags|skb_(?:panic|over_panic|under_panic|put|push|pull)|'
    r'\w+_is_static_object|try_to_grab_pending|cancel_\w+_sync|rcu_barrier\w*|console_lock|_{0,3}preempt_schedule\w*|psi_\w+|drop_nlink|inc_nlink|dpm_sysfs_\w+|cleanup_srcu_struct|'
    r'_{0,2}sock_(?:lock|release)\w*|lock_sock\w*|release_sock|task_work_\w+|jump_label_\w+|static_key_\w+|_{0,2}static_key\w*|text_poke\w*|'
    r'dev_(?:printk|err|warn)|netdev_(?:printk|err|warn)|kmap\w*|kunmap\w*|_{0,2}might_\w+|device_(?:del|unregister|destroy|remove_file|create_file|add)|cdev_put|module_put|usb_submit_urb|klist\w*')

_GENERIC = re.compile(r'(?:' + _REPORTING + '|' + _MEMORY + '|' + _HELPERS + r')$')

# What carries a CPU into an operation, outermost frames of every task, interrupt and thread.
_DISPATCH = re.compile(
    r'(?:entry_\w+|ret_(?:from|fast|to)_\w+|do_syscall\w*|do_fast_syscall\w*|do_int80\w*|__do_fast\w*|invoke_syscall|el0?_?\w*svc\w*|el0t?_\w+|system_call\w*|sysenter\w*|syscall_\w+|x64_sys_call|ia32_sys_call|'
    r'kthread|worker_thread|process_(?:one_work|scheduled_works)|smpboot_thread_fn|run_ksoftirqd|kernel_thread\w*|tracesys\w*|__secondary\w*|'
    r'start_secondary|secondary_startup\w*|start_kernel|x86_64_start\w*|rest_init|cpu_startup_entry|do_idle|cpuidle_\w+|default_idle\w*|arch_cpu_idle|cpu_idle\w*|common_startup\w*|'
    r'_{0,2}do_softirq\w*|handle_softirqs|call_softirq|do_softirq_own_stack|irq_exit\w*|_{0,2}irq_exit\w*|invoke_softirq|run_timer_softirq|run_timer_base|__?run_timers\w*|expire_timers|call_timer_fn|tasklet_action\w*|tasklet_hi_action|net_rx_action|__napi_poll|napi_poll|process_backlog|'
    r'(?:__)?netif_receive_skb\w*|netif_receive\w*|hrtimer_\w+|__hrtimer_\w+|(?:smp_|asm_|sysvec_|local_|__sysvec_)*apic_timer_interrupt\w*|__?local_apic\w*|irq_\w+|__irq_\w+|do_IRQ|common_interrupt|gic_handle_irq|handle_\w*irq\w*|__handle_\w*irq\w*|generic_handle\w*|call_on_\w*stack|do_interrupt_handler|asm_\w+|'
    r'_{0,4}(?:x64_|ia32_|arm64_|do_|se_|x32_)?(?:sys|compat_sys|SyS|SYSC|compat_SyS)_(?:ioctl|read|write|readv|writev|pread\w*|pwrite\w*|preadv\w*|pwritev\w*|sendmsg|sendmmsg|recvmsg|sendto|recvfrom|setsockopt|getsockopt|socketcall|bind|connect|listen|accept\w*|close|open|openat\w*|socket|mount|fsync|fdatasync|sendfile\w*|splice|io_uring_enter|poll|ppoll|shutdown|finit_module|init_module|mmap\w*|exit_to\w*)|'
    r'(?:ksys_|__?)?(?:vfs_|do_vfs_)(?:read\w*|write\w*|ioctl|open|iter_\w+|fsync\w*|statx?|mkdir|unlink|get_tree)|ksys_\w+|do_vfs_\w+|vfs_\w+|__vfs_\w+|new_sync_\w+|do_iter_\w+|do_readv\w*|do_writev|do_loop_readv\w*|call_(?:read|write)_iter|__?file_ioctl|compat_\w*ioctl\w*|'
    r'_{0,4}sys_(?:sendmsg|sendmmsg|recvmsg|sendto|recvfrom|setsockopt|getsockopt|connect|bind|accept\w*)|sock_(?:sendmsg|recvmsg|write_iter|read_iter|ioctl|do_ioctl|common_\w+|close|sendpage)\w*|_{0,2}sock_(?:sendmsg|recvmsg|release|setsockopt)\w*|do_sock_setsockopt|____sys_\w+|___sys_\w+|'
    r'do_sys_open\w*|do_sys_ftruncate|do_filp_open|path_openat|do_open|do_last|do_dentry_open|do_o_path|chrdev_open|__fput|____fput|fput|task_work_run|exit_to_user\w*|_{0,2}prepare_exit_to_usermode|kthread_should_stop|stub_\w+|__?exit_to_user\w*|tracehook_\w+|resume_user\w*|do_exit|do_group_exit|get_signal|do_signal\w*|do_notify_resume|arch_do_signal\w*|exit_files|put_files_struct|'
    r'do_mount|path_mount|do_new_mount|init_mount|kernel_init\w*|do_one_initcall|do_basic_setup|do_init_module|load_module|'
    r'.*notifier_call_chain|blkdev_(?:ioctl|common_ioctl|compat_ioctl)|compat_blkdev\w*|block_ioctl|__blkdev_driver_ioctl|blkdev_driver_ioctl|rcu_core\w*|rcu_do_batch|rcu_process_callbacks|_{0,2}netlink_(?:sendmsg|unicast\w*|rcv_skb|dump\w*)|rtnetlink_rcv\w*|nfnetlink_rcv\w*|genl_\w+|gro_normal_list|napi_gro\w*|napi_threaded\w*|do_page_fault|handle_mm_fault|__?handle_mm_fault|do_user_addr_fault|exc_page_fault)$')

_WAITS_FOR_CPU = re.compile(r'smp_call_function_(?:single|many)\w*')
_SOFTIRQ = re.compile(r'_{0,2}do_softirq|handle_softirqs|_{0,2}irq_exit')
_HELD = re.compile(r'\s*#\d+:')
_LAST_FUNCTION = re.compile(r'\s*last function: (' + _SYMBOL + ')')
_WAITING_ANCHOR = re.compile(r'_{0,2}synchronize_(?:s?rcu|net|sched)\w*|rtnl_lock\w*')


def clean(name):
    """A function's name as all builds of the kernel have it: no .isra.0, .constprop.1, .cold."""
    return name.lstrip('.').split('.', 1)[0][:200]


def parse(text):
    """Read one line of a report's body.

    Returns a list of entries: ('frame' | 'pc' | 'lock' | 'held' | 'mark', name or word, reliable).
    """
    if '+0x' not in text:
        return _marks(text)
    register = _REGISTER.match(text)
    if register:
        return [('pc', clean(register.group(2)), True)]
    entries = []
    if ' from ' in text:
        arm = _ARM.match(text)
        if arm:
            return [('frame', clean(arm.group(1)), True), ('frame', clean(arm.group(2)), True)]
    mark = _marks(text)
    if mark:
        entries += mark
        text = re.sub(r'.*(?:Call [Tt]race:|</?[A-Z#]{2,6}>)', '', text, count=1)
    frame = _FRAME.match(text)
    if frame:
        entries.append(('frame', clean(frame.group(2)), not frame.group(1)))
        return entries
    return entries + _locks(text)


def _locks(text):
    """The function that asks for a lock ('lock') or that took one before ('held')."""
    found = None
    if ' at: ' in text:
        found = _LOCK_AT.search(text)
        if found and _HELD.match(text):
            return [('held', clean(found.group(1)), True)]
    elif 'last function: ' in text:
        found = _LAST_FUNCTION.match(text)
    return [('lock', clean(found.group(1)), True)] if found else []


def _marks(text):
    bare = text.strip()
    if 'race' in bare or 'IRQ>' in bare or 'NMI>' in bare:
        if bare.startswith(('Call Trace:', 'Call trace:', 'Backtrace:', 'backtrace:', 'backtrace (', 'stack backtrace:')):
            return [('mark', 'trace', True)]
        for word in ('</IRQ>', '<IRQ>', '</NMI>', '<NMI>'):
            if word in bare:
                return [('mark', word, True)]
    if bare.startswith(('Allocated by', 'Freed by', 'Uninit was', 'Last potentially', 'allocated by', 'freed by', 'Memory state around',
                        'Local variable', 'The buggy')):
        return [('mark', 'history', True)]
    if bare.startswith('-> #'):
        return [('mark', 'chain', True)]
    if bare.startswith(('NMI backtrace for', 'Sending NMI', 'Task dump for', 'Showing all locks', 'CPU:')):
        return [('mark', 'section', True)]
    if bare.startswith(('RIP:', 'Exception stack', 'exception RIP', 'Code:')):
        return [('mark', 'registers', True)]
    locks = _locks(text)
    if locks:
        return locks
    inline = _INLINE.match(text)
    if inline:
        return [('frame', clean(inline.group(1)), True)]
    alone = _ADDRESS_ONLY.match(text)
    if alone:
        return [('frame', clean(alone.group(2)), not alone.group(1))]
    return []


def _traces(entries):
    """Split the entries into the report's traces: a list of lists, without what led up to other traces."""
    traces = [[]]
    history = False
    for entry in entries:
        if entry[0] == 'mark' and entry[1] in ('history', 'chain'):
            history = True
            traces.append([])
        elif entry[0] == 'mark' and entry[1] in ('trace', 'section'):
            if history and entry[1] == 'section':
                continue
            if any(e[0] == 'frame' for e in traces[-1]) or history:
                traces.append([])
            history = False
            traces[-1].append(entry)
        elif not history:
            traces[-1].append(entry)
    return [trace for trace in traces if any(entry[0] in ('frame', 'pc') for entry in trace)]


def _names(trace):
    """Frames of one trace, innermost first, the unreliable ones only where there is nothing else."""
    frames = [entry for entry in trace if entry[0] == 'frame']
    sure = [entry[1] for entry in frames if entry[2]] or [entry[1] for entry in frames]
    names = []
    for name in sure:
        if not names or names[-1] != name:
            names.append(name)
    return names


def _first_specific(names):
    for name in names:
        if not _GENERIC.match(name) and not _DISPATCH.match(name):
            return name
    return None


def _stuck(trace):
    """The operation that a stuck CPU was asked to do."""
    start = 0
    for index, entry in enumerate(trace):
        if entry[0] == 'pc' or entry[:2] == ('mark', 'registers'):
            if any(e[0] == 'frame' for e in trace[index + 1:]):
                start = index
                if start:
                    break
    inner = trace[start:]
    for index, entry in enumerate(inner):
        if entry[:2] == ('mark', '</IRQ>') and any(e[0] == 'frame' and not _DISPATCH.match(e[1]) and not _GENERIC.match(e[1]) for e in inner[:index]):
            inner = inner[:index]
            break
    pcs = [entry[1] for entry in inner[:1] if entry[0] == 'pc']
    names = pcs + _names(inner)
    if start == 0:
        # the trace runs through the interrupt that looked: what lies below it was interrupted
        for index, name in enumerate(names):
            if name.endswith('apic_timer_interrupt') and index + 1 < len(names) and not _DISPATCH.match(names[index + 1]):
                names = names[index + 1:]
                break
    for index, name in enumerate(names):
        if _SOFTIRQ.match(name) and index:
            names = names[:index]
            break
    for name in names:
        if _WAITS_FOR_CPU.match(name):
            return name
    for name in reversed(names):
        if not _DISPATCH.match(name) and not _GENERIC.match(name):
            return name
    return _first_specific(names) or (names[0] if names else None)


def header_symbol(kind, text):
    """The function that a header names, or None."""
    if kind == 'kcsan':
        race = _RACE.search(text)
        return clean(race.group(1)) if race else None
    named = _IN_SYMBOL.search(text) or (_ANY_SYMBOL.search(text) if kind in ('warning', 'lockdep', 'panic') else None) or (
        _BARE_IN.search(text) if kind in ('kasan', 'kfence', 'kmsan') else None)
    return clean(named.group(1)) if named else None


def blame(kind, header, entries):
    """Name the culprit of a report.

    kind: str; header: its first line; entries: what L(parse) made of the lines after it, in order.
    Returns (culprit or None, trace): the trace is a list of at most 32 names, innermost first.
    """
    traces = _traces(entries)
    named = header_symbol(kind, header)
    if kind == 'lockdep':
        chosen = traces[-1] if any(entry[:2] == ('mark', 'chain') for entry in entries) and traces else (traces[0] if traces else [])
        locks = [entry[1] for entry in entries if entry[0] == 'lock'][:1]
    else:
        chosen, locks = (traces[0] if traces else []), []
    names = _names(chosen)
    if kind in STALL_KINDS:
        looked = [trace for trace in traces if _stuck(trace) and not set(_names(trace)) & set(('rcu_gp_kthread', 'rcu_gp_fqs_loop'))]
        if looked:
            return _stuck(looked[0]), _names(looked[0])[:MAX_TRACE]
        return None, names[:MAX_TRACE]
    if kind == 'hung_task':
        for name in names:
            if _WAITING_ANCHOR.match(name):
                return name, names[:MAX_TRACE]
    pcs = [entry[1] for entry in entries if entry[0] == 'pc'][:1]
    if kind in ('hung_task', 'kmemleak', 'atomic_sleep', 'bug_mm', 'oom', 'page_alloc_failure', 'ubsan') or (kind == 'lockdep' and not locks):
        pcs = []
    candidates = ([named] if named else []) + locks + pcs + names
    culprit = _first_specific(candidates)
    if culprit is None and kind == 'lockdep':
        culprit = _first_specific(entry[1] for entry in entries if entry[0] == 'held')
    if culprit is None and candidates and kind not in ('oom', 'page_alloc_failure'):
        culprit = candidates[0]
    if kind == 'oom':
        culprit = None
    return culprit, names[:MAX_TRACE]
