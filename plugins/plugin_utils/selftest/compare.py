# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe reported of an injected leak or delay, against what is known of it exactly.

Each function returns {'verdict', 'reason', 'least', 'most', 'measured', 'unit'}. verdict: passed (the right function or task,
and a number between least and most), partial (seen, but not all of that), failed (not seen), not_run (nothing was injected).
"""

from __future__ import annotations

import calendar
import functools
import math
import time
from collections.abc import Callable

from ..results.documents import plain

# The window opens at most so long after started_at, which has whole seconds.
OPENS_WITHIN_S = 2.0
CHURN_S = 0.5  # what is freed again after 50 ms may be late by this
SIGMAS = 6
STEADY_UNSEEN = 0.5  # share of allocations that sampling may hide
ROUNDING_US = 1.0
# Freed objects leave slabs behind that hold others, freed pages wait in lists of each CPU, and the host works meanwhile.
CAME_BACK, NOISE_BYTES = 0.75, 2 * 1024 * 1024
PROVING = 5  # times the least: the most of bounds that prove a number
CLOCK_MS = 5.0  # two processes note one event
STARTED_WITHIN_S = 5.0  # a host that is short of CPU takes this long from opening the window to noting when
MOST_DELAYS = 1000  # several times what the injectors make around the longest window
NO_DELAY = "the injector made no delay within the window"

Number = float | None


def made(verdict: str, reason: str = "", least: Number = None, most: Number = None, measured: Number = None, unit: str = "bytes") -> dict:
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
    """Compare memleak. expected: {'type', 'culprit', 'module', 'object_bytes', 'churn_bytes_per_s'}."""
    if envelope["status"] not in ("ok", "degraded"):
        return made("failed", f"the probe did not measure: {envelope['reason']}")
    least, most = leaked_bytes(readings, envelope)
    if not least:
        return made("not_run", "the injector did not leak all through the window: was its ceiling reached?", least, most)
    data = envelope["data"]
    culprit, module, size = expected["culprit"], expected["module"], expected["object_bytes"]
    found = [*data["leaks"], *data["outstanding"]]
    entries = [row for row in found if (row["culprit"], row["module"]) == (culprit, module)]
    own = [row for row in entries if row["type"] == expected["type"]]
    right = sum(row["bytes_outstanding"] for row in own)
    slack = envelope["cost"]["lost_events"] * size + expected["churn_bytes_per_s"] * CHURN_S
    # Areas of vmalloc are all followed; of others fewer may have been at the end than was asked for.
    sample = 1 if expected["type"] == "vmalloc" else max([data["sample"], *(row["sampled"] for row in own)])
    slack += SIGMAS * math.sqrt(most * size * max(0, sample - 1))
    bounds = (math.floor(max(0, least - slack)), math.ceil(most + slack))
    if right:
        if bounds[0] * PROVING < bounds[1]:
            return made("partial", f"{culprit} is found, but so few objects were followed that the bounds prove nothing", *bounds, right)
        if not bounds[0] <= right <= bounds[1]:
            return made("partial", f"{culprit} is found, with a wrong number of bytes", *bounds, right)
        if not any(row["verdict"] == "leak" for row in entries if row["type"] == expected["type"]):
            reasons = "; ".join(reason for row in entries for reason in row["reasons"])
            return made("partial", f"{culprit} is found, but not called a leak: {reasons}", *bounds, right)
        if envelope["status"] == "degraded":
            return made("partial", f"{culprit} is found; the probe says: {envelope['reason']}", *bounds, right)
        return made("passed", "", *bounds, right)
    if entries:
        total, kinds = sum(row["bytes_outstanding"] for row in entries), sorted({row["type"] for row in entries})
        return made("partial", f"{culprit} is found, but as type {', '.join(kinds)} instead of {expected['type']}", *bounds, total)
    blamed = [row for row in found if any(f"[{module}]" in frame for frame in row["stack"])]
    if blamed:
        names = sorted({f"{row['culprit']} ({row['type']})" for row in blamed})
        total = sum(row["bytes_outstanding"] for row in blamed)
        return made("partial", f"seen, but {', '.join(names)[:200]} is blamed instead of {culprit}", *bounds, total)
    counters = {name: grown for name, grown in data["triage"]["meminfo_delta_bytes"].items() if grown >= least}
    if counters:
        name = max(counters, key=lambda counter: counters[counter])
        return made("partial", f"no call stack names {culprit}; only the kernel's counter {name} grew", *bounds, counters[name])
    return made("failed", f"nothing of {most} leaked bytes is seen", *bounds)


def steady(expected: dict, readings: list[dict], envelope: dict) -> dict:
    """Judge memleak on memory that is freed again: expected as of leak(). It must not be suspected."""
    if envelope["status"] not in ("ok", "degraded"):
        return made("failed", f"the probe did not measure: {envelope['reason']}")
    _opens, opened, closes, _closed = window(envelope)
    within = [row for row in readings if opened <= row["read_at_s"] <= closes]
    if len(within) < 2 or within[-1]["frees"] == within[0]["frees"]:
        return made("not_run", "the injector did not allocate and free all through the window")
    seen = envelope["data"]["totals"].get(expected["type"], {}).get("allocations", 0)
    went = within[-1]["allocations"] - within[0]["allocations"]
    if seen < went * (1 - STEADY_UNSEEN):
        return made("failed", f"of {went} allocations in the window the probe counted {seen}: silence proves nothing", 0, 0, 0)
    suspected = [row for row in envelope["data"]["leaks"] if row["module"] == expected["module"]]
    total = sum(row["bytes_outstanding"] for row in suspected)
    if suspected:
        names = ", ".join(sorted({f"{row['culprit']}: {row['verdict']}" for row in suspected}))
        return made("failed", f"memory that is freed again is suspected: {names[:200]}", 0, 0, total)
    return made("passed", "", 0, 0, 0)


def bounded(delay: dict) -> dict:
    """Return an injected delay with least_ns and most_ns, which the kernel modules measure as one length."""
    length = delay.get("length_ns")
    return {"ran": [], **delay, **({"least_ns": length, "most_ns": length} if length is not None else {})}


def ends_ns(delay: dict) -> int:
    return delay["start_ns"] + delay["most_ns"]


def opened_ns(event: dict, delay: dict) -> float:
    """Return CLOCK_MONOTONIC at the begin of the window, if this event of the probe is that injected delay."""
    return ends_ns(delay) - event["at_s"] * 1e9


def same_wait(event: dict, delay: dict, offset_ns: float) -> bool:
    """Is this event of the probe that injected delay? offset_ns: CLOCK_MONOTONIC at the begin of the window."""
    near_ns = delay["most_ns"] - delay["least_ns"] + CLOCK_MS * 1e6
    if abs(opened_ns(event, delay) - offset_ns) > near_ns:
        return False
    return delay["least_ns"] / 1e3 - ROUNDING_US <= event["delay_us"] <= delay["most_ns"] / 1e3 + ROUNDING_US


def same_stall(period_us: float, event: dict, delay: dict, offset_ns: float) -> bool:
    """Is this event of the probe that injected delay? period_us: how wide the interval is that holds the length of a stall."""
    length_us = delay["least_ns"] / 1e3
    if event["cpu"] != delay["cpu"] or abs(opened_ns(event, delay) - offset_ns) > CLOCK_MS * 1e6:
        return False
    return event["delay_us"] >= length_us - ROUNDING_US and event["least_us"] <= length_us + period_us


def paired(events: list[dict], delays: list[dict], about_ns: float, same: Callable[[dict, dict, float], bool]) -> list[tuple[dict, dict]]:
    """Return the pairs of (event, delay) that are the same by same(event, delay, offset_ns): as many as one offset_ns gives.

    about_ns: when the window opened, by the host's own word; offset_ns is near to it.
    """
    apart_ns = STARTED_WITHIN_S * 1e9
    offsets = {round(opened_ns(event, delay), -6) for delay in delays for event in events}
    near = sorted((offset for offset in offsets if abs(offset - about_ns) <= apart_ns), key=lambda offset: abs(offset - about_ns))
    best: list[tuple[dict, dict]] = []
    for offset_ns in near[:MOST_DELAYS]:
        found = ((event, next((delay for delay in delays if same(event, delay, offset_ns)), None)) for event in events)
        pairs = [(event, delay) for event, delay in found if delay is not None]
        best = max(best, pairs, key=len)
        if len(best) == len(events):
            break
    return best


def latency(kind: str, delays: list[dict], clock: dict, envelope: dict) -> dict:
    """Compare runlatency. kind: of its events; clock: {'monotonic_ns', 'read_at_s'} of the host at one instant.

    Raises ValueError when the host tells of more delays than can be.
    """
    if envelope["status"] not in ("ok", "degraded"):
        return made("failed", f"the probe did not measure: {envelope['reason']}", unit="delays")
    if len(delays) > MOST_DELAYS:
        raise ValueError(f"{len(delays)} delays are more than the injectors make")
    delays = [bounded(delay) for delay in delays]
    opens, opened, closes, closed = (clock["monotonic_ns"] + (at_s - clock["read_at_s"]) * 1e9 for at_s in window(envelope))
    data = envelope["data"]
    period_us = data.get("stall_period_us", 0)
    sure = within(delays, opened, closes)
    least, most = len(undisturbed(sure, period_us)), len(touching(delays, opens, closed))
    if not least:
        away = "in each delay something else had the CPU: a hypervisor, or interrupts"
        return made("not_run", away if sure else NO_DELAY, unit="delays")
    if kind == "runq":
        events, same, wrong = _waits(delays, data), same_wait, _waits_wrong
    else:
        events = [event for event in data.get("stalls", []) if event["kind"] == kind]
        same, wrong = functools.partial(same_stall, period_us), _stalls_wrong
    if not events:
        return made("failed", f"no event of kind {kind} is among what the probe measures", least, most, 0, "delays")
    found = paired(events, delays, opens, same)
    if found:
        # A delay's end is noted a little after the probe has noted it.
        opened = min(opened_ns(event, delay) for event, delay in found)
        closes = opened + envelope["window_s"] * 1e9
        sure = undisturbed(within(delays, opened, closes - CLOCK_MS * 1e6), period_us)
        least, most = len(sure), len(touching(delays, opened, closes))
    if not sure:
        return made("not_run", NO_DELAY, unit="delays")
    text = wrong(sure, events, found, data)
    if not text and envelope["status"] == "degraded":
        text = f"the probe says: {envelope['reason']}"
    return made("partial" if text else "passed", text, least, most, len(found), "delays")


def within(delays: list[dict], begin_ns: float, end_ns: float) -> list[dict]:
    return [delay for delay in delays if delay["start_ns"] >= begin_ns and ends_ns(delay) <= end_ns]


def undisturbed(delays: list[dict], period_us: float) -> list[dict]:
    """Return the delays that the injector itself made, all of them.

    Where something else had the CPU for longer than the probe's clock can tell from a stall, that is what the probe reports.
    """
    return [delay for delay in delays if delay.get("gap_ns", 0) / 1e3 <= period_us or not period_us]


def touching(delays: list[dict], begin_ns: float, end_ns: float) -> list[dict]:
    return [delay for delay in delays if ends_ns(delay) >= begin_ns and delay["start_ns"] <= end_ns]


def _least_us(delays: list[dict]) -> float:
    """Return what is longer than the waits of a task that nothing delays."""
    return min(delay["least_ns"] for delay in delays) / 2e3


def _waits(delays: list[dict], data: dict) -> list[dict]:
    """Return the events of the tasks that were delayed."""
    waiting = {delay["pid"] for delay in delays}
    events = [event for event in data["events"] if event["kind"] == "runq" and event["wait"] == "wakeup"]
    return [event for event in events if event["pid"] in waiting and event["delay_us"] >= _least_us(delays)]


def _waits_wrong(sure: list[dict], events: list[dict], found: list[tuple[dict, dict]], data: dict) -> str:
    """Return what is wrong with these events of tasks that were delayed, or ''."""
    waits = sum(count for lower, count in data["histograms"].get("wakeup", {}).items() if 2 * int(lower) > _least_us(sure))
    if waits < len(sure):
        return f"{len(sure)} waits were made, the histogram has {waits} of that length"
    # Only the longest waits are kept, for each CPU.
    kept_us: dict[int, float] = {}
    for event in data["events"]:
        kept_us[event["cpu"]] = min(event["delay_us"], kept_us.get(event["cpu"], math.inf))
    unseen = [delay for delay in sure if not any(delay is other for _event, other in found)]
    missed = [delay for delay in unseen if delay["least_ns"] / 1e3 > kept_us.get(delay["cpu"], 0)]
    if missed or len(found) < len(events):
        return f"{len(missed)} of {len(sure)} delays have no event of the right length, {len(events) - len(found)} events fit no delay"
    named = [(event, delay) for event, delay in found if delay["ran"] and delay["least_ns"] / 1e3 > event["delay_us"] / 2]
    wrong = [event for event, delay in named if (event["longest_runner"] or {}).get("pid") not in delay["ran"]]
    return f"{len(wrong)} of {len(found)} events name another task than the one that ran" if wrong else ""


def _stalls_wrong(sure: list[dict], events: list[dict], found: list[tuple[dict, dict]], data: dict) -> str:
    """Return what is wrong with the interrupts that were off, or a kernel that did not switch, or ''."""
    missed = [delay for delay in sure if not any(delay is other for _event, other in found)]
    if missed:
        return f"{len(missed)} of {len(sure)} delays have no event of the right length"
    wrong = [event for event, _delay in found if event["culprit"] != f"ksysak_{event['kind']}_spin"]
    return f"{len(wrong)} of {len(found)} events blame another function: {wrong[0]['culprit']}" if wrong else ""


def probe_verdict(verdicts: list[str]) -> str:
    """Return the verdict of a probe from those of its cases."""
    tested = {verdict for verdict in verdicts if verdict != "not_run"}
    return tested.pop() if len(tested) == 1 else "partial" if tested else "not_run"


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
