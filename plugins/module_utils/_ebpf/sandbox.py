# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount namespace for one probe process: tracefs, and a folder that cannot be left behind.

bcc reads the layout of tracepoints from tracefs, which many hosts do not mount,
and wants header files in a folder. Both are mounted for this process alone; the
kernel takes them away with the process, however it ends.
"""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

TRACEFS = '/sys/kernel/tracing'
# Old bcc looks for tracefs only here. What debugfs shows otherwise is of no use to a probe.
DEBUGFS = '/sys/kernel/debug'
HEADERS = DEBUGFS + '/headers'

_FLAGS = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC


def enter():
    """Move this process into a mount namespace with tracefs and an empty private folder at HEADERS.

    To be called once, in a process of its own. Raises Unavailable.
    """
    for folder, feature in ((TRACEFS, 'CONFIG_TRACING'), (DEBUGFS, 'CONFIG_DEBUG_FS')):
        if not os.path.isdir(folder):
            raise Unavailable('%s does not exist: this kernel was built without %s' % (folder, feature),
                              'Boot a kernel with %s.' % feature)
    try:
        linux.private_mounts()
        if not os.path.isdir(TRACEFS + '/events'):
            linux.mount('tracefs', TRACEFS, _FLAGS)
        linux.mount('tmpfs', DEBUGFS, _FLAGS, 'size=2m,mode=0700')
        os.mkdir(DEBUGFS + '/tracing')
        linux.mount('tracefs', DEBUGFS + '/tracing', _FLAGS)
        os.mkdir(HEADERS)
    except OSError as error:
        raise Unavailable(error.strerror, 'Run the scan on the host itself as root; in a container it needs CAP_SYS_ADMIN.')
