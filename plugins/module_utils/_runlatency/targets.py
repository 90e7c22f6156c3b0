# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tasks to follow: one process, thread, control group or command."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

FILTERS = ('pid', 'tid', 'cgroup', 'comm')
COMM_BYTES = 15  # what the kernel keeps of a name
MOST = 16384
_CGROUPS = '/sys/fs/cgroup'


def check(options):
    """Raise ValueError when the options name no task that could be, or more than one filter."""
    given = [name for name in FILTERS if options.get(name) is not None]
    if len(given) > 1:
        raise ValueError('%s exclude each other' % ' and '.join(given))
    for name in ('pid', 'tid'):
        if options.get(name) is not None and options[name] < 1:
            raise ValueError('%s must be at least 1, got %d' % (name, options[name]))
    comm = options.get('comm')
    if comm is not None and not 1 <= len(comm.encode('utf-8')) <= COMM_BYTES:
        raise ValueError('comm must have 1 to %d bytes, got %r' % (COMM_BYTES, comm[:100]))
    cgroup = options.get('cgroup')
    if cgroup is not None and (not cgroup.strip('/') or '..' in cgroup.split('/') or '\0' in cgroup):
        raise ValueError('cgroup must be a path below %s, got %r' % (_CGROUPS, cgroup[:100]))


class Targets:
    """The tasks that an option names, as they come and go. options: those of the probe, which check() let pass."""

    def __init__(self, options):
        self._options = options
        self.name = next((name for name in FILTERS if options.get(name) is not None), None)

    @property
    def by_tid(self):
        """Whether the kernel has to be told thread ids; it compares names by itself."""
        return self.name in ('pid', 'tid', 'cgroup')

    def tids(self):
        """Return the set of thread ids that are there now, at most MOST. Empty: it is gone, or never was."""
        if self.name == 'tid':
            return set([self._options['tid']]) if os.path.exists('/proc/%d/schedstat' % self._options['tid']) else set()
        if self.name == 'pid':
            return set(procfs.numbers('/proc/%d/task' % self._options['pid'])) if self._is_process() else set()
        found = set()
        for folder, _folders, _files in os.walk(self._cgroup()):
            found.update(_threads(folder))
            if len(found) > MOST:
                break
        return found

    def _is_process(self):
        # /proc/TID exists for a thread, too; only a process is listed.
        return self._options['pid'] in procfs.numbers('/proc')

    def _cgroup(self):
        relative = self._options['cgroup'].strip('/')
        for controller in ('', 'cpu', 'cpu,cpuacct'):
            folder = os.path.join(_CGROUPS, controller, relative)
            if os.path.isdir(folder):
                return folder
        return os.path.join(_CGROUPS, relative)

    def require(self):
        """Return tids(); raise Unavailable when there are none, and nothing else can come."""
        tids = self.tids()
        if not tids and not (self.name == 'cgroup' and os.path.isdir(self._cgroup())):
            value = self._options[self.name]
            what = {'pid': 'no process %s', 'tid': 'no thread %s', 'cgroup': 'no control group %s'}[self.name] % value
            raise Unavailable('there is %s on this host' % what, 'Name one that is there while the window lasts.')
        return tids


def _threads(folder):
    """Thread ids in one cgroup: version 2 has cgroup.threads, version 1 tasks; a threaded subtree's root refuses to list them."""
    for name in ('cgroup.threads', 'tasks', 'cgroup.procs'):
        listed = procfs.read_text(os.path.join(folder, name))
        if listed:
            return [int(line) for line in listed.split()]
    return []
