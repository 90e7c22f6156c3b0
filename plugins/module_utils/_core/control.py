# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a scan that is running on this host, and end it.

A running scan listens on a Unix socket with an abstract name: there is no file,
and the name is free again the moment the process is gone.
"""

import errno
import json
import os
import socket
import struct

_NAME = '\0ksysak.fleet/scan'
_ANSWER_BYTES = 1024 * 1024


class Listener(object):
    """The running scan's end."""

    def __init__(self, scan_id):
        """Raises RuntimeError when another scan is running on this host."""
        self._scan_id = scan_id
        self._clients = []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.bind(_NAME)
        except (IOError, OSError) as error:
            self.socket.close()
            if error.errno != errno.EADDRINUSE:
                raise
            raise RuntimeError('another scan is running on this host')
        self.socket.listen(4)

    def accept(self):
        """Serve one caller. Returns whether it may and does ask for the end of this scan; it will get the result."""
        client, _unused = self.socket.accept()
        client.settimeout(2)
        try:
            wanted = client.recv(256).decode('utf-8', 'replace') if trusted(client) else ''
        except (IOError, OSError):
            wanted = ''
        if wanted not in ('*', self._scan_id):
            client.close()
            return False
        self._clients.append(client)
        return True

    def answer(self, scan):
        """Give the result to all who asked for the end, and stop listening."""
        for client in self._clients:
            try:
                client.settimeout(10)
                client.sendall(json.dumps(scan).encode())
            except (IOError, OSError):
                pass  # the caller went away; the result is still printed
            client.close()
        self.socket.close()


def stop(scan_id, timeout_s):
    """End the running scan of that id ('*': any). Returns its result; None when there is none to end.

    Raises OSError or ValueError when a scan is running but does not answer within timeout_s seconds.
    """
    caller = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    caller.settimeout(timeout_s)
    try:
        try:
            caller.connect(_NAME)
            if not trusted(caller):
                return None
            caller.sendall(scan_id.encode())
        except (IOError, OSError):
            return None
        answer = received(caller)
    finally:
        caller.close()
    return json.loads(answer.decode()) if answer else None


def received(connection):
    """Return what the other side sends until it closes, up to _ANSWER_BYTES."""
    parts, size = [], 0
    while size < _ANSWER_BYTES:
        part = connection.recv(65536)
        if not part:
            break
        parts.append(part)
        size += len(part)
    return b''.join(parts)


def trusted(connection):
    """Any user may bind or call an abstract name: only root and this user are listened to."""
    peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize('3i'))
    return struct.unpack('3i', peer)[1] in (0, os.geteuid())
