# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads and removes injectors in turn on this host. Arguments: the number of turns, their .ko files. Prints JSON."""

import json
import os
import shutil
import subprocess
import sys

from ansible_collections.ksysak.fleet.plugins.module_utils._injector import leftovers
from ansible_collections.ksysak.fleet.plugins.module_utils._injector.kmod import Kmod

OBJECTS, OBJECT_BYTES = 500, 4096
LEAK = {"rate": "1", "context": "call", "ceiling": str(OBJECTS * OBJECT_BYTES), "run": "1"}
DELAY = {"duration_us": "100", "interval_ms": "1", "run": "1"}


class Host:
    """What Kmod needs of an AnsibleModule."""

    @staticmethod
    def get_bin_path(name, required=False):
        return shutil.which(name)

    @staticmethod
    def run_command(command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr


def inject(ko):
    """Load, let it do its harm, remove. Returns the bytes that were outstanding at the removal, or the delays made."""
    kmod = Kmod(Host(), os.path.basename(ko)[: -len(".ko")])
    leaks = kmod.name.endswith("_leak")
    size = {} if not leaks or "page" in kmod.name else {"bytes": str(OBJECT_BYTES)}
    kmod.load(dict(LEAK if leaks else DELAY, **size), {}, ko)
    if leaks:
        kmod.write("trigger", str(OBJECTS))
    while not leaks and not kmod.truth()["count"]:
        pass
    truth = kmod.unload()
    assert not kmod.loaded
    return truth["outstanding_bytes" if leaks else "count"]


if __name__ == "__main__":
    before = leftovers.snapshot()
    done = [inject(ko) for _turn in range(int(sys.argv[1])) for ko in sys.argv[2:]]
    print(json.dumps({"before": before, "after": leftovers.snapshot(), "done": done}))
