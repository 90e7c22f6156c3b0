# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding on hosts with a kernel or module, and on those without: what a gate of a rollout asks.

These are counts, in any fleet, however small; whether chance alone could make them is Fisher's test of each table alone. A host on which
the rule was not evaluated counts neither with nor without.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Collection, Iterable

from ..messages import ENGLISH, Messages
from ..policy.policy import Evaluation
from ..policy.text import in_time, seconds_of, visible
from .factors import ALPHA, Factors, fisher

KEPT = 3
AHEAD_S = 60  # that a date may lie after the scan: more is a wrong clock

# (host, kernel, rules that were evaluated, signatures of its findings) of each host of the earlier scan
Then = Iterable[tuple[str, str | None, Collection[str], Collection[str]]]


@dataclasses.dataclass
class _Boot:
    """When a host was booted, in seconds since 1970: by its own clock and by the controller's, None: not known."""

    kernel: str
    uptime_s: float
    host_s: float | None
    controller_s: float | None


class Rollouts:
    """Collects when hosts were booted, and when they date what was found."""

    def __init__(self) -> None:
        self._boots: dict[str, _Boot] = {}
        self._dated: dict[tuple[str, str], list[str | None]] = {}

    def add(self, document: dict, evaluation: Evaluation) -> None:
        """document: of a scanned host; evaluation: of the policy on it."""
        host = document["host"]
        if document["system"]:
            self._boots[host] = _boot(document)
        for finding in evaluation.findings:
            if finding["dated"]:
                self._dated.setdefault((finding["signature"], host), []).append(finding["first_reported"])

    def explain(self, groups: list[dict], factors: Factors, then: Then, started_at: str | None, translate: Messages = ENGLISH) -> None:
        """Give each group of findings its list 'rollout', as in the schema of the fleet document, the most telling first.

        A host has hundreds of modules: one is listed where it is a common factor, the version of one as a kernel is.
        groups: with 'common' and with 'first_seen' of their hosts; then: none where there is no earlier scan; started_at: of the scan.
        """
        kernels, versions, modules = (factors.having(name) for name in ("kernel", "module_version", "module"))
        kernels.pop("", None)  # of a host that could not read it
        known = factors.bits(host for host, boot in self._boots.items() if boot.kernel)
        earlier = _Earlier(then, self._boots, factors)
        for group in groups:
            affected = factors.bits(member["host"] for member in group["hosts"]) & known
            evaluated = factors.evaluated(group["rule"]) & known | affected
            listed, seen = [], set()
            for kernel, bits in kernels.items():
                before = earlier.of(kernel, group, evaluated, affected)
                told = {"factor": "kernel", "value": kernel, **_table(bits, affected, evaluated), "before": before}
                if _is_told(told):
                    listed.append({**told, "after_boot": self._after_boot(group, kernel, started_at)})
            for version, bits in versions.items():
                told = {"factor": "module_version", "value": version, **_table(bits, affected, evaluated), "before": None}
                if _is_told(told):
                    seen.add(bits)
                    listed.append({**told, "after_boot": None})
            for name in (entry["value"] for entry in group["common"] if entry["factor"] == "module"):
                if modules[name] not in seen:
                    table = _table(modules[name], affected, evaluated)
                    listed.append({"factor": "module", "value": name, **table, "before": None, "after_boot": None})
            listed.sort(key=lambda told: (told["factor"] != "kernel", told["p"], -told["affected_with"], told["value"]))
            group["rollout"] = [{**told, "sentence": _sentence(told, translate)} for told in listed[:KEPT]]

    def _after_boot(self, group: dict, kernel: str, started_at: str | None) -> dict | None:
        """Return how long after the boot it was first seen on the hosts with a kernel; None: that is not known of any.

        What the kernel logged has its host's date. Of anything else, the first scan with it is known, and that it was there by then.
        """
        seconds: list[float] = []
        before_boot, by = 0, "scan"
        for member in group["hosts"]:
            boot = self._boots.get(member["host"])
            if boot is None or boot.kernel != kernel:
                continue
            dates = self._dated.get((group["signature"], member["host"]))
            if dates is None:
                after = _since(boot.controller_s, member["first_seen"])
                if after is not None and member["first_seen"] == started_at:
                    after = max(0.0, after)  # this scan measured this boot, however late its result was collected
            else:
                by = "kernel_log"
                after = None if None in dates else _since(boot.host_s, min(date for date in dates if date))
            if after is None or after > boot.uptime_s + AHEAD_S:
                continue
            if after < 0:
                before_boot += 1
            else:
                seconds.append(after)
        if not seconds and not before_boot:
            return None
        return {
            "by": by,
            "hosts": len(seconds),
            "smallest_s": round(min(seconds)) if seconds else None,
            "median_s": round(statistics.median(seconds)) if seconds else None,
            "before_boot": before_boot,
        }


