# SPDX-License-Identifier: GPL-3.0-or-later
"""What a storm of reports of one kind costs: the scanner and the grouping, without the reading of files.

    .cache/venv-test/bin/python tests/bench/storm.py [events] [same|different]

same: each line repeats the text of the first; different: each names another sector. Prints the time an event and the peak memory.
"""

import resource
import sys
import time
from pathlib import Path

REPO = Path(__file__).parents[2]
sys.path.insert(0, str(REPO / ".cache" / "import"))
LINE = "Nov 29 %02d:%02d:%02d db1 kernel: [%d.%06d] I/O error, dev sdb, sector %d op 0x0:(READ) flags 0x0 phys_seg 1 prio class 2"


def main(events: int, different: bool) -> None:
    from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import Scanner
    from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.groups import Groups

    scanner, groups, counted = Scanner(), Groups(), 0
    started = time.perf_counter()
    for number in range(events):
        second, part = divmod(number, 1000)
        clock = second // 3600 % 24, second // 60 % 60, second % 60
        for event in scanner.feed(LINE % (*clock, second, part * 1000, 2048 + 8 * number * different), number + 1):
            groups.add(event, "log", float(second))
            counted += 1
    for event in scanner.finish():
        groups.add(event, "log", float(events))
        counted += 1
    taken = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{counted} events in {taken:.1f} s: {1e6 * taken / events:.1f} us an event, {len(groups)} group(s), peak memory {peak} MiB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 10_000_000, sys.argv[2:] == ["different"])
