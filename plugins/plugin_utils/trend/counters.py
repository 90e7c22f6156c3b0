# SPDX-License-Identifier: GPL-3.0-or-later
"""The counters of the probe memory as the trend sees them: what each one is, what it is a part of, and how much of it is noise."""

from __future__ import annotations

from typing import NamedTuple

MIB = 2**20


class Counter(NamedTuple):
    """One counter.

    group: kernel (nobody but the kernel holds it), buffer (of sockets), process (memory of programs), cache (the kernel gives it back),
    available, slab (one cache of SUnreclaim), reclaimable (one cache of SReclaimable) or count. parent: the counter that it is a part of.
    floor: bytes, or number, that it differs by without any reason; share: the same as a share of its own value.
    """

    group: str
    parent: str | None
    floor: float
    share: float
    falls: bool = False


_KERNEL = Counter("kernel", "MemAvailable", 4 * MIB, 0.01)
_BUFFER = Counter("buffer", "MemAvailable", 4 * MIB, 0.05)
_PROCESS = Counter("process", "MemAvailable", 32 * MIB, 0.02)
_SLAB = Counter("slab", "SUnreclaim", MIB, 0.01)
_RECLAIMABLE = Counter("reclaimable", "SReclaimable", MIB, 0.01)
_COUNT = Counter("count", None, 64, 0.02)

BYTES = {
    "MemAvailable": Counter("available", None, 64 * MIB, 0.01, falls=True),
    "SUnreclaim": _KERNEL,
    "unaccounted": Counter("kernel", "MemAvailable", 16 * MIB, 0.02),
    "VmallocUsed": _KERNEL,
    "Percpu": _KERNEL,
    "PageTables": _KERNEL,
    "KernelStack": _KERNEL,
    "TCPBuffers": _BUFFER,
    "UDPBuffers": _BUFFER,
    "AnonPages": _PROCESS,
    "Shmem": _PROCESS,
    "Hugetlb": _PROCESS,
    "SwapUsed": Counter("process", None, 32 * MIB, 0.02),
    "SReclaimable": Counter("cache", None, 64 * MIB, 0.02),
}
# Their number says how busy a host is, and the kernel ends each of them by itself.
SHORT_LIVED = frozenset({"tcp_time_wait"})


def counters_of(reading: dict) -> dict[tuple[str, str], float]:
    """Return {(member, name): value} of the counters of one reading that are judged. A later release may have others."""
    found = {("bytes", name): value for name, value in reading["bytes"].items() if name in BYTES}
    found |= {("slab_bytes", name): value for name, value in reading["slab_bytes"].items()}
    found |= {("slab_reclaimable_bytes", name): value for name, value in reading["slab_reclaimable_bytes"].items()}
    return found | {("counts", name): value for name, value in reading["counts"].items() if name not in SHORT_LIVED}


def counter(member: str, name: str) -> Counter:
    """Return what a counter of counters_of is."""
    if member == "bytes":
        return BYTES[name]
    return {"slab_bytes": _SLAB, "slab_reclaimable_bytes": _RECLAIMABLE, "counts": _COUNT}[member]
