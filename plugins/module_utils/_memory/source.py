# SPDX-License-Identifier: GPL-3.0-or-later
"""What a source of the probe is: it counts classes of things cheaply, and takes a census of who holds them when one has grown."""

COUNT_STEP = 16
BYTES_STEP = 256 * 1024


class Source:
    """One or more classes of things that hold memory. Subclasses fill in read and census.

    STEPS: {class: (count, bytes)}: least growth within the window that is worth a census, default (COUNT_STEP, BYTES_STEP).
    LARGE: {class: (count or None, bytes or None)}: level from which a census is worth it although nothing grows.
    FRESH: classes whose census needs what others change in a process, as signals that are sent to it: when one of them grew, processes
    that have not run since the last census are read again too.
    host: the Host of this scan: processes, owners and slab counters that sources share; see host.py.
    not_measured: texts: what this source could not read; they make the result degraded.
    """

    STEPS = {}
    LARGE = {}
    FRESH = ()

    def __init__(self, host):
        self.host = host
        self.not_measured = []

    def read(self):
        """Return cheap totals {class: (count or None, bytes or None)}. Called up to 8 times within the window."""
        raise NotImplementedError

    def census(self, classes):
        """Return who holds what: {(kind, key of the owner): Holding}.

        classes: set of names of read's classes that grew or are large: others need not be counted. Called twice or three times at most.
        """
        raise NotImplementedError


class Holding:
    """What one owner holds of one kind.

    kind: of kinds.KINDS; owner: dict as made by host.py, or a function that returns it and is called only for rows of the facts;
    count: number of things, or None where only bytes count;
    bytes: what they take, or None: then it is counted from the sizes of the kind's slab objects, where it has any;
    detail: small dict {name: text or number}; limit: number that count cannot exceed, or None.
    """

    __slots__ = ('kind', '_owner', 'count', 'bytes', 'detail', 'limit')

    def __init__(self, kind, owner, count, bytes=None, detail=None, limit=None):
        self.kind = kind
        self._owner = owner
        self.count = count
        self.bytes = bytes
        self.detail = detail or {}
        self.limit = limit

    @property
    def owner(self):
        return self._owner() if callable(self._owner) else self._owner
