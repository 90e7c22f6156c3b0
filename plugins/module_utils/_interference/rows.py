# SPDX-License-Identifier: GPL-3.0-or-later
"""From counts and times by vector and CPU to the rows of the facts.

A stat is {'count', 'total_ns', 'longest_ns', 'histogram' [count by bucket]}; of what was not timed all but the count are None.
"""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._interference import bpf, devices

_KINDS = {'LOC': 'timer', 'RES': 'ipi', 'CAL': 'ipi', 'TLB': 'ipi', 'IWI': 'ipi', 'PLT': 'ipi', 'NMI': 'nmi', 'PMI': 'nmi',
          'MCE': 'mce', 'MCP': 'mce', 'THR': 'mce', 'DFR': 'mce'}
_LONG_BUCKET = 13  # runs of at least 2 ms: 2 ** (13 + bpf.BUCKET_SHIFT) ns
_FAMILIES, _NAMES = 10, 5
_DISAGREEMENT_SHARE = 0.02
_DEGRADED_SHARE = 0.05
_DISAGREEMENT_COUNT = 10
_DISAGREEMENT_PER_S = 1.0  # some microVMs run no BPF program while a thread of process 1 is current: up to 0.8 softirqs of a kind a second


def merge(found, key, cpu, stat):
    """Add what a BPF map has of a vector on a CPU (struct stat_t) to found, {key: {cpu: stat}}."""
    if stat.count:
        here = found.setdefault(key, {}).setdefault(cpu, {'count': 0, 'total_ns': 0, 'longest_ns': 0, 'histogram': [0] * bpf.BUCKETS})
        here['count'] += stat.count
        here['total_ns'] += stat.total_ns
        here['longest_ns'] = max(here['longest_ns'], stat.longest_ns)
        here['histogram'] = [one + more for one, more in zip(here['histogram'], stat.histogram)]


def counted(by_cpu):
    """Return {cpu: stat} of {cpu: count}."""
    return dict((cpu, {'count': count, 'total_ns': None, 'longest_ns': None, 'histogram': None})
                for cpu, count in by_cpu.items() if count)


def vectors(found, cpus, names, window_s):
    """Return the rows of 'vectors', most time first.

    found: {(kind, label): {cpu: stat}}; cpus: how many CPUs there are; names: {label: description}.
    """
    rows = [_vector(key, by_cpu, cpus, names, window_s) for key, by_cpu in found.items() if by_cpu]
    return sorted(rows, key=lambda row: (-(row['total_us'] or 0), -row['count'], row['kind'], row['name']))


def _vector(key, by_cpu, cpus, names, window_s):
    kind, label = key
    row = {'kind': kind, 'name': label, 'irq': None, 'device': '', 'driver': '', 'affinity': '', 'effective_affinity': ''}
    if kind == 'hardirq':
        row.update(devices.describe(label), irq=int(label), name=devices.handlers(label) or 'irq %s' % label)
    elif kind == 'vector':
        row.update(kind=_KINDS.get(label, 'other'), name=names.get(label, label))
    row.update(times(by_cpu.values(), window_s))
    row['by_cpu'] = sorted((_on_cpu(cpu, stat) for cpu, stat in by_cpu.items()),
                           key=lambda place: (-(place['total_us'] or 0), -place['count'], place['cpu']))
    row['concentration'] = _concentration(row['by_cpu'], cpus)
    return row


def times(stats, window_s):
    """Return {'count', 'rate_per_s', 'total_us', 'mean_us', 'longest_us', 'histogram_ns'} of several stats together."""
    stats = list(stats)
    count = sum(stat['count'] for stat in stats)
    timed = [stat for stat in stats if stat['total_ns'] is not None]
    total_ns = sum(stat['total_ns'] for stat in timed)
    return {
        'count': count, 'rate_per_s': round(count / window_s, 3),
        'total_us': _us(total_ns) if timed else None,
        'mean_us': _us(float(total_ns) / sum(stat['count'] for stat in timed)) if timed else None,
        'longest_us': _us(max(stat['longest_ns'] for stat in timed)) if timed else None,
        'histogram_ns': _histogram(stat['histogram'] for stat in timed) if timed else None,
        'long_runs': sum(count for stat in timed for count in stat['histogram'][_LONG_BUCKET:]) if timed else None,
    }


def charge_timers(timers, by_cpu, expirations, cpus, window_s):
    """Set 'cpu_share' of rows of 'timers': what the interrupts of a function's timers take of all CPUs' time; None where it is not known.

    by_cpu: {cpu: stat} of the local timer, which also has what is needed to enter and to leave the interrupt; expirations: of all
    high-resolution timers, among which that time is divided.
    """
    total_ns = sum(stat['total_ns'] or 0 for stat in by_cpu.values())
    for row in timers:
        share = total_ns / 1e9 / window_s / cpus * row['count'] / expirations if expirations and row['kind'] == 'hrtimer' else None
        row['cpu_share'] = share and round(share, 6)


def _histogram(histograms):
    sums = [sum(column) for column in zip(*histograms)]
    return dict((str(2 ** (bucket + bpf.BUCKET_SHIFT) if bucket else 0), count) for bucket, count in enumerate(sums) if count)


def _on_cpu(cpu, stat):
    total_ns, longest_ns = stat['total_ns'], stat['longest_ns']
    return {'cpu': cpu, 'count': stat['count'], 'total_us': _us(total_ns), 'longest_us': _us(longest_ns),
            'mean_us': None if total_ns is None else _us(float(total_ns) / stat['count'])}


def _us(value_ns):
    return None if value_ns is None else round(value_ns / 1e3, 3)


