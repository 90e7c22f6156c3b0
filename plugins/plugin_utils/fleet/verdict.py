# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence that says how the fleet is. It never says 'all clear' of what nobody looked at."""

from __future__ import annotations

from ..policy.text import bounded


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return '1 host' or '2 hosts'."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def verdict(counts: dict, findings: list[dict], problems: list[dict], window_s: int | None) -> dict:
    """Return {'level', 'sentence', 'notes'}.

    counts: of hosts; findings: groups, worst first; level: a severity, 'incomplete' (nothing was found, but not
    everything could be looked at), 'unknown' (nothing could be looked at) or 'clear'.
    """
    total, blind = counts["total"], counts["coverage_none"]
    if not total:
        return _made("unknown", "Nothing can be said: there is no host in this scan.", problems, [])
    if blind == total:
        whom = "The only host" if total == 1 else f"None of {total} hosts"
        could = "could not be looked at" if total == 1 else "could be looked at"
        return _made("unknown", f"Nothing can be said of this fleet: {whom.lower()} {could}.", problems, _notes(counts))
    serious = [group for group in findings if group["severity"] != "info"]
    missing = f"{blind} of {plural(total, 'host')} could not be looked at" if blind else ""
    seen = f"{total - blind} of {plural(total, 'host')}" if total > 1 else "the only host"
    if serious:
        affected = len({host["host"] for group in serious for host in group["hosts"]})
        who = f"{affected} of {plural(total, 'host')}" if total > 1 else "The host"
        needs = f"{who} {'needs' if affected == 1 else 'need'} attention"
        worst = serious[0]
        where = f"on {plural(worst['host_count'], 'host')}" if worst["host_count"] > 1 else f"on {worst['hosts'][0]['host']}"
        sentence = f"{needs}{'; ' + missing if missing else ''}. Worst: {bounded(worst['title'], 160)}, {where}."
        return _made(worst["severity"], sentence, problems, _notes(counts))
    if missing or problems or counts["coverage_partial"]:
        gap = missing or ("not everything could be measured" if counts["coverage_partial"] else "not every file or rule could be used")
        return _made("incomplete", f"Nothing was found on {seen}, but {gap}: this is no all-clear.", problems, _notes(counts))
    window = f" in a window of {window_s} s" if window_s else ""
    return _made("clear", f"All clear: nothing was found on {seen}{window}.", problems, [])


def _notes(counts: dict) -> list[str]:
    notes = []
    states = [
        ("unreachable", "could not be reached"),
        ("failed", "failed"),
        ("lost", "did not answer any more after the scan had begun"),
        ("missing", "left no result"),
        ("unreadable", "left a result that cannot be used"),
    ]
    notes += [f"{plural(counts[state], 'host')} {what}." for state, what in states if counts[state]]
    dark = counts["coverage_none"] - sum(counts[state] for state, _what in states)
    if dark:
        notes.append(f"On {plural(dark, 'host')} no probe could measure.")
    if counts["coverage_partial"]:
        notes.append(f"On {plural(counts['coverage_partial'], 'host')} some probes were skipped, failed, or measured less than they could.")
    return notes


def _made(level: str, sentence: str, problems: list[dict], notes: list[str]) -> dict:
    if problems:
        notes = [*notes, f"{plural(len(problems), 'problem')} came up while this report was made."]
    return {"level": level, "sentence": sentence, "notes": notes}
