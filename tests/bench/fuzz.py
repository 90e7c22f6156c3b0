# SPDX-License-Identifier: GPL-3.0-or-later
"""Feed the scanner mutated reports: it must not raise, and no input may take long for its size.

    .cache/venv-test/bin/python tests/bench/fuzz.py [inputs] [seed]

An input is a line made of pieces of reports, carriers and noise, cut, doubled and mixed; one in 50000 is of 10 MB. Ends with an error
at the first input that raises, and prints the slowest one in microseconds for each character.
"""

import random
import sys
import time
from pathlib import Path

REPO = Path(__file__).parents[2]
sys.path.insert(0, str(REPO / ".cache" / "import"))
NOISE = [
    "\0", "\ufffd", "\x1b[1m", "[", "]", "(", ")", "<", ">", "+0x1/0x2", " at: ", " from ", "? ", "9" * 40, " " * 200, "-> #1", '{"', "=",
    "\\u0000", "__CURSOR=", "MESSAGE=", '"MESSAGE":[', "<IRQ>", "Call Trace:", "CPU: 1 PID: 7 Comm: x Not tainted 6.1 #1",
    "Modules linked in: a(O)",
]  # fmt: skip


def main(inputs: int, seed: int) -> None:
    from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import scanner as scanners
    from ansible_collections.ksysak.fleet.tests.unit.kernel_log.test_scanner import CARRIERS, HEADERS, OOPS

    dice = random.Random(seed)
    pieces = [header for _unused, header in HEADERS] + OOPS.split("\n") + NOISE
    scanner, found, slowest = scanners.Scanner(), 0, (0.0, "")
    for number in range(inputs):
        text = "".join(dice.choice(pieces) for _unused in range(dice.randrange(1, 5)))
        if dice.random() < 0.5:
            start = dice.randrange(len(text))
            text = text[start : start + dice.randrange(1, 300)]
        if dice.random() < 0.5:
            text = dice.choice(CARRIERS) % text
        if number % 50000 == 49999:
            text = (text + " ") * (10_000_000 // (len(text) + 1))
        if dice.random() < 0.001:
            scanner, found = scanners.Scanner(), found + len(scanner.finish())
        began = time.process_time()
        try:
            found += len(scanner.feed(text))
        except Exception:
            print("input %d of seed %d: %r" % (number, seed, text[:1000]))
            raise
        slowest = max(slowest, ((time.process_time() - began) * 1e6 / (len(text) + 100), text[:200]))
    print("%d inputs, %d reports, the slowest took %.1f us a character: %r" % (inputs, found, *slowest))


if __name__ == "__main__":
    main(*(int(argument) for argument in (sys.argv[1:] + ["1000000", "1"][len(sys.argv) - 1 :])))