class _Earlier:
    """The hosts of the earlier scan that had another kernel then."""

    def __init__(self, then: Then, boots: dict[str, _Boot], factors: Factors):
        self._changed: dict[str, int] = {}  # kernel now: hosts
        self._evaluated: dict[str, int] = {}
        self._found: dict[str, int] = {}
        for host, kernel, rules, signatures in then:
            now = boots.get(host)
            if now is None or not kernel or kernel == now.kernel:
                continue
            bit = factors.bits([host])
            for kept, names in ((self._changed, [now.kernel]), (self._evaluated, rules), (self._found, signatures)):
                for name in names:
                    kept[name] = kept.get(name, 0) | bit

    def of(self, kernel: str, group: dict, evaluated: int, affected: int) -> dict | None:
        """Return, of the hosts that have a kernel since then, how many had the finding then, and have it now; None: there are none."""
        found = self._found.get(group["signature"], 0)
        both = self._changed.get(kernel, 0) & evaluated & (self._evaluated.get(group["rule"], 0) | found)
        if not both:
            return None
        return {"hosts": both.bit_count(), "affected": (both & found).bit_count(), "affected_now": (both & affected).bit_count()}


def _boot(document: dict) -> _Boot:
    """uptime_s was read when the last probe had ended: seconds after its window, and seconds before the controller collected it."""
    system = document["system"]
    starts = [(seconds_of(probe["started_at"]), probe["window_s"]) for probe in document["probes"].values()]
    ends = [start + window for start, window in starts if start is not None]
    collected = seconds_of(document["collected_at"])
    uptime = system["uptime_s"]
    return _Boot(system["kernel"], uptime, max(ends) - uptime if ends else None, None if collected is None else collected - uptime)


def _since(boot_s: float | None, instant: str | None) -> float | None:
    seen = seconds_of(instant)
    return None if boot_s is None or seen is None else seen - boot_s


def _table(bits: int, affected: int, evaluated: int) -> dict:
    """Return the counts of hosts with and without a property, and how likely chance alone makes so many of them affected."""
    having = bits & evaluated
    both, of = (having & affected).bit_count(), having.bit_count()
    ill, total = affected.bit_count(), evaluated.bit_count()
    p = fisher(both, ill, of, total)
    return {"affected_with": both, "with": of, "affected_without": ill - both, "without": total - of, "p": p}


def _is_told(told: dict) -> bool:
    """Only a kernel that some of the hosts have and others have not, or had not before, tells anything."""
    affected, before = told["affected_with"], told["before"]
    if told["affected_without"]:
        return is_telling(told)
    if told["without"]:
        return affected > 1 or (affected == told["with"] and affected > 0)
    return bool(before and before["affected"] < before["affected_now"])


def is_telling(told: dict) -> bool:
    """Tell whether an entry of a rollout is worth a line of a short list: chance hardly explains it, or nothing contradicts it."""
    before = told["before"]
    return _differs(told["affected_with"], told["with"], told["affected_without"], told["without"]) or bool(
        before and _differs(before["affected_now"], before["hosts"], before["affected"], before["hosts"])
    )


def _differs(some: int, of: int, others: int, others_of: int) -> bool:
    """Tell whether so many of one and of other hosts are all and none, of two hosts at least, or hardly by chance."""
    return others_of > 0 and ((some == of > 1 and not others) or fisher(some, some + others, of, of + others_of) < ALPHA)


def _sentence(told: dict, translate: Messages) -> str:
    """Return the entry as one line. Nothing in it claims a cause."""
    counts = {name: told[name] for name in ("affected_with", "with", "affected_without", "without")}
    what = f"{translate(told['factor'].replace('_', ' '))} {visible(told['value'])}"
    if told["without"]:
        text = translate(
            "{what}: on {affected_with} of {with} hosts with it, on {affected_without} of {without} without it", what=what, **counts
        )
    else:
        text = translate("{what}: on {affected_with} of {with} hosts with it, no host without it was measured", what=what, **counts)
    parts = [text]
    before, after = told["before"], told["after_boot"]
    if before:
        text = translate(
            "of {hosts} with another kernel in the earlier scan, {affected} had it then and {affected_now} have it now",
            **{**before, "hosts": translate.many(before["hosts"], "host")},
        )
        parts.append(text)
    if after and after["hosts"]:
        hosts, smallest = translate.many(after["hosts"], "host"), in_time(after["smallest_s"])
        of = translate("median of {hosts}, smallest {smallest}", hosts=hosts, smallest=smallest) if after["hosts"] > 1 else hosts
        if after["by"] == "kernel_log":
            parts.append(translate("first in the kernel log {time} after boot ({of})", time=in_time(after["median_s"]), of=of))
        else:
            parts.append(translate("there at the latest {time} after boot, when scanned ({of})", time=in_time(after["median_s"]), of=of))
    if after and after["before_boot"]:
        hosts = translate.many(after["before_boot"], "host")
        parts.append(translate("dated before the present boot on {hosts}: an earlier boot, or a wrong clock", hosts=hosts))
    return "; ".join(parts)
