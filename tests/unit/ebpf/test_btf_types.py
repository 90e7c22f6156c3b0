# SPDX-License-Identifier: GPL-3.0-or-later
"""Types by number and members by path, of BTF that is made here and of the running kernel's."""

import os
import struct

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf, btf_types

INT, POINTER, STRUCT, UNION, TYPEDEF, FUNC, PROTOTYPE = 1, 2, 4, 5, 8, 12, 13


class Maker:
    """Builds BTF type by type; each call returns the number of the type."""

    def __init__(self):
        self.types, self.strings, self.count = b"", b"\0", 0

    def _name(self, name):
        if not name:
            return 0
        if b"\0" + name.encode() + b"\0" in self.strings:  # each name stands there once
            return self.strings.index(b"\0" + name.encode() + b"\0") + 1
        at = len(self.strings)
        self.strings += name.encode() + b"\0"
        return at

    def add(self, name, kind, size_or_type, tail=b"", members=0, bitfields=0):
        self.types += struct.pack("<3I", self._name(name), kind << 24 | members | bitfields << 31, size_or_type) + tail
        self.count += 1
        return self.count

    def struct(self, name, members, kind=STRUCT, bitfields=0):
        """members: [(name, type, bits)]"""
        tail = b"".join(struct.pack("<3I", self._name(member), number, bits) for member, number, bits in members)
        return self.add(name, kind, 64, tail, len(members), bitfields)

    def data(self):
        header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(self.types), len(self.types), len(self.strings))
        return header + self.types + self.strings


@pytest.fixture
def types():
    made = Maker()
    number = made.add("int", INT, 4, struct.pack("<I", 32))
    made.add(None, 3, 0, struct.pack("<3I", number, number, 16))  # an array
    inner = made.struct("sched_info", [("pcount", number, 0), ("last_arrival", number, 256)])
    alias = made.add("info_t", TYPEDEF, inner)
    unnamed = made.struct(None, [("mmap_lock", number, 128)])
    choice = made.struct(None, [("first", number, 0), (None, unnamed, 64)], UNION)
    made.struct("task_struct", [("state", number, 32), ("sched_info", alias, 1024), (None, choice, 2048)])
    made.struct("bits", [("flag", number, 1 << 24 | 35), ("whole", number, 64)], bitfields=1)
    made.add("task_struct", FUNC, number)
    prototype = made.add(None, PROTOTYPE, 0, struct.pack("<6I", 0, number, 0, number, 0, number), 3)
    made.add("btf_trace_three", TYPEDEF, made.add(None, POINTER, prototype))
    return btf_types.Types(made.data())


@pytest.mark.parametrize(
    "path, offset",
    [
        ("task_struct.state", 4), ("task_struct.sched_info", 128), ("task_struct.sched_info.last_arrival", 160),
        ("task_struct.mmap_lock", 280), ("task_struct.first", 256), ("bits.whole", 8),
        ("bits.flag", None), ("task_struct.none", None), ("none.state", None), ("task_struct.state.more", None),
    ],
)  # fmt: skip
def test_the_offset_of_a_path(types, path, offset):
    assert types.offset(path) == offset


def test_the_first_name_that_the_kernel_has_counts(types):
    assert types.first("task_struct.__state", "task_struct.state") == 4
    assert types.first("task_struct.a", "task_struct.b") is None


def test_a_name_of_several_kinds(types):
    assert types.number("task_struct", STRUCT) == 7
    assert types.number("task_struct", FUNC) == 9
    assert types.number("task_struct", TYPEDEF) is None


def test_how_many_parameters_a_tracepoint_has(types):
    assert types.parameters("btf_trace_three") == 3
    assert [types.parameters(name) for name in ("info_t", "task_struct", "none")] == [0, 0, 0]


@pytest.mark.parametrize("data", [b"", b"\0" * 64, Maker().data()[:-1] + b"x" * 3, Maker().data()[:10]])
def test_what_is_no_btf(data):
    if data[:2] == b"\x9f\xeb" and len(data) >= 24:
        assert btf_types.Types(data).number("task_struct", STRUCT) is None
    else:
        with pytest.raises(ValueError, match="BTF"):
            btf_types.Types(data)


def test_an_unknown_kind_of_type_is_no_guess():
    made = Maker()
    made.add("x", 30, 0)
    with pytest.raises(ValueError, match="unknown kind 30"):
        btf_types.Types(made.data())


def test_a_kernel_without_btf(monkeypatch):
    monkeypatch.setattr(btf_types, "_BTF", "/nonexistent")
    with pytest.raises(Unavailable, match="does not describe its own types"):
        btf_types.load()


@pytest.mark.skipif(not os.path.exists(btf._BTF), reason="this kernel has no BTF")
def test_both_readers_agree_on_this_kernel():
    types = btf_types.load()
    assert types.parameters("btf_trace_sched_wakeup") == 2  # its data, the task
    assert types.parameters("btf_trace_sched_switch") in (4, 5)
    for member in ("pid", "tgid", "comm", "flags", "mm"):
        assert types.offset("task_struct." + member) == btf.offsets("task_struct", [member])[member]
