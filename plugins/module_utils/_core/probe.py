# SPDX-License-Identifier: GPL-3.0-or-later
"""What every probe is made of: its engines, its options, its envelope and its size.

A probe measures one thing on one host for one window and knows nothing of
severity. It has one or more engines, best first. An engine that cannot work
here raises Unavailable with a reason and a remedy, and the next one is asked.
"""

import datetime
import json
import time

RESULT_BYTES = 64 * 1024
_TEXT_CHARS = 2048
_DETAILS = 3  # rows that a list within a row keeps when there is no room


class Unavailable(Exception):
    """Something that a probe needs is missing on this host.

    reason: what is missing; remedy: what an operator can do about it.
    """

    def __init__(self, reason, remedy=''):
        super().__init__(reason)
        self.reason = reason
        self.remedy = remedy


class Engine:
    """One way to measure. Subclasses set NAME and fill in the steps.

    Order of calls: open, start, poll (again and again), stop, read, close.
    close is called on every path, also when open failed half-way.
    """

    NAME = ''

    def __init__(self, options):
        """options: dict of the probe's validated options."""
        self.options = options
        self.lost_events = 0
        self.lost_share = 0.0  # of all events, 0 to 1
        self.degradations = []  # what this engine could not see; any entry makes the result degraded

    def open(self):
        """Do all that takes time: look for what is needed, compile, load. Raises Unavailable."""

    def start(self, duration_s):
        """Begin to measure: the window opens when this returns.

        duration_s: seconds that the window is meant to last; an early end makes the window shorter.
        """

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
        """Give everything back."""


class Probe:
    """A named list of engines with its options.

    NAME: str, also the key of its envelope; VERSION: int, of the data's schema;
    ENGINES: Engine classes, best first (every one but the first makes the result degraded);
    BUDGET_BYTES: what its envelope may always take in the result of a scan; those of all probes together are at most RESULT_BYTES;
    OPTIONS: an Ansible argument spec; BOUNDS: {option: (least, most)} of its numbers.
    """

    NAME = ''
    VERSION = 1
    ENGINES = ()
    BUDGET_BYTES = 4 * 1024
    OPTIONS = {}
    BOUNDS = {}

    def __init__(self, options):
        """options: dict that the argument spec has already shaped. Raises ValueError naming the option that is out of bounds."""
        check_bounds(options, self.BOUNDS)
        self.options = options


def check_bounds(options, bounds):
    """Raise ValueError naming the first option that is given and outside its (least, most)."""
    for name, (least, most) in sorted(bounds.items()):
        if options[name] is not None and not least <= options[name] <= most:
            raise ValueError('%s must be between %d and %d, got %s' % (name, least, most, options[name]))


def envelope(probe, status, reason='', remedy='', engine='none', started_at=None, window_s=0.0):
    """Return a probe's result without its data, as in schema ksysak.host/1.

    started_at: datetime in UTC, default now.
    """
    return {
        'schema': 'ksysak.%s/%d' % (probe.NAME, probe.VERSION),
        'status': status, 'reason': reason[:_TEXT_CHARS], 'remedy': remedy[:_TEXT_CHARS], 'engine': engine,
        'started_at': (started_at or datetime.datetime.utcnow()).strftime('%Y-%m-%dT%H:%M:%SZ'),
        'window_s': round(window_s, 3),
        'cost': {'cpu_s': 0.0, 'max_rss_bytes': 0, 'setup_s': 0.0, 'lost_events': 0, 'lost_share': 0.0, 'truncated': False},
        'data': {},
    }


def degrade(result, reason, remedy=''):
    """Make an envelope degraded, for one more reason."""
    result['status'] = 'degraded'
    result['reason'] = '; '.join(part for part in (result['reason'], reason) if part)[:_TEXT_CHARS]
    result['remedy'] = (result['remedy'] or remedy)[:_TEXT_CHARS]


def fit(result, limit_bytes=RESULT_BYTES):
    """Cut the lists of an envelope until its JSON is at most limit_bytes long; changes it in place.

    Lists in facts are sorted, most important first, so the tail of the longest one goes
    first; an envelope that lost something says truncated. Before a list loses a row, its rows keep
    _DETAILS rows each of the lists within them. Lists of texts stay whole: half a stack is of no use.
    """
    while _size(result) > limit_bytes:
        rows = max(_lists(result['data']), key=_size, default=None)
        if rows is None:
            return
        result['cost']['truncated'] = True
        if not _cut_details(rows):
            del rows[len(rows) - max(1, len(rows) // 8):]


def fit_together(envelopes, budgets, limit_bytes=RESULT_BYTES):
    """Cut the envelopes {name: envelope} of a scan until they are at most limit_bytes long together; changes them in place.

    budgets: {name: bytes that it may always take}. What some leave unused is shared out among those that need more, so a
    probe with long lists loses nothing needlessly, and never cuts another one's.
    """
    sizes = dict((name, _size(result)) for name, result in envelopes.items())
    limits = dict((name, min(size, budgets[name])) for name, size in sizes.items())
    spare = limit_bytes - sum(limits.values())
    wanting = sorted((sizes[name] - limits[name], name) for name in sizes if sizes[name] > limits[name])
    for number, (missing, name) in enumerate(wanting):
        given = max(0, min(missing, spare // (len(wanting) - number)))
        spare -= given
        fit(envelopes[name], limits[name] + given)


def _cut_details(rows):
    """Cut the lists of rows within rows, and return whether there was something to cut."""
    within = [part for row in rows if isinstance(row, dict) for part in row.values() if isinstance(part, list)]
    long = [part for part in within if len(part) > _DETAILS and isinstance(part[0], dict)]
    for part in long:
        del part[_DETAILS:]
    return bool(long)


def _size(value):
    return len(json.dumps(value))


def _lists(value):
    """All lists within a value that have something to cut."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    found = [value] if isinstance(value, list) and value else []
    for part in inner:
        found.extend(_lists(part))
    return found
