# SPDX-License-Identifier: GPL-3.0-or-later
"""Run-queue latency: how long tasks that could run had to wait for a CPU."""

import itertools
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import host
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe, Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import engine, kallsyms, program, stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import counters, kernel_time, quota, stalls, targets
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import constants, text

_BLOCKERS = 16
_EVENTS = (
    ('sched_wakeup', ('pid', 'comm', 'target_cpu')),
    ('sched_wakeup_new', ('pid', 'comm', 'target_cpu')),
    ('sched_switch', ('prev_pid', 'prev_comm', 'prev_prio', 'prev_state', 'next_pid', 'next_comm', 'next_prio')),
)


class BccEngine(engine.BccEngine):
    """bcc on sched_wakeup, sched_wakeup_new and sched_switch, and on perf's software clock."""

    def __init__(self, options):
        super().__init__(options)
        self._clock = False
        self._targets = targets.Targets(options)
        self._followed = set()

    def check_options(self):
        if self._targets.by_tid:
            self._targets.require()

    def compile_and_attach(self):
        for event, fields in _EVENTS:
            program.require('sched:' + event, fields)
        self._program = program.Program(text.text(self.options, targets.MOST if self._targets.by_tid else None, text.offsets()))
        for event, _unused in _EVENTS:
            self._program.attach('sched:' + event, 'on_' + event)
        modules = kallsyms.ModuleSymbols()
        self._symbols = stacks.Symbols(self._program.bpf, modules)
        try:
            self._program.attach_clock('on_tick', stalls.tick_us(self.options))
            self._clock = True
            self._symbols.load()
            modules.forget_kernel()
            stalls.learn_resched_mask(self._program)
        except Unavailable as error:
            self.degradations.append('interrupts off and missed reschedules are not seen: %s' % error.reason)
        self._kinds = stalls.watched(self.options)
        if self.options['syscall_us']:
            try:
                unseen = kernel_time.attach(self._program, self._clock)
                if unseen:
                    self.degradations.append('long page faults are not seen: %s' % unseen)
            except Unavailable as error:
                self._kinds = stalls.KINDS[:-1]
                self.degradations.append('long system calls are not seen: %s' % error.reason)

    def start(self, duration_s):
        self._follow()
        self._before, self._cpus, self._quotas = counters.snapshot(), counters.online_cpus(), quota.snapshot()
        self._program.open_gate()
        self.opened_ns = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)
        self._found = stalls.Found(self._program, self._kinds, self._symbols, self.opened_ns)

    def _follow(self):
        """Tell the kernel the threads that are new. Returns whether there is any."""
        if not self._targets.by_tid:
            return True
        tids, table = self._targets.tids(), self._program.table('wanted')
        for tid in sorted(tids - self._followed)[:targets.MOST - len(self._followed)]:
            table[table.Key(tid)] = table.Leaf(1)
            self._followed.add(tid)
        return bool(tids)

    def poll(self, timeout_s):
        super().poll(timeout_s)
        self._follow()
        if self._clock:
            self._found.collect(constants.STALLS_KEPT // 4)

    def stop(self):
        self._program.close_gate()
        self._after = counters.snapshot()
        self._throttled = quota.throttled(self._quotas, quota.snapshot())
        if not self._follow():
            self.degradations.append('the %s %s ended within the window, or had no task' % (
                self._targets.name, self.options[self._targets.name]))
        self.degradations.extend(counters.changed_cpus(self._before, self._after))
        # The clock of a CPU that goes offline stays off when that comes back.
        unseen = (self._cpus | counters.online_cpus()) - self._program.ticking_cpus() if self._clock else ()
        if unseen:
            self.degradations.append('CPU %s was not online all through the window: its stalls are not all seen' % counters.named(unseen))
        if self._clock and counters.sample_rate_limit() < 1e6 / stalls.tick_us(self.options):
            self.degradations.append('kernel.perf_event_max_sample_rate is too low for a tick every %d us: '
                                     'stalls may be missed, or reported as cpu_not_running' % stalls.tick_us(self.options))

    def read(self, window_s):
        # While the window is open waits go on being counted: those of tasks first, so that they are never more than all.
        tasks = self._tasks()
        by_cpu = dict(enumerate(self._program.table('cpus')[0]))
        histograms = dict((wait, _histogram(by_cpu.values(), index * constants.WAIT_BUCKETS, constants.WAIT_BUCKETS))
                          for index, wait in enumerate(constants.names(constants.Wait)))
        whole = _row(by_cpu.values(), 2)
        count = whole['count']
        lost = sum(cpu.displaced for cpu in by_cpu.values()) + self._program.missed()
        self.account_lost(lost, count, 'waits', 'counts are too low')
        data = {
            'histograms': histograms, 'percentiles_us': whole['percentiles_us'], 'count': count,
            'total_us': whole['total_us'], 'max_us': whole['max_us'],
            'threshold_us': self.options['runq_us'], 'over_threshold': sum(cpu.over_threshold for cpu in by_cpu.values()),
            'events': self._longest(),
            'cpus': self._most(dict(_row([cpu], 2), cpu=number) for number, cpu in by_cpu.items() if cpu.total_ns),
            'tasks': self._most(tasks), 'waits_unattributed': max(0, count - sum(task['count'] for task in tasks)),
            'throttled': sorted(self._throttled.values(), key=lambda row: -row['total_us'])[:self.options['top']],
            'followed': {'by': self._targets.name, 'tasks': len(self._followed)} if self._targets.name else None,
        }
        data.update(counters.compare(self._before, self._after, window_s))
        if self._clock:
            self._found.collect()
            stolen_us = counters.growth(self._before['stolen_us'], self._after['stolen_us'])
            data['stalls'] = self._found.longest(self.options['top'], host.virtualization() != 'none', stolen_us)
            data['stall_counts'] = self._found.counts
            if self._found.overwritten:
                self.degradations.append('%d stalls came too fast to be collected' % self._found.overwritten)
            data['stall_period_us'] = stalls.period_us(self.options)
        return data

    def _most(self, rows):
        """Return those rows that have waited most."""
        return sorted(rows, key=lambda row: -row['total_us'])[:self.options['top']]

    def _tasks(self):
        """Return a row of each task whose waits are known."""
        places, parts = self._program.table('tasks'), {}
        for index in range(constants.TASKS):
            for part in places[index]:
                if part.tid:
                    parts.setdefault(part.tid, []).append(part)
        return [dict(_row(found, 1), pid=tid, comm=found[0].comm.decode('utf-8', 'replace')) for tid, found in parts.items()]

    def _longest(self):
        waits = [wait for kept in self._program.table('worst')[0] for wait in kept.waits if wait.delay_ns]
        waits.sort(key=lambda wait: -wait.delay_ns)
        return [self._event(wait) for wait in waits[:self.options['top']]]

    def _event(self, wait):
        event = {'kind': 'runq', 'wait': constants.Wait(wait.wait).name.lower(), 'delay_us': round(wait.delay_ns / 1e3, 3), 'cpu': wait.cpu,
                 'from_cpu': wait.from_cpu, 'queue_length': wait.queued if wait.queued >= 0 else None, 'pid': wait.tid,
                 'comm': wait.comm.decode('utf-8', 'replace'), 'prio': wait.prio, 'policy': policy(wait.prio),
                 'throttled': quota.of_task(wait.tid, self._throttled),
                 'at_s': round((wait.ended_ns - self.opened_ns) / 1e9, 6)}
        return dict(event, **who_ran(wait))


class ProcfsEngine(Engine):
    """The scheduler's and PSI's own sums: how much waiting there was, but neither who waited nor how long at most."""

    NAME = 'procfs'

    def open(self):
        if targets.Targets(self.options).name:
            raise Unavailable('only bcc can follow single tasks', 'See why bcc is not available, or leave out pid, tid, cgroup and comm.')
        kept = counters.snapshot()
        if kept['run_delay'] is None and kept['pressure_us'] is None:
            raise Unavailable('this kernel keeps neither /proc/schedstat nor /proc/pressure/cpu',
                              'Boot a kernel with CONFIG_SCHEDSTATS, or with CONFIG_PSI and psi=1.')
        self.degradations.append('no histogram and no events: only sums over the window')

    def start(self, duration_s):
        self._before = counters.snapshot()

    def stop(self):
        self._after = counters.snapshot()
        self.degradations.extend(counters.changed_cpus(self._before, self._after))

    def read(self, window_s):
        data = {'histograms': {}, 'percentiles_us': {}, 'count': 0, 'total_us': 0.0, 'max_us': 0.0,
                'threshold_us': self.options['runq_us'], 'over_threshold': 0, 'events': [], 'cpus': [], 'tasks': [],
                'waits_unattributed': 0, 'throttled': [], 'followed': None}
        data.update(counters.compare(self._before, self._after, window_s))
        return data


class RunlatencyProbe(Probe):
    """Wake-up, or preemption, to running."""

    NAME = 'runlatency'
    ENGINES = (BccEngine, ProcfsEngine)
    BUDGET_BYTES = 14 * 1024
    OPTIONS = {
        'runq_us': {'type': 'int', 'default': 1000},
        'irqoff_us': {'type': 'int', 'default': 10000},
        'nosched_us': {'type': 'int', 'default': 10000},
        'syscall_us': {'type': 'int', 'default': None},
        'top': {'type': 'int', 'default': 20},
        'pid': {'type': 'int', 'default': None},
        'tid': {'type': 'int', 'default': None},
        'cgroup': {'type': 'str', 'default': None},
        'comm': {'type': 'str', 'default': None},
    }
    BOUNDS = {'runq_us': (1, 10 ** 9), 'irqoff_us': (500, 10 ** 7), 'nosched_us': (500, 10 ** 7), 'syscall_us': (500, 10 ** 7),
              'top': (1, 1000)}

    def __init__(self, options):
        super().__init__(options)
        targets.check(options)


def _histogram(parts, first, buckets):
    """Return {lower bound in microseconds, as str: count} of these buckets of all parts together."""
    found = {}
    for bucket in range(buckets):
        waits = sum(part.histogram[first + bucket] for part in parts)
        if waits:
            # bpf_log2l(1) is 1, so bucket b holds 2^(b-1) to 2^b microseconds, and bucket 0 what is shorter.
            found[str(2 ** (bucket - 1) if bucket else 0)] = waits
    return found


def _row(parts, kinds):
    """Return what is told of the waits of one CPU or task, from its parts; kinds: how many histograms each part has."""
    parts = list(parts)
    histogram = {}
    for kind in range(kinds):
        buckets = len(parts[0].histogram) // kinds
        for bound, waits in _histogram(parts, kind * buckets, buckets).items():
            histogram[bound] = histogram.get(bound, 0) + waits
    max_us = max(part.longest_ns for part in parts) / 1e3
    return {'count': sum(histogram.values()), 'total_us': round(sum(part.total_ns for part in parts) / 1e3, 1),
            'max_us': round(max_us, 3), 'percentiles_us': percentiles(histogram, max_us), 'histogram': histogram}


def policy(prio):
    """Return the scheduling class that a kernel priority belongs to (include/linux/sched/prio.h)."""
    return 'deadline' if prio < 0 else 'realtime' if prio < 100 else 'normal' if prio < 140 else 'idle'


def who_ran(wait):
    """Return {'longest_runner', 'blockers', 'idle_us', 'unattributed_us'} of an event, by the timeslices that are kept of the CPU.

    wait: struct wait_t of the BPF text. Who ran longest is known when nobody can have run for longer in the timeslices that are not kept.
    """
    began_ns = wait.ended_ns - wait.delay_ns
    ran_ns, last = {}, {}
    for timeslice in itertools.chain(wait.short_slices.slices, wait.long_slices.slices):
        overlap_ns = min(timeslice.ended_ns, wait.ended_ns) - max(timeslice.ended_ns - timeslice.ran_ns, began_ns)
        if timeslice.ended_ns and overlap_ns > 0:
            ran_ns[timeslice.tid] = ran_ns.get(timeslice.tid, 0) + overlap_ns
            last[timeslice.tid] = timeslice
    unattributed_ns = max(0, wait.delay_ns - sum(ran_ns.values()))
    idle_ns = ran_ns.pop(0, 0)
    tids = sorted(ran_ns, key=lambda tid: -ran_ns[tid])[:_BLOCKERS]
    blockers = [{'pid': tid, 'comm': last[tid].comm.decode('utf-8', 'replace'), 'prio': last[tid].prio, 'policy': policy(last[tid].prio),
                 'ran_us': round(ran_ns[tid] / 1e3, 3)} for tid in tids]
    return {'longest_runner': blockers[0] if tids and ran_ns[tids[0]] >= max(idle_ns, unattributed_ns) else None, 'blockers': blockers,
            'idle_us': round(idle_ns / 1e3, 3), 'unattributed_us': round(unattributed_ns / 1e3, 3)}


def percentiles(histogram, max_us):
    """Return {'p50', 'p90', 'p99', 'p999'} in microseconds; empty for an empty histogram.

    histogram: {lower bound in us as str: count}, log2; a percentile is the upper bound of
    the bucket that holds it, but never above max_us.
    """
    count = sum(histogram.values())
    found = {}
    for name, share in (('p50', 0.5), ('p90', 0.9), ('p99', 0.99), ('p999', 0.999)):
        seen = 0
        for bound in sorted(histogram, key=int):
            seen += histogram[bound]
            if seen >= share * count:
                found[name] = round(min(float(2 * int(bound) or 1), max_us), 3)
                break
    return found
