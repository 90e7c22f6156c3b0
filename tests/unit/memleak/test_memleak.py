# SPDX-License-Identifier: GPL-3.0-or-later
"""Leak or churn, from cohorts whose truth is known; and the kernel's own files."""

import os
import random
import struct

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf, kallsyms, kcore, stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import (
    allocators,
    areas,
    bpf,
    sites,
    suspects,
    tracing,
    trend,
    triage,
    verdict,
)
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.survivors import Cohort

S = 10**9
WINDOW_S = 20
CAP = 1024
STACK = ("__kmalloc+0x1", "acme_rx_refill+0x61 [acme_nic]", "net_rx_action+0x2a1")


def cohort(allocated_s, size=1024, weight=1, old_freed=0):
    made = Cohort(0, WINDOW_S * S, 2 * S)
    made.survivors = [(int(at_s * S), size, weight) for at_s in allocated_s]
    made.old_freed_bytes = old_freed * size
    return made


def steadily(number):
    return [WINDOW_S * (place + 0.5) / number for place in range(number)]


def evaluated(made, stack=STACK, **changes):
    return verdict.Case(stack, made, WINDOW_S, **changes).evaluate()


def test_a_steady_leak_is_a_leak_with_its_rate():
    made = cohort(steadily(400))
    said, confidence, reasons = evaluated(made)
    assert said == "leak" and confidence > 0.95 and "grew all through" in reasons[0]
    rate, least, most = made.growth()
    assert rate == pytest.approx(20 * 1024, rel=0.01) and least <= 20 * 1024 <= most < rate * 1.01
    assert made.ages() == [50] * 8


def test_what_a_task_has_one_of_is_held_by_the_tasks_that_there_are_more_of():
    stack = ("kernel_clone+0x94", "__do_sys_clone+0x65", "do_syscall_64+0x71")
    did = (allocators.SYSTEM_CALL, "clone")
    assert verdict.holder_of(stack, 31, 507904, {"tasks": 26}, did=did) == ("there are as many more tasks", 0.3)
    words, most = verdict.holder_of(stack, 64, 2**20, {"tasks": 26}, did=did)
    assert words == "there are 26 more tasks, which may hold it" and most == 0.6
    assert verdict.holder_of(stack, 2000, 2**25, {"tasks": 26}, did=did) == ("", 1.0)
    assert verdict.holder_of(stack, 8, 131072, {"tasks": 0}, did=did) == ("", 1.0)


def test_pages_of_the_page_cache_are_no_leak_while_it_grows():
    """Metadata of a file system that a package manager or updatedb reads; xfs and others are modules."""
    pages, stack = cohort(steadily(400), size=4096), ("__filemap_get_folio+0x200", "__getblk_slow+0x7d", "ext4_bread+0xe")
    said, _confidence, reasons = evaluated(pages, stack, counter=verdict.CONFIRMED, kind="page", cached=400 * 4096)
    assert said == "clean" and "page cache" in reasons[0]
    assert evaluated(pages, stack, counter=verdict.CONFIRMED, kind="page", cached=40 * 4096)[0] == "leak"
    assert stacks.is_page_cache(stack[0]) and stacks.is_page_cache("page_cache_ra_unbounded+0x10")
    assert not stacks.is_page_cache("ext4_bread+0xe") and not stacks.is_page_cache("__filemap_get_folio+0x1 [mine]")


def test_few_objects_of_a_lone_frame_are_not_suspected():
    """Who asked the core kernel for them is not known: one program that starts while it is measured may hold them."""
    lone, few, many = ("vm_area_dup+0x1e",), cohort(steadily(500), size=192), cohort(steadily(2000), size=192)
    said, confidence, reasons = evaluated(few, lone, counter=verdict.CONFIRMED, whole=False)
    assert said == "clean" and confidence >= verdict.SUSPECT and "for whom" in reasons[0]
    assert evaluated(few, lone, counter=verdict.CONFIRMED, whole=True)[0] == "suspect"
    assert evaluated(many, lone, counter=verdict.CONFIRMED, whole=False)[0] == "leak"
    assert evaluated(few, ("acme_rx_refill+0x61 [acme_nic]",), counter=verdict.CONFIRMED, whole=False)[0] == "suspect"


def test_a_leak_of_which_fewer_were_followed_at_the_end_is_one_still():
    made = cohort([])
    for number, at_s in enumerate(steadily(6400)):
        weight = 16 if at_s < 5 else 64
        if number % weight == 0:
            made.survivors.append((int(at_s * S), 1024, weight))
    said, confidence, reasons = evaluated(made)
    assert said == "leak" and confidence > 0.9 and len(reasons) == 1
    assert made.growth()[0] == pytest.approx(320 * 1024, rel=0.05)


@pytest.mark.parametrize("began_s", [4, 8, 11.5])
def test_a_leak_that_began_within_the_window_is_one(began_s):
    said, confidence, reasons = evaluated(cohort([at_s for at_s in steadily(800) if at_s >= began_s]))
    assert said == "leak" and confidence > 0.95, reasons
    assert "from %.1f s on" % began_s in reasons[0]


@pytest.mark.parametrize("began_s", [0, 4, 8, 11.5])
def test_the_rate_is_that_of_the_whole_window_whenever_it_began(began_s):
    rate, least, most = cohort([at_s for at_s in steadily(800) if at_s >= began_s]).growth()
    truth = 40 * 1024 * (WINDOW_S - began_s) / WINDOW_S
    assert rate == pytest.approx(truth, rel=0.01) and least <= truth <= most


def test_what_began_too_late_is_no_leak_yet():
    assert evaluated(cohort([at_s for at_s in steadily(800) if at_s >= 15]))[0] != "leak"


@pytest.mark.parametrize("period_s", [1.5, 2.5, 4])
@pytest.mark.parametrize("each", [8, 100])
def test_a_leak_that_comes_in_jerks_is_one(period_s, each):
    times_s = [at_s for number in range(int(WINDOW_S / period_s)) for at_s in [(number + 0.6) * period_s] * each]
    said, confidence, reasons = evaluated(cohort(times_s, size=8192))
    assert said == "leak", (confidence, reasons)


