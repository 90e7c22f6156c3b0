# SPDX-License-Identifier: GPL-3.0-or-later
"""From waits of tasks to facts: causes, worst waits with holder and chain, services. Pure but for the readers of /proc it is given."""

import heapq

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked import reasons

_KEPT = 512  # longest waits of which all is kept
_CHAIN = 5
_VICTIMS, _HOLDERS, _FRAMES, _KINDS_OF_SERVICE = 3, 3, 10, 6
_DEVICES, _KINDS_OF_DEVICE = 10, 4
# A wait of these ends when another task lets go, or has done what was asked of it: who wakes the sleeper is to be named.
_ENDED_BY_A_TASK = frozenset((
    'mmap_lock', 'rmap_lock', 'inode_lock', 'cgroup_lock', 'rtnl', 'pipe_lock', 'file_position', 'rwsem', 'mutex', 'lock', 'journal',
    'fuse', 'workqueue', 'page_lock', 'kthread', 'cpu_hotplug', 'file_lock', 'child', 'fs_frozen', 'migration', 'userfault', 'exit',
    'helper', 'other'))


class Task:
    """pid: of the process; tid; comm; cgroup, unit, cpu_cgroup: str or None; is_kernel_thread."""

    def __init__(self, pid, tid, comm, cgroup=None, unit=None, is_kernel_thread=False, cpu_cgroup=None):
        self.pid, self.tid, self.comm, self.cgroup, self.unit, self.is_kernel_thread = pid, tid, comm, cgroup, unit, is_kernel_thread
        self.cpu_cgroup = cpu_cgroup

    def facts(self):
        """Return {pid, tid, comm, cgroup, unit}."""
        return {'pid': self.pid, 'tid': self.tid, 'comm': self.comm, 'cgroup': self.cgroup, 'unit': self.unit}


class Wait:
    """One wait: task: Task; reason: Reason; ended_ns, slept_ns; stack: names; owner, waker: Task or None; waker_stack: names, innermost
    first, from where the lock was given up; device: str or None; state: 'D' or 'S'; ongoing: it had not ended with the window."""

    def __init__(self, task, reason, ended_ns, slept_ns, stack=(), owner=None, waker=None, waker_stack=(), device=None, state='D',
                 ongoing=False):
        self.task, self.reason, self.ended_ns, self.slept_ns, self.stack = task, reason, ended_ns, slept_ns, list(stack)
        self.owner, self.waker, self.waker_stack, self.device = owner, waker, list(waker_stack), device
        self.state, self.ongoing = state, ongoing

    @property
    def began_ns(self):
        """When it began, in the clock of ended_ns."""
        return self.ended_ns - self.slept_ns

    def holder(self):
        """Return (Task, 'owner' or 'waker') of who kept this task; (None, None) where the kernel does not tell."""
        if self.owner is not None and self.owner.tid != self.task.tid:
            return self.owner, 'owner'
        if self.waker is not None and self.reason.kind in _ENDED_BY_A_TASK and self.waker.tid != self.task.tid:
            return self.waker, 'waker'
        return None, None

    def overlap_ns(self, other):
        """Return for how long both lasted."""
        return min(self.ended_ns, other.ended_ns) - max(self.began_ns, other.began_ns)


