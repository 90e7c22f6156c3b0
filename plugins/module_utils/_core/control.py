# SPDX-License-Identifier: GPL-3.0-or-later
"""Find a scan that is running on this host, and end it."""

from ansible_collections.ksysak.fleet.plugins.module_utils._core import ipc

_NAME = 'scan'


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


def stop(scan_id, timeout_s):
    """End the running scan of that id ('*': any). Returns its result; None when there is none to end.

    Raises OSError or ValueError when a scan is running but does not answer within timeout_s seconds.
    """
    try:
        return ipc.ask(_NAME, scan_id, timeout_s)
    except (ipc.Untrusted, ipc.NoAnswer):
        return None
