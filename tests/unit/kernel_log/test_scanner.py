# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports in the form that the kernel's own format strings give them, and texts that only look like one."""

import json
import unicodedata

import pytest
from hypothesis import given, strategies as st

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import lines, patterns
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import Scanner, scan_lines
from ansible_collections.ksysak.fleet.tests.unit.kernel_log.samples import HEADERS, LINK_HEADERS

CARRIERS = [
    "[18444175627.134970] %s",
    "Nov 23 05:38:57  kernel: %s",
    "[    0.048509 ][    T0 ] %s",
    "Nov 23 05:38:57.123456 host-1 kernel: %s",
    "Mon 2026-11-23 05:38:57 CET host-1 kernel: %s",
    "Mon 2026-11-23 05:38:57 UTC host-1 kernel: [  812.000123] %s",
    "lun. 2026-11-23 05:38:57 CET host-1 kernel: %s",
    "[  812.000123] host-1 kernel: %s",
    "[  812.000123 <    0.000100 >] host-1 kernel: %s",
    "1795412337.123456 host-1 kernel: %s",
    "nov. 23 05:38:57 host-1 kernel: %s",
    "Dez 23 05:38:57 host-1 kernel: %s",
    "11\u6708 23 05:38:57 host-1 kernel: %s",
    "\u043d\u043e\u044f 23 05:38:57 host-1 kernel: [  812.000123] %s",
    "2026-11-23T05:38:57.123456789Z [  812.000123] %s",
    "2026-11-23T05:38:57.123456789Z Nov 23 05:38:57 host-1 kernel: %s",
    "2026-11-23T05:38:57.123456789+01:00 stdout F [  812.000123] %s",
    "2026-11-23T05:38:57.123456789Z stderr P <4>[  812.000123] %s",
    "Nov 23 05:38:57 192.0.2.7 [  812.000123] %s",
    "Nov 23 05:38:57 192.0.2.7 4,1234,812000123,-;%s",
    "2026-11-23T05:38:57.123456+01:00 192.0.2.7 <4>[  812.000123] %s",
    "6.12.1,4,1234,812000123,-,caller=T812;%s",
    "192.0.2.7: kern: warning: [2026-11-23T05:38:57.123456789Z]: %s",
    "kern:    info: [2026-11-23T05:38:57.123456789Z]: %s",
    "[Mon Nov 23 05:38:57 UTC 2026] %s",
    "[Mon Nov 23 05:38:57 CET 2026] %s",
    "2026 Nov 23 05:38:57 host-1 kernel: %s",
    "Nov 23 05:38:57 2026 host-1 kernel: [  812.000123] %s",
    "Mon Nov 23 05:38:57 2026 kern.warn kernel: [  812.000123] %s",
    "[  812.000123] %s",
    "<4>[  812.000123] %s",
    "[  812.000123][  T812] %s",
    "[  812.000123] [     C3] %s",
    "Nov  3 05:38:57 host-1 kernel: [  812.000123] %s",
    "Nov 23 05:38:57 host-1 kernel: %s",
    "<4>Nov 23 05:38:57 host-1 kernel: %s",
    "2026-11-23T05:38:57.123456+01:00 host-1 kernel: [  812.000123] %s",
    "2026-11-23T05:38:57.123456+0100 host-1 kernel: %s",
    "2026-11-23T05:38:57,123456+01:00 %s",
    "[Mon Nov 23 05:38:57 2026] %s",
    "kern  :err   : [  812.000123] %s",
    "host login: [  812.000123] %s",
    "\x1b[1;31m[  812.000123] %s",
    "[  812.000123@3] %s",
    "[Nov23 05:38] %s",
    "[  +0.000123] %s",
    "4,1234,812000123,-;%s",
    "4,1234,812000123,-,caller=T812;%s",
    "<4>1 2026-11-23T05:38:57.1+01:00 host-1 kernel - - - [  812.000123] %s",
    "Nov 23 05:38:57 host-1 kernel: message repeated 3 times: [ %s]",
]


def kinds(text):
    return [event["kind"] for event in scan_lines(text.split("\n"))]


@pytest.mark.parametrize("kind,header", HEADERS, ids=[kind for kind, _unused in HEADERS])
def test_every_kind_is_found_on_its_line(kind, header):
    log = ["[  811.000000] usb 1-1: new high-speed USB device", "[  812.000123] " + header, "[  812.000124] nothing more"]
    assert [(event["kind"], event["line"]) for event in scan_lines(log)] == [(kind, 2)]


def test_every_rule_has_a_header_that_it_finds():
    found = [patterns.find(header, True)[0] for header in [header for _unused, header in HEADERS] + LINK_HEADERS]
    assert [rule for rule in patterns.RULES if rule not in found] == []


@pytest.mark.parametrize("carrier", CARRIERS)
def test_what_carries_a_line_does_not_matter(carrier):
    for kind, header in HEADERS:
        assert kinds(carrier % header) == [kind], header


