# SPDX-License-Identifier: GPL-3.0-or-later
"""What interrupted the CPUs: how often, for how long, and where."""

from ansible_collections.ksysak.fleet.plugins.module_utils.ebpf import program
from ansible_collections.ksysak.fleet.plugins.module_utils.interference import bpf, counters
from ansible_collections.ksysak.fleet.plugins.module_utils.probe import LOST_COUNT, LOST_SHARE, Engine, Probe, Unavailable

_DISAGREEMENT_SHARE = 0.02
_DEGRADED_SHARE = 0.05
_DISAGREEMENT_COUNT = 10  # a softirq or two in ten seconds pass some kernels' tracepoints
_EVENTS = (('irq_handler_entry', ('irq',)), ('irq_handler_exit', ('irq',)), ('softirq_entry', ('vec',)), ('softirq_exit', ('vec',)))
_VECTOR_KINDS = {'LOC': 'timer', 'RES': 'ipi', 'CAL': 'ipi', 'TLB': 'ipi', 'IWI': 'ipi', 'PLT': 'ipi'}


class BccEngine(Engine):
    """bcc at entry and exit of each handler; what it cannot trace is counted by the kernel alone."""

    NAME = 'bcc'

    def __init__(self, options):
        super(BccEngine, self).__init__(options)
        self._program = None

    def open(self):
        program.prepare()
        for event, fields in _EVENTS:
            program.require('irq:' + event, fields)
        vectors = [name for name, _unused in bpf.VECTORS if program.tracepoint_fields('irq_vectors:%s_exit' % name) is not None]
        self._program = program.Program(bpf.text(vectors))
        events = [event for event, _unused in _EVENTS]
        events += ['%s_%s' % (name, edge) for name in vectors for edge in ('entry', 'exit')]
        for event in events:
            self._program.attach_raw(event, 'on_' + event)
        self._traced_rows = set(row for name, row in bpf.VECTORS if name in vectors)
        if 'LOC' not in self._traced_rows:
            self.limits.append('this kernel has no tracepoints for the local timer: its interrupts are counted, not timed')

    # A snapshot on either side of the gate: the true count lies between their two differences.
    def start(self):
        self._before_open, self._cpus = counters.snapshot()
        self._program.open_gate()
        self._after_open, _unused = counters.snapshot()

    def stop(self):
        self._before_close, _unused = counters.snapshot()
        self._program.close_gate()
        self._after_close, cpus = counters.snapshot()
        if cpus != self._cpus:
            self.limits.append('CPUs went on- or offline within the window: per-CPU counts of untraced vectors are left out')

    def read(self, window_s):
        traced = self._traced()
        at_most = counters.difference(self._before_open, self._after_close)
        at_least = counters.difference(self._after_open, self._before_close)
        self.lost_events = self._program.missed() + self._program.table('dropped')[0].value
        handled = sum(stat['count'] for by_cpu in traced.values() for stat in by_cpu.values())
        if self.lost_events > max(LOST_COUNT, LOST_SHARE * (handled + self.lost_events)):
            self.limits.append('%d of %d interrupts were lost: counts and times are too low' % (
                self.lost_events, handled + self.lost_events))
        names = counters.descriptions()
        for key in at_most:
            if key[0] in ('hardirq', 'softirq') or key[1] in self._traced_rows:
                traced.setdefault(key, {})
        vectors = [_vector(key, by_cpu, names, window_s) for key, by_cpu in traced.items()]
        vectors += [_vector(key, _counted(values, self._cpus), names, window_s) for key, values in at_most.items() if key not in traced]
        return {'vectors': _ranked(vectors), 'cpus': _shares(traced, window_s),
                'cross_check': _cross_check(traced, at_least, at_most, names, self.limits)}

    def close(self):
        if self._program is not None:
            self._program.close()

    def _traced(self):
        """Return {(kind, label): {cpu: {'count', 'total_ns', 'longest_ns'}}}."""
        found = {}
        for key, stat in self._program.table('irqs').items():
            _merge(found, ('hardirq', str(key.irq)), key.cpu, stat)
        for kind, table, labels in (('softirq', 'softirqs', bpf.SOFTIRQS), ('vector', 'vectors', [row for _unused, row in bpf.VECTORS])):
            for index, label in enumerate(labels):
                for cpu, stat in enumerate(self._program.table(table)[index]):
                    _merge(found, (kind, label), cpu, stat)
        return found


