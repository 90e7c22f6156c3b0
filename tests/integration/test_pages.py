# SPDX-License-Identifier: GPL-3.0-or-later
"""Every command of the page on pipelines, run by a shell as the page has it, in a folder with the files that it names."""

import json
import os
import re
import subprocess

import pytest
import yaml

from ansible_collections.ksysak.fleet.tests.integration.place import LOCAL, Place

pytestmark = pytest.mark.usefixtures("root")

BLOCK = re.compile(r"(?ms)^```(?:console|bash)?\n(.*?)^```")
INLINE = re.compile(r"`(jq [^`]+)`")


@pytest.fixture
def shell(tmp_path, ansible, repo):
    """``shell(command)``: run a line of a page; returns a CompletedProcess with stderr in stdout."""
    place = Place(tmp_path, ansible, repo)
    folder = tmp_path / "project"
    tasks = folder / "roles" / "our.kernel_update" / "tasks"
    tasks.mkdir(parents=True)
    update = {"name": "Update", "ansible.builtin.file": {"path": f"{folder}/role", "state": "touch"}}
    (tasks / "main.yml").write_text(yaml.safe_dump([update]))
    commands = folder / "bin"
    commands.mkdir()
    (commands / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{folder}/systemctl\n')
    (commands / "systemctl").chmod(0o755)
    host = "web1 " + " ".join(f"{name}='{value}'" for name, value in LOCAL.items())
    for name in ("hosts", "canary"):
        (folder / f"{name}.ini").write_text(f"{host}\n[all:vars]\nksysak_probes=host_health\n")
    path = f"{commands}:{ansible.bin_dir}:{os.environ['PATH']}"
    env = {**place.env(), "PATH": path, "BUILD_NUMBER": "7", "ANSIBLE_ROLES_PATH": str(folder / "roles")}

    def run(command):
        return subprocess.run(["sh", "-c", command], cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip

    run.folder, run.place = folder, place
    return run


def commands(repo, page):
    """Return the blocks of commands of a page; a block of output has none."""
    text = (repo / "docs" / page).read_text()
    return [block for block in BLOCK.findall(text) if re.search(r"(?m)^(\$ )?(ansible|export|pip|python)", block)], INLINE.findall(text)


def test_commands_of_the_page_on_pipelines(shell, repo):
    blocks, (query,) = commands(repo, "ci.md")
    preflight, change = blocks
    done = shell(preflight)
    assert "PLAY RECAP" in done.stdout, done.stdout
    fleet = json.loads((shell.folder / "out" / "build-7" / "fleet.json").read_text())
    expected = {"clear": 0, "incomplete": 3}.get(fleet["verdict"]["level"], 2)
    assert done.returncode == expected, done.stdout
    table = (repo / "docs" / "ci.md").read_text()
    for name in re.findall(r"`out/build-7/([\w.]+)`", table) + ["junit.xml", "findings.sarif", "codequality.json"]:
        assert (shell.folder / "out" / "build-7" / name).is_file(), name
    # What the page says of jq: it ends with 1 unless all is clear.
    assert shell(query).returncode == (0 if fleet["verdict"]["level"] == "clear" else 1)
    first, second = change.strip().splitlines()
    done = shell(first)
    assert "New or worse since the baseline: " in done.stdout
    assert (shell.folder / "systemctl").read_text() == "restart app\n"
    assert {path.name for path in (shell.folder / "ksysak-results").iterdir()} == {"kernel-42", "kernel-42-before"}
    (shell.folder / "ksysak-results").rename(shell.folder / "first")
    done = shell(second)
    assert "New or worse since the baseline: " in done.stdout
    assert (shell.folder / "role").is_file()
    shell.place.assert_nothing_left()