@pytest.mark.parametrize("phase", [0.1, 0.5, 0.9])
def test_the_interval_of_a_leak_that_comes_in_jerks_holds_a_burst_more_or_less(phase):
    times_s = [(number + phase) * 2.5 for number in range(8) for _object in range(100)]
    _rate, least, most = cohort(times_s).growth()
    assert least <= 40 * 1024 <= most


def test_three_bursts_that_stay_may_be_a_leak():
    said, confidence, reasons = evaluated(cohort([at_s for at_s in (2, 9, 16) for _object in range(200)]))
    assert said == "suspect" and "it comes in bursts" in reasons, (confidence, reasons)


@pytest.mark.parametrize(
    "times_s",
    [
        [at_s for at_s in (1, 9, 17) for _object in range(100)],  # two or three times are no rhythm
        [at_s for at_s in (1, 2, 4, 9, 17) for _object in range(100)],  # rarer and rarer
        [at_s for number, at_s in enumerate((1, 5, 9, 13, 17)) for _object in range(200 >> 2 * number)],  # less and less
    ],
)
def test_some_bursts_are_no_leak(times_s):
    assert evaluated(cohort(times_s))[0] != "leak"


@pytest.mark.parametrize(
    ("made", "changes"),
    [
        (cohort([place / 1000 for place in range(400)]), {}),
        (cohort([5 + place / 1000 for place in range(400)]), {}),
        (cohort([18.5 + place / 400 for place in range(400)]), {}),
        (cohort(steadily(400), old_freed=4000), {}),
        (cohort(steadily(4)), {}),
        (cohort(steadily(400), size=16), {}),
        (cohort([]), {}),
        (cohort(steadily(400)), {"counter": verdict.CONTRADICTED}),
        (cohort(steadily(400)), {"kind": "page", "stack": ["__alloc_pages+0x1", "pte_alloc_one+0x1c"], "counter": verdict.NOISY}),
        (cohort(steadily(400)), {"stack": ["kmem_cache_alloc_lru+0x1", "alloc_inode+0x1c"], "reclaimable": True, "fs_objects": 300}),
        (cohort(steadily(400)), {"stack": ["__kmalloc_node+0x1", "alloc_slab_obj_exts+0x58", "allocate_slab+0xe3", "acme+0x1 [acme]"]}),
    ],
    ids=["burst", "later burst", "churn", "old die", "few", "small", "none", "counter", "page table", "inode", "slabs"],
)
def test_what_is_no_leak(made, changes):
    assert evaluated(made, **changes)[0] == "clean"


@pytest.mark.parametrize(
    "function", ["myfs_alloc_inode", "p9_track", "vma_cookie_new", "swap_tables", "refill_ring", "tlb_add", "mt_table"]
)
@pytest.mark.parametrize("reclaimable", [False, True])
def test_no_name_excuses_a_function_of_a_module(function, reclaimable):
    stack = ["__kmalloc+0x1", function + "+0x1c [acme]", "do_syscall_64+0x1"]
    assert stacks.culprit(stack) == (function, "acme")
    held = {"process_bytes": 10**9, "inodes": 10**6, "files": 10**6, "tasks": 10**4}
    holder = verdict.holder_of(stack, 400, 400 * 1024, held, [allocator()])
    known = {"counter": verdict.CONFIRMED, "reclaimable": reclaimable, "fs_objects": 10**6, "holder": holder}
    found = evaluated(cohort(steadily(400)), stack, file_systems={"ext4", "proc"}, **known)
    assert found[0] == "leak", found
    # A file system's cache that grows while files are cached may be just that.
    found = evaluated(cohort(steadily(400)), stack, file_systems={"acme", "proc"}, **known)
    assert found[0] == ("suspect" if reclaimable else "leak"), found


@pytest.mark.parametrize(
    "layers",
    [
        ["__alloc_pages+0x1", "__dma_direct_alloc_pages.isra.0+0x1", "dma_direct_alloc+0x1", "dma_alloc_attrs+0x1"],
        ["__kmalloc_node_track_caller+0x1", "devm_kmalloc+0x1"],
        ["mempool_alloc+0x1", "bio_alloc_bioset+0x1"],
        ["kmem_cache_alloc_node+0x1", "__alloc_skb+0x1", "__netdev_alloc_skb+0x1"],
        ["kmem_cache_alloc+0x1", "alloc_empty_file+0x1", "alloc_file+0x1", "alloc_file_pseudo+0x1", "__anon_inode_getfile+0x1"],
        ["__alloc_pages+0x1", "__page_pool_alloc_pages_slow+0x1", "page_pool_alloc_pages+0x1"],
    ],
)
def test_the_driver_is_named_behind_those_that_allocate_for_it(layers):
    assert stacks.culprit([*layers, "acme_open+0x7 [acme]", "call_timer_fn+0x1"]) == ("acme_open", "acme")


def test_what_an_interrupt_interrupted_has_no_part_in_it():
    softirq = ["__kmalloc+0x1", "acme_tick+0x7 [acme]", "call_timer_fn+0x2a", "__do_softirq+0xf0"]
    assert stacks.within_interrupt([*softirq, "irq_exit_rcu+0x1", "asm_sysvec_apic_timer_interrupt+0x1", "vfs_read+0x1"]) == softirq
    assert stacks.within_interrupt(["f+0x1", "do_softirq+0x1 [acme]", "g+0x2"])[-1] == "g+0x2"


