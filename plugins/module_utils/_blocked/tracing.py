# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine with bcc: wake-ups of tasks that slept too long, locks, block requests, and samples of all tasks."""

import os
import struct
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked import memory, reasons, rows
from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.bpf import constants, text
from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.who import Who
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf_types, engine, kallsyms, program, stacks, typed

_LONGEST_JIFFY_NS = 10 ** 7
_TICK_RATES = (100, 250, 300, 1000, 24, 32, 48, 64, 128, 200, 256, 500, 512, 1024)  # CONFIG_HZ, the usual ones first
_CALIBRATE_S, _SLEEP_S, _RECALIBRATE_S = 0.15, 0.001, 30.0
# Looks at all tasks take a fiftieth of one CPU at most.
_LOOK_S, _LEAST_LOOK_S, _LOOK_SHARE = 0.02, 0.005, 0.02
_SAME_NS = 10 ** 6  # the begin of a wait, as two looks tell it, differs by less
_LINGER_S = 2.0
_SLEEPERS_NS = 10 * 10 ** 9
_LAST_LOOKS = 8
_CACHED = 4096
_CALL = 0xe8
_TOP = (1 << 64) - 1
_RECENT_NS = 10 ** 9  # a request that was sent that long before a wait is not what it waits for


def ticks_per_second(samples):
    """Return (CONFIG_HZ, is it certain) of [(nanoseconds, jiffies)] in their order."""
    spent_ns, jiffies = samples[-1][0] - samples[0][0], samples[-1][1] - samples[0][1]
    rate = jiffies * 1e9 / max(spent_ns, 1)
    return min(_TICK_RATES, key=lambda known: (abs(rate / known - 1), _TICK_RATES.index(known)))


def clock(samples):
    """Return (ns of a jiffy, offset of jiffies, offset of CLOCK_MONOTONIC), as struct clock_t has them.

    samples: [(CLOCK_MONOTONIC, jiffies, scheduler's clock at the wake-up a moment before)], in their order. The least of each distance
    is the one that was delayed least.
    """
    jiffy_ns = 10 ** 9 // ticks_per_second(samples)
    offset_ns = max(queued - now for now, _jiffies, queued in samples)
    return jiffy_ns, min(now - jiffies * jiffy_ns for now, jiffies, _queued in samples) + offset_ns, offset_ns


def called_by(code, address):
    """Return the address of the function that the call before return address `address` names; None: no direct call.

    code: the 8 bytes before the address, as a number.
    """
    code = struct.pack('<Q', code)
    return (address + struct.unpack('<i', code[4:])[0]) & _TOP if bytearray(code)[3] == _CALL else None


