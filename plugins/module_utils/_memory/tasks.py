# SPDX-License-Identifier: GPL-3.0-or-later
"""The namespaces that the processes of a census are in."""

import os


class Tasks:
    """Processes by number and by namespace, of Host.processes(): sources share one reading a census."""

    def __init__(self, host):
        self._host = host
        self._read, self._namespaces = None, {}

    def now(self):
        """Return {pid: Process} of this census."""
        processes = self._host.processes()
        if processes is not self._read:
            self._read, self._namespaces = processes, {}
            self._by_pid = dict((one.pid, one) for one in processes)
        return self._by_pid

    def namespaces(self, kind):
        """Return {number of the namespace: its processes, oldest first, of the host's own in the order of pids} of 'mnt', 'net' …."""
        processes = self.now().values()
        if kind not in self._namespaces:
            found = {}
            for one in sorted(processes, key=lambda one: one.pid):
                if kind not in one.namespaces:
                    one.namespaces[kind] = self.namespace(one.pid, kind)
                number = one.namespaces[kind]
                if number is not None:
                    found.setdefault(number, []).append(one)
            first = self.first(kind)
            for number, members in found.items():
                if number != first:  # numbers of processes wrap around, and one file more is read to know the age
                    members.sort(key=lambda one: one.started)
            self._namespaces[kind] = found
        return self._namespaces[kind]

    def namespace(self, pid, kind):
        """Return the number of a process's namespace, or None."""
        try:
            name = os.readlink('%s/%s/ns/%s' % (self._host.proc, pid, kind))
        except OSError:
            return None
        digits = name.partition('[')[2].rstrip(']')
        return int(digits) if digits.isdigit() else None

    def first(self, kind):
        """Return the number of the host's own namespace: that of PID 1, or where it is hidden (a container) that of this process."""
        return self.namespace(1, kind) or self.namespace('self', kind)
