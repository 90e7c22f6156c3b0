# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that are unlike the rest, without anybody having set a threshold.

The modified z-score of Iglewicz and Hoaglin: how many median absolute deviations (MAD) a host lies above the median. Median and
MAD do not follow the outliers, as mean and standard deviation would. Values span magnitudes, so their logarithms are compared.
"""

from __future__ import annotations

import math
import statistics

from .sections import classes, measured

HOSTS = 8
SCORE = 3.5
RATIO = 2.0 + 1e-9  # more than twice, also after rounding
KEPT = 50
OWN = {"probe_cpu_s": "CPU time of the probes"}  # of what no probe alone is measured by
# 0.6745 MAD, and 1.2533 mean absolute deviations, are a standard deviation of a normal distribution.
MAD_SCALE = 1.4826
MEAN_SCALE = 1.2533


def _measures(document: dict) -> dict[str, float]:
    """Return what is compared of one host: {measure: value}; of probes that measured."""
    probes = measured(document)
    found: dict[str, float | None] = {}
    for section in classes():
        if section.PROBE in probes:
            found.update(section.measures(probes[section.PROBE]))
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
    found = []
    if deviation:
        found = [{"host": host, "value": values[host], "score": (value - middle) / deviation} for host, value in logs.items()
                 if (value - middle) / deviation > SCORE and value - middle > math.log(RATIO)]  # fmt: skip
    found.sort(key=lambda entry: (-entry["score"], entry["host"]))
    return {"hosts": len(values), "median": math.exp(middle), "spread": math.exp(deviation), "outliers": found}


class Outliers:
    """Collects a few numbers of each host."""

    def __init__(self):
        self._values: dict[str, dict[str, float]] = {}

    def add(self, document: dict) -> None:
        """document: of any host."""
        for name, value in _measures(document).items():
            self._values.setdefault(name, {})[document["host"]] = value

    def result(self) -> list[dict]:
        """Return the section 'outliers' of the fleet document: one entry for each measure that enough hosts have."""
        listed = []
        titles = {name: title for section in classes() for name, title in section.MEASURES.items()} | OWN
        for name, values in sorted(self._values.items()):
            found = outliers(values)
            if found:
                kept = found["outliers"][:KEPT]
                cut = len(found["outliers"]) - len(kept)
                listed.append({"measure": name, "title": titles[name], **found, "outliers": kept, "cut": cut})
        return listed
