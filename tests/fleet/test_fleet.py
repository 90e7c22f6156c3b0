# SPDX-License-Identifier: GPL-3.0-or-later
"""The fleet's own promises: nothing half-built is used, and no machine outlives who started it."""

import os
import select
import signal
import subprocess
import sys

import pytest

from ansible_collections.ksysak.fleet.tests.fleet import background, cache, image, tree
from ansible_collections.ksysak.fleet.tests.fleet.machine import Machine, MachineFailed

NAME = "debian12"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """A fleet of two entries whose building only notes its names; returns (entries, names built, names that fail)."""
    entries, built, failing = {"one": {"suites": ["a"]}, "two": {"suites": ["a"]}}, [], set()

    def install(name, release, folder):
        (folder / "etc/ssh").mkdir(parents=True)
        (folder / "etc/ssh/ssh_host_ed25519_key.pub").write_text("ssh-ed25519 AAAA\n")
        if name in failing:
            raise subprocess.CalledProcessError(1, "mmdebstrap")
        built.append(name)

    monkeypatch.setattr(cache, "FLEET", tmp_path / "fleet")
    monkeypatch.setattr(cache, "releases", lambda: entries)
    monkeypatch.setattr(tree, "install", install)
    monkeypatch.setattr(tree, "configure", lambda name, public_key, folder: None)
    monkeypatch.setattr(image, "build", lambda source, folder: (folder / "disk.img").write_text(str(entries)))
    return entries, built, failing


def test_a_changed_entry_builds_its_machine_alone(recipe):
    entries, built, _failing = recipe
    first = [cache.ensure("one"), cache.ensure("two")]
    assert [cache.ensure("one"), cache.ensure("two")] == first
    assert built == ["one", "two"]
    entries["two"] = {"suites": ["b"]}
    assert cache.ensure("one") == first[0] and cache.ensure("two") != first[1]
    assert built == ["one", "two", "two"]
    assert not first[1].exists()


def test_a_half_built_machine_is_not_used(recipe):
    _entries, built, failing = recipe
    failing.add("one")
    with pytest.raises(subprocess.CalledProcessError):
        cache.ensure("one")
    failing.clear()
    folder = cache.ensure("one")
    assert built == ["one"]
    assert sorted(path.name for path in folder.iterdir()) == ["disk.img", "key", "key.pub", "known_hosts", "tree"]
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.usefixtures("root")
def test_a_machine_that_cannot_be_built_says_why(tmp_path):
    """Here for an option of its entry: a proxy that is not there."""
    release = {**cache.releases()[NAME], "apt": ["Acquire::http::Proxy=http://127.0.0.1:1", "Acquire::Retries=0"]}
    with pytest.raises(tree.TreeFailed, match=r"(?s)debian12: mmdebstrap ended with .*Could not connect to 127\.0\.0\.1:1"):
        tree.install(NAME, release, tmp_path / "tree")


@pytest.mark.usefixtures("root")
def test_a_machine_that_cannot_start_says_why(tmp_path):
    folder = cache.ensure(NAME)
    for name in ("vmlinuz", "initramfs", "key", "known_hosts"):
        (tmp_path / name).symlink_to(folder / name)
    with open(tmp_path / "disk.img", "wb") as disk:
        disk.truncate(1 << 20)
    with pytest.raises(MachineFailed, match=r"(?s)debian12 did not start: it ended.*Kernel panic"):
        Machine(NAME, tmp_path, tmp_path / "console").wait()


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_machine_ends_with_who_started_it(tmp_path, repo, number):
    # SIGINT is ignored in what a shell starts in the background.
    script = "import signal, sys, time; signal.signal(signal.SIGINT, signal.default_int_handler);"
    script += "from tests.fleet.machine import Machine; machine = Machine(*sys.argv[1:]);"
    script += "print(machine.process.pid, flush=True); time.sleep(600)"
    command = [sys.executable, "-c", script, NAME, cache.ensure(NAME), tmp_path / "console"]
    with subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as starter:
        handle = os.pidfd_open(int(starter.stdout.readline()))
        starter.send_signal(number)
    assert select.select([handle], [], [], 120)[0], "the machine is still there"
    os.close(handle)


@pytest.mark.usefixtures("root")
def test_a_machine_in_the_background_is_reached_by_its_inventory(tmp_path, monkeypatch, ansible):
    monkeypatch.setattr(background, "UP", tmp_path / "up")
    monkeypatch.setattr(background, "INVENTORY", tmp_path / "inventory.yml")
    background.up([NAME])
    try:
        pid = background.running()[NAME]["pid"]
        background.up([NAME])
        background.down(["another"])
        assert background.running()[NAME]["pid"] == pid
        done = ansible.adhoc("all", "-i", background.INVENTORY, "-m", "ansible.builtin.ping")
        assert done.returncode == 0 and f"{NAME} | SUCCESS" in done.stdout, done.stdout + done.stderr
        handle = os.pidfd_open(pid)
    finally:
        background.down([NAME])
    assert select.select([handle], [], [], 0)[0], "the machine is still there"
    os.close(handle)
    assert background.running() == {}
