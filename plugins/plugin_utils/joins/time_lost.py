# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of services went: on a CPU, waiting for one, throttled, blocked by kind, interrupted, taken by the hypervisor.

The run queue is runlatency's, what is blocked is blocked's: both count each thread by itself and name cgroups of one hierarchy
(`cpu_cgroup`). One delay has one explanation: a task that is woken and then waits for a CPU has one interval of two parts, and a task
whose holder waited for a CPU waited for that CPU.
"""

from __future__ import annotations

MOST = 32
WORST = 5
ADJACENT_S = 0.002
OF_CPU = ("run_queue", "throttled", "interrupted", "steal")


def time_lost(runlatency: dict | None, blocked: dict | None) -> list[dict]:
    """Return a row a service, most time lost first. runlatency, blocked: data of the probes, None: not measured."""
    rows: dict[str | None, dict] = {}
    for service in (runlatency or {}).get("services") or []:
        row = rows.setdefault(service["cgroup"], _row(service["cgroup"], service["unit"]))
        row["running_us"] = service["running_ns"] / 1e3
        row["worst"] = [
            _interval(wait, wait["cause"], wait["cause"].replace("_", " "), wait["by"], wait["pid"]) for wait in service["worst"]
        ]
        for name in OF_CPU:
            row[f"{name}_us"] = service[f"{name}_ns"] / 1e3
    groups = {}
    for service in (blocked or {}).get("services") or []:
        groups[service["cgroup"]] = service["cpu_cgroup"]
        row = rows.setdefault(service["cpu_cgroup"], _row(service["cpu_cgroup"], service["unit"]))
        row["comm"] = row["comm"] or service["comm"]
        for kind, blocked_us in service["kinds"].items():
            row["blocked"][kind] = row["blocked"].get(kind, 0.0) + blocked_us
        row["blocked_us"] = (row["blocked_us"] or 0.0) + service["blocked_us"]
    for wait in (blocked or {}).get("waits") or []:
        if not wait["expected"] and not wait["kernel_thread"] and groups.get(wait["cgroup"]) in rows:
            _add(rows[groups[wait["cgroup"]]]["worst"], wait, (runlatency or {}).get("events") or [])
    return [_finished(row, blocked is not None) for row in sorted(rows.values(), key=lambda row: (-_lost(row), row["cgroup"] or ""))[:MOST]]


def _row(cgroup: str | None, unit: str | None) -> dict:
    numbers = dict.fromkeys(("running_us", *(f"{name}_us" for name in OF_CPU), "blocked_us"))
    return {"cgroup": cgroup, "unit": unit, "comm": None, **numbers, "blocked": {}, "worst": []}


def _interval(wait: dict, cause: str, words: str, by: str | None, tid: int) -> dict:
    interval = {"at_s": wait["at_s"], "delay_us": wait["delay_us"], "pid": tid, "comm": wait["comm"], "cause": cause}
    return {**interval, "words": words, "by": by, "parts": {cause: wait["delay_us"]}}


def _add(worst: list[dict], wait: dict, events: list[dict]) -> None:
    """Take a wait in the kernel, into the interval of the same task that it goes before, or as one of its own."""
    holder = wait["holder"]
    interval = _interval(wait, wait["kind"], wait["reason"], holder["comm"] if holder else None, wait["tid"])
    behind = _waited(holder, wait, events)
    if behind:
        interval["words"] = f"{wait['reason']}, whose holder waited for a CPU"
        interval["by"] = (behind["longest_runner"] or {}).get("comm") or interval["by"]
    for other in worst:
        if other["pid"] == wait["tid"] and abs(other["at_s"] - other["delay_us"] / 1e6 - wait["at_s"]) < ADJACENT_S:
            larger = max(other, interval, key=lambda one: one["delay_us"])
            parts = {**other["parts"], **interval["parts"]}
            other.update({name: larger[name] for name in ("cause", "words", "by")}, parts=parts, delay_us=sum(parts.values()))
            return
    worst.append(interval)


def _waited(holder: dict | None, wait: dict, events: list[dict]) -> dict | None:
    """Return the wait for a CPU that the holder had during at least half of a wait; None when there is none."""
    begin_s = wait["at_s"] - wait["delay_us"] / 1e6
    for event in events if holder else []:
        if event["pid"] == holder["tid"]:
            over_s = min(wait["at_s"], event["at_s"]) - max(begin_s, event["at_s"] - event["delay_us"] / 1e6)
            if over_s * 2e6 >= wait["delay_us"]:
                return event
    return None


def _lost(row: dict) -> float:
    return sum(row[f"{name}_us"] or 0.0 for name in (*OF_CPU, "blocked"))


def _finished(row: dict, has_blocked: bool) -> dict:
    """Round, sort, and name the largest cause. has_blocked: a service that was not blocked was blocked for no time."""
    if has_blocked:
        row["blocked_us"] = row["blocked_us"] or 0.0
    causes = {name: row[f"{name}_us"] or 0.0 for name in OF_CPU} | row["blocked"]
    largest = max(causes, key=lambda name: (causes[name], name))
    row["worst"] = sorted(row["worst"], key=lambda one: -one["delay_us"])[:WORST]
    row["lost_us"] = _lost(row)
    row["largest"] = largest if causes[largest] else None
    return row
