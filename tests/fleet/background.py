# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that stay up after the command that started them; a note a machine in .cache/fleet/up says which process it is."""

import contextlib
import json
import os
import select
import shutil
import signal
from pathlib import Path

import yaml

from . import cache
from .machine import Machine

UP = cache.FLEET / "up"
INVENTORY = cache.FLEET / "inventory.yml"
AT_ONCE = 2  # machines that boot at the same time


def _start_time(pid):
    """Return when the process began, which tells it from a later one of the same number; None if it has ended."""
    try:
        fields = Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else fields[19]


def _is_up(note):
    return note["start_time"] is not None and note["start_time"] == _start_time(note["pid"])


def running():
    """Return {name: note} of the machines that are up."""
    notes = {path.stem: json.loads(path.read_text()) for path in sorted(UP.glob("*.json"))}
    return {name: note for name, note in notes.items() if _is_up(note)}


def _note(machine):
    note = {"pid": machine.process.pid, "start_time": _start_time(machine.process.pid), "variables": machine.variables()}
    new = UP / (machine.name + ".new")
    new.write_text(json.dumps(note))
    new.rename(UP / (machine.name + ".json"))


def _write_inventory():
    hosts = {name: note["variables"] for name, note in running().items()}
    INVENTORY.write_text(yaml.safe_dump({"all": {"hosts": hosts}}))


def up(names):
    """Start the machines that are not up, two at a time; says how long each took. All of them or none."""
    UP.mkdir(parents=True, exist_ok=True)
    missing = [name for name in names if name not in running()]
    folders = {name: cache.ensure(name) for name in missing}
    started = []
    try:
        for first in range(0, len(missing), AT_ONCE):
            for name in missing[first : first + AT_ONCE]:
                started.append(Machine(name, folders[name], UP / (name + ".console"), outlive=True))
                _note(started[-1])
            for machine in started[first:]:
                machine.wait()
                print("fleet: %s is up after %.0f s" % (machine.name, machine.boot_s), flush=True)
    except BaseException:
        for machine in started:
            machine.stop()
        raise
    finally:
        _write_inventory()


def down(names):
    """End these machines, as far as they are up."""
    for name, note in running().items():
        if name in names:
            with contextlib.suppress(ProcessLookupError):
                handle = os.pidfd_open(note["pid"])
                # The handle may be of a later process of this number: only what has still its start time is ours.
                if _is_up(note):
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
                    select.select([handle], [], [])
                os.close(handle)
            (UP / (name + ".json")).unlink()
    if UP.is_dir():
        _write_inventory()


def clean():
    """End all machines and remove all that was built."""
    down(list(running()))
    shutil.rmtree(UP, ignore_errors=True)
    cache.clean()
