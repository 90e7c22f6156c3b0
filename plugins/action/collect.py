# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait for the scan of one host, check what it sends, write the host's document, and leave nothing on the host."""

from __future__ import annotations

import calendar
import collections
import fcntl
import functools
import os
import re
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.documents import Outcome, host_document, plain
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.folder import ResultsError, ScanFolder

SETUP_S = 2  # from the launch to the begin of the window, at least
FIRST_INTERVAL_S = 1.0
LONGEST_INTERVAL_S = 10.0
CONNECTION_TRIES = 3
STOP_WITHIN_S = 30
CELL_CHARS = 200  # of a reason in the table of check mode
WRAPPING = re.compile(r"^((Task|Action) failed: )+")  # what ansible-core 2.19 puts before a message
JOB_ID = re.compile(r"j[0-9]+\.[0-9]+")
# Folders in memory, for a host where Ansible's own folders cannot be written. Every user may write to the first, root to the second.
MEMORY = ("/dev/shm", "/run")
# Ansible and the kernel have no common word for it; sftp says no more than that the transfer failed.
NOT_WRITABLE = re.compile(
    r"temporary directory|No space left on device|Read-only file system|Disk quota exceeded|could not create: |failed to transfer file",
    re.IGNORECASE,
)
# What sudo prints where its sudoers file has requiretty. With pipelining, Ansible runs a module without a terminal.
TTY_REFUSED = "you must have a tty to run sudo"
TTY_REMEDY = "set ansible_pipelining: false for this host, or Defaults:USER !requiretty in its sudoers file"

display = Display()


def _lines(text: object) -> list[str]:
    return [line.strip() for line in str(text or "").splitlines() if line.strip()]


def _gist(text: object) -> str:
    """Return the line of a message that says most: the last one of a traceback, the first one of anything else."""
    lines = _lines(text)
    if not lines:
        return ""
    return lines[-1] if any(line.startswith("Traceback") for line in lines) else lines[0]


def needs_tty(result: dict) -> bool:
    """Tell whether sudo refused to run a module because it had no terminal."""
    return any(TTY_REFUSED in str(result.get(name)) for name in ("msg", "module_stderr", "module_stdout"))


def reason_of(result: dict) -> str:
    """Return why a module failed, in one line: its message, and what it printed as an error.

    Of that the last line counts: banners and warnings of the connection come first.
    """
    if needs_tty(result):
        return f"sudo: sorry, {TTY_REFUSED}: {TTY_REMEDY}"
    message = WRAPPING.sub("", _gist(result.get("msg")))
    printed = "".join(_lines(result.get("module_stderr"))[-1:])
    if message and printed and printed not in message:
        return f"{message} ({printed})"
    return message or printed or _gist(result.get("stderr")) or "no reason was given"


def is_not_writable(text: object) -> bool:
    """Tell whether Ansible could not write a file on a host. text: a message of a task, or an error."""
    return NOT_WRITABLE.search(str(text)) is not None


def outcome_of(result: dict) -> Outcome:
    """Return the outcome that the finished module's result stands for."""
    if result.get("msg") == "could not find job":
        return Outcome("lost", "the scan was launched, but its job is gone from the host")
    if result.get("failed"):
        return Outcome("failed", f"the scan failed: {reason_of(result)}")
    if result.get("scan") is None:
        return Outcome("failed", f"the scan ended without a result: {reason_of(result)}")
    return Outcome("scanned", scan=result["scan"])


def preflight_of(host: str, job: dict) -> dict:
    """Return {state, reason, table} of a scan in check mode. table: a list of lines, one per probe."""
    rows = job.get("preflight")
    if job.get("unreachable"):
        state, reason = "unreachable", reason_of(job)
    elif job.get("failed") or not isinstance(rows, list):
        state, reason = "failed", reason_of(job)
    else:
        good = [row for row in rows[:32] if isinstance(row, dict)]
        columns = (("probe", 32), ("status", 16), ("engine", 32), ("reason", CELL_CHARS))
        cells = [[plain(row.get(key, ""), limit) for key, limit in columns] for row in good]
        lines = [f"{plain(host, 60):<24} {probe:<14} {status:<9} {engine:<10} {why}".rstrip() for probe, status, engine, why in cells]
        return {"state": "checked", "reason": "", "table": lines}
    line = f"{plain(host, 60):<24} {'-':<14} {state:<9} {'-':<10} {plain(reason, CELL_CHARS)}"
    return {"state": state, "reason": plain(reason), "table": [line]}


