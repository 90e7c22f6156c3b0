# SPDX-License-Identifier: GPL-3.0-or-later
"""When a census is taken: of what grew since any reading, or is large; a source that fails ends no other one."""

from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import Host
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Source
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.watch import CENSUSES, Watch


def watched(tmp_path, *readings, **limits):
    """The classes of which each census was taken, of a source with these readings of a class 'things', one each."""
    taken = []

    class Given(Source):
        STEPS, LARGE = {"things": (10, 4096)}, limits.get("large", {})

        def __init__(self, host):
            super().__init__(host)
            self._readings = iter(readings)

        def read(self):
            return {"things": next(self._readings), "others": (5, None)}

        def census(self, classes):
            taken.append(classes)
            return {}

    watch = Watch([Given], Host(str(tmp_path)))
    watch.start(3600)
    for _reading in readings[1:]:
        watch.read()
        watch.census()
    return taken


def test_what_grew_by_a_step_is_counted(tmp_path):
    assert watched(tmp_path, (100, None), (109, None), (110, None)) == [{"things"}]
    assert watched(tmp_path, (None, 0), (None, 4096)) == [{"things"}]
    assert watched(tmp_path, (None, None), (None, None)) == []


def test_growth_while_others_shrink_is_seen_from_the_lowest_reading(tmp_path):
    assert watched(tmp_path, (1000, None), (100, None), (115, None)) == [{"things"}]


def test_what_is_large_is_counted_although_it_does_not_grow(tmp_path):
    assert watched(tmp_path, (50, None), (50, None), large={"things": (50, None)}) == [{"things"}]
    assert watched(tmp_path, (49, None), (49, None), large={"things": (50, None)}) == []


def test_a_source_that_fails_says_so_once_and_others_go_on(tmp_path):
    class Broken(Source):
        def read(self):
            raise RuntimeError("no such\nfile")

    class Works(Source):
        def read(self):
            return {}

    watch = Watch([Broken, Works], Host(str(tmp_path)))
    watch.start(1)
    watch.stop()
    broken, works = watch.watched
    assert len(broken.not_measured) == 1 and "RuntimeError" in broken.not_measured[0]
    assert (len(works.readings), works.not_measured) == (2, [])


def test_censuses_between_are_due_in_their_time(tmp_path, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    watch = Watch([], Host(str(tmp_path)))
    watch.start(100)
    first = []
    while watch.next_s() is not None:
        now[0] = watch.next_s()
        first.append(watch.due())
    assert first.count(True) == 1 and first.index(True) == 1  # the second reading is at CENSUSES[0]
    assert now[0] < 1100 and len(CENSUSES) == 2
