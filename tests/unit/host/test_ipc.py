# SPDX-License-Identifier: GPL-3.0-or-later
"""Detached processes and their sockets: who is answered, who is not, and what a starter learns."""

import os
import select
import socket
import threading

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import control, ipc

NAME = "test/%d" % os.getpid()
NOBODY = 65534


@pytest.fixture
def server():
    made = ipc.Server(NAME)
    made.listen()
    yield made
    made.close()


def serving(function):
    """Run a function beside the test."""
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def as_nobody(function):
    """Run the function as another user. Returns its exit code: the function's result, 99 after an exception."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.setuid(NOBODY)
            code = int(function())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_caller_is_answered(server):
    words = []

    def serve():
        connection, word = server.accept()
        words.append(word)
        ipc.answer(connection, {"text": "x" * 300_000})

    thread = serving(serve)
    assert ipc.ask(NAME, "report", 30) == {"text": "x" * 300_000}
    thread.join()
    assert words == ["report"]


def test_nobody_listens():
    assert ipc.ask(NAME, "report", 30) is None


def test_a_name_is_taken_once_and_free_again(server):
    with pytest.raises(ipc.NameTaken, match="another process listens under ksysak.fleet/" + NAME):
        ipc.Server(NAME)
    server.close()
    ipc.Server(NAME).close()


def test_a_connection_without_an_answer_is_told_from_one_with_nonsense(server):
    def serve():
        server.accept()[0].close()
        connection, _word = server.accept()
        connection.sendall(b'{"cut": ')
        connection.close()

    thread = serving(serve)
    with pytest.raises(ipc.NoAnswer):
        ipc.ask(NAME, "report", 30)
    with pytest.raises(ValueError, match="Expecting value"):
        ipc.ask(NAME, "report", 30)
    thread.join()


def test_an_answer_is_bounded(server, monkeypatch):
    monkeypatch.setattr(ipc, "_ANSWER_BYTES", 1000)
    thread = serving(lambda: ipc.answer(server.accept()[0], "x" * 5_000_000))
    with pytest.raises(ValueError, match="Unterminated string"):
        ipc.ask(NAME, "report", 30)
    thread.join()


def test_a_caller_that_goes_away_is_no_error(server):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.connect("\0ksysak.fleet/" + NAME)
        caller.sendall(b"report")
    connection, word = server.accept()
    ipc.answer(connection, "x" * 5_000_000)
    assert word == "report" and connection.fileno() == -1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_other_users_are_heard_on_neither_side(server):
    def call():
        try:
            ipc.ask(NAME, "stop", 30)
        except (ipc.NoAnswer, ConnectionError):  # the server closes without reading the word
            return 7

    def serve():
        connection, word = server.accept()
        connection.close()
        words.append(word)

    words = []
    thread = serving(serve)
    assert as_nobody(call) == 7
    thread.join()
    assert words == [""]

    server.close()
    ready, tell = os.pipe()
    done, end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(end)
            os.setuid(NOBODY)
            theirs = ipc.Server(NAME)
            theirs.listen()
            os.write(tell, b"x")
            os.read(done, 1)
        finally:
            os._exit(0)
    os.read(ready, 1)
    with pytest.raises(ipc.Untrusted):
        ipc.ask(NAME, "report", 30)
    os.close(end)
    os.waitpid(child, 0)


def test_a_detached_process_notifies_its_starter():
    def serve(notify):
        links = sorted(os.listdir("/proc/self/fd"), key=int)
        names = {int(link): os.readlink("/proc/self/fd/" + link) for link in links if os.path.exists("/proc/self/fd/" + link)}
        notify({"session": os.getsid(0), "leader": os.getsid(0) == os.getpid(), "folder": os.getcwd(), "files": sorted(names.values())})

    leaked = socket.socketpair()
    found = ipc.detach(serve)
    for end in leaked:
        end.close()
    assert found["session"] != os.getsid(0) and not found["leader"] and found["folder"] == "/"
    assert [name for name in found["files"] if not name.startswith("pipe:")] == ["/dev/null"] * 3
    assert len([name for name in found["files"] if name.startswith("pipe:")]) == 1


def test_a_detached_process_that_fails_says_why():
    def broken(notify):
        raise RuntimeError("no such luck")

    with pytest.raises(ipc.Died, match="^no such luck$"):
        ipc.detach(broken)
    with pytest.raises(ipc.Died, match="^$"):
        ipc.detach(lambda notify: os._exit(1))


def test_a_stop_waits_for_the_end():
    def serve(notify):
        server = ipc.Server(NAME)
        server.listen()
        notify(os.getpid())
        connection, _word = server.accept()
        server.close()
        ipc.answer(connection, "bye")

    watched = os.pidfd_open(ipc.detach(serve))
    assert ipc.ask(NAME, "stop", 60, until_ended=True) == "bye"
    assert select.select([watched], [], [], 60)[0]
    os.close(watched)


@pytest.fixture
def scan(monkeypatch):
    monkeypatch.setattr(control, "_NAME", NAME)
    return control


@pytest.mark.parametrize("wanted", ["*", "id-1"])
def test_a_scan_is_stopped_by_its_id_or_any(scan, wanted):
    listener = scan.Listener("id-1")
    served = []

    def serve():
        served.append(listener.serve())
        listener.finish({"probes": {}})

    thread = serving(serve)
    assert scan.stop(wanted, 30) == {"probes": {}}
    thread.join()
    assert served == [True] and scan.stop(wanted, 30) is None


@pytest.mark.parametrize(("scan_id", "word"), [("id-1", "id-2"), ("", "")])
def test_a_scan_is_not_stopped_by_another_id_nor_by_silence(scan, scan_id, word):
    """A scan without an id must not take an untrusted or silent caller for one that names it."""
    listener = scan.Listener(scan_id)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        caller.connect("\0ksysak.fleet/" + NAME)
        caller.sendall(word.encode())
        caller.shutdown(socket.SHUT_WR)
        assert listener.serve() is False
        assert caller.recv(1) == b""
    listener.close()


def test_one_scan_a_host(scan):
    listener = scan.Listener("id-1")
    with pytest.raises(RuntimeError, match="another scan is running on this host"):
        scan.Listener("id-2")
    listener.close()
