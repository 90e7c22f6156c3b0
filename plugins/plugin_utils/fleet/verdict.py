# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence that says how the fleet is. It never says 'all clear' of what nobody looked at."""

from __future__ import annotations

from ..messages import ENGLISH, Messages
from ..policy.text import bounded

# From bad to good; 'unknown' (nothing could be looked at) passes nothing but 'never'.
LEVELS = ("fatal", "critical", "error", "warning", "incomplete", "clear")
FAIL_ON = ("never", *LEVELS[:-1])

plural = ENGLISH.many


def passes(level: str, fail_on: str) -> bool:
    """Tell whether a verdict is good enough. fail_on: one of FAIL_ON, the mildest level that is not."""
    if fail_on == "never":
        return True
    return level != "unknown" and LEVELS.index(level) > LEVELS.index(fail_on)


def verdict(counts: dict, findings: list[dict], problems: list[dict], window_s: int | None, say: Messages = ENGLISH) -> dict:
    """Return {'level', 'sentence', 'notes'}.

    counts: of hosts; findings: groups, worst first; level: a severity, 'incomplete' (nothing was found, but not
    everything could be looked at), 'unknown' (nothing could be looked at) or 'clear'; say: the language.
    """
    total, blind = counts["total"], counts["coverage_none"]
    hosts = say.many(total, "host")
    if not total:
        return _made("unknown", say("Nothing can be said: there is no host in this scan."), problems, [], say)
    notes = _notes(counts, say)
    if blind == total:
        whom = say("the only host could not be looked at") if total == 1 else say("none of {hosts} could be looked at", hosts=hosts)
        return _made("unknown", say("Nothing can be said of this fleet: {whom}.", whom=whom), problems, notes, say)
    serious = [group for group in findings if group["severity"] != "info"]
    missing = say("{n} of {hosts} could not be looked at", n=blind, hosts=hosts) if blind else ""
    if serious:
        return _made(serious[0]["severity"], _serious(serious, total, missing, say), problems, notes, say)
    seen = say("{n} of {hosts}", n=total - blind, hosts=hosts) if total > 1 else say("the only host")
    if missing or problems or counts["coverage_partial"]:
        part = say("not everything could be measured") if counts["coverage_partial"] else say("not every file or rule could be used")
        said = say("Nothing was found on {seen}, but {gap}: this is no all-clear.", seen=seen, gap=missing or part)
        return _made("incomplete", said, problems, notes, say)
    if window_s:
        return _made("clear", say("All clear: nothing was found on {seen} in a window of {n} s.", seen=seen, n=window_s), problems, [], say)
    return _made("clear", say("All clear: nothing was found on {seen}.", seen=seen), problems, [], say)


def _serious(serious: list[dict], total: int, missing: str, say: Messages) -> str:
    affected = len({host["host"] for group in serious for host in group["hosts"]})
    hosts = say.many(total, "host")
    if total == 1:
        needs = say("The host needs attention")
    elif affected == 1:
        needs = say("1 of {hosts} needs attention", hosts=hosts)
    else:
        needs = say("{n} of {hosts} need attention", n=affected, hosts=hosts)
    worst = serious[0]
    where = say.many(worst["host_count"], "host") if worst["host_count"] > 1 else worst["hosts"][0]["host"]
    said = say("Worst: {title}, on {where}.", title=bounded(worst["title"], 160), where=where)
    return (
        say("{needs}; {missing}. {worst}", needs=needs, missing=missing, worst=said)
        if missing
        else say("{needs}. {worst}", needs=needs, worst=said)
    )


def _notes(counts: dict, say: Messages) -> list[str]:
    states = {
        "unreachable": say("{hosts} could not be reached.", hosts=say.many(counts["unreachable"], "host")),
        "failed": say("{hosts} failed.", hosts=say.many(counts["failed"], "host")),
        "lost": say("{hosts} did not answer any more after the scan had begun.", hosts=say.many(counts["lost"], "host")),
        "missing": say("{hosts} left no result.", hosts=say.many(counts["missing"], "host")),
        "unreadable": say("{hosts} left a result that cannot be used.", hosts=say.many(counts["unreadable"], "host")),
    }
    notes = [said for state, said in states.items() if counts[state]]
    dark = counts["coverage_none"] - sum(counts[state] for state in states)
    if dark:
        notes.append(say("On {hosts} no probe could measure.", hosts=say.many(dark, "host")))
    if counts["coverage_partial"]:
        where = say.many(counts["coverage_partial"], "host")
        notes.append(say("On {hosts} some probes were skipped, failed, or measured less than they could.", hosts=where))
    return notes


def _made(level: str, sentence: str, problems: list[dict], notes: list[str], say: Messages) -> dict:
    if problems:
        notes = [*notes, say("{problems} came up while this report was made.", problems=say.many(len(problems), "problem"))]
    return {"level": level, "sentence": sentence, "notes": notes}
