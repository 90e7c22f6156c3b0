# SPDX-License-Identifier: GPL-3.0-or-later
"""Allocation sites and the kernel's counters together: what the verdict of a host is."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import facts, probe, sites, trend, triage
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.survivors import Cohort

S = 10**9
HOLDERS = ("tasks", "files", "sockets", "modules", "cgroups", "namespaces", "inodes", "dentries", "process_bytes", "cached_pages")


def watched(window_s, unaccounted_bytes_per_s=0, areas=(), **caches):
    """A Watch that read counters 24 times. caches: name: (bytes an object, objects a second)."""
    watch = triage.Watch(window_s, 2 * S, lambda: 0)
    for number in range(24):
        at_s = window_s * number / 23
        meminfo = dict.fromkeys(("MemTotal", "SReclaimable", "KernelStack", "PageTables", "Percpu", "VmallocUsed", "areas"), 2**34)
        slab = sum(size * rate * at_s for size, rate in caches.values())
        meminfo.update(SUnreclaim=10**8 + int(slab), unaccounted=10**8 + int(unaccounted_bytes_per_s * at_s))
        read = {"meminfo": meminfo, "holders": dict.fromkeys(HOLDERS, 7), "free_blocks": []}
        read["caches"] = {name.replace("_", "-"): (10**5 + int(rate * at_s), size) for name, (size, rate) in caches.items()}
        watch.readings.append((int(at_s * S), read))
    return watch


def site(function, rate, window_s, size=1024, kind="slab", cache="kmalloc-1k", traced=True):
    """A Site of which so many objects a second survive."""
    made = sites.Site(kind, ("__kmalloc+0x1", f"{function}+0x7 [acme]", "f+0x1"), Cohort(0, window_s * S, 2 * S), traced)
    for number in range(int(rate * window_s)):
        made.add_survivor(int((number + 0.5) / rate * S), size, 1, cache if kind == "slab" else None, "sh")
    return made


def measured(watch, *found, window_s=20, **changes):
    options = {name: spec["default"] for name, spec in probe.MemleakProbe.OPTIONS.items()}
    return facts.Measured(options, watch, window_s, 20, 1.0, **changes).data(list(found), 16, None)


def verdicts(data):
    return {entry["culprit"]: entry["verdict"] for entry in [*data["leaks"], *data["outstanding"]]}


def test_a_site_leaks_when_its_cache_grew_with_it():
    data = measured(watched(20, kmalloc_1k=(1024, 200)), site("acme_leak", 200, 20))
    assert (data["verdict"], verdicts(data)) == ("leak", {"acme_leak": "leak"})
    assert data["leaks"][0]["corroborated"] is True
    suspects = {row["counter"]: row for row in data["triage"]["suspects"]}
    for counter in ("SUnreclaim", "kmalloc-1k"):
        assert suspects[counter]["bytes_per_s"] == pytest.approx(204800, rel=0.01)
        assert suspects[counter]["explained_bytes_per_s"] == pytest.approx(204800, rel=0.01)


@pytest.mark.parametrize("kind", ["slab", "page"])
def test_what_outlives_the_window_and_a_ring_are_no_leak(kind):
    """Survivors of every age, while as much from before the window is freed."""
    data = measured(watched(20, kmalloc_1k=(1024, 0)), site("acme_ring", 200, 20, size=1024 if kind == "slab" else 4096, kind=kind))
    assert (data["verdict"], verdicts(data)) == ("clean", {"acme_ring": "clean"})
    assert data["outstanding"][0]["corroborated"] is False and data["outstanding"][0]["growth_ci95"][0] == 0


def test_a_leak_of_pages_is_confirmed_by_what_the_kernel_does_not_account_for():
    data = measured(watched(20, unaccounted_bytes_per_s=4096 * 60), site("acme_pages", 60, 20, size=4096, kind="page"))
    assert verdicts(data) == {"acme_pages": "leak"}


@pytest.mark.parametrize(("grown", "expected"), [(400, "leak"), (300, "leak"), (210, "suspect"), (0, "clean")])
def test_two_sites_that_share_a_cache_must_explain_its_growth_together(grown, expected):
    data = measured(watched(20, kmalloc_1k=(1024, grown)), site("one", 200, 20), site("two", 200, 20))
    assert verdicts(data) == {"one": expected, "two": expected}


def test_a_hundred_leaks_at_once_are_leaks():
    found = [site(f"acme_{number}", 20, 20) for number in range(100)]
    data = measured(watched(20, kmalloc_1k=(1024, 2000)), *found)
    assert [entry["verdict"] for entry in data["leaks"]] == ["leak"] * 20 and data["verdict"] == "leak"


@pytest.mark.parametrize(
    ("window_s", "changes", "expected"),
    [(20, {}, "clean"), (5, {}, "unknown"), (20, {"complete": False}, "unknown"), (20, {"evaluated_s": 4.0}, "unknown")],
)
def test_without_a_leak_the_verdict_is_clean_only_where_all_was_followed_for_long_enough(window_s, changes, expected):
    assert measured(watched(window_s), window_s=window_s, **changes)["verdict"] == expected


@pytest.mark.parametrize(("window_s", "expected"), [(20, "suspect"), (5, "unknown")])
def test_a_counter_that_grows_without_a_site_is_suspect_but_never_in_a_window_without_verdicts(window_s, expected):
    data = measured(watched(window_s, kmalloc_1k=(1024, 2000)), window_s=window_s)
    assert data["verdict"] == expected
    assert [row["explained_bytes_per_s"] for row in data["triage"]["suspects"] if row["by"] == "growth"] == [0, 0]


def test_a_leak_whose_table_was_full_is_still_a_leak():
    data = measured(watched(20, kmalloc_1k=(1024, 200)), site("acme_leak", 200, 20), complete=False)
    assert data["verdict"] == "leak"


def test_lines_of_code_are_reported_where_the_kernel_counts_them():
    watch = watched(20)
    assert measured(watch)["triage"]["code_lines"] is None
    watch.line_growth = {("a.c:1", "f", None): 2**20, ("b.c:2", "g", "acme"): 2**21, ("c.c:3", "h", None): 4096}
    lines = measured(watch)["triage"]["code_lines"]
    assert [(row["line"], row["module"], row["bytes_delta"]) for row in lines] == [("b.c:2", "acme", 2**21), ("a.c:1", None, 2**20)]


def test_a_list_of_sites_that_is_cut_names_each_process():
    rows = [("a", 500.0), ("a", 400.0), ("b", 300.0), ("a", 200.0), ("b", 100.0)]
    found = [
        {"verdict": "suspect", "growth_bytes_per_s": rate, "stack": [], "allocators": [{"comm": comm}], "module": None, "culprit": "f"}
        for comm, rate in rows
    ]
    found.append({**found[0], "verdict": "leak", "growth_bytes_per_s": 1.0, "allocators": []})
    facts._sort(found)
    assert [entry["growth_bytes_per_s"] for entry in found] == [1.0, 500.0, 300.0, 400.0, 100.0, 200.0]


@pytest.mark.parametrize("number", [1, 2, 3, 11, 12, 24, 33])
def test_a_curve_keeps_its_ends(number):
    points = [[at, at] for at in range(number)]
    kept = trend.thinned(points)
    assert kept[0] == points[0] and kept[-1] == points[-1] and len(kept) <= 12 and sorted(kept) == kept
