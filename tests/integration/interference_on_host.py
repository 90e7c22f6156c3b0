# SPDX-License-Identifier: GPL-3.0-or-later
"""As on_host.py, for the probe interference: make something happen, and measure it. Prints one JSON document.

PYTHONPATH=<import tree> python3 interference_on_host.py CASE [ARGUMENT …]
"""

import ctypes
import json
import os
import re
import signal
import struct
import sys
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import window
from ansible_collections.ksysak.fleet.tests.integration.on_host import keep_busy, libc, make, measured_while

CLOCK_MONOTONIC = 1


class KernelTrace:
    """What the kernel's own tracing, in a buffer of its own, sees of a tracepoint: the truth about programs that are run there."""

    FOLDER = "/sys/kernel/tracing/instances/ks-test-%d"

    def __init__(self, event, condition):
        self._folder, self._event, self._condition = self.FOLDER % os.getpid(), "events/%s/" % event, condition

    def _write(self, name, text):
        with open(os.path.join(self._folder, name), "w") as stream:
            stream.write(text)

    def __enter__(self):
        os.mkdir(self._folder)
        try:
            self._write("buffer_size_kb", "8192")
            self._write(self._event + "filter", self._condition)
            self._write(self._event + "enable", "1")
        except BaseException:
            os.rmdir(self._folder)
            raise
        return self

    def stop(self):
        """Return the thread id of the task that ran at each event."""
        self._write(self._event + "enable", "0")
        with open(os.path.join(self._folder, "trace")) as stream:
            return [int(re.match(r"\s*.*?-(\d+)\s+(?:\(.*?\)\s+)?\[", line).group(1)) for line in stream if not line.startswith("#")]

    def __exit__(self, *_error):
        os.rmdir(self._folder)


def timers(number, interval_ms):
    """A child waits for so many expirations of a timerfd. Each time that it reads it starts the timer anew: it goes off once a read.

    Truth: how often such timers went off by the kernel's own tracing, and how many of these interrupted process 1. (Some microVMs
    hide their first process from BPF: programs are not run there, and the kernel counts that nowhere.)
    """
    number, interval_ns = int(number), int(interval_ms) * 1000000
    with open("/proc/kallsyms") as stream:
        (address,) = [line.split()[0] for line in stream if line.split()[2] == "timerfd_tmrproc"]

    def happen():
        with KernelTrace("timer/hrtimer_expire_entry", "function==0x" + address) as trace:
            truth = child_waits()
            interrupted = trace.stop()
        first = set(map(int, os.listdir("/proc/1/task")))
        return {**truth, "expirations": len(interrupted), "in_process_1": sum(tid in first for tid in interrupted)}

    def child_waits():
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
        with open("/proc/self/comm", "w") as stream:
            stream.write(comm)
        keep_busy(cpu)
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


def many_starters(number):
    """A process sleeps again and again beside so many that sleep once and end. Truth: how often it slept."""
    number = int(number)

    def happen():
        told_read, told_write = os.pipe()
        end_read, end_write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(end_write)
            os.set_blocking(end_read, False)
            with open("/proc/self/comm", "w") as comm:
                comm.write("ks-sleeper")
            slept = 0
            while True:
                time.sleep(0.001)
                slept += 1
                try:
                    if os.read(end_read, 1) == b"":
                        break
                except BlockingIOError:
                    pass
            os.write(told_write, b"%d" % slept)
            os._exit(0)
        os.close(end_read)
        for _unused in range(number):
            one = os.fork()
            if one == 0:
                time.sleep(0.0001)
                os._exit(0)
            os.waitpid(one, 0)
        os.close(end_write)
        os.waitpid(child, 0)
        return {"pid": child, "slept": int(os.read(told_read, 20))}

    return measured_while(make("interference"), happen)


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


CASES = {case.__name__: case for case in (timers, many_starters, one_process, process_ends, kernel_counters, refused)}

if __name__ == "__main__":
    json.dump(CASES[sys.argv[1]](*sys.argv[2:]), sys.stdout)
