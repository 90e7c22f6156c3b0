# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probes' tests run on the host, under the Python that has bcc: make something happen, and measure it.

    PYTHONPATH=<import tree> python3 on_host.py CASE [ARGUMENT …]

Prints one JSON document: the truth as the maker of the event knows it, and what the probe says of it.
"""

import contextlib
import ctypes
import json
import mmap
import os
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import window
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import maps, program, stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._interference.counters import snapshot
from ansible_collections.ksysak.fleet.plugins.module_utils._interference.probe import InterferenceProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import bpf, tracing
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.probe import MemleakProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import scheduler
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import RunlatencyProbe

PROBES = {probe.NAME: probe for probe in (MemleakProbe, RunlatencyProbe, InterferenceProbe)}
HOG_TURN_S = 0.2
MEANT_S = 20.0  # the duration an engine is told where the window lasts as long as what happens
libc = ctypes.CDLL(None, use_errno=True)


def make(name, **options):
    probe = PROBES[name]
    return probe(dict({key: spec["default"] for key, spec in probe.OPTIONS.items()}, **options))


def measured_while(probe, happen, window_s=None, ended=None, before=None):
    """Run the probe's best engine in this process while happen() runs, or in window_s seconds beside what happen() began.

    before: called when all is ready, before the window opens; ended: called within the window to wait for what happen() began.
    Returns {what happen returned, data, limits, lost, said: by ended()}.
    """
    engine = probe.ENGINES[0](probe.options)
    engine.open()
    try:
        if before:
            before()
        engine.start(window_s or MEANT_S)
        began_s = time.monotonic()
        truth = happen()
        while window_s and time.monotonic() < began_s + window_s:
            engine.poll(max(0, min(0.5, began_s + window_s - time.monotonic())))
        said = ended() if ended else None
        window_s = time.monotonic() - began_s
        engine.stop()
        found = {"data": engine.read(window_s), "degradations": engine.degradations, "lost": engine.lost_events}
        found.update(opened_ns=getattr(engine, "opened_ns", None), typed=getattr(engine, "_typed", None) is not None)
        return {"truth": truth, "said": said, **found}
    finally:
        engine.close()


class Messages:
    """System V message queues: each message that is sent is one slab object until it is received."""

    TEXT_BYTES, A_QUEUE = 900, 16  # a queue takes 16 KiB by default

    def __init__(self, most):
        """most: how many messages may be outstanding."""
        self.queues = [self._checked(libc.msgget(0, 0o1600)) for _number in range(most // self.A_QUEUE + 1)]
        self.text = struct.pack("l", 1) + b"x" * self.TEXT_BYTES
        self.filled = 0

    @staticmethod
    def _checked(result):
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def send(self):
        self._checked(libc.msgsnd(self.queues[self.filled // self.A_QUEUE], self.text, self.TEXT_BYTES, 0))
        self.filled += 1

    def receive(self):
        """Take back the message sent last."""
        self.filled -= 1
        buffer = ctypes.create_string_buffer(len(self.text))
        self._checked(libc.msgrcv(self.queues[self.filled // self.A_QUEUE], buffer, self.TEXT_BYTES, 0, 0))

    def close(self):
        for queue in self.queues:
            libc.msgctl(queue, 0, None)  # IPC_RMID


def messages(sample, sent, received):
    """A child sends messages evenly all through the window and receives some of them at once; the rest is outstanding."""
    sent, received, window_s = int(sent), int(received), 12.0
    queue = Messages(sent)
    done_read, done_write = os.pipe()

    def happen():
        if os.fork() == 0:
            began_s = time.monotonic()
            for number in range(sent):
                queue.send()
                if number * received // sent != (number + 1) * received // sent:
                    queue.receive()
                time.sleep(max(0, began_s + (number + 1) * (window_s - 0.5) / sent - time.monotonic()))
            os.write(done_write, struct.pack("d", time.monotonic() - began_s))
            os._exit(0)

    try:
        probe = make("memleak", sample=int(sample), top=1000, min_bytes=0, max_overhead_percent=100)
        found = measured_while(probe, happen, window_s, lambda: os.read(done_read, 8))
        took_s = struct.unpack("d", found.pop("said"))[0]
        found["truth"] = {"kept": sent - received, "bytes_per_s": (sent - received) * 1024 / took_s}
        return found
    finally:
        queue.close()


def burst(sent):
    """Send messages at once at the beginning and none after: outstanding, but no growth."""
    queue = Messages(int(sent))

    def happen():
        for _number in range(int(sent)):
            queue.send()

    try:
        return measured_while(make("memleak", sample=1, top=1000, min_bytes=0, max_overhead_percent=100), happen, 10.0)
    finally:
        queue.close()


def counters(sent):
    """Messages all through a window in which nothing is traced."""
    sent, window_s = int(sent), 10.0
    queue = Messages(sent)

    def happen():
        if os.fork() == 0:
            began_s = time.monotonic()
            for number in range(sent):
                queue.send()
                time.sleep(max(0, began_s + (number + 1) * (window_s - 0.5) / sent - time.monotonic()))
            os._exit(0)

    try:
        return measured_while(make("memleak", check_only=True), happen, window_s, os.wait)
    finally:
        queue.close()


def _processes():
    if os.fork() == 0:
        os.execv("/bin/true", ["true"])
    os.wait()


def _pipes():
    ends = [end for _pipe in range(50) for end in os.pipe()]
    for end in ends:
        if end in ends[1::2]:
            os.write(end, b"x" * 4096)
    for end in ends:
        os.close(end)


def _sockets():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(1)
        with socket.create_connection(server.getsockname()) as client, server.accept()[0] as other:
            client.sendall(b"x" * 1024)
            other.recv(1024)


def _files():
    for folder, _folders, names in os.walk("/usr/share"):
        for name in names:
            try:
                os.stat(os.path.join(folder, name))
            except OSError:
                pass
        yield


def _memory():
    memory = mmap.mmap(-1, 32 * 1024 * 1024)
    for page in range(0, len(memory), mmap.PAGESIZE):
        memory[page] = 1
    memory.close()


def _namespaces():
    if os.fork() == 0:
        libc.unshare(0x40000000 | 0x00020000 | 0x08000000)  # CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC
        os._exit(0)
    os.wait()


def storm(kind, window_s):
    """Work that allocates and frees all through the window. kind: processes, pipes, sockets, files, memory or namespaces."""
    turn = {"processes": _processes, "pipes": _pipes, "sockets": _sockets, "memory": _memory, "namespaces": _namespaces}.get(kind)
    turns = []

    def happen():
        worker = os.fork()
        if worker == 0:
            while True:
                if turn:
                    turn()
                else:
                    for _folder in _files():
                        pass
        turns.append(worker)
        return {"kind": kind}

    try:
        return measured_while(make("memleak"), happen, float(window_s))
    finally:
        os.kill(turns[0], signal.SIGKILL)
        os.waitpid(turns[0], 0)


def work(command, window_s):
    """A shell command, again and again all through the window."""
    loops = []

    def happen():
        again = ["sh", "-c", "while :; do %s; done" % command]
        loops.append(subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True))
        return {"command": command}

    try:
        return measured_while(make("memleak"), happen, float(window_s))
    finally:
        for loop in loops:
            os.killpg(loop.pid, signal.SIGKILL)
            loop.wait()


def full(sent):
    """Messages all through the window, with a table of live objects that cannot hold them."""
    bpf.OBJECTS = 256
    return messages(1, sent, 0)


def slowly_read(sent):
    """Messages all through the window, on a host so slow that the time to read survivors is over after the first of them."""
    maps._CHUNK, tracing._READ_S = 1024, 0.0
    return messages(1, sent, 0)


def shallow(sent):
    """Messages all through the window, with call stacks of one frame, as kernels from 4.14 to 5.1 give."""
    stacks.DEPTH = 1
    return messages(16, sent, 0)


def refused(cache):
    """Measure a slab cache of that name."""
    (envelope,) = window.measure([make("memleak", cache=cache)], 1).values()
    return {"status": envelope["status"], "reason": envelope["reason"], "remedy": envelope["remedy"]}


def _delay_a_task(cpu, length_us, victim, wake, told, others=()):
    """A real-time task wakes the victim on its own CPU, and writes to the pipes of others, and does not give that up for so long.

    Returns the truth.
    """
    hog = os.fork()
    if hog == 0:
        os.sched_setaffinity(0, {cpu})
        with open("/proc/self/comm", "w") as comm:
            comm.write("ks-hog")
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        before_s = time.monotonic()
        os.write(wake, b"w")
        after_s = time.monotonic()
        for other in others:
            os.write(other, b"w")
        while time.monotonic() < after_s + length_us / 1e6:
            pass
        end_s = time.monotonic()
        os.write(told[1], struct.pack("ddd", before_s, after_s, end_s))
        os._exit(0)
    said = b""
    while len(said) < 32:
        said += os.read(told[0], 64)
    os.waitpid(hog, 0)
    os.waitpid(victim, 0)
    # Two writers, each message whole: the hog's three numbers come before the victim's one.
    before_s, after_s, end_s, woke_s = struct.unpack("dddd", said)
    return {"victim": victim, "hog": hog, "cpu": cpu, "least_us": (end_s - after_s) * 1e6, "most_us": (woke_s - before_s) * 1e6}


def _sleeping_victim(cpu, wake, told, works_s=0.0):
    """Start a task that waits on the CPU to be woken, works for so long and then tells when it ran first; returns its process id."""
    victim = os.fork()
    if victim == 0:
        os.sched_setaffinity(0, {cpu})
        with open("/proc/self/comm", "w") as comm:
            comm.write("ks-victim")
        os.write(told[1], b"r")
        os.read(wake[0], 1)
        woke_s = time.monotonic()
        while time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) < works_s:
            pass
        os.write(told[1], struct.pack("d", woke_s))
        os._exit(0)
    os.read(told[0], 1)
    while open("/proc/%d/stat" % victim).read().rsplit(")", 1)[1].split()[0] != "S":
        time.sleep(0.01)
    return victim


def queue_delay(only="", threshold_us=5000, *lengths_us):
    """Tasks are woken, one after another, on a CPU that a real-time task does not give up for so long (30 ms); both note their times.

    A wait lies between (the hog lets go - wake-up) and (the victim runs again - wake-up), by their own clocks. only: watch tasks of this
    name and no others.
    """
    cpu = max(os.sched_getaffinity(0))
    lengths_us = [float(length) for length in lengths_us or (30000,)]
    # Started before the window, so that their own first waits are not in it.
    pipes = [(os.pipe(), os.pipe()) for _unused in lengths_us]
    victims = [_sleeping_victim(cpu, wake, told) for wake, told in pipes]

    def happen():
        made = zip(lengths_us, victims, pipes)  # noqa: B905 (the host's Python)
        return [_delay_a_task(cpu, length_us, victim, wake[1], told) for length_us, victim, (wake, told) in made]

    options = {"comm": only} if only else {}
    return measured_while(make("runlatency", top=1000, runq_us=int(threshold_us), **options), happen)


def queue_delay_and_crowd(turns):
    """queue_delay() of one task, and behind the real-time task as many others have a short turn each before it."""
    cpu, others = max(os.sched_getaffinity(0)), []
    wake, told = os.pipe(), os.pipe()
    victim = _sleeping_victim(cpu, wake, told)
    try:
        for _unused in range(int(turns)):
            (order_read, order_write), (ready_read, ready_write) = os.pipe(), os.pipe()
            others.append((os.fork(), order_write))
            if others[-1][0] == 0:
                os.sched_setaffinity(0, {cpu})
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(40))
                os.write(ready_write, b"r")
                while True:
                    os.read(order_read, 1)
            os.read(ready_read, 1)
        orders = [order for _pid, order in others]
        probe = make("runlatency", comm="ks-victim", runq_us=20000)
        return measured_while(probe, lambda: _delay_a_task(cpu, 30000, victim, wake[1], told, orders))
    finally:
        for pid, _order in others:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def keep_busy(cpu):
    """Never let this CPU be idle, until killed or the process that started this one ends. Does not return."""
    libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    os.sched_setaffinity(0, {cpu})
    while True:
        pass


def turns(tasks, number, least_s=0):
    """One task is woken on a CPU on which real-time tasks then take so many short turns, in a ring; each has a name of its own.

    least_s: they go on for so many seconds. As the kernel lets others in beside real-time tasks, they are then ordinary ones of
    the highest priority, and the one that waits has the lowest. The other CPUs are busy: none of them could have taken the task.
    Truth: how long each of them was on the CPU, by its own clock, from the first turn to the last, and how late the one that waits
    ran, by its own: a kernel with a deadline server for ordinary tasks (6.8) now and then lets it in at once.
    """
    cpu, tasks, number, least_s = max(os.sched_getaffinity(0)), int(tasks), int(number), float(least_s)
    wake, told = os.pipe(), os.pipe()
    victim = _sleeping_victim(cpu, wake, told, 0.1 if least_s else 0.0)
    if least_s:
        os.sched_setscheduler(victim, os.SCHED_IDLE, os.sched_param(0))
    ring, ran, members = [os.pipe() for _unused in range(tasks)], os.pipe(), []

    def member(place):
        os.sched_setaffinity(0, {cpu})
        if least_s:
            os.setpriority(os.PRIO_PROCESS, 0, -20)
        else:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(40))
        with open("/proc/self/comm", "w") as stream:
            stream.write("ks-turn-%d" % place)
        os.write(told[1], b"r")
        began_ns, until_s = None, 0.0
        while True:
            left = struct.unpack("q", os.read(ring[place][0], 8))[0]
            if began_ns is None:
                began_ns = time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) * 1e9
                until_s = time.monotonic() + least_s
            if left == number:
                os.write(wake[1], b"w")
            if left > 0:
                less = left == number or time.monotonic() >= until_s
                os.write(ring[(place + 1) % tasks][1], struct.pack("q", left - 1 if less else left))
            elif left > -tasks:  # each is told once that it is over
                os.write(ring[(place + 1) % tasks][1], struct.pack("q", left - 1))
                os.write(ran[1], struct.pack("qq", place, int(time.clock_gettime(time.CLOCK_THREAD_CPUTIME_ID) * 1e9 - began_ns)))

    try:
        for place in range(tasks):
            members.append(os.fork())
            if members[-1] == 0:
                member(place)
            os.read(told[0], 1)
        for other in os.sched_getaffinity(0) - {cpu}:
            members.append(os.fork())
            if members[-1] == 0:
                keep_busy(other)

        def happen():
            began_s = time.monotonic()
            os.write(ring[0][1], struct.pack("q", number))
            times = dict(struct.unpack("qq", os.read(ran[0], 16)) for _unused in range(tasks))
            late_s = struct.unpack("d", os.read(told[0], 8))[0] - began_s
            ran_us = {"ks-turn-%d" % place: ns / 1e3 for place, ns in times.items()}
            return {"victim": victim, "cpu": cpu, "late_us": late_s * 1e6, "ran_us": ran_us}

        return measured_while(make("runlatency", top=1000), happen)
    finally:
        for pid in members:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


# A program at a tracepoint keeps the CPU by walking its stack, again and again: with interrupts off in the midst of a
# switch of tasks, with them on at the entry of a system call, or where a page fault gets a page that can be moved (GFP flag 8).
SPIN = """
struct made_t { u64 start_ns; u64 length_ns; u64 cpu; };
BPF_ARRAY(wanted, u64, 2);
BPF_ARRAY(made, struct made_t, 64);
BPF_PERCPU_ARRAY(walked, u64, 32);
int spin(struct bpf_raw_tracepoint_args *ctx) {
  u32 zero = 0, one = 1;
  u64 *length = wanted.lookup(&zero), *number = wanted.lookup(&one);
  if (!length || !number || !*length || !APT || (u32)bpf_get_current_pid_tgid() != TID)
    return 0;
  u32 index = *number & 63;
  struct made_t *made_now = made.lookup(&index);
  u64 *frames = walked.lookup(&zero);
  if (!made_now || !frames)
    return 0;
  u64 limit = *length, start = bpf_ktime_get_ns(), took = 0;
  *length = 0;
#pragma clang loop unroll(disable)
  for (int i = 0; i < 8000; i++) {
    bpf_get_stack(ctx, frames, 8, 0);
    bpf_get_stack(ctx, frames, 8, 0);
    bpf_get_stack(ctx, frames, 8, 0);
    bpf_get_stack(ctx, frames, 8, 0);
    took = bpf_ktime_get_ns() - start;
    if (took >= limit)
      break;
  }
  made_now->start_ns = start;
  made_now->length_ns = took;
  made_now->cpu = bpf_get_smp_processor_id();
  *number += 1;
  return 0;
}
"""


PLACES = {"irqoff": ("sched_switch", "1"), "nosched": ("sys_enter", "1"), "fault": ("mm_page_alloc", "(ctx->args[2] & 8)")}


def _make_stalls(kind, lengths_us, cpu, orders, told):
    """Wait for a byte, then make a stall of each length on this CPU.

    Tells {"stalls": [{"start_ns", "end_ns", "cpu"}], "slow": [[start_ns, end_ns] of all that took it a millisecond or longer]}.
    """
    if kind == "fault":
        os.setpgid(0, 0)  # no part of the measurement
    os.sched_setaffinity(0, {cpu})
    with open("/proc/self/comm", "w") as comm:
        comm.write("ks-stall")
    program.prepare()
    event, apt = PLACES[kind]
    spin = program.Program("#define TID %d\n#define APT %s\n" % (os.getpid(), apt) + SPIN)
    spin.attach_raw(event, "spin")
    wanted, made = spin.table("wanted"), spin.table("made")
    os.write(told, b"r")
    os.read(orders, 1)
    slow, woke_ns = [], time.monotonic_ns()
    for number, length_us in enumerate(lengths_us):
        wanted[wanted.Key(0)] = wanted.Leaf(length_us * 1000)
        while wanted[1].value == number:
            mmap.mmap(-1, mmap.PAGESIZE)[0] = 1  # a page fault
            sleeps_ns = time.monotonic_ns()
            if sleeps_ns - woke_ns > 1e6 and len(slow) < 100:
                slow.append([woke_ns, sleeps_ns])
            time.sleep(0.005)  # a system call, and a switch of tasks
            woke_ns = time.monotonic_ns()
    rows = [made[number] for number in range(len(lengths_us))]
    stalls_made = [{"start_ns": row.start_ns, "end_ns": row.start_ns + row.length_ns, "cpu": row.cpu} for row in rows]
    spin.close()
    os.write(told, json.dumps({"stalls": stalls_made, "slow": slow}).encode())


def _run_beside(cpu, gaps, told):
    """Want that CPU all the time. Notes in `gaps` (shared memory) from when until when it was not had: pairs of nanoseconds."""
    os.sched_setaffinity(0, {cpu})
    number, last_ns = 0, time.monotonic_ns()
    os.write(told, b"r")
    while True:
        now_ns = time.monotonic_ns()
        if now_ns - last_ns > 500_000:
            struct.pack_into("QQ", gaps, 16 * (number % (len(gaps) // 16)), last_ns, now_ns)
            number += 1
        last_ns = now_ns


def stalls_under_way(kind, threshold_us, *lengths_us):
    """The same, but they begin before the window opens."""
    return stalls(kind, threshold_us, *lengths_us, early=True)


def stalls(kind, threshold_us, *lengths_us, early=False):
    """Keep a CPU from interrupts (irqoff), from switching (nosched), or a task in a page fault (fault); another task wants to run there."""
    cpu = max(os.sched_getaffinity(0))
    orders_read, orders_write = os.pipe()
    told_read, told_write = os.pipe()
    maker = os.fork()
    if maker == 0:
        _make_stalls(kind, list(map(int, lengths_us)), cpu, orders_read, told_write)
        os._exit(0)
    os.read(told_read, 1)

    gaps = mmap.mmap(-1, 1 << 20)
    rival = os.fork()
    if rival == 0:
        _run_beside(cpu, gaps, told_write)
    os.read(told_read, 1)

    def begin():
        os.write(orders_write, b"g")

    def happen():
        if not early:
            begin()
        told = json.loads(os.read(told_read, 65536).decode())
        truth = told["stalls"]
        while not any(ended >= truth[-1]["end_ns"] for _began, ended in struct.iter_unpack("QQ", gaps)):
            time.sleep(0.001)
        gaps_ns = [gap for gap in struct.iter_unpack("QQ", gaps) if gap[1]]
        for stall in truth:
            # It ended after the loop did, and before the other task was seen to run again; a pause of the machine counts as a part of it.
            began_ns, ended_ns = min((gap for gap in gaps_ns if gap[1] >= stall["end_ns"]), key=lambda gap: gap[1])
            stall["least_us"] = (stall["end_ns"] - stall["start_ns"]) / 1e3
            stall["most_us"] = (ended_ns - min(began_ns, stall["start_ns"])) / 1e3
            stall["late_us"] = (ended_ns - stall["end_ns"]) / 1e3
        return {"pid": maker, **told}

    try:
        names = ("syscall_us",) if kind == "fault" else ("irqoff_us", "nosched_us")
        probe = make("runlatency", top=1000, **dict.fromkeys(names, int(threshold_us)))
        return measured_while(probe, happen, before=begin if early else None)
    finally:
        for pid in (maker, rival):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def queued(tasks, window_s, before=None):
    """So many tasks that want one CPU all the time. before: called when all is ready, before the window opens."""
    cpu = max(os.sched_getaffinity(0))
    told_read, told_write = os.pipe()
    hogs = []
    try:
        for _unused in range(int(tasks)):
            hogs.append(os.fork())
            if hogs[-1] == 0:
                _run_beside(cpu, mmap.mmap(-1, 1 << 20), told_write)
        for _unused in hogs:
            os.read(told_read, 1)
        return measured_while(make("runlatency", top=1000), lambda: hogs, float(window_s), before=before)
    finally:
        for pid in hogs:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def worked(window_s):
    """One task that wants a CPU all the time; says so on a line of its own before the window opens."""
    return queued(1, window_s, lambda: print("ready", flush=True))


def crowded(tasks, window_s):
    """Two tasks want one CPU all the time, while so many others each come, wait there a little, and go.

    Returns as truth how long the two have waited, in microseconds, by the kernel's own account (Documentation/scheduler/sched-stats).
    """
    cpu = max(os.sched_getaffinity(0))
    told_read, told_write = os.pipe()
    hogs = []

    def waited_us():
        return [int(open("/proc/%d/schedstat" % pid).read().split()[1]) / 1e3 for pid in hogs]

    def happen():
        before_us = waited_us()
        for _unused in range(int(tasks)):
            other = os.fork()
            if other == 0:
                os.sched_setaffinity(0, {cpu})
                os._exit(0)
            os.waitpid(other, 0)
        return before_us

    try:
        for _unused in range(2):
            hogs.append(os.fork())
            if hogs[-1] == 0:
                _run_beside(cpu, mmap.mmap(-1, 1 << 20), told_write)
        for _unused in hogs:
            os.read(told_read, 1)
        result = measured_while(make("runlatency", top=1000), happen, float(window_s), ended=waited_us)
        waits_us = [after_us - before_us for before_us, after_us in zip(result["truth"], result["said"])]  # noqa: B905 (the host's Python)
        result["truth"] = {"cpu": cpu, "waited_us": dict(zip(hogs, waits_us))}  # noqa: B905
        return result
    finally:
        for pid in hogs:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _read_zeros(cpu, mebibytes, orders, told):
    """Wait for a byte, then stay in the kernel for as long as it takes to read so much of /dev/zero at once, each size in turn.

    Tells [{"cpu_us", "wall_us", "slept"}]: the CPU time of the thread and the time of the clock around each system call, and how
    often it slept meanwhile, as for a page. In between it sleeps in the kernel, and makes many short system calls, for longer than
    the longest read.
    """
    os.setpgid(0, 0)  # no part of the measurement
    os.sched_setaffinity(0, {cpu})
    with open("/proc/self/comm", "w") as comm:
        comm.write("ks-reader")
    buffer = mmap.mmap(-1, max(mebibytes) << 20)
    buffer.write(b"x" * len(buffer))
    zeros = os.open("/dev/zero", os.O_RDONLY)
    os.write(told, b"r")
    os.read(orders, 1)
    truth = []
    for size in mebibytes:
        part = memoryview(buffer)[: size << 20]
        slept = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw
        wall_ns, cpu_ns = time.monotonic_ns(), time.thread_time_ns()
        got = os.readv(zeros, [part])
        cpu_ns, wall_ns = time.thread_time_ns() - cpu_ns, time.monotonic_ns() - wall_ns
        slept = resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw - slept
        if got != size << 20:
            raise RuntimeError("read %d bytes of %d MiB" % (got, size))
        truth.append({"cpu_us": cpu_ns / 1e3, "wall_us": wall_ns / 1e3, "slept": slept})
        time.sleep(0.1)
        ended = time.thread_time() + 0.1
        while time.thread_time() < ended:
            os.getppid()
    os.write(told, json.dumps(truth).encode())


def syscalls(threshold_us, *mebibytes):
    """Long system calls, beside a task that wants the same CPU."""
    cpu = max(os.sched_getaffinity(0))
    orders_read, orders_write = os.pipe()
    told_read, told_write = os.pipe()
    reader = os.fork()
    if reader == 0:
        _read_zeros(cpu, list(map(int, mebibytes)), orders_read, told_write)
        os._exit(0)
    os.read(told_read, 1)
    rival = os.fork()
    if rival == 0:
        _run_beside(cpu, mmap.mmap(-1, 1 << 20), told_write)
    os.read(told_read, 1)

    def happen():
        os.write(orders_write, b"g")
        return reader

    def ended():
        return json.loads(os.read(told_read, 65536).decode())

    try:
        return measured_while(make("runlatency", syscall_us=int(threshold_us), top=1000), happen, 0.5 * len(mebibytes), ended)
    finally:
        for pid in (reader, rival):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


@contextlib.contextmanager
def limited_group(name, quota_us, period_us):
    """A control group with a CPU quota, of either version; yields (its path as in /proc/PID/cgroup, its file of processes)."""
    if os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        folder = "/sys/fs/cgroup/" + name
        settings = [("/sys/fs/cgroup/cgroup.subtree_control", "+cpu"), (folder + "/cpu.max", "%d %d" % (quota_us, period_us))]
    else:
        folder = "/sys/fs/cgroup/cpu/" + name
        settings = [(folder + "/cpu.cfs_period_us", str(period_us)), (folder + "/cpu.cfs_quota_us", str(quota_us))]
    os.mkdir(folder)
    try:
        for path, text in settings:
            with open(path, "w") as stream:
                stream.write(text)
        yield "/" + name, folder + "/cgroup.procs"
    finally:
        os.rmdir(folder)


def throttled():
    """A process that wants the CPU all the time and may have 20 ms in 100, beside one without a quota."""
    with limited_group("ksysak-test", 20000, 100000) as (path, processes):
        limited, free = os.fork(), None
        if limited == 0:
            while True:
                pass
        try:
            with open(processes, "w") as stream:
                stream.write(str(limited))
            free = os.fork()
            if free == 0:
                while True:
                    pass
            probe = make("runlatency", cgroup=path, top=1000)
            found = measured_while(probe, lambda: {"limited": limited, "free": free, "cgroup": path}, window_s=2)
        finally:
            for pid in filter(None, (limited, free)):
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
    return found


def followed(name):
    """Follow one of two processes that sleep and wake, by this option; both end within the window."""
    orders_read, orders_write = os.pipe()

    def napper(comm):
        pid = os.fork()
        if pid:
            return pid
        with open("/proc/self/comm", "w") as stream:
            stream.write(comm)
        os.read(orders_read, 1)
        for _unused in range(100):
            time.sleep(0.005)
        os._exit(0)

    pids = [napper("ks-nap"), napper("ks-nap-other")]
    probe = make("runlatency", top=1000, **{name: "ks-nap" if name == "comm" else pids[0]})

    def happen():
        os.write(orders_write, b"gg")
        for pid in pids:
            os.waitpid(pid, 0)
        return pids

    return measured_while(probe, happen)


def interrupts():
    """Send datagrams over the loopback; read the kernel's counters within and around the window."""
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("127.0.0.1", 0))
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def counted():
        return {"%s %s" % key: sum(by_cpu.values()) for key, by_cpu in snapshot().items()}

    def happen():
        inner = counted()
        for _number in range(2000):
            sender.sendto(b"x", receiver.getsockname())
            receiver.recv(16)
        return {"inner_before": inner, "inner_after": counted()}

    outer = counted()
    result = measured_while(make("interference"), happen)
    result["truth"].update(outer_before=outer, outer_after=counted())
    return result