@pytest.mark.parametrize("header", [header for _unused, header in HEADERS], ids=[kind for kind, _unused in HEADERS])
def test_other_programs_are_not_the_kernel(header):
    quoted = [
        "Nov 23 05:38:57 host-1 sshd[812]: " + header,
        "Nov 23 05:38:57 host-1 kernel-exporter: " + header,
        "2026-11-23T05:38:57.123456+01:00 host-1 app[1]: [  812.000123] " + header,
        "daemon:err   : [  812.000123] " + header,
        "[  812.000123] systemd[1]: " + header,
        "[  812.000123] reading log: '" + header + "'",
        "Nov 23 05:38:57 " + header,
    ]
    assert [line for line in quoted if kinds(line)] == []


@pytest.mark.parametrize("text", [
    "WARNING: the configuration is old",
    "BUG: this daemon lost its state",
    "[  1.000000] WARNING: the mand mount option is being deprecated and",
    "[  1.000000] INFO: lockdep is turned off.",
    "[  1.000000] INFO: NMI handler (perf_event_nmi_handler) took too long to run: 1.3 msecs",
    "[  1.000000] rcu: INFO: Stall ended before state dump start",
    "[  1.000000] Kernel command line: oops=panic panic_on_warn=1 softlockup_panic=1",
    "[  1.000000] Spectre V2 : WARNING: Unprivileged eBPF is enabled",
    "[  1.000000] EXT4-fs (sda1): re-mounted. Opts: errors=remount-ro",
    "[  1.000000] pcieport 0000:00:1c.0: AER: enabled with IRQ 122",
    "[  1.000000] EDAC MC: Ver: 3.0.0",
    "[  1.000000] mce: CPU0: Thermal monitoring enabled (TM1)",
    "[  1.000000] nfs: server filer OK",
    "panic: runtime error: index out of range [1] with length 1",
    "runtime: out of memory: cannot allocate 1073741824-byte block",
])
def test_what_only_looks_like_a_report_is_silent(text):
    assert kinds(text) == []


OOPS = """\
[  100.000001] BUG: kernel NULL pointer dereference, address: 0000000000000010
[  100.000002] #PF: supervisor read access in kernel mode
[  100.000003] PGD 0 P4D 0
[  100.000004] Oops: 0000 [#1] PREEMPT SMP PTI
[  100.000005] CPU: 1 PID: 812 Comm: cat Not tainted 6.1.0-1-amd64 #1
[  100.000006] RIP: 0010:list_del_init.isra.0+0x1c/0x40 [ksy]
[  100.000007] Call Trace:
[  100.000008]  <TASK>
[  100.000009]  ? __die+0x1f/0x70
[  100.000010]  mutex_lock+0x10/0x20
[  100.000011]  ksy_release.constprop.0+0x2c/0x90 [ksy]
[  100.000012]  __fput+0x8a/0x280
[  100.000013]  </TASK>
[  100.000014] ---[ end trace 0000000000000000 ]---
[  100.000015] Kernel panic - not syncing: Fatal exception"""


def test_an_oops_is_one_report_and_its_panic_follows():
    oops, panic = scan_lines(OOPS.split("\n"))
    assert (oops["kind"], oops["line"], oops["induced"], oops["timestamp_s"]) == ("oops_page_fault", 1, False, 100.000001)
    assert oops["culprit"] == "ksy_release"
    assert oops["trace"] == ["mutex_lock", "ksy_release", "__fput"]
    assert oops["excerpt"].startswith("BUG: kernel NULL") and "RIP: 0010:list_del_init" in oops["excerpt"]
    assert (panic["kind"], panic["line"], panic["induced"]) == ("panic", 15, True)


def test_the_signature_knows_no_host_and_no_build():
    other = OOPS.replace("0x2c/0x90", "0x3d/0xa0").replace(".constprop.0", ".isra.7").replace("  100.", "77777.").replace("cat", "dd")
    other = "\n".join("2026-11-23T05:38:57.1+01:00 elsewhere kernel: " + line for line in other.split("\n"))
    for log in (OOPS, other):
        assert [event["signature"] for event in scan_lines(log.split("\n"))] == [
            "oops_page_fault:ksy_release", "panic:kernel_panic_not_syncing_fatal_exception"]


@pytest.mark.parametrize("one,two", [
    ("blk_update_request: I/O error, dev sdb, sector 2048", "blk_update_request: I/O error, dev nvme0n1, sector 7"),
    ("nfs: server filer1.site-a.example not responding, still trying", "nfs: server 10.0.0.5 not responding, timed out"),
    ("kernel BUG at /home/a/build/drivers/ksy/core.c:77!", "kernel BUG at drivers/ksy/core.c:78!"),
    ("ksyd[12]: segfault at 8 ip 000055d0c0ffee00 sp 0 error 4", "ksyd[999]: segfault at 0 ip 00007fd0c0ffee00 sp 0 error 6 in libc.so.6"),
])
def test_devices_addresses_and_folders_are_no_part_of_a_signature(one, two):
    [first], [second] = ([event["signature"] for event in scan_lines(["[    1.000000] " + line])] for line in (one, two))
    assert first == second


