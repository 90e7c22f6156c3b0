# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.fleet: the test fleet by hand (make fleet, make fleet-down, make fleet-clean)."""

import argparse
import os
import signal
import subprocess
import sys

from . import background, cache
from .machine import MachineFailed
from .tree import TreeFailed


def build(names):
    for name in names:
        print(name, cache.ensure(name))


def up(names):
    background.up(names)
    inventory = os.path.relpath(background.INVENTORY)
    print("Scan them:       make scan INVENTORY=%s" % inventory)
    print("One by SSH:      the port and the key are in %s" % inventory)
    print("End them:        make fleet-down")


def status(names):
    running = background.running()
    for name in names:
        print("%-20s %s" % (name, "up, port %s" % running[name]["variables"]["ansible_port"] if name in running else "down"))


def clean(_names):
    background.clean()


COMMANDS = {"build": build, "up": up, "down": background.down, "status": status, "clean": clean}


def main():
    known = list(cache.releases())
    parser = argparse.ArgumentParser(prog="python -m tests.fleet", description="The test fleet: real virtual machines under emulation.")
    parser.add_argument("command", choices=list(COMMANDS))
    parser.add_argument("machines", nargs="*", metavar="machine", help="only these (default: all): " + ", ".join(known))
    args = parser.parse_args()
    unknown = [name for name in args.machines if name not in known]
    if unknown:
        parser.error("%s is not in releases.yml" % unknown[0])
    # The end by a signal goes the way of every other error, which ends what was begun.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    try:
        COMMANDS[args.command](args.machines or known)
    except (MachineFailed, TreeFailed, subprocess.CalledProcessError, OSError, LookupError) as error:
        sys.exit("fleet: %s" % error)


main()