def scan(duration_s):
    """All eBPF probes in one window, as the module runs them; each says on standard error when its window is open."""

    def announced(start):
        def start_and_say(engine, duration_s):
            start(engine, duration_s)
            os.write(2, b"measuring\n")

        return start_and_say

    for probe in PROBES.values():
        probe.ENGINES[0].start = announced(probe.ENGINES[0].start)
    stop = window.Stop()
    stop.on_signals()
    return window.measure([make(name) for name in sorted(PROBES)], int(duration_s), stop)


def trouble():
    """Make trouble until standard input ends: a steady leak, a task kept waiting, and lines in the kernel log.

    Prints its truth at the beginning, as one line of JSON.
    """
    cpu = max(os.sched_getaffinity(0))
    turn_read, turn_write = os.pipe()
    victim = os.fork()
    if victim == 0:
        os.sched_setaffinity(0, {cpu})
        with open("/proc/self/comm", "w") as comm:
            comm.write("ks-victim")
        while True:
            os.read(turn_read, 1)
    hog = os.fork()
    if hog == 0:
        os.sched_setaffinity(0, {cpu})
        with open("/proc/self/comm", "w") as comm:
            comm.write("ks-hog")
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        while True:
            os.write(turn_write, b"w")  # the victim could run from now on, and waits for all of this turn
            end_s = time.monotonic() + HOG_TURN_S
            while time.monotonic() < end_s:
                pass
            time.sleep(3)  # the longest 16 waits of a CPU are kept: one or two turns a scan push the victim's out of none
    queue = Messages(20000)
    try:
        print(json.dumps({"victim": victim, "hog": hog, "cpu": cpu, "turn_us": HOG_TURN_S * 1e6}), flush=True)
        logged_s = 0
        while not select.select([0], [], [], 0.01)[0]:
            if time.monotonic() - logged_s > 2:
                logged_s = time.monotonic()
                with open("/dev/kmsg", "w") as log:
                    log.write("WARNING: CPU: 0 PID: 1 at tests/ksysak.c:1 ksysak_test+0x0/0x10\n")
            if queue.filled < 20000:
                queue.send()
    finally:
        queue.close()
        for pid in (victim, hog):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return {}