def test_cpus_that_talk_at_once_are_told_apart():
    log = """\
[  50.000001][  T10] WARNING: CPU: 0 PID: 10 at drivers/ksy/a.c:1 ksy_a+0x1/0x10
[  50.000002][  T20] kernel BUG at drivers/ksy/b.c:2!
[  50.000003][  T10] Call Trace:
[  50.000004][  T20] RIP: 0010:ksy_b+0x4/0x20
[  50.000005][  T10]  ksy_outer_a+0x2/0x20
[  50.000006][  T20] Call Trace:
[  50.000007][  T20]  ksy_outer_b+0x2/0x20"""
    events = list(scan_lines(log.split("\n")))
    assert [(event["kind"], event["culprit"], event["trace"]) for event in events] == [
        ("warning", "ksy_a", ["ksy_outer_a"]), ("kernel_bug", "ksy_b", ["ksy_outer_b"])]


def test_a_stuck_cpu_is_blamed_on_what_it_was_asked_to_do():
    log = """\
[  50.000001] watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cat:812]
[  50.000002] RIP: 0010:_raw_spin_unlock_irqrestore+0x1/0x10
[  50.000003] Call Trace:
[  50.000004]  ksy_inner+0x1/0x10
[  50.000005]  ksy_ioctl+0x1/0x10
[  50.000006]  __x64_sys_ioctl+0x1/0x10
[  50.000007]  do_syscall_64+0x1/0x10
[  50.000008]  entry_SYSCALL_64_after_hwframe+0x1/0x10"""
    [event] = scan_lines(log.split("\n"))
    assert event["culprit"] == "ksy_ioctl"


def test_a_bug_after_another_oops_is_a_report_of_its_own():
    log = ["[    1.000000] invalid opcode: 0000 [#1] SMP PTI", "[    1.000001] kernel BUG at drivers/ksy/core.c:77!"]
    assert kinds("\n".join(log)) == ["oops_trap", "kernel_bug"]
    assert kinds("\n".join(reversed(log))) == ["kernel_bug"]


def report(header, *frames):
    return ["[   50.000000] " + header, "[   50.000001] Call Trace:"] + [
        "[   50.000002]  %s" % (frame if " " in frame or "<" in frame else frame + "+0x1/0x10") for frame in frames]


@pytest.mark.parametrize("culprit,log", [
    # what an interrupt interrupted has no part in it
    ("ksy_timer", report("WARNING: CPU: 0 PID: 1 at kernel/ksy.c:1 debug_check_no_obj_freed+0x1/0x10", "debug_check_no_obj_freed", "kfree",
                         "ksy_timer", "call_timer_fn", "run_timer_softirq", "irq_exit", "sysvec_apic_timer_interrupt", "ksy_innocent")),
    # an interrupt that only looked leaves the one that it interrupted
    ("ksy_loop", report("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cat:812]", "dump_stack", "watchdog_timer_fn",
                        "__hrtimer_run_queues", "smp_apic_timer_interrupt", "apic_timer_interrupt", "_raw_spin_unlock", "ksy_loop",
                        "do_syscall_64")),
    # a CPU that waits for another one is stuck in what made it wait
    ("smp_call_function_many", report("watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [cat:812]", "csd_lock_wait",
                                      "smp_call_function_many", "ksy_ioctl", "do_syscall_64")),
    # of a stack that ran over, the innermost frame is an accident
    ("ksy_descend", report("BUG: stack guard page was hit at ffffc9000e4aff58 (stack is ffffc9000e4b0000..ffffc9000e4b8000)",
                           "ksy_leaf", "ksy_descend", "ksy_descend", "do_syscall_64")),
    # the unwinder is to blame where it crashed itself, and nowhere else
    ("unwind_next_frame", report("BUG: kernel NULL pointer dereference, address: 0000000000000010", "unwind_next_frame", "ksy_caller")),
    ("ksy_caller", report("BUG: sleeping function called from invalid context at mm/slab.h:1", "unwind_next_frame", "ksy_caller")),
    # a race is between two
    ("ksy_writer", ["[   50.000000] BUG: KCSAN: data-race in memcpy / ksy_writer"]),
    # infrastructure is known by where it is defined
    ("ksyusb_disconnect", report("BUG: KASAN: use-after-free in usb_kill_urb+0x1/0x10", "dump_stack_lvl", "print_report", "kasan_report",
                                 "usb_kill_urb", "usb_kill_anchored_urbs", "ksyusb_disconnect", "usb_unbind_interface")),
    ("ksyrng_stop", report("general protection fault: 0000 [#1] SMP", "kthread_stop", "ksyrng_stop", "device_release_driver_internal")),
    ("ksyctl_get", report("BUG: unable to handle page fault for address: ffffc9000e4aff58", "__get_user_4", "ksyctl_get", "ksyctl_ioctl")),
    # reporting code and thunks
    ("ksy_remove", report("WARNING: CPU: 0 PID: 1 at drivers/ksy/a.c:1 get_taint+0x1/0x10", "get_taint", "check_panic_on_warn", "__warn",
                          "report_bug", "handle_bug", "exc_invalid_op", "asm_exc_invalid_op", "ksy_remove", "ksy_ioctl")),
    ("ksy_call", report("general protection fault: 0000 [#1] SMP", "__x86_indirect_thunk_r11", "ksy_call", "ksy_ioctl")),
    # a name that only resembles a helper's
    ("hash_ksy_setup", report("general protection fault: 0000 [#1] SMP", "hash_ksy_setup", "ksy_ioctl")),
    ("raw_ksy_send", report("general protection fault: 0000 [#1] SMP", "raw_ksy_send", "ksy_ioctl")),
    ("wait_for_ksy_ready", report("general protection fault: 0000 [#1] SMP", "wait_for_ksy_ready", "ksy_ioctl")),
    # who hangs is who waits for something, not a module's or a subsystem's way to wait
    ("ksy_read_block", report("INFO: task ksyd:812 blocked for more than 120 seconds.", "__schedule", "schedule", "cv_wait_common",
                              "__cv_wait", " ksyq_wait_outstanding+0x1/0x10 [ksyspl]", " ksy_read_block+0x1/0x10 [ksyfs]", "ksy_sync")),
    ("ksy_own_wait", report("INFO: task ksyd:812 blocked for more than 120 seconds.", "schedule", " ksy_own_wait+0x1/0x10 [ksyfs]",
                            " ksy_read_block+0x1/0x10 [ksyfs]")),
    ("ksyfs_getattr", report("INFO: task ls:812 blocked for more than 120 seconds.", "__schedule", "schedule", "rpc_wait_bit_killable",
                             "__wait_on_bit", "out_of_line_wait_on_bit", "ksyfs_getattr", "vfs_statx")),
    # where all is infrastructure, what dispatched
    ("process_one_work", report("BUG: kernel NULL pointer dereference, address: 0000000000000010", "process_one_work", "worker_thread",
                                "kthread", "ret_from_fork")),
    # who waits for the network to quiesce is known by that
    ("synchronize_net", report("INFO: task ksyd:812 blocked for more than 120 seconds.", "schedule", "synchronize_net", "ksy_ioctl")),
    (None, report("mysqld invoked oom-killer: gfp_mask=0x100cca(GFP_HIGHUSER_MOVABLE), order=0", "dump_header", "ksy_fault")),
])
def test_who_is_blamed(culprit, log):
    assert [event["culprit"] for event in scan_lines(log)] == [culprit]


