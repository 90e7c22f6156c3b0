# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel itself keeps about tasks that wait for a CPU."""

import os
import re


def snapshot():
    """Read the counters now. Returns {'run_delay': (ns, timeslices) or None, 'pressure_us': int or None, 'stolen_us': {CPU: int}}."""
    return {'run_delay': _read('/proc/schedstat', parse_schedstat), 'pressure_us': _read('/proc/pressure/cpu', parse_pressure),
            'stolen_us': _read('/proc/stat', parse_stolen)}


def parse_schedstat(text):
    """Return (nanoseconds waited, timeslices) summed over all CPUs of /proc/schedstat's text; None without a CPU line.

    The last two numbers of a cpu line are the 8th and 9th in every version of the file (Documentation/scheduler/sched-stats).
    """
    waited_ns = timeslices = 0
    found = False
    for line in text.splitlines():
        words = line.split()
        if words and words[0].startswith('cpu') and len(words) >= 10:
            waited_ns += int(words[8])
            timeslices += int(words[9])
            found = True
    return (waited_ns, timeslices) if found else None


def parse_pressure(text):
    """Return the microseconds of 'some' in a file of /proc/pressure; None when there is no such line."""
    for line in text.splitlines():
        if line.startswith('some '):
            return int(line.rsplit('total=', 1)[1])
    return None


def parse_stolen(text):
    """Return {CPU: microseconds that the hypervisor took from it}, of /proc/stat's text (proc(5): the eighth number, in ticks)."""
    tick_us = 10 ** 6 // os.sysconf('SC_CLK_TCK')
    rows = [line.split() for line in text.splitlines() if re.match(r'cpu\d', line)]
    return dict((int(words[0][3:]), int(words[8]) * tick_us) for words in rows if len(words) > 8)


def growth(before, after):
    """Return {key: how much it grew} of two dicts of numbers."""
    return dict((key, after[key] - before[key]) for key in after if key in before)


def sample_rate_limit():
    """Return how often perf may sample in a second; the kernel lowers this by itself. Infinite where it does not say."""
    return _read('/proc/sys/kernel/perf_event_max_sample_rate', int) or float('inf')


def online_cpus():
    """Return the CPUs that are online, as the kernel writes them ('0-3')."""
    return _read('/sys/devices/system/cpu/online', str.strip)


def compare(before, after, window_s):
    """Return the parts 'run_delay' and 'pressure' of the facts, each None when this kernel does not keep it."""
    run_delay = pressure = None
    if before['run_delay'] and after['run_delay']:
        waited_ns, slices = (last - first for first, last in zip(before['run_delay'], after['run_delay']))
        run_delay = {'total_us': round(waited_ns / 1e3, 1), 'timeslices': slices,
                     'mean_us': round(waited_ns / 1e3 / slices, 3) if slices else 0.0}
    if before['pressure_us'] is not None and after['pressure_us'] is not None:
        some_us = after['pressure_us'] - before['pressure_us']
        pressure = {'some_us': some_us, 'some_share': round(some_us / 1e6 / window_s, 4)}
    return {'run_delay': run_delay, 'pressure': pressure}


def _read(path, parse):
    try:
        with open(path) as stream:
            return parse(stream.read())
    except (IOError, OSError):  # PSI can be compiled in and still be off: then reading says EOPNOTSUPP
        return None
