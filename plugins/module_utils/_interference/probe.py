# SPDX-License-Identifier: GPL-3.0-or-later
"""What interrupted the CPUs, or one process: how often, for how long, and where."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe, Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._core.symbols import bare
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf, engine, program
from ansible_collections.ksysak.fleet.plugins.module_utils._interference import bpf, counters, cputime, rows

_EVENTS = (('irq_handler_entry', ('irq',)), ('irq_handler_exit', ('irq',)), ('softirq_entry', ('vec',)), ('softirq_exit', ('vec',)))
_TIMER_OWNERS = 5
_CAUSERS = 5


class _KernelAccounting:
    """What the kernel's own files say of the window: counters, steal, kernel threads, and the process of `pid`."""

    def __init__(self, options):
        self._pid, self._top = options['pid'], options['top']
        self.process = None

    def require_process(self):
        """Raises Unavailable when there is no process of that pid."""
        if self._pid and cputime.process(self._pid) is None:
            raise Unavailable('there is no process with pid %d' % self._pid,
                              'Give the pid of a process that runs, as the host itself numbers it.')

    # The time of all tasks is read on the outer side of that of kernel threads, which is a part of it.
    def start(self):
        self._busy_before = cputime.busy_ns()
        self._before = self._read()

    def stop(self):
        self._after = self._read()
        self._runnable = cputime.runnable(rows.grown(self._before[1], self._after[1]))
        self._busy_after = cputime.busy_ns()

    def _read(self):
        return (cputime.steal(), {} if self._pid else cputime.kernel_threads(), cputime.process(self._pid) if self._pid else None)

    def data(self, found, check, window_s, limits):
        """Return the parts 'steal', 'kernel_threads' and 'process' of the facts; found: {key: {cpu: stat}} of all vectors."""
        steal, threads, process = zip(self._before, self._after)
        listed = rows.kernel_threads(threads[0], threads[1], window_s, None)
        if check is not None and threads[1]:
            over_us = sum(row['cpu_us'] for row in listed if row['pid'] not in self._runnable)
            rows.check_busy(check, over_us, self._busy_before, self._busy_after)
        return {'steal': rows.steal(steal[0], steal[1], window_s), 'kernel_threads': listed[:self._top],
                'kernel_thread_families': rows.families(listed),
                'process': self._process(process[0], process[1], found, limits) if self._pid else None}

    def _process(self, before, after, found, limits):
        same = before and after and before['started'] == after['started']
        if not same:
            limits.append('process %d ended within the window: its own times are not known' % self._pid)
        interrupted_us = sum(stat['total_ns'] for by_cpu in found.values() for stat in by_cpu.values()) / 1e3
        took = dict((name, max(0, after[name] - before[name]) if same else None) for name in ('cpu_ns', 'wait_ns', 'timeslices'))
        return {'pid': self._pid, 'comm': (before or after or {'comm': ''})['comm'], 'interrupted_us': round(interrupted_us, 3),
                'cpu_us': round(took['cpu_ns'] / 1e3, 3) if same else None,
                'wait_us': round(took['wait_ns'] / 1e3, 3) if same else None, 'timeslices': took['timeslices']}