def deleted(number):
    """Fill a map, delete every second entry and some that are not there; returns what is left, and how many were deleted, in each way."""
    program.prepare()
    made = program.Program("BPF_HASH(kept, u64, u64, 65536);")
    table, found = made.table("kept"), {}
    for way, command in (("batches", maps._DELETE_BATCH), ("one by one", -1)):
        maps._DELETE_BATCH = command
        for key in range(int(number)):
            table[table.Key(key)] = table.Leaf(2 * key)
        gone = [table.Key(key) for key in range(0, int(number) + 100, 2)] + [table.Key(0)]
        count = maps.delete(table, gone)
        rows, whole = maps.items(table, 65536)
        found[way] = [count, whole, sorted((key.value, value.value) for key, value in rows) == [
            (key, 2 * key) for key in range(1, int(number), 2)]]  # fmt: skip
    made.close()
    return found


def ordinary(name, *arguments):
    """Any of the cases, where runlatency has to do without typed tracepoints, as on kernels before 5.5 and without BTF."""
    scheduler.offsets = lambda types: None
    return CASES[name](*arguments)


CASES = {
    case.__name__: case
    for case in (
        messages,
        burst,
        counters,
        storm,
        work,
        full,
        slowly_read,
        shallow,
        refused,
        queue_delay,
        queue_delay_and_crowd,
        turns,
        stalls,
        stalls_under_way,
        syscalls,
        queued,
        worked,
        crowded,
        throttled,
        followed,
        interrupts,
        scan,
        trouble,
        ordinary,
        deleted,
    )
}

if __name__ == "__main__":
    json.dump(CASES[sys.argv[1]](*sys.argv[2:]), sys.stdout)
