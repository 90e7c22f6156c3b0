# SPDX-License-Identifier: GPL-3.0-or-later
"""Where kernel messages of the past are kept on a host: the journal, log files, and what a crash left behind."""

import collections
import errno
import glob
import gzip
import os
import re
import stat
import time
import zlib

from ansible_collections.ksysak.fleet.plugins.module_utils._core.pipe import Pipe, program
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.lines import MAX_LINE_CHARS
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.grep_prefilter import PrefilterUnavailable, can_prefilter, sift
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.source import Source, explain

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
MAX_SIFTED_BYTES = 2 * 1024 * 1024 * 1024
MAX_CRASHES = 8
MAX_UNPACKED_BYTES = 64 * 1024 * 1024
MAX_JOURNAL_LINES = 200000
MAX_JOURNAL_BYTES = 128 * 1024 * 1024

_CHUNK = 64 * 1024
_SIFT_BYTES = 1024 * 1024  # below, a program more costs more than it saves
PSTORE_FOLDER = '/sys/fs/pstore'
MAX_PSTORE_PARTS = 256
MAX_PSTORE_PART_BYTES = 256 * 1024
CRASH_FILES = ('/var/crash/*/vmcore-dmesg*.txt', '/var/crash/*/dmesg*', '/var/crash/*/*/vmcore-dmesg*.txt',
               '/var/lib/systemd/pstore/*/dmesg.txt', '/var/lib/systemd/pstore/*/*/dmesg.txt')

_STAMP = re.compile(br'(?:^|\n)(?:<\d{1,3}>)?\[ {0,16}(\d{1,9}\.\d{6})\]')
_PSTORE_HEADER = re.compile(br'[A-Za-z]{3,16}#(\d{1,9}) Part(\d{1,9})\n')
_LOG_NAME = re.compile(r'(?:messages|syslog|kern\.log)(?:[-.][0-9]{1,14}){0,3}(?:\.(?:gz|xz|bz2|zst))?$')
_DAMAGED = (OSError, EOFError, ValueError, zlib.error) + ((lzma.LZMAError,) if lzma else ())


class LogFile(Source):
    """A log file, also a rotated and packed one."""

    def __init__(self, path, asked_for=False):
        super().__init__(path)
        self._fd = None
        self._pipe = None
        self._asked_for = asked_for
        self.modified_s = None

    def open(self):
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
        try:
            self._fd = os.open(self.name, flags)
        except (OSError, ValueError) as error:
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
            if self._packed() is None and self._size > _SIFT_BYTES:
                try:
                    yield from self._sifted()
                    return
                except PrefilterUnavailable:
                    os.lseek(self._fd, 0, os.SEEK_SET)
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

    def _packed(self):
        suffix = self.name.rsplit('.', 1)[-1]
        return suffix if suffix in ('gz', 'bz2', 'xz', 'zst') else None

    def _sifted(self):
        start = os.pread(self._fd, _CHUNK, 0)
        _refuse_binary(start)
        if not can_prefilter(start):
            raise PrefilterUnavailable()
        skipped = max(0, self._size - MAX_SIFTED_BYTES)
        os.lseek(self._fd, skipped, os.SEEK_SET)
        for line in sift(self._fd, _split):
            if line is not None:
                self.lines = line.number
            yield line
        self.bytes = self._size - skipped
        if skipped:
            self.partial('only its newest %d MiB' % (MAX_SIFTED_BYTES >> 20))

    def _chunks(self):
        suffix = self._packed()
        if suffix == 'zst':
            return self._unpacked_by('zstd')
        if suffix is None:
            return self._plain()
        packers = {'gz': gzip, 'bz2': bz2, 'xz': lzma}
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
            yield from self._within_limit(iter(lambda: stream.read(_CHUNK), b''))

    def _unpacked_by(self, name):
        path = program(name)
        if path is None:
            raise ValueError('there is no %s on this host to unpack it' % name)
        self._pipe = Pipe([path, '-dcq', '--memory=128MB'], stdin=self._fd)
        whole = yield from self._within_limit(self._pipe.chunks())
        if whole and self._pipe.code:
            raise ValueError('%s ended with code %d' % (name, self._pipe.code))

    def _within_limit(self, chunks):
        """Yield the chunks of unpacked text, None while there is none, up to a limit. Returns True where that was all."""
        for chunk in chunks:
            if chunk is not None:
                if not self.bytes:
                    _refuse_binary(chunk)
                self.bytes += len(chunk)
            yield chunk
            if self.bytes >= MAX_UNPACKED_BYTES:
                self.partial('only the first %d MiB of its unpacked text' % (MAX_UNPACKED_BYTES >> 20))
                return False
        return True

    def close(self):
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


class CrashLog(LogFile):
    """The kernel's last messages before a crash, as kdump and systemd-pstore save them: without dates, written when it ended."""

    def open(self):
        if not super().open():
            return False
        try:
            self.ended_s = _last_stamp(os.pread(self._fd, _CHUNK, max(0, self._size - _CHUNK)))
        except OSError:
            self.ended_s = None
        return True


