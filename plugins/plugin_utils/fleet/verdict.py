# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence with the state of the fleet. Hosts that were not measured are never 'all clear'."""

from __future__ import annotations

from ..messages import ENGLISH, Messages
from ..policy.text import bounded

# From bad to good; 'unknown' (nothing could be measured) passes nothing but 'never'.
LEVELS = ("fatal", "critical", "error", "warning", "incomplete", "clear")
FAIL_ON = ("never", *LEVELS[:-1])

plural = ENGLISH.many


def passes(level: str, fail_on: str) -> bool:
    """Tell whether a verdict is good enough. fail_on: one of FAIL_ON, the mildest level that is not."""
    if fail_on == "never":
        return True
    return level != "unknown" and LEVELS.index(level) > LEVELS.index(fail_on)


def verdict(counts: dict, findings: list[dict], problems: list[dict], window_s: int | None, translate: Messages = ENGLISH) -> dict:
    """Return {'level', 'sentence', 'notes'}.

    counts: of hosts; findings: groups, worst first; level: a severity, 'incomplete' (nothing was found, but not
    everything could be measured), 'unknown' (nothing could be measured) or 'clear'; translate: the language.
    """
    total, not_scanned = counts["total"], counts["coverage_none"]
    hosts = translate.many(total, "host")
    if not total:
        return _made("unknown", translate("The state of this fleet is unknown: there is no host in this scan."), problems, [], translate)
    notes = _notes(counts, translate)
    if not_scanned == total:
        only, none = translate("the only host could not be measured"), translate("none of {hosts} could be measured", hosts=hosts)
        sentence = translate("The state of this fleet is unknown: {whom}.", whom=only if total == 1 else none)
        return _made("unknown", sentence, problems, notes, translate)
    serious = [group for group in findings if group["severity"] != "info"]
    missing = translate("{n} of {hosts} could not be measured", n=not_scanned, hosts=hosts) if not_scanned else ""
    if serious:
        return _made(serious[0]["severity"], _serious(serious, total, missing, translate), problems, notes, translate)
    seen = translate("{n} of {hosts}", n=total - not_scanned, hosts=hosts) if total > 1 else translate("the only host")
    if missing or problems or counts["coverage_partial"]:
        hosts_gap, files_gap = translate("not everything could be measured"), translate("not every file or rule could be used")
        gap = missing or (hosts_gap if counts["coverage_partial"] else files_gap)
        sentence = translate("Incomplete: no findings on {seen}, but {gap}.", seen=seen, gap=gap)
        return _made("incomplete", sentence, problems, notes, translate)
    if window_s:
        sentence = translate("All clear: nothing was found on {seen} in a window of {n} s.", seen=seen, n=window_s)
        return _made("clear", sentence, problems, [], translate)
    return _made("clear", translate("All clear: nothing was found on {seen}.", seen=seen), problems, [], translate)


def _serious(serious: list[dict], total: int, missing: str, translate: Messages) -> str:
    affected = len({host["host"] for group in serious for host in group["hosts"]})
    hosts = translate.many(total, "host")
    if total == 1:
        needs = translate("The host needs attention")
    elif affected == 1:
        needs = translate("1 of {hosts} needs attention", hosts=hosts)
    else:
        needs = translate("{n} of {hosts} need attention", n=affected, hosts=hosts)
    worst = serious[0]
    where = translate.many(worst["host_count"], "host") if worst["host_count"] > 1 else worst["hosts"][0]["host"]
    worst_text = translate("Worst: {title}, on {where}.", title=bounded(worst["title"], 160), where=where)
    return (
        translate("{needs}; {missing}. {worst}", needs=needs, missing=missing, worst=worst_text)
        if missing
        else translate("{needs}. {worst}", needs=needs, worst=worst_text)
    )


def _notes(counts: dict, translate: Messages) -> list[str]:
    states = {
        "unreachable": translate("{hosts} could not be reached.", hosts=translate.many(counts["unreachable"], "host")),
        "failed": translate("{hosts} failed.", hosts=translate.many(counts["failed"], "host")),
        "lost": translate("{hosts} did not answer any more after the scan had begun.", hosts=translate.many(counts["lost"], "host")),
        "missing": translate("{hosts} left no result.", hosts=translate.many(counts["missing"], "host")),
        "unreadable": translate("{hosts} left a result that cannot be used.", hosts=translate.many(counts["unreadable"], "host")),
    }
    notes = [text for state, text in states.items() if counts[state]]
    dark = counts["coverage_none"] - sum(counts[state] for state in states)
    if dark:
        notes.append(translate("On {hosts} no probe could measure.", hosts=translate.many(dark, "host")))
    if counts["coverage_partial"]:
        where = translate.many(counts["coverage_partial"], "host")
        notes.append(translate("On {hosts} some probes were skipped, failed, or measured less than they could.", hosts=where))
    return notes


def _made(level: str, sentence: str, problems: list[dict], notes: list[str], translate: Messages) -> dict:
    if problems:
        notes = [*notes, translate("{problems} came up while this report was made.", problems=translate.many(len(problems), "problem"))]
    return {"level": level, "sentence": sentence, "notes": notes}