def _concentration(places, cpus):
    """How unevenly CPUs carry a vector, by time (by count where it was not timed): the first one's share, and a coefficient.

    The coefficient is 0 when all CPUs carry the same and 1 when one carries all: (cpus * sum of squared shares - 1) / (cpus - 1).
    None on a host with one CPU.
    """
    if cpus < 2:
        return None
    weights = [place['count'] if place['total_us'] is None else place['total_us'] for place in places]
    total = sum(weights)
    if not total:
        return None
    shares = [weight / float(total) for weight in weights]
    coefficient = (cpus * sum(share * share for share in shares) - 1) / (cpus - 1)
    return {'cpu': places[0]['cpu'], 'share': round(shares[0], 4), 'coefficient': round(min(1.0, max(0.0, coefficient)), 4)}


def shares(found, window_s):
    """Return the rows of 'cpus': the share of each CPU's time that all timed vectors together took, largest first."""
    totals = {}
    for by_cpu in found.values():
        for cpu, stat in by_cpu.items():
            totals[cpu] = totals.get(cpu, 0) + (stat['total_ns'] or 0)
    rows = [{'cpu': cpu, 'share': round(total_ns / 1e9 / window_s, 6)} for cpu, total_ns in totals.items()]
    return sorted(rows, key=lambda row: (-row['share'], row['cpu']))


def steal(before, after, window_s):
    """Return the rows of 'steal', largest first, of {cpu: seconds} at the beginning and at the end."""
    rows = [{'cpu': cpu, 'share': round(max(0.0, after[cpu] - seconds) / window_s, 4)} for cpu, seconds in before.items() if cpu in after]
    return sorted(rows, key=lambda row: (-row['share'], row['cpu']))


def grown(before, after):
    """Return {pid: nanoseconds} of those in `after` that used CPU time since `before`, both {pid: (name, nanoseconds)}."""
    took = ((pid, cpu_ns - before.get(pid, (name, 0))[1]) for pid, (name, cpu_ns) in after.items())
    return dict((pid, took_ns) for pid, took_ns in took if took_ns > 0)


def kernel_threads(before, after, window_s, top):
    """Return the `top` rows of 'kernel_threads', most CPU time first, of {pid: (name, nanoseconds)} at the beginning and at the end.

    A thread that began within the window has all its time in it; one that ended is not seen.
    """
    rows = [{'pid': pid, 'comm': after[pid][0], 'cpu_us': _us(took_ns), 'share': round(took_ns / 1e9 / window_s, 6)}
            for pid, took_ns in grown(before, after).items()]
    return sorted(rows, key=lambda row: (-row['cpu_us'], row['pid']))[:top]


def families(threads):
    """Return the rows of 'kernel_thread_families', most CPU time first: kernel threads whose names begin alike, together.

    threads: all rows of kernel_threads().
    """
    sums = {}
    for row in threads:
        family = re.match(r'[^/:]*?(?=[/:]|[-._]?\d*$)', row['comm']).group(0) or row['comm']
        found = sums.setdefault(family, {'family': family, 'threads': 0, 'cpu_us': 0.0, 'share': 0.0, 'names': []})
        found['threads'] += 1
        found['cpu_us'] = round(found['cpu_us'] + row['cpu_us'], 3)
        found['share'] = round(found['share'] + row['share'], 6)
        found['names'] = (found['names'] + [row['comm']])[:_NAMES]
    return sorted(sums.values(), key=lambda row: (-row['cpu_us'], row['family']))[:_FAMILIES]


def cross_check(traced, at_least, at_most, names, window_s):
    """Compare with the kernel's counters: what was traced must lie between their two differences.

    traced: {key: {cpu: stat}}; at_least, at_most: {key: {cpu: count}}, at_least None where only some were wanted.
    Returns {'compared', 'largest_share', 'disagreements'}, and how many disagree by more than 5 %. A disagreement is
    more than 2 % off, and more than ten and one a second; largest_share: of those counted at least 100 times.
    """
    disagreements, compared, grave, largest = [], 0, 0, 0.0
    for key, by_cpu in sorted(traced.items()):
        # A line that several devices share runs several handlers for one interrupt; so does an NMI.
        if key not in at_most or key == ('vector', 'NMI') or (key[0] == 'hardirq' and ',' in devices.handlers(key[1])):
            continue
        compared += 1
        count = sum(stat['count'] for cpu, stat in by_cpu.items() if cpu in at_most[key])
        most = sum(at_most[key].values())
        least = sum(at_least.get(key, {}).values()) if at_least is not None else 0
        off = max(least - count, count - most, 0)
        if most >= 100:
            largest = max(largest, off / float(most))
        if off > max(_DISAGREEMENT_COUNT, _DISAGREEMENT_PER_S * window_s) and off > most * _DISAGREEMENT_SHARE:
            grave += off > most * _DEGRADED_SHARE
            disagreements.append({'kind': key[0], 'name': names.get(key[1], key[1]) if key[0] != 'hardirq' else 'irq ' + key[1],
                                  'traced': count, 'counted': most})
    return {'compared': compared, 'largest_share': round(largest, 5), 'disagreements': disagreements}, grave


def check_busy(check, threads_us, before, after):
    """Add a disagreement when kernel threads, those that were not runnable at the end, used more CPU time than all tasks.

    before, after: {cpu: nanoseconds} by cputime.busy_ns(). Nothing is compared where the kernel keeps none (None), or when
    CPUs went on- or offline: what tasks ran there is not known.
    """
    if not before or set(before) != set(after or ()):
        return
    check['compared'] += 1
    busy_us = (sum(after.values()) - sum(before.values())) / 1e3
    if threads_us > busy_us * (1 + _DISAGREEMENT_SHARE):
        check['disagreements'].append({'kind': 'schedstat', 'name': 'CPU time of kernel threads (us)',
                                       'traced': int(threads_us), 'counted': int(busy_us)})