def test_an_unbalanced_unlock_is_blamed_by_its_trace():
    log = """\
[  50.000001] WARNING: bad unlock balance detected!
[  50.000002] ksyd/812 is trying to release lock (&mm->mmap_lock) at:
[  50.000003] [<ffffa00010726344>] __might_fault+0x154/0x1b0
[  50.000004] but there are no more locks to release!
[  50.000005] Call trace:
[  50.000006]  lock_release+0x69c/0xa68
[  50.000007]  __might_fault+0x170/0x1b0
[  50.000008]  ksy_restore+0x418/0x798"""
    assert [event["culprit"] for event in scan_lines(log.split("\n"))] == ["ksy_restore"]


@pytest.mark.parametrize("callers,frames", [
    # functions of the way in, without helpers, dispatching code and infrastructure
    (["ksy_poll", "ksy_open"], ["memcpy", "ksy_copy", "mutex_lock", "ksy_poll", "__napi_poll", "ksy_open", "ksy_more"]),
    (["ksy_open"], ["ksy_copy", "queue_work_on", "ksy_open", "do_syscall_64", "entry_SYSCALL_64_after_hwframe"]),
    ([], ["ksy_copy", "do_syscall_64"]),
    # what an interrupt interrupted did not call it
    (["ksy_irq"], ["ksy_copy", "ksy_irq", "__handle_irq_event_percpu", "common_interrupt", "asm_common_interrupt", "ksy_innocent"]),
])
def test_the_way_to_the_culprit(callers, frames):
    [event] = scan_lines(report("general protection fault: 0000 [#1] SMP", *frames))
    assert (event["culprit"], event["called_by"]) == ("ksy_copy", callers)


def test_the_operation_of_a_full_stack_is_behind_its_recursion():
    frames = ["ksy_down", "? ksy_up+0x1/0x10"] * 450 + ["ksy_ioctl", "do_syscall_64"]
    header = "BUG: stack guard page was hit at ffffc9000e4aff58 (stack is ffffc9000e4b0000..ffffc9000e4b8000)"
    assert [event["culprit"] for event in scan_lines(report(header, *frames))] == ["ksy_ioctl"]


@pytest.mark.parametrize("first,reason", [
    ("BUG: scheduling while atomic: ksyd/812/0x00000002", "scheduling while atomic"),
    ("WARNING: CPU: 0 PID: 1 at drivers/ksy/a.c:1 ksy_a+0x1/0x10", "panic_on_warn set ..."),
    ("WARNING: CPU: 0 PID: 1 at drivers/ksy/a.c:1 ksy_a+0x1/0x10", "kernel: panic_on_warn set ..."),
    ("SError Interrupt on CPU3, code 0x00000000be000000 -- SError", "Asynchronous SError Interrupt"),
])
def test_a_panic_that_repeats_the_reason_follows(first, reason):
    log = ["[   50.000000] " + first, "[   50.000001] Kernel panic - not syncing: " + reason] + report("x", "panic", "ksy_caller")[1:]
    assert [event["induced"] for event in scan_lines(log)] == [False, True]
    log[1] = "[   50.000001] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)"
    assert [event["induced"] for event in scan_lines(log)] == [False, False]


