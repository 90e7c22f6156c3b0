# SPDX-License-Identifier: GPL-3.0-or-later
"""On which kernels the probes were passed: the self-tests that lie in the results folder beside the scan, and in it."""

from __future__ import annotations

import collections
from pathlib import Path

from ..messages import ENGLISH, Messages
from . import load

FOLDERS = 1000
ROWS = 500


def section(folder: Path, hosts: list[dict], translate: Messages = ENGLISH) -> tuple[dict, list[dict]]:
    """Return the section 'selftest' of the fleet document, and problems with files.

    folder: of the scan; hosts: entries of the fleet document; translate: language of the sentence.
    Of each kernel and case the newest verdict counts.
    """
    newest: dict[tuple, dict] = {}
    problems = []
    for file, document, reason in load.read_selftests(folder, FOLDERS):
        if document is None:
            problems.append({"file": file, "host": None, "reason": f"{file} {reason}"})
            continue
        for case in document["cases"] if document["kernel"] else []:
            if case["verdict"] != "not_run":
                key = (document["kernel"], case["case"])
                row = {"kernel": document["kernel"], "host": document["host"], "tested_at": document["tested_at"]}
                row.update({name: case[name] for name in ("case", "probe", "title", "verdict", "reason", "engine")})
                newest[key] = max(newest.get(key, row), row, key=lambda found: found["tested_at"])
    running = collections.Counter(host["system"]["kernel"] for host in hosts if host["system"])
    rows = sorted(newest.values(), key=lambda row: (row["kernel"] not in running, row["kernel"], row["probe"], row["case"]))
    tested = {row["kernel"] for row in rows}
    not_run = [{"kernel": kernel, "hosts": count} for kernel, count in sorted(running.items()) if kernel not in tested]
    sentence = _sentence(rows, running, not_run, translate)
    return {"sentence": sentence, "rows": rows[:ROWS], "cut": len(rows[ROWS:]), "not_run": not_run[:ROWS]}, problems


def _sentence(rows: list[dict], running: collections.Counter, not_run: list[dict], translate: Messages) -> str:
    """Return one line: where the probes were validated, of the kernels of this scan."""
    last: dict[str, str] = {}
    for row in rows:
        if row["kernel"] in running:
            last[row["kernel"]] = max(last.get(row["kernel"], ""), row["tested_at"])
    if not last:
        return translate("The probes were not validated on the kernels of this scan (the playbook ksysak.fleet.selftest does that).")
    where = ", ".join(translate("{kernel} on {day}", kernel=kernel, day=at[:10]) for kernel, at in list(last.items())[:3])
    more = translate(" and {n} more", n=len(last) - 3) if len(last) > 3 else ""
    bad = sum(row["verdict"] != "passed" for row in rows if row["kernel"] in last)
    limits = translate("; {cases} not passed", cases=translate.many(bad, "case")) if bad else ""
    without = translate(". Not validated: {kernels}", kernels=translate.many(len(not_run), "other kernel")) if not_run else ""
    return translate("Validated on {where}{more}{limits}{without}.", where=where, more=more, limits=limits, without=without)
