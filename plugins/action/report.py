# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the report of a scan from its results folder. Works on the controller alone: no connection is made."""

from __future__ import annotations

import json
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import build, load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy import policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import assets, digest, html, write

display = Display()

BAD_INPUT = (load.ResultsError, policy.PolicyError, known_bugs.KnownBugsError, assets.AssetError, write.WriteError)


def make(args: dict, check_mode: bool) -> dict:
    """Return what the task returns. args: the task's options. Raises one of BAD_INPUT."""
    folder = load.find(args["results"], args["scan_id"] or None)
    dest = Path(args["dest"] or folder / "report.html")
    json_dest = Path(args["json_dest"] or dest.with_name("fleet.json"))
    write.check(dest, "ksysak_report")
    write.check(json_dest, "json_dest")
    parts = assets.Assets(args["assets"])
    fleet = build.build(folder, policy.load(args["policies"], args["policy_overrides"]), known_bugs.load(args["known_bugs"]))
    page = html.render(fleet, parts)
    if not check_mode:
        write.write(json_dest, json.dumps(fleet, indent=1, allow_nan=False) + "\n", "json_dest")
        write.write(dest, page, "ksysak_report")
    return {
        "changed": True,
        "scan_id": fleet["scan"]["scan_id"],
        "results": str(folder),
        "report": str(dest),
        "fleet": str(json_dest),
        "report_bytes": len(page.encode("utf-8", "replace")),
        "verdict": fleet["verdict"],
        "hosts": fleet["counts"]["hosts"],
        "findings": fleet["counts"]["groups"],
        "problems": len(fleet["problems"]),
        "digest": digest.digest(fleet),
    }


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Return {report, fleet, digest, …}: see the documentation of the module of this name."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "results": {"type": "path", "required": True},
                "scan_id": {"type": "str", "default": ""},
                "dest": {"type": "path"},
                "json_dest": {"type": "path"},
                "policies": {"type": "list", "elements": "path", "default": []},
                "policy_overrides": {"type": "dict", "default": {}},
                "known_bugs": {"type": "list", "elements": "path", "default": []},
                "assets": {"type": "path", "required": True},
            },
        )
        try:
            result.update(make(args, self._task.check_mode))
        except BAD_INPUT as error:
            raise AnsibleActionFail(str(error)) from None
        written = [f"Report: {result['report']}", f"Results: {result['results']}"]
        # Shown here and not by a debug task: whatever the format of results is, these are lines.
        for line in ["", *result["digest"], *(["Nothing was written: this is check mode."] if self._task.check_mode else written), ""]:
            display.display(line)
        return result
