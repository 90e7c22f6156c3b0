# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel itself keeps about tasks that wait for a CPU."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs, sysfs


def snapshot():
    """Read the counters now.

    Returns {'run_delay': {CPU: (ns, timeslices)} or None, 'pressure_us': int or None, 'stolen_us': {CPU: int},
    'interrupts_us': {CPU: int}, of hardware interrupts and softirqs, 'started': number of tasks or None}.
    """
    stat = procfs.read_text('/proc/stat')
    return {'run_delay': parse_run_delay(procfs.read_text('/proc/schedstat')),
            # PSI can be compiled in and still be off: then the file cannot be read
            'pressure_us': procfs.parse_pressure(procfs.read_text('/proc/pressure/cpu')).get('some'),
            'stolen_us': procfs.parse_steal_us(stat), 'interrupts_us': procfs.parse_interrupts_us(stat),
            'started': procfs.parse_started(stat)}


def parse_run_delay(text):
    """Return {CPU: (nanoseconds waited, timeslices)} of /proc/schedstat's text; None without a CPU line."""
    by_cpu = procfs.parse_schedstat(text)
    return by_cpu and {cpu: (waited_ns, slices) for cpu, (_ran_ns, waited_ns, slices) in by_cpu.items()}


def growth(before, after):
    """Return {key: how much it grew} of two dicts of numbers."""
    return dict((key, after[key] - before[key]) for key in after if key in before)


def growth_s(before, after):
    """Return how much the microseconds of two dicts grew in all, in seconds."""
    return sum(max(0, us) for us in growth(before, after).values()) / 1e6


def possible_cpus():
    """Return one more than the highest number that a CPU of this machine can have."""
    return max(parse_cpus(procfs.read_text('/sys/devices/system/cpu/possible')) | online_cpus() | set([0])) + 1


def sample_rate_limit():
    """Return how often perf may sample in a second; the kernel lowers this by itself. Infinite where it does not say."""
    return sysfs.integer('/proc/sys/kernel/perf_event_max_sample_rate') or float('inf')


def online_cpus():
    """Return the set of CPUs that are online; empty where the kernel does not tell."""
    return parse_cpus(procfs.read_text('/sys/devices/system/cpu/online'))


def parse_cpus(text):
    """Return the set of CPUs of a list as the kernel writes it ('0-2,5')."""
    ranges = [part.partition('-') for part in text.strip().split(',') if part]
    return set(cpu for first, _dash, last in ranges for cpu in range(int(first), int(last or first) + 1))


def changed_cpus(before, after):
    """Return what to say when CPUs went on- or offline, as a list of limits. before, after: of snapshot()."""
    changed = set(before['run_delay'] or ()) ^ set(after['run_delay'] or ())
    return ['CPU %s went on- or offline within the window: run_delay leaves it out' % named(changed)] if changed else []


def named(cpus):
    """Return the numbers of CPUs for people: '1, 2'."""
    return ', '.join(map(str, sorted(cpus)))


def compare(before, after, window_s):
    """Return the parts 'run_delay', 'pressure' and 'started_per_s' of the facts, each None when this kernel does not keep it.

    /proc/schedstat has the CPUs that are online, with all their past: only those that are in both snapshots count.
    """
    run_delay = pressure = started = None
    if before['run_delay'] and after['run_delay']:
        stayed = [(before['run_delay'][cpu], now) for cpu, now in after['run_delay'].items() if cpu in before['run_delay']]
        waited_ns, slices = (sum(now[column] - then[column] for then, now in stayed) for column in (0, 1))
        run_delay = {'total_us': round(waited_ns / 1e3, 1), 'timeslices': slices,
                     'mean_us': round(waited_ns / 1e3 / slices, 3) if slices else 0.0}
    if before['pressure_us'] is not None and after['pressure_us'] is not None:
        some_us = after['pressure_us'] - before['pressure_us']
        pressure = {'some_us': some_us, 'some_share': round(some_us / 1e6 / window_s, 4)}
    if before['started'] is not None and after['started'] is not None:
        started = round((after['started'] - before['started']) / window_s, 1)
    return {'run_delay': run_delay, 'pressure': pressure, 'started_per_s': started}
