# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Exit codes for pipelines."""

from __future__ import annotations

DOCUMENTATION = r"""
name: exit_code
type: aggregate
short_description: Let ansible-playbook end with an exit code that tells findings from gaps and mistakes
version_added: 0.1.0
author: ksysak.fleet maintainers (@ksysak)
description:
  - A task that fails makes C(ansible-playbook) end with 2, whatever its reason. With this callback the exit code of a playbook that scans
    and reports is C(0) when the verdict is good enough for C(ksysak_fail_on), C(2) for findings, C(3) when not everything could be
    measured, too few hosts were scanned or a destination of C(ksysak_publish) was not reached, and C(4) for a wrong option.
  - Any other playbook, and one that ends without a report, keeps its own exit code.
  - The process ends in this callback. Name it last where several callbacks are enabled.
requirements:
  - enabled by C(ANSIBLE_CALLBACKS_ENABLED=ksysak.fleet.exit_code) or C(callbacks_enabled) in C(ansible.cfg)
"""

from typing import Any

from ansible.plugins.callback import CallbackBase

USAGE = 4
NOT_PUBLISHED = 3
# Where both happened, what the user must do first decides.
FIRST = (USAGE, 2, 3, 0)


class CallbackModule(CallbackBase):
    """Remembers what reports and checks returned, and ends the process with their exit code."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "ksysak.fleet.exit_code"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._codes: set[int] = set()

    def _note(self, result: Any) -> None:
        """result: of a task, as Ansible hands it over; its attribute has another name from ansible-core 2.19 on."""
        returned = result.result if hasattr(result, "result") else result._result
        if returned.get("usage_error"):
            self._codes.add(USAGE)
        elif isinstance(returned.get("exit_code"), int) and "verdict" in returned:
            self._codes.add(returned["exit_code"])

    def v2_runner_on_ok(self, result: Any) -> None:
        """Called for each task that succeeds."""
        self._note(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Called for each task that fails."""
        if not ignore_errors:
            self._note(result)

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """Called at the end of the playbook. Raises SystemExit."""
        # The statistic of the role report, whose last task then fails; custom statistics are by host, and '_run' has those of all.
        outcome = (getattr(stats, "custom", {}).get("_run") or {}).get("ksysak_outcome")
        if isinstance(outcome, dict) and outcome.get("not_published"):
            self._codes.add(NOT_PUBLISHED)
        for code in FIRST:
            if code in self._codes:
                raise SystemExit(code)
