# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says beside its header: fields that an operator asks for first, as the kernel's format strings print them."""

import json

import fastjsonschema
import pytest
from hypothesis import given, strategies as st

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.details import Details
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import scan_lines


def one(text):
    [event] = scan_lines(["[%5d.000001] %s" % (100, line) for line in text.split("\n")])
    return event


OOM = """\
ksyd invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
CPU: 1 PID: 812 Comm: ksyd Tainted: G        W  O      6.1.0-18-amd64 #1  Debian 6.1.76-1
Hardware name: Acme Rack 9/X11, BIOS 2.0b 07/27/2017
Call Trace:
 dump_stack_lvl+0x44/0x5c
 oom_kill_process.cold+0xb/0x10
memory: usage 51200kB, limit 51200kB, failcnt 77
Node 0 DMA32 free:44592kB boost:0kB min:44640kB low:55800kB high:66960kB
Mem-Info:
 free:12929 slab_reclaimable:1635 slab_unreclaimable:1919
 mapped:34 shmem:70
524158 pages RAM
Free swap  = 0kB
Total swap = 975868kB
Tasks state (memory values in pages):
[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name
[    812]     0   812    64960     9494   102400        0             0 ksyd
[    900]     0   900      960      594    40960        0          -998 small one
[    813]     0   813   364960    12494   102400        0             0 big
oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/ksy.slice,task_memcg=/ksy.slice/a,task=big,pid=813,uid=0
Memory cgroup out of memory: Killed process 813 (big) total-vm:1459840kB, anon-rss:49976kB\
, file-rss:0kB, shmem-rss:4kB, UID:0 oom_score_adj:0"""


def test_out_of_memory():
    event = one(OOM)
    assert event["context"] == {
        "cpu": 1,
        "pid": 812,
        "command": "ksyd",
        "taint": ["W", "O"],
        "kernel": "6.1.0-18-amd64",
        "hardware": "Acme Rack 9/X11, BIOS 2.0b 07/27/2017",
    }
    assert event["details"] == {
        "asked_by": "ksyd",
        "gfp_mask": "0xcc0(GFP_KERNEL)",
        "order": 0,
        "constraint": "MEMCG",
        "memory_cgroup": "/ksy.slice",
        "victim_cgroup": "/ksy.slice/a",
        "usage_bytes": 51200 * 1024,
        "limit_bytes": 51200 * 1024,
        "failures": 77,
        "victim": "big",
        "victim_pid": 813,
        "victim_total_vm_bytes": 1459840 * 1024,
        "victim_anon_rss_bytes": 49976 * 1024,
        "victim_file_rss_bytes": 0,
        "victim_shmem_rss_bytes": 4096,
        "victim_score": 0,
        "free_pages": 12929,
        "slab_unreclaimable_pages": 1919,
        "ram_pages": 524158,
        "free_swap_bytes": 0,
        "total_swap_bytes": 975868 * 1024,
        "zones": [{"zone": "0 DMA32", "free_bytes": 44592 * 1024, "min_bytes": 44640 * 1024}],
        "largest_tasks": [
            {"command": "big", "pid": 813, "rss_pages": 12494},
            {"command": "ksyd", "pid": 812, "rss_pages": 9494},
            {"command": "small one", "pid": 900, "rss_pages": 594},
        ],
    }


def test_the_victim_is_found_behind_any_number_of_tasks():
    head, tail = OOM.split("[    812]")
    many = "".join("[%7d]     0 %5d      960      594    40960        0             0 task\n" % (pid, pid) for pid in range(1000, 4000))
    event = one(head + many + "[    812]" + tail)
    assert event["details"]["victim"] == "big" and len(event["details"]["largest_tasks"]) == 5


RCU = """\
rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:
rcu: \t3-....: (1 GPs behind) idle=f7a/1/0x4000000000000000 softirq=11/12 fqs=7
rcu: \t5-...!: (4 ticks this GP) idle=f7a/1/0x4000000000000000 softirq=11/12 fqs=7
\t(detected by 1, t=5252 jiffies, g=4561, q=78)
NMI backtrace for cpu 3
CPU: 3 UID: 0 PID: 77 Comm: kworker/3:1 Not tainted 6.12.1 #1
rcu: rcu_preempt kthread starved for 5200 jiffies! g4561 f0x0 RCU_GP_WAIT_FQS(5) ->state=0x402 ->cpu=0"""

LOCKS = """\
WARNING: possible circular locking dependency detected
ksyd/812 is trying to acquire lock:
ffff888000000000 (&ksy->lock){+.+.}-{3:3}, at: ksy_second+0x1/0x10 [ksy]
but task is already holding lock:
ffff888000000001 (&(&ksy->list)->rlock){+.+.}, at: [<ffffffff81000000>] ksy_first.isra.0+0x1/0x10"""

HUNG = """\
INFO: task jbd2/sda1-8:231 blocked for more than 120 seconds.
      Not tainted 6.1.0 #1
Call Trace:
 __schedule+0x1/0x10
 schedule+0x1/0x10
 io_schedule+0x1/0x10
 bit_wait_io+0x1/0x10
 jbd2_journal_commit_transaction+0x1/0x10
INFO: task jbd2/sda1-8:231 is blocked on a mutex likely owned by task ksyd:812."""

