# SPDX-License-Identifier: GPL-3.0-or-later
"""testrunlatency: ordinary scheduling delay without a kernel module, with its truth to the microsecond.

All works on one CPU, in turns. In a turn the hogs are woken and run for duration_us;
the waiters are woken while they run. Every process notes by CLOCK_MONOTONIC when it
ran: a waiter cannot have run while a hog ran on the same CPU, so the sum of that is
the least that it has waited, and the time from its wake-up to its own first look at
the clock is the most.

- realtime: one hog of SCHED_FIFO, and one task that waits for it.
- hogs: several ordinary hogs, and one task of least weight that waits for its turn.
- crowd: several ordinary tasks, all woken at once; each of them waits for the others.

The maker of the delays is a process of its own that nobody waits for. All others end
with it.
"""

import collections
import json
import os
import select
import signal
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import ipc, linux

LOADS = ('realtime', 'hogs', 'crowd')
KEPT = 64  # delays that are remembered, as by the kernel modules

_NAME = 'testrunlatency'
_GAP_NS = 50000  # a hog that sees its clock leap by this did not run meanwhile
_RUNS = 4000
_SLACK_S = 5  # for a turn that has begun when the time to live ends
_ANSWER_S = 30


class Failed(Exception):
    """The delays cannot be made here; the text says why."""


def start(options):
    """Begin to make delays in a process of its own that ends by itself after options['ttl_s'].

    options: {load, duration_us, interval_ms, cpu, count, tasks, ttl_s}. Returns its first answer, as ask() does.
    Raises Failed.
    """
    def serve(notify):
        server = ipc.Server(_NAME)
        server.listen()
        notify(None)
        _Maker(options, server).run()

    try:
        ipc.detach(serve)
    except ipc.Died as error:
        raise Failed('testrunlatency did not start: %s' % (error if str(error) else 'its process died'))
    answer = ask()
    if answer is None:
        raise Failed('testrunlatency has ended at once')
    return answer


def ask(stop=False):
    """Return the answer of the running maker, or None when none is running: {'options': {…}, 'ground_truth': {…}}.

    stop: end it; its processes are gone when this returns.
    ground_truth: {'turns': int, 'started_ns', 'read_at_ns', 'read_at_s', 'delays': [{'n', 'cpu', 'pid', 'comm', 'start_ns', 'least_ns',
    'most_ns', 'ran': [pid]}], 'error'}; the last KEPT delays. Raises Failed when it does not answer.
    """
    try:
        return ipc.ask(_NAME, 'stop' if stop else 'report', _ANSWER_S, until_ended=stop)
    except ipc.Untrusted:
        raise Failed('another user has taken the name of testrunlatency on this host')
    except (OSError, ValueError) as error:
        raise Failed('testrunlatency is running, but does not answer: %s' % error)


def overlap_ns(runs, begin_ns, end_ns):
    """How long any task ran between two instants. runs: [(begin_ns, end_ns)] of several tasks on one CPU, in any order."""
    covered_ns, reached_ns = 0, begin_ns
    for run_begin_ns, run_end_ns in sorted(runs):
        run_begin_ns, run_end_ns = max(run_begin_ns, reached_ns), min(run_end_ns, end_ns)
        if run_end_ns > run_begin_ns:
            covered_ns += run_end_ns - run_begin_ns
            reached_ns = run_end_ns
    return covered_ns


def _now_ns():
    return int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)


def _burn(duration_ns):
    """Run for that long by the clock. Returns [(begin_ns, end_ns)]: when this process surely ran."""
    begin_ns = last_ns = _now_ns()
    end_ns, runs = begin_ns + duration_ns, []
    while last_ns < end_ns:
        now_ns = _now_ns()
        if now_ns - last_ns > _GAP_NS and len(runs) < _RUNS:
            runs.append((begin_ns, last_ns))
            begin_ns = now_ns
        last_ns = now_ns
    return runs + [(begin_ns, last_ns)]


class _Member:
    """One process on the CPU: it waits to be woken, notes when it was, runs for a while, and tells."""

    def __init__(self, comm, cpu, duration_us, policy=None, wakes=None):
        """policy: function that sets its own; wakes: a _Member that it wakes itself when it has begun to run."""
        self.comm = comm
        wake_read, self.wake_end = os.pipe()
        self.told_end, told_write = os.pipe()
        maker = os.getpid()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                if not linux.die_with_parent(maker):
                    os._exit(0)
                linux.set_name(comm)
                os.sched_setaffinity(0, {cpu})
                if policy:
                    policy()
                os.write(told_write, b'{}\n')
                while os.read(wake_read, 1):
                    awake_ns, woke = _now_ns(), None
                    if wakes:
                        woke = wakes.wake()
                    runs = _burn(duration_us * 1000) if duration_us else []
                    os.write(told_write, json.dumps({'awake_ns': awake_ns, 'woke': woke, 'runs': runs}).encode() + b'\n')
            except BaseException as error:
                os.write(told_write, json.dumps({'error': str(error)}).encode() + b'\n')
            finally:
                os._exit(0)
        os.close(wake_read)
        os.close(told_write)
        self._rest = b''

    def wake(self):
        """Returns the instants around the wake-up, ns."""
        before_ns = _now_ns()
        os.write(self.wake_end, b'w')
        return before_ns, _now_ns()

    def take(self):
        """Read once what it tells. Returns its report when that is whole, else None. Raises Failed."""
        part = os.read(self.told_end, 65536)
        if not part:
            raise Failed('%s (process %d) has ended' % (self.comm, self.pid))
        self._rest += part
        line, end, rest = self._rest.partition(b'\n')
        if not end:
            return None
        self._rest = rest
        report = json.loads(line.decode())
        if 'error' in report:
            raise Failed('%s: %s' % (self.comm, report['error']))
        return report


