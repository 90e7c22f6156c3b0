# SPDX-License-Identifier: GPL-3.0-or-later
"""The waiting of collect, against a host and a clock that are played."""

import json
import types

import pytest
from ansible.errors import AnsibleActionFail, AnsibleConnectionFailure
from ansible.plugins.shell.sh import ShellModule

from ansible_collections.ksysak.fleet.plugins.action import collect
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.folder import ScanFolder
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate

SYSTEM = {
    "kernel": "6.1.0",
    "arch": "x86_64",
    "distribution": "Debian",
    "cpus": 2,
    "memory_bytes": 1,
    "virtualization": "none",
    "boot_id": "x",
    "uptime_s": 1.5,
    "modules": [],
}
SCAN = {"collection_version": "0.1.0", "system": SYSTEM, "probes": {}}
JOB = {"started": 1, "finished": 0, "ansible_job_id": "j12.34", "changed": True}
RUNNING = {"started": 1, "finished": 0}
FINISHED = {"finished": 1, "changed": False, "scan": SCAN}
REFUSED = "sudo: sorry, you must have a tty to run sudo"
NO_TTY = {"failed": True, "msg": "MODULE FAILURE", "module_stderr": f"Warning: Permanently added 'web1'\n{REFUSED}\n"}
GONE = AnsibleConnectionFailure("No route to host")


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 1000.0

    def sleep(self, seconds):
        self.now += seconds

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(collect.time, "sleep", clock.sleep)
    monkeypatch.setattr(collect.time, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def lines(monkeypatch):
    shown = []
    monkeypatch.setattr(collect.display, "display", shown.append)
    return shown


class Host(collect.ActionModule):
    """A host that answers each question with the next of its answers, the last one again and again."""

    def __init__(self, clock, results, check_mode, answers, files, args):
        task = types.SimpleNamespace(async_val=0, check_mode=check_mode, diff=False, args=args, action="collect")
        self.options = {"pipelining": True}
        connection = types.SimpleNamespace(_shell=ShellModule(), get_option=self.options.__getitem__, set_option=self.options.__setitem__)
        super().__init__(task, connection, types.SimpleNamespace(), None, None, None)
        self.clock, self.begin = clock, clock.now
        self.results = results
        self.answers, self.files = list(answers), files
        self.asked, self.shell_lines = [], []

    def _execute_module(self, module_name, module_args, task_vars):
        what = module_args.get("jid") or module_args["state"]
        self.asked.append((what, self.clock.now - self.begin))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _low_level_execute_command(self, command):
        if command == "echo ~":
            return {"stdout_lines": ["Welcome", "/root"]}
        self.shell_lines.append(command)
        return {"stdout_lines": self.files if command.startswith("ls") else []}

    def get_shell_option(self, option, default=None):
        return "~/.ansible_async-ksysak-night"

    def document(self, name="web1"):
        document = json.loads(ScanFolder(str(self.results), "night").host_file(name).read_text())
        validate(document)
        return document


@pytest.fixture
def host(clock, tmp_path):
    def play(*answers, name="web1", check_mode=False, files=(), **args):
        args = {"scan_id": "night", "results": str(tmp_path / "results"), **args}
        if not args.get("stop"):
            args = {"duration": 60, "job": JOB, **args}
        action = Host(clock, args["results"], check_mode, answers, list(files), args)
        task_vars = {"inventory_hostname": name, "group_names": ["web"], "ansible_play_hosts_all": ["web1", "web2"]}
        action.returned = action.run(None, task_vars)
        return action

    return play


def test_no_host_is_disturbed_during_its_window(host):
    played = host(RUNNING, FINISHED)
    times = [time for _what, time in played.asked]
    assert len(times) == 2
    assert times[0] >= 60
    assert played.returned["state"] == "scanned"
    assert played.document()["system"] == SYSTEM
    assert played.document()["groups"] == ["web"]


def test_time_that_has_passed_since_the_launch_counts(host, monkeypatch):
    monkeypatch.setattr(collect.time, "time", lambda: collect.calendar.timegm((2026, 11, 23, 3, 9, 30)))
    played = host(FINISHED, started_at="2026-11-23T03:08:00Z")
    assert played.asked == [("j12.34", 0)]


def test_a_clock_that_was_set_back_does_not_make_the_wait_longer(host, monkeypatch):
    monkeypatch.setattr(collect.time, "time", lambda: 0)
    assert host(FINISHED, started_at="2026-11-23T03:08:00Z").asked[0][1] < 70


def test_the_job_is_removed_from_the_host(host):
    played = host(FINISHED)
    folder = "/root/.ansible_async-ksysak-night"
    assert played.shell_lines == [f"rm -f {folder}/j12.34 {folder}/j12.34.tmp; rmdir {folder} 2>/dev/null; true"]


def test_polls_become_rare_and_end_at_the_deadline(host):
    played = host(RUNNING, overtime=75)
    times = [time for _what, time in played.asked]
    gaps = [later - earlier for earlier, later in zip(times, times[1:], strict=False)]
    assert gaps[:-1] == sorted(gaps[:-1])
    assert max(gaps) <= 10
    assert times[-1] == pytest.approx(135)
    assert played.returned["state"] == "lost"
    assert "135 s" in played.document()["reason"]
    assert played.shell_lines[0].startswith("rm -f ")


def test_where_sudo_requires_a_terminal_the_result_is_fetched_without_pipelining(host, lines):
    played = host(NO_TTY, RUNNING, FINISHED)
    assert (played.document()["state"], played.options) == ("scanned", {"pipelining": False})
    assert len(played.asked) == 3
    (line,) = [line for line in lines if "without pipelining" in line]
    assert line == f"  web1: collected without pipelining, because {REFUSED}: {collect.TTY_REMEDY}"


def test_sudo_that_refuses_without_pipelining_too_is_the_reason(host, lines):
    played = host(NO_TTY)
    assert len(played.asked) == 2
    assert played.document()["reason"] == f"the scan failed: {REFUSED}: {collect.TTY_REMEDY}"


def test_a_connection_that_has_no_pipelining_is_not_asked_again(host, monkeypatch):
    monkeypatch.setattr(Host, "_is_pipelined", lambda self: collect.ActionModule._is_pipelined(types.SimpleNamespace(_connection=object())))
    assert len(host(NO_TTY).asked) == 1


def test_a_host_that_is_gone_is_lost_after_a_few_tries(host):
    played = host(GONE)
    assert len(played.asked) == collect.CONNECTION_TRIES
    assert played.document()["state"] == "lost"
    assert "No route to host" in played.document()["reason"]


def test_a_short_break_of_the_connection_loses_nothing(host):
    assert host(GONE, GONE, RUNNING, GONE, GONE, FINISHED).document()["state"] == "scanned"


@pytest.mark.parametrize(
    ("job", "state", "reason"),
    [
        ({"unreachable": True, "msg": "timed out"}, "unreachable", "timed out"),
        ({"failed": True, "msg": "no python", "module_stderr": "sh: 1: python3: not found\n"}, "failed", "python3: not found"),
        ({"failed": True, "msg": "Traceback (most recent call last):\n x\nKeyError: 1"}, "failed", "KeyError: 1"),
        ({"failed": True}, "failed", "no reason was given"),
        ({"failed": True, "msg": "MODULE FAILURE", "module_stderr": "For staff only\n\nsh: no python3\n"}, "failed", "(sh: no python3)"),
        ({"failed": True, "msg": "no JSON", "module_stderr": f"Hello\n{REFUSED}\n"}, "failed", f"{REFUSED}: set ansible_pipelining: false"),
        ({"failed": True, "msg": f"MODULE FAILURE: {REFUSED}\nbye"}, "failed", "or Defaults:USER !requiretty in its sudoers file"),
        ({"skipped": True}, "failed", "skipped"),
        ({**JOB, "ansible_job_id": "../../x; reboot"}, "failed", "a job that cannot be"),
    ],
)
def test_a_scan_that_was_not_launched(host, job, state, reason):
    played = host(job=job)
    assert played.document()["state"] == played.returned["state"] == state
    assert reason in played.document()["reason"]
    assert not played.asked + played.shell_lines


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        ({"failed": True, "finished": 1, "msg": "could not find job"}, "lost", "its job is gone"),
        ({"failed": True, "finished": True, "msg": "Timeout exceeded"}, "failed", "Timeout exceeded"),
        ({"failed": True, "msg": "MODULE FAILURE", "module_stderr": "Killed"}, "failed", "Killed"),
        ({"finished": 1, "scan": None}, "failed", "without a result"),
        ({"finished": 1, "scan": {**SCAN, "host": "web2"}}, "failed", "was refused"),
        ({"finished": 1, "scan": [SCAN]}, "failed", "was refused"),
    ],
)
def test_a_scan_without_a_usable_result(host, answer, state, reason):
    played = host(answer)
    assert played.document()["state"] == state
    assert reason in played.document()["reason"]


