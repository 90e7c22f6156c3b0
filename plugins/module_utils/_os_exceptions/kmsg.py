# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel's ring buffer, through /dev/kmsg."""

import errno
import os

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.lines import MAX_LINE_CHARS, WRITERS
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.source import Source, explain

_RECORD_BYTES = 64 * 1024  # the largest record is smaller


class Kmsg(Source):
    """The kernel's ring buffer. Reading it changes nothing: every reader has a position of its own."""

    live = True

    def __init__(self, path='/dev/kmsg'):
        super().__init__('kmsg')
        self._path = path
        self._fd = self._mark = None
        self.first_in_window = None  # sequence numbers; None: nothing was logged within the window
        self._last_in_window = None
        self.sequence = None  # of the record that the last yielded line came from

    def open(self):
        try:
            self._fd = self._open()
        except OSError as error:
            gone = error.errno == errno.ENOENT
            return self.unread('%s does not exist here (a container?)' % self._path if gone else explain(error))
        return True

    def _open(self):
        return os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    @staticmethod
    def _skip_old(fd):
        os.lseek(fd, 0, os.SEEK_END)

    def mark_start(self):
        """Remember the newest record: all later ones are within the window."""
        if self._fd is not None:
            try:
                self._mark = self._open()
                self._skip_old(self._mark)
            except OSError:
                self._mark = None

    def mark_stop(self):
        """Find the first and last record of the window."""
        while self._mark is not None:
            try:
                record = os.read(self._mark, _RECORD_BYTES)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    continue  # records were overwritten; the position is now at the oldest one
                break
            if not record:
                break
            sequence = _sequence(record)
            if sequence is not None:
                if self.first_in_window is None:
                    self.first_in_window = sequence
                self._last_in_window = sequence

    def in_window(self):
        """Whether the last yielded line was logged within the window."""
        return self.first_in_window is not None and self.sequence is not None and self.sequence >= self.first_in_window

    def read(self):
        pending = None
        while True:
            try:
                record = os.read(self._fd, _RECORD_BYTES)
            except OSError as error:
                if error.errno == errno.EPIPE:
                    self.partial('old messages were overwritten while they were read')
                    continue
                if error.errno != errno.EAGAIN:
                    self.fail(explain(error))
                break
            if not record:
                break
            sequence = _sequence(record)
            if self._after_window(sequence):
                break
            self.bytes += len(record)
            line, continued = _kmsg_line(record)
            if line is None:
                continue
            if continued and pending is not None:
                pending = (pending[0], pending[1][:MAX_LINE_CHARS] + line)
                continue
            if pending is not None:
                yield self._take(pending)
            if not continued:
                pending = (sequence, line)
        if pending is not None:
            yield self._take(pending)

    def _after_window(self, sequence):
        return self._mark is not None and self._last_in_window is not None and sequence is not None and sequence > self._last_in_window

    def _take(self, pending):
        self.sequence = pending[0]
        self.lines += 1
        return pending[1]

    def close(self):
        for fd in (self._fd, self._mark):
            if fd is not None:
                os.close(fd)
        self._fd = self._mark = None


def _sequence(record):
    fields = record.split(b';', 1)[0].split(b',')
    return int(fields[1]) if len(fields) > 2 and fields[1].isdigit() else None


def _kmsg_line(record):
    """Turn a record 'priority,sequence,microseconds,flags[,caller=T1];text' into one line that has the same prefix.

    Its priority tells whether the kernel or a program wrote it. Returns (line, whether it continues the line before; then the text
    alone), or (None, False) for what a daemon wrote.
    """
    header, _unused, text = record.partition(b';')
    fields = header.split(b',')
    if len(fields) < 4 or not (fields[0].isdigit() and fields[1].isdigit() and fields[2].isdigit()):
        return None, False
    if int(fields[0]) >> 3 not in WRITERS:
        return None, False
    text = text.split(b'\n', 1)[0].decode('utf-8', 'replace')  # what follows are KEY=value lines about the device
    if fields[3] == b'+':
        return text, True
    caller = next((field.decode('ascii', 'replace') for field in fields[4:] if field.startswith(b'caller=')), '')
    return '%d,%d,%d,-%s;%s' % (int(fields[0]), int(fields[1]), int(fields[2]), ',' + caller if caller else '', text), False
