# SPDX-License-Identifier: GPL-3.0-or-later
"""Which descriptors of processes are inotify instances. Nothing in proc lists them: the links of descriptors are read.

Programs open them early, so the first descriptors of a process are read; all of one that has many. A process is read again when its number
of descriptors has changed.
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._memory import descriptors

LINKS, FIRST = 4000, 32  # links that are read in a scan, and of one process at first
MANY, MOST = 8, 1024  # instances among the first from which on more links are read, and how many


class Instances:
    """Instances by process: sources and limits share what was found."""

    def __init__(self):
        self._found = {}  # {key of a process: (its descriptors, [numbers of those that are instances])}
        self._left = LINKS

    def of(self, process):
        """Return the numbers of a process's descriptors that are instances, as far as they were looked for."""
        try:
            count = descriptors.count(process) or int(process.fields.get('FDSize', 0))
        except PermissionError:
            return []
        if not count:
            return []  # a zombie
        before = self._found.get(process.key)
        if before and (before[0] == count or self._left <= 0):
            return before[1]
        if self._left <= 0:
            return []
        found = self._read(process, count, FIRST)
        if len(found) >= MANY and count > FIRST:
            found = self._read(process, count, MOST)
        self._found[process.key] = (count, found)
        return found

    def _read(self, process, count, most):
        number = min(count, most)
        links = descriptors.sample(process, number, 0, number)
        self._left -= max(1, len(links))
        return [place for place, text in links.items() if descriptors.kind_of(text) == 'inotify']
