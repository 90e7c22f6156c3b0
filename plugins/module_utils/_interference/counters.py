# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own counts of interrupts: /proc/interrupts and /proc/softirqs."""

import re

_OWN_NAMES = {'LOC': 'Local timer interrupts', 'RES': 'Rescheduling interrupts', 'CAL': 'Function call interrupts'}


def snapshot():
    """Read both files now. Returns {(kind, label): {cpu: count}}, of the CPUs that are online.

    kind: hardirq (label is the number, as '36'), vector (label as 'LOC') or softirq (label as 'NET_RX').
    """
    counts = {}
    with open('/proc/interrupts') as stream:
        rows = parse_table(stream.read())
    for label, by_cpu in rows.items():
        counts[('hardirq' if label.isdigit() else 'vector', label)] = by_cpu
    # /proc/softirqs lists possible CPUs, /proc/interrupts the ones that are online.
    online = cpus(counts)
    with open('/proc/softirqs') as stream:
        rows = parse_table(stream.read())
    for label, by_cpu in rows.items():
        counts[('softirq', label)] = dict((cpu, count) for cpu, count in by_cpu.items() if cpu in online)
    return counts


def cpus(counts):
    """Return the set of CPUs of a snapshot."""
    return set(cpu for (kind, _label), by_cpu in counts.items() if kind != 'softirq' for cpu in by_cpu)


def parse_table(text):
    """Return {label: {cpu: count}} of a table whose first line names the CPUs; rows without counts are left out.

    A row with fewer counts than CPUs (ERR, MIS) is a total of the machine and is left out too.
    """
    lines = text.splitlines()
    numbers = [int(word[3:]) for word in lines[0].split()] if lines else []
    rows = {}
    for line in lines[1:]:
        label, _colon, rest = line.partition(':')
        values = []
        for word in rest.split()[:len(numbers)]:
            if not word.isdigit():
                break
            values.append(int(word))
        if values and len(values) == len(numbers):
            rows[label.strip()] = dict(zip(numbers, values))
    return rows


def descriptions():
    """Return {label: description} of the named rows of /proc/interrupts, as {'LOC': 'Local timer interrupts'}."""
    found = dict(_OWN_NAMES)
    with open('/proc/interrupts') as stream:
        for line in stream:
            match = re.match(r'\s*([A-Z][A-Z0-9]*):(?:\s+\d+)+\s+(\S.*)$', line)
            if match:
                found[match.group(1)] = match.group(2).strip()[:128]
    return found


def difference(earlier, later):
    """Return {key: {cpu: count}} of what `later` has more than `earlier`, of CPUs that are in both; both from snapshot()."""
    stayed = cpus(earlier) & cpus(later)
    return dict((key, dict((cpu, max(0, count - earlier.get(key, {}).get(cpu, 0))) for cpu, count in by_cpu.items() if cpu in stayed))
                for key, by_cpu in later.items())
