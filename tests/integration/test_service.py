# SPDX-License-Identifier: GPL-3.0-or-later
"""A detached runlatency in separate tasks of Ansible, with its real probe on this machine."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.tests.integration.test_probes import bpf_programs, eventually, traces_on_host, validate_data

pytestmark = pytest.mark.usefixtures("root")


class Task:
    """One task of Ansible a call, on this machine."""

    def __init__(self, ansible):
        self.ansible = ansible

    def __call__(self, *arguments, **options):
        # Without bcc: the module finds the Python that has it.
        python = str(self.ansible.bin_dir / "python")
        done = self.ansible.adhoc(
            "target", "-i", "target,", "-c", "local", "-e", "ansible_python_interpreter=" + python,
            "-m", "ksysak.fleet.runlatency_facts", "-a", json.dumps(options), *arguments,
        )  # fmt: skip
        self.said = done.stderr
        return json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("=> ") + 3)[0]


@pytest.fixture
def task(ansible):
    run = Task(ansible)
    yield run
    run(state="stopped")


def facts(result):
    envelope = result["ansible_facts"]["ksysak_runlatency"]
    assert (envelope["engine"], bool(envelope["data"])) == ("bcc", True), envelope["reason"]
    validate_data(envelope["schema"], envelope["data"])
    return envelope


def test_three_steps_in_separate_tasks(task):
    clean, before = traces_on_host(), bpf_programs()
    assert task("--check", state="started")["changed"] is True
    started = task(state="started", ttl_s=600)
    assert started["changed"] is True and started["service"]["status"] == "ok", started
    ended = os.pidfd_open(started["service"]["pid"])
    again = task(state="started", ttl_s=600)
    assert (again["changed"], again["service"]) == (False, started["service"])
    other = task(state="started", ttl_s=600, runq_us=7)
    assert "with other options (runq_us: 1000)" in other["msg"]
    first, second = facts(task(state="reported")), facts(task(state="reported"))
    assert 0 < first["data"]["count"] < second["data"]["count"] and first["window_s"] < second["window_s"]
    assert task("--check", state="stopped")["changed"] is True
    stopped = task(state="stopped")
    last = facts(stopped)
    assert stopped["changed"] is True and second["data"]["count"] < last["data"]["count"]
    assert last["started_at"] == first["started_at"] == started["service"]["started_at"]
    assert select.select([ended], [], [], 60)[0]
    eventually(lambda: not bpf_programs() - before, "the kernel let go of the programs")
    assert traces_on_host() == clean


@pytest.fixture
def busy():
    """Two processes that wake each other all the time."""
    talk = """if True:
        import ctypes, os, signal
        (a, b), (c, d) = os.pipe(), os.pipe()
        heard, said = (a, d) if os.fork() else (c, b)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: both end with the test, however that ends
        os.write(b, b"1")
        while os.read(heard, 1):
            os.write(said, b"1")"""
    with subprocess.Popen([sys.executable, "-c", talk], start_new_session=True) as process:
        yield
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.usefixtures("busy")
def test_what_is_read_while_it_goes_on_is_not_more_by_task_than_in_all(task):
    task(state="started", ttl_s=600, top=1000)
    count = 0
    for _unused in range(3):
        data = facts(task(state="reported"))["data"]
        assert sum(row["count"] for row in data["tasks"]) <= data["count"] > count
        count = data["count"]


def test_without_a_start_a_report_fails_and_a_stop_changes_nothing(task):
    reported = task(state="reported")
    assert "is not running on this host" in reported["msg"] and "state: started" in reported["msg"]
    stopped = task(state="stopped")
    assert (stopped["changed"], stopped["service"]) == (False, None) and "is not running" in stopped["msg"]


def test_killed_nothing_is_left_behind(task):
    clean, before = traces_on_host(), bpf_programs()
    pid = task(state="started")["service"]["pid"]
    assert bpf_programs() - before
    assert Path("/proc/%d/comm" % pid).read_text() == "ksysak-service\n"
    ended = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    assert select.select([ended], [], [], 60)[0]
    eventually(lambda: not bpf_programs() - before, "the kernel let go of the programs")
    assert traces_on_host() == clean
    assert "is not running on this host" in task(state="reported")["msg"]


def test_its_time_to_live_ends_it(task):
    before = bpf_programs()
    pid = task(state="started", ttl_s=2)["service"]["pid"]
    with contextlib.suppress(ProcessLookupError):  # by now it may have ended
        assert select.select([os.pidfd_open(pid)], [], [], 60)[0]
    eventually(lambda: not bpf_programs() - before, "the kernel let go of the programs")


def test_a_measurement_beside_it_says_so(task):
    task(state="started")
    facts(task(duration=1))
    assert "runlatency is also running detached on this host" in task.said.replace("\n", " ")


@pytest.mark.parametrize("ttl_s", [0, -1, 604801])
def test_a_wrong_time_to_live_is_refused(task, ttl_s):
    assert "ttl_s must be between 1 and 604800" in task(state="started", ttl_s=ttl_s)["msg"]
