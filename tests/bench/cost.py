# SPDX-License-Identifier: GPL-3.0-or-later
"""What probes cost others: CPU time of loops of system calls while a probe measures, over the same without, in one run.

    cost.py ROUNDS

Runs without a probe and with each take turns, so that a noisy machine disturbs them alike; the least of all batches counts.
bcc's own tools, where they are installed and can run, stand beside ours.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
REPO = HERE.parent.parent
PYTHON = "/usr/bin/python3"
TRACEFS = "/sys/kernel/tracing"
LOOPS = {"call": 400000, "open": 20000, "pipe": 10000, "message": 20000, "fault": 600, "switch": 8000}
BATCHES = 4
OURS = ["memleak", "runlatency", "runlatency:syscall_us=20000", "interference", "memleak,runlatency,interference"]
# The tool, its arguments, and a line of its output that says that it measures.
BCC = {"bcc memleak": (["memleak-bpfcc", "3600"], "Attaching"), "bcc runqlat": (["runqlat-bpfcc", "3600", "1"], "Tracing")}


ENV = dict(os.environ, PYTHONPATH=str(REPO / ".cache" / "collections"))
HEADERS = "import sys; from ansible_collections.ksysak.fleet.plugins.module_utils.ebpf import headers; headers.write_tree(sys.argv[1])"


class Unable(Exception):
    """A tool of others cannot run here."""


@contextmanager
def held(names):
    command = [PYTHON, str(HERE / "hold.py"), names]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV, text=True) as probe:
        if probe.stdout.readline() != "measuring\n":
            raise SystemExit("%s could not measure here" % names)
        yield
        probe.stdin.close()


@contextmanager
def bcc_tool(name, headers):
    command, word = BCC[name]
    # bcc's tools want a mounted tracefs, and header files: ours do for those that read tracepoints only.
    mounted = ["unshare", "--mount", "sh", "-ec", f'mount -t tracefs none {TRACEFS}; exec "$@"', "sh"]
    command = [*mounted, PYTHON, "-u", shutil.which(command[0]), *command[1:]]
    env = {**os.environ, "BCC_KERNEL_SOURCE": headers}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=env, text=True) as tool:
        if not any(word in line for line in tool.stdout):
            raise Unable
        yield
        tool.kill()


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
        subprocess.run([PYTHON, "-c", HEADERS, str(own)], env=ENV, check=True)
        variants = {"none": nothing}
        variants.update({name: (lambda name=name: held(name)) for name in OURS})
        found = [name for name, (command, _word) in BCC.items() if shutil.which(command[0])]
        variants.update({name: (lambda name=name: bcc_tool(name, str(own))) for name in found})
        loops = folder + "/loops"
        subprocess.run(["cc", "-O2", "-o", loops, str(HERE / "loops.c")], check=True)
        for number in range(rounds):
            for variant, context in list(variants.items()):
                print("round %d of %d: %s" % (number + 1, rounds, variant), file=sys.stderr, flush=True)
                try:
                    with context():
                        for name in LOOPS:
                            times.setdefault((variant, name), []).extend(run(loops, name))
                except Unable:
                    print("%s cannot run here" % variant, file=sys.stderr)
                    del variants[variant]
    print("CPU time of a loop, as a multiple of the same loop without a probe (least of %d batches)" % (rounds * BATCHES))
    print("%-34s" % "" + "".join("%10s" % name for name in LOOPS))
    for variant in variants:
        ratios = [min(times[variant, name]) / min(times["none", name]) for name in LOOPS]
        print("%-34s" % variant + "".join("%10.2f" % ratio for ratio in ratios))
    print("%-34s" % "none, microseconds" + "".join("%10.2f" % (min(times["none", name]) / 1e3) for name in LOOPS))


if __name__ == "__main__":
    main()