MCE = """\
mce: [Hardware Error]: CPU 8: Machine Check Exception: 5 Bank 7: be00000000800400
mce: [Hardware Error]: TSC 0 ADDR 1ff00abc0 MISC 86"""


@pytest.mark.parametrize(
    "text,details",
    [
        (RCU, {"detected_by": 1, "waited_jiffies": 5252, "starved_jiffies": 5200, "stalled_cpus": [3, 5], "looked_at_cpus": [3]}),
        (LOCKS, {"locks": ["&ksy->lock at ksy_second", "&(&ksy->list)->rlock at ksy_first"]}),
        (
            HUNG,
            {
                "task": "jbd2/sda1-8",
                "pid": 231,
                "waited_s": 120,
                "waits_for": "bit_wait_io",
                "lock": "mutex",
                "owner": "ksyd",
                "owner_pid": 812,
            },
        ),
        (MCE, {"cpu": 8, "bank": 7, "status": "be00000000800400", "address": "1ff00abc0", "corrected": False}),
        (
            "mce: [Hardware Error]: CPU 8: Machine Check: 0 Bank 7: 8c00004000010091",
            {"cpu": 8, "bank": 7, "status": "8c00004000010091", "corrected": True},
        ),
        (
            "EDAC MC0: 1 CE memory read error on CPU_SrcID#0_MC#0_Chan#1_DIMM#0 (channel:1 slot:0)",
            {"controller": "MC0", "errors": 1, "severity": "CE", "dimm": "CPU_SrcID#0_MC#0_Chan#1_DIMM#0", "corrected": True},
        ),
        (
            "pcieport 0000:00:1c.0: AER: Uncorrected (Fatal) error received: 0000:01:00.0",
            {"severity": "Uncorrected (Fatal)", "device": "0000:01:00.0", "corrected": False},
        ),
        (
            "pcieport 0000:00:1c.0: AER: Corrected error message received from 0000:01:00.0",
            {"severity": "Corrected", "device": "0000:01:00.0", "corrected": True},
        ),
        (
            "kswapd0: page allocation failure: order:4, mode:0x40cc0(GFP_KERNEL|__GFP_COMP)\nNode 0 Normal free:11kB min:12kB low:13kB",
            {
                "asked_by": "kswapd0",
                "order": 4,
                "gfp_mask": "0x40cc0(GFP_KERNEL|__GFP_COMP)",
                "zones": [{"zone": "0 Normal", "free_bytes": 11 * 1024, "min_bytes": 12 * 1024}],
            },
        ),
        (
            "watchdog: BUG: soft lockup - CPU#3 stuck for 23s! [kworker/3:1:412]",
            {"cpu": 3, "stuck_s": 23, "task": "kworker/3:1", "pid": 412},
        ),
        ("watchdog: CPU5: Watchdog detected hard LOCKUP on cpu 6", {"cpu": 6}),
        ("BUG: workqueue lockup - pool cpus=2 node=0 flags=0x0 nice=0 stuck for 34s!", {"cpus": "2", "stuck_s": 34}),
        (
            "blk_update_request: I/O error, dev sdb, sector 2048 op 0x0:(READ) flags 0x0",
            {"device": "sdb", "sector": 2048, "operation": "READ"},
        ),
        ("critical medium error, dev sdb, sector 77", {"device": "sdb", "sector": 77, "error": "medium"}),
        ("Buffer I/O error on dev sdb1, logical block 12, async page read", {"device": "sdb1", "block": 12}),
        (
            "EXT4-fs error (device sda1): ext4_lookup:1855: inode #2: comm ls: deleted inode referenced: 12",
            {"file_system": "EXT4", "device": "sda1", "function": "ext4_lookup", "inode": 2},
        ),
        ("XFS (dm-0): Metadata I/O Error (0x1) detected at xfs_buf_ioend+0x1a0/0x200 [xfs]", {"file_system": "XFS", "device": "dm-0"}),
        ("EXT4-fs (sda1): Remounting filesystem read-only", {"file_system": "EXT4", "device": "sda1"}),
        ("md/raid1:md0: Disk failure on sdb1, disabling device.", {"level": "raid1", "array": "md0", "device": "sdb1"}),
        (
            "ksyd[1234]: segfault at 8 ip 000055d0c0ffee00 sp 00007ffd00000000 error 4 in libksy.so.2[55d0c0ffe000+1000]",
            {"program": "ksyd", "pid": 1234, "address": "8", "ip": "000055d0c0ffee00", "error": "4", "object": "libksy.so.2"},
        ),
        (
            "e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 1: transmit queue 0 timed out 5000 ms",
            {"driver": "e1000", "device": "eth0", "queue": 0, "waited_ms": 5000},
        ),
        ("NETDEV WATCHDOG: eth0 (e1000): transmit queue 2 timed out", {"driver": "e1000", "device": "eth0", "queue": 2}),
        ("nf_conntrack: nf_conntrack: table full, dropping packet", {"table": "nf_conntrack"}),
        ("neighbour: arp_cache: neighbor table overflow!", {"table": "arp_cache"}),
        ("TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:80. Sending cookies.", {"port": 80}),
        (
            "BUG: KASAN: slab-use-after-free in ksy_read+0x1c/0x40\nRead of size 8 at addr ffff888100000000 by task cat/812",
            {"error": "slab-use-after-free", "access": "Read", "access_bytes": 8},
        ),
        ("NVRM: Xid (PCI:0000:c1:00): 48, pid=8812, name=ksytrain, DBE (double bit error)",
         {"device": "0000:c1:00", "xid": 48, "pid": 8812, "command": "ksytrain", "meaning": "uncorrectable (double-bit) memory error"}),
        ("NVRM: Xid (PCI:0000:c1:00): 999, ksy", {"device": "0000:c1:00", "xid": 999}),
        ("mce: CPU3: Package temperature is above threshold, cpu clock is throttled (total events = 5120)",
         {"cpu": 3, "sensor": "Package", "events": 5120}),
        (" session2: session recovery timed out after 120 secs", {"session": "session2", "waited_s": 120}),
        ("device-mapper: multipath: 253:3: Failing path 8:32.", {"device": "253:3", "path": "8:32"}),
        ("device-mapper: thin: 253:9: switching pool to out-of-data-space (error IO) mode",
         {"device": "253:9", "mode": "out-of-data-space (error IO)"}),
        ("e1000e 0000:00:19.0 eno1: Detected Hardware Unit Hang:", {"driver": "e1000e", "device": "eno1"}),
        ("cgroup: fork rejected by pids controller in /system.slice/app.service", {"cgroup": "/system.slice/app.service"}),
        ("x86/split lock detection: #AC: qemu/4244 took a split_lock trap at address: 0x7f00",
         {"command": "qemu", "pid": 4244, "address": "0x7f00"}),
        ("i915 0000:00:02.0: [drm] GPU HANG: ecode 12:1:85dffffb, in ksygame [812]",
         {"driver": "i915", "device": "0000:00:02.0", "code": "12:1:85dffffb", "command": "ksygame", "pid": 812}),
        ("md/raid1:md3: sdc1: unrecoverable I/O read error for block 40960", {"level": "raid1", "array": "md3", "block": 40960}),
        ("kernel BUG at drivers/ksy/core.c:77!", {"file": "drivers/ksy/core.c", "line": 77}),
    ],
)
def test_details(text, details):
    assert one(text)["details"] == details