def test_who_locks_in_the_wrong_order_is_blamed():
    log = """\
[  50.000001] WARNING: possible circular locking dependency detected
[  50.000002] ksyd/812 is trying to acquire lock:
[  50.000003] ffff888000000000 (&ksy->lock){+.+.}-{3:3}, at: ksy_second+0x1/0x10
[  50.000004] but task is already holding lock:
[  50.000005] ffff888000000001 (&ksy->list){+.+.}-{3:3}, at: ksy_first+0x1/0x10
[  50.000006] -> #1 (&ksy->list){+.+.}-{3:3}:
[  50.000007]        ksy_other+0x1/0x10
[  50.000008] stack backtrace:
[  50.000009]  print_circular_bug+0x1/0x10
[  50.000010]  ksy_second+0x1/0x10
[  50.000011]  ksy_ioctl+0x1/0x10"""
    [event] = scan_lines(log.split("\n"))
    assert (event["culprit"], event["trace"]) == ("ksy_second", ["print_circular_bug", "ksy_second", "ksy_ioctl"])


def test_frames_of_other_machines():
    arm = """\
[   1.000001] Unable to handle kernel NULL pointer dereference at virtual address 00000004
[   1.000002] Internal error: Oops: 5 [#1] SMP ARM
[   1.000003] PC is at memcpy+0x48/0x330
[   1.000004] Backtrace:
[   1.000005] [<c0100000>] (memcpy) from [<c0200000>] (ksy_copy+0x30/0x50)
[   1.000006] [<c0200000>] (ksy_copy) from [<c0300000>] (ksy_write+0x30/0x50)"""
    power = """\
[   1.000001] kernel BUG at drivers/ksy/core.c:77!
[   1.000003] NIP [c000000000100000] .ksy_check+0x48/0x330
[   1.000004] Call Trace:
[   1.000005] [c000000001bb3530] [c000000001bb35a0] .ksy_open+0x28/0x30 (unreliable)"""
    for log, culprit, trace in ((arm, "ksy_copy", ["memcpy", "ksy_copy", "ksy_write"]), (power, "ksy_check", ["ksy_open"])):
        assert [(event["culprit"], event["trace"]) for event in scan_lines(log.split("\n"))] == [(culprit, trace)]


def test_what_comes_much_later_is_not_part_of_a_report():
    for first, later in (
        ("[   10.000000] ", "[  100.000000] "),
        ("Nov 23 23:59:58 host kernel: ", "Nov 24 00:00:58 host kernel: "),
        ("2026-11-23T05:38:57.1+00:00 host kernel: ", "2026-11-23T05:38:37.1+00:00 host kernel: "),
    ):
        log = [first + HEADERS[0][1], first + " ksy_first+0x1/0x2", later + " ksy_later+0x1/0x2"]
        [event] = scan_lines(log)
        assert event["trace"] == ["ksy_first"] and "ksy_later" not in event["excerpt"]
    log = ["Nov 23 23:59:58 host kernel: " + HEADERS[0][1], "Nov 24 00:00:02 host kernel:  ksy_first+0x1/0x2"]
    assert [event["trace"] for event in scan_lines(log)] == [["ksy_first"]]


def test_a_date_with_a_zone_becomes_utc():
    [event] = scan_lines(["2026-11-23T05:38:57.123456+01:30 host kernel: nf_conntrack: table full, dropping packet"])
    assert (event["wall"], event["timestamp_s"], event["local_date"]) == ("2026-11-23T04:08:57Z", None, None)
    [event] = scan_lines(["Nov  3 05:38:57 host kernel: [    7.500000] nf_conntrack: table full, dropping packet"])
    assert (event["wall"], event["timestamp_s"], event["local_date"]) == (None, 7.5, "Nov  3 05:38:57")


def test_two_messages_run_together_on_one_line():
    line = "[    1.000000] vmalloc: allocation fail[    1.000001] BUG: unable to handle page fault for address: 0"
    assert kinds(line) == ["oops_page_fault"]


def test_memory_stays_bounded_whatever_comes_after_a_header():
    def endless():
        yield "[    1.000000] WARNING: CPU: 0 PID: 1 at a/b.c:1 ksy+0x1/0x2"
        for number in range(50000):
            yield "[    1.000001]  ksy_%d+0x1/0x2%s" % (number, " x" * 400)
    [event] = scan_lines(endless())
    assert len(event["trace"]) == 32 and len(event["excerpt"]) <= 4096


def test_control_characters_never_reach_the_result():
    [event] = scan_lines(["[    1.000000] BUG: \x1b[31mred\x1b\x00\u2028 \ud800<script>"])
    assert event["title"] == "BUG: red? ? ?<script>"


