# SPDX-License-Identifier: GPL-3.0-or-later
"""Control groups whose CPU quota ran out: their tasks wait although CPUs are free."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_fields, read_text

_ROOTS = ('/sys/fs/cgroup', '/sys/fs/cgroup/cpu')
_MOST = 4096


def snapshot():
    """Return {cgroup path: (times throttled, microseconds throttled)} of the groups that have a quota; paths as in /proc/PID/cgroup."""
    found = {}
    for root in _ROOTS:
        for number, (folder, folders, files) in enumerate(os.walk(root)):
            if number >= _MOST:
                break
            if folder == _ROOTS[0] and 'cgroup.controllers' not in files:
                del folders[:]  # version 1: the controllers' own folders
            elif _limited(folder, files):
                throttled = parse(read_text(os.path.join(folder, 'cpu.stat')))
                if throttled is not None:
                    found[folder[len(root):]] = throttled
    return found


def parse(text):
    """Return (times, microseconds) of a cpu.stat's text, None when it does not count them.

    Version 2 has throttled_usec, version 1 throttled_time in nanoseconds.
    """
    values = parse_fields(text)
    if 'nr_throttled' not in values:
        return None
    throttled_us = values['throttled_usec'] if 'throttled_usec' in values else values.get('throttled_time', 0) // 1000
    return values['nr_throttled'], throttled_us


def throttled(before, after):
    """Return {cgroup path: {'cgroup', 'times', 'total_us'}} of the groups that were throttled between two snapshots."""
    found = {}
    for path, (times, total_us) in after.items():
        times_before, total_before_us = before.get(path, (0, 0))
        if times > times_before or total_us > total_before_us:
            found[path] = {'cgroup': path[:300], 'times': times - times_before, 'total_us': total_us - total_before_us}
    return found


def of_task(tid, groups):
    """Return the entry of `groups` (see throttled) that limits a task: its own group's, or the nearest one's above; None without."""
    for line in read_text('/proc/%d/cgroup' % tid).splitlines():
        _number, controllers, path = line.split(':', 2)
        if controllers and 'cpu' not in controllers.split(','):
            continue
        found = above(path, groups)
        if found:
            return found
    return None


def above(path, groups):
    """Return the entry of `groups` of a control group, or of the nearest one above; None without."""
    while path and path != '/':
        if path in groups:
            return groups[path]
        path = path.rpartition('/')[0]
    return None


def _limited(folder, files):
    """Whether a group has a quota, or had one: what it counted does not go away."""
    if 'cpu.max' in files:
        return not read_text(os.path.join(folder, 'cpu.max')).startswith('max')
    return 'cpu.cfs_quota_us' in files and read_text(os.path.join(folder, 'cpu.cfs_quota_us')).strip() not in ('', '-1')
