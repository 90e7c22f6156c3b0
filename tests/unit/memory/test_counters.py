# SPDX-License-Identifier: GPL-3.0-or-later
"""The readings that each scan keeps for the trend."""

import json
import os

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs, slabs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import counters

SLABINFO = """slabinfo - version: 2.1
# name <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> ... : slabdata <active_slabs> <num_slabs> ...
net_namespace         12     14   4288    7    8 : tunables    0    0    0 : slabdata      2      2      0
posix_timers_cache 90000  90090    384   21    2 : tunables    0    0    0 : slabdata   4290   4290      0
kmalloc-64             0      0     64   64    1 : tunables    0    0    0 : slabdata      0      0      0
broken                 1
"""


def test_slab_caches_count_whole_slabs():
    caches, counts = counters.slab_caches(slabs.parse(SLABINFO))
    page = os.sysconf("SC_PAGE_SIZE")
    assert caches == {"net_namespace": 16 * page, "posix_timers_cache": 8580 * page, "kmalloc-64": 0}
    assert counts == {"net_namespaces": 12}
    assert counters.slab_caches(slabs.parse("")) == ({}, {})


def test_sockstat():
    found = procfs.parse_sockstat("sockets: used 27\nTCP: inuse 6 orphan 1 tw 8 alloc 6 mem 33\nFRAG: inuse 0 memory x\n\n")
    assert found["sockets"] == {"used": 27}
    assert (found["TCP"]["orphan"], found["TCP"]["mem"]) == (1, 33)
    assert found["FRAG"] == {"inuse": 0}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/proc/cgroups": "#subsys_name hierarchy num_cgroups enabled\nmemory\t4\t46\t1\n"}, {"cgroups": 46}),
        (
            {"/proc/cgroups": "memory\t0\t46\t1\n", "/sys/fs/cgroup/cgroup.stat": "nr_descendants 40\nnr_dying_descendants 7\n"},
            {"cgroups": 47, "cgroups_dying": 7},
        ),
        ({"/sys/fs/cgroup/unified/cgroup.stat": "nr_descendants 3\n"}, {"cgroups": 3, "cgroups_dying": 0}),
        ({}, {}),
    ],
    ids=["v1", "v2", "hybrid without a memory controller in v1", "nothing is readable"],
)
def test_cgroups_of_each_version(monkeypatch, files, expected):
    monkeypatch.setattr(counters, "read_text", lambda path: files.get(path, ""))
    assert counters.cgroups() == expected


def test_merged_caches_get_their_other_names(tmp_path):
    folder = tmp_path / "sys/kernel/slab"
    folder.mkdir(parents=True)
    for alias, target in (("mnt_cache", ":A-384"), ("posix_timers_cache", ":A-384"), ("skbuff", ":0000256"), ("lonely", ":1")):
        (folder / alias).symlink_to(target)
    (folder / "kmalloc-64").mkdir()
    found = counters.merged_names(["posix_timers_cache", "kmalloc-64", "lonely", "gone"], slabs.aliases(str(tmp_path)))
    assert found == {"posix_timers_cache": ["mnt_cache"]}


def test_this_host_in_two_kib():
    found = counters.read()
    assert found["uptime_s"] > 0
    assert found["bytes"]["MemTotal"] > found["bytes"]["MemAvailable"] > 0
    assert found["counts"]["tasks"] > 0
    assert len(json.dumps(found)) <= 2048


def test_a_host_on_which_nothing_is_readable(monkeypatch):
    for module in (counters, counters.slabs, counters.meminfo):
        monkeypatch.setattr(module, "read_text", lambda path: "")
    monkeypatch.setattr(counters.sysfs, "integer", lambda path: None)
    monkeypatch.setattr(counters.sysfs, "entries", lambda path: [])
    found = counters.read()
    assert {name: found[name] for name in ("bytes", "counts", "slab_bytes", "slab_reclaimable_bytes")} == {
        "bytes": {}, "counts": {}, "slab_bytes": {}, "slab_reclaimable_bytes": {},
    }  # fmt: skip


def test_the_largest_caches_of_each_kind(monkeypatch):
    monkeypatch.setattr(counters.slabs, "is_reclaimable", lambda name: name.startswith("r"))
    caches = {f"{'r' if n % 2 else 'k'}{n}": n * 4096 for n in range(60)}
    assert counters.largest(caches) == ([f"k{n}" for n in range(58, 42, -2)], ["r59", "r57", "r55", "r53"])
    assert counters.largest({}) == ([], [])


def test_the_longest_names_fit(monkeypatch):
    line = "{:x<60} 1 1 8192 4 8 : tunables 0 0 0 : slabdata 1 99999999 0"
    text = "\n".join(line.format(f"cache{n}") for n in range(200))
    caches = counters.slab_caches(slabs.parse(text))[0]
    monkeypatch.setattr(counters, "slab_caches", lambda caches_: (caches, {}))
    monkeypatch.setattr(counters, "merged_names", lambda names, merged: {name: ["y" * 32] * counters.ALIASES for name in names})
    assert len(json.dumps(counters.read())) <= 2048
