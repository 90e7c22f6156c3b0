# SPDX-License-Identifier: GPL-3.0-or-later
"""Run several probes at once, in one window.

Each probe works in a process of its own, so that one that hangs or crashes takes
nothing with it but itself. The kernel ends these processes with their parent, and
all that they hold (BPF programs, maps, mounts) ends with them.
"""

import datetime
import errno
import json
import multiprocessing
import multiprocessing.connection
import os
import select
import signal
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import lifecycle, linux
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import degrade, envelope

# What a scan may take beyond its window; what takes longer is ended.
SETUP_LIMIT_S = 240
READ_LIMIT_S = 30
_START_LIMIT_S = 30  # within the set-up's
OVERHEAD_LIMIT_S = SETUP_LIMIT_S + READ_LIMIT_S

_TICK_S = 0.5

# 'spawn' would import everything again, and cannot from a zipped module.
_context = multiprocessing.get_context('fork')


class Stop:
    """Ends a window early, when a signal arrives, another process asks for it, or no process waits for the result any more.

    sockets: {socket: function to call when it is readable}. The functions may call now().
    """

    def __init__(self, sockets=None):
        self.sockets = dict(sockets or {})
        self.reason = ''

    def now(self, reason):
        """Ask for the end of the window; the first reason is kept."""
        self.reason = self.reason or reason

    def on_signals(self):
        """Let SIGTERM, SIGINT and SIGHUP end the window instead of the process."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda received, _frame: self.now('signal %d' % received))

    def check_reader(self):
        """Ask for the end when standard output is a pipe that nobody reads any more: the controller went away."""
        poll = select.poll()
        poll.register(1, 0)
        if any(event & (select.POLLERR | select.POLLHUP) for _unused, event in poll.poll(0)):
            self.now('the connection to the controller was lost')


def measure(probes, duration_s, stop=None):
    """Run the probes together for one window. Returns {name: envelope}.

    probes: Probe objects; duration_s: length of the window; stop: Stop, or None.
    Nothing that happens to a probe raises: its envelope says 'failed' with a reason.
    """
    return _run(probes, duration_s, stop or Stop())


def preflight(probes):
    """Open and close each probe's engine without measuring. Returns {name: envelope} with empty data."""
    return _run(probes, None, Stop())


class _Worker:
    """The parent's side of one probe process."""

    def __init__(self, probe, duration_s):
        self.probe = probe
        self.result = None
        self.ready = self.started = False
        self.pipe, theirs = _context.Pipe()
        self.process = _context.Process(target=_work, args=(probe, duration_s, theirs, os.getpid()), name=probe.NAME)
        self.process.start()
        theirs.close()

    @property
    def busy(self):
        return self.result is None

    def receive(self):
        """Take one message: 'ready', 'started', or the envelope. The end of the pipe means that the process died."""
        try:
            message = self.pipe.recv_bytes()
        except (EOFError, OSError):
            self.process.join()
            code = self.process.exitcode
            self.fail('the probe process ended by signal %d' % -code if code < 0 else 'the probe process ended with code %d' % code)
            return
        if message == b'ready':
            self.ready = True
        elif message == b'started':
            self.started = True
        else:
            self.result = json.loads(message.decode())

    def send(self, word):
        try:
            self.pipe.send_bytes(word)
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise

    def fail(self, reason):
        self.result = envelope(self.probe, 'failed', reason, lifecycle.REPORT_BUG)

    def end(self):
        if self.process.is_alive():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()
        self.pipe.close()


