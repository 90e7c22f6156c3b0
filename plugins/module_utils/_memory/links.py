# SPDX-License-Identifier: GPL-3.0-or-later
"""What the descriptors of processes point to, for things that a descriptor holds: namespaces, BPF objects, files in tmpfs.

Reading all links of a busy host costs too much: at most MOST a scan, and the scan says whether it saw all. Processes that opened more
since the last time come first, then in turn one with the most and one with the fewest, root's before others'. Later scans see no
process that the first one left out, so that two scans can be compared.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._memory import descriptors

MOST, _MOST_OF_ONE = 12000, 3000


class Links:
    """Links of descriptors, of Host.processes(): sources share one scan a census."""

    def __init__(self, host):
        self._host = host
        self._counts, self._found, self._read, self._first = {}, [], None, None
        self._kept = {}  # {Process: its rows}: one that is the same object has not changed
        self.whole = True

    def now(self):
        """Return [(Process, descriptor as text, link, share)]: share is by how much it counts, when a process has more than are read."""
        processes = self._host.processes()
        if processes is self._read:
            return self._found
        found, seen, left, self.whole, kept = [], set(), MOST, True, {}
        for task in self._order():
            rows = self._kept.get(task)
            if rows is None:
                if left <= 0:
                    self.whole = False
                    break
                rows = self._of(task, left)
                if rows is None:
                    continue
                left -= len(rows)
            seen.add(task.key)
            kept[task] = rows
            found += rows
        self._kept = kept
        self._first = self._first or (seen, self.whole)
        self._found, self._read = found, processes
        return found

    def _of(self, task, left):
        """The rows of one process, at most so many; None where it has ended."""
        folder = '%s/%d/fd' % (self._host.proc, task.pid)
        try:
            names = os.listdir(folder)
        except OSError:
            return None
        read = names[-min(_MOST_OF_ONE, left):]  # the newest: numbers grow
        share = len(names) / float(len(read)) if read else 1.0
        rows = []
        for name in read:
            try:
                rows.append((task, name, os.readlink('%s/%s' % (folder, name)), share))
            except OSError:
                continue
        return rows

    def own(self):
        """Return [(Process, descriptor as text, link)] of the processes of this scan, which now() leaves out."""
        found = []
        for task in self._host.own_processes():
            folder = '%s/%d/fd' % (self._host.proc, task.pid)
            try:
                found += [(task, name, os.readlink('%s/%s' % (folder, name))) for name in os.listdir(folder)]
            except OSError:
                continue
        return found

    def _order(self):
        """Processes with descriptors in the order in which they are read."""
        rows, counts = [], {}
        for task in self._host.processes():
            try:
                count = descriptors.count(task)
            except OSError:
                continue
            key = task.key
            if self._first and not self._first[1] and key in self._counts and key not in self._first[0]:
                self.whole = False
                continue
            counts[key] = count
            grown = count - self._counts.get(key, count if self._counts else 0)
            rows.append((max(0, grown) if self._counts else 0, task.uid != 0, count, task))
        self._counts = counts
        grown = sorted((row for row in rows if row[0]), key=lambda row: -row[0])
        few = sorted((row for row in rows if not row[0]), key=lambda row: (row[1], row[2], row[3].pid))
        many = sorted(few, key=lambda row: -row[2])
        ordered, seen = [row[3] for row in grown], set()
        for pair in zip(many, few):
            for row in pair:
                if row[3].pid not in seen:
                    seen.add(row[3].pid)
                    ordered.append(row[3])
        return ordered
