# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of this collection on one host: detach one, and ask it by a Unix socket with an abstract name.

There is no file: a name is free again the moment its process is gone, and all else of the process goes with it, too.
Any user may bind or call an abstract name, so both sides accept only root and their own user.
"""

import errno
import json
import os
import signal
import socket
import struct
import time

PREFIX = 'ksysak.fleet/'

_WORD_BYTES = 256
_WORD_S = 2  # a caller sends its word at once
_ANSWER_BYTES = 4 * 1024 * 1024
_ANSWER_S = 10


class NameTaken(Exception):
    """Another process listens under that name."""


class Untrusted(Exception):
    """The process that listens under that name belongs to another user."""


class NoAnswer(ValueError):
    """The other side closed the connection without an answer."""


class Died(Exception):
    """A detached process ended before it notified its starter; the message is its error, '' when it had no time for one."""


class Server:
    """The listening end. It can be waited for like a file (it has a fileno)."""

    def __init__(self, name):
        """name: without PREFIX. Nobody can call before listen(). Raises NameTaken."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind('\0' + PREFIX + name)
        except OSError as error:
            self._socket.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise NameTaken('another process listens under %s%s' % (PREFIX, name))

    def listen(self):
        """Let callers in."""
        self._socket.listen(4)

    def fileno(self):
        """The file descriptor to wait for: it is readable when there is a caller."""
        return self._socket.fileno()

    def accept(self):
        """Return (connection, word) of the caller that waits; the word is '' when the caller is not trusted, or sends none in time."""
        connection, _unused = self._socket.accept()
        connection.settimeout(_WORD_S)
        try:
            return connection, connection.recv(_WORD_BYTES).decode('utf-8', 'replace') if _is_trusted(connection) else ''
        except OSError:
            return connection, ''

    def close(self):
        """Free the name. Callers that wait to be accepted get no answer."""
        self._socket.close()


def answer(connection, document):
    """Send a caller a JSON document and close the connection. A caller that has gone away is no error."""
    try:
        connection.settimeout(_ANSWER_S)
        connection.sendall(json.dumps(document).encode())
    except OSError:
        pass
    finally:
        connection.close()


def ask(name, word, timeout_s, until_ended=False):
    """Send a word to the process that listens under a name. Returns its answer, a JSON document; None when no process listens.

    timeout_s: for each step; until_ended: return only when that process has ended.
    Raises Untrusted, NoAnswer, and OSError or ValueError when the answer does not come or is no JSON.
    """
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(timeout_s)
    try:
        try:
            caller.connect('\0' + PREFIX + name)
        except ConnectionRefusedError:
            return None
        if not _is_trusted(caller):
            raise Untrusted('a process of another user listens under %s%s' % (PREFIX, name))
        caller.sendall(word.encode())
        text = _received(caller)
        if until_ended:
            _wait_for_end(_peer(caller)[0], timeout_s)
    finally:
        caller.close()
    if not text:
        raise NoAnswer('the process that listens under %s%s closed the connection without an answer' % (PREFIX, name))
    return json.loads(text.decode())


def listening(prefix):
    """Return the names, without PREFIX, of all processes that listen under a name that begins with a prefix."""
    begin = '@' + PREFIX + prefix
    with open('/proc/net/unix', errors='replace') as stream:
        found = [line.split(None, 7)[-1].rstrip('\n') for line in stream]
    return sorted(set(name[len('@' + PREFIX):] for name in found if name.startswith(begin)))


def detach(serve):
    """Run serve(notify) in a process of its own that outlives this one. Returns the document that the process notifies.

    The process has a session of its own, / as its folder and no open files; SIGHUP does not end it.
    notify: function to call once, with a JSON document, when the process is ready. Raises Died.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setsid()
            # Not a leader of the session, so that it can never get a terminal; and nobody has to wait for it.
            if os.fork() == 0:
                _serve_detached(serve, write_end)
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    with os.fdopen(read_end, 'rb') as stream:
        text = stream.read()
    if not text:
        raise Died('')
    error, document = json.loads(text.decode())
    if error is not None:
        raise Died(error)
    return document


def _serve_detached(serve, descriptor):
    notified = []

    def notify(document, error=None):
        if not notified:
            notified.append(True)
            os.write(descriptor, json.dumps([error, document]).encode())
            os.close(descriptor)

    os.chdir('/')
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    # A pipe that stays open would keep the task, or the connection, waiting.
    _close_all_but(descriptor)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    try:
        serve(notify)
    except BaseException as error:
        notify(None, str(error)[:500] or type(error).__name__)


def _close_all_but(kept):
    for name in os.listdir('/proc/self/fd'):
        if int(name) > 2 and int(name) != kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # that of the listing itself


def _received(connection):
    """Return what the other side sends until it closes, _ANSWER_BYTES at most."""
    parts, size = [], 0
    while size < _ANSWER_BYTES:
        part = connection.recv(65536)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b''.join(parts)


def _peer(connection):
    """Return (process, user, group) of the other end."""
    return struct.unpack('3i', connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize('3i')))


def _is_trusted(connection):
    return _peer(connection)[1] in (0, os.geteuid())


def _wait_for_end(pid, timeout_s):
    deadline_s = time.monotonic() + timeout_s
    while os.path.exists('/proc/%d/exe' % pid) and time.monotonic() < deadline_s:  # a zombie has none
        time.sleep(0.01)
