# SPDX-License-Identifier: GPL-3.0-or-later
"""Where kernel messages are kept on a host: the ring buffer, the journal and log files.

A source is opened once and read lazily, within bounds. It never raises on what it finds: what it could
not read is told by its status and reason.
"""

import bz2
import collections
import errno
import gzip
import os
import re
import select
import stat
import subprocess
import time
import zlib

from ansible.module_utils.common.process import get_bin_path

from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log.lines import MAX_LINE_CHARS

try:
    import lzma
except ImportError:  # a Python can be built without it
    lzma = None

LOG_FOLDER = '/var/log'
MAX_FILES = 32
MAX_PLAIN_BYTES = 16 * 1024 * 1024
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_JOURNAL_LINES = 200000

_CHUNK = 64 * 1024
_LOG_NAME = re.compile(r'(?:messages|syslog|kern\.log)(?:[-.][0-9]{1,14}){0,3}(?:\.(?:gz|xz|bz2|zst))?$')
_PRINTED_BY_KERNEL_OR_USER = (0, 1)  # syslog facilities; what is written to /dev/kmsg is 'user', daemons have their own
_DAMAGED = (IOError, OSError, EOFError, ValueError, zlib.error) + ((lzma.LZMAError,) if lzma else ())


class Source(object):
    """One place with log lines.

    name: as in the result; status: 'read', 'partial' or 'unread', with a reason for the latter two; lines, bytes: read so far;
    missing: True where this host has no such thing; damaged: True where something that should have been read was not.
    """

    live = False  # True: the ring buffer, whose timestamps count from this boot

    def __init__(self, name):
        self.name = name
        self.status = 'read'
        self.reason = ''
        self.lines = 0
        self.bytes = 0
        self.missing = False
        self.damaged = False

    def open(self):
        """Find out whether it can be read. Returns True if so."""
        raise NotImplementedError

    def read(self):
        """Yield str lines without newline, and None where nothing is there yet: the caller may come back later."""
        raise NotImplementedError

    def close(self):
        """Give everything back."""

    def unread(self, reason, damaged=True):
        self.status, self.reason, self.damaged = 'unread', reason, damaged
        return False

    def partial(self, reason, damaged=False):
        if self.status == 'read':
            self.status, self.reason = 'partial', reason
        self.damaged = self.damaged or damaged

    def fail(self, reason):
        """An error in the middle, or before the first line."""
        if self.lines:
            self.partial(reason, damaged=True)
        else:
            self.unread(reason)


def explain(error):
    """The text of an OSError, for an operator."""
    if getattr(error, 'errno', None) in (errno.EACCES, errno.EPERM):
        return 'not permitted, this needs root (become: true)'
    return getattr(error, 'strerror', None) or str(error) or type(error).__name__


