# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: F401  # locals() uses the imports
"""The probes of this collection, in the order in which the report shows them: one line each.

The names are known without importing any probe. Ansible ships with a module what the module's source imports, inside functions
too: the module that imports this file runs all probes, and a probe's own module imports its probe only.
"""

ALL = 'all'


def classes():
    """Return {name: subclass of Probe}, in the order of NAMES."""
    # isort: off
    from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.probe import MemleakProbe as memleak
    from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import RunlatencyProbe as runlatency
    from ansible_collections.ksysak.fleet.plugins.module_utils._interference.probe import InterferenceProbe as interference
    from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.probe import OsExceptionsProbe as os_exceptions
    from ansible_collections.ksysak.fleet.plugins.module_utils._host_health.probe import HostHealthProbe as host_health
    from ansible_collections.ksysak.fleet.plugins.module_utils._memory.probe import MemoryProbe as memory
    from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.probe import BlockedProbe as blocked
    # isort: on
    found = locals()
    return dict((name, found[name]) for name in NAMES)


# The local names that the imports above bind, in their order.
NAMES = tuple(name for name in classes.__code__.co_varnames if name != 'found')


def chosen(names):
    """Return the probes that a list of names asks for, in the order of NAMES; 'all' in it stands for all of them.

    Raises ValueError naming the one that is no probe, and the probes that there are.
    """
    unknown = [name for name in names if name != ALL and name not in NAMES]
    if unknown or not names:
        what = 'no probe is called %s' % unknown[0] if unknown else 'is empty'
        raise ValueError('probes: %s; the probes are %s, and %s for all of them' % (what, ', '.join(NAMES), ALL))
    return [name for name in NAMES if name in names or ALL in names]
