# SPDX-License-Identifier: GPL-3.0-or-later
"""The host side (modules and module_utils) runs under Python 3.6."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HOST_SIDE = ("plugins/modules", "plugins/module_utils")

IMPORT_EACH = """
import importlib, sys, traceback
failed = 0
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except BaseException:
        failed += 1
        print(name)
        traceback.print_exc(file=sys.stdout)
sys.exit(failed != 0)
"""


def _version(python):
    """(3, 6, 15) of a Python that runs, None of one that does not (as a version manager's shim of another version)."""
    command = [str(python), "-c", "import sys; print(*sys.version_info[:3])"]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    except OSError:
        return None
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


def _oldest_python():
    """The path and version of the oldest Python 3.6 or later on PATH or among pyenv's versions."""
    candidates = [shutil.which(f"python3.{minor}") for minor in range(6, 14)]
    candidates += Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob("versions/3.*/bin/python3")
    versions = {python: _version(python) for python in candidates if python}
    usable = [(version, str(python)) for python, version in versions.items() if version and version >= (3, 6)]
    version, python = min(usable)
    return python, ".".join(map(str, version))


def _sources(repo):
    return [path for folder in HOST_SIDE for path in sorted((repo / folder).rglob("*.py"))]


def test_vermin(repo, tool):
    assert _sources(repo)
    tool("vermin", "--no-tips", "--target=3.6-", "--violations", *HOST_SIDE, cwd=repo)


@pytest.mark.parametrize("python", [pytest.param(python, id=version) for python, version in [_oldest_python()]])
def test_imports_under_oldest_python(repo, python):
    """With the oldest ansible-core that meta/runtime.yml allows; the test's name says which Python was there."""
    names = [".".join(("ansible_collections.ksysak.fleet", *path.relative_to(repo).with_suffix("").parts)) for path in _sources(repo)]
    names = [name[: -len(".__init__")] if name.endswith(".__init__") else name for name in names]
    assert names
    command = [python, "-c", IMPORT_EACH, *names]
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{repo}/.cache/import:{repo}/.cache/ansible-core-oldest",
        "PYTHONDONTWRITEBYTECODE": "1",
        "LC_ALL": "C.UTF-8",
    }
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
