# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cgroup and systemd unit a process belongs to, on hosts with cgroups v1, v2 and both."""

import re

# The innermost unit; user sessions have a slice, a service and a scope above each other.
_UNIT = re.compile(r'.*/([^/]+\.(?:service|scope|socket|mount|swap|slice))(?:/|$)')


def parse(text):
    """Return the path of a process's cgroup, of the text of /proc/PID/cgroup; None where it has none.

    That of the one hierarchy of cgroup v2 where it is more than '/', else that of v1's memory controller, else that of systemd's own.
    """
    paths = {}
    for line in text.splitlines():
        _number, _colon, rest = line.partition(':')
        controllers, _colon, path = rest.partition(':')
        for controller in controllers.split(','):
            paths.setdefault(controller, path)
    for controller in ('', 'memory', 'name=systemd'):
        if paths.get(controller, '/') != '/':
            return paths[controller]
    return paths.get('') or paths.get('memory')


def unit(path):
    """Return the systemd unit in a cgroup's path: the innermost one, or None."""
    found = _UNIT.match(path or '')
    return found.group(1) if found else None
