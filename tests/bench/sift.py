# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the scanner takes for a large syslog, beside grep -E (and ripgrep, where it is installed) with the same header strings.

    .cache/venv-test/bin/python tests/bench/sift.py [MiB] [runs]

Makes a syslog of that size (default 1024) with one kernel report every 10 MiB, reads it in turn with each program, and prints the
median of the wall-clock times and of the CPU times, which a loaded machine disturbs less, the scanner's peak memory, and how many
reports it found.
"""

import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).parents[2]
sys.path.insert(0, str(REPO / ".cache" / "import"))
QUIET = [
    "systemd[1]: Started Session %d of user root.",
    "kernel: [%d.123456] usb 1-1: new high-speed USB device number 5 using xhci_hcd",
    "sshd[%d]: Accepted publickey for deploy from 192.0.2.7 port 51234 ssh2",
    "CRON[%d]: (root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)",
    "kernel: [%d.000321] audit: type=1400 apparmor=\"STATUS\" operation=\"profile_load\" profile=\"unconfined\"",
    "dhclient[%d]: DHCPACK of 192.0.2.15 from 192.0.2.2",
    "kernel: [%d.654321] IPv6: ADDRCONF(NETDEV_CHANGE): eth0: link becomes ready",
    "postfix/smtpd[%d]: connect from unknown[192.0.2.3]",
]
REPORT = ["BUG: kernel NULL pointer dereference, address: 0000000000000010", "RIP: 0010:ksy_read+0x1/0x20 [ksy]", "Call Trace:",
          " ksy_open+0x1/0x20 [ksy]", " do_syscall_64+0x1/0x20"]  # fmt: skip


def make(path: str, size: int) -> int:
    """Write a syslog of size bytes; return the number of its reports."""
    dice, written, due, reports, number = random.Random(1), 0, 5 << 20, 0, 0
    with open(path, "w") as stream:
        while written < size:
            texts = [dice.choice(QUIET) % dice.randrange(99999)]
            if written >= due:
                texts = ["kernel: [%5d.%06d] %s" % (number // 100, place, line) for place, line in enumerate(REPORT)]
                reports, due = reports + 1, due + (10 << 20)
            for text in texts:
                number += 1
                seconds = number // 50
                date = time.strftime("%b %e %H:%M:%S", time.gmtime(1795404000 + seconds))
                written += stream.write("%s host-17 %s\n" % (date, text))
    return reports


def scan(path: str) -> int:
    from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import Scanner
    from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.grep_prefilter import Sifted
    from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.sources import LogFile

    source, scanner, found = LogFile(path, asked_for=True), Scanner(), 0
    source.open()
    for line in source.read():
        if line is None:
            time.sleep(0.001)
        else:
            found += len(scanner.feed(*line) if isinstance(line, Sifted) else scanner.feed(line))
    found += len(scanner.finish())
    source.close()
    return found


def main(size_mib: int, runs: int) -> None:
    from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import lines, patterns

    # The header strings as they are: what the scanner makes of them for its own grep is its own.
    expression = "|".join(re.sub(r"([][().*+?{}|^$\\])", r"\\\1", needle) for needle in (*patterns.NEEDLES, lines.NUMBERS))
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "syslog")
        reports = make(path, size_mib << 20)
        commands = {"scanner": [sys.executable, __file__, "--scan", path], "grep -E": ["grep", "-aE", expression, path]}
        if shutil.which("rg"):
            commands["ripgrep"] = ["rg", "-aN", expression, path]
        times: dict[str, list[float]] = {name: [] for name in commands}
        used: dict[str, list[float]] = {name: [] for name in commands}
        told = ""
        for _unused in range(runs):
            for name, command in commands.items():
                began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
                output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
                times[name].append(time.monotonic() - began)
                after = resource.getrusage(resource.RUSAGE_CHILDREN)
                used[name].append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
                told = output.decode() if name == "scanner" else told
        for name, taken in times.items():
            cpu = statistics.median(used[name])
            print("%-8s %6.2f s (%.2f to %.2f), CPU %.2f s" % (name, statistics.median(taken), min(taken), max(taken), cpu))
        print("%d MiB, %d reports; the scanner: %s" % (size_mib, reports, told.strip()))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--scan"]:
        print("%d found, at most %d MiB of memory" % (scan(sys.argv[2]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10))
    else:
        main(*(int(argument) for argument in (sys.argv[1:] + ["1024", "3"][len(sys.argv) - 1 :])))
