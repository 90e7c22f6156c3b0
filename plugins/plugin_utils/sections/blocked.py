# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the time of services went on the whole fleet, and the tasks that the kernel kept from going on."""

from __future__ import annotations

import math

from ...module_utils._blocked import reasons
from ..fleet.section import Section as Base
from ..joins.time_lost import OF_CPU
from ..known_bugs.known_bugs import KnownBugs

CAUSES = 200
WAITS = 100
SERVICES = 200
QUANTILES = (0.5, 0.9, 0.99)


class Section(Base):
    """Adds up the causes of hosts by kind, reason and device; keeps the longest waits of all."""

    PROBE = "blocked"
    KEY = "blocked"
    TITLE = "Where the time went"
    JOINS = frozenset({"time_lost"})
    TEXTS = frozenset({*(row.words for row in reasons.ROWS), reasons.WORDS_OF_OTHER})
    MEASURES = {"longest_blocked_us": "longest wait in the kernel", "blocked_us": "blocked time of all tasks"}

    def __init__(self, known_bugs: KnownBugs) -> None:
        super().__init__(known_bugs)
        self._hosts = 0
        self._causes: dict[tuple, dict] = {}
        self._waits: list[dict] = []
        self._window_us = 0.0
        self._services: list[dict] = []
        self._shares: dict[str, dict[str, float]] = {}

    @staticmethod
    def measures(envelope: dict) -> dict[str, float | None]:
        data = envelope["data"]
        return {
            "longest_blocked_us": max((cause["longest_us"] for cause in data["reasons"]), default=0.0),
            "blocked_us": sum(service["blocked_us"] for service in data["services"]),
        }

    def finding_key(self, evidence: dict) -> tuple | None:
        key = tuple(evidence.get(name) for name in ("kind", "reason"))
        return key if all(isinstance(part, str) for part in key) else None

    def add(self, host: str, envelope: dict) -> None:
        data = envelope["data"]
        self._hosts += 1
        self._window_us = max(envelope["window_s"], 1e-3) * 1e6
        for cause in data["reasons"]:
            entry = self._causes.setdefault(
                (cause["kind"], cause["reason"]),
                {
                    "kind": cause["kind"], "reason": cause["reason"], "hosts": set(), "count": 0, "total_us": 0.0, "sampled_us": 0.0,
                    "longest_us": -1.0, "worst": 0.0, "worst_host": None, "device": None, "function": "", "victim": None, "holder": None,
                },
            )  # fmt: skip
            entry["hosts"].add(host)
            for name in ("count", "total_us", "sampled_us"):
                entry[name] += cause[name]
            entry["longest_us"] = max(entry["longest_us"], cause["longest_us"])
            weight = max(cause["total_us"], cause["sampled_us"])
            if entry["worst_host"] is None or weight > entry["worst"]:
                entry.update(
                    worst=weight, worst_host=host, device=cause["device"], function=cause["function"],
                    victim=_task(cause["victims"]), holder=_task(cause["holders"]),
                )  # fmt: skip
        waits = [
            {
                "host": host, "pid": wait["pid"], "comm": wait["comm"], "service": wait["unit"] or wait["cgroup"], "kind": wait["kind"],
                "reason": wait["reason"], "device": wait["device"], "delay_us": wait["delay_us"], "ongoing": wait["ongoing"],
                "holder": _task([wait["holder"]] if wait["holder"] else []),
                "chain": [{"pid": link["pid"], "comm": link["comm"], "reason": link["reason"]} for link in wait["chain"]],
                "stack": wait["stack"],
            }
            for wait in data["waits"]
            if not wait["expected"] and not wait["kernel_thread"]
        ]  # fmt: skip
        self._waits = sorted([*self._waits, *waits], key=lambda wait: (-wait["delay_us"], wait["host"], wait["pid"]))[:WAITS]

    def add_joined(self, host: str, made: dict) -> None:
        """Take the services of the host that add() took last."""
        lost: dict[str, float] = {}
        for row in made["time_lost"]:
            for cause, cause_us in [*((name, row[f"{name}_us"] or 0.0) for name in OF_CPU), *row["blocked"].items()]:
                lost[cause] = lost.get(cause, 0.0) + cause_us
        for cause, cause_us in lost.items():
            self._shares.setdefault(cause, {})[host] = cause_us / self._window_us
        rows = [{"host": host, "window_us": self._window_us, **row} for row in made["time_lost"] if row["lost_us"] > 0]
        self._services = sorted([*self._services, *rows], key=lambda row: (-row["lost_us"] / row["window_us"], row["host"]))[:SERVICES]

    def _percentiles(self) -> list[dict]:
        """Return a row a cause: how many tasks of a host it kept waiting at any time, over all hosts."""
        found = []
        for cause, shares in self._shares.items():
            values = sorted([*shares.values(), *[0.0] * (self._hosts - len(shares))])
            worst = max(shares, key=lambda host: (shares[host], host))
            quantiles = {f"p{quantile * 100:.0f}": values[math.ceil(quantile * len(values)) - 1] for quantile in QUANTILES}
            if shares[worst] > 0:
                found.append({"cause": cause, **quantiles, "max": shares[worst], "worst_host": worst})
        return sorted(found, key=lambda row: (-row["max"], row["cause"]))

    def result(self, groups: list[dict]) -> dict:
        found = self.by_key(groups)
        causes = sorted(self._causes.items(), key=lambda row: (-max(row[1]["total_us"], row[1]["sampled_us"]), row[0]))
        return {
            "hosts": self._hosts,
            "cut": max(0, len(causes) - CAUSES),
            "causes": [
                {
                    **{name: value for name, value in cause.items() if name != "worst"},
                    "hosts": len(cause["hosts"]),
                    "finding": found[key]["id"] if key in found else None,
                }
                for key, cause in causes[:CAUSES]
            ],
            "waits": self._waits,
            "services": self._services,
            "percentiles": self._percentiles(),
        }


def _task(rows: list[dict]) -> dict | None:
    return {"pid": rows[0]["pid"], "comm": rows[0]["comm"], "doing": rows[0].get("doing", "")} if rows else None
