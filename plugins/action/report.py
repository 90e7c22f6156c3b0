# SPDX-License-Identifier: GPL-3.0-or-later
"""Make the report of a scan from its results folder. Works on the controller alone: no connection is made."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import build, finding_history, load, verdict
from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.messages import ENGLISH
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy import policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.text import for_log, visible
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import assets, digest, formats, options, pipeline, publish, write
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.folder import default_results
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.options import OptionsError
from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend import history
from ansible_collections.ksysak.fleet.plugins.plugin_utils.usage import check

display = Display()

OPTIONS = {"json": "json_dest"}
BAD_INPUT = (OptionsError, load.ResultsError, policy.PolicyError, known_bugs.KnownBugsError, assets.AssetError, write.WriteError)


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


def _brought(decisive: dict, args: dict) -> list[str]:
    """Return the lines about what is new since the baseline, where that decides."""
    if not options.check_options({"only_new": args["only_new"]})["only_new"]:
        return []
    lines = [f"New or worse since the baseline: {ENGLISH.many(decisive['total'], 'finding')} ({decisive['level']})"]
    for one in decisive["findings"]:
        lines.append(f"  {one['severity']:8} {ENGLISH.many(one['host_count'], 'host')}  {for_log(visible(one['title']))}")
        lines += [f"{'':11}{for_log(text)}" for text in one["rollout"]]
    return lines


def check_before_scan(args: dict, inventory: Collection[str] = ()) -> None:
    """Raise one of BAD_INPUT for what no scan could be reported with. args: the task's options as given; inventory: its hosts."""
    args = options.check_options(args, inventory)
    check.collections(publish.needs(args["publish"]))
    parts = assets.Assets(args["assets"], args["language"])
    policy.load(args["policies"], args["policy_overrides"], translate=parts.rules)
    known_bugs.load(args["known_bugs"])
    for option in ("baseline", "history"):
        if args[option] and args[option] != load.LAST and not Path(args[option]).is_dir():
            raise load.ResultsError(f"ksysak_{option}: {args[option]}: no such folder")
    if args["dest"]:
        _paths(args, Path(args["dest"]).parent)


def make(args: dict, check_mode: bool, inventory: Collection[str] = ()) -> dict:
    """Return what the task returns. args: the task's options, as given; inventory: its hosts. Raises one of BAD_INPUT."""
    args = options.check_options(args, inventory)
    check.collections(publish.needs(args["publish"]))
    folder = load.find(args["results"], args["scan_id"] or None)
    baseline = load.find_baseline(args["baseline"], folder) if args["baseline"] else None
    readings, earlier = _history(args["history"], folder)
    paths = _paths(args, folder)
    parts = assets.Assets(args["assets"], args["language"])
    rules = policy.load(args["policies"], args["policy_overrides"], translate=parts.rules)
    fleet = build.build(folder, rules, baseline, parts.translate, known_bugs.load(args["known_bugs"]), readings, earlier)
    fleet["runbooks"] = args["runbooks"]
    if args["baseline"] and baseline is None:
        fleet["verdict"]["notes"].append(parts.translate("There is no earlier scan to compare with yet."))
    level, groups = pipeline.judged(fleet, args["only_new"])
    hosts = fleet["counts"]["hosts"]
    enough = options.enough(hosts["scanned"], hosts["total"], args["min_hosts"])
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
        "decisive": {"level": level, "findings": [pipeline.brief(group) for group in groups[: pipeline.LISTED]], "total": len(groups)},
        "passed": verdict.passes(level, args["fail_on"]),
        "enough_hosts": enough,
        "exit_code": pipeline.exit_code(level, args["fail_on"], enough),
        "annotations": pipeline.github_lines(fleet, groups),
        "outcome": pipeline.outcome(fleet, level, paths),
        "hosts": hosts,
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
                "state": {"type": "str", "choices": ["made", "checked"], "default": "made"},
                "results": {"type": "path", "default": ""},
                "scan_id": {"type": "str", "default": ""},
                "dest": {"type": "path"},
                "json_dest": {"type": "path"},
                "formats": {"type": "raw"},
                "baseline": {"type": "path"},
                "history": {"type": "path"},
                "language": {"type": "raw"},
                "fail_on": {"type": "raw"},
                "min_hosts": {"type": "raw"},
                "only_new": {"type": "raw"},
                "policies": {"type": "raw"},
                "policy_overrides": {"type": "raw"},
                "known_bugs": {"type": "raw"},
                "runbooks": {"type": "raw"},
                "publish": {"type": "raw"},
                "assets": {"type": "path", "required": True},
            },
        )
        check.packages()
        check.names(task_vars)
        args["results"] = args["results"] or default_results()
        hosts = (task_vars or {}).get("groups", {}).get("all", [])
        try:
            if args["state"] == "checked":
                check_before_scan(args, hosts)
                return {**result, "changed": False}
            result.update(make(args, self._task.check_mode, hosts))
        except BAD_INPUT as error:
            raise check.UsageError(for_log(str(error))) from None
        # What nobody judged passes only with a warning, whatever fail_on is.
        result.setdefault("warnings", []).extend(f"Not judged. {text}" for text in result["verdict"]["not_judged"])
        written = [
            f"{'Report' if name == 'html' else name.upper()}: {file['path']}" for name, file in result["files"].items() if name != "json"
        ]
        written.append(f"Results: {result['results']}")
        # Shown here and not by a debug task: whatever the format of results is, these are lines.
        annotations = result.pop("annotations")
        if os.environ.get("GITHUB_ACTIONS") != "true":
            annotations = []
        shown = [*result["digest"], *_brought(result["decisive"], args), *annotations]
        for line in ["", *shown, *(["Nothing was written: this is check mode."] if self._task.check_mode else written), ""]:
            display.display(line)
        return result
