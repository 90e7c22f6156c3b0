# SPDX-License-Identifier: GPL-3.0-or-later
"""Log files, pipes and the ring buffer as they are found on real hosts, good and bad."""

import bz2
import errno
import gzip
import lzma
import os
import socket
import stat

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log import kmsg, sources

LINE = "Nov 23 05:38:57 host kernel: [    1.000000] line %d\n"


def read(source):
    """All lines of a source, as LogsEngine reads it."""
    try:
        return [line for line in source.read() if line is not None] if source.open() else []
    finally:
        source.close()


def told(source):
    return source.status, source.reason


def log(path, lines=3):
    path.write_text("".join(LINE % number for number in range(lines)))
    return sources.LogFile(str(path), asked_for=True)


def test_a_plain_file(tmp_path):
    source = log(tmp_path / "messages")
    assert read(source) == [(LINE % number).rstrip("\n") for number in range(3)]
    assert (source.status, source.lines, source.bytes, source.damaged) == ("read", 3, 3 * len(LINE) - 3, False)


@pytest.mark.parametrize("suffix,pack", [("gz", gzip.compress), ("xz", lzma.compress), ("bz2", bz2.compress)])
def test_packed_files_and_their_damage(tmp_path, suffix, pack):
    text = "".join(LINE % number for number in range(20000)).encode()
    path = tmp_path / ("messages.1." + suffix)
    path.write_bytes(pack(text))
    source = sources.LogFile(str(path))
    assert len(read(source)) == 20000 and source.status == "read"

    path.write_bytes(pack(text)[:-8])
    source = sources.LogFile(str(path))
    assert len(read(source)) <= 20000
    assert source.status in ("partial", "unread") and source.reason and source.damaged

    path.write_bytes(b"no archive at all")
    source = sources.LogFile(str(path))
    assert read(source) == [] and source.status == "unread" and source.reason


def test_a_truncated_archive_gives_what_it_still_has(tmp_path):
    path = tmp_path / "messages.1.gz"
    path.write_bytes(gzip.compress("".join(LINE % number for number in range(20000)).encode())[:-4000])
    source = sources.LogFile(str(path))
    assert 0 < len(read(source)) < 20000 and source.status == "partial"


def test_a_python_without_a_packer_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "lzma", None)
    source = log(tmp_path / "messages.1.xz")
    assert read(source) == [] and told(source) == ("unread", "this Python cannot read .xz files")


def test_zst_needs_a_program_and_says_so(tmp_path, monkeypatch):
    path = tmp_path / "messages.1.zst"
    path.write_bytes(b"anything")
    monkeypatch.setattr(sources, "program", lambda name: None)
    source = sources.LogFile(str(path))
    assert read(source) == [] and told(source) == ("unread", "there is no zstd on this host to unpack it")


def test_zst_goes_through_the_program(tmp_path, monkeypatch):
    program = tmp_path / "zstd"
    program.write_text("#!/bin/sh\ncat\n")
    program.chmod(0o755)
    monkeypatch.setattr(sources, "program", lambda name: str(program))
    log(tmp_path / "messages.1.zst", 5000)
    source = sources.LogFile(str(tmp_path / "messages.1.zst"))
    assert len(read(source)) == 5000 and source.status == "read"

    program.write_text("#!/bin/sh\nhead -c 200\nexit 3\n")
    source = sources.LogFile(str(tmp_path / "messages.1.zst"))
    assert read(source) and told(source) == ("partial", "zstd ended with code 3")


def test_only_regular_files_are_opened(tmp_path):
    log(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.mkfifo(str(tmp_path / "fifo"))
    for name, reason in (("link", "symbolic link"), ("fifo", "not a regular file"), (".", "not a regular file"), ("gone", "No such file")):
        source = sources.LogFile(str(tmp_path / name), asked_for=True)
        assert read(source) == [] and source.status == "unread" and reason in source.reason and source.damaged


def test_a_default_file_that_is_not_there_is_not_missed(tmp_path):
    source = sources.LogFile(str(tmp_path / "messages"))
    assert not source.open() and source.missing and not source.damaged


def test_binary_is_refused_but_the_nul_bytes_of_a_crash_are_not(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(256)) * 100)
    source = sources.LogFile(str(tmp_path / "a"), asked_for=True)
    assert read(source) == [] and told(source) == ("unread", "it is not text")

    (tmp_path / "b").write_bytes((LINE % 1).encode() + b"\0" * 100000 + b"\n" + (LINE % 2).encode())
    source = sources.LogFile(str(tmp_path / "b"))
    lines = read(source)
    assert lines[0] == (LINE % 1).rstrip("\n") and lines[-1] == (LINE % 2).rstrip("\n")


def test_a_line_without_end_takes_no_memory_and_hides_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 10000000 + b"\n" + (LINE % 2).encode())
    source = sources.LogFile(str(tmp_path / "a"))
    long, last = read(source)
    assert len(long) <= 16384 and last == (LINE % 2).rstrip("\n")


def test_of_a_large_file_the_newest_part_from_the_start_of_a_line(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_PLAIN_BYTES", 10 * len(LINE))
    source = log(tmp_path / "a", 1000)
    lines = read(source)
    assert 8 <= len(lines) <= 10 and lines[-1] == (LINE % 999).rstrip("\n")
    assert all(line.startswith("Nov 23") for line in lines)
    assert source.status == "partial" and not source.damaged


def test_a_packed_bomb_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MAX_UNPACKED_BYTES", 200000)
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 79 + b"\n" * 50000000))
    source = sources.LogFile(str(tmp_path / "a.gz"))
    for _unused in source.read() if source.open() else ():
        pass
    source.close()
    assert source.status == "partial" and source.bytes < 400000


