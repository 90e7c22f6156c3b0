# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are read and evaluated by several processes."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import build, evaluated
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.tests import fleet_data as data

ABANDONED = """
import os, sys
sys.path.insert(0, sys.argv[1])
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import evaluated
for item in evaluated._spread(lambda item: b"x" * 100000, list(range(100)), 3):
    os.write(int(sys.argv[2]), b".")
"""


@pytest.fixture
def spread(monkeypatch):
    """As on three cores, however many there are, and for few hosts too."""
    monkeypatch.setattr(evaluated, "FEW", 0)
    monkeypatch.setattr(evaluated, "_cores", lambda: 3)


def test_many_processes_find_what_one_does(tmp_path, request, monkeypatch):
    monkeypatch.setattr(time, "gmtime", lambda *_seconds: time.struct_time((2026, 11, 23, 3, 8, 0, 0, 327, 0)))
    folder = data.write(tmp_path, [data.host(f"web{place}", kind) for place, kind in enumerate(data.KINDS * 5)], meant=["web1", "gone"])
    (folder / "hosts" / "web3.json").write_text("{", encoding="utf-8")
    alone = build.build(folder, load_policy(), folder)
    request.getfixturevalue("spread")
    assert build.build(folder, load_policy(), folder) == alone
    assert multiprocessing.active_children() == []


def test_what_a_killed_process_leaves_is_done_by_the_one_that_waits():
    parent = os.getpid()

    def work(item):
        if item == 7 and os.getpid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)
        return item, os.getpid() == parent

    done = list(evaluated._spread(work, list(range(30)), 3))
    assert [item for item, _here in done] == list(range(30))
    assert [item for item, here in done if here] == list(range(7, 30, 3))


def test_an_error_is_raised_where_the_work_was_asked_for():
    with pytest.raises(ZeroDivisionError):
        list(evaluated._spread(lambda item: 1 / item, [1, 0, 1], 2))
    assert multiprocessing.active_children() == []


def test_processes_end_when_nobody_wants_more():
    running = evaluated._spread(lambda item: b"x" * 100000, list(range(100)), 3)
    next(running)
    running.close()
    assert multiprocessing.active_children() == []


def test_processes_end_when_the_one_that_waits_is_killed():
    reader, writer = os.pipe()
    with subprocess.Popen(
        [sys.executable, "-c", ABANDONED, str(Path(evaluated.__file__).parents[6]), str(writer)], pass_fds=[writer]
    ) as parent:
        os.close(writer)
        assert os.read(reader, 1) == b"."
        parent.kill()
    with os.fdopen(reader, "rb") as file:
        file.read()  # ends when the last process that could write is gone


def test_the_search_for_cycles_is_as_before(tmp_path, spread):
    folder = data.write(tmp_path, [data.host("web0")])
    assert gc.isenabled()
    assert [entry[1]["host"] for entry in evaluated.evaluated_hosts(folder, load_policy(), None)] == ["web0"]
    assert gc.isenabled()


@pytest.mark.parametrize("processes", [1, 3])
def test_two_hosts_that_look_alike_are_a_problem(tmp_path, monkeypatch, spread, processes):
    monkeypatch.setattr(evaluated, "_cores", lambda: processes)
    folder = data.write(tmp_path, [data.host("web\u200b1"), data.host("web\u200c1")])
    first, second = evaluated.evaluated_hosts(folder, load_policy(), None)
    assert first[1]["host"] == "web\ufffd1"
    assert second[1:] == (None, "is a second result of host 'web\ufffd1'", None)
