# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the memory of a host grows: what programs hold (probe memory) and where the kernel allocated (probe memleak), as one list of causes.

A cause is one owner, with all that grows on its account. An allocation site belongs to an owner by these rules, in this order:

1. The processes that allocated what survives are the owner's: the same process, or one of its command and cgroup.
2. They are others, or an interrupt or a thread of the kernel: as many objects a second came as the owner holds more things, or as many
   bytes; or they fill the slab cache of just the things that the owner holds more of. Received data is held by who does not read it,
   not by who sent it.
3. Nothing that is counted grew with it, but one process allocated nearly all by its own system calls: it likely holds it.
4. Otherwise nobody holds it: a leak of the kernel.

A module's own function is not held because one process called it: the owner must hold as many things more. No function has a
rule of its own. Counters that grew go to the causes that explain them; one without a cause is a cause of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from ...module_utils._core.symbols import bare
from ...module_utils._memleak import allocators
from ...module_utils._memory.kinds import BY_NAME, LASTING_MEMORY, PROGRAM_MEMORY, QUEUES, RECLAIMED, UNHELD

TYPES = ("slab", "page", "vmalloc", "percpu")
SAME_RATE = 0.25  # by how much the rates of the same things may differ
SAME_BYTES = 0.35  # bytes of queues are those of their buffers, with what these are rounded up to
PART_OF_QUEUE = 2.0  # what is sent comes from several places, not all of which need to have been seen
SAME_ROWS = 0.15  # two counts of the same things
SAME_OBJECTS = 0.05
SAME_CACHE = 2.0  # things of a kind that has a slab cache of its own: within the window their number may speed up or slow down
SAME_LEAK = 0.1  # objects of one leak come one with the other
HALF, ONE = 0.5, allocators.ONE
LEAST_PER_S = 0.5  # slower rates agree by chance
LEAST_BYTES_PER_S = 16384
EXPLAINED = 0.5
SUM_OF_CACHES = "SUnreclaim"
LISTED, CAUSES = 12, 64
HELD, LIKELY, NOBODY = "yes", "likely", "no"
# Beside these the kernel's own memory only describes them: page tables and mappings.
USER_MEMORY = PROGRAM_MEMORY | {"locked_memory", "huge_page", "huge_page_pool", "page_cache"}
KERNEL_MEMORY, LEAK, COUNTER = "kernel_memory", "leak", "counter"
# Slab caches whose objects are things of one kind only.
OWN_CACHES = {
    row.kind: {cache for cache in row.objects if sum(cache in other.objects for other in BY_NAME.values()) == 1} for row in BY_NAME.values()
}
WORDS = {KERNEL_MEMORY: "Kernel memory", LEAK: "Kernel memory leak", COUNTER: "Kernel counter"}


def causes(memory: dict | None, memleak: dict | None) -> list[dict]:
    """Return the causes as in schema causes-1.json, most bytes a second first.

    memory, memleak: data of the probes on one host, None: not measured.
    """
    found = _of_rows(memory["growth"] if memory else [])
    rest = _claimed_by_process(found, [*memleak["leaks"], *_counted(memleak)] if memleak else [])
    rest = _claimed_by_rate(found, rest)
    _with_their_caches(found, memleak["outstanding"] if memleak else [])
    found += _likely(rest)
    found += _leaks([site for site in rest if _one(site) is None])
    if memleak:
        found += _with_counters(found, memleak["triage"])
    listed = [cause.result() for cause in found]
    listed.sort(key=lambda cause: (-cause["bytes_per_s"], -(cause["per_s"] or 0), cause["kind"], cause["owner"]["name"]))
    return listed[:CAUSES]