_words = st.sampled_from([header for _unused, header in HEADERS] + CARRIERS + OOPS.split("\n") + [
    "[", "]", "(", ")", "? ", "+0x1/0x2", "[<", ">]", " from ", " at: ", " in ", "RIP:", "%s", "<IRQ>", "\0", " " * 300, "-> #1"])


@given(st.lists(st.lists(_words | st.text(max_size=20), max_size=6).map("".join), max_size=30))
def test_scanning_never_raises_and_stays_within_its_bounds(log):
    for event in scan_lines(log):
        assert 1 <= event["line"] <= len(log)
        assert len(event["title"]) <= 512 and len(event["excerpt"]) <= 4096 and len(event["trace"]) <= 32
        assert len(event["signature"]) <= 320 and len(event["culprit"] or "") <= 256
        assert not any(character != "\t" and unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in event["title"])


@given(st.text())
def test_any_text_can_be_a_line(text):
    assert all(len(segment.text) <= lines.MAX_LINE_CHARS for segment in lines.segments(text))
    list(scan_lines([text]))


def test_every_kind_is_explained_to_the_operator_and_fits_the_schema(repo):
    page = (repo / "docs" / "os_exceptions.md").read_text()
    kinds_of_rules = {rule.kind for rule in patterns.RULES}
    assert [kind for kind in sorted(kinds_of_rules) if "`%s`" % kind not in page] == []
    assert len(kinds_of_rules) <= 96


def records(*texts, transport="kernel"):
    when = {"__REALTIME_TIMESTAMP": "1795404000123456", "_SOURCE_MONOTONIC_TIMESTAMP": "812000123"}
    return [{**when, "_TRANSPORT": transport, "MESSAGE": text} for text in texts]


def exported(fields):
    return ["__CURSOR=s=1;i=2"] + ["%s=%s" % field for field in fields.items()] + [""]


@pytest.mark.parametrize("form", ["json", "bytes", "export"])
def test_records_of_the_journal(form):
    given = records("BUG: kernel NULL pointer dereference, address: 10", " ksy_first+0x1/0x2")
    given += records("Oops: 0002 [#3] SMP", transport="journal")
    if form == "bytes":
        given = [dict(record, MESSAGE=list(record["MESSAGE"].encode())) for record in given]
    log = sum(map(exported, given), []) if form == "export" else [json.dumps(record, separators=(",", ":")) for record in given]
    [event] = scan_lines(log)
    assert (event["kind"], event["timestamp_s"], event["wall"], event["trace"]) == (
        "oops_page_fault", 812.000123, "2026-11-23T03:20:00Z", ["ksy_first"])
    assert log[event["line"] - 1].startswith("MESSAGE=" if form == "export" else "{")


@pytest.mark.parametrize("line", [
    "30,1,812000123,-;%s", '{"_TRANSPORT":"kernel","MESSAGE":"%s"', '{"MESSAGE":["%s"]}', '{"log":"%s","stream":"stderr"}',
    "<4>1 2026-11-23T05:38:57.1+01:00 host-1 app 812 - - [  812.000123] %s", '{"a":' * 5000 + '"%s"',
])
def test_records_of_other_programs_are_silent(line):
    assert kinds(line % HEADERS[0][1]) == []


@pytest.mark.parametrize(("facility", "writer"), [("0", "kernel"), ("1", "program"), (None, "unknown")])
def test_the_journal_tells_who_wrote_a_kernel_message(facility, writer):
    fields = {"_TRANSPORT": "kernel", "MESSAGE": "WARNING: CPU: 0 PID: 1 at drivers/ksy/core.c:1 ksy_init+0x0/0x10"}
    if facility is not None:
        fields["SYSLOG_FACILITY"] = facility
    assert [found["written_by"] for found in scan_lines([json.dumps(fields)])] == [writer]


@pytest.mark.parametrize(("prefix", "writer"), [("kern  :warn  : ", "kernel"), ("user  :warn  : ", "program"), ("", "unknown")])
def test_a_decoded_facility_tells_who_wrote_a_message(prefix, writer):
    line = prefix + "[    1.000000] WARNING: CPU: 0 PID: 1 at drivers/ksy/core.c:1 ksy_init+0x0/0x10"
    assert [found["written_by"] for found in scan_lines([line])] == [writer]


def only(log):
    [event] = scan_lines(log.split("\n"))
    return event


@pytest.mark.parametrize("kind,header", HEADERS, ids=[kind for kind, _unused in HEADERS])
def test_records_over_several_lines_and_of_containers(kind, header):
    record = {"__REALTIME_TIMESTAMP": "1795412337000000", "_TRANSPORT": "kernel", "_HOSTNAME": "host-1", "PRIORITY": "4", "MESSAGE": header}
    pretty = ["{"] + ["\t%s : %s," % (json.dumps(name), json.dumps(value)) for name, value in record.items()] + ['\t"_BOOT_ID" : "0"', "}"]
    other = [line.replace('"kernel"', '"syslog"') for line in pretty]
    assert [(event["kind"], event["line"], event["host"]) for event in scan_lines(other + pretty)] == [(kind, 2 * len(pretty) - 2,
                                                                                                        "host-1")]
    docker = {"log": "[  812.000123] %s\n" % header, "stream": "stdout", "time": "2026-11-23T05:38:57.123456789Z"}
    assert [(event["kind"], event["wall"]) for event in scan_lines([json.dumps(docker)])] == [(kind, "2026-11-23T05:38:57Z")]
    assert kinds("\x1e" + json.dumps(record)) == kinds("data: " + json.dumps(record)) == kinds(json.dumps(record)) == [kind]
    assert kinds(json.dumps(dict(docker, log=header + "\n"))) == []


