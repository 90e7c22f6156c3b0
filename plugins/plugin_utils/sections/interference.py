# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupts, timers, kernel threads and steal of the whole fleet."""

from __future__ import annotations

from ..fleet.section import Section as Base
from ..known_bugs.known_bugs import KnownBugs
from ..policy.text import plain_function

VECTORS = 300
CPUS = 100
TIMERS = 100
THREADS = 50
SORTED = 20  # times what is kept, before it is sorted: hosts are many, and each has few that are kept


class Section(Base):
    """Adds up the interference data of hosts by kind and name of the vector."""

    PROBE = "interference"
    KEY = "interference"
    TITLE = "Interference"
    MEASURES = {"interrupts_per_s": "interrupts per second", "interrupted_share": "largest share of a CPU in interrupts"}

    def __init__(self, known_bugs: KnownBugs) -> None:
        super().__init__(known_bugs)
        self._vectors: dict[tuple, dict] = {}
        self._timers: dict[tuple, dict] = {}
        self._threads: list[dict] = []
        self._cpus: list[dict] = []
        self._cpu_count = 0
        self._hosts = 0

    @staticmethod
    def measures(envelope: dict) -> dict[str, float | None]:
        data = envelope["data"]
        return {
            "interrupts_per_s": sum(vector["rate_per_s"] for vector in data["vectors"]),
            "interrupted_share": max((cpu["share"] for cpu in data["cpus"]), default=None),
        }

    def add(self, host: str, envelope: dict) -> None:
        data, window_s = envelope["data"], envelope["window_s"]
        self._hosts += 1
        for vector in data["vectors"]:
            entry = self._vectors.setdefault(
                (vector["kind"], vector["name"]),
                {
                    "kind": vector["kind"], "name": vector["name"], "hosts": set(), "count": 0, "rate_per_s": 0.0,
                    "total_us": None, "longest_us": None, "longest_host": None, "worst_share": None, "worst_host": None, "worst_cpu": None,
                },
            )  # fmt: skip
            entry["hosts"].add(host)
            entry["count"] += vector["count"]
            entry["rate_per_s"] += vector["rate_per_s"]
            if vector["total_us"] is not None:
                entry["total_us"] = (entry["total_us"] or 0.0) + vector["total_us"]
            if vector["longest_us"] is not None and vector["longest_us"] > (entry["longest_us"] or -1.0):
                entry.update(longest_us=vector["longest_us"], longest_host=host)
            for cpu in vector["by_cpu"]:
                share = cpu["total_us"] / (window_s * 1e6) if cpu["total_us"] is not None and window_s else None
                if share is not None and share > (entry["worst_share"] or -1.0):
                    entry.update(worst_share=share, worst_host=host, worst_cpu=cpu["cpu"])
        for timer in data["timers"]:
            self._add_timer(host, timer)
        self._threads += [{"host": host, **thread} for thread in data["kernel_threads"][:THREADS]]
        if len(self._threads) > SORTED * THREADS:
            self._threads = _busiest(self._threads)
        shares, steal = ({row["cpu"]: row["share"] for row in data[name]} for name in ("cpus", "steal"))
        cpus = sorted(shares.keys() | steal.keys())
        self._cpu_count += len(cpus)
        self._cpus += [{"host": host, "cpu": cpu, "share": shares.get(cpu), "steal": steal.get(cpu)} for cpu in cpus]
        if len(self._cpus) > SORTED * CPUS:
            self._cpus = _worst_cpus(self._cpus)

    def _add_timer(self, host: str, timer: dict) -> None:
        key = (timer["kind"], plain_function(timer["function"]))
        entry = self._timers.setdefault(
            key,
            {
                "kind": key[0], "function": key[1], "hosts": set(), "count": 0, "rate_per_s": 0.0, "total_us": 0.0, "longest_us": 0.0,
                "worst_rate_per_s": -1.0, "worst_host": None, "started_by": None,
            },
        )  # fmt: skip
        entry["hosts"].add(host)
        for name in ("count", "rate_per_s", "total_us"):
            entry[name] += timer[name] or 0
        entry["longest_us"] = max(entry["longest_us"], timer["longest_us"] or 0.0)
        if timer["rate_per_s"] > entry["worst_rate_per_s"]:
            owner = timer["started_by"][0] if timer["started_by"] else None
            entry.update(worst_rate_per_s=timer["rate_per_s"], worst_host=host, started_by=owner)

    def result(self, groups: list[dict]) -> dict:
        vectors = sorted(
            ({**entry, "hosts": len(entry["hosts"]), "mean_us": _mean(entry)} for entry in self._vectors.values()),
            key=lambda entry: (-(entry["total_us"] or 0.0), -entry["count"], entry["kind"], entry["name"]),
        )
        timers = sorted(
            ({**entry, "hosts": len(entry["hosts"])} for entry in self._timers.values()),
            key=lambda entry: (-entry["total_us"], -entry["count"], entry["kind"], entry["function"]),
        )
        return {
            "hosts": self._hosts,
            "vectors": vectors[:VECTORS],
            "cut": max(0, len(vectors) - VECTORS),
            "timers": timers[:TIMERS],
            "threads": _busiest(self._threads),
            "cpus": _worst_cpus(self._cpus),
            "cpus_measured": self._cpu_count,
        }


def _mean(vector: dict) -> float | None:
    return vector["total_us"] / vector["count"] if vector["total_us"] is not None and vector["count"] else None


def _busiest(threads: list[dict]) -> list[dict]:
    return sorted(threads, key=lambda thread: (-thread["share"], thread["host"], thread["pid"]))[:THREADS]


def _worst_cpus(cpus: list[dict]) -> list[dict]:
    """The CPUs of which tasks had least."""
    return sorted(cpus, key=lambda cpu: (-(cpu["share"] or 0.0) - (cpu["steal"] or 0.0), cpu["host"], cpu["cpu"]))[:CPUS]
