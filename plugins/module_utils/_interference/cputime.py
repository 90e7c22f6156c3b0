# SPDX-License-Identifier: GPL-3.0-or-later
"""Where else CPU time goes, by the kernel's own books: the hypervisor, kernel threads, one process."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.host import read_text

_KTHREADD = 2
_TICKS_PER_S = os.sysconf('SC_CLK_TCK')
_STEAL = 8  # the column of a line of /proc/stat


def steal():
    """Return {cpu: seconds} that the hypervisor kept each CPU for others; empty where the kernel does not tell."""
    return parse_steal(read_text('/proc/stat'))


def parse_steal(text):
    """steal() of the text of /proc/stat."""
    rows = [line.split() for line in text.splitlines() if line.startswith('cpu') and line[3:4].isdigit()]
    return dict((int(row[0][3:]), float(row[_STEAL]) / _TICKS_PER_S) for row in rows if len(row) > _STEAL)


def kernel_threads():
    """Return {pid: (name, CPU nanoseconds so far)} of all kernel threads; a kworker's name tells what it last worked for."""
    found = {}
    if read_text('/proc/%d/comm' % _KTHREADD).strip() != 'kthreadd':  # a container has its own processes
        return found
    for pid in [_KTHREADD] + _children(_KTHREADD):
        times = _schedstat('/proc/%d/schedstat' % pid)
        if times is not None:
            found[pid] = (read_text('/proc/%d/comm' % pid).strip()[:64], times[0])
    return found


def runnable(pids):
    """Return those of `pids` that run or wait for a CPU now: schedstat has the time of a run only once it is over."""
    return [pid for pid in pids if _fields(pid)[:1] == ['R']]


def _children(pid):
    listed = read_text('/proc/%d/task/%d/children' % (pid, pid)).split()
    if listed:
        return [int(child) for child in listed]
    everyone = [int(name) for name in os.listdir('/proc') if name.isdigit()]
    return [child for child in everyone if _fields(child)[1:2] == [str(pid)]]


def _fields(pid):
    """The columns of /proc/PID/stat from the state on; the name before them may hold anything."""
    return read_text('/proc/%d/stat' % pid).rpartition(')')[2].split()


def _schedstat(path):
    words = read_text(path).split()
    return tuple(int(word) for word in words) if len(words) == 3 else None


def busy_ns():
    """Return {cpu: nanoseconds that tasks ran there} of the CPUs that are online, by /proc/schedstat; None without that file."""
    return parse_busy(read_text('/proc/schedstat'))


def parse_busy(text):
    """busy_ns() of the text of /proc/schedstat."""
    rows = [line.split() for line in text.splitlines() if line.startswith('cpu')]
    return dict((int(row[0][3:]), int(row[7])) for row in rows) if rows and all(len(row) > 9 for row in rows) else None


def process(pid):
    """Return what identifies a process and its times so far; None when there is none.

    {'comm', 'born' (ticks since boot), 'cpu_ns', 'wait_ns', 'turns'}, the latter three summed over its threads.
    """
    fields = _fields(pid)
    if len(fields) < 20 or fields[0] in 'ZX':
        return None
    times = [_schedstat('/proc/%d/task/%s/schedstat' % (pid, thread)) or (0, 0, 0) for thread in _threads(pid)]
    cpu_ns, wait_ns, turns = (sum(column) for column in zip(*times)) if times else (0, 0, 0)
    return {'comm': read_text('/proc/%d/comm' % pid).strip()[:64], 'born': int(fields[19]),
            'cpu_ns': cpu_ns, 'wait_ns': wait_ns, 'turns': turns}


def _threads(pid):
    try:
        return os.listdir('/proc/%d/task' % pid)
    except (IOError, OSError):
        return []
