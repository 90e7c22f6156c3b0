# SPDX-License-Identifier: GPL-3.0-or-later
"""How often is growth between scans found, and how often is noise taken for growth?

    trend.py [tuned|others|last] [RUNS [SEED]]

Prints a line for each kind of noise and number of scans, in percent: noise alone that is taken for growth, and for a jump; growth that is
found when the counter grows from scan to scan 1, 2 and 3 times as much as the noise changes it; and when it grows in all 2, 3 and 5
times the range of the noise.
"""

import collections
import random
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / ".cache" / "import")]

from ansible_collections.ksysak.fleet.plugins.plugin_utils.trend.series import judge  # noqa: E402
from ansible_collections.ksysak.fleet.tests import counter_noise as noise  # noqa: E402

COUNTS = (3, 5, 6, 7, 8, 10, 14, 20, 30, 50)


def shares(kind, schedule, count, ratio, runs, rng, by_range=False):
    """Return {verdict: share}."""
    paths = (noise.grown(rng, kind, schedule(rng, count), ratio, by_range) for _unused in range(runs))
    found = collections.Counter(judge(path, noise.FLOOR).verdict for path in paths)
    return {verdict: number / runs for verdict, number in found.items()}


def main(which="tuned", runs=2000, seed=1):
    rng = random.Random(int(seed))
    kinds = {"tuned": noise.TUNED, "others": noise.OTHERS, "last": noise.LAST}[which]
    schedules = noise.TIMES if which == "tuned" else noise.OTHER_TIMES
    for at, schedule in schedules.items():
        for name, kind in kinds.items():
            for count in COUNTS:
                alone = shares(kind, schedule, count, 0, int(runs), rng)
                found = [shares(kind, schedule, count, ratio, int(runs), rng).get("grows", 0) for ratio in (1, 2, 3)]
                found += [shares(kind, schedule, count, ratio, int(runs), rng, True).get("grows", 0) for ratio in (2, 3, 5)]
                false = [alone.get(verdict, 0) for verdict in ("grows", "jumped")]
                print(f"{at:11} {name:9} {count:3}", *(f"{100 * rate:6.2f}" for rate in [*false, *found]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
