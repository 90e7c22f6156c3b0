# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the facts from censuses: what grows, what stopped growing, and what each thing takes."""

from ansible_collections.ksysak.fleet.plugins.module_utils._memory import kinds, rows
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding

APP = owner("process", "app", pid=42, cgroup="/system.slice/app.service")


def census(seconds, count, kind="socket", **more):
    return seconds, {(kind, "app"): Holding(kind, APP, count, **more)} if count is not None else {}


def sizes(objects):
    return 100 * len(objects) or None


def test_growth_has_number_rate_and_bytes():
    (row,) = rows.growth([census(10, 100), census(16, 400), census(22, 700)], sizes)
    assert (row["kind"], row["owner"]["name"], row["count"], row["count_delta"], row["per_s"]) == ("socket", "app", 700, 600, 50.0)
    assert row["bytes_per_s"] == 50 * 100 * len(kinds.BY_NAME["socket"].objects)
    assert row["command"].startswith("ls -l /proc/42/fd")


def test_what_stopped_or_shrinks_is_no_growth():
    assert rows.growth([census(0, 0), census(1, 500), census(2, 500)], sizes) == []
    assert rows.growth([census(0, 700), census(1, 500), census(2, 300)], sizes) == []
    assert rows.growth([census(0, 700)], sizes) == []


def test_what_began_late_is_measured_from_where_it_appears():
    (row,) = rows.growth([census(0, None), census(1, 100), census(2, 500)], sizes)
    assert (row["count_delta"], row["per_s"]) == (400, 400.0)
    assert rows.growth([census(0, None), census(1, None), census(2, 500)], sizes) == []


def test_a_process_that_starts_within_the_window_does_not_grow():
    assert rows.growth([census(0, 1), census(1, 2), census(2, 3)], sizes, lambda key: key != ("socket", "app")) == []


def test_bytes_of_the_source_count_more_than_sizes_and_none_stays_unknown():
    (row,) = rows.growth([census(0, 1, bytes=1000), census(2, 2, bytes=5000)], sizes)
    assert (row["bytes"], row["bytes_per_s"]) == (5000, 2000.0)
    (row,) = rows.growth([census(0, 1, kind="udp_unread"), census(2, 3, kind="udp_unread")], sizes)
    assert (row["bytes"], row["bytes_per_s"], row["per_s"]) == (None, None, 1.0)


def test_holders_are_the_largest_of_each_kind():
    held = {(kind, number): Holding(kind, APP, number) for kind in ("socket", "udp_unread") for number in range(1, 9)}
    found = [(row["kind"], row["count"]) for row in rows.holders(held, sizes)]
    assert found == [("socket", 8), ("socket", 7), ("socket", 6), ("udp_unread", 8), ("udp_unread", 7), ("udp_unread", 6)]


def test_names_of_a_host_are_one_word_of_a_command():
    bad = owner("mount", "/tmp/a b;reboot\n")
    assert kinds.command("tmpfs", bad, {}) == "du -xa '/tmp/a b;reboot?' | sort -n | tail"
    assert kinds.command("socket", bad, {}) is None
