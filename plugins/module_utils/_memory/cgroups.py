# SPDX-License-Identifier: GPL-3.0-or-later
"""Cgroups, and removed ones that the kernel keeps because something that they allocated is still in use.

cgroup v2 counts both for each subtree (cgroup.stat). Of v1 the kernel tells only how many there are in all (/proc/cgroups): those
without a folder are removed ones. Whose they are is then known only where the memory that is charged to a folder is more than its
children and itself have; which files pin them the kernel does not tell on any version.
"""

import ctypes
import os
import struct

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import parse_fields, read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

LARGE_ALIVE, LARGE_DYING = 5000, 2000
_FOLDERS, _NAMES, _STATS, _ROWS, _WATCHED = 1500, 12000, 1200, 512, 8  # what one census opens, lists, reads, returns and watches at most
_LEAST_SHARE = 0.02  # a subtree with less of all removed ones is not looked into
_BASE_BYTES, _CPU_BYTES = 16384, 2048  # of one memory cgroup, as measured (5.10, 6.18); counters for each CPU
_FILEID_KERNFS = 0xfe  # enum fid_type of linux/exportfs.h
_libc = ctypes.CDLL(None, use_errno=True)
_PINNED = ('file', 'shmem', 'anon', 'slab', 'cache', 'rss')


def hierarchies(root='/'):
    """Return {'v2' or controller of v1: folder} of what is mounted in this mount namespace; 'v2 memory' where v2 has that controller."""
    found = {}
    for line in read_text(os.path.join(root, 'proc/self/mountinfo')).splitlines():
        left, _dash, right = line.partition(' - ')
        mount, system = left.split(), right.split()
        if len(mount) < 5 or len(system) < 3 or system[0] not in ('cgroup', 'cgroup2'):
            continue
        folder = os.path.join(root, mount[4].lstrip('/'))
        if system[0] == 'cgroup2':
            found.setdefault('v2', folder)
            if 'memory' in read_text(os.path.join(folder, 'cgroup.controllers')).split():
                found.setdefault('v2 memory', folder)
        else:
            for controller in system[2].split(','):
                found.setdefault(controller, folder)
    return found


