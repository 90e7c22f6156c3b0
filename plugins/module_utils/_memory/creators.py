# SPDX-License-Identifier: GPL-3.0-or-later
"""Which process makes entries in a folder, or writes to files of a mount: fanotify(7).

Entries: on the folder alone, from one census to the next. Writes: on one mount, for a moment.

The kernel gives each event the process. Only folders that a source names are watched (at most MOST); nothing is watched on
a kernel whose file system cannot (before 6.7 for those of cgroups), and then nobody is named.
"""

import ctypes
import os
import select
import struct
import time

MOST, _EVENTS_BYTES, _EVENTS, _LEAST_EVENTS = 24, 65536, 256, 8
_SYS_FANOTIFY_INIT, _SYS_FANOTIFY_MARK = 300, 301
_FAN_CLOEXEC, _FAN_NONBLOCK, _FAN_REPORT_DIR_FID, _FAN_REPORT_NAME = 0x1, 0x2, 0x400, 0x800
_FAN_MARK_ADD, _FAN_MARK_MOUNT, _FAN_MARK_FILESYSTEM, _FAN_MODIFY, _FAN_CREATE, _FAN_ONDIR = 0x1, 0x10, 0x100, 0x2, 0x100, 0x40000000
_HEADER = struct.Struct('=IBBHQii')  # event_len, vers, reserved, metadata_len, mask, fd, pid
_RECORD = struct.Struct('=BBH8sIi')  # info_type, pad, len, fsid, handle_bytes, handle_type


