# SPDX-License-Identifier: GPL-3.0-or-later
"""Log files, pipes and the ring buffer as they are found on real hosts, good and bad."""

import bz2
import errno
import gzip
import lzma
import os
import re
import socket
import stat

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import lines, patterns
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import Scanner
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions import grep_prefilter, kmsg, sources

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


def test_a_line_without_end_takes_no_memory_and_hides_nothing(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"Oops" + b"x" * 10000000 + b"\n" + (LINE % 2).encode())
    sifted = read(sources.LogFile(str(tmp_path / "a")))
    monkeypatch.setattr(grep_prefilter, "program", lambda name: None)
    long, last = read(sources.LogFile(str(tmp_path / "a")))
    assert len(long) <= 16384 and last == (LINE % 2).rstrip("\n")
    assert [(len(line.text) <= 16384, line.candidate) for line in sifted] == [(True, True), (True, False)] and sifted[1].text == last


def scanned(source):
    scanner, found = Scanner(), []
    for line in read(source):
        found += scanner.feed(*line) if isinstance(line, grep_prefilter.Sifted) else scanner.feed(line)
    return found + scanner.finish()


REPORT = (
    "%(head)sBUG: kernel NULL pointer dereference, address: 10\n%(head)sRIP: 0010:ksy_%(name)s+0x1/0x2\n"
    "%(head)sCall Trace:\n%(head)s ksy+0x1/0x2\n"
)


def test_the_sieve_lets_everything_pass_that_a_rule_may_match():
    assert [needle for needle in (*patterns.NEEDLES, lines.NUMBERS) if not re.search(grep_prefilter.EXPRESSION, needle)] == []


@pytest.mark.parametrize("head", ["", "[    1.%06d] ", "Nov 23 05:38:57 host kernel: [    1.%06d] ", "Nov 23 05:38:57 host kernel: "])
@pytest.mark.parametrize("gap", [0, 3, 397, 401, 799, 900])
def test_a_sifted_file_gives_the_same_reports_as_all_of_its_lines(tmp_path, monkeypatch, head, gap):
    """What grep leaves out changes nothing: neither what a report holds, nor where it is."""
    text, number = [], 0
    for name in "abc":
        number += 1
        text.append(REPORT % {"head": head % number if "%" in head else head, "name": name})
        text += ["%snothing %d of note+0x%x/0x99\n" % (head % number if "%" in head else head, index, index) for index in range(gap)]
    path = tmp_path / "messages"
    path.write_text("".join(text) + "\xe9\0broken\n")
    whole = scanned(sources.LogFile(str(path)))
    monkeypatch.setattr(sources, "_SIFT_BYTES", 0)
    source = sources.LogFile(str(path))
    assert scanned(source) == whole and len(whole) == 3
    assert (source.status, source.bytes) == ("read", path.stat().st_size)


@pytest.mark.parametrize("grep", ["echo 'grep: unrecognized option: a' >&2; exit 2", None])
def test_a_host_without_a_usable_grep_is_read_line_by_line(tmp_path, monkeypatch, grep):
    monkeypatch.setattr(sources, "_SIFT_BYTES", 0)
    program = tmp_path / "grep"
    program.write_text("#!/bin/sh\n%s\n" % (grep or ""))
    program.chmod(0o755)
    monkeypatch.setattr(grep_prefilter, "program", lambda name: str(program) if grep else None)
    assert len(read(log(tmp_path / "messages"))) == 3


def test_a_grep_that_dies_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_SIFT_BYTES", 0)
    program = tmp_path / "grep"
    program.write_text("#!/bin/sh\necho '7:Oops'\necho 'memory exhausted' >&2\nexit 2\n")
    program.chmod(0o755)
    monkeypatch.setattr(grep_prefilter, "program", lambda name: str(program))
    source = log(tmp_path / "messages")
    assert read(source) == [grep_prefilter.Sifted("Oops", 7, True)]
    assert told(source) == ("partial", "grep ended with code 2: memory exhausted") and source.damaged


def test_an_exported_journal_is_not_sifted(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "_SIFT_BYTES", 0)
    (tmp_path / "boot.export").write_text("__CURSOR=s=1\n_TRANSPORT=kernel\nMESSAGE=%s\n\n" % "BUG: kernel NULL pointer dereference")
    assert [event["line"] for event in scanned(sources.LogFile(str(tmp_path / "boot.export")))] == [3]