def test_by_which_way_the_kernel_came_to_a_timer_makes_no_other_site():
    own = ["__kmalloc+0x1", "acme_tick+0x7 [acme]", "call_timer_fn+0x2a"]
    assert stacks.within_dispatch([*own, "__run_timer_base.part.0+0x9", "run_timer_softirq+0x8a", "handle_softirqs+0x1"]) == own
    assert stacks.within_dispatch([*own, "__run_timer_base.part.0+0x9", "timer_expire_remote+0x4a", "tmigr_handle_remote+0x1"]) == own
    assert stacks.within_dispatch(["f+0x1", "process_one_work+0x1 [acme]", "g+0x2"])[-1] == "g+0x2"


@pytest.mark.parametrize(
    "changes",
    [
        {"holder": ("there are 400 more open files, which may hold it", 0.6)},
        {"traced": False},
        {"named": False},
        {"counter": verdict.SHARED},
        {"counter": verdict.FLAT},
        {"counter": verdict.NOISY, "stack": ["__kmalloc+0x1", "load_msg+0x41"]},
        {"counter": verdict.NOISY, "frees_seen": False},  # of a module
        {"counter": verdict.SHARED, "frees_seen": False, "stack": ["__kmalloc+0x1", "load_msg+0x41"]},
    ],
)
def test_what_is_no_more_than_suspect(changes):
    assert evaluated(cohort(steadily(400)), **changes)[0] == "suspect"


@pytest.mark.parametrize(
    ("counter", "said"),
    [(verdict.CONFIRMED, "leak"), (verdict.NOISY, "clean"), (verdict.FLAT, "clean"), (verdict.CONTRADICTED, "clean"), (None, "leak")],
)
def test_where_bulk_frees_are_not_seen_the_counter_must_confirm_what_the_core_kernel_holds(counter, said):
    stack = ["kmem_cache_alloc+0x1", "mas_alloc_nodes+0x41", "__split_vma+0x9f"]
    assert evaluated(cohort(steadily(400)), stack=stack, counter=counter, frees_seen=False)[0] == said


def test_a_short_window_has_no_verdict():
    assert verdict.Case(STACK, cohort(steadily(400)), 5.0).evaluate()[0] == "unknown"


def test_the_interval_of_a_sampled_leak_holds_the_truth_as_often_as_it_says():
    """2000 objects of which one in 16 is followed, a thousand times over; 95 % less four sigma of such a count is 92.2 %."""
    draw, inside = random.Random(4), 0
    for _again in range(1000):
        rate, least, most = cohort([at_s for at_s in steadily(2000) if draw.random() < 1 / 16], weight=16).growth()
        assert least <= rate <= most
        inside += least <= 100 * 1024 <= most
    assert inside >= 922


CALL = ["do_syscall_64+0x1", "entry_SYSCALL_64_after_hwframe+0x1"]


def allocator(comm="app", pid=42, share=1.0, **changes):
    row = {
        "pid": pid,
        "processes": 1,
        "comm": comm,
        "cgroup": "/app.service",
        "unit": "app.service",
        "ended": False,
        "kernel_thread": False,
    }
    return {**row, "share": share, **changes}


def test_memory_that_one_process_allocated_by_its_system_calls_is_at_most_suspect():
    stack = ["kmem_cache_alloc+0x1", "any_name+0x4", "__x64_sys_timer_create+0x1", *CALL]
    words, most = verdict.holder_of(stack, 400, 102400, {}, [allocator(share=0.9), allocator("other", 7, 0.1)])
    assert (words, most) == ("it was allocated for app[42] by timer_create(), which may hold it", 0.6)
    many = [allocator(pid=pid, share=0.25) for pid in range(4)]  # workers of one service
    assert verdict.holder_of(stack, 400, 102400, {}, many)[1] == 0.6
    strangers = [allocator(comm, pid, 0.5, cgroup=comm) for pid, comm in enumerate("ab")]
    assert verdict.holder_of(stack, 400, 102400, {}, strangers) == ("", 1.0)
    assert verdict.holder_of(stack, 400, 102400, {}, strangers, charged=1.0)[1] == 0.6
    assert verdict.holder_of(stack, 400, 102400, {}, [{**row, "ended": True} for row in strangers], charged=1.0) == ("", 1.0)
    assert verdict.holder_of(stack, 400, 102400, {}, [allocator("kworker/0:1", kernel_thread=True)]) == ("", 1.0)
    assert verdict.holder_of(["__kmalloc+0x1", "acme_ioctl+0x1 [acme]", *CALL], 400, 102400, {"files": 400}, [allocator()]) == ("", 1.0)
    softirq = ["kmem_cache_alloc+0x1", "any_name+0x4", "__do_softirq+0x1"]
    assert verdict.holder_of(softirq, 400, 102400, {}, [allocator()]) == ("", 1.0)


