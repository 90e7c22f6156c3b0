# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel memory that grows and is not freed: who allocated it, and how sure that is."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Engine, Probe, Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import facts, triage
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.tracing import BccEngine, ktime_ns, settle_ns


class ProcfsEngine(Engine):
    """The kernel's own counters: what grew, but not who allocated it."""

    NAME = 'procfs'

    def open(self):
        if self.options['cache']:
            facts.cache_size(self.options['cache'])
        try:
            if not triage.snapshot()['caches']:
                raise Unavailable('/proc/slabinfo cannot be read', 'Run the play with become: true.')
        except OSError as error:
            raise Unavailable('the kernel\'s memory counters cannot be read: %s' % error, 'Mount /proc on the host.')
        if not self.options['check_only']:
            self.degradations.append('no call stacks: only the growth of the kernel\'s own counters')

    def start(self, duration_s):
        self._watch = triage.Watch(duration_s, settle_ns(duration_s), ktime_ns)
        self._watch.start()

    def poll(self, timeout_s):
        super().poll(timeout_s)
        self._watch.poll()

    def stop(self):
        self._watch.stop()

    def read(self, window_s):
        return facts.Measured(self.options, self._watch, window_s, 0, 0.0).data([], 0, None)


class MemleakProbe(Probe):
    """Slab objects, pages, vmalloc areas and per-CPU memory."""

    NAME = 'memleak'
    ENGINES = (BccEngine, ProcfsEngine)
    BUDGET_BYTES = 11 * 1024
    OPTIONS = {
        'type': {'type': 'list', 'elements': 'str', 'default': ['auto'], 'choices': ['auto'] + list(facts.TYPES)},
        'cache': {'type': 'str', 'default': ''},
        'stacks': {'type': 'bool', 'default': True},
        'check_only': {'type': 'bool', 'default': False},
        'sample': {'type': 'int', 'default': 16, 'choices': [1, 2, 4, 8, 16, 32, 64, 128, 256]},
        'min_bytes': {'type': 'int', 'default': 4096},
        'top': {'type': 'int', 'default': 20},
        'max_overhead_percent': {'type': 'float', 'default': 3.0},
    }
    BOUNDS = {'min_bytes': (0, 2 ** 50), 'top': (1, 1000), 'max_overhead_percent': (0.1, 100)}

    def __init__(self, options):
        super().__init__(options)
        if not options['type']:
            raise ValueError('type is empty; it may have %s' % ', '.join(self.OPTIONS['type']['choices']))
        if options['check_only']:
            self.ENGINES = (ProcfsEngine,)
