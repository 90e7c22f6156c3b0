# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are unlike the rest, without anybody having set a threshold.

The modified z-score of Iglewicz and Hoaglin: how many median absolute deviations (MAD) a host lies above the median. Median and
MAD do not follow the outliers, as mean and standard deviation would. Values span magnitudes, so their logarithms are compared.
"""

from __future__ import annotations

import math
import statistics

HOSTS = 8
SCORE = 3.5
RATIO = 2.0 + 1e-9  # more than twice, also after rounding
KEPT = 50
# 0.6745 MAD, and 1.2533 mean absolute deviations, are a standard deviation of a normal distribution.
MAD_SCALE = 1.4826
MEAN_SCALE = 1.2533


def _measures(document: dict) -> dict[str, float]:
    """Return what is compared of one host: {measure: value}; of probes that measured."""
    probes = {name: probe for name, probe in document["probes"].items() if probe["status"] in ("ok", "degraded")}
    found = {}
    if "runlatency" in probes:
        data = probes["runlatency"]["data"]
        if data["count"]:
            found["wait_p99_us"] = data["percentiles_us"].get("p99")
            found["wait_longest_us"] = data["max_us"]
    if "memleak" in probes:
        found["unfreed_bytes_per_s"] = sum(leak["growth_bytes_per_s"] for leak in probes["memleak"]["data"]["outstanding"])
    if "interference" in probes:
        found["interrupts_per_s"] = sum(vector["rate_per_s"] for vector in probes["interference"]["data"]["vectors"])
        found["interrupted_share"] = max((cpu["share"] for cpu in probes["interference"]["data"]["cpus"]), default=None)
    if probes:
        found["probe_cpu_s"] = sum(probe["cost"]["cpu_s"] for probe in document["probes"].values())
    return {name: value for name, value in found.items() if value is not None and value > 0}


def outliers(values: dict[str, float]) -> dict | None:
    """Return {hosts, median, spread, outliers: [{host, value, score}]}, the highest first; None for too few hosts.

    values: {host: positive number}; spread: factor that a standard deviation is, by the MAD (by the mean absolute deviation when
    more than half of the hosts are alike, as percentiles of coarse histograms are). Only a host of more than twice the median counts.
    """
    if len(values) < HOSTS:
        return None
    logs = {host: math.log(value) for host, value in values.items()}
    middle = statistics.median(logs.values())
    deviations = [abs(value - middle) for value in logs.values()]
    deviation = statistics.median(deviations) * MAD_SCALE or statistics.fmean(deviations) * MEAN_SCALE
    found: list[dict] = []
    if deviation:
        found = [{"host": host, "value": values[host], "score": (value - middle) / deviation} for host, value in logs.items()
                 if (value - middle) / deviation > SCORE and value - middle > math.log(RATIO)]  # fmt: skip
    found.sort(key=lambda entry: (-entry["score"], entry["host"]))
    return {"hosts": len(values), "median": math.exp(middle), "spread": math.exp(deviation), "outliers": found}


class Outliers:
    """Collects a few numbers of each host."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, float]] = {}

    def add(self, document: dict) -> None:
        """document: of any host."""
        for name, value in _measures(document).items():
            self._values.setdefault(name, {})[document["host"]] = value

    def result(self) -> list[dict]:
        """Return the section 'outliers' of the fleet document: one entry for each measure that enough hosts have."""
        listed = []
        for name, values in sorted(self._values.items()):
            found = outliers(values)
            if found:
                kept = found["outliers"][:KEPT]
                listed.append({"measure": name, **found, "outliers": kept, "cut": len(found["outliers"]) - len(kept)})
        return listed