def levels(memory: dict | None, memleak: dict | None) -> list[dict]:
    """Return the rows of holders as in schema levels-1.json: each says which cause of growth the same things are part of.

    Sockets of which the same owner holds most in one state, or with data that nobody reads, are left out: that row says more.
    """
    rows = memory["holders"] if memory else []
    made = {_held(row): cause["kind"] for cause in reversed(causes(memory, memleak)) for row in cause["growth"]} if rows else {}
    counts = {_held(row): row["count"] or 0 for row in rows}
    return [
        {**row, "cause_kind": made.get(_held(row), row["kind"])}
        for row in rows
        if row["kind"] != "socket" or not any(counts.get((kind, *_held(row)[1:]), 0) > HALF * row["count"] for kind in QUEUES)
    ]


def _held(row: dict) -> tuple:
    """What names the things of a row: two rows with the same are about the same things."""
    owner = row["owner"]
    return row["kind"], owner["type"], owner["name"], owner["pid"], owner["cgroup"]


class _Cause:
    """One cause while its parts are found. owner: as in the schema of memory; pids: of its processes."""

    def __init__(self, kind: str, owner: dict, held: str):
        self.kind, self.owner, self.held = kind, owner, held
        self.pids = {owner["pid"]} - {None}
        self.rows: list[dict] = []
        self.sites: list[dict] = []
        self.counters: list[dict] = []
        self.evidence: list[str] = []

    @property
    def of_user_memory(self) -> bool:
        """Is all that is known to grow memory of the program itself?"""
        return bool(self.rows) and all(row["kind"] in USER_MEMORY for row in self.rows)

    def take(self, sites: Iterable[dict], words: str) -> None:
        self.sites += sites
        if words not in self.evidence:
            self.evidence.append(words)

    def bytes_of(self, kind: str, cache: str | None = None, size: int | None = None) -> float:
        """Bytes a second of its sites of a type (and slab cache); of its counters where no site is known.

        size: of an object of the cache; a site whose cache is not known may be of any cache of its size.
        """
        own = [site for site in self.sites if site["type"] == kind and (cache is None or _is_of(site, cache, size))]
        counted = [row["bytes_per_s"] for row in self.counters if row["type"] == kind and cache in (None, row["counter"])]
        return _bytes(own) if own else max(counted, default=0.0)

    def result(self) -> dict:
        self.sites.sort(key=lambda site: (site["verdict"] != "leak", -site["growth_bytes_per_s"], site["culprit"] or ""))
        rows = sorted(self.rows, key=lambda row: (self._is_ordinary(row), -self._weight(row), row["kind"]))
        row = rows[0] if rows else None
        kind = row["kind"] if row else self.kind
        by_type = {name: round(self.bytes_of(name), 1) for name in TYPES}
        kernel = round(sum(by_type.values()), 1)
        own = row["bytes_per_s"] or 0.0 if row else 0.0
        maker = _maker(self.sites)
        return {
            "kind": kind,
            "words": BY_NAME[kind].many if kind in BY_NAME else WORDS[kind],
            "owner": self.owner,
            "processes": max(1, len(self.pids)),
            "held": self.held,
            "memory": self._memory(kind),
            "per_s": row["per_s"] if row else None,
            "bytes_per_s": round(max(own, kernel), 1),
            "kernel_bytes_per_s": kernel,
            "by_type": by_type,
            "maker": maker,
            "site": self.sites[0] if self.sites else None,
            "command": row["command"] if row else None,
            "growth": rows[:LISTED],
            "sites": self.sites[:LISTED],
            "counters": self.counters[:LISTED],
            "evidence": self.evidence[:LISTED],
        }

    def _memory(self, kind: str) -> str:
        if kind in RECLAIMED or (not self.rows and self.sites and all(site["reclaimable"] for site in self.sites) and self.held == LIKELY):
            return "reclaimed"
        return "program" if kind in PROGRAM_MEMORY else "lasting" if kind in LASTING_MEMORY else "kernel"

    def _is_ordinary(self, row: dict) -> bool:
        """Is it a heap or a cache that grows? Next to it, what the kernel keeps for the program names the cause, unless that is little."""
        return row["kind"] in PROGRAM_MEMORY | RECLAIMED or self._weight(row) < LEAST_BYTES_PER_S

    def _weight(self, row: dict) -> float:
        """What a row is worth: of several, that to which most of the memory goes names the cause.

        The same memory is best told by what is wrong with it: pages of a memfd are mapped, sockets in CLOSE_WAIT are sockets.
        """
        objects = [site["growth_bytes_per_s"] for site in self.sites if _near(_per_s(site), row["per_s"], SAME_RATE)]
        return max(row["bytes_per_s"] or 0.0, sum(objects)) * (
            0.5 if row["kind"] in PROGRAM_MEMORY else 1.2 if row["kind"] in QUEUES else 1
        )


