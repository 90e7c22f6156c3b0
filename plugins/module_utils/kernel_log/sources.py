# SPDX-License-Identifier: GPL-3.0-or-later
"""Where kernel messages of the past are kept on a host: the journal and log files."""

import collections
import errno
import gzip
import os
import re
import stat
import time
import zlib

from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log.lines import MAX_LINE_CHARS
from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log.pipe import Pipe, program
from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log.source import Source, explain

try:
    import bz2
except ImportError:  # a Python can be built without it, and without lzma
    bz2 = None
try:
    import lzma
except ImportError:
    lzma = None

LOG_FOLDER = '/var/log'
MAX_FILES = 32
MAX_PLAIN_BYTES = 16 * 1024 * 1024
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_JOURNAL_LINES = 200000

_CHUNK = 64 * 1024
_LOG_NAME = re.compile(r'(?:messages|syslog|kern\.log)(?:[-.][0-9]{1,14}){0,3}(?:\.(?:gz|xz|bz2|zst))?$')
_DAMAGED = (IOError, OSError, EOFError, ValueError, zlib.error) + ((lzma.LZMAError,) if lzma else ())


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
        packers = {'gz': gzip, 'bz2': bz2, 'xz': lzma}
        if suffix not in packers:
            return self._plain()
        if packers[suffix] is None:
            raise ValueError('this Python cannot read .%s files' % suffix)
        return self._unpacked(packers[suffix].open)

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

    def _unpacked_by(self, name):
        path = program(name)
        if path is None:
            raise ValueError('there is no %s on this host to unpack it' % name)
        self._pipe = Pipe([path, '-dcq', '--memory=128MB'], stdin=self._fd)
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
            raise ValueError('%s ended with code %d' % (name, self._pipe.code))

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
        path = program('journalctl')
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
            self._pipe = Pipe(self._command)
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
