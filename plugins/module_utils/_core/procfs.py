# SPDX-License-Identifier: GPL-3.0-or-later
"""Read and parse files of /proc, /sys and /etc. What cannot be read is empty or None, never an error; parsers take text."""

import os
import re

_IRQ, _SOFTIRQ, _STEAL = 6, 7, 8  # columns of a cpu line of /proc/stat (proc(5))
_FLAGS, _PF_KTHREAD = 6, 0x200000  # column of /proc/PID/stat, from the state on; bit of it (include/linux/sched.h)


def read_text(path):
    """Return what a file holds, '' where it cannot be read."""
    try:
        with open(path, errors='replace') as stream:
            return stream.read()
    except OSError:
        return ''


def numbers(folder):
    """Return the entries of a folder that are numbers, as of processes in /proc; [] where it cannot be read."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []


def uptime_s():
    """Return the seconds since the host was booted, 0.0 where the kernel does not report them."""
    return float((read_text('/proc/uptime').split() or ['0'])[0])


def parse_fields(text):
    """Return {name: int} of lines such as 'MemFree:  12 kB' (in bytes then) or 'nr_throttled 12'; other lines are left out."""
    fields = {}
    for line in text.splitlines():
        words = line.replace(':', ' ', 1).split()
        if len(words) in (2, 3) and words[1].isdigit():
            fields[words[0]] = int(words[1]) * (1024 if words[2:] == ['kB'] else 1)
    return fields


def parse_pressure(text):
    """Return {'some', 'full': microseconds} of a file of /proc/pressure; without those that it does not have."""
    rows = (line.partition(' ') for line in text.splitlines())
    return dict((name, int(rest.rsplit('total=', 1)[1])) for name, _space, rest in rows if name in ('some', 'full') and 'total=' in rest)


def parse_stat(text):
    """Return (name, columns from the state on) of the text of /proc/PID/stat, whose name may hold anything; ('', []) of other text."""
    head, closed, rest = text.rpartition(')')
    return head.partition('(')[2], rest.split() if closed else []


def is_kernel_thread(columns):
    """Is a task a thread of the kernel? columns: of parse_stat(); None: they do not tell."""
    return bool(int(columns[_FLAGS]) & _PF_KTHREAD) if len(columns) > _FLAGS and columns[_FLAGS].isdigit() else None


def parse_steal_us(text):
    """Return {CPU: microseconds that the hypervisor took from it} of /proc/stat's text; empty where the kernel does not report them."""
    return _columns_us(text, _STEAL)


def parse_interrupts_us(text):
    """Return {CPU: microseconds in hardware interrupts and softirqs} of /proc/stat's text."""
    return _columns_us(text, _IRQ, _SOFTIRQ)


def parse_started(text):
    """Return how many tasks were started since the boot, of /proc/stat's text; None when it does not say."""
    found = re.search(r'^processes (\d+)$', text, re.M)
    return int(found.group(1)) if found else None


def _columns_us(text, *columns):
    tick_us = 10 ** 6 // os.sysconf('SC_CLK_TCK')
    rows = (line.split() for line in text.splitlines() if re.match(r'cpu\d', line))
    return {int(row[0][3:]): sum(int(row[column]) for column in columns) * tick_us for row in rows if len(row) > max(columns)}


def parse_schedstat(text):
    """Return {CPU: (nanoseconds that tasks ran, nanoseconds that tasks waited, timeslices)} of /proc/schedstat's text.

    None without a CPU line. The numbers are the 7th to 9th in every version of the file (Documentation/scheduler/sched-stats).
    """
    rows = (line.split() for line in text.splitlines() if re.match(r'cpu\d', line))
    return {int(row[0][3:]): tuple(int(word) for word in row[7:10]) for row in rows if len(row) >= 10} or None


def parse_sockstat(text):
    """Return {protocol: {name: number}} of /proc/net/sockstat's text."""
    found = {}
    for line in text.splitlines():
        protocol, _colon, rest = line.partition(':')
        words = rest.split()
        found[protocol] = dict((name, int(value)) for name, value in zip(words[::2], words[1::2]) if value.isdigit())
    return found


def parse_cpu_list_pages(text):
    """Return the number of free pages that all CPUs keep in lists of their own, of /proc/zoneinfo's text."""
    return sum(int(count) for count in re.findall(r'^ +count: +(\d+)$', text, re.MULTILINE))