class BccEngine(engine.BccEngine):
    """Typed tracepoints of bcc. Each wait's stack is taken when it is over, each look's at once."""

    def __init__(self, options):
        super().__init__(options)
        self._threshold_ns = options['threshold_ms'] * 10 ** 6
        self._typed = None
        self._known, self._ended, self._sleepers = {}, {}, {}
        self._passes = self._times_attached = 0
        self._waking = None
        # A wait of the threshold is seen by a look, and wake-ups are followed before it ends.
        self._least_pause_s = min(_LOOK_S, max(_LEAST_LOOK_S, self._threshold_ns / 2.5e9))
        self._suspect_ns = int(min(self._threshold_ns * 0.3, 1e9))

    def compile_and_attach(self):
        types = btf_types.load()
        needed, of_locks = text.offsets(types)
        if program.tracepoint_fields('lock:contention_begin') is None:
            of_locks = None
            self.degradations.append('holders of locks are known by who wakes the sleeper: this kernel has no tracepoint '
                                     'lock:contention_begin (since 5.19)')
        elif of_locks is None:
            self.degradations.append('holders of locks are known by who wakes the sleeper: this kernel keeps no owner in its locks')
        has_device = 'dev' in (program.tracepoint_fields('block:block_bio_queue') or ())
        self._program = program.Program(text.text(self._threshold_ns, _LONGEST_JIFFY_NS, os.getpid(), needed, of_locks, has_device))
        self._typed = typed.Typed(self._program, types)
        self._calibrate()
        self._typed.detach(self._typed.attach('sched_waking', 'on_sched_waking'))  # does the kernel accept it?
        self._iterator = self._typed.iterator('on_task')
        if of_locks:
            self._program.attach_raw('contention_begin', 'on_contention_begin')
            self._program.attach_raw('contention_end', 'on_contention_end')
        if has_device:
            self._program.attach('block:block_bio_queue', 'on_block_bio_queue')
        modules = kallsyms.ModuleSymbols()
        self._symbols = stacks.Symbols(self._program.bpf, modules)
        self._symbols.load()
        modules.forget_kernel()
        if modules.hidden:
            raise Unavailable('the kernel hides its symbols', 'Set kernel.kptr_restrict to 1 or 0.')
        self._who = Who()
        self._waits = rows.Waits(0)
        self._look_at_sleepers()

    def _calibrate(self):
        """Measure how far the scheduler's clock is from the others. Raises Unavailable."""
        count, table = self._program.table('calibrated'), self._program.table('calibrations')
        count[count.Key(0)] = count.Leaf(0)
        attached = self._typed.attach('sched_switch', 'on_calibrate')
        end_s = time.monotonic() + _CALIBRATE_S
        while time.monotonic() < end_s:
            time.sleep(_SLEEP_S)
        self._typed.detach(attached)
        samples = [(row.now_ns, row.jiffies, row.queued_ns) for row in (table[index] for index in range(count[0].value))]
        if len(samples) < 2 or samples[-1][1] == samples[0][1]:
            raise Unavailable('the scheduler does not report when this process wakes',
                              'Run the scan in the PID namespace of the host, on a kernel with CONFIG_SCHED_INFO.')
        self._set('clocks', [number & _TOP for number in clock(samples)])
        self._calibrated_s = time.monotonic()

    def _set(self, name, numbers):
        table = self._program.table(name)
        table[table.Key(0)] = table.Leaf(*numbers)

    def start(self, duration_s):
        self._memory_before = memory.snapshot()
        self._program.open_gate()
        self._waits = rows.Waits(_now_ns())
        self._looked_s, self._pause_s, self._blocked = time.monotonic(), self._least_pause_s, {}

    def poll(self, timeout_s):
        end_s = time.monotonic() + timeout_s
        while True:
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(min(left_s, max(0.001, self._looked_s + self._pause_s - time.monotonic())))
            if time.monotonic() >= self._looked_s + self._pause_s:
                self._sample()
            if time.monotonic() - self._calibrated_s > _RECALIBRATE_S:
                self._calibrate()

    def _look(self, least_ns, most_ns):
        """Let the iterator see all tasks; returns (the samples that it kept, how many it would have kept).

        least_ns, most_ns: what an interruptible sleep must have lasted to be in the sample.
        """
        self._set('look', (least_ns, most_ns, 0, 0))
        self._typed.run(self._iterator)
        seen, table = self._program.table('look')[0], self._program.table('samples')
        return [table[index] for index in range(min(seen.kept, constants.SAMPLES))], seen.wanted

    def _sample(self):
        began_s, before_s, spent_s = time.monotonic(), self._looked_s, time.process_time()
        # Each interruptible sleep is in one or two samples as it becomes long.
        found, wanted = self._look(self._suspect_ns, self._suspect_ns + int(2e9 * max(self._pause_s, began_s - before_s)))
        self._looked_s = began_s
        self._passes += 1
        weight_ns = int((began_s - before_s) * 1e9 * max(1.0, wanted / max(1, len(found))))
        if self._waking is not None:
            self._collect()
        before, self._blocked = self._blocked, {}
        for row in found:
            reason = self._described(row)[1]
            if reason is None or self._is_ours(row.tid):
                continue
            if row.state & constants.TASK_UNINTERRUPTIBLE:
                self._waits.sample(self._task(row), reason, self._device(row), weight_ns)
            if row.slept_ns >= self._suspect_ns:
                wait = self._blocked[row.tid] = self._wait(row, reason)
                known = before.get(row.tid)
                if known is not None and abs(known.began_ns - wait.began_ns) < _SAME_NS:
                    del before[row.tid]
                if wait.state == 'S' and not reason.expected:
                    self._sleepers[row.tid] = wait
        self._add_unseen(wait for wait in before.values() if wait.state == 'D')
        # Looks leave an interruptible sleep out when it has become long: wake-ups are followed until its own one, or for some time.
        self._sleepers = dict((tid, wait) for tid, wait in self._sleepers.items() if self._ended.get(tid, 0) < wait.ended_ns
                              and _now_ns() - wait.ended_ns < _SLEEPERS_NS)
        self._pause_s = max(self._least_pause_s, (time.process_time() - spent_s) / _LOOK_SHARE)
        self._follow_wakeups()

    def _add_unseen(self, waits):
        """Take those waits that ended before wake-ups were followed: they lasted at least until the last sample of them."""
        for wait in waits:
            if self._ended.get(wait.task.tid, 0) < wait.ended_ns and wait.slept_ns >= self._threshold_ns:
                self._waits.add(wait)

    def _follow_wakeups(self):
        """Attach to each wake-up while tasks are blocked, and where looks come too rarely to tell."""
        late = self._suspect_ns + self._pause_s * 1e9 > self._threshold_ns
        if self._sleepers or any(not wait.reason.expected for wait in self._blocked.values()) or late:
            self._needed_s = self._looked_s
            if self._waking is None:
                self._waking = self._typed.attach('sched_waking', 'on_sched_waking')
                self._times_attached += 1
        elif self._waking is not None and self._looked_s - self._needed_s > _LINGER_S:
            self._detach()

    def _detach(self):
        if self._waking is not None:
            self._typed.detach(self._waking)
            self._waking = None

    def _look_at_sleepers(self):
        """Learn the places of ordinary sleep; return those tasks that are blocked now, as [(row of the map, Reason)]."""
        for _unused in range(_LAST_LOOKS):
            found, wanted = self._look(self._threshold_ns, _TOP)
            described = [(row, self._described(row)[1]) for row in found]
            if wanted <= len(found) or all(reason is not None for _row, reason in described):
                break
        self._unseen = max(0, wanted - len(found))
        return [(row, reason) for row, reason in described if reason is not None]

    def stop(self):
        self._program.close_gate()
        self._waits.end_ns = _now_ns()
        self._memory_after = memory.snapshot()
        self._detach()
        self._collect()
        blocked = self._look_at_sleepers()
        for row, reason in blocked:
            if row.slept_ns >= self._threshold_ns and not self._is_ours(row.tid):
                self._waits.add(self._wait(row, reason, ongoing=True))
        still = dict((row.tid, row) for row, _reason in blocked)
        self._add_unseen(wait for wait in self._blocked.values() if wait.state == 'D' and (wait.task.tid not in still
                         or still[wait.task.tid].ended_ns - still[wait.task.tid].slept_ns > wait.began_ns + _SAME_NS))
        if self._unseen:
            self.degradations.append('%d tasks that were blocked at the end of the window were not measured' % self._unseen)

    def _collect(self):
        counts = self._program.table('counts')[0]
        table, taken = self._program.table('taken'), [int(value) for value in self._program.table('taken')[0]]
        new = [(cpu, serial) for cpu, count in enumerate(counts) for serial in range(taken[cpu], count.waits)]
        if not new:
            return
        self._symbols.refresh()
        waits, by_index = self._program.table('waits'), {}
        for cpu, serial in new:
            by_index.setdefault(serial % constants.WAITS_KEPT, []).append(cpu)
        for index, cpus in by_index.items():
            values = waits[index]
            for cpu in cpus:
                row = values[cpu]
                reason = self._described(row)[1]
                if reason is not None and not self._is_ours(row.tid):
                    self._waits.add(self._wait(row, reason))
                    self._ended[row.tid] = row.ended_ns
        leaves = table[0]
        for cpu, count in enumerate(counts):
            leaves[cpu] = count.waits
        table[table.Key(0)] = leaves

    def _described(self, row):
        """Return (names of the stack, Reason or None) of a wait; a place of ordinary sleep is not reported by the kernel again."""
        uninterruptible, is_thread = bool(row.state & constants.TASK_UNINTERRUPTIBLE), bool(row.flags & constants.PF_KTHREAD)
        key = (bytes(row.frames), row.code, uninterruptible, row.is_mmap_lock, is_thread)
        if key not in self._known:
            if len(self._known) >= _CACHED:
                self._known.clear()
            names = self._symbols.stack(row.frames)
            target = called_by(row.code, row.frames[0]) if row.frames[0] else None
            called = self._symbols.name(target) if target else ''
            self._known[key] = (names, reasons.reason(names, called, uninterruptible, is_thread, bool(row.is_mmap_lock)))
        names, reason = self._known[key]
        if reason is None and row.frames[0]:
            table = self._program.table('ordinary')
            try:
                table[table.Key(row.site)] = table.Leaf(1)
            except Exception:  # the map is full: such waits are collected, and left out here
                pass
        return names, reason

    def _task(self, row):
        return self._who.task(row.tgid, row.tid, _text(row.comm), bool(row.flags & constants.PF_KTHREAD))

    def _device(self, row):
        recent = row.ended_ns - row.slept_ns - row.device_at_ns < _RECENT_NS
        return self._who.device(row.device) if row.device and recent else None

    def _wait(self, row, reason, ongoing=False):
        owner = waker = None
        waker_names = []
        if row.owner_tid:
            owner = self._who.task(row.owner_tgid, row.owner_tid, _text(row.owner_comm))
        if row.waker_tid and row.waker_frames[0]:
            waker_names = self._symbols.stack(row.waker_frames)
            # An interrupt wakes on behalf of a device or a clock, not of the task that it interrupted.
            if not (waker_names and stacks.is_boundary(waker_names[-1])):
                waker = self._who.task(row.waker_tgid, row.waker_tid, _text(row.waker_comm))
        return rows.Wait(self._task(row), reason, row.ended_ns, row.slept_ns, self._described(row)[0], owner, waker, waker_names,
                         self._device(row), 'D' if row.state & constants.TASK_UNINTERRUPTIBLE else 'S', ongoing)

    @staticmethod
    def _is_ours(tid):
        """Does the task belong to the process group of this measurement?"""
        try:
            return os.getpgid(tid) == os.getpgrp()
        except OSError:
            return False

    def read(self, window_s):
        counts = self._program.table('counts')[0]
        lost = sum(count.lost for count in counts)
        self.account_lost(lost + self._program.missed(), self._waits.count + self._waits.expected, 'waits', 'counts are too low',
                          engine.COUNTED_SHARE)
        data = {'threshold_us': self._threshold_ns / 1e3, 'count': self._waits.count, 'expected': self._waits.expected,
                'sampling': {'samples': self._passes, 'interval_us': round(self._pause_s * 1e6, 1)}}
        data['memory'] = memory.compare(self._memory_before, self._memory_after, window_s)
        data.update(self._waits.facts(self.options['top']))
        return data

    def close(self):
        if self._typed is not None:
            self._typed.close()
        super().close()


def _now_ns():
    return int(time.monotonic() * 1e9)


def _text(comm):
    return comm.decode('utf-8', 'replace')