def _near(first: float | None, second: float | None, tolerance: float, least: float = LEAST_PER_S) -> bool:
    """Are two rates the same? Those below `least` cannot be told from chance."""
    if not first or not second or min(first, second) < least:
        return False
    return max(first, second) <= (1 + tolerance) * min(first, second)


def _per_s(site: dict) -> float:
    """Objects a second of a site."""
    each = site["bytes_outstanding"] / site["objects_outstanding"] if site["objects_outstanding"] else 0
    return site["growth_bytes_per_s"] / each if each else 0.0


def _rates(sites: Iterable[dict]) -> set[float]:
    """Objects a second of sites, and of functions: a thing may be made on several ways, as either end of a pair of devices."""
    sites = list(sites)
    functions: dict[tuple, float] = {}
    for site in sites:
        key = site["culprit"], site["type"], round(site["bytes_outstanding"] / max(1, site["objects_outstanding"]))
        functions[key] = functions.get(key, 0.0) + _per_s(site)
    return {*map(_per_s, sites), *functions.values()}


def _is_of(site: dict, cache: str, size: int | None) -> bool:
    if site["cache"] is not None or not site["objects_outstanding"]:
        return site["cache"] == cache
    return round(site["bytes_outstanding"] / site["objects_outstanding"]) == size


def _bytes(sites: Iterable[dict]) -> float:
    return sum(site["growth_bytes_per_s"] for site in sites)


def _named(owner: dict) -> str:
    return owner["name"] if owner["pid"] is None else f"{owner['name']}[{owner['pid']}]"


def _of_rows(rows: list[dict]) -> list[_Cause]:
    """A cause for each owner; what is counted at the host, a mount or a cgroup as well belongs to the process of the same rate."""
    made: dict[tuple, _Cause] = {}
    for row in rows:
        owner = row["owner"]
        place = owner["cgroup"] if owner["type"] == "process" else owner["pid"]
        cause = made.setdefault((owner["type"], owner["name"], place), _Cause(row["kind"], owner, HELD))
        cause.rows.append(row)
        cause.pids |= {owner["pid"]} - {None}
    processes = [cause for cause in made.values() if cause.owner["type"] == "process"]
    found = list(processes)
    for cause in made.values():
        if cause.owner["type"] == "process":
            continue
        same = [one for one in processes if cause.pids & one.pids or _same_rows(cause, one)]
        if same:
            same[0].rows += cause.rows
        else:
            found.append(cause)
    return found


def _same_rows(first: _Cause, second: _Cause) -> bool:
    """Are these two counts of the same things? Bytes alone are compared of pages that stay: other memory grows by as much by chance."""
    for one, other in itertools.product(first.rows, second.rows):
        kinds = {one["kind"], other["kind"]}
        if kinds & (PROGRAM_MEMORY | RECLAIMED):
            continue
        if _near(one["per_s"], other["per_s"], SAME_ROWS):
            return True
        if kinds <= LASTING_MEMORY and _near(one["bytes_per_s"], other["bytes_per_s"], SAME_ROWS, LEAST_BYTES_PER_S):
            return True
    return False


