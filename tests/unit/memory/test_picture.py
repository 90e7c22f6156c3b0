# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of memory of hosts that are made of files: adds up, counts nothing twice."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo, slabs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import picture

MIB = 2**20
HEADER = "slabinfo - version: 2.1\n# name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables\n"


def slab_line(name, objects, slabs_, pages):
    return f"{name} {objects} {objects} 64 64 {pages} : tunables 0 0 0 : slabdata {slabs_} {slabs_} 0\n"


@pytest.fixture
def root(tmp_path):
    """A host: write files, then read()."""

    class Root:
        path = tmp_path

        @staticmethod
        def file(path, text):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

        @staticmethod
        def meminfo(**kib):
            Root.file("proc/meminfo", "".join(f"{name}: {size} kB\n" for name, size in kib.items()))

        @staticmethod
        def read():
            return picture.Reading(str(tmp_path))

    return Root


def test_shared_memory_is_not_counted_as_page_cache_again(root):
    root.meminfo(MemTotal=1000, MemFree=300, Cached=400, Buffers=100, Shmem=150, AnonPages=200)
    parts = root.read().parts()
    assert parts["page_cache"] == 350 * 1024 and parts["shmem"] == 150 * 1024
    assert sum(parts.values()) == 1000 * 1024


@pytest.mark.parametrize(
    ("stack_areas", "vmalloc_kib"), [(100, 3400), (3, 5000)], ids=["mapped stacks", "a driver with few areas of that size"]
)
def test_stacks_of_tasks_on_vmalloc_are_counted_once(root, stack_areas, vmalloc_kib):
    root.meminfo(MemTotal=100000, KernelStack=1600, VmallocUsed=5000)
    lines = ["0x1-0x2 20480 any_name_of_a_kernel+0x1/0x2 pages=4 vmalloc N0=4\n"] * stack_areas
    lines += ["0x1-0x2 1048576 some_driver+0x1/0x2 [mod] pages=850 vmalloc N0=850\n"]
    root.file("proc/vmallocinfo", "".join(lines))
    reading = root.read()
    parts = {row["part"]: row["bytes"] for row in picture.picture(reading, reading, {}, str(root.path))["parts"]}
    assert parts["kernel_stacks"] == 1600 * 1024
    assert parts["vmalloc"] == vmalloc_kib * 1024


@pytest.mark.parametrize("counted", ["Hugetlb", "pools"])
def test_huge_pages_of_all_sizes_are_counted(root, counted):
    root.meminfo(MemTotal=10 * 2**20, **({"Hugetlb": 2 * 2**20 + 4096} if counted == "Hugetlb" else {}))
    for size, number in ((2048, 2), (2**20, 2)):
        for name, value in (("nr_hugepages", number), ("free_hugepages", 1), ("resv_hugepages", 0), ("nr_overcommit_hugepages", 0)):
            root.file(f"sys/kernel/mm/hugepages/hugepages-{size}kB/{name}", str(value))
    assert root.read().parts()["hugetlb"] == (2 * 2**20 + 4096) * 1024


def test_views_of_pages_of_other_parts_are_in_no_part(root):
    root.meminfo(MemTotal=1000, MemFree=1000, NFS_Unstable=50, Unevictable=70, Mlocked=60, Mapped=40, Dirty=30, AnonHugePages=20)
    reading = root.read()
    assert sum(reading.parts().values()) == 1000 * 1024
    rows = {row["part"]: row["within"] for row in picture.picture(reading, reading, {}, str(root.path))["within"]}
    assert rows == {"mlocked": "anonymous, page_cache, shmem", "huge_anonymous": "anonymous", "dirty": "page_cache"}


def test_a_balloon_takes_no_more_than_is_missing(root):
    root.meminfo(MemTotal=1000, MemFree=600, Balloon=900)
    assert root.read().parts()["balloon"] == 400 * 1024
    root.meminfo(MemTotal=1000, MemFree=1000, Balloon=900)
    assert root.read().parts()["balloon"] == 0


def test_pages_that_are_in_no_counter_are_a_row_of_their_own(root):
    root.meminfo(MemTotal=1000, MemFree=600)
    first = root.read()
    root.meminfo(MemTotal=1000, MemFree=500)
    found = picture.picture(first, root.read(), {}, str(root.path))
    assert found["unaccounted_bytes"] == 500 * 1024 and found["unaccounted_delta_bytes"] == 100 * 1024
    assert found["total_bytes"] == sum(row["bytes"] for row in found["parts"]) + found["unaccounted_bytes"]


def test_free_pages_that_cpus_keep_are_counted(root):
    root.meminfo(MemTotal=1000, MemFree=600)
    lists = "".join(f"    cpu: {cpu}\n              count: {count}\n" for cpu, count in enumerate((40, 60)))
    root.file("proc/zoneinfo", "Node 0, zone Normal\n  pagesets\n" + lists)
    assert root.read().parts()["cpu_free_lists"] == 100 * meminfo.PAGE_BYTES


def test_caches_are_named_with_those_that_share_them(root):
    root.meminfo(MemTotal=10**6, SUnreclaim=4000, SReclaimable=8000)
    root.file("proc/slabinfo", HEADER + slab_line("mnt_cache", 9000, 900, 1) + slab_line("dentry", 9000, 1900, 1))
    root.file("sys/kernel/slab/:0000384/reclaim_account", "0\n")
    root.file("sys/kernel/slab/dentry/reclaim_account", "1\n")
    for name in ("mnt_cache", "posix_timers_cache"):
        (root.path / "sys/kernel/slab" / name).symlink_to(":0000384")
    reading = root.read()
    rows = {row["part"]: row["owners"] for row in picture.picture(reading, reading, {}, str(root.path))["parts"]}
    assert rows["slab_unreclaimable"] == [{"name": "mnt_cache (shared by posix_timers_cache)", "bytes": 900 * meminfo.PAGE_BYTES}]
    assert rows["slab_reclaimable"] == [{"name": "dentry", "bytes": 1900 * meminfo.PAGE_BYTES}]
    merged = slabs.aliases(str(root.path))
    assert merged == {"mnt_cache": ["mnt_cache", "posix_timers_cache"], "posix_timers_cache": ["mnt_cache", "posix_timers_cache"]}


def test_only_three_owners_are_named_largest_first(root):
    root.meminfo(MemTotal=1000, AnonPages=500)
    reading = root.read()
    owners = {"anonymous": [(f"p[{size}]", size * MIB) for size in (3, 9, 0, 5, 7)]}
    (row,) = [row for row in picture.picture(reading, reading, owners, str(root.path))["parts"] if row["part"] == "anonymous"]
    assert [one["name"] for one in row["owners"]] == ["p[9]", "p[7]", "p[5]"]


def test_a_host_that_shows_nothing_is_all_zeros(root):
    reading = root.read()
    assert picture.picture(reading, reading, {}, str(root.path))["total_bytes"] == 0
