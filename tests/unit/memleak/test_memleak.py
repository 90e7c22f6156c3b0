# SPDX-License-Identifier: GPL-3.0-or-later
"""Leak or churn, from cohorts whose truth is known; and the kernel's own files."""

import random
import struct

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf, kallsyms, stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import areas, bpf, places, suspects, trend, triage, verdict
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.survivors import Cohort

S = 10**9
WINDOW_S = 20
STACK = ("__kmalloc+0x1", "acme_rx_refill+0x61 [acme_nic]", "net_rx_action+0x2a1")


def cohort(born_s, size=1024, weight=1, old_frees=0):
    made = Cohort(0, WINDOW_S * S, 2 * S)
    made.alive = [(int(at_s * S), size, weight) for at_s in born_s]
    made.old_frees = old_frees
    return made


def steadily(number):
    return [WINDOW_S * (place + 0.5) / number for place in range(number)]


def judged(made, stack=STACK, **changes):
    return verdict.Case(stack, made, WINDOW_S, **changes).judge()


def test_a_steady_leak_is_a_leak_with_its_rate():
    made = cohort(steadily(400))
    said, confidence, reasons = judged(made)
    assert said == "leak" and confidence > 0.95 and "grew all through" in reasons[0]
    rate, least, most = made.growth()
    assert rate == pytest.approx(20 * 1024, rel=0.01) and least <= 20 * 1024 <= most < rate * 1.01
    assert made.ages() == [50] * 8


def test_a_leak_of_which_fewer_were_followed_at_the_end_is_one_still():
    made = cohort([])
    for number, at_s in enumerate(steadily(6400)):
        weight = 16 if at_s < 5 else 64
        if number % weight == 0:
            made.alive.append((int(at_s * S), 1024, weight))
    said, confidence, reasons = judged(made)
    assert said == "leak" and confidence > 0.9 and len(reasons) == 1
    assert made.growth()[0] == pytest.approx(320 * 1024, rel=0.05)


@pytest.mark.parametrize(
    ("made", "changes"),
    [
        (cohort([place / 1000 for place in range(400)]), {}),
        (cohort([5 + place / 1000 for place in range(400)]), {}),
        (cohort([18.5 + place / 400 for place in range(400)]), {}),
        (cohort(steadily(400), old_frees=4000), {}),
        (cohort(steadily(4)), {}),
        (cohort(steadily(400), size=16), {}),
        (cohort([]), {}),
        (cohort(steadily(400)), {"reclaimable": True}),
        (cohort(steadily(400)), {"corroborated": False}),
        (cohort(steadily(400)), {"stack": ["__alloc_pages+0x1", "pte_alloc_one+0x1c"]}),
        (cohort(steadily(400)), {"stack": ["kmem_cache_alloc_lru+0x1", "ext4_alloc_inode+0x1c [ext4]"]}),
        (cohort(steadily(400)), {"stack": ["__kmalloc_node+0x1", "alloc_slab_obj_exts+0x58", "allocate_slab+0xe3", "acme+0x1 [acme]"]}),
    ],
    ids=["burst", "later burst", "churn", "old die", "few", "small", "none", "shrinks", "counter", "page table", "inode", "slabs"],
)
def test_what_is_no_leak(made, changes):
    assert judged(made, **changes)[0] == "clean"


@pytest.mark.parametrize("changes", [{"holder": "400 more open files"}, {"traced": False}, {"named": False}])
def test_what_is_no_more_than_suspect(changes):
    assert judged(cohort(steadily(400)), **changes)[0] == "suspect"


def test_a_short_window_has_no_verdict():
    assert verdict.Case(STACK, cohort(steadily(400)), 5.0).judge()[0] == "unknown"


def test_the_interval_of_a_sampled_leak_holds_the_truth_as_often_as_it_says():
    """2000 objects of which one in 16 is followed, a thousand times over; 95 % less four sigma of such a count is 92.2 %."""
    draw, inside = random.Random(4), 0
    for _again in range(1000):
        rate, least, most = cohort([at_s for at_s in steadily(2000) if draw.random() < 1 / 16], weight=16).growth()
        assert least <= rate <= most
        inside += least <= 100 * 1024 <= most
    assert inside >= 922


def test_memory_that_somebody_holds():
    stack = ["kmem_cache_alloc+0x1", "alloc_empty_file+0x4", "path_openat+0x1"]
    assert verdict.holder_of(stack, 400, {"files": 300}) == "300 more open files"
    assert verdict.holder_of(stack, 400, {"files": 20, "tasks": 900}) == ""
    assert verdict.holder_of(STACK, 400, {"files": 300}) == ""


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
    assert len(made.alive) == 18 and (made.allocations, made.frees) == (20, 2)


def test_call_sites_whose_survivors_pile_up_are_chosen():
    def group(site, survivors, allocations=100):
        born = [count + 5 for count in survivors] + [0] * (bpf.SLOTS - len(survivors))
        died = [5] * len(survivors) + [0] * (bpf.SLOTS - len(survivors))
        sizes = [100 * count for count in born]
        return places.Group(site, 0, -1, bpf.SLAB, allocations, 0, 0, sizes, [0] * bpf.SLOTS, born, died)

    groups = [group(1, [2, 1, 2, 1, 2, 9, 9]), group(2, [0, 0, 0, 0, 0, 9, 9]), group(3, [20, 0, 0, 0, 0, 9, 9])]
    chosen, mask = suspects.look(groups, 7, 2, 7.0, 2, {})
    assert (set(chosen), mask) == ({1}, 0)
    chosen, mask = suspects.look([group(1, [2, 1, 2, 1, 2, 9, 9], 10**6)], 7, 2, 7.0, 2, {})
    assert set(chosen) == {1} and 10**6 / 7 / (mask + 1) <= suspects.STACKS_PER_S * 2


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

    names = stacks.Symbols(Bpf, known).stack([0xFFFFFFFFC0012345, 1, 2, 0xFFFFFFFFC0000110, 0xFFFFFFFFC0054321, 0])
    assert names == ["__kmalloc+0x1b4", "acme_leak+0x10 [acme]", "0xffffffffc0054321"]
    assert stacks.culprit(names) == ("acme_leak", "acme")


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