class Waits:
    """All waits of a window. begin_ns, end_ns (when it is known): of the window; what of a wait lies outside is part of its length, but of
    no sum."""

    def __init__(self, begin_ns):
        self.begin_ns, self.end_ns = begin_ns, None
        self.count = self.expected = 0
        self._longest = []
        self._causes, self._services = {}, {}
        self._serial = 0

    def add(self, wait):
        """Take a wait that is at least as long as the threshold."""
        self._serial += 1
        row = (not wait.reason.expected and not wait.task.is_kernel_thread, wait.slept_ns, self._serial, wait)
        if len(self._longest) < _KEPT:
            heapq.heappush(self._longest, row)
        else:
            heapq.heappushpop(self._longest, row)
        within_ns = self._within_ns(wait)
        if wait.reason.expected:
            self.expected += 1
            return
        self.count += 1
        if not wait.task.is_kernel_thread:
            self._add_to_cause(wait, within_ns)
            service = self._service(wait.task)
            service['waits'] += 1
            service['longest_ns'] = max(service['longest_ns'], wait.slept_ns)
            if wait.state == 'S':  # looks weigh uninterruptible sleep alone
                self.sample(wait.task, wait.reason, wait.device, within_ns)

    def _within_ns(self, wait):
        """For how long a wait lasted within the window."""
        ended_ns = wait.ended_ns if self.end_ns is None else min(wait.ended_ns, self.end_ns)
        return max(0, ended_ns - max(self.begin_ns, wait.began_ns))

    def sample(self, task, reason, device, weight_ns):
        """Take a look at a task that is blocked, which stands for weight_ns of its time."""
        if reason.expected or task.is_kernel_thread:
            return
        service = self._service(task)
        service['blocked_ns'] += weight_ns
        service['kinds'][reason.kind] = service['kinds'].get(reason.kind, 0) + weight_ns
        cause = self._cause(reason, device)
        cause['sampled_ns'] += weight_ns
        victim = _victim(cause, task)
        victim['sampled_ns'] += weight_ns
        if reason.call:
            cause['calls'][reason.call] = cause['calls'].get(reason.call, 0) + weight_ns

    def _service(self, task):
        service = self._services.setdefault(task.cgroup, {'cgroup': task.cgroup, 'cpu_cgroup': task.cpu_cgroup, 'unit': task.unit,
                                                          'comms': {}, 'waits': 0, 'longest_ns': 0, 'blocked_ns': 0, 'kinds': {}})
        service['comms'][task.comm] = service['comms'].get(task.comm, 0) + 1
        return service

    def _cause(self, reason, device):
        device = device if reason.kind in reasons.OF_DEVICES else None
        return self._causes.setdefault((reason.kind, reason.words, device), {
            'kind': reason.kind, 'words': reason.words, 'device': device, 'count': 0, 'total_ns': 0, 'longest_ns': 0, 'sampled_ns': 0,
            'function': reason.function, 'calls': {}, 'victims': {}, 'holders': {}, 'behind': {}})

    def _add_to_cause(self, wait, within_ns):
        cause = self._cause(wait.reason, wait.device)
        cause['count'] += 1
        cause['total_ns'] += within_ns
        if wait.slept_ns > cause['longest_ns']:
            cause['longest_ns'], cause['function'] = wait.slept_ns, wait.reason.function
        if wait.reason.call:
            cause['calls'][wait.reason.call] = cause['calls'].get(wait.reason.call, 0) + within_ns
        victim = _victim(cause, wait.task)
        victim['count'] += 1
        victim['total_ns'] += within_ns
        victim['longest_ns'] = max(victim['longest_ns'], wait.slept_ns)
        task, known_by = wait.holder()
        if task is not None:
            holder = cause['holders'].setdefault(task.pid, {'task': task, 'by': known_by, 'total_ns': 0, 'count': 0, 'doing': {}})
            holder['total_ns'] += within_ns
            holder['count'] += 1
            holder['by'] = known_by if known_by == 'owner' else holder['by']
            doing = self._doing(wait, task)
            if doing:
                holder['doing'][doing] = holder['doing'].get(doing, 0) + within_ns

    @staticmethod
    def _doing(wait, task):
        if wait.waker is None or wait.waker.pid != task.pid:
            return ''
        return doing(wait.waker_stack)

    def facts(self, top):
        """Return {'reasons', 'devices', 'waits', 'services'}, each sorted, at most `top` long."""
        longest = [row[3] for row in sorted(self._longest, key=lambda row: row[:3], reverse=True)]
        by_tid = {}
        for wait in longest:
            by_tid.setdefault(wait.task.tid, []).append(wait)
        devices = self._by_device(longest, by_tid)
        causes = sorted(self._causes.values(), key=lambda cause: -max(cause['total_ns'], cause['sampled_ns']))
        services = sorted(self._services.values(), key=lambda row: -row['blocked_ns'] - row['longest_ns'])
        return {'reasons': [_cause_facts(cause) for cause in causes[:top]],
                'devices': [_device_facts(*row) for row in devices[:_DEVICES]],
                'waits': [self._wait_facts(wait, by_tid) for wait in longest[:top]],
                'services': [_service_facts(row) for row in services[:top]]}

    def _by_device(self, longest, by_tid):
        """Return [(device, its sums)], most time first, and note in each cause behind which devices its holders waited.

        longest: the waits that are kept, by_tid: the same by thread id. A wait for a holder that itself waits for a device counts there.
        """
        found = {}
        for cause in self._causes.values():
            if cause['device'] is not None:
                row = _device(found, cause['device'])
                row['count'] += cause['count']
                row['longest_ns'] = max(row['longest_ns'], cause['longest_ns'])
                row['kinds'][cause['kind']] = row['kinds'].get(cause['kind'], 0) + max(cause['total_ns'], cause['sampled_ns'])
                row['words'][cause['words']] = max(cause['total_ns'], cause['sampled_ns'])
                for victim in cause['victims'].values():
                    _add_victim(row, victim['task'], victim['total_ns'], victim['sampled_ns'])
        for wait in longest:
            last = links(wait, by_tid)[-1:]
            if wait.reason.expected or wait.task.is_kernel_thread or not last:
                continue
            device = _device_of(last[0])
            if device is not None and device != _device_of(wait):  # its own wait for the device counts already
                within_ns, row = self._within_ns(wait), _device(found, device)
                row['behind_ns'] += within_ns
                _add_victim(row, wait.task, within_ns)
                behind = self._cause(wait.reason, wait.device)['behind']
                behind[device] = behind.get(device, 0) + within_ns
        return sorted(found.items(), key=lambda item: (-max(_sums(item[1])), item[0]))

    def _wait_facts(self, wait, by_tid):
        task, known_by = wait.holder()
        holder = None
        if task is not None:
            holder = dict(task.facts(), by=known_by, doing=self._doing(wait, task))
        device = _device_of(wait)
        return dict(wait.task.facts(), kind=wait.reason.kind, reason=wait.reason.words, function=wait.reason.function,
                    call=wait.reason.call, state=wait.state, delay_us=_us(wait.slept_ns),
                    at_s=round((wait.ended_ns - self.begin_ns) / 1e9, 4), device=device, ongoing=wait.ongoing,
                    expected=wait.reason.expected, kernel_thread=wait.task.is_kernel_thread, holder=holder,
                    chain=chain(wait, by_tid), stack=wait.stack[:_FRAMES])


