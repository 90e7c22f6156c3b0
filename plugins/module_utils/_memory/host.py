# SPDX-License-Identifier: GPL-3.0-or-later
"""What all sources of one scan share: owners of things, and the kernel's slab counters.

Owners are dicts as in schema ksysak.memory/1. All files are below `root`, so that tests can have a host of their own.
"""

import functools
import os
import re
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups, procfs, slabs, sysfs, text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.creators import Creators
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.inotify import Instances
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.links import Links
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.tasks import Tasks

NAME_CHARS = 256
_CPUCLOCK_SCHED = 2  # MAKE_PROCESS_CPUCLOCK of linux/posix-timers.h: the clock of any process
KTHREADD = 2  # the parent of all threads of the kernel
FAMILY = 16
_BUSY = 64  # of those that took most CPU time in their life, the ones whose age is asked for
CAP_SYS_PTRACE = 19
HOST_PIDS = 'pid:[4026531836]'  # PROC_PID_INIT_INO: the namespace of all processes has this number on every kernel
STATUS_FIELDS = (  # in the kernel's order (fs/proc/array.c)
    'State', 'PPid', 'Uid', 'FDSize', 'NSpgid', 'VmLck', 'RssAnon', 'RssShmem', 'VmPTE', 'HugetlbPages', 'Threads', 'SigQ', 'SigPnd',
    'ShdPnd',
)  # fmt: skip
MEMORY_FIELDS = ('VmLck', 'RssAnon', 'RssShmem', 'VmPTE', 'HugetlbPages')  # which a zombie does not have
_STATUS = re.compile(r'^(%s):\s+(\w+)' % '|'.join(STATUS_FIELDS), re.MULTILINE)
_STATUS_BYTES = 8192


def _in_order(names):
    """A pattern of a status that has all of these fields, in this order: much cheaper than to look for each."""
    return names, re.compile(''.join(r'(?:[^\n]*\n)*?%s:\s+(\w+)' % name for name in names))


_WHOLE = _in_order(STATUS_FIELDS)
_ENDED = _in_order(tuple(name for name in STATUS_FIELDS if name not in MEMORY_FIELDS))


def parse_status(text):
    """Return {field: text of its first number} of STATUS_FIELDS in the text of /proc/PID/status, those that it has."""
    names, pattern = _WHOLE if '\nVmLck:' in text else _ENDED
    found = pattern.match(text)
    return dict(zip(names, found.groups())) if found else dict(_STATUS.findall(text))


def owner(kind, name, pid=None, parent=None, cgroup=None, uid=None):
    """Return an owner: kind is its type, as 'process' or 'mount'."""
    unit = cgroups.unit(cgroup)
    return {
        'type': kind,
        'name': text.printable(name, NAME_CHARS),
        'pid': pid,
        'parent': parent,
        'cgroup': None if cgroup is None else text.printable(cgroup, NAME_CHARS),
        'unit': unit and text.printable(unit, NAME_CHARS),
        'uid': uid,
    }


class Process:
    """One process as /proc/PID/status shows it. A process that ends meanwhile has no descriptors.

    comm: as in status, with newlines as \\n; state: letter, as 'Z'; group: process group; key: names it, in all censuses of a scan;
    fields: {name: text of its first number} of STATUS_FIELDS that its status has; descriptors: their number, once it was counted.
    One that did not change between two censuses is the same object: what is known of it stays true.
    """

    __slots__ = ('place', 'pid', 'comm', 'state', 'parent', 'group', 'threads', 'fields', 'descriptors', 'key', 'namespaces', 'ran_s',
                 '_stat', '_started')

    def __init__(self, place, pid, status, ran_s=None):
        """ran_s: its CPU time just before its status was read, or None."""
        self.fields = parse_status(status)
        self.place, self.pid, self.comm = place, pid, status[len('Name:\t'):status.index('\n')]
        self.state, self.parent, self.threads = self.fields['State'], int(self.fields['PPid']), int(self.fields['Threads'])
        self.group = int(self.fields.get('NSpgid', 0))
        self.descriptors = self.key = self._stat = self._started = None
        self.ran_s = ran_s
        self.namespaces = {}  # {'net': number}, of tasks.py

    def follow(self, before, number):
        """Take over the key of the same process in an earlier census, if it is the same; else the key has this number."""
        if before is self:
            self._stat = None  # the time passed
        elif before is not None and (before.comm, before.parent) == (self.comm, self.parent):
            self.key, self._started = before.key, before._started
        else:
            self.key = (self.pid, number)

    @property
    def started(self):
        """Start in clock ticks since boot, 0 where it has ended; read when it is asked for."""
        if self._started is None:
            self._started = self._read_stat()[0]
        return self._started

    @property
    def ticks(self):
        """CPU time in clock ticks."""
        return self._read_stat()[1]

    def _read_stat(self):
        if self._stat is None:
            words = procfs.parse_stat(sysfs.text(self.place + '/stat') or '')[1]
            self._stat = (int(words[19]), int(words[11]) + int(words[12])) if len(words) > 19 else (0, 0)
        return self._stat

    def bytes(self, name):
        """Return a field of status that has a unit, in bytes; 0 where it is missing."""
        return int(self.fields.get(name, 0)) * 1024

    @property
    def uid(self):
        return int(self.fields['Uid']) if 'Uid' in self.fields else None


