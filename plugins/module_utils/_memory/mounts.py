# SPDX-License-Identifier: GPL-3.0-or-later
"""Mounts, by mount namespace and folder, and loop devices."""

import collections
import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import owner
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.source import Holding, Source

LARGE_MOUNTS, LARGE_LOOPS = 20000, 256
_NAMESPACES, _LEAST, _READ_BYTES = 400, 24, 32 * 2 ** 20
_MOUNT_BYTES = 512  # struct mount with its names and identifiers, where the size of mnt_cache is not known


def parse_mountinfo(text):
    """Return [(mount point, type of the file system, device 'major:minor', source, options, root)] of a mountinfo file's text."""
    found = []
    for line in text.splitlines():
        left, _dash, right = line.partition(' - ')
        mount, system = left.split(' '), right.split(' ')
        if len(mount) > 4 and len(system) > 1:
            found.append((mount[4], system[0], mount[2], system[1], system[2] if len(system) > 2 else '', mount[3]))
    return found


def folder_of(points):
    """Return the deepest folder that has more than half of the mount points at or below it."""
    counts = collections.Counter()
    for point in points:
        parts = point.strip('/').split('/')
        for depth in range(1, len(parts) + 1):
            counts['/' + '/'.join(parts[:depth])] += 1
    half = len(points) / 2.0
    return max((folder for folder in counts if counts[folder] > half), key=lambda folder: (folder.count('/'), folder), default='/')


def read_mountinfo(host, pid):
    """Return the text of a process's mountinfo, at most _READ_BYTES of it."""
    try:
        with open('%s/%s/mountinfo' % (host.proc, pid), errors='replace') as stream:
            return stream.read(_READ_BYTES)
    except OSError:
        return ''


class MountSource(Source):
    """Mounts of all mount namespaces that have a process."""

    STEPS = {'mount': (16, None)}
    LARGE = {'mount': (LARGE_MOUNTS, None)}

    def __init__(self, host):
        super().__init__(host)
        self._tasks = host.tasks

    def read(self):
        """The number of mounts of the whole host at most: its slab counter, which may be shared with others."""
        count = self.host.objects('mnt_cache')
        if count is None:
            count = read_mountinfo(self.host, 'self').count('\n')
        return {'mount': (count, None)}

    def census(self, classes):
        """Mounts by namespace. That of the host is named by the folder that has most, another one by its oldest process."""
        each = self.host.bytes_of(('mnt_cache',)) or _MOUNT_BYTES
        most = sysfs.integer(os.path.join(self.host.proc, 'sys/fs/mount-max'))
        first = self._tasks.first('mnt')
        namespaces = sorted(self._tasks.namespaces('mnt').items(), key=lambda item: item[1][0].pid)
        if len(namespaces) > _NAMESPACES:
            note = 'mounts: more than %d mount namespaces; those of the oldest processes are counted' % _NAMESPACES
            self.not_measured = sorted(set(self.not_measured) | {note})
        rows = []
        for number, members in namespaces[:_NAMESPACES]:
            text = read_mountinfo(self.host, members[0].pid)
            if text:
                rows.append((text.count('\n'), number, members, text))
        rows.sort(key=lambda row: (-row[0], row[1]))
        held = {}
        for count, number, members, text in rows:
            if count < _LEAST:
                break
            mounts = parse_mountinfo(text)
            folder = folder_of([row[0] for row in mounts])
            kinds = collections.Counter(row[1] for row in mounts)
            detail = {'folder': folder, 'file_system': kinds.most_common(1)[0][0] if kinds else '', 'processes': len(members)}
            who = owner('mount', folder) if number == first else self.host.owner_of(members[0])
            held['mount', number] = Holding('mount', who, count, count * each, detail, most)
        return held


class LoopSource(Source):
    """Loop devices that have a file."""

    STEPS = {'loop_device': (4, None)}
    LARGE = {'loop_device': (LARGE_LOOPS, None)}

    def _devices(self):
        folder = os.path.join(self.host.root, 'sys/block')
        return [name for name in sysfs.entries(folder) if name.startswith('loop') and
                os.path.exists(os.path.join(folder, name, 'loop/backing_file'))]

    def read(self):
        """How many there are."""
        return {'loop_device': (len(self._devices()), None)}

    def census(self, classes):
        """By the folder of their files."""
        files = collections.defaultdict(list)
        for name in self._devices():
            path = sysfs.text(os.path.join(self.host.root, 'sys/block', name, 'loop/backing_file')) or '?'
            files[os.path.dirname(path)].append(path)
        held = {}
        for folder, paths in files.items():
            held['loop_device', folder] = Holding('loop_device', owner('directory', folder), len(paths), None, {'file': paths[-1][:128]})
        return held