def test_a_growing_file_ends_where_it_was_when_opened(tmp_path):
    source = log(tmp_path / "a", 1)
    assert source.open()
    with open(str(tmp_path / "a"), "a") as stream:
        stream.write(LINE % 1)
    assert len(list(source.read())) == 1
    source.close()


def test_which_files_are_read(tmp_path):
    names = ["messages", "messages-20261101.gz", "syslog.1", "kern.log.2.xz", "syslog.3.zst"]
    for age, name in enumerate(names):
        log(tmp_path / name)
        os.utime(str(tmp_path / name), (2000000000 - age, 2000000000 - age))
    for name in ("messages.old.tar", "auth.log", "syslogd", "messages.d"):
        log(tmp_path / name)
    (tmp_path / "syslog").mkdir()
    extra = str(tmp_path / "auth.log")
    found = [source.name for source in sources.log_files(10**10, [extra], str(tmp_path))]
    assert found == [extra] + [str(tmp_path / name) for name in names]
    os.utime(str(tmp_path / "messages"), (1, 1))
    assert str(tmp_path / "messages") not in [source.name for source in sources.log_files(86400, [], str(tmp_path))]


@pytest.fixture
def journal(tmp_path, monkeypatch):
    """Makes a Journal whose journalctl is a shell script."""
    def make(script):
        program = tmp_path / "journalctl"
        program.write_text("#!/bin/sh\n" + script)
        program.chmod(0o755)
        monkeypatch.setattr(sources, "program", lambda name: str(program))
        monkeypatch.setattr(sources.Journal, "FOLDERS", (str(tmp_path),))
        return sources.Journal(86400)
    return make


def test_the_journal_is_asked_for_kernel_messages_of_all_boots(journal):
    source = journal('echo "$LC_ALL $*"; seq 10000; echo noise >&2')
    lines = read(source)
    assert lines[0].startswith("C --no-pager --quiet --output=short-iso-precise ") and lines[0].endswith("_TRANSPORT=kernel")
    assert len(lines) == 10001 and source.status == "read"


def test_a_journal_that_fails_says_why(journal):
    source = journal("echo 'Journal file is corrupt' >&2; exit 1")
    assert read(source) == [] and told(source) == ("unread", "journalctl ended with code 1: Journal file is corrupt")
    source = journal("seq 10; exit 1")
    assert len(read(source)) == 10 and source.status == "partial" and source.damaged


def test_a_journal_that_hangs_is_not_waited_for_and_ends_with_its_reader(journal):
    source = journal("echo $$; exec sleep 1000")
    assert source.open()
    pid = next(line for line in source.read() if line is not None)
    source.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_no_journal_is_no_damage(monkeypatch):
    monkeypatch.setattr(sources, "program", lambda name: None)
    source = sources.Journal(86400)
    assert not source.open() and source.missing and not source.damaged


@pytest.fixture
def ring(monkeypatch):
    """A Kmsg, and a socket that feeds it: as from /dev/kmsg, one read gives one record."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    monkeypatch.setattr(kmsg.Kmsg, "_open", lambda self: os.dup(theirs.fileno()))
    yield kmsg.Kmsg(), ours
    ours.close()
    theirs.close()


def test_records_of_the_ring_buffer(ring):
    source, feed = ring
    for record in (
        b"6,1,1000001,-;first\n SUBSYSTEM=pci\n DEVICE=+pci:0000:00:01.0\n",
        b"4,2,2000002,c;second begins",
        b"4,3,2000003,+; and goes on",
        b"30,4,2500000,-;systemd[1]: a daemon says something",
        b"12,5,3000003,-,caller=T812;written by a user",
        b"not a record",
    ):
        feed.send(record)
    assert read(source) == ["[    1.000001] first", "[    2.000002] second begins and goes on", "[    3.000003][  T812] written by a user"]
    assert source.status == "read" and source.lines == 3


def test_overwritten_records_make_it_partial(ring, monkeypatch):
    source, feed = ring
    feed.send(b"6,9,1000001,-;newer")
    real, errors = os.read, [OSError(errno.EPIPE, "overwritten")]

    def fails_once(fd, size):
        if errors:
            raise errors.pop()
        return real(fd, size)

    monkeypatch.setattr(os, "read", fails_once)
    assert read(source) == ["[    1.000001] newer"] and source.status == "partial" and not source.damaged


@pytest.mark.parametrize("number,reason", [
    (errno.ENOENT, "does not exist here"), (errno.EPERM, "needs root"), (errno.EACCES, "needs root")])
def test_a_ring_buffer_that_cannot_be_opened(monkeypatch, number, reason):
    def refuse(self):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(kmsg.Kmsg, "_open", refuse)
    source = kmsg.Kmsg()
    assert not source.open() and reason in source.reason and source.damaged


def test_the_ring_buffer_is_a_character_device_that_is_only_read():
    assert stat.S_ISCHR(os.stat("/dev/kmsg").st_mode)
    fds = len(os.listdir("/proc/self/fd"))
    source = kmsg.Kmsg()
    if source.open():  # root, or a kernel that lets everybody read
        assert os.get_blocking(source._fd) is False
    source.close()
    assert len(os.listdir("/proc/self/fd")) == fds