def _link(path):
    try:
        return os.readlink(path)
    except OSError:
        return None


def cpu_s(pid):
    """Return the CPU time of a process in seconds, by its clock: no file is opened. None where it has ended."""
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:
        return None


def _status(place):
    """The text of a process's status, None where it has ended. A user in many groups has a long one."""
    try:
        fd = os.open(place + '/status', os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(fd, _STATUS_BYTES)
            while len(data) >= _STATUS_BYTES and len(data) % _STATUS_BYTES == 0:
                more = os.read(fd, _STATUS_BYTES)
                if not more:
                    break
                data += more
        finally:
            os.close(fd)
    except OSError:
        return None
    return data.decode('utf-8', 'replace')


class Host:
    """Files of the host, read once a census. root: folder that is taken for the host's root.

    tasks, links, inotify, creators: what sources share of processes' namespaces and descriptors, and of who makes entries and writes
    files.
    """

    def __init__(self, root='/'):
        self.root = root
        self.proc = os.path.join(root, 'proc')
        self._sizes, self._merged = {}, None
        self._owners, self._families = {}, set()
        self._group, self._own = os.getpgrp(), []
        self.tasks, self.links, self.creators, self.inotify = Tasks(self), Links(self), Creators(self), Instances()
        self._first, self._began_ticks, self._cpu_s = (), None, {}
        self._clocks = root == '/' and _link('/proc/self') == str(os.getpid())  # whether numbers in /proc are those of this namespace
        self.fresh = False  # whether each process is read again in full in this census
        self.partial = False  # whether only processes that held something in an earlier census are read again
        self._held = set()  # their keys
        self.mappings = {}  # {key of a process: (Process, its mappings)} of the last census of them
        self._before, self._generation = {}, 0  # {pid: Process} of the last census
        self.forget()

    def missing(self):
        """Return texts: what of the host this process cannot see, as of /proc with hidepid, or in a container."""
        found = []
        effective = re.search(r'^CapEff:\s*([0-9a-f]+)', procfs.read_text(self.proc + '/self/status'), re.MULTILINE)
        if effective and not int(effective.group(1), 16) >> CAP_SYS_PTRACE & 1:
            found.append('what processes of other users hold (CAP_SYS_PTRACE is missing: run the probe as root)')
        namespace = _link(self.proc + '/self/ns/pid')
        if namespace not in (None, HOST_PIDS):
            found.append('processes outside of this container (/proc is not that of the host)')
        if not self.slabs():
            found.append('growth of timers, signals, locks, watches, keys, sockets and namespaces: /proc/slabinfo, which counts them, '
                         'cannot be read (run the probe as root, on the host itself)')
        return found

    def forget(self):
        """What was read is old: the next one who asks reads it again."""
        self._processes = self._slabs = None

    def begin(self):
        """The window opens: who comes later is not old."""
        words = procfs.read_text(self.proc + '/uptime').split()
        self._began_ticks = float(words[0]) * os.sysconf('SC_CLK_TCK') if words else None
        self._first = set(procfs.numbers(self.proc))

    def processes(self):
        """Return the processes as Process; threads of the kernel and the processes of this scan are left out."""
        if self._processes is None:
            found = [one for one in self._scan() if one is not None]
            for one in found:
                self._generation += 1
                one.follow(self._before.get(one.pid), self._generation)
            self._before = dict((one.pid, one) for one in found)
            self._processes = [one for one in found if one.group != self._group]
            self._own = [one for one in found if one.group == self._group]
            sizes = {}
            for one in self._processes:
                sizes[one.parent, one.comm] = sizes.get((one.parent, one.comm), 0) + 1
            self._families |= set(key for key, size in sizes.items() if size >= FAMILY)
        return self._processes

    def _scan(self):
        if self.partial and self._before:
            return [self._again(one.pid) if self.key_of(one) in self._held else one for one in self._before.values()]
        return [self._again(pid) for pid in procfs.numbers(self.proc)]

    def _again(self, pid):
        """A process that has not run since it was read has the same memory, threads and descriptors as then."""
        before = self._before.get(pid)
        if before is None or self.fresh or before.ran_s is None or cpu_s(pid) != before.ran_s:
            return self.read_process(pid)
        return before

    def own_processes(self):
        """Return the processes of this scan: those of this process's group."""
        self.processes()
        return self._own

    def is_old(self, key):
        """Whether an owner, by its key, was there when the window opened, or is no single process. A later one may have the same pid."""
        process = self._before.get(key[0]) if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], int) else None
        if process is None or self._began_ticks is None or isinstance(key[1], str):
            return True
        return key[0] in self._first and process.started <= self._began_ticks

    def busiest(self):
        """Return the processes, those first that took most CPU time since this was asked first: who makes things runs.

        The first time, that is the share of their life.
        """
        processes = self.processes()
        taken_s = dict((one.key, self.worked_s(one)) for one in processes)
        if self._cpu_s:
            return sorted(processes, key=lambda one: taken_s[one.key] - self._cpu_s.get(one.key, 0.0), reverse=True)
        self._cpu_s = taken_s
        now = float((procfs.read_text(self.proc + '/uptime').split() or ['0'])[0]) * os.sysconf('SC_CLK_TCK')
        worked = sorted(processes, key=lambda one: taken_s[one.key], reverse=True)
        many = worked[:_BUSY]  # the age costs a file
        return sorted(many, key=lambda one: taken_s[one.key] / max(1.0, now - one.started), reverse=True) + worked[_BUSY:]

    def worked_s(self, process):
        """Return the CPU time of a process in seconds, 0.0 where it has ended."""
        taken = cpu_s(process.pid) if self._clocks else process.ticks / float(os.sysconf('SC_CLK_TCK'))
        return taken or 0.0

    def read_process(self, pid):
        """Return one Process, or None: it has ended, or is a thread of the kernel."""
        place = '%s/%d' % (self.proc, pid)
        try:
            process = Process(place, pid, _status(place), cpu_s(pid) if self._clocks else None)
        except (AttributeError, ValueError, KeyError, TypeError):
            return None  # it has ended
        return None if pid == KTHREADD or process.parent == KTHREADD else process

    def key_of(self, process):
        """Return what names the owner of what a process holds: its own, or that of its family.

        A family are FAMILY processes or more of one name with one parent: workers of a server, or short-lived ones that a service starts.
        """
        family = (process.parent, process.comm)
        return family if family in self._families else process.key

    def owner_of(self, process):
        """Return the owner of what a Process holds."""
        key = self.key_of(process)
        if key not in self._owners:
            cgroup = cgroups.parse(sysfs.text(process.place + '/cgroup') or '')
            pid = None if key in self._families else process.pid
            comm = sysfs.text(process.place + '/comm') or process.comm
            self._owners[key] = owner('process', comm, pid=pid, parent=process.parent, cgroup=cgroup, uid=process.uid)
        return self._owners[key]

    def later(self, process):
        """Return a function that returns the owner: who is in no row costs nothing."""
        self._held.add(self.key_of(process))
        return functools.partial(self.owner_of, process)

    def sum_by_owner(self, values, together=sum):
        """Return {key of the owner: (one of its processes, value)} of pairs (Process, value)."""
        found = {}
        for process, value in values:
            one = found.setdefault(self.key_of(process), (process, []))
            one[1].append(value)
        return dict((key, (process, together(some))) for key, (process, some) in found.items())

    def slabs(self):
        """Return {slab cache: Cache} of /proc/slabinfo; empty where it cannot be read. See objects() for caches that are merged."""
        if self._slabs is None:
            self._slabs = slabs.read(self.root)
        return self._slabs

    def merged(self):
        """Return slabs.aliases() of this host, read once."""
        if self._merged is None:
            self._merged = slabs.aliases(self.root)
        return self._merged

    def objects(self, *caches):
        """Return the active objects of slab caches together, with those of caches that are merged with them; None: not known."""
        counted, found = self.slabs(), {}
        for cache in caches:
            for name in [cache] if cache in counted else self.merged().get(cache, ()):
                if name in counted:
                    found[name] = counted[name].objects
        return sum(found.values()) if found else None

    def exact_objects(self, cache):
        """Return the number of objects of a slab cache, or None where it shares its slabs with others or is not known."""
        found = self.slabs().get(cache)
        return found.objects if found and cache not in self.merged() else None

    def object_bytes(self, cache):
        """Return what one object of a slab cache takes, also of one that is merged with others; None: not known."""
        if cache not in self._sizes:
            self._sizes[cache] = slabs.object_bytes(cache, self.root)
        return self._sizes[cache]

    def bytes_of(self, caches):
        """Return what one object of each of the caches takes together; None where none of them is known."""
        sizes = [self.object_bytes(cache) for cache in caches]
        known = [size for size in sizes if size]
        return sum(known) if known else None