def _share(site: dict, cause: _Cause) -> float:
    """The share of the survivors of a site that processes of a cause allocated."""
    owner = cause.owner
    return sum(
        row["share"]
        for row in site["allocators"]
        if not row["kernel_thread"]
        and (row["pid"] in cause.pids or (row["comm"] == owner["name"] and (row["ended"] or row["cgroup"] == owner["cgroup"])))
    )


def _is_of_user_memory(site: dict) -> bool:
    """Did the kernel allocate it to describe memory of a process: its page tables and mappings?"""
    return site["context"] == allocators.EXCEPTION or site["system_call"] in allocators.MEMORY_CALLS


def _counted(memleak: dict) -> list[dict]:
    """Return the sites that are no leak by themselves, as other memory grew as well, but make most of a slab cache that grows steadily."""
    grown = {row["counter"]: row["bytes_per_s"] or 0.0 for row in memleak["triage"]["suspects"] if row["by"] == "growth"}
    return [
        site
        for site in memleak["outstanding"]
        if site["cache"] in grown
        and site["growth_bytes_per_s"] >= HALF * grown[site["cache"]] > 0
        and _one(site)
        and not site["reclaimable"]
    ]


def _claimed_by_process(found: list[_Cause], sites: list[dict]) -> list[dict]:
    """Give each site to the process that allocated it. Returns those that are left."""
    rest = []
    for site in sites:
        candidates: list[tuple] = []
        for cause in found:
            share = _share(site, cause)
            same = any(_near(_per_s(site), row["per_s"], SAME_RATE) for row in cause.rows)
            fits = same if site["module"] is not None else not cause.of_user_memory or _is_of_user_memory(site)
            if share >= HALF and fits:
                candidates.append((same, share, -len(candidates), cause))
        if not candidates:
            rest.append(site)
            continue
        _same, share, _number, cause = max(candidates, key=lambda row: row[:3])
        call = f" by {site['system_call']}()" if site["system_call"] else ""
        cause.take([site], f"{_named(cause.owner)} allocated {share:.0%} of it{call}")
    return rest


def _with_their_caches(found: list[_Cause], sites: list[dict]) -> None:
    """Add what is no leak by itself, as the kernel may give it back, but comes one with the other with what an owner holds."""
    for site in sites:
        for cause in found:
            if site in cause.sites:
                break
            same = any(_near(_per_s(site), row["per_s"], SAME_RATE) for row in cause.rows)
            if same and site["module"] is None and (cause.owner["type"] != "process" or _share(site, cause) >= HALF):
                cause.sites.append(site)
                break


def _one(site: dict) -> dict | None:
    """Return the allocator of a site that one process allocates by its own system calls; None: others, modules, interrupts."""
    if site["module"] is not None or site["context"] in (allocators.INTERRUPT, allocators.KERNEL_THREAD):
        return None
    one = allocators.single(site["allocators"])
    return None if one is None or one["ended"] else one


def _bundles(sites: list[dict]) -> Iterator[list[dict]]:
    """Yield sites that belong together: of one process, else objects that come one with the other."""
    keyed: dict[tuple, list[dict]] = {}
    bundles: list[list[dict]] = []
    for site in sites:
        rows = site["allocators"]
        if site["module"] is None and site["context"] != allocators.INTERRUPT and rows and rows[0]["share"] >= HALF:
            keyed.setdefault((rows[0]["comm"], rows[0]["cgroup"], rows[0]["kernel_thread"]), []).append(site)
            continue
        for bundle in bundles:
            if bundle[0]["context"] == site["context"] and _near(_per_s(bundle[0]), _per_s(site), SAME_LEAK):
                bundle.append(site)
                break
        else:
            bundles.append([site])
    yield from keyed.values()
    yield from bundles


