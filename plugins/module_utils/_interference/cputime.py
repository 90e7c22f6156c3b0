# SPDX-License-Identifier: GPL-3.0-or-later
"""Where else CPU time goes, by kernel accounting: the hypervisor, kernel threads, one process."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs

_KTHREADD = 2


def steal():
    """Return {cpu: seconds} that the hypervisor kept each CPU for others; empty where the kernel does not tell."""
    return {cpu: us / 1e6 for cpu, us in procfs.parse_steal_us(procfs.read_text('/proc/stat')).items()}


def kernel_threads():
    """Return {pid: (name, CPU nanoseconds so far)} of all kernel threads; a kworker's name tells what it last worked for."""
    found = {}
    if procfs.read_text('/proc/%d/comm' % _KTHREADD).strip() != 'kthreadd':  # a container has its own processes
        return found
    for pid in [_KTHREADD] + _children(_KTHREADD):
        times = _schedstat('/proc/%d/schedstat' % pid)
        if times is not None:
            found[pid] = (procfs.read_text('/proc/%d/comm' % pid).strip()[:64], times[0])
    return found


def runnable(pids):
    """Return those of `pids` that run or wait for a CPU now: schedstat has the time of a run only once it is over."""
    return [pid for pid in pids if _fields(pid)[:1] == ['R']]


def _children(pid):
    listed = procfs.read_text('/proc/%d/task/%d/children' % (pid, pid)).split()
    if listed:
        return [int(child) for child in listed]
    return [child for child in procfs.numbers('/proc') if _fields(child)[1:2] == [str(pid)]]


def _fields(pid):
    """The columns of /proc/PID/stat from the state on."""
    return procfs.parse_stat(procfs.read_text('/proc/%d/stat' % pid))[1]


def _schedstat(path):
    words = procfs.read_text(path).split()
    return tuple(int(word) for word in words) if len(words) == 3 else None


def busy_ns():
    """Return {cpu: nanoseconds that tasks ran there} of the CPUs that are online, by /proc/schedstat; None without that file."""
    by_cpu = procfs.parse_schedstat(procfs.read_text('/proc/schedstat'))
    return {cpu: ran_ns for cpu, (ran_ns, _waited_ns, _slices) in by_cpu.items()} if by_cpu else None


def process(pid):
    """Return what identifies a process and its times so far; None when there is none.

    {'comm', 'started' (ticks since boot), 'cpu_ns', 'wait_ns', 'timeslices'}, the latter three summed over its threads.
    """
    fields = _fields(pid)
    if len(fields) < 20 or fields[0] in 'ZX':
        return None
    times = [_schedstat('/proc/%d/task/%d/schedstat' % (pid, thread)) or (0, 0, 0) for thread in procfs.numbers('/proc/%d/task' % pid)]
    cpu_ns, wait_ns, timeslices = (sum(column) for column in zip(*times)) if times else (0, 0, 0)
    return {'comm': procfs.read_text('/proc/%d/comm' % pid).strip()[:64], 'started': int(fields[19]),
            'cpu_ns': cpu_ns, 'wait_ns': wait_ns, 'timeslices': timeslices}
