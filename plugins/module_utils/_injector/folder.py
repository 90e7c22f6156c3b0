# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder in memory that only this process and its children see, and that goes with them however they end."""

import contextlib

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux


@contextlib.contextmanager
def private(path):
    """Cover the folder at path by an empty one in memory. Raises OSError.

    This process stays in a mount namespace of its own afterwards.
    """
    linux.private_mounts()
    linux.mount('tmpfs', path, linux.MS_NOSUID | linux.MS_NODEV, 'size=64m,mode=0700')
    try:
        yield path
    finally:
        linux.unmount(path)
