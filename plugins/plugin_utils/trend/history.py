# SPDX-License-Identifier: GPL-3.0-or-later
"""Earlier scans of a results folder, and what their readings say of a host beside those of the present scan."""

from __future__ import annotations

import datetime
from pathlib import Path

from ..fleet import load
from .memory import judge_memory
from .readings import Readings, Unusable, Writer, reading_of

MOST = 50
RECENT = 10
SAME_MEMORY = 0.01
SKIPPED = 100
BOOTING_S = 900.0  # of uptime, until which services start and caches are empty
LEFT_OUT = ("booting", "other_boot", "no_reading", "out_of_order", "other_memory")

FIRST = "there is no earlier scan to compare with"
NOT_MEASURED = "the probe memory did not measure"
NO_BOOT = "the scan has no boot id of the host"
JUST_BOOTED = "the host has just been booted"
OTHER_BOOT = "no earlier scan of this boot of the host"


class History:
    """The scans before the present one.

    results: folder of all scans, None: nothing is compared; present: folder of the present scan.
    """

    def __init__(self, results: Path | None, present: Path):
        self._writer = Writer(present)
        self.scans: list[Readings] = []
        self.skipped: list[dict] = []
        self.not_used = 0
        if results is None:
            return
        folders = load.earlier(results, present)
        chosen = _chosen([scan["started_at"] for _folder, scan in folders], MOST)
        self.not_used = len(folders) - len(chosen)
        for place in chosen:
            folder, scan = folders[place]
            try:
                self.scans.append(Readings(folder, scan))
            except Unusable as error:
                self.skipped.append({"scan_id": scan["scan_id"], "reason": str(error)})
        self.skipped = self.skipped[-SKIPPED:]

    def keep(self, document: dict) -> None:
        """Keep the readings of a host of the present scan. document: a valid host document."""
        self._writer.add(document)

    def write(self, scan_id: str) -> None:
        """Write what was kept beside the present scan."""
        self._writer.write(scan_id)

    def facts(self, document: dict) -> dict:
        """Return {'memory': …}, as in trend-1.json, of a host. document: a valid host document of any of the scans.

        Readings of later scans do not count.
        """
        now = reading_of(document)
        if now is None:
            return {"memory": _not_compared(NOT_MEASURED)}
        if not now["boot_id"]:
            return {"memory": _not_compared(NO_BOOT)}
        if now["uptime_s"] < BOOTING_S:
            return {"memory": _not_compared(JUST_BOOTED)}
        readings: list[dict] = [{**now, "scan_id": document["scan_id"], "started_at": document["probes"]["memory"]["started_at"]}]
        left_out = dict.fromkeys(LEFT_OUT, 0)
        for scan in reversed(self.scans):
            if scan.scan_id == document["scan_id"]:
                continue
            reading = scan.reading(document["host"])
            why = _unfit(reading, readings[-1])
            if reading is None or why:
                left_out[why] += 1
            else:
                readings.append({**reading, "scan_id": scan.scan_id, "started_at": scan.started_at})
        if len(readings) < 2:
            return {"memory": _not_compared(OTHER_BOOT if self.scans else FIRST, left_out)}
        readings.reverse()
        return {"memory": {"compared": True, "reason": "", "left_out": left_out, **judge_memory(readings)}}


def _not_compared(reason: str, left_out: dict | None = None) -> dict:
    known = {"left_out": left_out or dict.fromkeys(LEFT_OUT, 0), "readings": 1, "span_s": 0.0, "since": None, "memory_bytes": 0, "rows": []}
    return {"compared": False, "reason": reason, **known}


def _unfit(reading: dict | None, later: dict) -> str:
    """Return why a reading cannot be compared with a later one of the host; empty: it can.

    The uptime is the only clock: a wall clock may be set. Where it does not run with the order of the scans, the machine was put back to an
    earlier state, or the scans were not in this order.
    """
    if reading is None:
        return "no_reading"
    if reading["boot_id"] != later["boot_id"]:
        return "other_boot"
    if reading["uptime_s"] >= later["uptime_s"]:
        return "out_of_order"
    if reading["uptime_s"] < BOOTING_S:
        return "booting"
    before, after = reading["bytes"].get("MemTotal", 0), later["bytes"].get("MemTotal", 0)
    return "other_memory" if abs(before - after) > SAME_MEMORY * after else ""


def _chosen(instants: list[str], most: int) -> list[int]:
    """Return the places of at most so many of sorted instants: the last ones, and some that are spread evenly over those before."""
    if len(instants) <= most:
        return list(range(len(instants)))
    recent = list(range(len(instants) - RECENT, len(instants)))
    seconds = [datetime.datetime.fromisoformat(at.replace("Z", "+00:00")).timestamp() for at in instants[: recent[0]]]
    step = (seconds[-1] - seconds[0]) / (most - RECENT - 1)
    spread: list[int] = []
    for place, at in enumerate(seconds):
        wanted = len(spread) and seconds[spread[0]] + step * len(spread)
        if not spread or at >= wanted:
            spread.append(place)
    return [*spread[-(most - RECENT) :], *recent]