class Pstore(Source):
    """What firmware or reserved memory kept over a crash: parts of a log, each a file, the newest part first."""

    def __init__(self, folder=PSTORE_FOLDER):
        super().__init__('pstore')
        self._folder = folder
        self._parts = []
        self.modified_s = self.ended_s = None

    def open(self):
        try:
            names = sorted(name for name in os.listdir(self._folder) if name.startswith('dmesg-'))
        except OSError as error:
            self.missing = getattr(error, 'errno', None) in (errno.ENOENT, errno.ENOTDIR)
            return self.unread(explain(error), damaged=not self.missing)
        if not names:
            self.missing = True
            return self.unread('it is empty', damaged=False)
        for name in names[:MAX_PSTORE_PARTS]:
            self._add(name)
        if len(names) > MAX_PSTORE_PARTS:
            self.partial('only %d of its %d parts' % (MAX_PSTORE_PARTS, len(names)))
        if not self._parts:
            return self.unread(self.reason or 'its parts are not text')
        self._parts.sort()
        self.modified_s = max(part[2] for part in self._parts)
        self.ended_s = _last_stamp(self._parts[-1][3])
        return True

    def _add(self, name):
        path = os.path.join(self._folder, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                state = os.fstat(fd)
                text = os.read(fd, MAX_PSTORE_PART_BYTES) if stat.S_ISREG(state.st_mode) else b''
            finally:
                os.close(fd)
            _refuse_binary(text)
        except _Binary:
            return self.partial('%s is not text' % name, damaged=True)
        except OSError as error:
            return self.partial('%s: %s' % (name, explain(error)), damaged=True)
        first = _PSTORE_HEADER.match(text)
        crash, part = (int(first.group(1)), int(first.group(2))) if first else (0, 0)
        self._parts.append((crash, -part, state.st_mtime, text))

    def read(self):
        for _unused, _unused_too, _unused_three, text in self._parts:
            self.bytes += len(text)
            for line in _split([text]):
                self.lines += 1
                yield line
        self._parts = []


class Journal(Source):
    """systemd's journal: kernel messages of all boots that it still has."""

    FOLDERS = ('/var/log/journal', '/run/log/journal')
    DAEMON = '/run/systemd/journal'  # where systemd-journald has its sockets

    def __init__(self, max_age_s):
        super().__init__('journal')
        self._max_age_s = max_age_s
        self._pipe = None
        self._command = None

    def open(self):
        path = program('journalctl')
        if path is None:
            self.missing = True
            return self.unread('there is no journalctl on this host', damaged=False)
        if not any(_holds_something(folder) for folder in self.FOLDERS):
            self.missing = not os.path.isdir(self.DAEMON)
            return self.unread('no journal daemon runs on this host' if self.missing else 'the journal is empty', damaged=False)
        since = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(time.time() - self._max_age_s))
        self._command = [path, '--no-pager', '--quiet', '--output=json', '--lines=%d' % MAX_JOURNAL_LINES,
                         '--output-fields=MESSAGE,_TRANSPORT,SYSLOG_FACILITY,_SOURCE_MONOTONIC_TIMESTAMP',
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
            self.fail('journalctl ended with code %d: %s' % (self._pipe.code, self._pipe.stderr_text()))
        elif self.lines >= MAX_JOURNAL_LINES:
            self.partial('only its newest %d lines' % MAX_JOURNAL_LINES)
        elif not self.lines and os.geteuid() != 0:
            self.unread('it shows nothing to this user, this needs root (become: true)')

    def _counted(self, chunks):
        for chunk in chunks:
            self.bytes += len(chunk or b'')
            yield chunk
            if self.bytes >= MAX_JOURNAL_BYTES:
                self.partial('only the first %d MiB of it' % (MAX_JOURNAL_BYTES >> 20))
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
    control = sum(1 for byte in sample.decode('utf-8', 'replace') if (byte < ' ' and byte not in '\t\n\r\x1b') or byte == '\ufffd')
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
    except OSError as error:
        return error.errno == errno.EACCES


def _last_stamp(text):
    """Seconds since boot of the last printk line in the bytes, or None."""
    stamps = _STAMP.findall(text)
    return float(stamps[-1]) if stamps else None


_Found = collections.namedtuple('_Found', 'modified_s path')


def log_files(max_age_s, without=(), folder=LOG_FOLDER):
    """LogFile objects of the syslog's kernel logs in the folder, newest first.

    max_age_s: files that were last written longer ago are left out; without: paths that are read anyway.
    """
    found = []
    try:
        names = os.listdir(folder)
    except OSError:
        names = []
    for name in names:
        path = os.path.join(folder, name)
        if not _LOG_NAME.match(name) or path in without:
            continue
        try:
            state = os.lstat(path)
        except OSError:
            continue  # rotated away just now
        if stat.S_ISDIR(state.st_mode):
            continue  # some distributions have folders of these names
        if time.time() - state.st_mtime <= max_age_s:
            found.append(_Found(state.st_mtime, path))
    found.sort(reverse=True)
    return [LogFile(entry.path) for entry in found[:MAX_FILES]]


def crash_files(max_age_s, patterns=CRASH_FILES):
    """CrashLog objects of what kdump and systemd-pstore saved, newest first.

    max_age_s: files that were last written longer ago are left out; patterns: where they are.
    """
    found = []
    for path in sorted(set(path for pattern in patterns for path in glob.glob(pattern))):
        try:
            state = os.lstat(path)
        except OSError:
            continue
        if stat.S_ISREG(state.st_mode) and time.time() - state.st_mtime <= max_age_s:
            found.append(_Found(state.st_mtime, path))
    found.sort(reverse=True)
    return [CrashLog(entry.path) for entry in found[:MAX_CRASHES]]
