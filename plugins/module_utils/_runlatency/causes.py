# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a task waited for a CPU: who ran, a quota, a set of CPUs that it may use, or a CPU that did not run."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups, procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import attribution, quota

CAUSES = ('run_queue', 'throttled', 'realtime_throttled', 'affinity', 'cpu_not_running', 'idle')
_MOST_GROUPS = 16384
_WORST = 3
_REALTIME = 100  # priorities below
_HALF = 0.5
_SCHED_IDLE = 5  # of include/uapi/linux/sched.h


def allowed_cpus(tid, online):
    """Return the CPUs that a task may use as a set, when they are fewer than those online; None: all, a kernel thread, or it has ended."""
    _comm, columns = procfs.parse_stat(procfs.read_text('/proc/%d/stat' % tid))
    if procfs.is_kernel_thread(columns) is not False:
        return None  # the kernel binds its threads to CPUs for its own ends
    try:
        allowed = set(os.sched_getaffinity(tid))
    except OSError:
        return None
    return allowed if allowed and not online <= allowed else None


def policy_of(tid, prio):
    """Return the scheduling class of a task by its priority; 'idle' also for SCHED_IDLE, which has the priority of others."""
    try:
        if os.sched_getscheduler(tid) == _SCHED_IDLE:
            return 'idle'
    except OSError:
        pass
    return attribution.policy(prio)


def of_event(event, facts):
    """Return why an event's task waited, as (one of CAUSES, {'allowed_cpus', 'idle_elsewhere_share'}).

    event: a row of 'events' with who_ran(), 'prio' and 'throttled'; facts: {'virtual': bool, 'allowed': CPUs as of allowed_cpus(),
    'idle_elsewhere': share of the window in which the other CPUs were idle, or None}.
    """
    delay_us, top = event['delay_us'], event['longest_runner']
    idle = event['idle_us'] >= _HALF * delay_us
    pinned = {'allowed_cpus': None, 'idle_elsewhere_share': None}
    if facts['allowed'] is not None:
        pinned = {'allowed_cpus': shown(facts['allowed']), 'idle_elsewhere_share': facts['idle_elsewhere']}
    if event['throttled'] and (idle or event['throttled']['share_of_waits'] >= _HALF):
        return 'throttled', pinned
    if event['paused_us'] >= _HALF * delay_us or event['paused_us'] + event['idle_us'] >= _HALF * delay_us and facts['virtual']:
        return 'cpu_not_running', pinned
    if idle:
        return 'idle', pinned
    if 0 <= event['prio'] < _REALTIME and top and top['prio'] >= _REALTIME and top['ran_us'] >= _HALF * delay_us:
        return 'realtime_throttled', pinned
    if pinned['idle_elsewhere_share'] is not None and pinned['idle_elsewhere_share'] >= _HALF:
        return 'affinity', pinned
    return 'run_queue', pinned


def shown(cpus):
    """Return a set of CPUs as the kernel writes it ('0-2,5')."""
    parts, ordered = [], sorted(cpus)
    for cpu in ordered:
        if parts and parts[-1][1] == cpu - 1:
            parts[-1][1] = cpu
        else:
            parts.append([cpu, cpu])
    return ','.join('%d' % first if first == last else '%d-%d' % (first, last) for first, last in parts)[:100]


def paths(root):
    """Return {inode of a folder: path of the control group} of the hierarchy whose top is `root`; {} without one."""
    found = {}
    for number, (folder, _folders, _files) in enumerate(os.walk(root) if root else ()):
        if number >= _MOST_GROUPS:
            break
        try:
            found[os.stat(folder).st_ino] = folder[len(root):] or '/'
        except OSError:
            continue
    return found


def path_of(group, by_inode, tids):
    """Return the path of a group id of the BPF text: by its inode (before 5.5 its lower half), else by a thread of it; None: it is gone."""
    if not group:
        return '/'
    found = by_inode.get(group) or by_inode.get(group & 0xffffffff)
    for tid in () if found else tids:
        text = procfs.read_text('/proc/%d/cgroup' % tid)
        found = found or cgroups.parse(text)
    return found


