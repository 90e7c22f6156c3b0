# SPDX-License-Identifier: GPL-3.0-or-later
"""Who ran while a task waited, by the timeslices that the BPF program kept."""

from types import SimpleNamespace

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import who_ran

UNUSED = SimpleNamespace(ended_ns=0, ran_ns=0, tid=0, prio=0, comm=b"")


def timeslice(tid, ended_ns, ran_ns):
    return SimpleNamespace(ended_ns=ended_ns, ran_ns=ran_ns, tid=tid, prio=120, comm=b"task%d" % tid)


def waited(*timeslices):
    """A wait from 1000 us to 2000 us of some clock, beside timeslices that ended within it."""
    kept = [timeslice(tid, ended_us * 1000, ran_us * 1000) for tid, ended_us, ran_us in timeslices]
    short, long = ([*rows, UNUSED] for rows in (kept[1::2], kept[::2]))
    return SimpleNamespace(
        ended_ns=2_000_000, delay_ns=1_000_000, short_slices=SimpleNamespace(slices=short), long_slices=SimpleNamespace(slices=long)
    )


@pytest.mark.parametrize(
    ("timeslices", "longest_runner", "idle_us", "unattributed_us"),
    [
        ([(7, 2000, 5000)], 7, 0, 0),  # it has run since long before
        ([(7, 900, 500), (8, 2000, 1100)], 8, 0, 0),  # the first one's timeslice was over
        ([(7, 1600, 600), (0, 2000, 400)], 7, 400, 0),
        ([(7, 1400, 400), (0, 2000, 600)], None, 600, 0),  # idle for longer
        ([(7, 1800, 300), (8, 2000, 200)], None, 0, 500),  # who ran before that may have done so for longer
        ([(7, 1800, 400), (8, 1900, 100), (7, 2000, 100)], 7, 0, 400),  # two timeslices of one
        ([], None, 0, 1000),
    ],
)
def test_who_ran_longest_is_told_only_where_it_is_known(timeslices, longest_runner, idle_us, unattributed_us):
    told = who_ran(waited(*timeslices))
    assert (told["longest_runner"] and told["longest_runner"]["pid"]) == longest_runner
    assert (told["idle_us"], told["unattributed_us"]) == (idle_us, unattributed_us)
    assert sum(row["ran_us"] for row in told["blockers"]) + idle_us + unattributed_us == 1000
    assert told["longest_runner"] in (None, told["blockers"][0] if told["blockers"] else None)


def test_many_who_ran_are_bounded_but_the_longest_stay():
    told = who_ran(waited(*[(100 + number, 1020 + 40 * number, 20 + number) for number in range(25)]))
    assert [row["pid"] for row in told["blockers"]] == [100 + number for number in range(24, 8, -1)]
