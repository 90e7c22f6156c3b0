# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces and what is in them: devices, routes, neighbours, tracked connections.

Namespaces are found by their processes, by descriptors and by bind mounts. The kernel's slab counter may have more: those that nobody
was found for. Devices, routes and connections are counted in namespaces that have a process.
"""

import collections
import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import mounts
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

_WATCHED, _NAMESPACES, _ROWS = 48, 400, 256
_NAMESPACE_BYTES, _DEVICE_BYTES = 200 * 1024, 40 * 1024  # with their sysctl tables, files of proc and per-CPU counters, as measured
_OBJECTS = {'route': ('ip_fib_alias', 'ip_fib_trie'), 'neighbour': (), 'conntrack': ('nf_conntrack',)}
_GUESS_BYTES = {'route': 192, 'neighbour': 512, 'conntrack': 320}  # where the slab caches are not known
_NETLINK_ROUTE = 0
_LEAST_LOST = 256  # freed ones stay in lists of the slab allocator, and are counted as used there


def devices(text):
    """Return the names of the devices in the text of /proc/PID/net/dev."""
    return [line.partition(':')[0].strip() for line in text.splitlines()[2:] if ':' in line]


def parse_routes(text):
    """Return the number of IPv4 routes in the text of /proc/PID/net/fib_triestat.

    Tables main and local are one tree until a rule separates them: equal numbers of both are counted once.
    """
    tables, name = {}, None
    for line in text.splitlines():
        if line.endswith(':') and not line.startswith(('\t', ' ')):
            name = line[:-1]
        elif name and line.startswith('\tPrefixes:'):
            tables[name] = int(line.split()[1])
    if 'Main' in tables and tables['Main'] == tables.get('Local'):
        del tables['Local']
    return sum(tables.values())


def parse_stat(text):
    """Return the number of entries (first column, hexadecimal) of the text of /proc/net/stat/arp_cache and the like."""
    lines = text.splitlines()
    try:
        return int(lines[1].split()[0], 16)
    except (IndexError, ValueError):
        return 0


def parse_routes6(text):
    """Return the number of IPv6 routes of the text of /proc/net/rt6_stats."""
    words = text.split()
    try:
        return int(words[3], 16)
    except (IndexError, ValueError):
        return 0


def netlink_users(text):
    """Return the processes that have a route socket, of the text of /proc/PID/net/netlink: their port is mostly their number."""
    rows = (line.split() for line in text.splitlines()[1:])
    return sorted(set(int(row[2]) for row in rows if len(row) > 3 and row[1].isdigit() and int(row[1]) == _NETLINK_ROUTE and
                      row[2].isdigit() and 0 < int(row[2]) < 2 ** 22))


def family(names):
    """Return what most device names have in common: the name without its last number ('veth*')."""
    common = collections.Counter(re.sub(r'[0-9a-f]*\d[0-9a-f]*$', '*', name) for name in names).most_common(1)
    return common[0][0] if common else ''


class NetworkSource(Source):
    """Network namespaces, devices, routes, neighbours and tracked connections."""

    STEPS = {'network_namespace': (4, None), 'network_device': (8, None), 'route': (256, None), 'neighbour': (128, None),
             'conntrack': (512, None)}
    LARGE = {'network_namespace': (300, None), 'network_device': (500, None), 'route': (200000, None), 'neighbour': (4096, None),
             'conntrack': (100000, None)}

    def __init__(self, host):
        super().__init__(host)
        self._tasks = host.tasks
        self._links = host.links
        self._watched, self._number = [], None
        self._cpu_s = {}

    def _file(self, pid, name):
        return read_text('%s/%s/net/%s' % (self.host.proc, pid, name))

    def read(self):
        """Totals: namespaces and routes by their slab counters, devices of at most _WATCHED namespaces."""
        number = self.host.objects('net_namespace')
        if not self._watched or number != self._number or not all(self._file(pid, 'dev') for pid in self._watched):
            self._number = number
            self._watched = self._oldest_members()
        found = {'network_namespace': number, 'route': self.host.objects('ip_fib_alias'),
                 'conntrack': self.host.objects('nf_conntrack')}
        found['neighbour'] = sum(parse_stat(self._file('self', 'stat/' + name)) for name in ('arp_cache', 'ndisc_cache'))
        found['network_device'] = sum(max(0, self._file(pid, 'dev').count('\n') - 2) for pid in self._watched)
        found['route'] = (found['route'] or 0) + parse_routes6(self._file('self', 'rt6_stats'))
        return dict((name, (count, None)) for name, count in found.items() if count is not None)

    def _oldest_members(self):
        """Return the oldest process of each of the youngest namespaces: what it starts there, as the command ip, comes and goes."""
        seen = {}
        for pid in sorted(procfs.numbers(self.host.proc)):
            seen.setdefault(self.host.tasks.namespace(pid, 'net'), pid)
        own = self.host.tasks.namespace('self', 'net')
        seen.pop(None, None)
        seen.pop(own, None)
        return (['self'] if own is not None else []) + sorted(seen.values(), reverse=True)[:_WATCHED - 1]

    def census(self, classes):
        """Namespaces by holder; the others by namespace. All classes each time, so that two censuses can be compared."""
        held = {}
        namespaces = self._tasks.namespaces('net')
        self._namespaces(held, namespaces)
        rows = sorted(namespaces.items(), key=lambda item: item[1][0].pid)
        if len(rows) > _NAMESPACES:
            note = 'networks: more than %d network namespaces; those of the oldest processes are counted' % _NAMESPACES
            self.not_measured = sorted(set(self.not_measured) | {note})
        for number, members in rows[:_NAMESPACES]:
            self._inside(held, number, members)
        return held

    def _inside(self, held, number, members):
        pid = members[0].pid
        names = devices(self._file(pid, 'dev'))
        found = {
            'network_device': (len(names), {'devices': family(names)}),
            'route': (parse_routes(self._file(pid, 'fib_triestat')) + parse_routes6(self._file(pid, 'rt6_stats')), {}),
            'neighbour': (max(0, self._file(pid, 'arp').count('\n') - 1), {}),
            'conntrack': (parse_stat(self._file(pid, 'stat/nf_conntrack')), {}),
        }
        for kind, (count, detail) in found.items():
            if count < 16:
                continue
            who = self._who(number, members, kind)
            each = _DEVICE_BYTES if kind == 'network_device' else self.host.bytes_of(_OBJECTS[kind]) or _GUESS_BYTES[kind]
            held[kind, number] = Holding(kind, who, count, count * each, dict(detail, processes=len(members)))

    def _who(self, number, members, kind):
        """A namespace of its own is named by its oldest process; that of the host by who set it up by netlink and worked most."""
        if number != self._tasks.first('net'):
            return self.host.owner_of(members[0])
        if kind in ('route', 'network_device'):
            tasks_now = self._tasks.now()
            users = [tasks_now[pid] for pid in netlink_users(self._file(members[0].pid, 'netlink')) if pid in tasks_now]
            now_s = dict((task, self.host.worked_s(task)) for task in users)
            worked = dict((task, now_s[task] - self._cpu_s.get(task.key, now_s[task])) for task in users)
            for task in users:
                self._cpu_s.setdefault(task.key, now_s[task])
            most = max(worked, key=worked.get, default=None)
            if most is not None and worked[most] > 0:
                return self.host.owner_of(most)
        return owner('host', 'network namespace of the host')

    def _namespaces(self, held, namespaces):
        known = set(namespaces)
        members = collections.Counter()
        by_descriptor = {}
        for task, _name, link, share in self._links.now():
            if link.startswith('net:['):
                number = int(link[5:-1]) if link[5:-1].isdigit() else 0
                if number not in namespaces:
                    members[task] += share
                    by_descriptor.setdefault(task, set()).add(number)
                    known.add(number)
        for task, count in members.most_common(_ROWS):
            count = max(len(by_descriptor[task]), int(count) if not self._links.whole else 0)
            self._hold(held, ('descriptor', task.key), self.host.owner_of(task), count, {'held_by': 'descriptor'})
        folders = collections.Counter()
        for point, kind, _device, _source, _options, root in mounts.parse_mountinfo(mounts.read_mountinfo(self.host, 'self')):
            if kind == 'nsfs' and root.startswith('net:['):
                number = int(root[5:-1]) if root[5:-1].isdigit() else 0
                if number not in known:
                    folders[os.path.dirname(point)] += 1
                known.add(number)
        for folder, count in folders.items():
            self._hold(held, ('mount', folder), owner('mount', folder), count, {'held_by': 'bind mount'})
        by_process = collections.Counter()
        for rows in namespaces.values():
            parent = self._tasks.now().get(rows[0].parent)
            by_process[parent or rows[0]] += 1
        for task, count in by_process.most_common(_ROWS):
            if count > 1:
                self._hold(held, ('children', task.key), self.host.owner_of(task), count, {'held_by': 'child processes'})
        total = self.host.exact_objects('net_namespace')
        if total is not None and total - len(known) >= _LEAST_LOST:
            detail = {'held_by': 'not found' if self._links.whole else 'not found; not all descriptors were read'}
            self._hold(held, ('lost',), owner('kernel', 'no process, descriptor or mount'), total - len(known), detail)

    @staticmethod
    def _hold(held, key, who, count, detail):
        held['network_namespace', key] = Holding('network_namespace', who, count, count * _NAMESPACE_BYTES, detail)