class Progress:
    """One line now and then while hosts are measured, complete in itself: it is read in log files too.

    Of all the workers that wait, one shows it.
    """

    def __init__(self, folder: ScanFolder, hosts: list[str], duration: float):
        self._folder = folder
        self._hosts = len(hosts)
        self._files = {folder.host_file(host) for host in hosts}  # a slice of the same scan writes others
        self._step_s = max(5.0, duration / 10)
        self._next = time.monotonic() + self._step_s
        self._lock: int | None = None
        self._states: dict[Path, str] = {}

    def __enter__(self) -> Progress:
        try:
            self._lock = os.open(self._folder.hosts, os.O_RDONLY)
        except OSError:
            self._lock = None  # no folder yet, then no lines: nothing else depends on them
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            os.close(self._lock)

    def _is_ours(self) -> bool:
        if self._lock is None:
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def show(self, left_s: float) -> None:
        """Show a line when it is time for one. left_s: seconds to the end of the window; below 0 after it."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + self._step_s
        if self._is_ours():
            all_states = self._folder.states_by_file(self._states)
            states = collections.Counter(state for path, state in all_states.items() if path in self._files)
            collected, reported = states["scanned"], sum(states.values())
            doing, end = ("measuring", f"{left_s:.0f} s left") if left_s >= 1 else ("to be collected", "the window has ended")
            display.display(
                f"  scan {self._folder.scan_id}: {self._hosts} launched, {self._hosts - reported} {doing}, {collected} collected, "
                f"{reported - collected} failed; {end}"
            )


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict:
        """Return {state, reason, path, probes}: see the documentation of the module of this name."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "job": {"type": "dict"},
                "stop": {"type": "bool", "default": False},
                "scan_id": {"type": "str", "required": True},
                "results": {"type": "path", "required": True},
                "duration": {"type": "int"},
                "started_at": {"type": "str"},
                "scan": {"type": "dict"},
                "overtime": {"type": "int", "default": 320},
            },
            mutually_exclusive=[("job", "stop")],
            required_if=[("stop", False, ("job", "duration"))],
        )
        host = task_vars["inventory_hostname"]
        self._vars, self._host, self._began = task_vars, host, time.time()
        result["changed"] = False
        if self._task.check_mode:
            result.update(preflight_of(host, args["job"] or {}))
            return result
        try:
            folder = ScanFolder(args["results"], args["scan_id"])
            self._file = folder.host_file(host)
            outcome = self._stop(args) if args["stop"] else self._outcome(args, folder)
            if args["stop"]:
                is_kept = outcome.state != "scanned" and self._file.exists()
            else:
                is_kept = outcome.state == "lost" and self._is_collected()
            if is_kept:
                return {**result, "state": "kept", "reason": "", "path": str(self._file), "probes": {}}
            document = host_document(host, list(task_vars.get("group_names") or []), args["scan_id"], outcome)
            path = folder.write_host(document)
        except ResultsError as error:
            raise AnsibleActionFail(str(error)) from None
        probes = {name: envelope["status"] for name, envelope in document["probes"].items()}
        return {**result, "changed": True, "state": document["state"], "reason": document["reason"], "path": str(path), "probes": probes}

    def _outcome(self, args: dict, folder: ScanFolder) -> Outcome:
        job = args["job"]
        failed = job.get("unreachable") or job.get("failed")
        if failed and args["scan"] and is_not_writable(f"{job.get('msg')} {job.get('module_stderr')}"):
            job, args = self._launched_from_memory(job, args), {**args, "started_at": None}
        if job.get("unreachable"):
            return Outcome("unreachable", reason_of(job))
        if job.get("failed"):
            return Outcome("failed", f"the scan could not be launched: {reason_of(job)}")
        if job.get("skipped"):
            return Outcome("failed", "the scan was skipped on this host")
        if not job.get("ansible_job_id"):
            return outcome_of(job)  # launched without async: this is the result already
        return self._wait_for(str(job["ansible_job_id"]), args, folder)

    def _launched_from_memory(self, job: dict, args: dict) -> dict:
        """Launch the scan again with all files in memory. Returns the result of that; the first one with more reasons if it fails too.

        A read-only or full disk is what a diagnosis is for.
        """
        reasons = []
        self._task.async_val = args["duration"] + args["overtime"]
        try:
            for folder in MEMORY:
                self._use_folder(folder, args["scan_id"])
                try:
                    again = self._execute_module("ksysak.fleet.scan", module_args=args["scan"], task_vars=self._vars, wrap_async=True)
                except AnsibleError as error:
                    again = {"failed": True, "msg": str(error)}
                if again.get("ansible_job_id"):
                    display.display(f"  {plain(self._host, 60)}: scanned from {folder}, because {plain(reason_of(job), 200)}")
                    return again
                reasons.append(f"{folder}: {reason_of(again)}")
        finally:
            self._task.async_val = 0  # or Ansible would wait for the job itself
        advice = "Free space, or name a folder that can be written in ansible_remote_tmp and ksysak_async_dir"
        return {**job, "msg": f"{reason_of(job)}; in memory neither ({plain('; '.join(reasons), 600)}). {advice}", "module_stderr": ""}

    def _use_folder(self, folder: str, scan_id: str) -> None:
        """Let Ansible, the job and the scan keep their files in a folder of the host."""
        shell = self._connection._shell
        shell.tmpdir = None
        shell.set_option("remote_tmp", folder)
        shell.set_option("async_dir", self._memory_dir(folder, scan_id))
        self.__dict__.pop("_async_dir", None)  # the value that is kept
        self._task.environment = [*(self._task.environment or []), {"TMPDIR": folder}]

    @staticmethod
    def _memory_dir(folder: str, scan_id: str) -> str:
        return f"{folder}/.ansible_async-ksysak-{scan_id}"

    def _wait_for(self, job_id: str, args: dict, folder: ScanFolder) -> Outcome:
        """Sleep through the window, which polls would only disturb, and then ask until the job has ended."""
        if not JOB_ID.fullmatch(job_id):
            return Outcome("failed", f"the host named a job that cannot be: {job_id}")
        now = time.monotonic()
        window_ends = now + self._left_s(args)
        deadline = now + args["duration"] + args["overtime"]
        with Progress(folder, list(self._vars.get("ansible_play_hosts_all") or []), args["duration"]) as progress:
            self._sleep_until(window_ends, window_ends, progress)
            try:
                result = self._poll(job_id, window_ends, deadline, progress)
            except AnsibleError as error:
                return Outcome("lost", f"the host was lost after the launch: {error}")
        self._remove_job(job_id)
        if result is None:
            return Outcome("lost", f"no answer within {args['duration'] + args['overtime']} s of the launch")
        return outcome_of(result)

    def _is_collected(self) -> bool:
        """Tell whether another play, which stopped this scan, has written the document of this host since the wait for it began."""
        try:
            return self._file.stat().st_mtime >= self._began
        except OSError:
            return False

    def _left_s(self, args: dict) -> float:
        """Seconds until the scan can be at its end, going by the controller's clock."""
        left_s = args["duration"] + SETUP_S
        if args["started_at"]:
            started = calendar.timegm(time.strptime(args["started_at"], "%Y-%m-%dT%H:%M:%SZ"))
            left_s -= min(max(time.time() - started, 0), left_s)
        return left_s

    def _sleep_until(self, instant: float, window_ends: float, progress: Progress) -> None:
        """Sleep; no longer than until the scan was stopped and collected elsewhere."""
        while (rest := instant - time.monotonic()) > 0 and not self._is_collected():
            time.sleep(min(rest, 1.0))
            progress.show(window_ends - time.monotonic())

    def _poll(self, job_id: str, window_ends: float, deadline: float, progress: Progress) -> dict | None:
        """Return the result of the finished job, None after the deadline. Raises AnsibleError when the host is not reached."""
        interval_s, tries = FIRST_INTERVAL_S, 0
        while True:
            try:
                status = self._job_status(job_id)
                tries = 0
                if status.get("finished") or status.get("failed"):
                    return status
            except AnsibleError:
                tries += 1
                if tries == CONNECTION_TRIES:
                    raise
            now = time.monotonic()
            if now >= deadline:
                return None
            self._sleep_until(min(now + interval_s, deadline), window_ends, progress)
            interval_s = min(interval_s * 1.5, LONGEST_INTERVAL_S)

    @functools.cached_property
    def _async_dir(self) -> str:
        """The folder of the job as an absolute path on the host.

        Ansible's async wrapper takes ~ from HOME, after the change of the user. So does this; ActionBase's own
        expansion asks for the user's entry in passwd, which may name another folder.
        """
        path = self.get_shell_option("async_dir", default="~/.ansible_async")
        if not path.startswith("~/"):
            return path
        home = self._shell("echo ~")
        if not home:
            raise AnsibleError(f"the host did not tell the home folder for {path}")
        return self._connection._shell.join_path(home[-1], path[2:])

    def _module(self, **call: Any) -> dict:
        """Run a module as _execute_module does; on a host whose sudo requires a terminal without pipelining.

        The launch of a job is never pipelined: such a host measures, and its result is worth more than a way to fetch it.
        """
        answer = self._execute_module(**call)
        if not needs_tty(answer) or not self._is_pipelined():
            return answer
        self._connection.set_option("pipelining", False)
        display.display(f"  {plain(self._host, 60)}: collected without pipelining, because {reason_of(answer)}")
        return self._execute_module(**call)

    def _is_pipelined(self) -> bool:
        try:
            return bool(self._connection.get_option("pipelining"))
        except (KeyError, AttributeError, ValueError):  # this kind of connection has no such option
            return False

    def _job_status(self, job_id: str) -> dict:
        return self._module(
            module_name="ansible.legacy.async_status",
            module_args={"jid": job_id, "mode": "status", "_async_dir": self._async_dir},
            task_vars=self._vars,
        )

    def _shell(self, command: str) -> list[str]:
        """Run a line of shell on the host and return the lines it prints."""
        return self._low_level_execute_command(command).get("stdout_lines", [])

    def _remove_job(self, job_id: str) -> None:
        """Remove the job's file, and the folder when it was the last. A host that is gone cannot be cleaned."""
        shell = self._connection._shell
        path = shell.join_path(self._async_dir, job_id)
        try:
            self._shell(f"rm -f {shell.quote(path)} {shell.quote(path + '.tmp')}; rmdir {shell.quote(self._async_dir)} 2>/dev/null; true")
        except AnsibleError as error:
            display.vv(f"{path} was not removed: {error}", host=self._vars["inventory_hostname"])

    def _stop(self, args: dict) -> Outcome:
        """End the scan on the host early; also one that was just being launched when the controller was interrupted."""
        try:
            outcome = self._ended(args)
            for folder in MEMORY if is_not_writable(outcome.reason) else ():
                self._use_folder(folder, args["scan_id"])
                outcome = self._ended(args)
                if not is_not_writable(outcome.reason):
                    break
        except AnsibleError as error:
            return Outcome("unreachable", f"the host was not reached to stop the scan: {error}")
        return outcome

    def _ended(self, args: dict) -> Outcome:
        """End the scan, with the folders that Ansible uses now. Raises AnsibleError when the host is not reached."""
        deadline = time.monotonic() + STOP_WITHIN_S
        scan, refusal = None, None
        while True:
            try:
                answer = self._module(
                    module_name="ksysak.fleet.scan",
                    module_args={"state": "stopped", "scan_id": args["scan_id"]},
                    task_vars=self._vars,
                )
            except AnsibleError as error:
                if is_not_writable(error):
                    return Outcome("failed", str(error))
                raise
            scan = answer.get("scan") or scan
            refusal = Outcome("failed", reason_of(answer)) if answer.get("failed") else None
            jobs = {job_id: self._job_status(job_id) for job_id in self._jobs()}
            if all(job.get("finished") for job in jobs.values()) or time.monotonic() >= deadline:
                break
            time.sleep(FIRST_INTERVAL_S)
        for job_id in jobs:
            self._remove_job(job_id)
        ended = [outcome_of(job) for job in jobs.values() if job.get("finished")]
        if scan is not None:
            return Outcome("scanned", scan=scan)
        return next(iter(ended), refusal) or Outcome("lost", "the scan was interrupted before this host was measured")

    def _jobs(self) -> list[str]:
        lines = self._shell(f"ls {self._connection._shell.quote(self._async_dir)} 2>/dev/null; true")
        return [line for line in lines if JOB_ID.fullmatch(line)]
