# SPDX-License-Identifier: GPL-3.0-or-later
"""A detached probe: started, reported, stopped; and whatever may come between. With an engine that only counts."""

import os
import select
import signal
import socket
import time
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import service
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe, Unavailable


class Counting(Engine):
    """Counts its polls, and how often this copy of it was stopped."""

    NAME = "counting"

    def open(self):
        if self.options["fault"] == "unavailable":
            raise Unavailable("nothing to count", "Bring something.")

    def start(self, duration_s):
        if self.options["fault"] == "start":
            raise RuntimeError("the start broke")
        self.duration_s = duration_s
        self.polls = self.stops = 0

    def poll(self, timeout_s):
        if self.options["fault"] == "poll":
            raise RuntimeError("the poll broke")
        self.polls += 1
        time.sleep(min(timeout_s, 0.01))

    def stop(self):
        self.stops += 1

    def read(self, window_s):
        if self.options["fault"] == "read":
            raise RuntimeError("the reading broke")
        if self.options["fault"] == "hang":
            os.kill(os.getpid(), signal.SIGSTOP)
        return {"polls": self.polls, "stops": self.stops, "window_s": window_s, "duration_s": self.duration_s}


class CountingProbe(Probe):
    NAME = "counting_%d" % os.getpid()
    ENGINES = (Counting,)
    OPTIONS = {"fault": {"type": "str", "default": ""}}


@pytest.fixture
def probe():
    """Make a probe; whatever service is left is ended."""
    yield lambda fault="": CountingProbe({"fault": fault})
    info = service.ask(CountingProbe, "info")
    if info is not None:
        end(info["pid"])


def watch(pid):
    return os.pidfd_open(pid)


def gone(watched):
    """Wait for the end of a process; the limit is only there to fail instead of hanging."""
    return bool(select.select([watched], [], [], 60)[0])


def end(pid):
    watched = watch(pid)
    os.kill(pid, signal.SIGKILL)
    assert gone(watched)


def test_reports_go_on_and_a_stop_ends_it(probe):
    info, is_new = service.start(probe(), 600)
    assert is_new and (info["status"], info["engine"], info["ttl_s"], info["options"]) == ("ok", "counting", 600, {"fault": ""})
    watched = watch(info["pid"])
    assert os.getsid(info["pid"]) != os.getsid(0)
    first = service.ask(CountingProbe, "report")["result"]
    second = service.ask(CountingProbe, "report")["result"]
    last = service.ask(CountingProbe, "stop")
    assert last["service"] == info and last["result"]["data"]["duration_s"] == 600
    polls = [result["data"]["polls"] for result in (first, second, last["result"])]
    assert polls == sorted(polls) and polls[0] < polls[2]
    assert [result["data"]["stops"] for result in (first, second, last["result"])] == [1, 1, 1]
    assert (
        first["status"] == "ok" and first["window_s"] < last["result"]["window_s"] and first["started_at"] == last["result"]["started_at"]
    )
    assert service.ask(CountingProbe, "report") is None and service.ask(CountingProbe, "stop") is None
    again, is_new = service.start(probe(), 600)
    assert is_new and again["pid"] != info["pid"]
    assert gone(watched)


def test_a_second_start_is_the_same_or_refused(probe):
    info, _is_new = service.start(probe(), 600)
    assert service.start(probe(), 600) == (info, False)
    for other, ttl_s, said in ((probe("read"), 600, "fault: "), (probe(), 601, "ttl_s: 600")):
        with pytest.raises(service.Refused, match="with other options .*" + said):
            service.start(other, ttl_s)
    assert service.ask(CountingProbe, "info") == info


def test_it_ends_when_its_time_is_over(probe):
    info, _is_new = service.start(probe(), 1)
    assert gone(watch(info["pid"]))
    assert service.ask(CountingProbe, "report") is None


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_killed_it_is_gone_and_can_be_started_again(probe, number):
    info, _is_new = service.start(probe(), 600)
    watched = watch(info["pid"])
    os.kill(info["pid"], number)
    assert gone(watched)
    assert service.ask(CountingProbe, "report") is None
    again, is_new = service.start(probe(), 600)
    assert is_new and again["pid"] != info["pid"]


def test_it_survives_the_end_of_a_connection(probe):
    info, _is_new = service.start(probe(), 600)
    os.kill(info["pid"], signal.SIGHUP)
    assert service.ask(CountingProbe, "report")["result"]["status"] == "ok"
    assert {os.readlink("/proc/%d/fd/%d" % (info["pid"], number)) for number in (0, 1, 2)} == {os.devnull}
    assert os.readlink("/proc/%d/cwd" % info["pid"]) == "/"


@pytest.mark.parametrize(
    ("fault", "status", "said"), [("unavailable", "skipped", "nothing to count"), ("start", "failed", "the start broke")]
)
def test_what_cannot_run_says_why_and_nothing_runs(probe, fault, status, said):
    info, _is_new = service.start(probe(fault), 600)
    assert info["status"] == status and said in info["reason"] and info["remedy"]
    assert service.ask(CountingProbe, "info") is None


@pytest.mark.parametrize(("fault", "said"), [("poll", "the poll broke"), ("read", "the reading broke")])
def test_an_engine_that_breaks_says_so_until_it_is_stopped(probe, fault, said):
    info, _is_new = service.start(probe(fault), 600)
    for _report in range(2):
        result = service.ask(CountingProbe, "report")["result"]
        while fault == "poll" and result["status"] != "failed":  # asked before the first poll
            result = service.ask(CountingProbe, "report")["result"]
        assert result["status"] == "failed" and said in result["reason"]
    watched = watch(info["pid"])
    assert service.ask(CountingProbe, "stop")["result"]["status"] == "failed"
    assert gone(watched)


def test_a_report_that_hangs_is_refused_and_leaves_the_service_alone(probe):
    info, _is_new = service.start(probe("hang"), 600)
    with pytest.raises(service.Refused, match="did not answer"):
        service.ask(CountingProbe, "report", 0.5)
    assert service.ask(CountingProbe, "info") == info
    (copy,) = Path("/proc/%d/task/%d/children" % (info["pid"], info["pid"])).read_text().split()
    watched = watch(int(copy))
    end(info["pid"])
    assert gone(watched)


def test_a_caller_that_goes_away_or_talks_nonsense_is_no_harm(probe):
    info, _is_new = service.start(probe(), 600)
    with pytest.raises(service.Refused, match="did not answer"):
        service.ask(CountingProbe, "nonsense")
    assert service.ask(CountingProbe, "info") == info


def test_a_name_that_is_taken_is_said(probe):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind("\0ksysak.fleet/service/" + CountingProbe.NAME)
        with pytest.raises(service.Refused, match="is starting on this host, or its name is taken"):
            service.start(probe(), 600)


def test_other_users_are_not_listened_to(probe):
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    service.start(probe(), 600)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            service.ask(CountingProbe, "stop")
        except service.Refused:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert service.ask(CountingProbe, "info") is not None
