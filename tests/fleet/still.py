# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws sites of the kernel module kernel_sites: leaks, and what only looks like one, at random rates, sizes and lifetimes."""

import math

STILL = ("steady", "ring", "backlog", "burst", "once", "cache")
MEMORIES = ("kmalloc", "kmalloc", "cache", "page", "page", "vmalloc", "percpu")
BYTES = {
    "kmalloc": (64, 192, 512, 1024, 2048, 4096),
    "cache": (96, 320, 640, 1536),
    "page": (4096, 8192, 16384),
    "vmalloc": (4096, 16384, 65536),
    "percpu": (64, 256, 1024),
}
# Emulation makes an event some thirty times as dear; and a machine has little memory.
MOST_RATE, MOST_HELD_BYTES = {"vmalloc": 40, "percpu": 60}, 12 * 2**20


def site(draw, pattern, window_s):
    """Return a specification for the parameter `sites` of kernel_sites."""
    memory = draw.choice(MEMORIES)
    size = draw.choice(BYTES[memory])
    least = 2 * 131072 / window_s / size  # objects a second with which a leak has grown enough
    most = min(MOST_RATE.get(memory, 300), MOST_HELD_BYTES / size / 2)
    rate = math.ceil(10 ** draw.uniform(math.log10(least), math.log10(max(least, most))))
    number = life_ms = spread = 0
    if pattern == "steady":
        life_ms, spread = int(1000 * min(10 ** draw.uniform(-1, 1.6), MOST_HELD_BYTES / size / rate)), draw.randint(0, 2)
    elif pattern == "ring":
        number = int(min(rate * window_s * 10 ** draw.uniform(-1, 0.5), MOST_HELD_BYTES / size))
    elif pattern == "backlog":
        life_ms = int(1000 * window_s * draw.uniform(0.05, 0.45))
    elif pattern == "burst":
        number = min(rate * window_s, MOST_HELD_BYTES // size, 6000)
        life_ms, spread = int(1000 * window_s * draw.uniform(0.05, 0.9)), draw.choice((0, 3000, 10000))
    elif pattern == "once":
        life_ms = int(1000 * window_s * draw.uniform(0.05, 0.67))
    elif pattern == "cache":
        number, spread = int(rate * window_s * draw.uniform(0.1, 0.7)), draw.randint(0, 1)
    return ":".join(map(str, (pattern, memory, size, rate, max(2, number), life_ms, spread)))


def settle_s(specifications):
    """Return how long to wait until all of them are steady."""
    fields = [one.split(":") for one in specifications]
    return 2 + max([2 * int(field[5]) / 1000 for field in fields if field[0] == "steady"] or [0])