def _claimed_by_rate(found: list[_Cause], sites: list[dict]) -> list[dict]:
    """Give sites that others allocated to the owner whose things grow by as many. Returns those that are left."""
    rest = [site for site in sites if site["module"] is not None]
    rows = [(cause, row) for cause in found for row in cause.rows if row["kind"] not in USER_MEMORY]
    for bundle in _bundles([site for site in sites if site["module"] is None]):
        candidates: list[tuple] = []
        for cause, row in rows:
            queue = row["kind"] in QUEUES
            if _one(bundle[0]) is not None and cause.owner["type"] == "process" and not queue and row["kind"] not in UNHELD:
                continue  # what a process allocates, another does not hold, but for what it sent to that one, or made for it
            if any(site["cache"] in OWN_CACHES[row["kind"]] and _near(_per_s(site), row["per_s"], SAME_CACHE) for site in bundle):
                candidates.append((True, queue, True, 0.0, -len(candidates), cause, row, "objects"))
                continue
            if any(_near(rate, row["per_s"], SAME_RATE) for rate in _rates(cause.sites)):
                continue  # its own allocations explain it
            left = (row["bytes_per_s"] or 0.0) - _bytes(cause.sites)
            if any(_near(rate, row["per_s"], SAME_RATE) for rate in _rates(bundle)):
                candidates.append((False, queue, True, 0.0, -len(candidates), cause, row, "objects"))
            elif _near(_bytes(bundle), left, SAME_BYTES if not queue else PART_OF_QUEUE, LEAST_BYTES_PER_S):
                candidates.append((False, queue, False, -abs(_bytes(bundle) - left), -len(candidates), cause, row, "bytes"))
        if not candidates:
            rest += bundle
            continue
        cause, row, what = max(candidates, key=lambda candidate: candidate[:5])[5:]
        cause.take(bundle, f"as many {what} a second as {BY_NAME[row['kind']].many} of {_named(cause.owner)}")
    return rest


def _likely(sites: list[dict]) -> list[_Cause]:
    """A cause for each process that allocated by its own system calls what nothing else explains."""
    made: dict[tuple, _Cause] = {}
    for site in sites:
        one = _one(site)
        if one is None:
            continue
        owner = {"type": "process", "name": one["comm"], "pid": one["pid"], "parent": None, "cgroup": one["cgroup"]}
        cause = made.setdefault((one["comm"], one["cgroup"]), _Cause(KERNEL_MEMORY, {**owner, "unit": one["unit"], "uid": None}, LIKELY))
        cause.pids.add(one["pid"])
        call = f" by {site['system_call']}()" if site["system_call"] else ""
        paid = "; its cgroup pays for it" if (site["accounted"] or 0) >= HALF else ""
        cause.take([site], f"{_named(cause.owner)} allocated nearly all of it{call}{paid}")
    return list(made.values())


def _leaks(sites: list[dict]) -> list[_Cause]:
    """A cause for each leak: objects that a function allocates with those of its caller, as many a second, are one.

    So is what processes of one command left behind when they ended: devices, routes, mounts, or a leak.
    """
    made: list[_Cause] = []
    left: dict[str, _Cause] = {}
    for site in sorted(sites, key=lambda site: len(site["stack"])):
        ended = allocators.single(site["allocators"]) if site["module"] is None and site["context"] != allocators.INTERRUPT else None
        same = left.get(ended["comm"]) if ended else next((cause for cause in made if _is_with(site, cause.sites[0])), None)
        if same is None:
            owner = {"type": "kernel", "name": site["culprit"] or "?", **dict.fromkeys(("pid", "parent", "cgroup", "unit", "uid"))}
            same = _Cause(LEAK, owner, NOBODY)
            made.append(same)
            if ended:
                left[ended["comm"]] = same
        same.take([site], f"nobody holds it: {_why(site)}")
    for cause in made:
        worst = max(cause.sites, key=lambda site: site["growth_bytes_per_s"])
        cause.owner = {**cause.owner, "name": worst["culprit"] or "?"}
    return made


def _is_with(site: dict, other: dict) -> bool:
    if not other["culprit"] or site["module"] != other["module"] or not _near(_per_s(site), _per_s(other), SAME_LEAK):
        return False
    return other["culprit"] in (bare(frame) for frame in site["stack"])


