# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe said of an injected leak or delay, against what is known of it exactly.

Each function returns {'verdict', 'reason', 'least', 'most', 'measured', 'unit'}. verdict: proven (the right function or task,
and a number between least and most), degraded (seen, but not all of that), blind (not seen), untested (nothing was injected).
"""

from __future__ import annotations

import calendar
import math
import time

from ..results.documents import plain

# The window opens at most so long after started_at: that has whole seconds, and the engine takes its first snapshot.
OPENS_WITHIN_S = 2.0
CHURN_S = 0.5  # what is freed again after 50 ms may be late by this
SIGMAS = 6
ROUNDING_US = 1.0
# Freed objects leave slabs behind that hold others, freed pages wait in lists of each CPU, and the host works meanwhile.
CAME_BACK, NOISE_BYTES = 0.75, 2 * 1024 * 1024
CLOCK_MS = 5.0  # two processes note one event


def made(verdict: str, reason: str = "", least=None, most=None, measured=None, unit: str = "bytes") -> dict:
    return {"verdict": verdict, "reason": reason[:500], "least": least, "most": most, "measured": measured, "unit": unit}


def window(envelope: dict) -> tuple[float, float, float, float]:
    """Return (opens not before, opens not after, closes not before, closes not after) in seconds since 1970."""
    began = float(calendar.timegm(time.strptime(envelope["started_at"], "%Y-%m-%dT%H:%M:%SZ")))
    ends = began + envelope["window_s"]
    return began, began + OPENS_WITHIN_S, ends, ends + OPENS_WITHIN_S


def leaked_bytes(readings: list[dict], envelope: dict) -> tuple[int, int]:
    """Return the least and the most that can have been leaked in the probe's window.

    readings: [{'read_at_s', 'outstanding_bytes', …}] from before the window to after it, oldest first.
    Raises ValueError when they do not enclose the window.
    """
    opens, opened, closes, closed = window(envelope)

    def at(wanted: list[dict]) -> int:
        return wanted[0]["outstanding_bytes"]

    before = [row for row in reversed(readings) if row["read_at_s"] <= opens]
    begun = [row for row in readings if row["read_at_s"] >= opened]
    ending = [row for row in reversed(readings) if row["read_at_s"] <= closes]
    after = [row for row in readings if row["read_at_s"] >= closed] or list(reversed(readings))
    if not before or not begun or not ending or after[0]["read_at_s"] < closes:
        raise ValueError("the ground truth was not read before, in and after the probe's window")
    return max(0, at(ending) - at(begun)), max(0, at(after) - at(before))


def leak(expected: dict, readings: list[dict], envelope: dict) -> dict:
    """Judge memleak. expected: {'type', 'culprit', 'module', 'object_bytes', 'churn_bytes_per_s'}."""
    if envelope["status"] not in ("ok", "degraded"):
        return made("blind", f"the probe did not measure: {envelope['reason']}")
    least, most = leaked_bytes(readings, envelope)
    if not least:
        return made("untested", "the injector did not leak all through the window: was its ceiling reached?", least, most)
    data = envelope["data"]
    culprit, module, size = expected["culprit"], expected["module"], expected["object_bytes"]
    found = [*data["leaks"], *data["outstanding"]]
    entries = [row for row in found if (row["culprit"], row["module"]) == (culprit, module)]
    right = sum(row["bytes_outstanding"] for row in entries if row["type"] == expected["type"])
    slack = envelope["cost"]["lost_events"] * size + expected["churn_bytes_per_s"] * CHURN_S
    slack += SIGMAS * math.sqrt(most * size * max(0, data["sample"] - 1))
    bounds = (math.floor(max(0, least - slack)), math.ceil(most + slack))
    if right:
        if not bounds[0] <= right <= bounds[1]:
            return made("degraded", f"{culprit} is found, with a wrong number of bytes", *bounds, right)
        if not any(row["verdict"] == "leak" for row in entries if row["type"] == expected["type"]):
            reasons = "; ".join(reason for row in entries for reason in row["reasons"])
            return made("degraded", f"{culprit} is found, but not called a leak: {reasons}", *bounds, right)
        if envelope["status"] == "degraded":
            return made("degraded", f"{culprit} is found; the probe says: {envelope['reason']}", *bounds, right)
        return made("proven", "", *bounds, right)
    if entries:
        total, kinds = sum(row["bytes_outstanding"] for row in entries), sorted({row["type"] for row in entries})
        return made("degraded", f"{culprit} is found, but as type {', '.join(kinds)} instead of {expected['type']}", *bounds, total)
    blamed = [row for row in found if any(f"[{module}]" in frame for frame in row["stack"])]
    if blamed:
        names = sorted({f"{row['culprit']} ({row['type']})" for row in blamed})
        total = sum(row["bytes_outstanding"] for row in blamed)
        return made("degraded", f"seen, but {', '.join(names)[:200]} is blamed instead of {culprit}", *bounds, total)
    counters = {name: grown for name, grown in data["triage"]["meminfo_delta_bytes"].items() if grown >= least}
    if counters:
        name = max(counters, key=counters.get)
        return made("degraded", f"no call stack names {culprit}; only the kernel's counter {name} grew", *bounds, counters[name])
    return made("blind", f"nothing of {most} leaked bytes is seen", *bounds)


def bounded(delay: dict) -> dict:
    """Return an injected delay with least_ns and most_ns, which the kernel modules measure as one length."""
    length = delay.get("length_ns")
    return {"ran": [], **delay, **({"least_ns": length, "most_ns": length} if length is not None else {})}


def ends_ns(delay: dict) -> int:
    return delay["start_ns"] + delay["most_ns"]


def matches(event: dict, delay: dict, offset_ns: float) -> bool:
    """Is this event of the probe that injected delay? offset_ns: CLOCK_MONOTONIC at the begin of the window."""
    near_ns = delay["most_ns"] - delay["least_ns"] + CLOCK_MS * 1e6
    if abs(ends_ns(delay) - offset_ns - event["at_s"] * 1e9) > near_ns:
        return False
    return delay["least_ns"] / 1e3 - ROUNDING_US <= event["delay_us"] <= delay["most_ns"] / 1e3 + ROUNDING_US


def latency(kind: str, delays: list[dict], clock: dict, envelope: dict) -> dict:
    """Judge runlatency. kind: of its events; clock: {'monotonic_ns', 'read_at_s'} of the host at one instant."""
    unit = "delays"
    if envelope["status"] not in ("ok", "degraded"):
        return made("blind", f"the probe did not measure: {envelope['reason']}", unit=unit)
    delays = [bounded(delay) for delay in delays]
    opens, opened, closes, closed = (clock["monotonic_ns"] + (at_s - clock["read_at_s"]) * 1e9 for at_s in window(envelope))
    sure = [delay for delay in delays if delay["start_ns"] >= opened and ends_ns(delay) <= closes]
    possible = [delay for delay in delays if delay["start_ns"] + delay["most_ns"] >= opens and delay["start_ns"] <= closed]
    if not sure:
        return made("untested", "the injector made no delay within the window", unit=unit)
    least, most = len(sure), len(possible)
    if kind != "runq":
        return _stalls(kind, sure, possible, envelope)
    events = [event for event in envelope["data"]["events"] if event["kind"] == kind]
    waiting = {delay["pid"] for delay in possible}
    floor_us = min(delay["least_ns"] for delay in possible) / 2e3
    events = [row for row in events if row["pid"] in waiting and row["wait"] == "wakeup" and row["delay_us"] >= floor_us]
    waits = sum(count for lower, count in envelope["data"]["histograms"].get("wakeup", {}).items() if 2 * int(lower) > floor_us)
    if events and waits < least:
        return made("degraded", f"{least} waits were made, the histogram has {waits} of that length", least, most, waits, unit)
    if not events:
        return made("blind", f"no event of kind {kind} is among what the probe measures", least, most, 0, unit)
    offsets = [ends_ns(delay) - event["at_s"] * 1e9 for delay in possible for event in events]
    found = max((_pairs(events, possible, offset) for offset in offsets), key=len)
    # Only the longest waits are kept, for each CPU.
    kept_us: dict[int, float] = {}
    for event in envelope["data"]["events"]:
        kept_us[event["cpu"]] = min(event["delay_us"], kept_us.get(event["cpu"], math.inf))
    unseen = [delay for delay in sure if not any(delay is other for _event, other in found)]
    missed = [delay for delay in unseen if delay["least_ns"] / 1e3 > kept_us.get(delay["cpu"], 0)]
    named = [(event, delay) for event, delay in found if delay["ran"] and delay["least_ns"] / 1e3 > event["delay_us"] / 2]
    wrong = [event for event, delay in named if (event["instead"] or {}).get("pid") not in delay["ran"]]
    text = ""
    if missed or len(found) < len(events):
        text = f"{len(missed)} of {least} delays have no event of the right length, {len(events) - len(found)} events fit no delay"
    elif wrong:
        text = f"{len(wrong)} of {len(found)} events name another task than the one that ran"
    return _proven_unless(text, envelope, least, most, len(found))


def _proven_unless(text: str, envelope: dict, least: int, most: int, found: int) -> dict:
    """text: what is wrong with what was found, or ''."""
    if not text and envelope["status"] == "degraded":
        text = f"the probe says: {envelope['reason']}"
    return made("degraded" if text else "proven", text, least, most, found, "delays")


def _stalls(kind: str, sure: list[dict], possible: list[dict], envelope: dict) -> dict:
    """Judge what runlatency says of interrupts that were off, or of a kernel that did not switch."""
    data, unit = envelope["data"], "delays"
    least, most = len(sure), len(possible)
    events = [event for event in data.get("stalls", []) if event["kind"] == kind]
    if not events:
        return made("blind", f"no event of kind {kind} is among what the probe measures", least, most, 0, unit)

    def same(event: dict, delay: dict, offset_ns: float) -> bool:
        length_us = delay["least_ns"] / 1e3
        if event["cpu"] != delay["cpu"] or abs(ends_ns(delay) - offset_ns - event["at_s"] * 1e9) > CLOCK_MS * 1e6:
            return False
        return event["delay_us"] >= length_us - ROUNDING_US and event["least_us"] <= length_us + data["stall_period_us"]

    def pairs(offset_ns: float) -> list[tuple[dict, dict]]:
        found = ((delay, next((event for event in events if same(event, delay, offset_ns)), None)) for delay in possible)
        return [(event, delay) for delay, event in found if event is not None]

    found = max((pairs(ends_ns(delay) - event["at_s"] * 1e9) for delay in possible for event in events), key=len)
    missed = [delay for delay in sure if not any(delay is other for _event, other in found)]
    wrong = [event for event, _delay in found if event["culprit"] != f"ksysak_{kind}_spin"]
    text = ""
    if missed:
        text = f"{len(missed)} of {least} delays have no event of the right length"
    elif wrong:
        text = f"{len(wrong)} of {len(found)} events blame another function: {wrong[0]['culprit']}"
    return _proven_unless(text, envelope, least, most, len(found))


def _pairs(events: list[dict], delays: list[dict], offset_ns: float) -> list[tuple[dict, dict]]:
    pairs = [(event, next((delay for delay in delays if matches(event, delay, offset_ns)), None)) for event in events]
    return [(event, delay) for event, delay in pairs if delay is not None]


def probe_verdict(verdicts: list[str]) -> str:
    """Return the verdict of a probe from those of its cases."""
    tested = {verdict for verdict in verdicts if verdict != "untested"}
    return tested.pop() if len(tested) == 1 else "degraded" if tested else "untested"


def left_behind(before: dict, after: dict, removals: list[tuple[int, int]]) -> list[str]:
    """Return what was left on a host, in words.

    before, after: 'leftovers' of the module ground_truth; removals: (bytes that were outstanding, bytes that came back) of each.
    """
    left = [f"the kernel module {plain(name, 64)} is loaded" for name in after["kernel_modules"]]
    left += [f"something listens on {plain(name, 64)}" for name in after["sockets"]]
    more = after["tracing_programs"] - before["tracing_programs"]
    left += [f"{more} more BPF programs trace than before"] if more > 0 else []
    left += [
        f"only {back} of {leaked} leaked bytes came back"
        for leaked, back in removals
        if back < leaked * CAME_BACK - NOISE_BYTES
    ]  # fmt: skip
    return left
