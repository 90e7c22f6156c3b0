# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cgroup and systemd unit a process belongs to, on hosts with cgroups v1, v2 and both."""

import os
import re

# The innermost unit; user sessions have a slice, a service and a scope above each other.
_UNIT = re.compile(r'.*/([^/]+\.(?:service|scope|socket|mount|swap|slice))(?:/|$)')
V2_ROOTS = ('/sys/fs/cgroup', '/sys/fs/cgroup/unified')
_CPU_ROOTS = ('/sys/fs/cgroup/cpu', '/sys/fs/cgroup/cpu,cpuacct')


def _paths(text):
    """Return {controller: path} of the text of /proc/PID/cgroup; '' is cgroup v2."""
    paths = {}
    for line in text.splitlines():
        _number, _colon, rest = line.partition(':')
        controllers, _colon, path = rest.partition(':')
        for controller in controllers.split(','):
            paths.setdefault(controller, path)
    return paths


def parse(text):
    """Return the path of a process's cgroup, of the text of /proc/PID/cgroup; None where it has none.

    That of the one hierarchy of cgroup v2 where it is more than '/', else that of v1's memory controller, else that of systemd's own.
    """
    paths = _paths(text)
    for controller in ('', 'memory', 'name=systemd'):
        if paths.get(controller, '/') != '/':
            return paths[controller]
    return paths.get('') or paths.get('memory')


def unit(path):
    """Return the systemd unit in a cgroup's path: the innermost one, or None."""
    found = _UNIT.match(path or '')
    return found.group(1) if found else None


def cpu_root():
    """Return the folder of the hierarchy by which CPU time is accounted; None: this host has none.

    That of cgroup v2 where it is the only one or has groups, else that of v1's cpu controller.
    """
    for folder, alone in zip(V2_ROOTS, (True, False)):
        if os.path.exists(os.path.join(folder, 'cgroup.controllers')) and (alone or next(os.walk(folder))[1]):
            return folder
    return next((folder for folder in _CPU_ROOTS if os.path.isdir(folder)), None)


def of_cpu(text, root):
    """Return the path of a process in the hierarchy of cpu_root(), of the text of /proc/PID/cgroup; None where it has none."""
    return root and _paths(text).get('' if root in V2_ROOTS else 'cpu')