class Kmsg(Source):
    """The kernel's ring buffer. Reading it changes nothing: every reader has a position of its own."""

    live = True

    def __init__(self, path='/dev/kmsg'):
        super(Kmsg, self).__init__('kmsg')
        self._path = path
        self._fd = self._mark = None
        self.first_in_window = None  # sequence numbers; None: nothing was logged within the window
        self._last_in_window = None
        self.sequence = None  # of the record that the last yielded line came from

    def open(self):
        try:
            self._fd = self._open()
        except (IOError, OSError) as error:
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
            except (IOError, OSError):
                self._mark = None

    def mark_stop(self):
        """Find the first and last record of the window."""
        while self._mark is not None:
            try:
                record = os.read(self._mark, _CHUNK)
            except (IOError, OSError) as error:
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
                record = os.read(self._fd, _CHUNK)
            except (IOError, OSError) as error:
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
    """Turn a record 'priority,sequence,microseconds,flags[,caller=T1];text' into a line.

    Returns (line, whether it continues the line before), or (None, False) for what a daemon wrote.
    """
    header, _unused, text = record.partition(b';')
    fields = header.split(b',')
    if len(fields) < 4 or not (fields[0].isdigit() and fields[2].isdigit()):
        return None, False
    if int(fields[0]) >> 3 not in _PRINTED_BY_KERNEL_OR_USER:
        return None, False
    text = text.split(b'\n', 1)[0].decode('utf-8', 'replace')  # what follows are KEY=value lines about the device
    if fields[3] == b'+':
        return text, True
    caller = next((field[7:].decode('ascii', 'replace') for field in fields[4:] if field.startswith(b'caller=')), '')
    microseconds = int(fields[2])
    stamp = '[%5d.%06d]' % (microseconds // 1000000, microseconds % 1000000)
    return '%s%s %s' % (stamp, '[%6s]' % caller if caller else '', text), False


class LogFile(Source):
    """A log file, also a rotated and packed one."""

    def __init__(self, path, asked_for=False):
        super(LogFile, self).__init__(path)
        self._fd = None
        self._pipe = None
        self._asked_for = asked_for
        self.modified_s = None

    def open(self):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            self._fd = os.open(self.name, flags)
        except (IOError, OSError, ValueError) as error:
            number = getattr(error, 'errno', None)
            self.missing = number in (errno.ENOENT, errno.ENOTDIR) and not self._asked_for
            return self.unread('it is a symbolic link, give the path of the file itself' if number == errno.ELOOP else explain(error),
                               damaged=not self.missing)
        state = os.fstat(self._fd)
        if not stat.S_ISREG(state.st_mode):
            self.close()
            return self.unread('it is not a regular file', damaged=self._asked_for)
        self.modified_s = state.st_mtime
        self._size = state.st_size
        return True

    def read(self):
        try:
            chunks = self._chunks()
            for line in _split(chunks):
                if line is None:
                    yield None
                    continue
                self.lines += 1
                yield line
        except _Binary:
            self.unread('it is not text', damaged=self._asked_for)
        except _DAMAGED as error:
            self.fail(explain(error))

    def _chunks(self):
        suffix = self.name.rsplit('.', 1)[-1]
        if suffix == 'zst':
            return self._unpacked_by('zstd')
        if suffix == 'xz' and lzma is None:
            raise ValueError('this Python cannot read .xz files')
        opener = {'gz': gzip.open, 'bz2': bz2.open, 'xz': lzma.open if lzma else None}.get(suffix)
        return self._unpacked(opener) if opener else self._plain()

    def _plain(self):
        left = self._size
        if left > MAX_PLAIN_BYTES:
            os.lseek(self._fd, left - MAX_PLAIN_BYTES, os.SEEK_SET)
            left = MAX_PLAIN_BYTES
            self.partial('only its newest %d MiB' % (MAX_PLAIN_BYTES >> 20))
        skip_first = self.status == 'partial'
        first = True
        while left > 0:
            chunk = os.read(self._fd, min(_CHUNK, left))
            if not chunk:
                break  # it was cut short while we read
            left -= len(chunk)
            self.bytes += len(chunk)
            if first:
                _refuse_binary(chunk)
                if skip_first:
                    chunk = chunk[chunk.find(b'\n') + 1:]
                first = False
            yield chunk

    def _unpacked(self, opener):
        with os.fdopen(os.dup(self._fd), 'rb') as packed, opener(packed, 'rb') as stream:
            while True:
                chunk = stream.read(_CHUNK)
                if not chunk:
                    return
                if not self.bytes:
                    _refuse_binary(chunk)
                self.bytes += len(chunk)
                yield chunk
                if self.bytes >= MAX_UNPACKED_BYTES:
                    self.partial('only the first %d MiB of its unpacked text' % (MAX_UNPACKED_BYTES >> 20))
                    return

    def _unpacked_by(self, program):
        path = _program(program)
        if path is None:
            raise ValueError('there is no %s on this host to unpack it' % program)
        self._pipe = _Pipe([path, '-dcq', '--memory=128MB'], stdin=self._fd)
        for chunk in self._pipe.chunks():
            if chunk is not None:
                if not self.bytes:
                    _refuse_binary(chunk)
                self.bytes += len(chunk)
            yield chunk
            if self.bytes >= MAX_UNPACKED_BYTES:
                self.partial('only the first %d MiB of its unpacked text' % (MAX_UNPACKED_BYTES >> 20))
                return
        if self._pipe.code:
            raise ValueError('%s ended with code %d' % (program, self._pipe.code))

    def close(self):
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class Journal(Source):
    """systemd's journal: kernel messages of all boots that it still has."""

    FOLDERS = ('/var/log/journal', '/run/log/journal')

    def __init__(self, max_age_s):
        super(Journal, self).__init__('journal')
        self._max_age_s = max_age_s
        self._pipe = None
        self._command = None

    def open(self):
        path = _program('journalctl')
        if path is None:
            self.missing = True
            return self.unread('there is no journalctl on this host', damaged=False)
        if not any(_holds_something(folder) for folder in self.FOLDERS):
            return self.unread('the journal is empty', damaged=False)
        since = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(time.time() - self._max_age_s))
        self._command = [path, '--no-pager', '--quiet', '--output=short-iso-precise', '--lines=%d' % MAX_JOURNAL_LINES,
                         '--since=' + since, '_TRANSPORT=kernel']
        return True

    def read(self):
        try:
            self._pipe = _Pipe(self._command)
            for line in _split(self._counted(self._pipe.chunks())):
                if line is None:
                    yield None
                    continue
                self.lines += 1
                yield line
        except _DAMAGED as error:
            self.fail(explain(error))
            return
        if self._pipe.code:
            self.fail('journalctl ended with code %d: %s' % (self._pipe.code, self._pipe.complaint()))
        elif self.lines >= MAX_JOURNAL_LINES:
            self.partial('only its newest %d lines' % MAX_JOURNAL_LINES)
        elif not self.lines and os.geteuid() != 0:
            self.unread('it shows nothing to this user, this needs root (become: true)')

    def _counted(self, chunks):
        for chunk in chunks:
            self.bytes += len(chunk or b'')
            yield chunk
            if self.bytes >= MAX_UNPACKED_BYTES:
                self.partial('only the first %d MiB of it' % (MAX_UNPACKED_BYTES >> 20))
                return

    def close(self):
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