def test_a_scan_that_ran_without_async(host):
    played = host(job={"changed": False, "scan": SCAN})
    assert played.document()["state"] == "scanned"
    assert not played.asked


def test_the_name_is_the_one_of_the_inventory(host, tmp_path):
    played = host(FINISHED, name="../../../x")
    assert played.document("../../../x")["host"] == "../../../x"
    assert [path.parent.name for path in tmp_path.rglob("*.json")] == ["hosts"]


def test_a_folder_that_cannot_be_written(host, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(AnsibleActionFail, match="ksysak_results: cannot write to "):
        host(FINISHED, results=str(tmp_path / "file"))


TWO = ["web1", "web2"]


def test_one_of_the_waiting_shows_the_progress(host, lines, clock, tmp_path):
    folder = ScanFolder(str(tmp_path / "results"), "night")
    folder.hosts.mkdir(parents=True)
    host(FINISHED)
    assert 5 <= len(lines) <= 10
    assert lines[0] == "  scan night: 2 launched, 2 measuring, 0 collected, 0 failed; 56 s left"
    del lines[:]
    with collect.Progress(folder, TWO, 60) as leader, collect.Progress(folder, TWO, 60) as other:
        clock.sleep(7)
        leader.show(53)
        other.show(53)
        folder.write_host({**json.loads(folder.host_file("web1").read_text()), "host": "web2", "state": "lost"})
        clock.sleep(7)
        leader.show(0)
    assert lines == [
        "  scan night: 2 launched, 1 measuring, 1 collected, 0 failed; 53 s left",
        "  scan night: 2 launched, 0 to be collected, 1 collected, 1 failed; the window has ended",
    ]


def test_check_mode_shows_what_could_be_measured_and_writes_nothing(host, tmp_path):
    rows = [{"probe": "memleak", "engine": "bcc", "status": "ok", "reason": "", "remedy": ""}]
    played = host(check_mode=True, job={"preflight": rows, "scan": None})
    assert [line.split() for line in played.returned["table"]] == [["web1", "memleak", "ok", "bcc"]]
    assert host(check_mode=True, job={"unreachable": True, "msg": "timed out"}).returned["state"] == "unreachable"
    assert not list(tmp_path.iterdir())


STOPPED = {"changed": True, "scan": SCAN}
NOTHING = {"changed": False, "scan": None}


def test_stop_collects_what_was_measured(host):
    played = host(STOPPED, FINISHED, stop=True, files=["j12.34", "x y", "j12.34.tmp"])
    assert [what for what, _time in played.asked] == ["stopped", "j12.34"]
    assert played.document()["state"] == "scanned"
    assert "rm -f /root/.ansible_async-ksysak-night/j12.34 " in played.shell_lines[-1]


def test_stop_waits_for_a_scan_that_is_just_starting(host):
    played = host(NOTHING, RUNNING, STOPPED, FINISHED, stop=True, files=["j12.34"])
    assert [what for what, _time in played.asked] == ["stopped", "j12.34", "stopped", "j12.34"]
    assert played.document()["state"] == "scanned"


def test_stop_collects_a_scan_that_had_ended(host):
    assert host(NOTHING, FINISHED, stop=True, files=["j12.34"]).document()["state"] == "scanned"


def test_stop_says_why_a_scan_had_failed(host):
    played = host(NOTHING, {"failed": True, "finished": 1, "msg": "another scan is running"}, stop=True, files=["j12.34"])
    assert played.document()["state"] == "failed"
    assert "another scan is running" in played.document()["reason"]


def test_stop_gives_up_a_job_without_a_process(host):
    played = host(NOTHING, *[RUNNING, NOTHING] * 99, stop=True, files=["j12.34"])
    assert played.document()["state"] == "lost"
    assert played.clock.now - played.begin <= collect.STOP_WITHIN_S + 1
    assert "rm -f " in played.shell_lines[-1]


def test_stop_keeps_what_was_collected_before(host):
    host(FINISHED)
    for answer in (NOTHING, GONE):
        played = host(answer, stop=True)
        assert played.returned["state"] == "kept"
        assert played.document()["state"] == "scanned"


def test_stop_of_a_host_that_is_not_reached(host):
    assert host(GONE, stop=True).document()["state"] == "unreachable"
