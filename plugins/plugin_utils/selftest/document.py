# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts of a round of injections, and the self-test document of a host."""

from __future__ import annotations

from ...module_utils._core.version import VERSION
from ..results.documents import Outcome, host_document, instant, plain
from ..schema.validate import validate
from . import compare

MODULES = {
    "page": "test_page_leak",
    "slab": "test_slab_leak",
    "vmalloc": "test_vmalloc_leak",
    "irqoff": "test_irqoff",
    "nosched": "test_nosched",
    "runq": "testrunlatency",
}


def verdicts(cases: list[dict], injected: list[dict], job: dict, truth: dict) -> tuple[list[dict], dict]:
    """Return (cases as in selftest-1.json, system of the host or {}).

    cases: [{'case', 'probe', 'title', 'options'}] of one round; injected: results of the injectors, one for each case
    (key 'item': the case); job: result of the scan; truth: result of ground_truth, read through that scan.
    Nothing of the host is trusted: what does not fit makes a case not_run.
    """
    document = host_document("host", [], "selftest", Outcome("scanned", scan=job.get("scan")))
    by_case = {result["item"]["case"]: result for result in injected if isinstance(result.get("item"), dict)}
    found = []
    for case in cases:
        probe = case["probe"]
        envelope = document["probes"].get(probe)
        refusal = _refusal(by_case.get(case["case"]), document, job, truth)
        if refusal:
            result = compare.made("not_run", refusal)
        elif envelope is None:
            result = compare.made("not_run", "the scan did not run this probe")
        else:
            result = _compared(case["options"], truth, envelope)
        engine = envelope["engine"] if envelope else "none"
        named = {"case": case["case"], "probe": probe, "title": case["title"], "engine": engine}
        found.append({**named, **result, "reason": plain(result["reason"])})
    return found, document["system"] or {}


def _refusal(result: dict | None, document: dict, job: dict, truth: dict) -> str:
    """Return why a case cannot be compared, else ''."""
    if result is None:
        return "nothing was injected"
    for what, answer in (("the injection", result), ("reading the ground truth", truth), ("the scan", job)):
        if answer.get("failed") or answer.get("unreachable"):
            return f"{what} failed: {plain(answer.get('msg', 'no reason was given'), 1500)}"
        if answer.get("skipped"):
            return f"{what} was skipped"
    return document["reason"]


def _compared(options: dict, truth: dict, envelope: dict) -> dict:
    kind = options["type"]
    name = MODULES[kind]
    try:
        if kind in ("irqoff", "nosched", "runq"):
            return compare.latency(kind, truth["delays"][name], truth["clock"], envelope)
        size = 4096 << options["order"] if kind == "page" else options["bytes"]
        expected = {
            "type": kind,
            "culprit": f"ksysak_leak_{options['place']}",
            "module": name,
            "object_bytes": size,
            "churn_bytes_per_s": options["rate"] * options["freed_percent"] / 100 * size,
        }
        compare_case = compare.steady if options["freed_percent"] == 100 else compare.leak
        return compare_case(expected, truth["growth"][name], envelope)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        return compare.made("not_run", f"the ground truth cannot be used: {type(error).__name__}: {plain(error, 300)}")


def left(before: dict, after: dict, removed: list[dict]) -> list[str] | None:
    """Return what was left on the host, None when nobody could look.

    before, after: results of ground_truth; removed: results of leak_injector with state absent.
    """
    try:
        removals = [
            (sum(truth["outstanding_bytes"] for truth in result["ground_truths"].values()), result["given_back_bytes"])
            for result in removed
            if result.get("ground_truths")
        ]
        found = compare.left_behind(before["leftovers"], after["leftovers"], removals)
    except (KeyError, TypeError, AttributeError):
        return None
    return [plain(text, 200) for text in found[:32]]


def document(host: str, scan_id: str, system: dict, reason: str, cases: list[dict], left_there: list[str] | None) -> dict:
    """Return the document selftest-1.json of a host; always a valid one."""
    by_probe: dict[str, list[str]] = {}
    for case in cases:
        by_probe.setdefault(case["probe"], []).append(case["verdict"])
    made = {
        "schema": "ksysak.selftest/1",
        "host": host,
        "scan_id": scan_id,
        "collection_version": VERSION,
        "tested_at": instant(),
        "kernel": plain(system.get("kernel", ""), 128),
        "distribution": plain(system.get("distribution", ""), 128),
        "reason": plain(reason),
        "cases": cases,
        "probes": {probe: compare.probe_verdict(found) for probe, found in by_probe.items()},
        "left": left_there,
    }
    validate(made)
    return made


def table(made: dict) -> list[str]:
    """Return the lines that a terminal shows of a self-test document."""
    lines = [f"{plain(made['host'], 60)}: kernel {made['kernel'] or 'unknown'}, {made['distribution'] or 'unknown distribution'}"]
    rows = [(case, f"{case['verdict']:<9} {case['probe']:<11} {case['title']:<38}") for case in made["cases"]]
    lines += [f"  {row} {_numbers(case)} {case['reason']}".rstrip() for case, row in rows]
    lines += [f"  {made['reason']}"] if made["reason"] else []
    if made["left"] is None:
        lines.append("  LEFT: unknown, nobody could look")
    return lines + [f"  LEFT: {text}" for text in made["left"] or []] + (["  left behind: nothing"] if made["left"] == [] else [])


def _numbers(case: dict) -> str:
    if case["least"] is None:
        return "-"
    measured = "-" if case["measured"] is None else case["measured"]
    return f"{measured} of {case['least']}..{case['most']} {case['unit']}"
