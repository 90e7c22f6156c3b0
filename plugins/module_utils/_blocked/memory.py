# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel itself keeps about tasks that wait for memory, however short each wait is.

Sources: /proc/pressure/memory (Documentation/accounting/psi.rst), which counts direct reclaim, direct compaction, throttling by a memory
limit and reading pages back that were just reclaimed; /proc/vmstat for which of them it was.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups, procfs

# Fields of the facts, by the counters of /proc/vmstat that they add up: those whose names begin so. Kernels split some by zone or kind.
_COUNTERS = (('direct_reclaims', ('allocstall',)), ('direct_compactions', ('compact_stall',)),
             ('direct_scanned_pages', ('pgscan_direct',)), ('refaulted_pages', ('workingset_refault',)), ('swapped_in_pages', ('pswpin',)))
_NOT_EVENTS = ('pgscan_direct_throttle',)
_MOST_GROUPS = 4096
_LEAST_SHARE = 0.01  # of the window: less of a control group is not told
_MOSTLY = 0.8  # of a group's waits are those of one beneath it: that one is told
_LISTED = 5


def snapshot():
    """Read the counters now. Returns {'pressure_us': {'some', 'full'} or {}, 'vmstat': {name: int}, 'groups_us': {cgroup: 'some'}}."""
    return {'pressure_us': procfs.parse_pressure(procfs.read_text('/proc/pressure/memory')),
            'vmstat': procfs.parse_fields(procfs.read_text('/proc/vmstat')),
            'groups_us': dict(_groups_us(next((root for root in cgroups.V2_ROOTS if os.path.exists(root + '/cgroup.controllers')), None)))}


def _groups_us(root):
    """Yield (path, microseconds of 'some') of the control groups of cgroup v2 beneath the one at the top. root: None: there are none."""
    for number, (folder, _folders, _files) in enumerate(os.walk(root) if root else ()):
        if number > _MOST_GROUPS:
            return
        pressure_us = procfs.parse_pressure(procfs.read_text(folder + '/memory.pressure')) if number else {}
        if 'some' in pressure_us:
            yield folder[len(root):], pressure_us['some']


def _groups(before_us, after_us, window_s):
    """Return the control groups that waited most, as rows of the facts; of a group and one beneath it the one whose waits they are.

    before_us, after_us: {cgroup: microseconds}.
    """
    grown = dict((path, max(0, after_us[path] - before_us.get(path, 0))) for path in after_us)
    beneath = {}
    for path, grown_us in grown.items():
        above = os.path.dirname(path)
        beneath[above] = max(beneath.get(above, 0), grown_us)
    own = [path for path, grown_us in grown.items()
           if grown_us >= _LEAST_SHARE * window_s * 1e6 and beneath.get(path, 0) < _MOSTLY * grown_us]
    return [{'cgroup': path[:300], 'unit': cgroups.unit(path), 'some_us': grown[path], 'some_share': _share(grown[path], window_s)}
            for path in sorted(own, key=lambda path: -grown[path])[:_LISTED]]


def _share(grown_us, window_s):
    return round(min(1.0, grown_us / 1e6 / window_s), 4)


def compare(before, after, window_s):
    """Return the part 'memory' of the facts: growth between two snapshots. None of a counter that this kernel does not keep."""
    facts = {'groups': _groups(before['groups_us'], after['groups_us'], window_s)}
    for name in ('some', 'full'):
        grown_us = None
        if name in before['pressure_us'] and name in after['pressure_us']:
            grown_us = max(0, after['pressure_us'][name] - before['pressure_us'][name])
        facts[name + '_us'] = grown_us
        facts[name + '_share'] = None if grown_us is None else _share(grown_us, window_s)
    for field, beginnings in _COUNTERS:
        names = [name for name in after['vmstat'] if name in before['vmstat'] and name.startswith(beginnings) and name not in _NOT_EVENTS]
        facts[field] = sum(max(0, after['vmstat'][name] - before['vmstat'][name]) for name in names) if names else None
    return facts