def test_a_brace_that_begins_no_record_hides_nothing():
    assert kinds("{\n  \"a\": 1\n}\n[    1.000000] BUG: ksy: after it") == ["bug_other"]


def test_dates_are_read_as_they_are_written():
    for line, wall, local in (
        ("1795412337.123456 host kernel: %s", "2026-11-23T05:38:57Z", None),
        ("Mon 2026-11-23 05:38:57 UTC host kernel: %s", "2026-11-23T05:38:57Z", None),
        ("Mon 2026-11-23 05:38:57 CET host kernel: %s", None, "2026 Nov 23 05:38:57"),
        ("2026 Nov  3 05:38:57 host kernel: %s", None, "2026 Nov  3 05:38:57"),
        ("f\xe9vr. 23 05:38:57 host kernel: %s", None, "Feb 23 05:38:57"),
        ("juil. 23 05:38:57 host kernel: %s", None, "Jul 23 05:38:57"),
        ("juin 23 05:38:57 host kernel: %s", None, "Jun 23 05:38:57"),
        ("12\u6708  3 05:38:57 host kernel: %s", None, "Dec  3 05:38:57"),
        ("ksy 23 05:38:57 host kernel: %s", None, None),
        ("[Mon Nov 23 05:38:57 2026] %s", None, "2026 Nov 23 05:38:57"),
        ("[Mon Nov 23 05:38:57 UTC 2026] %s", "2026-11-23T05:38:57Z", None),
        ("2026-11-23T05:38:57.1+01:00 stdout F [    7.500000] %s", "2026-11-23T04:38:57Z", None),
        ("192.0.2.7: kern: err: [2026-11-23T05:38:57.1Z]: %s", "2026-11-23T05:38:57Z", None),
    ):
        event = only(line % "nf_conntrack: table full, dropping packet")
        assert (event["wall"], event["local_date"]) == (wall, local), line


def test_the_host_of_a_line_is_read_and_hosts_do_not_mix():
    log = []
    for host in ("db7", "web2"):
        log.append("Nov 23 05:38:57 %s kernel: %s" % (host, HEADERS[0][1]))
    for host in ("db7", "web2"):
        log.append("Nov 23 05:38:57 %s kernel:  ksy_%s+0x1/0x2" % (host, host))
    assert [(event["host"], event["trace"]) for event in scan_lines(log)] == [("db7", ["ksy_db7"]), ("web2", ["ksy_web2"])]
    for line, host in (("Nov 23 05:38:57 192.0.2.7 [    1.000000] %s", "192.0.2.7"), ("[    1.000000] db7 kernel: %s", "db7"),
                       ("<4>1 2026-11-23T05:38:57Z db7 kernel - - - %s", "db7"), ("db7: kern: err: [2026-11-23T05:38:57Z]: %s", "db7"),
                       ("[    1.000000] %s", None), ("<4>1 2026-11-23T05:38:57Z - kernel - - - %s", None)):
        assert only(line % "nf_conntrack: table full, dropping packet")["host"] == host


@pytest.mark.parametrize("header", LINK_HEADERS)
def test_a_link_flaps_that_goes_down_three_times_in_ten_minutes(header):
    def at(*seconds):
        return kinds("\n".join("[%5d.000000] %s" % (second, header) for second in seconds))
    assert at(10, 20) == at(10, 300, 900) == at() == []
    assert at(10, 20, 30) == at(10, 300, 600, 1300) == ["link_flap"]
    assert at(10, 20, 30, 40) == ["link_flap", "link_flap"]
    others = [header.replace("eth2", "eth%d" % number).replace("en", "en%d" % number) for number in (1, 2, 3)]
    others = "\n".join("[%5d.000000] %s" % pair for pair in enumerate(others))
    assert kinds(others) == []
    assert kinds(header + "\n" + header + "\n" + header) == []


@pytest.mark.parametrize("prefix", ["BUG: ", "WARNING: CPU: 1 PID: 2 at a.c:3 ", "BUG: soft lockup - CPU#1 stuck for 22s! [x:1] ",
                                    "Kernel panic - not syncing"])
def test_the_prefix_of_a_packet_filter_is_no_report(prefix):
    line = "[    1.000000] %sIN=eth0 OUT= MAC=02:00 SRC=192.0.2.1 DST=192.0.2.2 LEN=40 PROTO=TCP DPT=23"
    assert kinds(line % prefix) == []


