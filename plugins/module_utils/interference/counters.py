# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's own counts of interrupts: /proc/interrupts and /proc/softirqs."""

import re

_OWN_NAMES = {'LOC': 'Local timer interrupts', 'RES': 'Rescheduling interrupts', 'CAL': 'Function call interrupts'}


def snapshot():
    """Read both files now. Returns {(kind, label): [count by position of the CPU]} and the CPUs' numbers, as a pair.

    kind: hardirq (label is the number, as '36'), vector (label as 'LOC') or softirq (label as 'NET_RX').
    """
    counts = {}
    with open('/proc/interrupts') as stream:
        cpus, rows = parse_table(stream.read())
    for label, values in rows.items():
        counts[('hardirq' if label.isdigit() else 'vector', label)] = values
    with open('/proc/softirqs') as stream:
        softirq_cpus, rows = parse_table(stream.read())
    # /proc/softirqs lists possible CPUs, /proc/interrupts the ones that are online.
    places = [softirq_cpus.index(cpu) for cpu in cpus if cpu in softirq_cpus]
    for label, values in rows.items():
        counts[('softirq', label)] = [values[place] for place in places if place < len(values)]
    return counts, cpus


def parse_table(text):
    """Return ([CPU numbers], {label: [counts]}) of a table whose first line names the CPUs; rows without counts are left out.

    A row with fewer counts than CPUs (ERR, MIS) is a total of the machine and is left out too.
    """
    lines = text.splitlines()
    cpus = [int(word[3:]) for word in lines[0].split()] if lines else []
    rows = {}
    for line in lines[1:]:
        label, _colon, rest = line.partition(':')
        values = []
        for word in rest.split()[:len(cpus)]:
            if not word.isdigit():
                break
            values.append(int(word))
        if values and len(values) == len(cpus):
            rows[label.strip()] = values
    return cpus, rows


def descriptions():
    """Return {label: description} of the named rows of /proc/interrupts, as {'LOC': 'Local timer interrupts'}."""
    found = dict(_OWN_NAMES)
    with open('/proc/interrupts') as stream:
        for line in stream:
            match = re.match(r'\s*([A-Z][A-Z0-9]*):(?:\s+\d+)+\s+(\S.*)$', line)
            if match:
                found[match.group(1)] = match.group(2).strip()[:128]
    return found


def device(irq):
    """Return the name of the handlers of a device interrupt, as in the last column of /proc/interrupts; '' without one."""
    try:
        with open('/sys/kernel/irq/%s/actions' % irq) as stream:
            return stream.read().strip()[:128]
    except (IOError, OSError):
        return ''


def difference(earlier, later):
    """Return {key: [count by CPU]} of what `later` has more than `earlier`; both as the first part of snapshot()."""
    return dict((key, [max(0, new - old) for new, old in zip(values, earlier.get(key, [0] * len(values)))])
                for key, values in later.items())