def _run(probes, duration_s, stop):
    workers = []
    try:
        for probe in probes:
            workers.append(_Worker(probe, duration_s))
        latest_s = time.monotonic() + SETUP_LIMIT_S
        _wait(workers, lambda worker: not worker.ready, SETUP_LIMIT_S, 'it was not ready to measure after %d s' % SETUP_LIMIT_S, stop)
        if not stop.reason:
            for worker in workers:
                worker.send(b'go')
            if duration_s is not None:
                # On a busy host an engine's start takes a while, and its window is to be as long as the others'.
                _wait(workers, lambda worker: not worker.started, min(_START_LIMIT_S, latest_s - time.monotonic()), None, stop)
                _wait(workers, lambda worker: True, duration_s, None, stop)
        for worker in workers:
            worker.send(b'stop')
        _wait(workers, lambda worker: True, READ_LIMIT_S, 'it gave no result %d s after its window' % READ_LIMIT_S, None)
        results = dict((worker.probe.NAME, worker.result) for worker in workers)
    finally:
        for worker in workers:
            worker.end()
    for result in results.values():
        if stop.reason:
            _cut_short(result, duration_s, stop.reason)
        else:
            _began_late(result, duration_s)
    return results


def _wait(workers, wanted, limit_s, reason, stop):
    """Serve the workers until none that is busy is wanted, the limit has passed (they fail with `reason`), or stop says so."""
    deadline = time.monotonic() + limit_s
    while True:
        waiting = [worker for worker in workers if worker.busy and wanted(worker)]
        left_s = deadline - time.monotonic()
        if not waiting or (stop and stop.reason):
            return
        if left_s <= 0:
            for worker in waiting if reason else ():
                worker.fail(reason)
            return
        sources = dict((worker.pipe, worker.receive) for worker in workers if worker.busy)
        sources.update(stop.sockets if stop else {})
        for source in multiprocessing.connection.wait(list(sources), min(_TICK_S, left_s)):
            sources[source]()
        if stop:
            stop.check_reader()


def _cut_short(result, duration_s, reason):
    if result['status'] in ('ok', 'degraded') and duration_s is not None:
        degrade(result, 'the window was cut to %.1f of %d s (%s)' % (result['window_s'], duration_s, reason), 'Scan again.')


def _began_late(result, duration_s):
    """Say so where the start of an engine took so long that the scan did not wait for it, and for most of its window."""
    if result['status'] in ('ok', 'degraded') and duration_s is not None and result['window_s'] < duration_s / 2:
        degrade(result, 'it measured for %.1f of %d s: its start took the rest' % (result['window_s'], duration_s),
                'Scan for longer, or when the host is less busy.')


def _work(probe, duration_s, pipe, parent):
    """The probe process: open an engine, wait for 'go', measure, send the envelope."""
    if not linux.die_with_parent(parent):
        return
    # The parent decides: Ctrl-C reaches the whole process group.
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    started_s = time.monotonic()
    engine, missing = lifecycle.open_engine(probe)
    setup_s = time.monotonic() - started_s
    pipe.send_bytes(b'ready')
    if pipe.recv_bytes() != b'go':
        result = envelope(probe, 'skipped', 'the scan was ended before its window opened', 'Scan again.')
    elif engine is None:
        result = lifecycle.no_engine(probe, missing)
    else:
        result = _measure(probe, engine, missing, duration_s, pipe)
    result['cost'].update(lifecycle.cost(setup_s))
    pipe.send_bytes(json.dumps(result).encode())


def _measure(probe, engine, missing, duration_s, pipe):
    try:
        if duration_s is None:
            return lifecycle.mark_degraded(envelope(probe, 'ok', engine=engine.NAME), engine, missing)
        engine.start(duration_s)
        wall, began_s = datetime.datetime.utcnow(), time.monotonic()
        pipe.send_bytes(b'started')
        while not pipe.poll(0):
            left_s = duration_s - (time.monotonic() - began_s)
            if left_s <= 0:
                break
            engine.poll(min(_TICK_S, left_s))
        window_s = time.monotonic() - began_s
        return lifecycle.finish(probe, engine, missing, wall, window_s)
    except Exception as error:
        return lifecycle.failed(probe, engine, error)
    finally:
        lifecycle.close_engine(engine)
