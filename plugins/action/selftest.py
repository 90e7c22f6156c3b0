# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what the probes reported with the ground truth, and write the verdicts. Works on the controller alone."""

from __future__ import annotations

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.folder import ResultsError, ScanFolder
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import SchemaError
from ansible_collections.ksysak.fleet.plugins.plugin_utils.selftest import document


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp=None, task_vars=None):
        """Return {cases, system} or {path, probes, left, table}: see the documentation of the module of this name."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "state": {"type": "str", "required": True, "choices": ["compared", "written"]},
                "cases": {"type": "list", "elements": "dict", "required": True},
                "injected": {"type": "list", "elements": "dict", "default": []},
                "job": {"type": "dict", "default": {}},
                "truth": {"type": "dict", "default": {}},
                "results": {"type": "path"},
                "scan_id": {"type": "str"},
                "system": {"type": "dict", "default": {}},
                "reason": {"type": "str", "default": ""},
                "before": {"type": "dict", "default": {}},
                "after": {"type": "dict", "default": {}},
                "removed": {"type": "list", "elements": "dict", "default": []},
            },
            required_if=[("state", "written", ("results", "scan_id"))],
        )
        if args["state"] == "compared":
            cases, system = document.verdicts(args["cases"], args["injected"], args["job"], args["truth"])
            return {**result, "changed": False, "cases": cases, "system": system}
        host = task_vars["inventory_hostname"]
        left = document.left(args["before"], args["after"], args["removed"])
        try:
            made = document.document(host, args["scan_id"], args["system"], args["reason"], args["cases"], left)
            path = ScanFolder(args["results"], args["scan_id"]).write_selftest(made)
        except (ResultsError, SchemaError) as error:
            raise AnsibleActionFail(str(error)) from None
        return {**result, "changed": True, "path": str(path), "probes": made["probes"], "left": left, "table": document.table(made)}