def test_memory_that_grows_with_what_the_kernel_counts():
    softirq = ["kmem_cache_alloc+0x1", "any_name+0x4", "__do_softirq+0x1"]
    assert verdict.holder_of(softirq, 400, 102400, {"sockets": 410})[1] == 0.6
    assert verdict.holder_of(softirq, 400, 102400, {"sockets": 900, "files": 100}) == ("", 1.0)
    assert verdict.holder_of(softirq, 4, 1024, {"sockets": 4}) == ("", 1.0)
    assert verdict.holder_of(softirq, 400, 102400, {"socket_bytes": 10**5})[1] == 0.6
    assert verdict.holder_of(softirq, 400, 102400, {"socket_bytes": 10**4}) == ("", 1.0)
    fault = ["alloc_pages+0x1", "pte_alloc_one+0x1", "exc_page_fault+0x1", "asm_exc_page_fault+0x1"]
    assert verdict.holder_of(fault, 400, 1638400, {"process_bytes": 10**6})[1] < verdict.SUSPECT
    assert verdict.holder_of(fault, 400, 1638400, {"process_bytes": 10**5}) == ("", 1.0)
    mkdir = ["__kmalloc+0x1", "any_name+0x1", "__x64_sys_mkdir+0x1", *CALL]
    assert verdict.holder_of(mkdir, 400, 102400, {"cgroups": 100})[1] == 0.6
    assert verdict.holder_of(mkdir, 400, 102400, {"cgroups": 10, "modules": 400}) == ("", 1.0)
    inode = ["kmem_cache_alloc_lru+0x1", "ext4_alloc_inode+0x1 [ext4]", "alloc_inode+0x1", "__x64_sys_openat+0x1", *CALL]
    assert verdict.holder_of(inode, 400, 102400, {"inodes": 300})[1] < verdict.SUSPECT
    assert verdict.holder_of(inode, 400, 102400, {"inodes": 30}) == ("", 1.0)


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        (["f+0x1", "__x64_sys_timer_create+0x5", *CALL], ("system_call", "timer_create")),
        (["f+0x1", "__do_sys_bpf+0x5", "__x64_sys_bpf+0x1", *CALL], ("system_call", "bpf")),
        (["f+0x1", "__se_sys_keyctl.isra.0+0x5", "x64_sys_call+0x9", *CALL], ("system_call", "keyctl")),
        (["f+0x1", "__ia32_compat_sys_ioctl+0x5", "do_int80_syscall_32+0x1"], ("system_call", "ioctl")),
        (["f+0x1", "vfs_write+0x5", "ksys_write+0x1", *CALL], ("system_call", "write")),
        (["f+0x1", "do_epoll_wait+0x5", *CALL], ("system_call", None)),
        (["f+0x1", "__x64_sys_read+0x5 [acme]"], ("unknown", None)),
        (["f+0x1", "handle_mm_fault+0x1", "do_user_addr_fault+0x1", "exc_page_fault+0x1", "asm_exc_page_fault+0x1"], ("exception", None)),
        (["f+0x1", "__sys_sendto+0x1", "__do_softirq+0x5"], ("interrupt", None)),
        (["f+0x1", "asm_sysvec_apic_timer_interrupt+0x5"], ("interrupt", None)),
        (["f+0x1", "process_one_work+0x1", "worker_thread+0x1", "kthread+0x1", "ret_from_fork+0x1"], ("kernel_thread", None)),
        (["f+0x1", "tcp_v4_rcv+0x1", "__napi_poll+0x1"], ("interrupt", None)),
        (["f+0x1", "rcu_do_batch+0x1"], ("interrupt", None)),
        (["f+0x1", "process_one_work+0x1"], ("kernel_thread", None)),
        (["f+0x1", "load_msg+0x1", "do_msgsnd+0x1", *CALL], ("system_call", "msgsnd")),
        (["f+0x1", "do_mmap+0x1", "vm_mmap_pgoff+0x1", *CALL], ("system_call", "mmap_pgoff")),
        (["f+0x1", "do_other+0x1", *CALL], ("system_call", None)),
        (["f+0x1", "call_timer_fn+0x1"], ("interrupt", None)),
        (["f+0x1"] * 24, ("unknown", None)),
        ([], ("unknown", None)),
    ],
)
def test_what_the_kernel_allocated_for(stack, expected):
    assert allocators.context(stack, {"msgsnd", "mmap_pgoff"}) == expected


@pytest.mark.parametrize(
    ("expression", "flag"),
    [
        ('{( unsigned long)(( gfp_t)((((1UL))) << (22))), "__GFP_ACCOUNT"}', 1 << 22),
        ('{(unsigned long)((( gfp_t)0x400000u)), "__GFP_ACCOUNT"}', 0x400000),
        ('{(unsigned long)((( gfp_t)0x100000u)), "__GFP_ACCOUNT"}', 0x100000),
        ('{(unsigned long)(( gfp_t)___GFP_ACCOUNT), "__GFP_ACCOUNT"}', 0),
        ('{(unsigned long)((( gfp_t)0x40u)), "__GFP_IO"}', 0),
    ],
)
def test_the_flag_of_accounted_memory_is_the_kernels_own(expression, flag):
    text = (
        'print fmt: "%s", __print_flags(REC->gfp_flags, "|", {(unsigned long)((( gfp_t)0x80u)), "__GFP_FS"}, ' + expression + ', {1, "x"})'
    )
    assert allocators.account_flag(text) == flag


def test_processes_at_the_end_of_the_window(tmp_path):
    def process(pid, state, flags, comm):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / str(pid) / "stat").write_text(f"{pid} ({comm}) {state} 1 1 1 0 -1 {flags} 0 0")
        (tmp_path / str(pid) / "cgroup").write_text("4:memory:/m\n1:name=systemd:/s\n0::/system.slice/app.service\n")

    process(10, "S", 4194560, "my) app (x")
    process(11, "Z", 4194560, "dead")
    process(12, "I", 2129984, "kworker/0:1")
    counted = {(10, "thread"): 31, (11, "dead"): 20, (12, "kworker/0:1"): 20, (13, "ls"): 15, (14, "ls"): 15}
    rows = allocators.Processes(str(tmp_path)).describe(counted)
    found = [(row["comm"], row["pid"], row["processes"], row["ended"], row["kernel_thread"], row["unit"], row["share"]) for row in rows]
    assert found == [
        ("my) app (x", 10, 1, False, False, "app.service", 0.307),
        ("ls", None, 2, True, False, None, 0.297),
        ("dead", 11, 1, True, False, None, 0.198),
        ("kworker/0:1", 12, 1, False, True, "app.service", 0.198),
    ]
    assert allocators.single(rows) is None


def test_cgroups_of_both_versions():
    assert cgroups.parse("0::/system.slice/app.service\n") == "/system.slice/app.service"
    assert cgroups.parse("5:cpu,cpuacct:/c\n4:memory:/m\n1:name=systemd:/s\n0::/\n") == "/m"
    assert cgroups.parse("1:name=systemd:/s/a.scope\n") == "/s/a.scope" and cgroups.parse("0::/\n") == "/" and cgroups.parse("") is None
    assert cgroups.unit("/user.slice/user-0.slice/session-2.scope") == "session-2.scope"
    assert cgroups.unit("/docker/0123") is None and cgroups.unit(None) is None