class Creators:
    """Watches folders. All that it holds is one descriptor: it ends with this process or with close()."""

    def __init__(self, host):
        self._host, self._fd, self._watched, self._makers = host, None, {}, {}
        self._files_fd, self._writers, self._owners = None, {}, {}
        self._libc = ctypes.CDLL(None, use_errno=True)

    def watch(self, folder):
        """Begin to watch a folder; folders that cannot be watched are left out."""
        if folder in self._watched or len(self._watched) >= MOST or self._host.root != '/':
            return
        if self._fd is None:
            self._fd = self._libc.syscall(_SYS_FANOTIFY_INIT, _FAN_CLOEXEC | _FAN_NONBLOCK | _FAN_REPORT_DIR_FID, os.O_RDONLY)
        if self._fd < 0:
            return
        self._watched[folder] = None
        if self._mark(self._fd, _FAN_MARK_ADD, _FAN_CREATE | _FAN_ONDIR, folder):
            self._watched[folder] = _handle(self._libc, folder)

    def watch_file(self, path):
        """Begin to watch writes to a file, as one of sysctl."""
        if self._host.root != '/' or path in self._writers or len(self._writers) >= MOST:
            return
        if self._files_fd is None:
            self._files_fd = self._libc.syscall(_SYS_FANOTIFY_INIT, _FAN_CLOEXEC | _FAN_NONBLOCK, os.O_RDONLY | os.O_CLOEXEC)
        if self._files_fd >= 0:
            if self._mark(self._files_fd, _FAN_MARK_ADD, _FAN_MODIFY, path):
                self._writers[path] = {}

    def writer(self, path):
        """Return the owner that wrote most often to a watched file, or None."""
        self.drain()
        writers = self._writers.get(path)
        return self._owners[max(writers, key=writers.get)] if writers else None

    def of(self, folder):
        """Return the owner that made most entries in a watched folder since it is watched, or None."""
        self.drain()
        makers = self._makers.get(self._watched.get(folder))
        return self._owners[max(makers, key=makers.get)] if makers else None

    def drain(self):
        """Take the events that have come: a process may have ended by the next time."""
        for _batch in range(64):
            try:
                for file, pid in written(os.read(self._files_fd, _EVENTS_BYTES)) if self._files_fd is not None else ():
                    try:
                        row = self._writers.setdefault(os.readlink('/proc/self/fd/%d' % file), {})
                    finally:
                        os.close(file)
                    who = self._who(pid)
                    if who is not None:
                        row[who] = row.get(who, 0) + 1
            except OSError:
                break
            if self._files_fd is None:
                break
        if self._fd is None or self._fd < 0:
            return
        seen = {}
        for _batch in range(64):
            try:
                data = os.read(self._fd, _EVENTS_BYTES)
            except OSError:
                break
            for handle, pid in events(data):
                seen[handle, pid] = seen.get((handle, pid), 0) + 1
        for (handle, pid), count in seen.items():
            who = self._who(pid)
            if who is not None:
                row = self._makers.setdefault(handle, {})
                row[who] = row.get(who, 0) + count

    def writer_now(self, mount, seconds):
        """Watch writes to a mount for at most this long; returns the owner that wrote most often, or None."""
        fd = self._libc.syscall(_SYS_FANOTIFY_INIT, _FAN_CLOEXEC | _FAN_NONBLOCK, os.O_RDONLY | os.O_CLOEXEC)
        if fd < 0 or self._host.root != '/':
            return None
        found, ends = {}, time.monotonic() + seconds
        try:
            if not self._mark(fd, _FAN_MARK_ADD | _FAN_MARK_MOUNT, _FAN_MODIFY, mount):
                return None
            while sum(found.values()) < MOST and select.select([fd], [], [], max(0.0, ends - time.monotonic()))[0]:
                for file, pid in written(os.read(fd, 4096)):
                    os.close(file)
                    who = self._who(pid)
                    if who is not None:
                        found[who] = found.get(who, 0) + 1
        except OSError:
            pass
        finally:
            os.close(fd)
        return self._owners[max(found, key=found.get)] if found else None

    def maker_now(self, points, seconds):
        """Watch file systems for new entries for at most this long; returns (owner that made most, folder of most), or None."""
        if self._host.root != '/':
            return None
        fd = self._libc.syscall(_SYS_FANOTIFY_INIT, _FAN_CLOEXEC | _FAN_NONBLOCK | _FAN_REPORT_DIR_FID | _FAN_REPORT_NAME, os.O_RDONLY)
        if fd < 0:
            return None
        found, ends = {}, time.monotonic() + seconds
        try:
            for point in points:
                self._mark(fd, _FAN_MARK_ADD | _FAN_MARK_FILESYSTEM, _FAN_CREATE | _FAN_ONDIR, point)
            while sum(found.values()) < _EVENTS and select.select([fd], [], [], max(0.0, ends - time.monotonic()))[0]:
                for handle, pid in events(os.read(fd, 4096)):
                    who = self._who(pid)
                    if who is not None:
                        found[who, handle] = found.get((who, handle), 0) + 1
        except OSError:
            pass
        finally:
            os.close(fd)
        if not found or max(found.values()) < _LEAST_EVENTS:
            return None
        who, handle = max(found, key=found.get)
        return self._owners[who], self._folder(handle, points)

    def _folder(self, handle, points):
        """Return the path of the folder with a file handle, '?' where no mount point knows it."""
        buffer = ctypes.create_string_buffer(handle)
        for point in points:
            try:
                mount = os.open(point, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                fd = self._libc.open_by_handle_at(mount, buffer, os.O_PATH)
                if fd >= 0:
                    try:
                        return os.readlink('/proc/self/fd/%d' % fd)
                    finally:
                        os.close(fd)
            finally:
                os.close(mount)
        return '?'

    def _mark(self, fd, flags, mask, path):
        name = path.encode('utf-8', 'surrogateescape')
        return self._libc.syscall(_SYS_FANOTIFY_MARK, fd, flags, ctypes.c_uint64(mask), -100, name) == 0

    def _who(self, pid):
        """Return (pid, start time) of a process that still runs and is none of this scan's; its owner is kept for owner()."""
        process = self._host.read_process(pid)
        if process is None or process.group == os.getpgrp():
            return None
        who = process.key = (process.pid, process.started)
        self._owners[who] = self._host.owner_of(process)
        return who

    def close(self):
        """Stop watching."""
        for fd in (self._fd, self._files_fd):
            if fd is not None and fd >= 0:
                os.close(fd)
        self._fd = self._files_fd = None


def events(data):
    """Yield (file handle of the folder, process) of what fanotify(7) gave with FAN_REPORT_DIR_FID."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, _version, _reserved, head, _mask, _fd, pid = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            return
        record = at + head
        if record + _RECORD.size <= at + length:
            size = _RECORD.unpack_from(data, record)[4]
            begin = record + _RECORD.size
            yield data[begin - 8:begin + size], pid
        at += length


def written(data):
    """Yield (descriptor of the file, process) of what fanotify(7) gave without FAN_REPORT_*; the caller closes the descriptor."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, _version, _reserved, _head, _mask, fd, pid = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        if fd >= 0:
            yield fd, pid
        at += length


def _handle(libc, folder):
    """Return the file handle of a folder as fanotify reports it, or None."""
    buffer = ctypes.create_string_buffer(8 + 128)
    struct.pack_into('=Ii', buffer, 0, 128, 0)
    mount = ctypes.c_int()
    if libc.name_to_handle_at(-100, folder.encode(), buffer, ctypes.byref(mount), 0):
        return None
    return buffer.raw[:8 + struct.unpack_from('=I', buffer)[0]]
