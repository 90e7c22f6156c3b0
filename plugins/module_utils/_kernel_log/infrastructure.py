# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a kernel function is infrastructure, by where kernel source defines it: locks, allocators, lib/, interrupts, the device model.

The host needs it: the culprit is part of the signature that a host groups its events by. As a set of 14 bits a name the table is
a third of the compressed names.
"""

import base64

from ansible_collections.ksysak.fleet.plugins.module_utils._core.nameset import NameSet
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.infrastructure_table import NAMES

_READ = []


def is_infrastructure(name):
    """Does the kernel define this function only where infrastructure is? Wrong for one in 6,000 of the others."""
    if not _READ:  # with the first report: many logs have none
        _READ.append(NameSet(base64.urlsafe_b64decode(NAMES)))
    return name in _READ[0]
