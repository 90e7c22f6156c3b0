# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hosts with a finding have in common that the others have not.

Every property of a host (kernel, module, group …) is tried against every finding by Fisher's exact test, one-sided: how likely is
it that so many of the affected hosts have the property, if it had nothing to do with the finding? All these probabilities of a
report are corrected together by Holm's method, which holds whatever depends on what (modules depend on kernels). Properties that
are on the very same hosts cannot be told apart and are one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

AFFECTED = 3
OTHERS = 3
SHARE = 0.5
LEAD = 0.25
ALPHA = 0.01
KEPT = 5
ALIKE = 12
LEAST = 1e-300
DAY_S = 86400
GIB = 2**30


def fisher(both: int, affected: int, having: int, total: int) -> float:
    """Return P(X >= both) of the hypergeometric distribution.

    both: affected hosts that have the property; affected, having: hosts with the finding, with the property; total: all hosts.
    """
    most = min(affected, having)
    if both <= max(0, affected + having - total):
        return 1.0

    def chosen(n: int, k: int) -> float:
        return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)

    term = math.exp(chosen(having, both) + chosen(total - having, affected - both) - chosen(total, affected))
    total_p = term
    for x in range(both, most):
        term *= (having - x) * (affected - x) / ((x + 1) * (total - having - affected + x + 1))
        total_p += term
        if term < total_p * 1e-17:
            break
    return max(LEAST, min(1.0, total_p))


def holm(values: list[float], tests: int) -> list[float]:
    """Return the values adjusted by Holm's method, in their order. tests: how many were made (those not listed are larger)."""
    adjusted = [1.0] * len(values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(values)), key=values.__getitem__)):
        highest = max(highest, min(1.0, (tests - rank) * values[place]))
        adjusted[place] = highest
    return adjusted


def properties(document: dict) -> set[tuple[str, str]]:
    """Return the (factor, value) pairs of a scanned host."""
    system = document["system"]
    found = {("group", group) for group in document["groups"]}
    if system is None:
        return found
    found |= {("module", module) for module in system["modules"]}
    found |= {("module_version", f"{module} {version}") for module, version in system.get("module_versions", {}).items()}
    found |= {(name, system[name]) for name in ("kernel", "arch", "distribution", "virtualization")}
    found.add(("cpu_model", system.get("cpu_model") or "?"))
    found.add(("kernel_series", ".".join(system["kernel"].split("-")[0].split(".")[:2])))
    found.add(("cpus", str(system["cpus"])))
    found.add(("memory", f"about {2 ** max(0, round(math.log2(max(1, system['memory_bytes']) / GIB)))} GiB"))
    days = system["uptime_s"] / DAY_S
    found.add(("uptime", next((f"under {limit} days" for limit in (1, 7, 30, 180) if days < limit), "180 days or more")))
    return found


class Factors:
    """Collects the properties of hosts, and which rules were evaluated on them."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._properties: dict[tuple[str, str], int] = {}
        self._evaluated: dict[str, int] = {}

    def add(self, document: dict, outcomes: dict[str, str]) -> None:
        """document: of a scanned host; outcomes: as in Evaluation."""
        bit = 1 << len(self._bits)
        self._bits[document["host"]] = bit
        for item in properties(document):
            self._properties[item] = self._properties.get(item, 0) | bit
        for rule, outcome in outcomes.items():
            if outcome in ("pass", "fail", "waived"):
                self._evaluated[rule] = self._evaluated.get(rule, 0) | bit

    def bits(self, hosts: Iterable[str]) -> int:
        """Return the hosts as a number: each is a bit."""
        found = 0
        for host in hosts:
            found |= self._bits.get(host, 0)
        return found

    def evaluated(self, rule: str) -> int:
        """Return the hosts on which a rule was evaluated."""
        return self._evaluated.get(rule, 0)

    def having(self, factor: str) -> dict[str, int]:
        """Return {value: hosts} of a factor."""
        return {value: bits for (name, value), bits in self._properties.items() if name == factor}

    def _distinct(self) -> list[tuple[int, list[tuple[str, str]]]]:
        """Return (hosts, properties that are on just these hosts), without those of all hosts and of a single one."""
        alike: dict[int, list[tuple[str, str]]] = {}
        for item, bits in sorted(self._properties.items(), key=lambda pair: (pair[0][0].startswith("module"), pair[0])):
            alike.setdefault(bits, []).append(item)
        return [(bits, items) for bits, items in alike.items() if 1 < bits.bit_count() < len(self._bits)]

    def explain(self, groups: list[dict]) -> None:
        """Give each group of findings its list 'common': [{factor, value, also, affected, affected_of, others, others_of, p}].

        p: adjusted; also: what cannot be told apart from it. Empty where the evidence is thin.
        """
        distinct = self._distinct()
        found: list[tuple[dict, dict]] = []
        tests = 0
        for group in groups:
            group["common"] = []
            affected = self.bits(member["host"] for member in group["hosts"])
            evaluated = self.evaluated(group["rule"]) | affected
            of, total = affected.bit_count(), evaluated.bit_count()
            if of < AFFECTED or total - of < OTHERS:
                continue
            tests += len(distinct)
            for bits, items in distinct:
                both, having = (bits & affected).bit_count(), (bits & evaluated).bit_count()
                share, share_others = both / of, (having - both) / (total - of)
                if both >= AFFECTED and share >= SHARE and share - share_others >= LEAD:
                    entry = {
                        "factor": items[0][0], "value": items[0][1], "also": [f"{factor} {value}" for factor, value in items[1:ALIKE]],
                        "affected": both, "affected_of": of, "others": having - both, "others_of": total - of,
                        "p": fisher(both, of, having, total),
                    }  # fmt: skip
                    found.append((group, entry))
        for (group, entry), adjusted in zip(found, holm([entry["p"] for _group, entry in found], tests), strict=True):
            if adjusted < ALPHA:
                group["common"].append({**entry, "p": adjusted})
        for group in groups:
            group["common"].sort(key=lambda entry: (entry["p"], -entry["affected"], entry["factor"], entry["value"]))
            del group["common"][KEPT:]