def links(wait, by_tid):
    """Return [Wait]: what the holder waited for meanwhile, what that one's holder did, and so on.

    by_tid: {thread id: its waits}. A wait of the holder counts when it covers at least half of this one.
    """
    found, seen = [], set([wait.task.tid])
    while len(found) < _CHAIN:
        holder, _by = wait.holder()
        if holder is None or holder.tid in seen:
            break
        seen.add(holder.tid)
        over = [(wait.overlap_ns(other), other) for other in by_tid.get(holder.tid, ())]
        best = max(over, key=lambda row: row[0], default=(0, None))
        if best[0] * 2 < wait.slept_ns:
            break
        wait = best[1]
        found.append(wait)
    return found


def chain(wait, by_tid):
    """Return a row for each of links(): who waited, and for what."""
    return [{'pid': one.task.pid, 'tid': one.task.tid, 'comm': one.task.comm, 'kind': one.reason.kind, 'reason': one.reason.words,
             'function': one.reason.function, 'delay_us': round(one.slept_ns / 1e3, 1)} for one in links(wait, by_tid)]


def doing(stack):
    """Return what a task was doing as it let go: 'read, m_stop' of its stack (names, innermost first), '' when not known."""
    names = [reasons.bare(frame) for frame in stack]
    function = next((name for name in names if not reasons.is_waking(name)), '')
    call = reasons.call_of(names)
    return ', '.join(part for part in (call, function) if part)[:128]