def by_path(accounts, folder=None):
    """Return {path of a control group: sums of its commands}. accounts: Accounts; folder: the hierarchy, None: that which counts."""
    sums, tids = accounts.groups()
    by_inode, found = paths(folder or cgroups.cpu_root()), {}
    for group, row in sums.items():
        path = path_of(group, by_inode, sorted(tids[group])) or '(ended)'
        entry = found.setdefault(path, dict.fromkeys(row, 0))
        for name in row:
            entry[name] = max(entry[name], row[name]) if name == 'longest_ns' else entry[name] + row[name]
    return found


def share_of_waits(throttled, sums):
    """Set 'share_of_waits' of groups whose quota ran out: how much of their tasks' waits that can have been.

    throttled: of quota.throttled(), changed in place; sums: of by_path().
    """
    for path, row in throttled.items():
        waited_ns = sum(entry['wait_ns'] for name, entry in sums.items() if name == path or name.startswith(path + '/'))
        row['share_of_waits'] = min(1.0, row['total_us'] * 1e3 / waited_ns) if waited_ns else 0.0


def services(sums, events, throttled, virtual, top, interrupts=0.0):
    """Return the rows of 'services', most time lost first.

    sums: of by_path(); events: the reported waits, with 'cgroup' and 'cause'; throttled: as of share_of_waits();
    virtual: whether a hypervisor can take CPUs; interrupts: share of the CPUs' busy time that interrupts took.
    """
    found = {}
    for path, row in sums.items():
        limit = quota.above(path, throttled)
        idle_ns = min(row['idle_wait_ns'], row['wait_ns'])
        throttled_ns = max(idle_ns, int(row['wait_ns'] * limit['share_of_waits'])) if limit else 0
        taken_ns = 0 if limit or not virtual else idle_ns
        found[path] = {'cgroup': path[:300], 'unit': cgroups.unit(path), 'running_ns': row['ran_ns'],
                       'run_queue_ns': row['wait_ns'] - throttled_ns - taken_ns, 'throttled_ns': throttled_ns,
                       'interrupted_ns': int(row['ran_ns'] * min(1.0, interrupts)), 'steal_ns': row['paused_ns'] + taken_ns,
                       'waits': row['waits'], 'longest_wait_ns': row['longest_ns'], 'worst': []}
    for event in events:
        entry = found.get(event['cgroup'])
        if entry is not None and len(entry['worst']) < _WORST:
            by = event['longest_runner']
            entry['worst'].append({'at_s': event['at_s'], 'delay_us': event['delay_us'], 'pid': event['pid'], 'comm': event['comm'],
                                   'cause': event['cause'], 'by': by and by['comm']})
    return sorted(found.values(), key=lambda row: (-lost_ns(row), -row['running_ns']))[:top]


def wait_shares(sums, throttled, virtual):
    """Return {'throttled', 'cpu_not_running'}: their shares of the time that all tasks waited. Arguments as of services()."""
    rows = services(sums, [], throttled, virtual, len(sums))
    waited_ns = float(sum(row['wait_ns'] for row in sums.values()))
    taken_ns = sum(min(row['idle_wait_ns'], row['wait_ns']) for path, row in sums.items() if virtual and not quota.above(path, throttled))
    found = {'throttled': sum(row['throttled_ns'] for row in rows), 'cpu_not_running': taken_ns}
    return dict((name, round(min(1.0, ns / waited_ns), 4) if waited_ns else 0.0) for name, ns in found.items())


def lost_ns(row):
    """Return the nanoseconds that a service lost."""
    return row['run_queue_ns'] + row['throttled_ns'] + row['interrupted_ns'] + row['steal_ns']


def group_of(tid):
    """Return the path of a task's control group in the hierarchy that counts for services; None when it has ended."""
    return cgroups.of_cpu(procfs.read_text('/proc/%d/cgroup' % tid), cgroups.cpu_root())
