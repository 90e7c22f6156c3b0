# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe that goes on measuring after its task has ended: started, reported as often as one likes, and stopped.

It is one process without any file: all that it holds goes with it. It ends by itself when its time to live is over.
"""

import datetime
import os
import select
import signal
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import ipc, lifecycle, linux, window
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import envelope, fit

TTL_BOUNDS = {'ttl_s': (1, 7 * 86400)}

_TICK_S = 0.5
_TIME = '%Y-%m-%dT%H:%M:%SZ'


class Refused(Exception):
    """The service cannot do what was asked; the message says why, and what to do."""


def ask(probe, word, timeout_s=window.READ_LIMIT_S + 5):
    """Ask the running service of a probe. Returns its answer, a dict; None when there is none.

    probe: subclass of Probe, or one of its objects; word: 'info', 'report' or 'stop'. Raises Refused.
    """
    try:
        return ipc.ask(_name(probe), word, timeout_s)
    except ipc.Untrusted:
        raise Refused('the name of the service is taken by a process of another user; find it with ss -xlp, and end it')
    except (OSError, ValueError) as error:
        if word == 'info' and isinstance(error, ConnectionResetError):
            return None  # it was just ending
        raise Refused('the service that is running on this host did not answer: %s' % (error or 'it ended'))


def start(probe, ttl_s):
    """Start the service of a probe and wait until it measures. Returns (its info, whether it is new).

    probe: a Probe object; ttl_s: it ends by itself after that. A probe that cannot run here: its info has a status of
    'skipped' or 'failed', and nothing is running. Raises Refused, also when one with other options is running.
    """
    running = ask(probe, 'info')
    if running is not None:
        wanted = dict(probe.options, ttl_s=ttl_s)
        others = dict(running['options'], ttl_s=running['ttl_s'])
        differing = sorted(name for name in set(wanted) | set(others) if wanted.get(name) != others.get(name))
        if differing:
            raise Refused('%s is running on this host since %s with other options (%s): stop it first, or start it with the same ones' % (
                probe.NAME, running['started_at'], ', '.join('%s: %s' % (name, others.get(name)) for name in differing)))
        return running, False
    try:
        info = ipc.detach(lambda notify: _Service(probe, ttl_s).run(notify))
    except ipc.Died as error:
        raise Refused('the service ended before it could measure, or was not ready after %d s%s' % (
            window.SETUP_LIMIT_S, ': %s' % error if str(error) else ''))
    if 'refused' in info:
        raise Refused(info['refused'])
    return info, True


def _name(probe):
    return 'service/' + probe.NAME


class _Service:
    """The process that measures."""

    def __init__(self, probe, ttl_s):
        self._probe, self._ttl_s = probe, ttl_s
        self._engine = None
        self._failed = None  # the envelope, once the engine raised an error
        self._ended = False

    def run(self, notify):
        """Measure until stopped or ttl_s is over. notify: called with the info when measuring, or with {'refused': why}."""
        linux.set_name('ksysak-service')
        try:
            self._server = ipc.Server(_name(self._probe))
        except ipc.NameTaken:
            notify({'refused': 'another %s is starting on this host, or its name is taken by another process' % self._probe.NAME})
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.alarm(window.SETUP_LIMIT_S)  # unhandled, it ends the process
        try:
            self._open()
            if self._engine is not None:
                self._server.listen()
            signal.alarm(0)
            notify(self._info)
            if self._engine is not None:
                self._serve()
        finally:
            self._server.close()
            if self._engine is not None:
                lifecycle.close_engine(self._engine)

    def _end(self, _number, _frame):
        self._ended = True

    def _open(self):
        began_s = time.monotonic()
        self._engine, self._missing = lifecycle.open_engine(self._probe)
        self._setup_s = time.monotonic() - began_s
        self._wall, self._began_s = datetime.datetime.utcnow(), time.monotonic()
        state = self._begin() if self._engine is not None else lifecycle.no_engine(self._probe, self._missing)
        self._info = dict((key, state[key]) for key in ('status', 'reason', 'remedy', 'engine'))
        self._info.update(probe=self._probe.NAME, pid=os.getpid(), options=self._probe.options, ttl_s=self._ttl_s,
                          started_at=self._wall.strftime(_TIME),
                          ends_at=(self._wall + datetime.timedelta(seconds=self._ttl_s)).strftime(_TIME))

    def _begin(self):
        engine = self._engine
        try:
            engine.start(self._ttl_s)
            self._wall, self._began_s = datetime.datetime.utcnow(), time.monotonic()
            return lifecycle.mark_degraded(envelope(self._probe, 'ok', engine=engine.NAME), engine, self._missing)
        except Exception as error:
            lifecycle.close_engine(engine)
            self._engine = None
            return lifecycle.failed(self._probe, engine, error)

    def _serve(self):
        deadline_s = self._began_s + self._ttl_s
        while not self._ended and time.monotonic() < deadline_s:
            left_s = max(0, min(_TICK_S, deadline_s - time.monotonic()))
            if self._failed is not None:
                select.select([self._server], [], [], left_s)
            else:
                self._poll(left_s)
            while not self._ended and select.select([self._server], [], [], 0)[0]:
                self._answer()
            self._reap()

    def _poll(self, timeout_s):
        try:
            self._engine.poll(timeout_s)
        except Exception as error:
            self._failed = lifecycle.failed(self._probe, self._engine, error)

    @staticmethod
    def _reap():
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except OSError:  # no child
            pass

    def _answer(self):
        caller, word = self._server.accept()
        if word == 'info':
            ipc.answer(caller, self._info)
        elif word == 'stop':
            self._ended = True
            self._server.close()  # who asks from now on, finds nobody
            signal.alarm(window.READ_LIMIT_S)
            ipc.answer(caller, self._result(lifecycle.cost(self._setup_s)))
        elif word == 'report':
            self._report(caller)
        caller.close()

    def _report(self, caller):
        """A copy of this process stops and reads its own copy of the engine; the kernel's tables are shared and go on."""
        cost, service = lifecycle.cost(self._setup_s), os.getpid()
        if os.fork():
            return
        try:
            # What a copy holds would keep the programs in the kernel.
            if linux.die_with_parent(service):
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                signal.alarm(window.READ_LIMIT_S)
                self._server.close()
                ipc.answer(caller, self._result(cost))
        finally:
            os._exit(0)

    def _result(self, cost):
        """Stop and read the engine. Returns {'service', 'result'}."""
        window_s = time.monotonic() - self._began_s
        try:
            result = self._failed or lifecycle.finish(self._probe, self._engine, self._missing, self._wall, window_s)
        except Exception as error:
            result = lifecycle.failed(self._probe, self._engine, error)
        result['cost'].update(cost)
        fit(result)
        return {'service': self._info, 'result': result}