def _victim(cause, task):
    return cause['victims'].setdefault(task.pid, {'task': task, 'count': 0, 'total_ns': 0, 'longest_ns': 0, 'sampled_ns': 0})


def _device_of(wait):
    return wait.device if wait.reason.kind in reasons.OF_DEVICES else None


def _device(found, name):
    return found.setdefault(name, {'count': 0, 'longest_ns': 0, 'behind_ns': 0, 'kinds': {}, 'words': {}, 'victims': {}})


def _add_victim(row, task, within_ns, sampled_ns=0):
    victim = _victim(row, task)
    victim['total_ns'] += within_ns
    victim['sampled_ns'] += sampled_ns


def _sums(row):
    """Return the time that a device's victims waited: in long waits and for those who did, and in all waits as samples estimate it."""
    return [sum(victim[name] for victim in row['victims'].values()) for name in ('total_ns', 'sampled_ns')]


def _device_facts(name, row):
    kinds = sorted(row['kinds'].items(), key=lambda kind: (-kind[1], kind[0]))[:_KINDS_OF_DEVICE]
    victims = sorted(row['victims'].items(), key=lambda item: (-max(item[1]['total_ns'], item[1]['sampled_ns']), item[0]))
    total_ns, sampled_ns = _sums(row)
    return {'device': name, 'count': row['count'], 'total_us': _us(total_ns), 'longest_us': _us(row['longest_ns']),
            'behind_us': _us(row['behind_ns']), 'sampled_us': _us(sampled_ns), 'reason': _most(row['words']),
            'tasks': sum(1 for _pid, victim in victims if victim['total_ns']),
            'sampled_tasks': sum(1 for _pid, victim in victims if victim['sampled_ns']),
            'kinds': dict((kind, _us(total_ns)) for kind, total_ns in kinds),
            'victims': [{'pid': pid, 'comm': row['task'].comm, 'total_us': _us(row['total_ns']), 'sampled_us': _us(row['sampled_ns'])}
                        for pid, row in victims[:_VICTIMS]]}


def _most(counted):
    return max(counted, key=lambda name: (counted[name], name)) if counted else ''


def _us(nanoseconds):
    return round(nanoseconds / 1e3, 1)


def _cause_facts(cause):
    victims = sorted(cause['victims'].values(), key=lambda row: -max(row['total_ns'], row['sampled_ns']))
    holders = sorted(cause['holders'].values(), key=lambda row: -row['total_ns'])
    behind = _most(cause['behind'])
    return {'kind': cause['kind'], 'reason': cause['words'], 'device': cause['device'], 'function': cause['function'],
            'behind': behind if behind and cause['behind'][behind] * 2 >= cause['total_ns'] else None,
            'call': _most(cause['calls']), 'count': cause['count'], 'total_us': _us(cause['total_ns']),
            'longest_us': _us(cause['longest_ns']), 'sampled_us': _us(cause['sampled_ns']), 'tasks': len(victims),
            'victims': [dict(row['task'].facts(), count=row['count'], total_us=_us(row['total_ns']), longest_us=_us(row['longest_ns']),
                             sampled_us=_us(row['sampled_ns'])) for row in victims[:_VICTIMS]],
            'holders': [dict(row['task'].facts(), by=row['by'], doing=_most(row['doing']), count=row['count'],
                             total_us=_us(row['total_ns'])) for row in holders[:_HOLDERS]]}


def _service_facts(row):
    kinds = sorted(row['kinds'].items(), key=lambda kind: (-kind[1], kind[0]))[:_KINDS_OF_SERVICE]
    return {'cgroup': row['cgroup'], 'cpu_cgroup': row['cpu_cgroup'], 'unit': row['unit'], 'comm': _most(row['comms']),
            'waits': row['waits'], 'longest_us': _us(row['longest_ns']), 'blocked_us': _us(row['blocked_ns']),
            'kinds': dict((kind, _us(blocked_ns)) for kind, blocked_ns in kinds)}