class _Pipe(object):
    """Another program's output, read without ever waiting for it."""

    def __init__(self, command, stdin=None):
        environment = {'LC_ALL': 'C', 'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'SYSTEMD_COLORS': '0', 'TZ': os.environ.get('TZ', '')}
        if not environment['TZ']:
            del environment['TZ']
        self._null = open(os.devnull, 'rb')
        self._errors = b''
        self.code = None
        self._process = subprocess.Popen(command, stdin=stdin if stdin is not None else self._null, stdout=subprocess.PIPE,
                                         stderr=subprocess.PIPE, env=environment, close_fds=True, cwd='/')
        for stream in (self._process.stdout, self._process.stderr):
            os.set_blocking(stream.fileno(), False)

    def chunks(self):
        """Yield bytes, and None where there is nothing yet. At the end, code is the program's exit code."""
        output, errors = self._process.stdout.fileno(), self._process.stderr.fileno()
        open_fds = [output, errors]
        while output in open_fds:
            ready = select.select(open_fds, [], [], 0)[0]
            if not ready:
                yield None
                continue
            for fd in ready:
                chunk = os.read(fd, _CHUNK)
                if not chunk:
                    open_fds.remove(fd)
                elif fd == errors:
                    self._errors = (self._errors + chunk)[:512]
                else:
                    yield chunk
        while self._process.poll() is None:
            yield None
        self.code = self._process.returncode

    def complaint(self):
        return self._errors.decode('utf-8', 'replace').strip().replace('\n', ' ')[:200]

    def close(self):
        if self._process.poll() is None:
            self._process.kill()
        for stream in (self._process.stdout, self._process.stderr, self._null):
            stream.close()
        self._process.wait()


class _Binary(Exception):
    pass


def _refuse_binary(chunk):
    """Raise L(_Binary) for what is no log. A crash leaves runs of NUL in a log, those do not count."""
    sample = chunk[:4096].replace(b'\0', b'')
    control = sum(1 for byte in sample.decode('utf-8', 'replace') if (byte < ' ' and byte not in '\t\n\r\x1b') or byte == u'\ufffd')
    if control > 16 and control * 10 > len(sample):
        raise _Binary()


def _split(chunks):
    """Yield the lines of the chunks as str; of a line that is too long only its start, so memory stays bounded."""
    rest, skipping = b'', False
    for chunk in chunks:
        if chunk is None:
            yield None
            continue
        parts = (rest + chunk).split(b'\n')
        rest = parts.pop()
        for part in parts:
            if skipping:
                skipping = False
                continue
            yield part[:4 * MAX_LINE_CHARS].decode('utf-8', 'replace').rstrip('\r')
        if len(rest) > _CHUNK:
            if not skipping:
                yield rest[:4 * MAX_LINE_CHARS].decode('utf-8', 'replace')
            rest, skipping = b'', True
    if rest and not skipping:
        yield rest[:4 * MAX_LINE_CHARS].decode('utf-8', 'replace').rstrip('\r')


def _program(name):
    try:
        return get_bin_path(name)
    except ValueError:
        return None


def _holds_something(folder):
    try:
        return bool(os.listdir(folder))
    except (IOError, OSError) as error:
        return error.errno == errno.EACCES


_Found = collections.namedtuple('_Found', 'modified_s path')


def log_files(max_age_s, extra=(), folder=LOG_FOLDER):
    """LogFile objects: the ones asked for, then the syslog's kernel logs in the folder, newest first.

    max_age_s: files that were last written longer ago are left out; extra: paths that were asked for.
    """
    found = []
    try:
        names = os.listdir(folder)
    except (IOError, OSError):
        names = []
    for name in names:
        path = os.path.join(folder, name)
        if not _LOG_NAME.match(name) or path in extra:
            continue
        try:
            state = os.lstat(path)
        except (IOError, OSError):
            continue  # rotated away just now
        if stat.S_ISDIR(state.st_mode):
            continue  # some distributions have folders of these names
        if time.time() - state.st_mtime <= max_age_s:
            found.append(_Found(state.st_mtime, path))
    found.sort(reverse=True)
    return [LogFile(path, asked_for=True) for path in extra] + [LogFile(entry.path) for entry in found[:MAX_FILES]]