def counter(bytes_per_s, noise=0.0, start_s=0.0, steps=24):
    """Readings of a counter that grows from start_s on; noise alternates, as what comes and goes does."""
    draw = random.Random(7)
    times = [WINDOW_S * number / (steps - 1) for number in range(steps)]
    return [(at_s, 1e8 + max(0.0, at_s - start_s) * bytes_per_s + draw.uniform(-noise, noise)) for at_s in times]


@pytest.mark.parametrize(
    ("points", "slack", "said"),
    [
        (counter(100e3), 65536, verdict.CONFIRMED),
        (counter(100e3, noise=100e3), 65536, verdict.CONFIRMED),
        (counter(100e3, start_s=1.5), 65536, verdict.CONFIRMED),
        (counter(300e3), 65536, verdict.CONFIRMED),
        (counter(0), 65536, verdict.CONTRADICTED),
        (counter(5e3, noise=50e3), 65536, verdict.CONTRADICTED),
        (counter(-100e3), 65536, verdict.CONTRADICTED),
        (counter(0), 10**6, verdict.FLAT),
        (counter(0, noise=5e6), 65536, verdict.NOISY),
        (counter(100e3)[:4], 65536, None),
    ],
)
def test_a_rate_is_compared_with_the_counter_of_its_memory(points, slack, said):
    """100 kB a second by its survivors: a full ring and what lives for longer than the window leave the counter as it was."""
    assert verdict.compare(points, 100e3, slack)[0] == said


def test_a_slope_is_not_moved_by_one_jump():
    points = [(at_s, 1000.0 * at_s) for at_s in range(20)]
    assert trend.theil_sen(points) == (1000.0, 1000.0, 1000.0)
    jumped = [(at_s, 5e6 if at_s > 9 else 0.0) for at_s in range(20)]
    slope, least, most = trend.theil_sen(jumped)
    assert least <= 0 or trend.steps_up(jumped) == 0
    assert least <= slope <= most
    assert trend.theil_sen(points[:2]) == (0.0, 0.0, 0.0)


def test_the_interval_of_a_count():
    """Exact intervals of a Poisson mean, from the usual tables."""
    for count, least, most in ((1, 0.025, 5.57), (10, 4.80, 18.39), (100, 81.4, 121.6)):
        assert trend.poisson_interval(count) == pytest.approx((least, most), abs=0.05)
    assert trend.poisson_interval(0)[0] == 0


VMALLOCINFO = """\
0x000000004b2f3c1a-0x00000000d1e7a2b3   20480 load_module+0xd61/0x2270 pages=4 vmalloc N0=4
0x000000008a7b6c5d-0x0000000012345678    8192 acpi_os_map_iomem+0x1d9/0x1f0 phys=0x00000000bffe0000 ioremap
0x0000000099999999-0x00000000aaaaaaaa   20480 ksysak_leak_deep+0x20/0x40 [test_vmalloc_leak] pages=4 vmalloc N0=4
0x00000000bbbbbbbb-0x00000000cccccccc    8192 unpurged vm_area
"""


def test_areas_that_vmalloc_made_are_read():
    assert areas.parse(VMALLOCINFO) == [
        ("000000004b2f3c1a", "load_module+0xd61", 16384),
        ("0000000099999999", "ksysak_leak_deep+0x20 [test_vmalloc_leak]", 16384),
    ]


@pytest.mark.parametrize("hidden", [False, True], ids=["addresses", "all zeros"])
def test_areas_from_before_are_not_blamed_and_freed_ones_are_counted(hidden):
    found = areas.Areas(2 * S)
    names = ["0" * 16] * 30 if hidden else ["%016x" % number for number in range(1, 31)]
    for second in range(21):
        found.observe(second * S, [(names[place], "f+0x1", 4096) for place in range(5 + second)])
    found.observe(21 * S, [(names[place], "f+0x1", 4096) for place in range(23)])
    made = found.cohorts(0, 21 * S, 2 * S)["f+0x1"]
    assert [size // 4096 for _at, size in found.series("f+0x1")][:2] == [5, 6]
    assert len(made.survivors) == 18 and (made.allocations, made.frees) == (20, 2)


def group(site, allocated, freed, size=100, **changes):
    pad = [0] * (bpf.SLOTS - len(allocated))
    values = {"cache": 0, "stack": 0, "type": bpf.SLAB, "allocations": sum(allocated), "frees": sum(freed), "old_freed_bytes": 0}
    values.update(
        dropped=0, mask=0, allocated=allocated + pad, freed=freed + pad, allocated_bytes=[size * count for count in allocated + pad]
    )
    return sites.Group(site=site, **{**values, "freed_bytes": [size * count for count in freed + pad], **changes})


def test_call_sites_whose_survivors_pile_up_are_chosen():
    def piled(site, survivors, **changes):
        return group(site, [16 * count + 80 for count in survivors], [80] * len(survivors), **changes)

    groups = [piled(1, [2, 1, 2, 1, 2, 9, 9]), piled(2, [0, 0, 0, 0, 0, 9, 9]), piled(3, [20, 0, 0, 0, 0, 9, 9])]
    chosen, mask = suspects.select_suspects(groups, 7, 2, 7.0, 2, {})
    assert (set(chosen), mask) == ({1}, 0)
    chosen, mask = suspects.select_suspects([piled(1, [2, 1, 2, 1, 2, 9, 9], allocations=10**6)], 7, 2, 7.0, 2, {})
    assert set(chosen) == {1} and 10**6 / 7 / (mask + 1) <= suspects.STACKS_PER_S * 2


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, True), ({"site": 0x1000}, False), ({"site": 0x1009}, False), ({"type": bpf.SLAB}, False), ({"freed": [9] * 7}, False)],
)
def test_pieces_are_followed_where_blocks_of_pages_pile_up(changes, expected):
    values = {"site": 0x1002, "allocated": [9, 9, 9, 9, 9, 9, 9], "freed": [1, 2, 1, 2, 1, 0, 0], "type": bpf.PAGE, **changes}
    made = group(values.pop("site"), values.pop("allocated"), values.pop("freed"), size=16384, **values)
    assert suspects.are_blocks_that_grow([made], 7, 2) is expected
    assert suspects.are_blocks_that_grow([made], 4, 2) is False


