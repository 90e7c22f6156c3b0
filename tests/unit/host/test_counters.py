# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's own files translate: /proc/interrupts, schedstat, pressure, meminfo, slabinfo."""

import os

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo
from ansible_collections.ksysak.fleet.plugins.module_utils._interference import counters as interrupts
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import counters as waits
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import percentiles

INTERRUPTS = """\
            CPU0       CPU2
   8:          0          1  IO-APIC    8-edge      rtc0
  36:        100       6317  PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
 LOC:       6688       8372   Local timer interrupts
 ERR:          0
"""


def test_interrupt_table_keeps_cpu_numbers_and_leaves_out_totals():
    assert interrupts.parse_table(INTERRUPTS) == {"8": {0: 0, 2: 1}, "36": {0: 100, 2: 6317}, "LOC": {0: 6688, 2: 8372}}


def test_interrupt_difference_counts_a_row_that_is_new_and_leaves_out_a_cpu_that_went():
    before = {("hardirq", "1"): {0: 5, 1: 5}}
    assert interrupts.difference(before, {("hardirq", "1"): {0: 7, 1: 5}, ("hardirq", "2"): {0: 0, 1: 3}}) == {
        ("hardirq", "1"): {0: 2, 1: 0},
        ("hardirq", "2"): {0: 0, 1: 3},
    }
    assert interrupts.difference(before, {("hardirq", "1"): {0: 7}, ("softirq", "RCU"): {0: 4}}) == {
        ("hardirq", "1"): {0: 2},
        ("softirq", "RCU"): {0: 4},
    }


def test_this_kernels_interrupts_are_understood():
    counts = interrupts.snapshot()
    assert set(counts[("vector", "LOC")]) == set(counts[("softirq", "TIMER")]) == interrupts.cpus(counts) == os.sched_getaffinity(0)
    assert interrupts.descriptions()["LOC"] == "Local timer interrupts"


def test_growth_of_what_is_in_both():
    assert waits.growth({0: 50000, 1: 5}, {0: 60000, 7: 1}) == {0: 10000}


def test_schedstat_has_waits_by_cpu():
    text = "version 16\ntimestamp 1\ncpu0 0 0 0 0 0 0 111 2000 7\ndomain0 3 1 2\ncpu1 0 0 0 0 0 0 222 3000 8\n"
    assert waits.parse_run_delay(text) == {0: (2000, 7), 1: (3000, 8)}
    assert waits.parse_run_delay("version 16\n") is None


def test_waits_are_none_where_the_kernel_keeps_nothing():
    nothing = {"run_delay": None, "pressure_us": None, "started": None}
    assert waits.compare(nothing, nothing, 1.0) == {"run_delay": None, "pressure": None, "started_per_s": None}
    before = {"run_delay": {0: (1000, 1), 1: (0, 0)}, "pressure_us": 0, "started": 7000}
    after = {"run_delay": {0: (4_001_000, 3), 1: (1_000_000, 2)}, "pressure_us": 500_000, "started": 7025}
    assert waits.changed_cpus(before, after) == waits.changed_cpus(nothing, nothing) == []
    assert waits.compare(before, after, 2.0) == {
        "run_delay": {"total_us": 5000.0, "timeslices": 4, "mean_us": 1250.0},
        "pressure": {"some_us": 500_000, "some_share": 0.25},
        "started_per_s": 12.5,
    }


@pytest.mark.parametrize("gone_first", [True, False], ids=["went", "came"])
def test_waits_of_a_cpu_that_went_or_came_are_left_out_and_that_is_said(gone_first):
    both = {"run_delay": {0: (0, 0), 1: (10**12, 9)}, "pressure_us": None, "started": 5}
    one = {"run_delay": {0: (0, 0)}, "pressure_us": None, "started": None}
    later = {"run_delay": {cpu: (ns + 2000, slices + 1) for cpu, (ns, slices) in (one if gone_first else both)["run_delay"].items()}}
    before, after = both if gone_first else one, {**later, "pressure_us": None, "started": None}
    assert waits.compare(before, after, 1.0)["run_delay"] == {"total_us": 2.0, "timeslices": 1, "mean_us": 2.0}
    assert waits.changed_cpus(before, after) == ["CPU 1 went on- or offline within the window: run_delay leaves it out"]


def test_lists_of_cpus():
    assert waits.parse_cpus("0-2,5\n") == {0, 1, 2, 5} and waits.named({5, 0, 10}) == "0, 5, 10"


def test_percentiles_are_the_upper_bound_of_their_bucket_but_never_above_the_maximum():
    assert percentiles({"0": 50, "1": 40, "64": 9, "1024": 1}, 1500.0) == {"p50": 1.0, "p90": 2.0, "p99": 128.0, "p999": 1500.0}
    assert percentiles({}, 0.0) == {}


MEMINFO = """\
MemTotal: 1000 kB
MemFree: 400 kB
AnonPages: 100 kB
Cached: 50 kB
Slab: 90 kB
SUnreclaim: 60 kB
SReclaimable: 30 kB
HugePages_Total: 3
"""


def test_unaccounted_is_what_nothing_else_explains(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(MEMINFO)
    (tmp_path / "proc/zoneinfo").write_text("Node 0, zone Normal\n    cpu: 0\n              count: 5\n")
    found = meminfo.accounted(str(tmp_path))
    assert found["unaccounted"] == (1000 - 400 - 100 - 50 - 90) * 1024 - 5 * meminfo.PAGE_BYTES
    assert found["HugePages_Total"] == 3
    assert meminfo.accounted(str(tmp_path / "nothing")) == {}