class ProcfsEngine(Engine):
    """The kernel's own counts."""

    NAME = 'procfs'

    def open(self):
        try:
            counters.snapshot()
        except (IOError, OSError, ValueError) as error:
            raise Unavailable('the kernel\'s interrupt counters cannot be read: %s' % error, 'Mount /proc on the host.')
        self.limits.append('no durations: only counts')

    def start(self):
        self._before, self._cpus = counters.snapshot()

    def stop(self):
        self._after, _unused = counters.snapshot()

    def read(self, window_s):
        names = counters.descriptions()
        return {'vectors': _ranked([_vector(key, _counted(values, self._cpus), names, window_s)
                                    for key, values in counters.difference(self._before, self._after).items()]),
                'cpus': [], 'cross_check': None}


class InterferenceProbe(Probe):
    """Hardware interrupts, softirqs, local timers and inter-processor interrupts."""

    NAME = 'interference'
    ENGINES = (BccEngine, ProcfsEngine)


def _merge(found, key, cpu, stat):
    if not stat.count:
        return
    here = found.setdefault(key, {}).setdefault(cpu, {'count': 0, 'total_ns': 0, 'longest_ns': 0})
    here['count'] += stat.count
    here['total_ns'] += stat.total_ns
    here['longest_ns'] = max(here['longest_ns'], stat.longest_ns)


def _counted(values, cpus):
    return dict((cpu, {'count': count, 'total_ns': None, 'longest_ns': None}) for cpu, count in zip(cpus, values) if count)


def _vector(key, by_cpu, names, window_s):
    """One entry of 'vectors'. by_cpu: {cpu: {'count', 'total_ns', 'longest_ns'}}, times None where not measured."""
    kind, label = key
    irq = int(label) if kind == 'hardirq' else None
    if kind == 'hardirq':
        name = counters.device(label) or 'irq %s' % label
    elif kind == 'vector':
        kind, name = _VECTOR_KINDS.get(label, 'other'), names.get(label, label)
    else:
        name = label
    rows = [{'cpu': cpu, 'count': stat['count'], 'total_us': _us(stat['total_ns']), 'longest_us': _us(stat['longest_ns'])}
            for cpu, stat in by_cpu.items()]
    rows.sort(key=lambda row: (-(row['total_us'] or 0), -row['count'], row['cpu']))
    count = sum(row['count'] for row in rows)
    timed = [row for row in rows if row['total_us'] is not None]
    return {'kind': kind, 'name': name, 'irq': irq, 'count': count, 'rate_per_s': round(count / window_s, 3),
            'total_us': round(sum(row['total_us'] for row in timed), 3) if timed else None,
            'longest_us': max(row['longest_us'] for row in timed) if timed else None, 'by_cpu': rows}


def _us(value_ns):
    return None if value_ns is None else round(value_ns / 1e3, 3)


def _ranked(vectors):
    return sorted((vector for vector in vectors if vector['count']),
                  key=lambda vector: (-(vector['total_us'] or 0), -vector['count'], vector['kind'], vector['name']))


def _shares(traced, window_s):
    totals = {}
    for by_cpu in traced.values():
        for cpu, stat in by_cpu.items():
            totals[cpu] = totals.get(cpu, 0) + stat['total_ns']
    rows = [{'cpu': cpu, 'share': round(total_ns / 1e9 / window_s, 6)} for cpu, total_ns in totals.items()]
    return sorted(rows, key=lambda row: (-row['share'], row['cpu']))


def _cross_check(traced, at_least, at_most, names, limits):
    """Compare with the kernel's counters: traced must lie between the two differences, give or take 2 % and a few.

    A disagreement of more than 5 % makes the result degraded.
    """
    disagreements, compared, grave = [], 0, 0
    for key, by_cpu in sorted(traced.items()):
        # A line that several devices share runs several handlers for one interrupt.
        if key not in at_most or (key[0] == 'hardirq' and ',' in counters.device(key[1])):
            continue
        compared += 1
        count = sum(stat['count'] for stat in by_cpu.values())
        least, most = sum(at_least.get(key, [])), sum(at_most[key])
        off = max(least - count, count - most)
        if off > _DISAGREEMENT_COUNT and off > most * _DISAGREEMENT_SHARE:
            grave += off > most * _DEGRADED_SHARE
            disagreements.append({'kind': key[0], 'name': names.get(key[1], key[1]) if key[0] != 'hardirq' else 'irq ' + key[1],
                                  'traced': count, 'counted': most})
    if grave:
        limits.append('%d of %d vectors disagree with the kernel\'s own counters by more than 5 %%' % (grave, compared))
    return {'compared': compared, 'disagreements': disagreements}
