# SPDX-License-Identifier: GPL-3.0-or-later
"""As on_host.py, for the probe interference: make something happen, and measure it. Prints one JSON document.

PYTHONPATH=<import tree> python3 interference_on_host.py CASE [ARGUMENT …]
"""

import ctypes
import json
import os
import signal
import struct
import sys
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import window
from ansible_collections.ksysak.fleet.tests.integration.on_host import libc, make, measured_while

CLOCK_MONOTONIC = 1


def timers(number, interval_ms):
    """A child waits for so many expirations of a timerfd. Each time that it reads it starts the timer anew: it goes off once a read."""
    number, interval_ns = int(number), int(interval_ms) * 1000000

    def happen():
        told_read, told_write = os.pipe()
        child = os.fork()
        if child == 0:
            with open("/proc/self/comm", "w") as comm:
                comm.write("ks-timer")
            descriptor = libc.timerfd_create(CLOCK_MONOTONIC, 0)
            libc.timerfd_settime(descriptor, 0, struct.pack("4q", 0, interval_ns, 0, interval_ns), None)
            seen = reads = 0
            while seen < number:
                seen += struct.unpack("Q", os.read(descriptor, 8))[0]
                reads += 1
            # Off at once: no more expirations than are told.
            libc.timerfd_settime(descriptor, 0, struct.pack("4q", 0, 0, 0, 0), None)
            os.write(told_write, b"%d" % reads)
            os._exit(0)
        os.waitpid(child, 0)
        return {"pid": child, "reads": int(os.read(told_read, 20))}

    return measured_while(make("interference"), happen)


def _alone(cpu, comm):
    """A child that does nothing but to keep this CPU busy, until it is killed."""
    child = os.fork()
    if child == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it ends with the test, however that ends
        os.sched_setaffinity(0, {cpu})
        with open("/proc/self/comm", "w") as stream:
            stream.write(comm)
        while True:
            pass
    return child


def one_process():
    """Measure what interrupts a process that keeps one CPU busy, beside another one on the other CPU."""
    cpus = sorted(os.sched_getaffinity(0))
    victim, other = _alone(cpus[-1], "ks-victim"), _alone(cpus[0], "ks-other")
    try:
        result = measured_while(make("interference", pid=victim), lambda: time.sleep(3))
        result["truth"] = {"pid": victim, "cpu": cpus[-1]}
        return result
    finally:
        for pid in (victim, other):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def process_ends():
    """The process that is looked at ends within the window."""
    victim = _alone(max(os.sched_getaffinity(0)), "ks-victim")

    def happen():
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)

    return measured_while(make("interference", pid=victim), happen)


def kernel_counters():
    """All that the kernel's own files tell, without tracing."""
    probe = make("interference")
    engine = probe.ENGINES[1](probe.options)
    engine.open()
    engine.start(1)
    began_s = time.monotonic()
    ctypes.CDLL(None).sync()
    time.sleep(1)
    engine.stop()
    return {"data": engine.read(time.monotonic() - began_s), "degradations": engine.degradations}


def refused(pid):
    """Measure a process of that pid."""
    (envelope,) = window.measure([make("interference", pid=int(pid))], 1).values()
    return {"status": envelope["status"], "reason": envelope["reason"], "remedy": envelope["remedy"]}


CASES = {case.__name__: case for case in (timers, one_process, process_ends, kernel_counters, refused)}

if __name__ == "__main__":
    json.dump(CASES[sys.argv[1]](*sys.argv[2:]), sys.stdout)
