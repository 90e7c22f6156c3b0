# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for memory by the kernel's counters: growth, kernels of other ages, files that are missing or broken."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked import memory
from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs

NOTHING = {"pressure_us": {}, "vmstat": {}, "groups_us": {}}


def seen(some_us, full_us, **vmstat):
    return {"pressure_us": {"some": some_us, "full": full_us}, "vmstat": vmstat, "groups_us": {}}


def test_growth_is_told_with_its_share():
    before = seen(1000, 500, allocstall_normal=3, allocstall_movable=5, compact_stall=7, pgscan_direct=100, pgscan_direct_throttle=9)
    after = seen(2001000, 400500, allocstall_normal=13, allocstall_movable=5, compact_stall=7, pgscan_direct=400, pgscan_direct_throttle=99)
    found = memory.compare(before, after, 20.0)
    assert (found["some_us"], found["some_share"], found["full_us"], found["full_share"]) == (2000000, 0.1, 400000, 0.02)
    assert (found["direct_reclaims"], found["direct_compactions"], found["direct_scanned_pages"]) == (10, 0, 300)
    assert found["refaulted_pages"] is None and found["swapped_in_pages"] is None


@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("allocstall", "direct_reclaims"),  # before 4.8
        ("allocstall_dma32", "direct_reclaims"),
        ("pgscan_direct_normal", "direct_scanned_pages"),  # before 4.8
        ("workingset_refault", "refaulted_pages"),  # before 5.9
        ("workingset_refault_anon", "refaulted_pages"),
        ("pswpin", "swapped_in_pages"),
    ],
)
def test_the_names_of_other_kernels_are_known(name, field):
    assert memory.compare({**NOTHING, "vmstat": {name: 5}}, {**NOTHING, "vmstat": {name: 12}}, 20.0)[field] == 7


def test_what_the_kernel_does_not_keep_is_none():
    assert memory.compare(NOTHING, NOTHING, 20.0).pop("groups") == []
    assert {value for name, value in memory.compare(NOTHING, NOTHING, 20.0).items() if name != "groups"} == {None}
    assert memory.compare(NOTHING, seen(5, 5, pswpin=3), 20.0)["some_us"] is None


def test_a_counter_that_begins_anew_counts_nothing():
    found = memory.compare(seen(900, 900, pswpin=3), seen(5, 5, pswpin=1), 20.0)
    assert (found["some_us"], found["some_share"], found["swapped_in_pages"]) == (0, 0.0, 0)


def test_a_share_is_never_more_than_the_window():
    assert memory.compare(seen(0, 0), seen(21 * 10**6, 0), 20.0)["some_share"] == 1.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("some avg10=0.00 avg60=0.10 avg300=0.00 total=12345\nfull avg10=0 avg60=0 avg300=0 total=7\n", {"some": 12345, "full": 7}),
        ("some avg10=0.00 avg60=0.10 avg300=0.00 total=12345\n", {"some": 12345}),  # of CPUs, before 5.13
        ("", {}),
        ("some avg10=0.00\nodd total=3\n", {}),
    ],
)
def test_pressure(text, expected):
    assert procfs.parse_pressure(text) == expected


def test_this_kernel_is_read():
    found = memory.compare(memory.snapshot(), memory.snapshot(), 1.0)
    assert found["direct_reclaims"] is not None and found["refaulted_pages"] is not None


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ({"/a": 0, "/a/b": 0}, {"/a": 5, "/a/b": 5}, ["/a/b"]),  # the waits of the one above are those of the one beneath
        ({"/a": 0, "/a/b": 0, "/a/c": 0}, {"/a": 5, "/a/b": 3, "/a/c": 2}, ["/a", "/a/b", "/a/c"]),
        ({"/a": 3}, {"/a": 3.1}, []),  # less than 1 % of the window
        ({}, {"/new": 2}, ["/new"]),
        ({"/gone": 2}, {}, []),
        ({"/a": 7}, {"/a": 1}, []),  # another group of that name
        ({}, {f"/{number}": number for number in range(1, 9)}, ["/8", "/7", "/6", "/5", "/4"]),
    ],
)
def test_the_control_groups_that_waited_are_told_once(before, after, named):
    seconds = [{path: int(value * 10**6) for path, value in one.items()} for one in (before, after)]
    found = memory.compare({**NOTHING, "groups_us": seconds[0]}, {**NOTHING, "groups_us": seconds[1]}, 20.0)["groups"]
    assert [row["cgroup"] for row in found] == named


def test_groups_are_read_from_their_folders(tmp_path, monkeypatch):
    for path in ("", "shop.slice", "shop.slice/shop.service", "odd"):
        (tmp_path / path).mkdir(exist_ok=True)
        (tmp_path / path / "memory.pressure").write_text("some avg10=0 total=%d\nfull avg10=0 total=0\n" % (len(path) + 1))
    (tmp_path / "odd" / "memory.pressure").write_text("")  # PSI of this group is switched off
    (tmp_path / "cgroup.controllers").write_text("memory")
    monkeypatch.setattr(memory.cgroups, "V2_ROOTS", (str(tmp_path / "none"), str(tmp_path)))
    assert memory.snapshot()["groups_us"] == {"/shop.slice": 11, "/shop.slice/shop.service": 24}
