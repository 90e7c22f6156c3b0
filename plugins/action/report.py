# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the report of a scan from its results folder. Works on the controller alone: no connection is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import build, finding_history, load, verdict
from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy import policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.text import for_log
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import assets, digest, formats, write
from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend import history

display = Display()

OPTIONS = {"json": "json_dest"}
BAD_INPUT = (load.ResultsError, policy.PolicyError, known_bugs.KnownBugsError, assets.AssetError, write.WriteError)


def _paths(args: dict, folder: Path) -> dict[str, Path]:
    """Return {format: path} of what is to be written. Raises WriteError when a path could not be."""
    html = Path(args["dest"] or folder / formats.FILES["html"])
    paths = {name: html.with_name(formats.FILES[name]) for name in formats.FILES if name in args["formats"]}
    paths.update({name: Path(path) for name, path in (("html", html), ("json", args["json_dest"])) if path and name in paths})
    for name, path in paths.items():
        write.check(path, OPTIONS.get(name, "ksysak_report"))
    return paths


def _history(results: str | None, folder: Path) -> tuple[history.History, finding_history.FindingHistory]:
    """Return the scans before that of the folder: readings, findings. results: the option; only what it names must be readable."""

    def made(root: Path | None) -> tuple[history.History, finding_history.FindingHistory]:
        return history.History(root, folder), finding_history.FindingHistory(root, folder)

    if results:
        return made(Path(results))
    try:
        return made(folder.absolute().parent)
    except load.ResultsError:
        return made(None)


def make(args: dict, check_mode: bool) -> dict:
    """Return what the task returns. args: the task's options. Raises one of BAD_INPUT."""
    folder = load.find(args["results"], args["scan_id"] or None)
    baseline = load.find_baseline(args["baseline"], folder) if args["baseline"] else None
    readings, earlier = _history(args["history"], folder)
    paths = _paths(args, folder)
    parts = assets.Assets(args["assets"], args["language"])
    rules = policy.load(args["policies"], args["policy_overrides"], translate=parts.rules)
    fleet = build.build(folder, rules, baseline, parts.translate, known_bugs.load(args["known_bugs"]), readings, earlier)
    if args["baseline"] and baseline is None:
        fleet["verdict"]["notes"].append(parts.translate("There is no earlier scan to compare with yet."))
    render = formats.renderers(parts, parts.translate, folder)
    sizes = {}
    for name, path in paths.items():
        text = render[name](fleet)
        sizes[name] = len(text.encode("utf-8", "replace"))
        if not check_mode:
            write.write(path, text, OPTIONS.get(name, "ksysak_report"))
    if not check_mode:
        readings.write(fleet["scan"]["scan_id"])
        earlier.write(fleet)
    return {
        "changed": bool(paths),
        "scan_id": fleet["scan"]["scan_id"],
        "results": str(folder),
        **{name: str(paths[kind]) for name, kind in (("report", "html"), ("fleet", "json")) if kind in paths},
        "files": {name: {"path": str(path), "bytes": sizes[name]} for name, path in paths.items()},
        "report_bytes": sizes.get("html", 0),
        "verdict": fleet["verdict"],
        "policy": {"sha256": rules.sha256, "version": rules.version},
        "passed": verdict.passes(fleet["verdict"]["level"], args["fail_on"]),
        "hosts": fleet["counts"]["hosts"],
        "findings": fleet["counts"]["groups"],
        "drift": fleet["drift"]["counts"] if fleet["drift"] else {},
        "problems": len(fleet["problems"]),
        "digest": digest.digest(fleet, parts.translate),
    }


class ActionModule(ActionBase):
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: Any = None) -> dict:
        """Return {report, fleet, digest, …}: see the documentation of the module of this name."""
        result = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(
            {
                "results": {"type": "path", "required": True},
                "scan_id": {"type": "str", "default": ""},
                "dest": {"type": "path"},
                "json_dest": {"type": "path"},
                "formats": {"type": "list", "elements": "str", "default": ["html", "json"], "choices": list(formats.FILES)},
                "baseline": {"type": "path"},
                "history": {"type": "path"},
                "language": {"type": "str", "default": "en"},
                "fail_on": {"type": "str", "default": "never", "choices": list(verdict.FAIL_ON)},
                "policies": {"type": "list", "elements": "path", "default": []},
                "policy_overrides": {"type": "dict", "default": {}},
                "known_bugs": {"type": "list", "elements": "path", "default": []},
                "assets": {"type": "path", "required": True},
            },
        )
        try:
            result.update(make(args, self._task.check_mode))
        except BAD_INPUT as error:
            raise AnsibleActionFail(for_log(str(error))) from None
        # What nobody judged passes only with a warning, whatever fail_on is.
        result.setdefault("warnings", []).extend(f"Not judged. {text}" for text in result["verdict"]["not_judged"])
        written = [
            f"{'Report' if name == 'html' else name.upper()}: {file['path']}" for name, file in result["files"].items() if name != "json"
        ]
        written.append(f"Results: {result['results']}")
        # Shown here and not by a debug task: whatever the format of results is, these are lines.
        for line in ["", *result["digest"], *(["Nothing was written: this is check mode."] if self._task.check_mode else written), ""]:
            display.display(line)
        return result