def followed(times_s, cap=CAP, mask=0, size=512, site=1):
    """What the BPF program keeps of objects that are allocated at these times: (group, objects), as maps hold them at the end."""
    draw, kept, common, number, missed = random.Random(3), [], 0, 0, 0
    for at_s in times_s:
        chosen = draw.getrandbits(24)
        if chosen & mask:
            continue
        if number >= cap:
            common, number = (common | mask) * 2 + 1, number // 2
        if chosen & common:
            missed += 1
            continue
        number += 1
        kept.append(sites.Object(site, 0, 9, bpf.SLAB, int(at_s * S), size, mask | common, chosen, "acme"))
    return group(site, [], [], mask=common, stack=9), kept


@pytest.mark.parametrize("window_s", [20, 80, 600])
@pytest.mark.parametrize(
    ("bytes_per_s", "size", "mask"), [(1024, 64, 0), (10**6, 512, 0), (10**6, 512, 15), (10**7, 4096, 3), (10**7, 512, 15)]
)
def test_a_leak_of_any_rate_is_found_with_its_rate_and_takes_no_more_room_than_its_share(bytes_per_s, size, mask, window_s):
    number = int(bytes_per_s / size * window_s)
    stride = max(1, number // 200000)  # as many as the test has time for: a coarser first mask chooses alike
    thin = (1 << (stride - 1).bit_length()) - 1 if stride > 1 else 0
    made, objects = followed((window_s * (place + 0.5) / number for place in range(0, number, 1 + thin)), mask=mask, size=size)
    assert sum(1 for one in objects if not one.chosen & made.mask) <= CAP and len(objects) <= 12 * CAP
    sorter = sites.Sites(lambda _stack, _site: STACK, {}.get, 0, window_s * S, 2 * S, {})
    (site,) = sorter.fill([made], objects)
    rate, least, most = (value * (1 + thin) for value in site.cohort.growth())
    assert rate == pytest.approx(bytes_per_s, rel=0.15)
    assert least * 0.97 <= bytes_per_s <= most * 1.03
    said, confidence, _reasons = verdict.Case(STACK, site.cohort, window_s, verdict.CONFIRMED).evaluate()
    if bytes_per_s * (window_s - 2) > verdict.LEAK_BYTES:
        assert said == "leak" and confidence > 0.9
    else:
        assert said != "leak"


@pytest.mark.parametrize("share", [0.1, 0.4, 0.9])
def test_a_leak_of_whose_survivors_a_share_was_read_has_its_rate_and_an_interval_that_holds_it(share):
    draw = random.Random(5)
    made, objects = followed(20 * (place + 0.5) / 4000 for place in range(4000))
    objects = [one for one in objects if draw.random() < share]
    (site,) = sites.Sites(lambda _stack, _site: STACK, {}.get, 0, 20 * S, 2 * S, {}).fill([made], objects, share)
    rate, least, most = site.cohort.growth()
    assert rate == pytest.approx(200 * 512, rel=0.25) and least <= 200 * 512 <= most
    assert site.largest_weight >= 1 / share and all(isinstance(number, int) for number in site.cohort.ages())
    assert verdict.Case(STACK, site.cohort, 20, verdict.CONFIRMED).evaluate()[0] == "leak"


def test_objects_that_were_left_out_when_the_mask_rose_do_not_count():
    made = group(1, [8], [0], mask=3, stack=9)
    objects = [sites.Object(1, 0, 9, bpf.SLAB, S, 512, mask, chosen, "") for mask, chosen in ((0, 0), (0, 1), (1, 4), (15, 16), (3, 2))]
    (site,) = sites.Sites(lambda _stack, _site: STACK, {}.get, 0, 20 * S, 2 * S, {}).fill([made], objects)
    assert [weight for _at, _size, weight in site.cohort.survivors] == [4, 4, 16]


def test_free_blocks_of_all_zones_are_added_up():
    text = "Node 0, zone      DMA      1      0      2\nNode 0, zone    DMA32      3      1      0      5\n"
    assert triage.parse_buddyinfo(text) == [4 * 4096, 8192, 2 * 16384, 5 * 32768]
    assert triage.parse_buddyinfo("") == []


def btf_of(name, members):
    """BTF with one struct. members: [(name, bits)]."""
    strings = b"\0other\0" + name.encode() + b"\0"
    rows = b""
    for member, bits in members:
        rows += struct.pack("<3I", len(strings), 1, bits)
        strings += member.encode() + b"\0"
    types = struct.pack("<4I", 1, 1 << 24, 4, 32) + struct.pack("<3I", 7, 4 << 24 | len(members), 64) + rows
    return struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings


def test_offsets_of_a_struct():
    data = btf_of("kmem_cache", [("size", 256), ("name", 832)])
    assert btf.find(data, "kmem_cache", ("name", "size")) == {"name": 104, "size": 32}
    assert btf.find(data, "kmem_cache", ("nope",)) is None
    assert btf.find(data, "other", ("name",)) is None
    assert btf.find(data, "cache", ("name",)) is None
    assert all(btf.find(data[:cut], "kmem_cache", ("name", "size")) is None for cut in range(60))


def test_values_of_an_enum():
    strings = b"\0_slab_flag_bits\0_SLAB_A\0_SLAB_ACCOUNT\0"
    rows = struct.pack("<Ii", strings.index(b"_SLAB_A\0"), 3) + struct.pack("<Ii", strings.index(b"_SLAB_ACCOUNT"), 17)
    types = struct.pack("<3I", 1, 6 << 24 | 2, 4) + rows
    data = struct.pack("<HBBI4I", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(strings)) + types + strings
    found = btf.find(data, "_slab_flag_bits", ("_SLAB_ACCOUNT",), btf._values)
    assert found == {"_SLAB_ACCOUNT": 17} and allocators.slab_account(found) == 1 << 17
    assert btf.find(data, "_slab_flag_bits", ("_SLAB_ACCOUNT",)) is None and allocators.slab_account(None) == 0x4000000
    assert all(btf.find(data[:cut], "_slab_flag_bits", ("_SLAB_ACCOUNT",), btf._values) is None for cut in range(60))


def test_names_of_a_module_outlive_it(tmp_path, monkeypatch):
    modules, symbols = tmp_path / "modules", tmp_path / "kallsyms"
    monkeypatch.setattr(kallsyms, "_MODULES", str(modules))
    monkeypatch.setattr(kallsyms, "_KALLSYMS", str(symbols))
    kernel = "ffffffff81000000 T _text\nffffffff81000100 t kmem_cache_free_bulk\n"
    modules.write_text("acme 16384 0 - Live 0xffffffffc0000000\n")
    symbols.write_text(kernel + "ffffffffc0000000 t acme_init\t[acme]\nffffffffc0000100 t acme_leak\t[acme]\n")
    found = kallsyms.ModuleSymbols()
    found.refresh()
    assert found.has("kmem_cache_free_bulk") and not found.has("free_bulk") and not found.hidden
    assert found.name(0xFFFFFFFFC000011C) == "acme_leak+0x1c [acme]"
    assert found.name(0xFFFFFFFF81000104) is None and not found.beyond_kernel(0xFFFFFFFF81000104)
    # Behind the module, as its data, and where BPF programs have no names: no function of it.
    symbols.write_text(symbols.read_text() + "ffffffffc0002000 b acme_state\t[acme]\n")
    modules.write_text("acme 16384 0 - Live 0xffffffffc0000000\nzz 4096 0 - Live 0xffffffffd0000000\n")
    found.refresh()
    assert found.name(0xFFFFFFFFC0001FFF) == "acme_leak+0x1eff [acme]"
    assert found.name(0xFFFFFFFFC0002004) is found.name(0xFFFFFFFFC0004000) is None
    assert found.beyond_kernel(0xFFFFFFFFC0004000)
    modules.write_text("")
    symbols.write_text(kernel)
    found.refresh()
    assert found.name(0xFFFFFFFFC000011C) is None
    symbols.write_text("0000000000000000 T _text\n0000000000000000 t kmem_cache_free_bulk\n")
    modules.write_text("other 1 0 - Live 0x0\n")
    found.refresh()
    assert found.hidden


@pytest.fixture
def kernel_files(tmp_path, monkeypatch):
    """/proc/modules and /proc/kallsyms, with a module acme."""
    modules, symbols = tmp_path / "modules", tmp_path / "kallsyms"
    monkeypatch.setattr(kallsyms, "_MODULES", str(modules))
    monkeypatch.setattr(kallsyms, "_KALLSYMS", str(symbols))
    modules.write_text("acme 16384 0 - Live 0xffffffffc0000000\n")
    symbols.write_text("ffffffff81000000 T _text\nffffffffc0000100 t acme_leak\t[acme]\nffffffffc0003000 b acme_state\t[acme]\n")
    return modules, symbols


@pytest.mark.usefixtures("kernel_files")
def test_a_program_without_a_name_is_no_part_of_the_stack():
    """As on Linux 5.10 with net.core.bpf_jit_kallsyms off: its frame lies behind the last symbol of some module."""
    known = kallsyms.ModuleSymbols()
    known.refresh()
    kernel = {1: b"bpf_trace_run5+0x3e [kernel]", 2: b"__kmalloc+0x1b4 [kernel]"}

    class Bpf:
        @staticmethod
        def ksym(address, **_options):
            return kernel.get(address, b"acme_state+0x1 [acme]")

    symbols = stacks.Symbols(Bpf, known)
    addresses = [0xFFFFFFFFC0012345, 1, 2, 0xFFFFFFFFC0000110, 0xFFFFFFFFC0054321, 0]
    names = symbols.stack(addresses)
    assert names == ["__kmalloc+0x1b4", "acme_leak+0x10 [acme]", "0xffffffffc0054321"]
    assert stacks.culprit(names) == ("acme_leak", "acme")
    assert symbols.own_stack(addresses) == names[:2]
    assert symbols.own_stack([0xFFFFFFFFC0012345]) == [] and stacks.culprit(["0xffffffffc0012345"]) == (None, None)


def test_a_module_that_is_gone_keeps_its_names_and_hidden_symbols_are_not_asked_for(kernel_files):
    modules, symbols = kernel_files
    known = kallsyms.ModuleSymbols()
    known.refresh()
    names = stacks.Symbols(None, known)
    names.remember([0xFFFFFFFFC0000110])
    modules.write_text("")
    symbols.write_text("ffffffff81000000 T _text\n")
    known.refresh()
    assert names.name(0xFFFFFFFFC0000110) == "acme_leak+0x10 [acme]"
    modules.write_text("acme 16384 0 - Live 0x0000000000000000\n")
    symbols.write_text("0000000000000000 T _text\n0000000000000000 t acme_leak\t[acme]\n")
    known.refresh()
    assert known.hidden and names.name(0xFFFFFFFF81000004) == "0xffffffff81000004"


CALLER, ACME, ALLOCATOR, THUNK = 0xFFFFFFFFC0000200, 0xFFFFFFFFC0000100, 0xFFFFFFFF81000300, 0xFFFFFFFF81000500


def call(address, target):
    """The call of `target` that returns to `address`."""
    return b"\xe8" + struct.pack("<i", target - address)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (call(CALLER, ALLOCATOR), ["__kmalloc+0x44", "acme_open+0x20 [acme]"]),
        (call(CALLER, ACME), ["__kmalloc+0x44", "acme_wrap+0x0 [acme]", "acme_open+0x20 [acme]"]),
        (call(CALLER, ACME + 4), ["__kmalloc+0x44", "acme_open+0x20 [acme]"]),  # within a function: no call of it
        (call(CALLER, THUNK), ["__kmalloc+0x44", "acme_open+0x20 [acme]"]),
        (b"\x90\x90\x90\xff\xd0", ["__kmalloc+0x44", "acme_open+0x20 [acme]"]),  # call *%rax
        (b"\xe8", ["__kmalloc+0x44", "acme_open+0x20 [acme]"]),  # the file ends
        (None, ["__kmalloc+0x44", "acme_open+0x20 [acme]"]),
    ],
    ids=["the allocator", "one that jumped", "midst", "thunk", "indirect", "cut", "no file"],
)
def test_a_function_that_jumped_to_the_allocator_is_in_the_stack(kernel_files, tmp_path, monkeypatch, code, expected):
    _modules, symbols = kernel_files
    symbols.write_text(
        "ffffffff81000000 T _text\nffffffffc0000100 t acme_wrap\t[acme]\nffffffffc00001e0 t acme_open\t[acme]\n"
        "ffffffffc0003000 b acme_state\t[acme]\n"
    )
    monkeypatch.setattr(kcore, "_KCORE", str(tmp_path / "kcore"))
    if code is not None:
        header = kcore._HEADER.pack(b"\x7fELF", 4, 62, 1, 0, 64, 0, 0, 64, 56, 2, 0, 0, 0)
        note = kcore._SEGMENT.pack(4, 0, 0, 0, 0, 0, 0, 0)
        segment = kcore._SEGMENT.pack(1, 7, 176, CALLER - 5, 0, 5, 5, 4096)
        (tmp_path / "kcore").write_bytes(header + note + segment + code)
    kernel = {ALLOCATOR: b"__kmalloc+0x0", ALLOCATOR + 0x44: b"__kmalloc+0x44", THUNK: b"__x86_indirect_thunk_rax+0x0"}

    class Bpf:
        @staticmethod
        def ksym(address, **_options):
            return kernel[address] + b" [kernel]"

    known = kallsyms.ModuleSymbols()
    known.refresh()
    read = kcore.Code()
    found = stacks.Symbols(Bpf, known, read)
    found.remember([CALLER])
    assert found.own_stack([ALLOCATOR + 0x44, CALLER, 0]) == expected
    assert found.call_site(CALLER) == expected[1:]
    files = len(os.listdir("/proc/self/fd"))
    read.close()
    assert len(os.listdir("/proc/self/fd")) == files - (code is not None) and read.called(CALLER) is None


