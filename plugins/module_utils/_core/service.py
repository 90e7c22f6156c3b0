# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe that goes on measuring after its task has ended: started, reported as often as one likes, and stopped.

It is one process without any file: it listens on a Unix socket with an abstract name, which is free again the moment the process
is gone, and the kernel takes back all the rest. It ends by itself when its time to live is over.
"""

import datetime
import json
import os
import select
import signal
import socket
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import lifecycle, linux, window
from ansible_collections.ksysak.fleet.plugins.module_utils._core.control import received, trusted
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
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(timeout_s)
    try:
        try:
            caller.connect(_name(probe))
        except (IOError, OSError):
            return None
        if not trusted(caller):
            raise Refused('the name of the service is taken by a process of another user; find it with ss -xlp, and end it')
        caller.sendall(word.encode())
        return json.loads(received(caller).decode())
    except (IOError, OSError, ValueError) as error:
        if word == 'info' and isinstance(error, ConnectionResetError):
            return None  # it was just ending
        raise Refused('the service that is running on this host did not answer: %s' % (error or 'it ended'))
    finally:
        caller.close()


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
    ready, said = os.pipe()
    child = os.fork()
    if child == 0:
        _detach(probe, ttl_s, said)  # does not return
    os.close(said)
    os.waitpid(child, 0)
    with os.fdopen(ready, 'rb') as stream:
        words = stream.read()
    if not words:
        raise Refused('the service ended before it could measure, or was not ready after %d s' % window.SETUP_LIMIT_S)
    info = json.loads(words.decode())
    if 'refused' in info:
        raise Refused(info['refused'])
    return info, True


def _name(probe):
    return '\0ksysak.fleet/service/' + probe.NAME


def _say(descriptor, info):
    os.write(descriptor, json.dumps(info).encode())
    os.close(descriptor)


def _detach(probe, ttl_s, said):
    """In a child of the module: become a process that nobody waits for, in a session of its own, and serve there."""
    try:
        os.setsid()
        if os.fork() == 0:
            os.chdir('/')
            nothing = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(nothing, number)
            # A pipe that stays open would keep the task, or the connection, waiting.
            _close_all_but(said)
            linux.set_name('ksysak-service')
            _Service(probe, ttl_s).run(said)
    finally:
        os._exit(0)


def _close_all_but(kept):
    for name in os.listdir('/proc/self/fd'):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except (IOError, OSError):
                pass  # that of the listing itself


class _Service(object):
    """The process that measures."""

    def __init__(self, probe, ttl_s):
        self._probe, self._ttl_s = probe, ttl_s
        self._engine = None
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._failed = None  # the envelope, once the engine raised an error
        self._ended = False

    def run(self, said):
        """Measure until stopped or ttl_s is over. said: descriptor to write the info to when measuring."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.alarm(window.SETUP_LIMIT_S)  # unhandled, it ends the process
        try:
            if self._is_alone(said):
                self._open()
                if self._engine is not None:
                    self._socket.listen(4)
                signal.alarm(0)
                _say(said, self._info)
            if self._engine is not None:
                self._serve()
        finally:
            self._socket.close()
            if self._engine is not None:
                lifecycle.close_engine(self._engine)

    def _is_alone(self, said):
        try:
            self._socket.bind(_name(self._probe))
            return True
        except (IOError, OSError) as error:
            _say(said, {'refused': 'another %s is starting on this host, or its name is taken by another process (%s)' % (
                self._probe.NAME, error.strerror)})
            return False

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
                select.select([self._socket], [], [], left_s)
            else:
                self._poll(left_s)
            while not self._ended and select.select([self._socket], [], [], 0)[0]:
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
        except (IOError, OSError):  # no child
            pass

    def _answer(self):
        client, _unused = self._socket.accept()
        try:
            client.settimeout(2)
            word = client.recv(64).decode('ascii', 'replace') if trusted(client) else ''
            if word == 'info':
                client.sendall(json.dumps(self._info).encode())
            elif word == 'stop':
                self._ended = True
                self._socket.close()  # who asks from now on, finds nobody
                signal.alarm(window.READ_LIMIT_S)
                self._send(client, lifecycle.cost(self._setup_s))
            elif word == 'report':
                self._report(client)
        except (IOError, OSError):
            pass  # the caller went away
        finally:
            client.close()

    def _report(self, client):
        """A copy of this process stops and reads its own copy of the engine; the kernel's tables are shared and go on."""
        cost, parent = lifecycle.cost(self._setup_s), os.getpid()
        if os.fork():
            return
        try:
            # What a copy holds would keep the programs in the kernel.
            if not linux.die_with_parent(parent):
                return
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            signal.alarm(window.READ_LIMIT_S)
            self._socket.close()
            self._send(client, cost)
        finally:
            os._exit(0)

    def _send(self, client, cost):
        window_s = time.monotonic() - self._began_s
        try:
            result = self._failed or lifecycle.finish(self._probe, self._engine, self._missing, self._wall, window_s)
        except Exception as error:
            result = lifecycle.failed(self._probe, self._engine, error)
        result['cost'].update(cost)
        fit({self._probe.NAME: result})
        client.settimeout(10)
        client.sendall(json.dumps({'service': self._info, 'result': result}).encode())
