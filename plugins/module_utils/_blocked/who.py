# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of block devices, and cgroups of processes, by /proc and /sys; kept while a window lasts."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.rows import Task
from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups, procfs, text

_MINOR_BITS = 20  # of the kernel's own dev_t (include/linux/kdev_t.h)
_MOST = 65536
_PATH_CHARS = 256


class Who:
    """Tasks and devices by the numbers that the kernel has for them."""

    def __init__(self):
        self._cgroups, self._devices = {}, {}
        self._cpu_root = cgroups.cpu_root()

    def task(self, pid, tid, comm, is_kernel_thread=False):
        """Return a Task; one that is gone has no cgroup, unless it was known before."""
        cgroup, cpu_cgroup, unit = (None, None, None) if is_kernel_thread else self._cgroup(pid)
        return Task(pid, tid, text.printable(comm, 64), cgroup, unit, is_kernel_thread, cpu_cgroup)

    def _cgroup(self, pid):
        if pid not in self._cgroups:
            if len(self._cgroups) >= _MOST:
                self._cgroups.clear()
            found = procfs.read_text('/proc/%d/cgroup' % pid)
            path = cgroups.parse(found)
            self._cgroups[pid] = tuple(name and text.printable(name, _PATH_CHARS)
                                       for name in (path, cgroups.of_cpu(found, self._cpu_root), cgroups.unit(path)))
        return self._cgroups[pid]

    def device(self, number):
        """Return the name of a block device ('vda'); None for 0."""
        if not number:
            return None
        if number not in self._devices:
            major, minor = number >> _MINOR_BITS, number & ((1 << _MINOR_BITS) - 1)
            link = '/sys/dev/block/%d:%d' % (major, minor)
            try:
                name = os.path.basename(os.readlink(link))
            except OSError:
                name = '%d:%d' % (major, minor)
            self._devices[number] = text.printable(name, 64)
        return self._devices[number]
