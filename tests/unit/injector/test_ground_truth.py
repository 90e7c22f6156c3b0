# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel modules' own numbers."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._injector import ground_truth


def test_a_leak():
    text = (
        "state running\nallocations 18446744073709551615\nfrees 3\n"
        "place ksysak_leak_shallow allocations 7 frees 3 outstanding_objects 4 outstanding_bytes 4096\n"
    )
    assert ground_truth.parse(text) == {
        "state": "running",
        "allocations": 2**64 - 1,
        "frees": 3,
        "places": [{"place": "ksysak_leak_shallow", "allocations": 7, "frees": 3, "outstanding_objects": 4, "outstanding_bytes": 4096}],
        "delays": [],
    }


def test_delays():
    text = "delays 2\ndelay 1 cpu 0 pid 77 start_ns 1000 length_ns 5000\ndelay 2 cpu 0 pid 77 start_ns 9000 length_ns 5001\n"
    # The number of delays has the name of the list; the list is what is asked for.
    parsed = ground_truth.parse(text)
    assert parsed["delays"] == [
        {"n": 1, "cpu": 0, "pid": 77, "start_ns": 1000, "length_ns": 5000},
        {"n": 2, "cpu": 0, "pid": 77, "start_ns": 9000, "length_ns": 5001},
    ]
    assert parsed["count"] == 2


@pytest.mark.parametrize("line", ["one", "one two three", "place f allocations", "delay 1 cpu"])
def test_a_broken_line_is_named(line):
    with pytest.raises(ValueError, match=line):
        ground_truth.parse("state running\n" + line)
