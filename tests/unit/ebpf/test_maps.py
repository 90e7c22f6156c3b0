# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading tables of BPF programs, from a kernel that gives them in batches, and from one that does not."""

import ctypes
import errno

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import maps

ENTRIES = 10000


class Leaf(ctypes.Structure):
    _fields_ = (("number", ctypes.c_uint64),)


class Table:
    Key, Leaf, map_fd = ctypes.c_uint64, Leaf, 3


class Kernel:
    """The system call bpf() on a table of ENTRIES entries, {n: 2 n}, and a clock that each call takes a second of."""

    def __init__(self, batches):
        self.batches, self.now_s, self.given = batches, 0.0, 0

    def bpf(self, command, request):
        self.now_s += 1.0
        if command == maps._LOOKUP_BATCH:
            return self._batch(request) if self.batches else errno.EINVAL
        if command == maps._GET_NEXT_KEY:
            following = ctypes.c_uint64.from_address(request.key).value + 1 if request.key else 0
            if following == ENTRIES:
                return errno.ENOENT
            ctypes.c_uint64.from_address(request.value).value = following
            return 0
        key = ctypes.c_uint64.from_address(request.key)
        Leaf.from_address(request.value).number = 2 * key.value
        return 0

    def _batch(self, request):
        number = min(request.count, ENTRIES - self.given)
        for index in range(number):
            (ctypes.c_uint64 * number).from_address(request.keys)[index] = self.given + index
            (Leaf * number).from_address(request.values)[index].number = 2 * (self.given + index)
        self.given += number
        request.count = number
        return errno.ENOENT if self.given == ENTRIES else 0


@pytest.fixture
def kernel(request, monkeypatch):
    made = Kernel(request.param)
    monkeypatch.setattr(maps, "_bpf", made.bpf)
    monkeypatch.setattr(maps, "_CHUNK", 1000)
    monkeypatch.setattr(maps.time, "monotonic", lambda: made.now_s)
    return made


@pytest.mark.parametrize("kernel", [True, False], indirect=True, ids=["batches", "one by one"])
def test_all_entries_are_read(kernel):
    rows, whole = maps.items(Table, ENTRIES, 1e9)
    assert whole and {key.value: leaf.number for key, leaf in rows} == {number: 2 * number for number in range(ENTRIES)}


@pytest.mark.parametrize("kernel", [True, False], indirect=True, ids=["batches", "one by one"])
@pytest.mark.parametrize("seconds", [0.0, 4.5])
def test_reading_ends_when_its_time_is_over_and_keeps_what_it_has(kernel, seconds):
    rows, whole = maps.items(Table, ENTRIES, seconds)
    assert not whole and 0 < len(rows) < ENTRIES
    assert all(leaf.number == 2 * key.value for key, leaf in rows)
    assert kernel.now_s <= seconds + 3
