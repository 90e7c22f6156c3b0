# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the quality gates: the files of the project, a clean copy of them, and a way to run a tool."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def files(repo):
    """All files of the project, as paths relative to the root: what git knows or would add."""
    command = ["git", "-c", f"safe.directory={repo}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=repo, check=True, stdout=subprocess.PIPE, text=True).stdout
    # A file that was just removed is still listed.
    return sorted(Path(name) for name in listed.split("\0") if name and (repo / name).is_file())


@pytest.fixture(scope="session")
def tree(repo, files, tmp_path_factory):
    """A copy of the project where Ansible's own tools expect it: in ansible_collections/ksysak/fleet, a git repository."""
    root = tmp_path_factory.mktemp("tree") / "ansible_collections" / "ksysak" / "fleet"
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo / name, root / name)
    subprocess.run(["git", "init", "--quiet", str(root)], check=True)
    return root


@pytest.fixture(scope="session")
def tool():
    """``tool(name, *arguments, cwd=..., **environment)``: run a tool of the test environment; it must succeed.

    Returns what the tool printed to stdout.
    """
    bin_dir = Path(sys.executable).parent

    def run(name, *arguments, cwd, **environment):
        path = environment.pop("PATH", os.environ["PATH"])
        done = subprocess.run(
            [str(bin_dir / name), *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", "ANSIBLE_NOCOLOR": "1", "NO_COLOR": "1", **environment, "PATH": f"{bin_dir}:{path}"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            print(done.stdout, done.stderr, sep="\n")  # shown with the failure, but not again in the summary
            pytest.fail(f"{name} ended with {done.returncode}", pytrace=False)
        return done.stdout

    return run
