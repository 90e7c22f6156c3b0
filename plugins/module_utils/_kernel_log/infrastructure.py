# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a kernel function is infrastructure, by where kernel source defines it: locks, allocators, lib/, interrupts, the device model.

The host needs it: the culprit is part of the signature that a host groups its events by. A filter of 14 bits a name is a third of
the compressed names.
"""

import base64

from ansible_collections.ksysak.fleet.plugins.module_utils._core import bloom
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.infrastructure_table import FILTER

_BITS = base64.urlsafe_b64decode(FILTER)
_KNOWN = {}
_MAX_KNOWN = 4096


def is_infrastructure(name):
    """Does the kernel define this function only where infrastructure is? Wrong for one in 800 of the others."""
    found = _KNOWN.get(name)
    if found is None:
        if len(_KNOWN) >= _MAX_KNOWN:
            _KNOWN.clear()
        found = _KNOWN[name] = bloom.holds(_BITS, name)
    return found