def members(top, number):
    """Return the processes of the cgroup with a number (its inode, as sock_diag(7) reports) in a v2 hierarchy; () where it is not known."""
    handle = struct.pack('=IiQ', 8, _FILEID_KERNFS, number)
    try:
        mount = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        folder = _libc.open_by_handle_at(mount, handle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(mount)
    if folder < 0:
        return ()
    try:
        return tuple(int(word) for word in read_text('/proc/self/fd/%d/cgroup.procs' % folder).split() if word.isdigit())
    finally:
        os.close(folder)


def counted(root='/'):
    """Return {controller: number of cgroups, removed ones among them} of /proc/cgroups, for those of v1 hierarchies."""
    rows = [line.split() for line in read_text(os.path.join(root, 'proc/cgroups')).splitlines()]
    return dict((row[0], int(row[2])) for row in rows if len(row) == 4 and row[1].isdigit() and int(row[1]) > 0 and row[2].isdigit())


class Tree:
    """The folders of one hierarchy with children: {path below its top: children}. A folder's link count tells how many it has."""

    def __init__(self, top):
        self.top, self.children, self.whole = top, {}, True
        self._names = 0
        queue = ['']
        self._count('')
        while queue and len(self.children) < _FOLDERS:
            path = queue.pop(0)
            if not self.children.get(path):
                continue
            for name in self.listed(path):
                child = '%s/%s' % (path, name)
                if self._count(child):
                    queue.append(child)
        self.whole = self.whole and not queue
        self.alive = sum(self.children.values())

    def _count(self, path):
        try:
            links = os.stat(self.top + path).st_nlink
        except OSError:
            return 0
        if links > 2:
            self.children[path] = links - 2
        return links - 2

    def listed(self, path):
        """Return the names of the folders in one, until as many were listed as a census may."""
        names = []
        try:
            with os.scandir(self.top + path) as entries:
                for entry in entries:
                    if self._names >= _NAMES:
                        self.whole = False
                        break
                    if entry.is_dir(follow_symlinks=False):
                        self._names += 1
                        names.append(entry.name)
        except OSError:
            pass
        return names


class CgroupSource(Source):
    """Alive and removed cgroups by subtree."""

    STEPS = {'cgroup': (16, None), 'dying_cgroup': (16, None)}
    LARGE = {'cgroup': (LARGE_ALIVE, None), 'dying_cgroup': (LARGE_DYING, None)}

    def __init__(self, host):
        super().__init__(host)
        self._places = hierarchies(host.root)
        self._v2 = self._places.get('v2 memory') or ('memory' not in self._places and self._places.get('v2')) or None
        self._top = self._v2 or self._places.get('memory')
        self._each = _BASE_BYTES + _CPU_BYTES * os.sysconf('SC_NPROCESSORS_CONF')
        self._creators = host.creators
        self._first = None  # of v1: removed ones at the first census, and what _rest returned
        if not self._top:
            self.not_measured.append('cgroups: no hierarchy of cgroups is mounted here')

    def read(self):
        """Totals. Of v1, 'cgroup' counts removed ones too: only a census tells them apart."""
        if self._v2:
            stat = parse_fields(read_text(self._v2 + '/cgroup.stat'))
            alive, dying = stat.get('nr_descendants'), stat.get('nr_dying_descendants')
            counts = {'cgroup': alive, 'dying_cgroup': dying}
            return dict((name, (count, count * self._each)) for name, count in counts.items() if count is not None)
        total = counted(self.host.root).get('memory')
        return {'cgroup': (total, total * self._each)} if total is not None and self._top else {}

    def census(self, classes):
        """Who has the most cgroups and removed ones."""
        if not self._top:
            return {}
        tree = Tree(self._top)
        if not tree.whole:
            self._note('cgroups: more than %d folders; those below the largest are counted, the others not' % _FOLDERS)
        held = {}
        largest = sorted(tree.children.items(), key=lambda item: (-item[1], item[0]))[:_ROWS]
        for path, _count in largest[:_WATCHED]:
            self._creators.watch(self._top + path)
        for path, count in largest:
            detail = {'hierarchy': 'v2' if self._v2 else 'v1'}
            self._hold(held, 'cgroup', path, count, detail)
        if self._v2:
            for path, count in self._dying(tree):
                self._creators.watch(self._top + path)
                self._hold(held, 'dying_cgroup', path, count, self._pinned(path, tree))
        else:
            total = counted(self.host.root).get('memory', 0)
            if tree.whole and total > tree.alive + 1:
                self._hold_v1(held, tree, total - tree.alive - 1)
        return held

    def _hold(self, held, kind, path, count, detail):
        who = self._creators.of(self._top + path)
        if who is None or who['pid'] == 1:  # a unit says more than systemd, which makes them for all
            who = owner('cgroup', path or '/', cgroup=path or '/')
        else:
            detail = dict(detail, path=path or '/')
        held[kind, path or '/'] = Holding(kind, who, count, count * self._each, detail)

    def _note(self, text):
        if text not in self.not_measured:
            self.not_measured.append(text)

    def _dying(self, tree):
        """Yield (path, removed cgroups directly below it), from the top down, into subtrees with a share of all of them only."""
        def dying(path):
            return parse_fields(read_text('%s%s/cgroup.stat' % (self._top, path))).get('nr_dying_descendants', 0)

        total, reads, found = dying(''), 1, []
        queue = [('', total)]
        while queue:
            path, count = queue.pop(0)
            below = []
            for name in tree.listed(path) if path in tree.children else ():
                if reads >= _STATS:
                    self._note('removed cgroups: more than %d folders; those of the others count for their parents' % _STATS)
                    break
                reads += 1
                child = '%s/%s' % (path, name)
                inner = dying(child)
                if inner >= max(1, _LEAST_SHARE * total):
                    below.append((child, inner))
            queue.extend(below)
            own = count - sum(inner for _child, inner in below)
            if own > 0:
                found.append((path, own))
        return sorted(found, key=lambda row: (-row[1], row[0]))[:_ROWS]

    def _pinned(self, path, tree):
        """What is charged to a folder and to none of its children: it pins the removed ones (v2)."""
        def stat(place):
            fields = parse_fields(read_text('%s%s/memory.stat' % (self._top, place)))
            return dict((name, fields.get(name, 0)) for name in _PINNED[:4])

        if not path or tree.children.get(path, 0) > 64:
            return {}
        rest = stat(path)
        for name in tree.listed(path) if path in tree.children else ():
            for field, value in stat('%s/%s' % (path, name)).items():
                rest[field] -= value
        if read_text('%s%s/cgroup.procs' % (self._top, path)).strip():
            return {}  # its own processes have some of it
        pinned = dict((name, value) for name, value in rest.items() if value > 0)
        return {'pinned_%s_bytes' % max(pinned, key=pinned.get): max(pinned.values())} if pinned else {}

    def _hold_v1(self, held, tree, dying):
        """The removed ones of v1: the folder with most charged memory that nobody below it has. Nobody is named where there is none.

        Those that came since the first census are the folder's whose such memory grew most since then.
        """
        rest = self._rest(tree)
        first, before = self._first = self._first or (dying, rest)
        grown = dict((path, size - before.get(path, 0)) for path, size in rest.items())
        new = max(grown, key=grown.get, default='')
        old = max(before, key=before.get, default='')
        added = max(0, dying - first) if grown.get(new, 0) > 0 else 0
        counts = {}
        for path, count in ((old if before.get(old, 0) > 0 else None, dying - added), (new, added)):
            counts[path] = counts.get(path, 0) + count
        for path, count in counts.items():
            if path is None and count:
                who = owner('kernel', 'cgroup v1')
                held['dying_cgroup', 'kernel'] = Holding('dying_cgroup', who, count, count * self._each, {'subtree': 'not known'})
            elif count:
                detail = {'charged_without_owner_bytes': max(0, rest.get(path, 0)), 'subtree': 'probably'}
                self._hold(held, 'dying_cgroup', path, count, detail)

    def _rest(self, tree):
        """Return {path: bytes that are charged to a folder and neither to those below it nor to its own processes} (v1)."""
        def usage(path):
            digits = read_text('%s%s/memory.usage_in_bytes' % (self._top, path)).strip()
            return int(digits) if digits.isdigit() else 0

        found, reads = {}, 0
        for path in sorted(set(tree.children) | set('/' + name for name in tree.listed('')), key=lambda path: (path.count('/'), path)):
            names = tree.listed(path) if path in tree.children else ()
            reads += len(names) + 1
            if reads > _STATS:
                break
            if path:
                local = parse_fields(read_text('%s%s/memory.stat' % (self._top, path)))
                below = sum(usage('%s/%s' % (path, name)) for name in names)
                found[path] = usage(path) - below - local.get('cache', 0) - local.get('rss', 0)
                self._creators.watch(self._top + path)
        return found