def test_a_transmit_timeout_below_its_warning_is_one():
    log = """\
[    9.000001] WARNING: CPU: 3 PID: 0 at net/sched/sch_generic.c:356 dev_watchdog+0x248/0x260
[    9.000002] NETDEV WATCHDOG: em7 (ksy): transmit queue 4 timed out
[    9.000003] CPU: 3 PID: 0 Comm: swapper/3 Not tainted 3.10.0-1160.el7.x86_64 #1
[    9.000004]  dev_watchdog+0x248/0x260"""
    event = only(log)
    assert (event["kind"], event["line"], event["signature"]) == ("netdev_watchdog", 1, "netdev_watchdog:ksy")
    assert event["details"] == {"device": "em7", "driver": "ksy", "queue": 4} and event["context"]["kernel"] == "3.10.0-1160.el7.x86_64"


def test_the_victim_is_the_one_that_was_killed():
    chosen = "[    9.000001] Memory cgroup out of memory: Kill process 812 (parent) score 950 or sacrifice child"
    killed = "[    9.000002] Killed process 813 (child) total-vm:20kB, anon-rss:8kB, file-rss:4kB"
    both = only(chosen + "\n" + killed + "\n[    9.000003] ksy: more")
    assert (both["details"]["victim"], both["details"]["victim_pid"], both["signature"]) == ("child", 813, "oom:child")
    assert "ksy: more" not in both["excerpt"] and only(chosen)["details"]["victim"] == "parent"
    assert kinds("\n".join([chosen, killed, chosen, killed])) == ["oom", "oom"]
    line = ("[    9.000001] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/app,task_memcg=/app/x,"
            "task=ksyd,pid=812,uid=0")
    alone = only(line)
    assert (alone["details"]["victim"], alone["details"]["victim_pid"], alone["details"]["memory_cgroup"]) == ("ksyd", 812, "/app")
    header = "[    9.000000] ksyd invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0\n"
    limit = "[    9.000000] memory: usage 51200kB, limit 51200kB, failcnt 100\n"
    last = "\n[    9.000002] Memory cgroup out of memory: Killed process 812 (ksyd) total-vm:20kB, anon-rss:8kB, file-rss:4kB"
    full = only(header + limit + line + last)
    assert full["title"] == "Out of memory: killed ksyd (pid 812), cgroup /app, limit 50 MiB"
    assert only(header.replace("ksyd", "other") + limit + line + last)["title"].endswith(", other asked for memory")


def test_what_xfs_finds_and_what_it_asks_for_is_one_report():
    log = ["[    9.000001] XFS (dm-3): Internal error i != 1 at line 481 of file fs/xfs/libxfs/xfs_alloc.c.  Caller xfs_free+0x1/0x3 [xfs]",
           "[    9.000002] XFS (dm-3): Corruption detected. Unmount and run xfs_repair",
           "[    9.000003] XFS (dm-4): Corruption detected. Unmount and run xfs_repair"]  # fmt: skip
    assert [event["details"]["device"] for event in scan_lines(log)] == ["dm-3", "dm-4"]


def test_two_messages_without_an_end_of_line_between():
    assert kinds("[    1.000000] testing ksyNMI watchdog: BUG: soft lockup - CPU#0 stuck for 23s! [ksy:1]") == ["soft_lockup"]
    assert kinds("[    1.000000] usb 1-1: Product: BUG: soft lockup - CPU#0 stuck for 23s! [ksy:1]") == []


@pytest.mark.parametrize("line,known", [
    ("node7 | 23/11/26 05.38.57 | %s", False), ("05:38:57.123 4711 E %s", False), ("Nov 23 05:38:57 host app[7]: %s", True),
    ("2026-11-23 05:38:57 ERROR app: %s", True), ("05:38:57 found '%s'", True), ("see %s", True), ("[    1.000000] see %s", True),
])  # fmt: skip
def test_sure_headers_behind_an_unknown_prefix_are_noted(line, known):
    scanner = Scanner()
    text = line % "watchdog: BUG: soft lockup - CPU#3 stuck for 23s! [ksyd:812]"
    assert [*scanner.feed(text), *scanner.finish()] == []
    assert (scanner.unknown_lines, scanner.unknown_example) == ((0, None) if known else (1, text))


def test_a_line_that_repeats_is_told_as_the_first_one_with_its_own_times():
    line = "Nov 23 05:38:%02d %s kernel: [%5d.000000] EXT4-fs (sda1): This should not happen!! Data will be lost"
    events = list(scan_lines([line % (second, host, second) for second, host in ((1, "a"), (2, "a"), (3, "b"))]))
    assert [(event["line"], event["timestamp_s"], event["local_date"][-2:], event["host"]) for event in events] == [
        (1, 1.0, "01", "a"), (2, 2.0, "02", "a"), (3, 3.0, "03", "b")]
    same = [{**event, "line": 0, "timestamp_s": 0, "local_date": "", "host": ""} for event in events]
    assert same[0] == same[1] == same[2]
    again = ["[    1.000000] Machine check events logged", "Machine check events logged"]
    assert [event["line"] for event in scan_lines(again)] == [1]
