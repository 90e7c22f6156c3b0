# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/security.md says of capabilities: tried with root that has no other ones. Nothing is traced here."""

import json
import re
import subprocess
import sys

import pytest

from ansible_collections.ksysak.fleet.tests.conftest import IMPORT_ROOT, clean_env

pytestmark = pytest.mark.usefixtures("root")

# Prints what works with the capabilities of this process.
TRIED = """
import json, os, sys
from ansible_collections.ksysak.fleet.plugins.module_utils._core import procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import requirements, sandbox
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import Host

def works(what):
    try:
        return what() is not False
    except Exception:
        return False

print(json.dumps({
    "bpf": works(requirements.check_bpf),
    "ring buffer": works(lambda: os.close(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK))),
    "symbols": works(lambda: any(int(line.split()[0], 16) for line in procfs.read_text("/proc/kallsyms").splitlines())),
    "other users": works(lambda: not [text for text in Host().missing() if "CAP_SYS_PTRACE" in text]),
    "sandbox": works(sandbox.enter),
}))
"""
FULL = ["sys_admin", "syslog", "sys_ptrace"]


def tried(*capabilities):
    """Return what works for root with these capabilities alone."""
    allowed = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    command = ["setpriv", "--bounding-set", allowed, "--inh-caps", allowed, sys.executable, "-c", TRIED]
    done = subprocess.run(command, env=clean_env(PYTHONPATH=IMPORT_ROOT), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_set_of_the_page_is_enough():
    assert tried(*FULL) == dict.fromkeys(["bpf", "ring buffer", "symbols", "other users", "sandbox"], True)


@pytest.mark.parametrize(
    ("without", "missing"),
    [("sys_admin", {"bpf", "sandbox"}), ("syslog", {"ring buffer", "symbols"}), ("sys_ptrace", {"other users"})],
)
def test_what_is_missing_without_one_of_them(without, missing):
    found = tried(*(name for name in FULL if name != without))
    assert {name for name, works in found.items() if not works} == missing


def test_bpf_and_perfmon_alone_are_not_enough():
    found = tried("bpf", "perfmon", "syslog", "sys_ptrace")
    assert {name for name, works in found.items() if not works} == {"sandbox"}


def test_the_page_names_every_capability_of_the_code(repo):
    page = (repo / "docs" / "security.md").read_text()
    rows = set(re.findall(r"`(CAP_\w+)`", page))
    sources = [path.read_text() for folder in ("module_utils", "modules") for path in (repo / "plugins" / folder).rglob("*.py")]
    named = {name for source in sources for name in re.findall(r"\bCAP_[A-Z_]+\b", source)}
    assert named and named <= rows
    assert {f"CAP_{name.upper()}" for name in FULL} <= rows