class BccEngine(engine.BccEngine):
    """bcc at entry and exit of each handler; what it cannot trace is counted by the kernel alone."""

    def __init__(self, options):
        super().__init__(options)
        self._accounting = _KernelAccounting(options)

    def check_options(self):
        self._accounting.require_process()

    def compile_and_attach(self):
        for event, fields in _EVENTS:
            program.require('irq:' + event, fields)
        vectors = [name for name, _unused in bpf.VECTORS if program.tracepoint_fields('irq_vectors:%s_exit' % name) is not None]
        nmi = program.tracepoint_fields('nmi:nmi_handler') is not None
        timers, starters = self._timers() if self.options['timers'] and not self.options['pid'] else ([], False)
        causes = {} if self.options['pid'] else _cause_events()
        functions_at = _functions_at()
        try:
            self._program = program.Program(bpf.text(vectors, self.options['pid'], nmi, timers, starters, causes.values(), functions_at))
        except Unavailable as error:
            if not timers and not starters:
                raise
            # The arguments of timers have had types that come and go.
            self._program = program.Program(bpf.text(vectors, self.options['pid'], nmi, causes=causes.values()))
            timers, starters = [], False
            self.degradations.append('timers were left out: %s' % error.reason)
        events = [event for event, _unused in _EVENTS] + ['nmi_handler'] * nmi
        events += ['%s_%s' % (name, edge) for name in vectors for edge in ('entry', 'exit')]
        for event in events:
            self._program.attach_raw(event, 'on_' + event)
        for event in ['%s_expire_%s' % (name, edge) for name in timers for edge in ('entry', 'exit')] + ['hrtimer_start'] * starters:
            if functions_at:
                self._program.attach_raw(event, 'on_' + event)
            else:
                self._program.attach('timer:' + event, 'on_' + event)
        self._causes = [name for name, event in causes.items() if self._attached(name, event)]
        self._has_timers = bool(timers or starters)
        self._traced_rows = set(row for name, row in bpf.VECTORS if name in vectors)
        if 'LOC' not in self._traced_rows:
            self.degradations.append('this kernel has no tracepoints for the local timer: its interrupts are counted, not timed')

    def _attached(self, name, event):
        try:
            self._program.attach_raw(event.partition(':')[2], 'on_' + event.partition(':')[2])
        except Unavailable as error:
            self.degradations.append('%s are not counted by process: %s' % (name.replace('_', ' '), error.reason))
            return False
        return True

    def _timers(self):
        """What this kernel tells of timers: ([names out of bpf.TIMER_KINDS], whether it says who starts them)."""
        found = [name for name in bpf.TIMER_KINDS
                 if set((name, 'function')) <= (program.tracepoint_fields('timer:%s_expire_entry' % name) or set())
                 and name in (program.tracepoint_fields('timer:%s_expire_exit' % name) or set())]
        missing = sorted(set(bpf.TIMER_KINDS) - set(found))
        if missing:
            self.degradations.append('this kernel does not tell the functions of %s' % ' and '.join(name + 's' for name in missing))
        return found, 'function' in (program.tracepoint_fields('timer:hrtimer_start') or set())

    # A snapshot on either side of the gate: the true count lies between their two differences.
    def start(self, duration_s):
        self._accounting.start()
        self._before_open = counters.snapshot()
        self._program.open_gate()
        self._after_open = counters.snapshot()

    def stop(self):
        self._before_close = counters.snapshot()
        self._program.close_gate()
        self._after_close = counters.snapshot()
        self._accounting.stop()

    def read(self, window_s):
        traced = self._traced()
        at_most = counters.difference(self._before_open, self._after_close)
        at_least = counters.difference(self._after_open, self._before_close)
        self.degradations.extend(_changed_cpus(self._before_open, self._after_close, 'untraced vectors are counted on the others only'))
        self._account(traced)
        names = counters.descriptions()
        whole = not self.options['pid']
        found = dict(traced)
        for key in at_most if whole else ():
            if key[0] in ('hardirq', 'softirq') or key[1] in self._traced_rows:
                traced.setdefault(key, {})
            elif key not in found:
                found[key] = rows.counted(at_most[key])
        check, grave = rows.cross_check(traced, at_least if whole else None, at_most, names, window_s)
        if grave:
            self.degradations.append('%d of %d vectors disagree with the kernel\'s own counters by more than 5 %%' % (
                grave, check['compared']))
        data = {'vectors': rows.vectors(found, len(counters.cpus(self._after_close)), names, window_s),
                'cpus': rows.shares(traced, window_s), 'timers': self._timer_rows(window_s), 'sources': self._source_rows(window_s),
                'cross_check': check}
        cpus = len(counters.cpus(self._after_close))
        rows.charge_timers(data['timers'], traced.get(('vector', 'LOC'), {}), self._expirations, cpus, window_s)
        data.update(self._accounting.data(traced, check, window_s, self.degradations))
        return data

    def _source_rows(self, window_s):
        """Return the rows of 'sources'."""
        if not self._causes:
            return []
        by_kind = {}
        for key, process in self._program.table('causes').items():
            by_kind.setdefault(key.what, []).append({'pid': key.pid, 'comm': process.comm.decode('utf-8', 'replace'),
                                                     'rate_per_s': round(process.count / window_s, 1)})
        found = []
        for index, (name, _sampled) in enumerate(bpf.CAUSES):
            count = sum(self._program.table('cause_counts')[index])
            if name in self._causes and count:
                processes = sorted(by_kind.get(index, []), key=lambda row: (-row['rate_per_s'], row['pid']))
                found.append({'kind': name, 'count': count, 'rate_per_s': round(count / window_s, 1), 'processes': processes[:_CAUSERS]})
        return found

    def _account(self, traced):
        dropped = [self._program.table('dropped')[index].value for index in range(4)]
        handled = sum(stat['count'] for by_cpu in traced.values() for stat in by_cpu.values())
        lost = self._program.missed() + dropped[bpf.DROPPED_IRQ] + dropped[bpf.DROPPED_TIMER]
        self.account_lost(lost, handled, 'interrupts', 'counts and times are too low', engine.COUNTED_SHARE)
        if dropped[bpf.DROPPED_FUNCTION]:
            self.degradations.append('%d timers were left out: too many different functions' % dropped[bpf.DROPPED_FUNCTION])
        if dropped[bpf.DROPPED_CAUSE]:
            self.degradations.append('%d events have no process: too many processes' % dropped[bpf.DROPPED_CAUSE])

    def _traced(self):
        """Return {(kind, label): {cpu: stat}}."""
        found = {}
        for key, stat in self._program.table('irqs').items():
            rows.merge(found, ('hardirq', str(key.irq)), key.cpu, stat)
        vectors = dict(enumerate(row for _unused, row in bpf.VECTORS))
        vectors[bpf.NMI] = 'NMI'
        for kind, table, labels in (('softirq', 'softirqs', dict(enumerate(bpf.SOFTIRQS))), ('vector', 'vectors', vectors)):
            for index, label in labels.items():
                for cpu, stat in enumerate(self._program.table(table)[index]):
                    rows.merge(found, (kind, label), cpu, stat)
        return found

    def _timer_rows(self, window_s):
        """Return the rows of 'timers', most time first."""
        self._expirations = 0
        if not self._has_timers:
            return []
        found = {}
        for key, by_cpu in self._program.table('timers').items():
            for cpu, stat in enumerate(by_cpu):
                rows.merge(found, (bpf.TIMER_KINDS[key.kind], self._function(key.function)), cpu, stat)
        hrtimers = (by_cpu for (kind, _function), by_cpu in found.items() if kind == 'hrtimer')
        self._expirations = sum(stat['count'] for by_cpu in hrtimers for stat in by_cpu.values())
        owners = {}
        for key, starter in self._program.table('starters').items():
            owners.setdefault(self._function(key.function), []).append(
                {'pid': key.pid, 'comm': starter.comm.decode('utf-8', 'replace'), 'started': starter.count})
        listed = []
        for (kind, function), by_cpu in found.items():
            started_by = sorted(owners.get(function, []), key=lambda owner: (-owner['started'], owner['pid'])) if kind == 'hrtimer' else []
            listed.append(dict(rows.times(by_cpu.values(), window_s), kind=kind, function=function, started_by=started_by[:_TIMER_OWNERS]))
        listed.sort(key=lambda row: (-row['total_us'], -row['count'], row['function']))
        return listed[:self.options['top']]

    def _function(self, address):
        return bare(self._program.bpf.ksym(address).decode('utf-8', 'replace'))[:128]


