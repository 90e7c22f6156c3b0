# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence with the state of the fleet. What was not measured, or not judged, is never 'all clear'."""

from __future__ import annotations

from ..messages import ENGLISH, Messages
from ..policy.text import bounded, for_log
from .judged import NotJudged

# From bad to good; 'unknown' (nothing could be measured) passes nothing but 'never'.
LEVELS = ("fatal", "critical", "error", "warning", "incomplete", "clear")
FAIL_ON = ("never", *LEVELS[:-1])

NOTE_CHARS = 1024
plural = ENGLISH.many


def passes(level: str, fail_on: str) -> bool:
    """Tell whether a verdict is good enough. fail_on: one of FAIL_ON, the mildest level that is not."""
    if fail_on == "never":
        return True
    return level != "unknown" and LEVELS.index(level) > LEVELS.index(fail_on)


def verdict(
    counts: dict, findings: list[dict], problems: list[dict], window_s: int | None, not_judged: NotJudged, translate: Messages = ENGLISH
) -> dict:
    """Return {'level', 'sentence', 'notes', 'not_judged': those of the notes that are about what the policy in force left out}.

    counts: of hosts; findings: groups, worst first; not_judged: what the policy in force left out; level: a severity, 'incomplete'
    (nothing was found, but not everything was measured and judged), 'unknown' (nothing was) or 'clear'; translate: the language.
    """
    total, not_scanned = counts["total"], counts["coverage_none"]
    hosts = translate.many(total, "host")
    if not total:
        return _made(
            "unknown", translate("The state of this fleet is unknown: there is no host in this scan."), problems, [], [], translate
        )
    left_out = not_judged.notes(translate)
    notes = [*_notes(counts, translate), *left_out]
    if not_scanned == total:
        only, none = translate("the only host could not be measured"), translate("none of {hosts} could be measured", hosts=hosts)
        sentence = translate("The state of this fleet is unknown: {whom}.", whom=only if total == 1 else none)
        return _made("unknown", sentence, problems, notes, left_out, translate)
    if not_judged.everything:
        sentence = translate("The state of this fleet is unknown: {whom}.", whom=not_judged.gap(translate))
        return _made("unknown", sentence, problems, notes, left_out, translate)
    serious = [group for group in findings if group["severity"] != "info"]
    missing = translate("{n} of {hosts} could not be measured", n=not_scanned, hosts=hosts) if not_scanned else ""
    if serious:
        return _made(serious[0]["severity"], _serious(serious, total, missing, translate), problems, notes, left_out, translate)
    seen = translate("{n} of {hosts}", n=total - not_scanned, hosts=hosts) if total > 1 else translate("the only host")
    if missing or problems or counts["coverage_partial"] or not_judged:
        hosts_gap, files_gap = translate("not everything could be measured"), translate("not every file or rule could be used")
        gap = missing or (hosts_gap if counts["coverage_partial"] else not_judged.gap(translate) if not_judged else files_gap)
        sentence = translate("Incomplete: no findings on {seen}, but {gap}.", seen=seen, gap=gap)
        return _made("incomplete", sentence, problems, notes, left_out, translate)
    if window_s:
        sentence = translate("All clear: nothing was found on {seen} in a window of {n} s.", seen=seen, n=window_s)
        return _made("clear", sentence, problems, notes, left_out, translate)
    return _made("clear", translate("All clear: nothing was found on {seen}.", seen=seen), problems, notes, left_out, translate)


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
    # A host may have written the title: it is a quotation, so that its words are not taken for those of the report.
    title = bounded(worst["title"], 160).replace('"', "'")
    worst_text = translate('Worst: "{title}", on {where}.', title=title, where=where)
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


def _made(level: str, sentence: str, problems: list[dict], notes: list[str], left_out: list[str], translate: Messages) -> dict:
    if problems:
        notes = [*notes, translate("{problems} came up while this report was made.", problems=translate.many(len(problems), "problem"))]
    shown, not_judged = ([for_log(bounded(note, NOTE_CHARS)) for note in texts] for texts in (notes, left_out))
    return {"level": level, "sentence": for_log(sentence), "notes": shown, "not_judged": not_judged}