def test_what_a_crash_left_behind(tmp_path):
    folder = tmp_path / "202611230538"
    folder.mkdir()
    saved = folder / "dmesg.202611230538"
    saved.write_text("[    5.000000] first\n[   65.000000] last\n")
    (folder / "dump.202611230538").write_text("not text")
    (folder / "dmesg.link").symlink_to(saved)
    os.utime(str(saved), (2000000000, 2000000000))
    pattern = (str(tmp_path / "*/dmesg*"),)
    [source] = sources.crash_files(10**10, pattern)
    assert read(source) == ["[    5.000000] first", "[   65.000000] last"] and (source.modified_s, source.ended_s) == (2000000000.0, 65.0)
    os.utime(str(saved), (1, 1))
    assert sources.crash_files(86400, pattern) == []


def test_parts_of_a_persistent_store_are_put_in_order(tmp_path):
    for name, text in (
        ("dmesg-efi_pstore-1", "Panic#2 Part1\n<4>[   30.000000] third\n"),
        ("dmesg-efi_pstore-2", "Panic#2 Part2\n<4>[   20.000000] second\n"),
        ("dmesg-efi_pstore-3", "Oops#1 Part1\n<4>[   10.000000] first\n"),
        ("console-ramoops-0", "[    1.000000] not asked for\n"),
    ):
        (tmp_path / name).write_text(text)
    (tmp_path / "dmesg-efi_pstore-4.enc.z").write_bytes(bytes(range(256)) * 10)
    source = sources.Pstore(str(tmp_path))
    assert [line for line in read(source) if "Part" not in line] == [
        "<4>[   10.000000] first", "<4>[   20.000000] second", "<4>[   30.000000] third"]
    assert source.ended_s == 30.0 and told(source) == ("partial", "dmesg-efi_pstore-4.enc.z is not text") and source.damaged


def test_no_persistent_store_is_no_damage(tmp_path):
    for folder in (tmp_path, tmp_path / "none"):
        source = sources.Pstore(str(folder))
        assert not source.open() and source.missing and not source.damaged


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


@pytest.mark.parametrize("copied", [True, False])
def test_a_file_that_is_rotated_while_it_is_read(tmp_path, copied):
    source = log(tmp_path / "a", 5000)
    assert source.open()
    lines_of_it = source.read()
    assert next(lines_of_it) == (LINE % 0).strip()
    if copied:  # logrotate's copytruncate
        os.truncate(str(tmp_path / "a"), 0)
    else:
        os.rename(str(tmp_path / "a"), str(tmp_path / "a.1"))
        log(tmp_path / "a", 3)
    found = 1 + len(list(lines_of_it))
    assert (found < 5000 if copied else found == 5000) and source.status == "read"
    source.close()


def test_which_files_are_read(tmp_path):
    names = ["messages", "messages-20261101.gz", "syslog.1", "kern.log.2.xz", "syslog.3.zst"]
    for age, name in enumerate(names):
        log(tmp_path / name)
        os.utime(str(tmp_path / name), (2000000000 - age, 2000000000 - age))
    for name in ("messages.old.tar", "auth.log", "syslogd", "messages.d"):
        log(tmp_path / name)
    (tmp_path / "syslog").mkdir()
    log(tmp_path / "messages.1")
    found = [source.name for source in sources.log_files(10**10, [str(tmp_path / "messages.1")], str(tmp_path))]
    assert found == [str(tmp_path / name) for name in names]
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
    assert lines[0].startswith("C --no-pager --quiet --output=json ") and lines[0].endswith("_TRANSPORT=kernel")
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


@pytest.mark.parametrize("runs", [False, True])
def test_an_empty_journal_is_a_gap_only_where_its_daemon_runs(journal, monkeypatch, tmp_path, runs):
    source = journal("echo never")
    (tmp_path / "nothing").mkdir()
    (tmp_path / "daemon").mkdir()
    monkeypatch.setattr(sources.Journal, "FOLDERS", (str(tmp_path / "nothing"), str(tmp_path / "none")))
    monkeypatch.setattr(sources.Journal, "DAEMON", str(tmp_path / ("daemon" if runs else "none")))
    assert not source.open() and source.missing is not runs
    assert told(source) == ("unread", "the journal is empty" if runs else "no journal daemon runs on this host")


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
    assert read(source) == [
        "6,1,1000001,-;first", "4,2,2000002,-;second begins and goes on", "12,5,3000003,-,caller=T812;written by a user"]  # fmt: skip
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
    assert read(source) == ["6,9,1000001,-;newer"] and source.status == "partial" and not source.damaged


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
    if source.open():  # root, or a kernel that lets all_hosts read
        assert os.get_blocking(source._fd) is False
    source.close()
    assert len(os.listdir("/proc/self/fd")) == fds
