# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount namespace for one probe process: tracefs, and a folder that cannot be left behind.

bcc reads the layout of tracepoints from tracefs, which many hosts do not mount,
and wants header files in a folder. Both are mounted for this process alone; the
kernel takes them away with the process, however it ends.
"""

import ctypes
import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

TRACEFS = '/sys/kernel/tracing'
# Old bcc looks for tracefs only here. What debugfs shows otherwise is of no use to a probe.
DEBUGFS = '/sys/kernel/debug'
HEADERS = DEBUGFS + '/headers'

_CLONE_NEWNS = 0x00020000
_MS_NOSUID_NODEV_NOEXEC = 0x2 | 0x4 | 0x8
_MS_REC_PRIVATE = 0x4000 | 0x40000

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what, result):
    if result != 0:
        error = ctypes.get_errno()
        raise Unavailable(
            '%s: %s' % (what, os.strerror(error)),
            'Run the scan on the host itself as root; in a container it needs CAP_SYS_ADMIN.')


def _mount(kind, target, flags=_MS_NOSUID_NODEV_NOEXEC, data=b''):
    _call('cannot mount %s on %s' % (kind, target),
          _libc.mount(kind.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data))


def enter():
    """Move this process into a mount namespace with tracefs and an empty private folder at HEADERS.

    To be called once, in a process of its own. Raises Unavailable.
    """
    for folder, feature in ((TRACEFS, 'CONFIG_TRACING'), (DEBUGFS, 'CONFIG_DEBUG_FS')):
        if not os.path.isdir(folder):
            raise Unavailable('%s does not exist: this kernel was built without %s' % (folder, feature),
                              'Boot a kernel with %s.' % feature)
    _call('cannot make a mount namespace', _libc.unshare(_CLONE_NEWNS))
    _call('cannot make the mount namespace private',
          _libc.mount(b'none', b'/', None, ctypes.c_ulong(_MS_REC_PRIVATE), None))
    if not os.path.isdir(TRACEFS + '/events'):
        _mount('tracefs', TRACEFS)
    _mount('tmpfs', DEBUGFS, data=b'size=2m,mode=0700')
    os.mkdir(DEBUGFS + '/tracing')
    _mount('tracefs', DEBUGFS + '/tracing')
    os.mkdir(HEADERS)
