# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine without eBPF: tasks in state D, by samples of /proc: what lasts longer than the time between two."""

import os
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked import memory, reasons, rows
from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.who import Who
from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine

_LOOK_S, _LOOK_SHARE = 0.05, 0.02


def parse_stack(text):
    """Return the names of /proc/PID/stack, innermost first: '[<0>] f+0x1/0x2 [ext4]' gives 'f+0x1 [ext4]'."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) > 1 and words[0].startswith('[<'):
            found.append(' '.join([words[1].partition('/')[0]] + words[2:3])[:300])
    return found


class _Blocked:
    """A task that was in state D at the last look: since when, and with which sleep."""

    def __init__(self, since_ns, switches, stack, task):
        self.since_ns, self.switches, self.stack, self.task = since_ns, switches, stack, task


class ProcfsEngine(Engine):
    """Looks at the state of all tasks, as often as it may, and reads the stacks of those in state D where the kernel allows that."""

    NAME = 'procfs'

    def open(self):
        self._who = Who()
        self._root = '/proc'
        self._threshold_ns = self.options['threshold_ms'] * 10 ** 6
        self._blocked, self._looks, self._pause_s = {}, 0, _LOOK_S
        self.degradations.append('waits are looked for every %d ms or less often: shorter ones, interruptible ones, holders and devices '
                                 'are not seen' % (_LOOK_S * 1000))
        if not procfs.read_text('/proc/self/stack') and not os.access('/proc/self/stack', os.R_OK):
            self.degradations.append('this kernel lets no stack of a task be read: one function is known of each wait, or none')

    def start(self, duration_s):
        self._memory_before = memory.snapshot()
        self._waits = rows.Waits(_now_ns())
        self._looked_ns = _now_ns()

    def poll(self, timeout_s):
        end_s = time.monotonic() + timeout_s
        while True:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return
            wanted_s = self._looked_ns / 1e9 + self._pause_s - time.monotonic()
            time.sleep(min(left_s, max(0.001, wanted_s)))
            if wanted_s <= left_s:
                self._look()

    def _look(self):
        now_ns, spent_s = _now_ns(), time.process_time()
        weight_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        self._looks += 1
        before, self._blocked = self._blocked, {}
        for pid in procfs.numbers(self._root):
            for tid in procfs.numbers('%s/%d/task' % (self._root, pid)):
                self._look_at(pid, tid, before, now_ns, weight_ns)
        for blocked in before.values():
            self._ended(blocked, now_ns - weight_ns)
        self._pause_s = max(_LOOK_S, (time.process_time() - spent_s) / _LOOK_SHARE)

    def _look_at(self, pid, tid, before, now_ns, weight_ns):
        folder = '%s/%d/task/%d/' % (self._root, pid, tid)
        comm, columns = procfs.parse_stat(procfs.read_text(folder + 'stat'))
        is_thread = procfs.is_kernel_thread(columns)
        if is_thread is None or columns[0] != 'D':
            return
        switches = procfs.parse_fields(procfs.read_text(folder + 'status')).get('voluntary_ctxt_switches')
        known = before.get(tid)
        if known is not None and known.switches == switches:
            self._blocked[tid] = before.pop(tid)
        else:
            # The pause before this look may have been blocked time too: it is left out.
            task = self._who.task(pid, tid, comm, is_thread)
            self._blocked[tid] = _Blocked(now_ns, switches, _stack(folder), task)
        blocked = self._blocked[tid]
        reason = _reason(blocked)
        if reason is not None:
            self._waits.sample(blocked.task, reason, None, weight_ns)

    def _ended(self, blocked, seen_ns, ongoing=False):
        reason = _reason(blocked)
        if reason is not None and seen_ns - blocked.since_ns >= self._threshold_ns:
            self._waits.add(rows.Wait(blocked.task, reason, seen_ns, seen_ns - blocked.since_ns, blocked.stack, ongoing=ongoing))

    def stop(self):
        self._memory_after = memory.snapshot()
        for blocked in self._blocked.values():
            self._ended(blocked, self._looked_ns, ongoing=True)

    def read(self, window_s):
        data = {'threshold_us': self._threshold_ns / 1e3, 'count': self._waits.count, 'expected': self._waits.expected,
                'sampling': {'samples': self._looks, 'interval_us': round(self._pause_s * 1e6, 1)}}
        data['memory'] = memory.compare(self._memory_before, self._memory_after, window_s)
        data.update(self._waits.facts(self.options['top']))
        return data


def _stack(folder):
    found = parse_stack(procfs.read_text(folder + 'stack'))
    wchan = procfs.read_text(folder + 'wchan').strip()
    return found or ([wchan] if wchan not in ('', '0') else [])


def _reason(blocked):
    return reasons.reason(blocked.stack, '', True, blocked.task.is_kernel_thread)


def _now_ns():
    return int(time.monotonic() * 1e9)
