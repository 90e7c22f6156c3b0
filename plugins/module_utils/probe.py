# GNU General Public License v3.0-or-later (see LICENSES/GPL-3.0-or-later.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every probe is made of: its engines, its window, its envelope and its size.

A probe measures one thing on one host for one window and knows nothing of
severity. It has one or more engines, best first. An engine that cannot work
here raises L(Unavailable) with a reason and a remedy, and the next one is asked.
"""

import json
import resource
import time

PROBE_STATES = ('ok', 'degraded', 'skipped', 'failed')
RESULT_BYTES = 64 * 1024
TEXT_CHARS = 2048


class Unavailable(Exception):
    """Something that a probe needs is missing on this host.

    reason: what is missing; remedy: what an operator can do about it.
    """

    def __init__(self, reason, remedy=''):
        super(Unavailable, self).__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Engine(object):
    """One way to measure. Subclasses set NAME and fill in the five steps.

    Order of calls: open, start, poll (again and again), stop, read, close.
    close is called on every path, also when open failed half-way.
    """

    NAME = ''

    def __init__(self, options):
        """options: dict of the probe's validated options."""
        self.options = options
        self.lost_events = 0
        self.limits = []  # what this engine cannot see; any entry makes the result degraded

    def open(self):
        """Do all that takes time: look for what is needed, compile, load. Raises Unavailable."""

    def start(self):
        """Begin to measure: the window opens when this returns."""

    def poll(self, timeout_s):
        """Work for at most timeout_s seconds within the window (drain buffers, or sleep)."""
        time.sleep(timeout_s)

    def stop(self):
        """End of the window: nothing that happens later may be counted."""

    def read(self, window_s):
        """Return the data of the envelope, a dict that fits the probe's schema.

        window_s: seconds between start and stop, float.
        """
        raise NotImplementedError

    def close(self):
        """Give everything back. Must not raise."""


class Probe(object):
    """A named list of engines with its options.

    NAME: str, also the key of its envelope; VERSION: int, of the data's schema;
    ENGINES: Engine classes, best first (every one but the first makes the result degraded);
    OPTIONS: an Ansible argument spec.
    """

    NAME = ''
    VERSION = 1
    ENGINES = ()
    OPTIONS = {}

    def __init__(self, options):
        self.options = options

    @property
    def schema(self):
        """Name of the schema of this probe's data, as 'ksysak.memleak/1'."""
        return 'ksysak.%s/%d' % (self.NAME, self.VERSION)
