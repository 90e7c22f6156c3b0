# SPDX-License-Identifier: GPL-3.0-or-later
"""Run-queue latency: how long tasks that could run had to wait for a CPU."""

import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import host
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe, Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf_types, engine, kallsyms, maps, program, stacks, typed
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import (
    attribution,
    causes,
    counters,
    kernel_time,
    quota,
    stalls,
    targets,
)
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import constants, scheduler, text

_WAITING = 3
_LONG_US = 8192  # waits from here on are counted by length in 'long_waits'


class BccEngine(engine.BccEngine):
    """bcc on sched_wakeup, sched_wakeup_new and sched_switch, and on perf's software clock."""

    def __init__(self, options):
        super().__init__(options)
        self._clock = False
        self._typed = None
        self._virtual = host.virtualization() != 'none'
        self._targets = targets.Targets(options)
        self._followed = set()

    def check_options(self):
        if self._targets.by_tid:
            self._targets.require()

    def compile_and_attach(self):
        self._follow_scheduler()
        if self._offsets['groups'] is None:
            self.degradations.append('control groups are not told apart: this kernel has no BTF')
        modules = kallsyms.ModuleSymbols()
        self._symbols = stacks.Symbols(self._program.bpf, modules)
        try:
            self._program.attach_clock('on_tick', stalls.tick_us(self.options))
            self._clock = True
            self._symbols.load()
            modules.forget_kernel()
            stalls.learn_resched_mask(self._program, bool(self._offsets['pid']))
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

    def _follow_scheduler(self):
        """Compile, and attach to the scheduler's events: by typed tracepoints where this kernel has them, else by ordinary ones."""
        try:
            types = btf_types.load()
        except Unavailable:
            types = None
        self._offsets, self._cpus_possible = text.offsets(types), counters.possible_cpus()
        if self._offsets['events'] is not None:
            try:
                self._compile()
                self._typed = typed.Typed(self._program, types)
                for event in scheduler.NAMES:
                    self._typed.attach(event, 'on_' + event)
                return
            except Unavailable:  # a kernel before 5.5
                self.close()
                self._offsets['events'] = self._typed = None
        for event in scheduler.NAMES:
            program.require('sched:' + event, scheduler.FIELDS[event])
        self._compile()
        for event in scheduler.NAMES:
            self._program.attach('sched:' + event, 'on_' + event)

    def _compile(self):
        threads = targets.MOST if self._targets.by_tid else None
        self._program = program.Program(text.text(self.options, threads, self._offsets, self._cpus_possible))

    def start(self, duration_s):
        self._follow()
        self._before, self._cpus, self._quotas = counters.snapshot(), counters.online_cpus(), quota.snapshot()
        opened = self._program.table('opened')
        self.opened_ns = _now_ns()
        opened[opened.Key(0)] = opened.Leaf(self.opened_ns)
        self._program.open_gate()
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
        self._closed_ns = _now_ns()
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
        table = self._program.table('cpus')
        by_cpu = dict((number, table[number]) for number in range(self._cpus_possible))
        kinds = constants.names(constants.Wait)
        rows = [_histogram(by_cpu.values(), index * constants.WAIT_BUCKETS, constants.WAIT_BUCKETS) for index in range(2 * len(kinds))]
        histograms = dict((wait, merged([rows[index], rows[index + len(kinds)]])) for index, wait in enumerate(kinds))
        normal = merged(rows[:len(kinds)])
        whole = _row(by_cpu.values(), 2 * len(kinds))
        count = whole['count']
        lost = sum(cpu.displaced for cpu in by_cpu.values()) + self._program.missed()
        self.account_lost(lost, count, 'waits', 'counts are too low', engine.COUNTED_SHARE)
        listed, _whole = maps.items(self._program.table('commands'), constants.COMMANDS)
        accounts = attribution.Accounts(by_cpu, listed, self.opened_ns, self._closed_ns)
        sums = causes.by_path(accounts)
        causes.share_of_waits(self._throttled, sums)
        events = self._longest(accounts)
        data = {
            'histograms': histograms, 'percentiles_us': whole['percentiles_us'], 'count': count,
            'total_us': whole['total_us'], 'max_us': whole['max_us'],
            'threshold_us': self.options['runq_us'], 'over_threshold': sum(cpu.over_threshold for cpu in by_cpu.values()),
            'events': events,
            'commands': accounts.commands(self.options['top']), 'idle_share': accounts.idle_share(),
            'services': self._services(accounts, sums, events),
            'wait_shares': causes.wait_shares(sums, self._throttled, self._virtual), 'long_waits': long_waits(normal),
            'normal': {'count': sum(normal.values()), 'percentiles_us': percentiles(normal, whole['max_us'])},
            'cpus': self._most(dict(_row([cpu], 2 * len(kinds)), cpu=number) for number, cpu in by_cpu.items() if cpu.total_ns),
            'tasks': self._most(tasks), 'waits_unattributed': max(0, count - sum(task['count'] for task in tasks)),
            'throttled': [_throttled(row, events) for row in self._most(self._throttled.values())],
            'followed': {'by': self._targets.name, 'tasks': len(self._followed)} if self._targets.name else None,
        }
        data.update(counters.compare(self._before, self._after, window_s))
        if self._clock:
            self._found.collect()
            stolen_us = counters.growth(self._before['stolen_us'], self._after['stolen_us'])
            data['stalls'] = self._found.longest(self.options['top'], self._virtual, stolen_us)
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
        return [dict(_row(found, 1), pid=tid, comm=found[0].comm.decode('utf-8', 'replace'),
                     ran_us=round(sum(part.ran_ns for part in found) / 1e3, 1)) for tid, found in parts.items()]

    def _longest(self, accounts):
        table, waits = self._program.table('worst'), []
        for index in range(self._cpus_possible * constants.WORST_WAITS):
            wait = table[index]
            if wait.delay_ns:
                waits.append(wait)
        waits.sort(key=lambda wait: -wait.delay_ns)
        return [self._event(wait, accounts) for wait in waits[:self.options['top']]]

    def _event(self, wait, accounts):
        event = {'kind': 'runq', 'wait': constants.Wait(wait.wait).name.lower(), 'delay_us': round(wait.delay_ns / 1e3, 3), 'cpu': wait.cpu,
                 'from_cpu': wait.from_cpu, 'queue_length': wait.queued if wait.queued >= 0 else None, 'pid': wait.tid,
                 'comm': wait.comm.decode('utf-8', 'replace'), 'prio': wait.prio, 'policy': causes.policy_of(wait.tid, wait.prio),
                 'cgroup': causes.group_of(wait.tid), 'throttled': quota.of_task(wait.tid, self._throttled),
                 'at_s': round((wait.ended_ns - self.opened_ns) / 1e9, 6)}
        event.update(attribution.who_ran(wait))
        online = counters.online_cpus()
        allowed = causes.allowed_cpus(wait.tid, online)
        elsewhere = accounts.idle_share(online - allowed) if allowed is not None else None
        event['cause'], pinned = causes.of_event(event, {'virtual': self._virtual, 'allowed': allowed, 'idle_elsewhere': elsewhere})
        event.update(pinned, throttled=event['throttled'] and _throttled(event['throttled']))
        return event

    def _services(self, accounts, sums, events):
        if self._offsets['groups'] is None:
            return []
        busy_s = sum(accounts.ran_total_ns().values()) / 1e9
        interrupts_s = counters.growth_s(self._before['interrupts_us'], self._after['interrupts_us'])
        return causes.services(sums, events, self._throttled, self._virtual, self.options['top'], interrupts_s / busy_s if busy_s else 0.0)

    def close(self):
        if self._typed is not None:
            self._typed.close()
        super().close()


def _now_ns():
    return int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)


def _throttled(row, events=None):
    found = dict((key, row[key]) for key in ('cgroup', 'times', 'total_us'))
    if events is not None:
        waiting = [event['comm'] for event in events if event['throttled'] and event['throttled']['cgroup'] == row['cgroup']]
        found['waiting'] = sorted(set(waiting), key=waiting.index)[:_WAITING]
    return found


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
                'waits_unattributed': 0, 'throttled': [], 'followed': None, 'commands': [], 'services': [], 'idle_share': None,
                'wait_shares': None, 'long_waits': [], 'normal': None}
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


def merged(histograms):
    """Return the sum of histograms, as in the facts."""
    found = {}
    for histogram in histograms:
        for bound, waits in histogram.items():
            found[bound] = found.get(bound, 0) + waits
    return found


def long_waits(histogram):
    """Return [{'at_least_us', 'count'}] of waits by length, from _LONG_US on; histogram: as in the facts."""
    bounds = sorted(int(bound) for bound in histogram if int(bound) >= _LONG_US)
    return [{'at_least_us': bound, 'count': sum(histogram[str(other)] for other in bounds if other >= bound)} for bound in bounds]


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
