# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks that the kernel keeps from going on, when nobody waits for a CPU."""

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.sampling import ProcfsEngine
from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.tracing import BccEngine
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Probe


class BlockedProbe(Probe):
    """From the moment a task sleeps in the kernel to its wake-up."""

    NAME = 'blocked'
    ENGINES = (BccEngine, ProcfsEngine)
    BUDGET_BYTES = 8 * 1024
    OPTIONS = {
        'threshold_ms': {'type': 'int', 'default': 50},
        'top': {'type': 'int', 'default': 12},
    }
    BOUNDS = {'threshold_ms': (1, 3600 * 1000), 'top': (1, 200)}