@pytest.mark.parametrize(
    "text,context",
    [
        (
            "WARNING: CPU: 1 PID: 812 at drivers/ksy/core.c:40 ksy_init+0x10/0x20 [ksy]\nModules linked in: ext4 acme(PO) ksy(OE+)",
            {"cpu": 1, "pid": 812, "modules": ["ksy", "acme"]},
        ),
        ("WARNING: drivers/ksy/core.c:40 at ksy_init+0x10/0x20, CPU#3: insmod/812", {"cpu": 3, "pid": 812, "command": "insmod"}),
        (
            "kernel BUG at drivers/ksy/core.c:77!\nPid: 7, comm: two words Not tainted (2.6.32-431.el6.x86_64 #1)",
            {"pid": 7, "command": "two words", "taint": [], "kernel": "2.6.32-431.el6.x86_64"},
        ),
    ],
)
def test_context(text, context):
    assert one(text)["context"] == context


def test_a_caller_tells_the_cpu_or_the_task():
    events = scan_lines(["[    1.000001][   T812] kernel BUG at a/b.c:1!", "[   99.000001][     C3] kernel BUG at a/c.c:1!"])
    assert [event["context"] for event in events] == [{"pid": 812}, {"cpu": 3}]


_parts = st.sampled_from(
    OOM.split("\n") + RCU.split("\n") + LOCKS.split("\n") + HUNG.split("\n") + ["9" * 40, "CPU: ", "PID: ", " Comm: ", "\0", "\x1b[1m"]
)
_KINDS = ["oom", "rcu_stall", "lockdep", "mce", "edac", "pcie_aer", "segfault", "page_alloc_failure", "hung_task", "warning"]


@given(st.sampled_from(_KINDS), st.lists(st.lists(_parts | st.text(max_size=20), max_size=4).map("".join), min_size=1, max_size=20))
def test_whatever_is_read_fits_the_schema(repo_schema, kind, lines):
    details = Details(kind, lines[0], None)
    for line in lines[1:]:
        details.line(line)
    repo_schema({"context": details.context(), "details": details.result(["schedule"])})


@pytest.fixture(scope="module")
def repo_schema(repo):
    schema = json.loads((repo / "plugins/plugin_utils/schema/os_exceptions-1.json").read_text())
    event = schema["properties"]["events"]["items"]["properties"]
    return fastjsonschema.compile(
        {"type": "object", "properties": {name: event[name] for name in ("context", "details")}, "definitions": schema["definitions"]}
    )
