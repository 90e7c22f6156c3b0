# SPDX-License-Identifier: GPL-3.0-or-later
"""What BPF programs cost while they run, by the kernel's own clock (Documentation/bpf, BPF_ENABLE_STATS)."""

import os
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux

# The clock costs some 40 ns an event itself: it is on for a while only, first at once and then ever so often.
BURST_S, PAUSE_S = 0.5, 10.0
# Where the kernel has no such clock (before 5.8): what an event and a followed event took on the slowest machine we measured.
_EVENT_NS, _FOLLOWED_NS = 150, 3000


class Overhead:
    """The share of CPU time that a Program takes.

    source: the Program; cpus: number of CPUs that events come from. Call poll() often.
    """

    def __init__(self, source, cpus):
        self._source, self._cpus = source, cpus
        self._descriptor = None
        self._began = (0.0, 0)
        self._next_s = 0.0
        self.known = True  # False: the kernel does not tell
        self.percent = None  # of all CPUs' time, the latest reading
        self.worst_percent = 0.0

    def poll(self):
        """Returns whether there is a new reading in `percent`."""
        now_s = time.monotonic()
        if not self.known or now_s < self._next_s:
            return False
        if self._descriptor is None:
            self._descriptor = _enable()
            if self._descriptor is None:
                self.known = False
                return False
            self._began = (time.monotonic(), self._source.run_time_ns())
            self._next_s = now_s + BURST_S
            return False
        began_s, before_ns = self._began
        took_ns = self._source.run_time_ns() - before_ns
        self.percent = 100.0 * took_ns / max(1.0, (time.monotonic() - began_s) * 1e9 * self._cpus)
        self.worst_percent = max(self.worst_percent, self.percent)
        self.close()
        self._next_s = now_s + PAUSE_S
        return True

    def reread_soon(self):
        """Ask for the next reading in a second: something was changed to lower the cost."""
        self._next_s = time.monotonic() + 1.0

    def estimate(self, followed, elapsed_s, sample):
        """Set `percent` from a count of followed events, where the kernel does not tell."""
        cost_ns = followed * (_FOLLOWED_NS + _EVENT_NS * sample)
        self.percent = 100.0 * cost_ns / max(1.0, elapsed_s * 1e9 * self._cpus)
        self.worst_percent = max(self.worst_percent, self.percent)

    def close(self):
        """Switch the clock off."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _enable():
    try:
        return linux.bpf(linux.BPF_ENABLE_STATS)[0]
    except OSError:
        return None
