# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a scan that is running on this host, wait for its end, and end it."""

import os
import select
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core import ipc

_NAME = 'scan'
# A scan that waits for another one listens under a name of its own, so that it can be ended too.
_WAITING = 'scan-waiting/'
_RETRY_S = 0.5


class Ended(Exception):
    """Another process asked for the end of this scan while it waited for another one."""


class Listener(ipc.Server):
    """The running scan's end."""

    def __init__(self, scan_id):
        """Raises RuntimeError when another scan is running on this host."""
        try:
            super().__init__(_NAME)
        except ipc.NameTaken:
            raise RuntimeError('another scan is running on this host')
        self._scan_id = scan_id
        self._connections = []
        self.listen()

    def serve(self):
        """Serve one caller. Returns whether it may and does ask for the end of this scan; it will get the result."""
        connection, wanted = self.accept()
        if wanted not in ('*', self._scan_id) or not wanted:
            connection.close()
            return False
        self._connections.append(connection)
        return True

    def finish(self, scan):
        """Give the result to all who asked for the end, and stop listening."""
        for connection in self._connections:
            ipc.answer(connection, scan)
        self.close()


def listener(scan_id, wait_s, is_wanted=lambda: True):
    """Return a Listener as soon as no other scan runs on this host.

    scan_id: of this scan, or ''; wait_s: seconds to wait at most; is_wanted: function, False when nobody waits for this scan any more.
    Raises RuntimeError when another scan is still running then, and Ended.
    """
    deadline_s = time.monotonic() + wait_s
    waiting = None
    try:
        while True:
            try:
                return Listener(scan_id)
            except RuntimeError:
                if time.monotonic() >= deadline_s:
                    raise
            if waiting is None:
                waiting = ipc.Server('%s%s/%d' % (_WAITING, scan_id, os.getpid()))
                waiting.listen()
            if select.select([waiting], [], [], _RETRY_S)[0]:
                _end_waiting(waiting, scan_id)
            if not is_wanted():
                raise Ended('nobody waits for this scan any more')
    finally:
        if waiting is not None:
            waiting.close()


def _end_waiting(waiting, scan_id):
    """Serve one caller of a scan that waits. Raises Ended when it may and does ask for the end."""
    connection, wanted = waiting.accept()
    if wanted and wanted in ('*', scan_id):
        ipc.answer(connection, True)
        raise Ended('the scan was ended while it waited for another scan on this host')
    connection.close()


def _stop_waiting(scan_id, timeout_s):
    """End the scans of that id ('*': any) that wait for the running one."""
    for name in ipc.listening(_WAITING):
        try:
            ipc.ask(name, scan_id, timeout_s)
        except (ipc.Untrusted, ipc.NoAnswer, OSError):
            continue  # another user's, another scan's, or one that has just begun or ended


def stop(scan_id, timeout_s):
    """End the running scan of that id ('*': any). Returns its result; None when there is none to end.

    Scans that wait for another one are ended too. Raises OSError or ValueError when a scan is running but does not answer within
    timeout_s seconds.
    """
    _stop_waiting(scan_id, timeout_s)
    try:
        return ipc.ask(_NAME, scan_id, timeout_s)
    except (ipc.Untrusted, ipc.NoAnswer):
        return None
