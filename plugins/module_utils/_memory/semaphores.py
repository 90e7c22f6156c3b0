# SPDX-License-Identifier: GPL-3.0-or-later
"""semctl(2), for which Python has no function."""

import ctypes

_GETPID = 11
_libc = ctypes.CDLL(None, use_errno=True)


def last_pid(identifier):
    """Return the process that used or set the first semaphore of a set last, or None."""
    pid = _libc.semctl(identifier, 0, _GETPID)
    return pid if pid > 0 else None
