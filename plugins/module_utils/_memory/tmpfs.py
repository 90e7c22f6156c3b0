# SPDX-License-Identifier: GPL-3.0-or-later
"""Files in tmpfs and memfds: who has them open, and what no process has open, by mount.

A mount is looked at in the mount namespace that it is in, and only where no folder above it is on a network, FUSE or automounted file
system, which could make this process wait.
"""

import collections
import os
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import meminfo
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import mounts
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

STEP_BYTES = 2 ** 20
_NAMESPACES, _ROWS, _ENTRIES, _WATCH_S = 64, 24, 512, 0.2
# Without a block device, and yet never remote.
_LOCAL = ('tmpfs', 'ramfs', 'devtmpfs', 'overlay', 'proc', 'sysfs', 'rootfs', 'zfs', 'btrfs')

# point: mount point in its namespace; place: the same seen from this process
Mount = collections.namedtuple('Mount', 'point place device bytes files size inodes')


def safe(point, table):
    """May this process go to a mount point? table: {mount point: (type, device)}: all above it are on local file systems."""
    parts = point.strip('/').split('/')
    for depth in range(len(parts) + 1):
        above = '/' + '/'.join(parts[:depth])
        if above in table:
            kind, device = table[above]
            if device.startswith('0:') and kind not in _LOCAL:
                return False
    return True


def tmpfs_mounts(host, namespaces):
    """Yield a Mount for each tmpfs, once, of this mount namespace and of others. namespaces: of Tasks.namespaces('mnt')."""
    seen = set()
    members = sorted(namespaces.values(), key=lambda rows: rows[0].pid)[:_NAMESPACES]
    for pid in ['self'] + [rows[0].pid for rows in members]:
        rows = mounts.parse_mountinfo(mounts.read_mountinfo(host, pid))
        table = dict((row[0], (row[1], row[2])) for row in rows)
        for point, kind, device, _source, _options, _root in rows:
            if kind != 'tmpfs' or device in seen or not safe(point, table):
                continue
            place = host.root.rstrip('/') + point if pid == 'self' else '%s/%s/root%s' % (host.proc, pid, point)
            try:
                # Another mount may lie on top of it.
                if '%d:%d' % (os.major(os.lstat(place).st_dev), os.minor(os.lstat(place).st_dev)) != device:
                    continue
                stat = os.statvfs(place)
            except OSError:
                continue
            seen.add(device)
            yield Mount(point, place, device, (stat.f_blocks - stat.f_bfree) * stat.f_frsize, stat.f_files - stat.f_ffree,
                        stat.f_blocks * stat.f_frsize, stat.f_files)


def largest(folder):
    """Return (name, bytes) of the largest file directly in a folder, of the first _ENTRIES entries; (None, 0) without any."""
    best = (None, 0)
    try:
        with os.scandir(folder) as entries:
            for number, entry in enumerate(entries):
                if number >= _ENTRIES:
                    break
                size = entry.stat(follow_symlinks=False).st_blocks * 512
                if size > best[1]:
                    best = (entry.name, size)
    except OSError:
        pass
    return best


class TmpfsSource(Source):
    """Shared memory that is in files: tmpfs and memfd."""

    STEPS = {'tmpfs': (None, STEP_BYTES)}

    def __init__(self, host):
        super().__init__(host)
        self._tasks, self._links, self._creators = host.tasks, host.links, host.creators
        self._before, self._writers, self._known, self._since = {}, {}, set(), None
        self.LARGE = {'tmpfs': (None, max(2 ** 29, meminfo.read(host.root).get('MemTotal', 0) // 10))}

    def read(self):
        """All shared memory of the host, as the kernel counts it."""
        shmem = meminfo.read(self.host.root).get('Shmem')
        return {} if shmem is None else {'tmpfs': (None, shmem)}

    def census(self, classes):
        """Open files by process, the rest by mount."""
        found = list(tmpfs_mounts(self.host, self._tasks.namespaces('mnt')))
        devices = dict((mount.device, mount) for mount in found)
        prefixes = tuple(sorted(set(mount.point.rstrip('/') + '/' for mount in found if mount.point != '/'))) + ('/memfd:',)
        held, seen, open_bytes = {}, set(), collections.Counter()
        for task, name, link, _share in self._links.now():
            if not link.startswith(prefixes):
                continue
            try:
                stat = os.stat('%s/%d/fd/%s' % (self.host.proc, task.pid, name))
            except OSError:
                continue
            file = (stat.st_dev, stat.st_ino)
            mount = devices.get('%d:%d' % (os.major(stat.st_dev), os.minor(stat.st_dev)))
            memfd = link.startswith('/memfd:')
            if file in seen or not (mount or memfd):
                continue
            seen.add(file)
            if self._since is not None and file not in self._known and stat.st_mtime < self._since:
                continue  # it is older than the first census, which counted it for the mount
            self._known.add(file)
            size = stat.st_blocks * 512
            if mount:
                open_bytes[mount.device] += size
            self._add(held, 'memfd' if memfd else 'tmpfs', task, size, link, mount)
        self._since = self._since or time.time()
        for mount in found:
            rest = mount.bytes - open_bytes[mount.device]
            self._rest(held, mount, rest)
        return dict(sorted(held.items(), key=lambda item: -item[1].bytes)[:_ROWS])

    def _add(self, held, kind, task, size, link, mount):
        key = (kind, task.key)
        row = held.get(key)
        if row is None:
            row = held[key] = Holding(kind, self.host.owner_of(task), 0, 0, {'file': link[:128], 'file_bytes': 0})
            if mount:
                row.detail['mount'] = mount.point
        row.count += 1
        row.bytes += size
        if size > row.detail['file_bytes']:
            row.detail.update(file=link[:128], file_bytes=size)

    def _rest(self, held, mount, rest):
        """What no process has open at this instant: whoever writes to the mount now is named, else the mount."""
        before, total = self._before.get(mount.device, (rest, mount.bytes))
        rest = min(rest, before + max(0, mount.bytes - total))  # a file that was closed meanwhile is no growth
        grew = rest - before
        self._before.setdefault(mount.device, (rest, mount.bytes))
        if rest < STEP_BYTES:
            return
        name, size = largest(mount.place)
        detail = {'mount': mount.point, 'size_bytes': mount.size}
        if name:
            detail.update(file=name[:128], file_bytes=size)
        if grew >= STEP_BYTES and mount.device not in self._writers:
            self._writers[mount.device] = self._creators.writer_now(mount.place, _WATCH_S)
        who = self._writers.get(mount.device) or owner('mount', mount.point)
        held['tmpfs', ('mount', mount.device)] = Holding('tmpfs', who, mount.files, rest, detail)
