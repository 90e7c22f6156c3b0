# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks runlatency follows, and whose quota ran out."""

import os

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import quota, targets
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import RunlatencyProbe

DEFAULTS = {name: spec["default"] for name, spec in RunlatencyProbe.OPTIONS.items()}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pid": 0}, "pid must be at least 1, got 0"),
        ({"tid": -5}, "tid must be at least 1, got -5"),
        ({"pid": 1, "tid": 1}, "pid and tid exclude each other"),
        ({"pid": 1, "comm": "sh"}, "pid and comm exclude each other"),
        ({"comm": ""}, "comm must have 1 to 15 bytes"),
        ({"comm": "a-name-of-16-byt"}, "comm must have 1 to 15 bytes"),
        ({"cgroup": "/"}, "cgroup must be a path below"),
        ({"cgroup": "../../etc"}, "cgroup must be a path below"),
        ({"runq_us": 0}, "runq_us must be between 1 and"),
        ({"runq_us": -1}, "runq_us must be between 1 and"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        RunlatencyProbe({**DEFAULTS, **options})


@pytest.mark.parametrize("options", [{}, {"pid": 1}, {"comm": "fifteen-bytes-x"}, {"cgroup": "system.slice/a.service"}])
def test_right_options_are_taken(options):
    assert RunlatencyProbe({**DEFAULTS, **options}).options["top"] == 20


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pid": 2**22 + 1}, "there is no process 4194305 on this host"),
        ({"tid": 2**22 + 1}, "there is no thread 4194305 on this host"),
        ({"cgroup": "no/such.slice"}, "there is no control group no/such.slice on this host"),
    ],
)
def test_what_is_not_there_is_said_by_every_engine(options, said):
    with pytest.raises(Unavailable, match=said) as raised:
        targets.Targets({**DEFAULTS, **options}).require()
    assert raised.value.remedy


def test_the_threads_of_this_process():
    pid = os.getpid()
    assert pid in targets.Targets({**DEFAULTS, "pid": pid}).require()
    assert targets.Targets({**DEFAULTS, "tid": pid}).require() == {pid}


def test_both_versions_of_cpu_stat():
    assert quota.parse("usage_usec 9\nnr_periods 10\nnr_throttled 7\nthrottled_usec 654\n") == (7, 654)
    assert quota.parse("nr_periods 10\nnr_throttled 7\nthrottled_time 654321\n") == (7, 654)
    assert quota.parse("usage_usec 9\n") is None
    assert quota.parse("") is None


def test_the_group_that_was_throttled_or_one_above_it(monkeypatch):
    groups = quota.throttled({"/a": (1, 10), "/b": (5, 50)}, {"/a": (4, 310), "/b": (5, 50), "/new": (2, 7)})
    assert groups == {"/a": {"cgroup": "/a", "times": 3, "total_us": 300}, "/new": {"cgroup": "/new", "times": 2, "total_us": 7}}
    files = {
        "/proc/1/cgroup": "0::/a/below\n",
        "/proc/2/cgroup": "4:memory:/a\n3:cpu,cpuacct:/b\n",
        "/proc/3/cgroup": "3:cpu,cpuacct:/new\n1:name=systemd:/a\n",
        "/proc/4/cgroup": "0::/\n",
    }
    monkeypatch.setattr(quota, "read_text", lambda path: files.get(path, ""))
    found = [quota.of_task(tid, groups) for tid in range(1, 6)]
    assert found == [groups["/a"], None, groups["/new"], None, None]
