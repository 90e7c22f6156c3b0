# SPDX-License-Identifier: GPL-3.0-or-later
"""System calls by the C library: their effects, and the reason of a failure."""

import os
import select
import signal
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux


def exit_code(function):
    """Run the function in a child, and return what that exits with: the function's result, or 99 after an exception."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            code = int(function())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_child_knows_whether_its_parent_is_still_there():
    parent = os.getpid()
    assert exit_code(lambda: linux.die_with_parent(parent)) == 1
    assert exit_code(lambda: linux.die_with_parent(parent + 1)) == 0


def test_a_child_ends_with_its_parent():
    read_end, write_end = os.pipe()

    def parent():
        me, (ready, tell) = os.getpid(), os.pipe()
        if os.fork() == 0:
            os.close(read_end)
            linux.die_with_parent(me)
            os.write(tell, b"x")
            signal.pause()
        os.read(ready, 1)

    child = os.fork()
    if child == 0:
        try:
            parent()
        finally:
            os._exit(0)
    os.close(write_end)
    os.waitpid(child, 0)
    assert select.select([read_end], [], [], 60)[0]  # the grandchild held the other end until the kernel ended it
    assert os.read(read_end, 1) == b""
    os.close(read_end)


def test_a_process_gets_a_name():
    def named():
        linux.set_name("ksysak-test")
        return Path("/proc/self/comm").read_text() == "ksysak-test\n"

    assert exit_code(named) == 1


def test_a_failure_says_what_could_not_be_done(tmp_path):
    with pytest.raises(OSError) as caught:
        linux.mount("no-such-kind", str(tmp_path), linux.MS_NODEV)
    assert caught.value.errno and caught.value.strerror.startswith(f"cannot mount no-such-kind on {tmp_path}: ")
    with pytest.raises(OSError, match="bpf\\(\\) failed: "):
        linux.bpf(2**31 - 1)


def test_mounts_are_seen_by_this_process_alone(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root can mount")

    def covered():
        linux.private_mounts()
        linux.mount("tmpfs", str(tmp_path), linux.MS_NOSUID | linux.MS_NODEV, "size=64k")
        (tmp_path / "inner").touch()
        seen = os.path.ismount(tmp_path)
        linux.unmount(str(tmp_path))
        return seen and not os.path.ismount(tmp_path)

    assert exit_code(covered) == 1
    assert not list(tmp_path.iterdir())
