# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the kernel: those of this host, and texts of others."""

import os

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs, sysfs

ZONEINFO = """Node 0, zone    DMA32
  pages free     318612
        count    99
  pagesets
    cpu: 0
              count: 1378
              high:  7097
              batch: 63
    cpu: 1
              count: 22
              high:  7097
Node 0, zone   Normal
  pagesets
    cpu: 0
              count: 0
"""


def test_what_cannot_be_read_is_empty(tmp_path):
    assert procfs.read_text(str(tmp_path / "missing")) == procfs.read_text(str(tmp_path)) == ""
    assert sysfs.integer(str(tmp_path / "missing")) is None
    assert procfs.numbers(str(tmp_path / "missing")) == []


def test_text_of_any_bytes_is_read(tmp_path):
    (tmp_path / "odd").write_bytes(b"a\xff\n")
    assert procfs.read_text(str(tmp_path / "odd")) == "a\ufffd\n"


@pytest.mark.parametrize(("text", "number"), [("42\n", 42), ("0x2a\n", 42), ("-1\n", -1), ("max\n", None), ("", None)])
def test_a_number(tmp_path, text, number):
    (tmp_path / "file").write_text(text)
    assert sysfs.integer(str(tmp_path / "file")) == number


def test_this_process_is_among_the_numbers_of_proc():
    assert os.getpid() in procfs.numbers("/proc") and procfs.uptime_s() > 0


def test_fields_of_both_forms():
    assert procfs.parse_fields("MemFree:   12 kB\nHugePages_Total:   3\nActive(anon): 1 kB\nnr_throttled 7\nodd\nother: x kB\n") == {
        "MemFree": 12288,
        "HugePages_Total": 3,
        "Active(anon)": 1024,
        "nr_throttled": 7,
    }


def test_steal_by_cpu(monkeypatch):
    monkeypatch.setattr(procfs.os, "sysconf", lambda name: {"SC_CLK_TCK": 100}[name])
    text = "cpu  9 9 9 9 9 9 9 12 0 0\ncpu0 1 2 3 4 5 6 7 5 0 0\ncpu7 1 2 3 4 5 6 7 7 0 0\nintr 4\nbtime 1\n"
    assert procfs.parse_steal_us(text) == {0: 50000, 7: 70000}
    assert procfs.parse_started(text + "\nprocesses 4711\n") == 4711 and procfs.parse_started(text) is None
    assert procfs.parse_steal_us("") == procfs.parse_steal_us("cpu0 1 2 3\n") == {}


def test_schedstat_by_cpu():
    text = "version 16\ntimestamp 1\ncpu0 0 0 9 9 9 9 111 2000 7\ndomain0 3 1 2\ncpu1 0 0 9 9 9 9 222 3000 8\n"
    assert procfs.parse_schedstat(text) == {0: (111, 2000, 7), 1: (222, 3000, 8)}
    assert procfs.parse_schedstat("version 16\n") is procfs.parse_schedstat("") is None


def test_free_pages_in_the_lists_of_cpus():
    assert procfs.parse_cpu_list_pages(ZONEINFO) == 1400


def test_columns_of_a_stat_begin_behind_the_last_bracket():
    name, columns = procfs.parse_stat("12 (a) R (b) D 1 12 12 0 -1 2129984 0 0")
    assert (name, columns[:2], procfs.is_kernel_thread(columns)) == ("a) R (b", ["D", "1"], True)
    assert procfs.is_kernel_thread(procfs.parse_stat("12 (x) S 1 12 12 0 -1 4194304 0")[1]) is False


@pytest.mark.parametrize("line", ["", "12 (x", "12 (x) D", "12 x D 1 1 1 0 -1 0", "12 (x) D 1 1 1 0 -1 f"])
def test_a_stat_of_another_form_does_not_tell_what_the_task_is(line):
    assert procfs.is_kernel_thread(procfs.parse_stat(line)[1]) is None