class ProcfsEngine(Engine):
    """The kernel's own counts."""

    NAME = 'procfs'

    def open(self):
        if self.options['pid']:
            raise Unavailable('without eBPF the kernel does not report which task an interrupt hit',
                              'Install bcc on the host, or measure without pid.')
        try:
            counters.snapshot()
        except (OSError, ValueError) as error:
            raise Unavailable('the kernel\'s interrupt counters cannot be read: %s' % error, 'Mount /proc on the host.')
        self._accounting = _KernelAccounting(self.options)
        self.degradations.append('no durations: only counts')

    def start(self, duration_s):
        self._accounting.start()
        self._before = counters.snapshot()

    def stop(self):
        self._after = counters.snapshot()
        self._accounting.stop()

    def read(self, window_s):
        self.degradations.extend(_changed_cpus(self._before, self._after, 'interrupts are counted on the others only'))
        found = dict((key, rows.counted(by_cpu)) for key, by_cpu in counters.difference(self._before, self._after).items())
        data = {'vectors': rows.vectors(found, len(counters.cpus(self._after)), counters.descriptions(), window_s),
                'cpus': [], 'timers': [], 'sources': [], 'cross_check': None}
        data.update(self._accounting.data({}, None, window_s, self.degradations))
        return data


def _functions_at():
    """Return {kind of timer: where it has its function, in bytes}; None where the kernel does not report it."""
    found = dict((kind, btf.offsets(name, ['function'])) for kind, name in (('hrtimer', 'hrtimer'), ('timer', 'timer_list')))
    return None if None in found.values() else dict((kind, at['function']) for kind, at in found.items())


def _cause_events():
    """Return {name of a cause: the first tracepoint of it that this kernel has}."""
    found = {}
    for event, name, _when in bpf.CAUSE_EVENTS:
        if name not in found and program.tracepoint_fields(event) is not None:
            found[name] = event
    return found


def _changed_cpus(before, after, consequence):
    """Return what to say when CPUs went on- or offline between two snapshots, as a list of limits."""
    changed = sorted(counters.cpus(before) ^ counters.cpus(after))
    return ['CPU %s went on- or offline within the window: %s' % (', '.join(map(str, changed)), consequence)] if changed else []


class InterferenceProbe(Probe):
    """Hardware interrupts, softirqs, timers, inter-processor interrupts, kernel threads and steal."""

    NAME = 'interference'
    ENGINES = (BccEngine, ProcfsEngine)
    BUDGET_BYTES = 8 * 1024
    OPTIONS = {
        'pid': {'type': 'int', 'default': 0},
        'timers': {'type': 'bool', 'default': True},
        'top': {'type': 'int', 'default': 20},
    }
    BOUNDS = {'pid': (0, 2 ** 22), 'top': (1, 1000)}