@pytest.mark.parametrize(
    ("numbers", "room", "cap"),
    [([458] * 100, 39321, 393), ([10, 20, 4096], 1000, 970), ([10, 20, 30], 1000, 30), ([], 1000, 0), ([500, 500], 10, 5)],
)
def test_a_cap_leaves_each_group_its_share_of_the_table(numbers, room, cap):
    assert suspects.fair_cap(numbers, room) == cap
    assert sum(min(number, cap) for number in numbers) <= room


@pytest.mark.parametrize(
    ("first_s", "last_s", "part"),
    [(0, 0, (0, 80)), (32, 79, (0, 32)), (32, 33, (33, 80)), (1, 1, (1, 80)), (1, 80, (0, 1)), (79, 90, (0, 79))],
)
def test_the_longer_part_of_the_window_is_evaluated_in_which_nothing_was_dropped(first_s, last_s, part):
    begin, end = tracing.evaluated_part(100 * S, 180 * S, first_s and (100 + first_s) * S, last_s and (100 + last_s) * S)
    assert ((begin - 100 * S) // S, (end - 100 * S) // S) == part


ALLOCINFO = """\
allocinfo - version: 1.0
#     <size>  <calls> <tag info>
           0        0 init/main.c:1314 func:do_initcalls
     4194304     1024 drivers/net/acme.c:77 [acme_nic] func:acme_rx_refill
  1234567890   301408 mm/slub.c:2425 func:alloc_slab_page
"""


def test_lines_of_code_and_what_they_hold():
    assert triage.parse_allocinfo(ALLOCINFO) == {
        ("init/main.c:1314", "do_initcalls", None): 0,
        ("drivers/net/acme.c:77", "acme_rx_refill", "acme_nic"): 4194304,
        ("mm/slub.c:2425", "alloc_slab_page", None): 1234567890,
    }


@pytest.mark.parametrize("functions", [bpf.bulk_allocations(), bpf.bulk_pages("alloc_pages_bulk_noprof", "ctx->r8")])
def test_a_bulk_allocation_has_the_caller_and_the_stack_of_its_entry(functions):
    """The probe of the return puts itself in the place of the caller; who is attached last is called first."""
    ways = [function.at.partition(":")[0] for function in functions]
    assert ways.index("kretprobe") < ways.index("kprobe")
    (text,) = (function.text for function in functions if function.text)
    entry, _name, rest = text.partition("_done(struct pt_regs *ctx)")
    assert "call.stack = stack_of(ctx)" in entry and "stack_of(" not in rest and "batch->stack" in rest


@pytest.mark.parametrize(("early", "weights"), [(0.0, (1, 32)), (0.04, (2, 32)), (0.5, (4, 64))])
def test_the_interval_holds_the_truth_where_weights_are_mixed(early, weights):
    """A site that was followed well at first and little later: few objects of large weight decide how sure the sum is."""
    chance, held = random.Random(5), 0
    for _trial in range(400):
        cohort = Cohort(0, 80 * 10**9, 2 * 10**9)
        for number in range(8000):
            weight = weights[number >= 8000 * early]
            if chance.random() * weight < 1:
                cohort.survivors.append((number * 10**7, 128, weight))
        _rate, least, most = cohort.growth()
        held += least <= 100 * 128 <= most
    assert held >= 0.92 * 400
