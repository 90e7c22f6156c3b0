# SPDX-License-Identifier: GPL-3.0-or-later
"""Interrupts of the whole fleet."""

from __future__ import annotations

VECTORS = 300
CPUS = 100


class Interference:
    """Adds up the interference data of hosts by kind and name of the vector."""

    def __init__(self):
        self._vectors: dict[tuple, dict] = {}
        self._cpus: list[dict] = []
        self._cpu_count = 0
        self._hosts = 0

    def add(self, host: str, data: dict, window_s: float) -> None:
        """data: what interference measured on this host in window_s seconds."""
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
        self._cpu_count += len(data["cpus"])
        self._cpus += [{"host": host, **cpu} for cpu in data["cpus"][:CPUS]]
        self._cpus = _worst_cpus(self._cpus)

    def result(self) -> dict:
        """Return the section 'interference' of the fleet document."""
        vectors = sorted(
            ({**entry, "hosts": len(entry["hosts"])} for entry in self._vectors.values()),
            key=lambda entry: (-(entry["total_us"] or 0.0), -entry["count"], entry["kind"], entry["name"]),
        )
        return {
            "hosts": self._hosts,
            "vectors": vectors[:VECTORS],
            "cut": max(0, len(vectors) - VECTORS),
            "cpus": self._cpus,
            "cpus_measured": self._cpu_count,
        }


def _worst_cpus(cpus: list[dict]) -> list[dict]:
    return sorted(cpus, key=lambda cpu: (-cpu["share"], cpu["host"], cpu["cpu"]))[:CPUS]
