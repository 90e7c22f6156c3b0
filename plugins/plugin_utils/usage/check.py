# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with how the collection is used: checked on the controller, before any host is touched."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.loader import module_loader
from ansible.utils.display import Display

from . import variables

# What ansible-core does not bring itself, by the name that Python imports and pip installs; meta/ee-requirements.txt lists these.
PACKAGES = ("fastjsonschema", "jmespath")
# The role launches the scan on every host before it waits for the first. Both run a task on all hosts before the next one.
STRATEGIES = ("linear", "debug")
BUILTIN = ("ansible.builtin.", "ansible.legacy.")

display = Display()


class UsageError(AnsibleActionFail):
    """The user must change something. The result of the task has `usage_error: true`."""

    def __init__(self, message: str):
        super().__init__(message, result={"usage_error": True})


def packages(names: Iterable[str] = PACKAGES) -> None:
    """Raise UsageError unless the controller's Python has these packages."""
    missing = [name for name in names if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(
            f"The controller's Python, {sys.executable}, has no package {', '.join(missing)}. "
            f"Install it there: {sys.executable} -m pip install {' '.join(missing)} "
            "(in an execution environment: meta/ee-requirements.txt of the collection)"
        )


def collections(needed: Iterable[tuple[str, str, str | None]]) -> None:
    """Raise UsageError unless destinations of the report have what they need. needed: (type, module, Python package or None)."""
    for kind, module, package in needed:
        if not module_loader.find_plugin_with_context(module).resolved:
            collection = module.rpartition(".")[0]
            raise UsageError(
                f"ksysak_publish: the type '{kind}' needs the collection {collection}: ansible-galaxy collection install {collection}"
            )
        packages([package] if package else [])


def play(task: Any) -> None:
    """Raise UsageError unless the play of the task runs each task on all of its hosts before the next one."""
    of_task = task.get_play()
    if of_task is None:
        return  # ad-hoc commands of old releases
    name = str(of_task.strategy)
    plain = next((name.removeprefix(prefix) for prefix in BUILTIN if name.startswith(prefix)), name)
    if plain not in STRATEGIES:
        raise UsageError(
            f"strategy: the play has the strategy '{name}', with which a host does not wait for the others. A scan needs "
            "'strategy: ansible.builtin.linear' in the play (ANSIBLE_STRATEGY and ansible.cfg may set another one)"
        )
    if of_task.serial:
        raise UsageError(
            "serial: the play has 'serial', so that only some of its hosts would be scanned at a time. A scan measures all hosts of "
            "the play in one window: remove 'serial'; --forks limits the connections"
        )


def names(given: Iterable[str]) -> None:
    """Raise UsageError for a variable whose name is nearly one of the collection's; warn of one that is no variable of it.

    given: names of all variables of a host.
    """
    unknown = variables.unknown(given)
    mistakes = [f"{name}: there is no such variable; did you mean {near}?" for name, near in unknown.items() if near]
    if mistakes:
        raise UsageError("\n".join(mistakes))
    if unknown:
        display.warning(f"{', '.join(unknown)}: not used by ksysak.fleet. Its variables are {', '.join(sorted(variables.known()))}")
