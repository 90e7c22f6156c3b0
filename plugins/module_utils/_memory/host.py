# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sources of one scan share: owners of things, and the kernel's slab counters.

Owners are dicts as in schema ksysak.memory/1. All files are below `root`, so that tests can have a host of their own.
"""

import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs, sysfs, text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.creators import Creators
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.links import Links
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.slabs import Slabs, aliases
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.tasks import Tasks

NAME_CHARS = 256
KTHREADD = 2  # the parent of all threads of the kernel
_UNIT = re.compile(r'.*/([^/]+\.(?:service|scope|socket|mount|swap|slice))(?:/|$)')


def owner(kind, name, pid=None, parent=None, cgroup=None, uid=None):
    """Return an owner: kind is its type, as 'process' or 'mount'."""
    return {
        'type': kind,
        'name': text.printable(name, NAME_CHARS),
        'pid': pid,
        'parent': parent,
        'cgroup': None if cgroup is None else text.printable(cgroup, NAME_CHARS),
        'unit': unit(cgroup),
        'uid': uid,
    }


def unit(cgroup):
    """Return the systemd unit in a cgroup's path: the innermost one, or None."""
    found = _UNIT.match(cgroup or '')
    return text.printable(found.group(1), NAME_CHARS) if found else None


def parse_cgroup(lines):
    """Return the path of a process's cgroup, of the text of /proc/PID/cgroup.

    That of the one hierarchy of cgroup v2 where it is more than '/', else that of v1's memory controller, else that of systemd's own.
    """
    paths = {}
    for line in lines.splitlines():
        _number, _colon, rest = line.partition(':')
        controllers, _colon, path = rest.partition(':')
        for controller in controllers.split(','):
            paths.setdefault(controller, path)
    for controller in ('', 'memory', 'name=systemd'):
        if paths.get(controller, '/') != '/':
            return paths[controller]
    return paths.get('') or paths.get('memory')


class Process:
    """One process as /proc/PID/stat and status show it. A process that ends meanwhile has no descriptors.

    started: clock ticks from boot to its start, which together with the pid names it for good; fields: of status, in bytes where these
    have a unit; state: letter, as 'Z'; group: process group; ticks: clock ticks of CPU time.
    """

    __slots__ = ('place', 'pid', 'comm', 'state', 'parent', 'group', 'ticks', 'threads', 'started', 'fields')

    def __init__(self, place, pid, stat, status):
        begin, end = stat.index('('), stat.rindex(')')
        words = stat[end + 1 :].split()
        self.place, self.pid, self.comm = place, pid, stat[begin + 1 : end]
        self.state, self.parent, self.group = words[0], int(words[1]), int(words[2])
        self.ticks = int(words[11]) + int(words[12])
        self.threads, self.started = int(words[17]), int(words[19])
        self.fields = procfs.parse_fields(status)

    def descriptors(self):
        """Return the number of open descriptors."""
        folder = os.path.join(self.place, 'fd')
        try:
            return os.stat(folder).st_size or len(os.listdir(folder))  # the size is their number since Linux 6.2
        except OSError:
            return 0


class Host:
    """Files of the host. root: folder that is taken for the host's root.

    tasks, links, creators: what sources share of processes' namespaces and links, and of who makes entries and writes files.
    """

    def __init__(self, root='/'):
        self.root = root
        self.proc = os.path.join(root, 'proc')
        self._sizes = {}
        self._owners = {}
        self._processes, self._own, self._group = None, [], os.getpgrp()
        self._merged = None
        self.tasks, self.links, self.creators = Tasks(self), Links(self), Creators(self)

    def forget(self):
        """A new census begins: processes are read again."""
        self._processes = None

    def processes(self):
        """Return the processes as Process, read once a census; threads of the kernel and the processes of this scan are left out."""
        if self._processes is None:
            found = [one for one in map(self.read_process, procfs.numbers(self.proc)) if one is not None]
            self._processes = [one for one in found if one.group != self._group]
            self._own = [one for one in found if one.group == self._group]
        return self._processes

    def own_processes(self):
        """Return the processes of this scan: those of this process's group."""
        self.processes()
        return self._own

    def read_process(self, pid):
        """Return one Process, or None: it has ended, or is a thread of the kernel."""
        place = os.path.join(self.proc, str(pid))
        stat, status = sysfs.text(os.path.join(place, 'stat')), sysfs.text(os.path.join(place, 'status'))
        try:
            process = Process(place, pid, stat, status)
        except (AttributeError, ValueError, IndexError):
            return None  # it has ended
        return None if pid == KTHREADD or process.parent == KTHREADD else process

    def owner_of(self, process):
        """Return the owner of what a Process holds."""
        key = (process.pid, process.started)
        if key not in self._owners:
            cgroup = parse_cgroup(sysfs.text(os.path.join(process.place, 'cgroup')) or '')
            try:
                uid = os.stat(process.place).st_uid
            except OSError:
                uid = None
            self._owners[key] = owner('process', process.comm, pid=process.pid, parent=process.parent, cgroup=cgroup, uid=uid)
        return self._owners[key]

    def slabs(self):
        """Return {slab cache: (active objects, size of one in bytes)} of /proc/slabinfo; empty where it cannot be read.

        Caches of the same size may be merged: the name is that of one of them then, see cache().
        """
        try:
            with open(os.path.join(self.proc, 'slabinfo'), errors='replace') as stream:
                rows = [line.split(None, 4) for line in stream if not line.startswith(('#', 'slabinfo'))]
        except OSError:
            return {}
        return dict((row[0], (int(row[1]), int(row[3]))) for row in rows if len(row) == 5)

    def slab_counts(self):
        """Return the Slabs of this instant: numbers of objects, with the names of merged caches."""
        if self._merged is None:
            self._merged = aliases(self.root)
        return Slabs(self.slabs(), self._merged)

    def object_bytes(self, cache):
        """Return what one object of a slab cache takes, also of one that is merged with others; None: not known."""
        if cache not in self._sizes:
            self._sizes[cache] = sysfs.integer(os.path.join(self.root, 'sys/kernel/slab', cache, 'slab_size'))
        return self._sizes[cache]

    def bytes_of(self, caches):
        """Return what one object of each of the caches takes together; None where none of them is known."""
        sizes = [self.object_bytes(cache) for cache in caches]
        known = [size for size in sizes if size]
        return sum(known) if known else None
