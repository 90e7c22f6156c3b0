# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of the limits is used, and when they are reached at the rate of the window.

Read at the start, with the first census and at the end (what costs files of each process, in the last two): what grows only in one half
has no time of exhaustion. Counts of slab objects are upper bounds: they stand for limits whose use the kernel reports nowhere (per user,
and reported as used by all users together).
"""

import collections
import functools
import os
import resource
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo, sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_fields, parse_sockstat, read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import bpf_objects, cgroups, descriptors, networks, tmpfs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner

ROWS, _OF_A_KIND = 40, 3
_GOES_ON = 0.2  # growth of the second half, as a share of that of the first, that still goes on
_UNLIMITED = 2 ** 60  # v1 shows no limit as a number close to 2^63
_CGROUPS = 600
_OWN = ('RLIMIT_', 'vm.max_map_count')  # limits of processes and users
_OWN_SHARE = 0.3  # below this share of a limit of its own, a process or user is not listed
_LEAST_OF_USER = 64  # threads or signals of a user whose limit is asked for
_RLIMIT_SIGPENDING = 11  # for which Python 3.6 has no name
_WATCHES_SHARE = 0.05
_SLAB_LIMITS = (
    ('fs.epoll.max_user_watches', 'eventpoll_epi', 'sys/fs/epoll/max_user_watches'),
    ('user.max_user_namespaces', 'user_namespace', 'sys/user/max_user_namespaces'),
    ('user.max_net_namespaces', 'net_namespace', 'sys/user/max_net_namespaces'),
)

# One limit at one instant. unit: 'bytes' or what is counted; owner: dict, None, or a function that returns it
Use = collections.namedtuple('Use', 'used limit unit owner')


class Limits:
    """The limits of a host through a window."""

    def __init__(self, host):
        self._host, self._programs = host, bpf_objects.Table('prog')
        self._rlimits = {}  # {(key of a process, limit): value or None}
        self._readings = []  # (seconds, {(limit, key of the owner): Use})
        self._places = cgroups.hierarchies(host.root)

    def observe(self, dear=False):
        """Read how much is used now. dear: also what costs a file for each process, cgroup or mount."""
        found = dict(((name, None), use) for name, use in self._host_wide())
        if dear:
            for rows in (self._keys(), self._processes(), self._mappings(), self._inotify_instances(), self._cgroups(), self._tmpfs()):
                found.update(rows)
        self._readings.append((time.monotonic(), found))

    def rows(self):
        """Return the rows of the facts, nearest to exhaustion first."""
        found, of_a_kind = [], collections.Counter()
        now_s, now = self._readings[-1]
        for (name, key), use in now.items():
            if not use.limit or use.limit >= _UNLIMITED or (name.startswith(_OWN) and use.used < _OWN_SHARE * use.limit):
                continue
            points = [(at_s, read[name, key].used) for at_s, read in self._readings if (name, key) in read]
            found.append(row(name, use, points))
        found.sort(key=lambda one: (-one['share'], one['limit']))
        kept = []
        for one in found:
            of_a_kind[one['limit']] += 1
            if of_a_kind[one['limit']] <= _OF_A_KIND:
                kept.append(one)
        for one in kept:
            if callable(one['owner']):
                one['owner'] = one['owner']()
        return kept[:ROWS]

    # what costs a few files

    def _integer(self, *path):
        return sysfs.integer(os.path.join(self._host.proc, *path))

    def _words(self, *path):
        return [int(word) for word in read_text(os.path.join(self._host.proc, *path)).split() if word.lstrip('-').isdigit()]

    def _host_wide(self):
        """Yield (limit, Use) of what is the whole host's."""
        page = meminfo.PAGE_BYTES
        memory = meminfo.read(self._host.root)
        total = memory.get('MemTotal', 0)
        sockets = parse_sockstat(read_text(os.path.join(self._host.proc, 'net/sockstat')))
        for protocol in ('tcp', 'udp'):
            most = self._words('sys/net/ipv4/%s_mem' % protocol)
            used = sockets.get(protocol.upper(), {}).get('mem')
            if len(most) == 3 and used is not None:
                yield 'net.ipv4.%s_mem' % protocol, Use(used * page, most[2] * page, 'bytes', None)
        orphans = self._integer('sys/net/ipv4/tcp_max_orphans')
        if orphans and 'TCP' in sockets:
            yield 'net.ipv4.tcp_max_orphans', Use(sockets['TCP'].get('orphan', 0), orphans, 'sockets', None)
        files = self._words('sys/fs/file-nr')
        if len(files) == 3:
            yield 'fs.file-max', Use(files[0], files[2], 'files', None)
        tasks = read_text(os.path.join(self._host.proc, 'loadavg')).partition('/')[2].split()
        for name in ('threads-max', 'pid_max') if tasks else ():
            yield 'kernel.' + name, Use(int(tasks[0]), self._integer('sys/kernel', name), 'threads', None)
        yield 'fs.aio-max-nr', Use(self._integer('sys/fs/aio-nr') or 0, self._integer('sys/fs/aio-max-nr'), 'requests', None)
        conntrack = self._integer('sys/net/netfilter/nf_conntrack_count')
        if conntrack is not None:
            yield 'net.netfilter.nf_conntrack_max', Use(conntrack, self._integer('sys/net/netfilter/nf_conntrack_max'), 'connections', None)
        for version, table in (('ipv4', 'arp_cache'), ('ipv6', 'ndisc_cache')):
            entries = networks.parse_stat(read_text(os.path.join(self._host.proc, 'net/stat', table)))
            most = self._integer('sys/net/%s/neigh/default/gc_thresh3' % version)
            if entries <= (most or 0):  # permanent entries are counted, but have no limit: there are such ones
                yield 'net.%s.neigh.default.gc_thresh3' % version, Use(entries, most, 'entries', None)
        jit = self._integer('sys/net/core/bpf_jit_limit')
        if jit and self._host.root == '/':
            try:
                self._programs.update()
                yield 'net.core.bpf_jit_limit', Use(bpf_objects.jit_bytes(self._programs.objects.values(), _release()), jit, 'bytes', None)
            except OSError:
                pass  # the source of BPF objects says so
        if 'VmallocTotal' in memory:
            yield 'vmalloc space', Use(memory.get('VmallocUsed', 0), memory['VmallocTotal'], 'bytes', None)
        yield 'SUnreclaim of memory', Use(memory.get('SUnreclaim', 0), total, 'bytes', None)
        yield 'swap', Use(memory.get('SwapTotal', 0) - memory.get('SwapFree', 0), memory.get('SwapTotal', 0), 'bytes', None)
        for size, pool in meminfo.huge_pools(self._host.root).items():
            taken = pool['nr'] - pool['free'] + pool['resv']
            yield 'huge pages of %d KiB' % (size // 1024), Use(taken, pool['nr'] + pool['overcommit'], 'pages', None)
        for name, cache, path in _SLAB_LIMITS:
            used = self._host.exact_objects(cache)
            if used is not None:
                yield name, Use(used, self._integer(path), 'objects of all users', None)
        mounts = read_text(os.path.join(self._host.proc, 'self/mountinfo')).count('\n')
        yield 'fs.mount-max', Use(mounts, self._integer('sys/fs/mount-max'), 'mounts', None)

    def _mappings(self):
        """Mappings of the processes that were read when their number grew."""
        most = self._integer('sys/vm/max_map_count')
        return dict((('vm.max_map_count', key), Use(count, most, 'mappings', functools.partial(self._host.owner_of, one)))
                    for key, (one, count) in self._host.mappings.items())

    def _keys(self):
        """Keys by user: /proc/key-users."""
        found = {}
        for line in read_text(os.path.join(self._host.proc, 'key-users')).splitlines():
            uid, _colon, rest = line.partition(':')
            words = rest.split()
            if not uid.strip().isdigit() or len(words) < 4:
                continue
            who = owner('uid', uid.strip(), uid=int(uid))
            for name, word, unit in (('kernel.keys.maxkeys', words[2], 'keys'), ('kernel.keys.maxbytes', words[3], 'bytes')):
                used, _slash, most = word.partition('/')
                if used.isdigit() and most.isdigit():
                    found[name, uid.strip()] = Use(int(used), int(most), unit, who)
        return found

    def _processes(self):
        """Limits of setrlimit(2): descriptors and locked memory by process, threads and queued signals by user."""
        found, by_user = {}, {}
        for one in self._host.processes():
            used, most = _number(one), self._rlimit(one, resource.RLIMIT_NOFILE)
            if used and most:
                found['RLIMIT_NOFILE', one.key] = Use(used, most, 'descriptors', functools.partial(self._host.owner_of, one))
            if one.uid:  # root may exceed what follows
                by_user.setdefault(one.uid, []).append(one)
                locked = one.bytes('VmLck')
                most = self._rlimit(one, resource.RLIMIT_MEMLOCK) if locked else None
                if most:
                    found['RLIMIT_MEMLOCK', one.key] = Use(locked, most, 'bytes', functools.partial(self._host.owner_of, one))
        for uid, members in by_user.items():
            who = owner('uid', str(uid), uid=uid)
            threads, queued = sum(one.threads for one in members), max(int(one.fields.get('SigQ', 0)) for one in members)
            for name, used, unit in (('NPROC', threads, 'threads'), ('SIGPENDING', queued, 'signals')):
                if used >= _LEAST_OF_USER:
                    limits = [self._rlimit(one, getattr(resource, 'RLIMIT_' + name, _RLIMIT_SIGPENDING)) for one in members]
                    most = min((limit for limit in limits if limit), default=None)
                    if most:
                        found['RLIMIT_' + name, uid] = Use(used, most, unit, who)
        return found

    def _rlimit(self, process, which):
        """Return a soft limit of a process, None: there is none, or it has ended. Asked for once: hardly any process changes its own."""
        key = (process.key, which)
        if key not in self._rlimits:
            try:
                most = resource.prlimit(process.pid, which)[0] if self._host.root == '/' else 0
            except (OSError, ValueError):
                most = 0
            self._rlimits[key] = most if most > 0 else None  # RLIM_INFINITY is -1
        return self._rlimits[key]

    def _inotify_instances(self):
        """inotify instances and their watches by user: of the processes with fewest descriptors first, see inotify.py."""
        most, most_watches = (self._integer('sys/fs/inotify/max_user_' + name) for name in ('instances', 'watches'))
        marks = self._host.objects('inotify_inode_mark')  # an upper bound: few need no look at each
        count_watches = most_watches and (marks is None or marks >= _WATCHES_SHARE * most_watches)
        by_user, watches = collections.Counter(), collections.Counter()
        for one in sorted(self._host.processes(), key=_number):
            found = self._host.inotify.of(one)
            if found:
                try:
                    uid = os.stat(one.place).st_uid  # the effective user, as the kernel accounts
                except OSError:
                    continue
                by_user[uid] += len(found)
                if count_watches:
                    watches[uid] += sum(read_text('%s/fdinfo/%d' % (one.place, number)).count('inotify wd:') for number in found)
        found = {}
        for name, limit, counts in (('instances', most, by_user), ('watches', most_watches, watches)):
            for uid, count in counts.items():
                if count:
                    found['fs.inotify.max_user_' + name, uid] = Use(count, limit, name, owner('uid', str(uid), uid=uid))
        return found

    def _cgroups(self):
        """memory.max and pids.max of at most _CGROUPS cgroups; of memory what cannot be reclaimed at once (without inactive files)."""
        found = {}
        v2 = self._places.get('v2')
        if v2:
            controllers = read_text(v2 + '/cgroup.controllers').split()
            for folder, path in _folders(v2):
                if 'memory' in controllers:
                    self._cgroup_memory(found, folder, path, 'memory.max', 'memory.current', 'inactive_file')
                if 'pids' in controllers:
                    self._cgroup_pids(found, folder, path)
        if 'memory' in self._places:
            for folder, path in _folders(self._places['memory']):
                self._cgroup_memory(found, folder, path, 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file')
        if 'pids' in self._places:
            for folder, path in _folders(self._places['pids']):
                self._cgroup_pids(found, folder, path)
        return found

    @staticmethod
    def _cgroup_memory(found, folder, path, limit, usage, reclaimable):
        most = sysfs.integer(os.path.join(folder, limit))  # 'max' is no number
        used = sysfs.integer(os.path.join(folder, usage)) if most and most < _UNLIMITED else None
        if used is not None:
            used -= parse_fields(read_text(os.path.join(folder, 'memory.stat'))).get(reclaimable, 0)
            found['memory.max', path] = Use(max(0, used), most, 'bytes', owner('cgroup', path, cgroup=path))

    @staticmethod
    def _cgroup_pids(found, folder, path):
        most = sysfs.integer(os.path.join(folder, 'pids.max'))
        used = sysfs.integer(os.path.join(folder, 'pids.current')) if most else None
        if used is not None:
            found['pids.max', path] = Use(used, most, 'threads', owner('cgroup', path, cgroup=path))

    def _tmpfs(self):
        """Space and inodes of each tmpfs."""
        found = {}
        for mount in tmpfs.tmpfs_mounts(self._host, self._host.tasks.namespaces('mnt')):
            who = owner('mount', mount.point)
            if mount.size:
                found['size of tmpfs', mount.device] = Use(mount.bytes, mount.size, 'bytes', who)
            if mount.inodes:
                found['inodes of tmpfs', mount.device] = Use(mount.files, mount.inodes, 'inodes', who)
        return found


def _number(process):
    """The number of a process's descriptors, 0 where it may not be read."""
    try:
        return descriptors.count(process)
    except PermissionError:
        return 0


def _folders(top):
    """Yield (folder, path below the top) of the cgroups below one, breadth first, at most _CGROUPS."""
    queue, left = [''], _CGROUPS
    while queue:
        path = queue.pop(0)
        try:
            with os.scandir(top + path) as entries:
                names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
        for name in names:
            left -= 1
            if left < 0:
                return
            child = '%s/%s' % (path, name)
            queue.append(child)
            yield top + child, child


def _release():
    return tuple(int(part) for part in os.uname().release.split('-')[0].split('.')[:2] if part.isdigit())


def row(name, use, points):
    """Return one row of the facts. points: [(seconds, used)] of at least one reading, the last one now."""
    (first_s, first), (last_s, last) = points[0], points[-1]
    per_s = (last - first) / (last_s - first_s) if last_s > first_s else None
    goes_on = per_s is not None and per_s > 0
    if goes_on and len(points) > 2:
        middle = points[len(points) // 2][1]
        goes_on = last - middle > _GOES_ON * (middle - first) and middle > first
    return {
        'limit': name,
        'owner': use.owner,
        'used': use.used,
        'limit_value': use.limit,
        'unit': use.unit,
        'share': round(use.used / float(use.limit), 4),
        'per_s': None if per_s is None else round(per_s, 3),
        'exhausted_in_s': round(max(0, use.limit - use.used) / per_s, 1) if goes_on else None,
    }
