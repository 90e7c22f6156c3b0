# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a host: hardware and storage counters, settings for a crash, and how earlier boots ended.

Only reads. What a kernel or host does not have is left out or null, never invented.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe
from ansible_collections.ksysak.fleet.plugins.module_utils._host_health import boots, counters, nvme, settings


def collect(max_age_s, root='/'):
    """Return the data of schema ksysak.host_health/1.

    max_age_s: boots that ended longer ago are left out; root: folder that is taken for the host's root.
    """
    def under(*parts):
        return os.path.join(root, *parts)

    return dict(
        counters.tables(under),
        kernel=settings.kernel(under),
        panic_settings=settings.panic(under),
        kdump=settings.kdump(under),
        taint=settings.taint(under),
        unclean_boots=boots.unclean(max_age_s),
        ecc=counters.memory(under('sys/devices/system/edac/mc')),
        nvme=nvme.drives(under('sys/class/nvme'), under('dev')),
        file_systems=counters.file_systems(under),
    )


class FilesEngine(Engine):
    """Counters and settings in proc and sys, the drives' own logs, and the journal's list of boots.

    All is read when the window has ended, so that nothing disturbs what is measured beside it.
    """

    NAME = 'sysfs'

    def read(self, window_s):
        return collect(self.options['max_age_days'] * 86400.0)


class HostHealthProbe(Probe):
    """Hardware, storage, settings and earlier boots."""

    NAME = 'host_health'
    ENGINES = (FilesEngine,)
    OPTIONS = {'max_age_days': {'type': 'int', 'default': 30}}
    BOUNDS = {'max_age_days': (1, 3650)}
