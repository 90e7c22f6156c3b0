# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests on virtual machines. MACHINES=all or MACHINES=debian11,debian13 chooses them; debian12 is the default."""

import io
import json
import os
import shlex
import shutil
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from ansible_collections.ksysak.fleet.tests.fleet import cache
from ansible_collections.ksysak.fleet.tests.fleet.machine import Machine

ON_HOST = "tests/integration/on_host.py"
MEMORY = "tests/integration/memory_on_host.py"
BLOCKED = "tests/integration/blocked_on_host.py"
TRACES = "tests/fleet/traces.py"
CHANGING = "tests/fleet/changing.py"
INJECTIONS = "tests/fleet/injections.py"
LEAKING = "tests/fleet/leaking.py"
STALLING = "tests/fleet/stalling.py"
SENT = ["plugins/module_utils", ON_HOST, MEMORY, BLOCKED, TRACES, CHANGING, INJECTIONS, LEAKING, STALLING]
MODULES = ("test_page_leak", "test_slab_leak", "test_vmalloc_leak", "test_irqoff", "test_nosched")
BUILT = "/root/kmods"


class Wanted(NamedTuple):
    """A machine that tests ask for. own: the test file that has it to itself, None for the one that all others share."""

    name: str
    exact: bool
    own: str | None


def pytest_generate_tests(metafunc):
    """A test file with CHANGES = True has a machine to itself, as one with EXACT = True has."""
    if "machine" in metafunc.fixturenames:
        chosen, known = os.environ.get("MACHINES", "debian12"), list(cache.releases())
        names = known if chosen == "all" else chosen.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise pytest.UsageError("MACHINES=%s: %s is not in releases.yml" % (chosen, unknown[0]))
        exact, changes = (getattr(metafunc.module, flag, False) for flag in ("EXACT", "CHANGES"))
        wanted = [Wanted(name, exact, metafunc.module.__name__ if exact or changes else None) for name in names]
        metafunc.parametrize("machine", wanted, ids=names, indirect=True, scope="session")


@pytest.hookimpl(trylast=True)  # after pytest's own sorting, which does not know which machines are the same
def pytest_collection_modifyitems(items):
    """Tests of one machine come one after another: it starts once, and ends with the last of them."""
    ours = [number for number, item in enumerate(items) if Path(__file__).parent in item.path.parents]
    machines = [getattr(items[number], "callspec", None) for number in ours]
    machines = [callspec and callspec.params.get("machine") for callspec in machines]
    in_turn = sorted(zip(ours, machines, strict=True), key=lambda pair: machines.index(pair[1]))
    for number, item in zip(ours, [items[number] for number, _machine in in_turn], strict=True):
        items[number] = item


@pytest.fixture(scope="session")
def machine(request, tmp_path_factory):
    """A running machine (see the class), for each of the chosen ones. Test files share it, except those with CHANGES or EXACT."""
    wanted = request.param
    console = tmp_path_factory.mktemp(wanted.name) / "console"
    machine = Machine(wanted.name, cache.ensure(wanted.name), console, exact=wanted.exact)
    try:
        yield machine.wait()
    finally:
        machine.stop()


class OnMachine:
    """The machine with on_host.py, traces.py and the host side of the collection in a folder that no Ansible knows."""

    FOLDER = "/root/tests"

    def __init__(self, machine, repo):
        self.machine = machine
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path in SENT:
                tar.add(repo / path, "ansible_collections/ksysak/fleet/" + path)
        done = machine.run(f"mkdir {self.FOLDER} && tar -xf - -C {self.FOLDER}", archive.getvalue())
        assert done.returncode == 0, done.stderr

    def shell(self, script, *arguments, within=()):
        """Return the shell command for a script of SENT; `within` is a command to run it under."""
        path = "%s/ansible_collections/ksysak/fleet/%s" % (self.FOLDER, script)
        return shlex.join([*within, "env", "PYTHONPATH=" + self.FOLDER, "/usr/bin/python3", path, *map(str, arguments)])

    def run(self, script, *arguments, within=()):
        """Run a script of SENT and return its JSON."""
        done = self.machine.run(self.shell(script, *arguments, within=within))
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def on_machine(machine, repo):
    """See OnMachine."""
    return OnMachine(machine, repo)


@pytest.fixture(scope="session")
def on_host(on_machine):
    """Run a case of on_host.py on the machine: what tests/integration runs on this one."""
    return lambda *arguments, within=(): on_machine.run(ON_HOST, *arguments, within=within)


@pytest.fixture(scope="session")
def inventory(machine, tmp_path_factory):
    """An inventory file of the machine alone, under the name target."""
    path = tmp_path_factory.mktemp("inventory") / "inventory.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {"target": machine.variables()}}}))
    return path


@pytest.fixture(scope="session")
def built(machine, repo, tmp_path_factory):
    """The kernel modules, on the machine, built for its kernel by its compiler. Returns their files there by name."""
    sources = tmp_path_factory.mktemp("kmods") / "kmods"
    shutil.copytree(repo / "kmods", sources)
    cache.build_modules(machine.name, sources)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in MODULES:
            tar.add(sources / name / (name + ".ko"), "kmods/%s/%s.ko" % (name, name))
    done = machine.run("tar -xf - -C /root", archive.getvalue())
    assert done.returncode == 0, done.stderr.decode()
    return {name: f"{BUILT}/{name}/{name}.ko" for name in MODULES}