def _why(site: dict) -> str:
    if site["module"] is not None:
        return f"a function of the module {site['module']} keeps it, and no program holds as many things more"
    if site["context"] == allocators.INTERRUPT:
        return "an interrupt allocated it, and nothing that is counted grew with it"
    if site["context"] == allocators.KERNEL_THREAD:
        return "a thread of the kernel allocated it, and nothing that is counted grew with it"
    return "processes that ended, or many, allocated it, and nothing that is counted grew with it"


def _with_counters(found: list[_Cause], triage: dict) -> list[_Cause]:
    """Give each counter that grew to the causes that explain it. Returns a cause of those that none does."""
    sizes = {row["cache"]: row["object_bytes"] for row in triage["caches"]}
    left = []
    grown = [row for row in triage["suspects"] if row["by"] == "growth"]
    # Slab caches first: what explains them explains their sum.
    for counter in sorted(grown, key=lambda row: row["counter"] == SUM_OF_CACHES):
        name, rate = counter["counter"], counter["bytes_per_s"] or 0.0
        cache = name if counter["type"] == "slab" and name != SUM_OF_CACHES else None
        parts = sorted(
            ((cause.bytes_of(counter["type"], cache, sizes.get(name)), number) for number, cause in enumerate(found)), reverse=True
        )
        # A host whose facts were cut reports how much the sites explain that are not listed.
        explained = max(sum(part for part, _number in parts), counter["explained_bytes_per_s"] or 0.0)
        if explained >= EXPLAINED * rate and parts and parts[0][0] > 0:
            found[parts[0][1]].counters.append(counter)
            continue
        ranks = [_explains(cause, cache, sizes, rate) for cause in found]
        if any(ranks):
            found[ranks.index(max(ranks))].counters.append(counter)
            continue
        if explained >= EXPLAINED * rate:
            continue
        user = sum(row["bytes_per_s"] or 0.0 for cause in found if cause.held != NOBODY for row in cause.rows)
        if cache is None and explained + user >= EXPLAINED * rate:
            continue
        left.append(counter)
    if not left:
        return []
    left.sort(key=lambda row: (-(row["bytes_per_s"] or 0.0), row["counter"]))
    owner = {"type": "kernel", "name": left[0]["counter"], **dict.fromkeys(("pid", "parent", "cgroup", "unit", "uid"))}
    cause = _Cause(COUNTER, owner, NOBODY)
    cause.counters = left
    cause.evidence.append("no allocation site was seen, and nothing that is counted grew with it")
    return [cause]


def _explains(cause: _Cause, cache: str | None, sizes: dict[str, int], rate: float) -> int:
    """Does what a cause holds explain a slab cache's growth of which no allocation was seen? 2: its things take objects of that cache;
    1: it has as many things or objects a second as the cache, or half as many; 0: no.
    """
    if cache is None or cause.held == NOBODY:
        return 0
    rows = [row for row in cause.rows if row["kind"] not in USER_MEMORY]
    if any(cache in BY_NAME[row["kind"]].objects for row in rows):
        return 2
    size = sizes.get(cache, 0)
    objects = rate / size if size else 0.0
    if any(_near(objects, number * _per_s(site), SAME_OBJECTS) for site in cause.sites for number in (1, 2)):
        return 1
    return int(any(_near(size * (row["per_s"] or 0.0), rate, SAME_BYTES, LEAST_BYTES_PER_S) for row in rows))


def _maker(sites: list[dict]) -> dict | None:
    """Return the process that allocated most of these sites' memory, and its system call; None: an interrupt, or many."""
    for site in sites:
        one = allocators.single(site["allocators"])
        if one is not None and site["context"] != allocators.INTERRUPT:
            return {"name": one["comm"], "pid": one["pid"], "unit": one["unit"], "ended": one["ended"], "system_call": site["system_call"]}
    return None
