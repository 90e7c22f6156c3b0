# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of all tests, and the import tree: ``ansible_collections.ksysak.fleet`` is this checkout."""

import collections
import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

REPO = Path(__file__).resolve().parent.parent
IMPORT_ROOT = REPO / ".cache" / "import"


def _make_import_tree():
    link = IMPORT_ROOT / "ansible_collections" / "ksysak" / "fleet"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink() or link.resolve() != REPO:
        link.unlink(missing_ok=True)
        link.symlink_to(REPO, target_is_directory=True)
    sys.path.insert(0, str(IMPORT_ROOT))


# At import time: test files import the collection while they are collected.
_make_import_tree()

# The same examples on every machine and run, however slow it is.
hypothesis.settings.register_profile("ksysak", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ksysak")


def pytest_terminal_summary(terminalreporter):
    """Print how long the tests of each folder took, with their fixtures."""
    seconds = collections.Counter()
    for report in (report for reports in terminalreporter.stats.values() for report in reports if isinstance(report, pytest.TestReport)):
        seconds["/".join(report.nodeid.split("/")[:2])] += report.duration
    if seconds:
        terminalreporter.section("seconds by folder")
    for folder, duration in seconds.most_common():
        terminalreporter.write_line("%8.1fs %s" % (duration, folder))


def clean_env(**extra):
    """The environment without settings of the caller that would change what Ansible, make or Python do."""
    dropped = ("ANSIBLE_", "MAKE", "MFLAGS", "PYTHON", "VIRTUAL_ENV", "PYTEST_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    env.update({name: str(value) for name, value in extra.items()})
    return env


class Ansible:
    """Runs the ansible commands of make's virtual environment on the built and installed collection."""

    timeout_s = 600  # only a safety net: no test depends on it

    def __init__(self, bin_dir, collections_path, config):
        self.bin_dir = bin_dir
        self.env = {
            "ANSIBLE_CONFIG": config,
            "ANSIBLE_COLLECTIONS_PATH": collections_path,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, command, *args, cwd=None, **env):
        """Run one of Ansible's commands; keyword arguments are environment variables.

        Returns a CompletedProcess with stdout and stderr as text; a return code other than 0 is no error here.
        """
        return subprocess.run(
            [str(self.bin_dir / command), *map(str, args)],
            cwd=cwd,
            env=clean_env(**{**self.env, **env}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=self.timeout_s,
            check=False,
        )

    def playbook(self, *args, cwd=None, **env):
        """ansible-playbook with these arguments."""
        return self.run("ansible-playbook", *args, cwd=cwd, **env)

    def adhoc(self, *args, cwd=None, **env):
        """ansible (one task) with these arguments."""
        return self.run("ansible", *args, cwd=cwd, **env)


@pytest.fixture(scope="session")
def repo():
    """The root of the checkout."""
    return REPO


@pytest.fixture(scope="session")
def collections_path(repo):
    """The collections path that holds the built and installed collection, as ``make scan`` uses it."""
    done = subprocess.run(
        ["make", "--no-print-directory", "build"],
        cwd=repo,
        env=clean_env(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail("make build failed:\n" + done.stdout, pytrace=False)
    return repo / ".cache" / "collections"


@pytest.fixture(scope="session")
def ansible(repo, collections_path, tmp_path_factory):
    """Ansible as ``make scan`` runs it: see the class Ansible."""
    config = tmp_path_factory.mktemp("ansible") / "ansible.cfg"
    config.touch()
    return Ansible(repo / ".cache" / "venv" / "bin", collections_path, config)


@pytest.fixture(scope="session")
def system_python():
    """The distribution's own Python, which is the one that has bcc."""
    python = "/usr/bin/python3"
    done = subprocess.run([python, "-c", "import bcc"], env=clean_env(), stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        pytest.fail("%s has no bcc (Debian: apt-get install python3-bpfcc): %s" % (python, done.stderr), pytrace=False)
    return python


@pytest.fixture(scope="session")
def root():
    """For tests of what only root can do; they fail, and are not skipped, for anybody else."""
    if os.geteuid() != 0:
        pytest.fail("this test loads kernel probes: run it as root", pytrace=False)
