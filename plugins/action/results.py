# SPDX-License-Identifier: GPL-3.0-or-later
"""Open and close the results folder of a scan. Works on the controller alone: no connection is made."""

from __future__ import annotations

import platform
import secrets
import time
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display

from ansible_collections.ksysak.fleet.plugins.module_utils._core.registry import ALL
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.documents import instant, scan_document
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.folder import ResultsError, ScanFolder
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.options import (
    WAIT_S,
    OptionsError,
    check_hosts,
    check_options,
    check_slice,
    check_start,
    check_wait,
)
from ansible_collections.ksysak.fleet.plugins.plugin_utils.usage import check

display = Display()


def new_scan_id() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()) + "-" + secrets.token_hex(2)


def _controller(task_vars: dict) -> dict:
    controller = {"ansible_core": ansible_version, "python": platform.python_version()}
    if task_vars.get("awx_job_id"):
        controller["awx_job_id"] = str(task_vars["awx_job_id"])[:32]
    return controller


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict:
        """Return {scan_id, folder, ...}: see the documentation of the module of this name."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "state": {"type": "str", "required": True, "choices": ["checked", "begun", "ended", "found"]},
                "results": {"type": "path", "default": ""},
                "scan_id": {"type": "str", "default": ""},
                "duration": {"type": "raw", "default": 20},
                "probes": {"type": "raw", "default": ALL},
                "probe_options": {"type": "raw", "default": {}},
                "wait": {"type": "raw", "default": WAIT_S},
                "slice": {"type": "raw", "default": ""},
                "slices": {"type": "raw", "default": ""},
                "start_at": {"type": "raw", "default": ""},
            },
        )
        check.packages()
        if args["state"] == "checked":
            check.play(self._task)
            check.names(task_vars)
        try:
            result.update(self._at(args, task_vars))
        except OptionsError as error:
            raise check.UsageError(str(error)) from None
        except ResultsError as error:
            raise (check.UsageError if args["state"] in ("checked", "found") else AnsibleActionFail)(str(error)) from None
        return result

    def _at(self, args: dict, task_vars: dict) -> dict:
        part = check_slice(args["slice"], args["slices"], str(task_vars.get("awx_job_id") or ""))
        if part and not args["scan_id"]:
            raise OptionsError(["ksysak_scan_id: slices of a scan share its name, so it must be given, the same for all of them"])
        folder = ScanFolder(args["results"], args["scan_id"] or new_scan_id(), part["name"] if part else "")
        answer = {"changed": False, "scan_id": folder.scan_id, "results": str(folder.root), "folder": str(folder.path)}
        if args["state"] == "found":
            folder.check_there()
            return answer
        if args["state"] == "ended":
            if not self._task.check_mode:
                folder.end(instant())
                answer["changed"] = True
            return {**answer, "states": folder.states()}
        hosts = [str(host) for host in task_vars["ansible_play_hosts_all"]]
        options = check_options(args["duration"], args["probes"], args["probe_options"])
        answer["wait_s"] = check_wait(args["wait"])
        start_s = check_start(args["start_at"], time.time())
        check_hosts(hosts)
        if args["state"] == "checked" or self._task.check_mode:
            folder.check_new()
            return {**answer, "options": options}
        if start_s:
            display.display(f"  scan {folder.scan_id}: begins in {start_s:.0f} s, at {args['start_at']}")
            time.sleep(start_s)
        document = scan_document(folder.scan_id, options, hosts, _controller(task_vars), part)
        folder.begin(document)
        return {**answer, "changed": True, "options": options, "started_at": document["started_at"]}
