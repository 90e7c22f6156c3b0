# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep probes measuring until standard input ends: `hold.py memleak,runlatency:syscall_us=20000`. Says on standard output when they do."""

import os
import select
import sys

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.probe import BlockedProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._interference.probe import InterferenceProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.probe import MemleakProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import RunlatencyProbe

PROBES = {probe.NAME: probe for probe in (MemleakProbe, RunlatencyProbe, InterferenceProbe, BlockedProbe)}

# A process each, as in a scan.
for name in sys.argv[1].split(","):
    ready, said = os.pipe()
    if os.fork() == 0:
        name, *wanted = name.split(":")
        probe = PROBES[name]
        options = {option: spec["default"] for option, spec in probe.OPTIONS.items()}
        options.update((option, int(value)) for option, value in (text.split("=") for text in wanted))
        engine = probe.ENGINES[0](options)
        engine.open()
        engine.start(60)
        os.write(said, b"x")
        while not select.select([0], [], [], 0)[0]:
            engine.poll(0.5)
        engine.stop()
        engine.close()
        os._exit(0)
    os.read(ready, 1)
print("measuring", flush=True)
sys.stdin.read()
for _probe in sys.argv[1].split(","):
    os.wait()