class _Maker:
    """The process that makes the delays and reports them."""

    def __init__(self, options, server):
        self._options = options
        self._server = server
        self._stopper = None
        self._members = []
        self._delays = collections.deque(maxlen=KEPT)
        self._turns = 0
        self._error = ''
        self._deadline_s = time.monotonic() + options['ttl_s']
        self._started_ns = _now_ns()
        linux.set_name('testrunlatency')

    def run(self):
        """Make delays until the count is reached; answer until asked to stop, or the time to live is over."""
        try:
            try:
                self._populate()
                while self._goes_on() and self._turns < (self._options['count'] or float('inf')):
                    self._turn()
                    self._serve(time.monotonic() + self._options['interval_ms'] / 1e3)
            except Failed as error:
                self._error = str(error)
            while self._goes_on():
                self._serve(self._deadline_s)
        finally:
            for member in self._members:
                os.kill(member.pid, signal.SIGKILL)
                os.waitpid(member.pid, 0)
            # Closed before the answer: who was told of the end may start another one.
            self._server.close()
            if self._stopper:
                self._answer(self._stopper)

    def _goes_on(self):
        return self._stopper is None and time.monotonic() < self._deadline_s

    def _populate(self):
        load, cpu, duration_us = (self._options[name] for name in ('load', 'cpu', 'duration_us'))
        if load == 'crowd':
            self._hogs, self._waiters = [], [_Member('ks-crowd', cpu, duration_us) for _number in range(self._options['tasks'])]
            self._members = self._waiters
        else:
            policy = (lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))) if load == 'realtime' else None
            victim = _Member('ks-victim', cpu, 0, None if load == 'realtime' else lambda: os.nice(19))
            self._members = [victim]
            number = 1 if load == 'realtime' else self._options['tasks']
            # The last hog wakes the victim: it runs by then, also where this process shares the CPU with it.
            for left in range(number, 0, -1):
                self._members.append(_Member('ks-hog', cpu, duration_us, policy, victim if left == 1 else None))
            self._hogs, self._waiters = self._members[1:], [victim]
        self._gather(self._members)

    def _gather(self, members):
        """Wait until each of them has told something, and answer callers meanwhile. Returns [report]."""
        reports = {}
        while len(reports) < len(members):
            ends = dict((member.told_end, member) for member in members if member not in reports)
            readable = select.select(list(ends) + [self._server], [], [], max(0, self._deadline_s + _SLACK_S - time.monotonic()))[0]
            if not readable:
                raise Failed('its processes did not get to run within the time to live')
            for ready in readable:
                if ready is self._server:
                    self._serve_one()
                else:
                    report = ends[ready].take()
                    if report is not None:
                        reports[ends[ready]] = report
        return [reports[member] for member in members]

    def _turn(self):
        woken = dict((member, member.wake()) for member in (self._hogs or self._waiters))
        reports = dict(zip(self._members, self._gather(self._members)))
        for report in reports.values():
            if report['woke']:
                woken[self._waiters[0]] = report['woke']
        self._turns += 1
        for waiter in self._waiters:
            before_ns, after_ns = woken[waiter]
            awake_ns = reports[waiter]['awake_ns']
            others = [(member, self._certain(reports[member]['runs'], awake_ns)) for member in self._members if member is not waiter]
            ran = [(overlap_ns(runs, after_ns, awake_ns), member.pid) for member, runs in others]
            self._delays.append({
                'n': self._turns, 'cpu': self._options['cpu'], 'pid': waiter.pid, 'comm': waiter.comm, 'start_ns': before_ns,
                'least_ns': overlap_ns([run for _member, runs in others for run in runs], after_ns, awake_ns),
                'most_ns': awake_ns - before_ns,
                'ran': [pid for ran_ns, pid in sorted(ran, reverse=True) if ran_ns > 0],
            })

    def _certain(self, runs, awake_ns):
        """When the waiter can surely not have run. A real-time hog keeps it from running also while a hypervisor has the CPU."""
        runs = [tuple(run) for run in runs]
        if self._options['load'] == 'realtime' and runs and runs[-1][1] <= awake_ns:
            return [(runs[0][0], runs[-1][1])]
        return runs

    def _serve(self, until_s):
        while self._goes_on():
            left_s = min(until_s, self._deadline_s) - time.monotonic()
            if left_s <= 0:
                return
            if select.select([self._server], [], [], left_s)[0]:
                self._serve_one()

    def _serve_one(self):
        caller, word = self._server.accept()
        if word == 'stop' and self._stopper is None:
            self._stopper = caller
        elif word == 'report':
            self._answer(caller)
        else:
            caller.close()

    def _answer(self, caller):
        truth = {'turns': self._turns, 'started_ns': self._started_ns, 'read_at_ns': _now_ns(), 'read_at_s': round(time.time(), 3),
                 'delays': list(self._delays), 'error': self._error}
        ipc.answer(caller, {'options': self._options, 'ground_truth': truth})
