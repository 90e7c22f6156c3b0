# SPDX-License-Identifier: GPL-3.0-or-later
"""The sources of the kernel modules that come with the collection, and the action that brings one to a host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

FOLDER = Path(__file__).parents[2] / "kmods"
SHARED = "include"
SOURCES = (".c", ".h")


def sources(name: str) -> dict[str, str]:
    """Return {path below kmods: text} of what the kernel module is built from. Raises OSError."""
    found = {}
    for folder in (name, SHARED):
        for path in sorted((FOLDER / folder).iterdir()):
            if path.suffix in SOURCES or path.name in ("Kbuild", "Makefile"):
                found[f"{folder}/{path.name}"] = path.read_text(encoding="utf-8")
    return found


class InjectorAction(ActionBase):
    """Runs the module of the same name with the sources of the kernel module that it has to build.

    KERNEL_MODULES: {value of the option type: kernel module}.
    """

    TRANSFERS_FILES = False
    _supports_check_mode = True
    KERNEL_MODULES: dict[str, str] = {}

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict:
        """Return what the module returns."""
        result = super().run(tmp, task_vars)
        args = dict(self._task.args)
        if args.get("state", "present") == "present" and not args.get("ko") and args.get("type") in self.KERNEL_MODULES:
            try:
                args["sources"] = sources(self.KERNEL_MODULES[args["type"]])
            except OSError as error:
                raise AnsibleActionFail(f"the collection is incomplete: {error}") from None
        result.update(self._execute_module(module_args=args, task_vars=task_vars))
        return result
