# SPDX-License-Identifier: GPL-3.0-or-later
"""What probes cost others: CPU time of loops of system calls while a probe measures, over the same without, in one run.

    cost.py ROUNDS

Runs without a probe and with each take turns, so that a noisy machine disturbs them alike; the least of all batches counts.
bcc's own tools, where they are installed and can run, stand beside ours.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parent.parent
sys.path.insert(0, str(REPO))
from tests import bcc_tools  # noqa: E402

PYTHON = "/usr/bin/python3"
LOOPS = {"call": 400000, "open": 20000, "pipe": 10000, "message": 20000, "fault": 600, "switch": 8000}
BATCHES = 4
RUNQ = "runlatency:irqoff_us=10000000:nosched_us=10000000"  # the run queue alone: no clock to speak of
OURS = ["memleak", RUNQ, "runlatency", "runlatency:syscall_us=20000", "interference", "blocked", "memleak,runlatency,interference"]
IMPORTS = REPO / ".cache" / "collections"
ENV = dict(os.environ, PYTHONPATH=str(IMPORTS))


@contextmanager
def held(names):
    command = [PYTHON, str(HERE / "hold.py"), names]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV, text=True) as probe:
        if probe.stdout.readline() != "measuring\n":
            raise SystemExit("%s could not measure here" % names)
        yield
        probe.stdin.close()


@contextmanager
def nothing():
    yield


def run(loops, name):
    """Return the CPU nanoseconds of an iteration in each batch of a loop, on one CPU."""
    cpu = max(os.sched_getaffinity(0))
    command = ["taskset", "-c", str(cpu), loops, name, str(BATCHES), str(LOOPS[name])]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return [float(line) for line in done.stdout.split()]


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    times = {}
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "headers")
        own.mkdir()
        variants = {"none": nothing}
        variants.update({name: (lambda name=name: held(name)) for name in OURS})
        try:
            bcc_tools.write_headers(own, IMPORTS)
        except bcc_tools.Unable as reason:
            print("bcc's tools cannot run here: %s" % reason, file=sys.stderr)
            rivals = []
        else:
            rivals = bcc_tools.installed()
        variants.update({"bcc " + name: (lambda name=name: bcc_tools.running(name, own)) for name in rivals})
        loops = folder + "/loops"
        subprocess.run(["cc", "-O2", "-o", loops, str(HERE / "loops.c")], check=True)
        for number in range(rounds):
            for variant, context in list(variants.items()):
                print("round %d of %d: %s" % (number + 1, rounds, variant), file=sys.stderr, flush=True)
                try:
                    with context():
                        for name in LOOPS:
                            times.setdefault((variant, name), []).extend(run(loops, name))
                except bcc_tools.Unable:
                    print("%s cannot run here" % variant, file=sys.stderr)
                    del variants[variant]
    print("CPU time of a loop, as a multiple of the same loop without a probe (least of %d batches)" % (rounds * BATCHES))
    print("%-54s" % "" + "".join("%10s" % name for name in LOOPS))
    for variant in variants:
        ratios = [min(times[variant, name]) / min(times["none", name]) for name in LOOPS]
        print("%-54s" % variant + "".join("%10.2f" % ratio for ratio in ratios))
    print("%-54s" % "none, microseconds" + "".join("%10.2f" % (min(times["none", name]) / 1e3) for name in LOOPS))


if __name__ == "__main__":
    main()
