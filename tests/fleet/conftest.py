# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests on virtual machines. MACHINES=all or MACHINES=debian11,debian13 chooses them; debian12 is the default."""

import io
import json
import os
import shlex
import tarfile

import pytest
import yaml

from ansible_collections.ksysak.fleet.tests.fleet import cache
from ansible_collections.ksysak.fleet.tests.fleet.machine import Machine

ON_HOST = "tests/integration/on_host.py"
TRACES = "tests/fleet/traces.py"
CHANGING = "tests/fleet/changing.py"
INJECTIONS = "tests/fleet/injections.py"
LEAKING = "tests/fleet/leaking.py"
STALLING = "tests/fleet/stalling.py"
SENT = ["plugins/module_utils", ON_HOST, TRACES, CHANGING, INJECTIONS, LEAKING, STALLING]
MODULES = ("test_page_leak", "test_slab_leak", "test_vmalloc_leak", "test_irqoff", "test_nosched")
BUILT = "/root/kmods"


def pytest_generate_tests(metafunc):
    if "machine" in metafunc.fixturenames:
        chosen, known = os.environ.get("MACHINES", "debian12"), list(cache.releases())
        names = known if chosen == "all" else chosen.split(",")
        unknown = [name for name in names if name not in known]
        if unknown:
            raise pytest.UsageError("MACHINES=%s: %s is not in releases.yml" % (chosen, unknown[0]))
        metafunc.parametrize("machine", names, indirect=True, scope="module")


@pytest.fixture(scope="module")
def machine(request, tmp_path_factory):
    """A running machine (see the class), for each of the chosen ones and fresh for each test file; EXACT there asks for an exact one."""
    name, exact = request.param, getattr(request.module, "EXACT", False)
    machine = Machine(name, cache.ensure(name), tmp_path_factory.mktemp(name) / "console", exact=exact)
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


@pytest.fixture(scope="module")
def on_machine(machine, repo):
    """See OnMachine."""
    return OnMachine(machine, repo)


@pytest.fixture(scope="module")
def on_host(on_machine):
    """Run a case of on_host.py on the machine: what tests/integration runs on this one."""
    return lambda *arguments, within=(): on_machine.run(ON_HOST, *arguments, within=within)


@pytest.fixture(scope="module")
def inventory(machine, tmp_path_factory):
    """An inventory file of the machine alone, under the name target."""
    path = tmp_path_factory.mktemp("inventory") / "inventory.yml"
    path.write_text(yaml.safe_dump({"all": {"hosts": {"target": machine.variables()}}}))
    return path


@pytest.fixture(scope="module")
def built(machine, on_machine, repo):
    """The kernel modules, built on the machine before any test. Returns their files by name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(repo / "kmods", "kmods")
    done = machine.run(f"tar -xf - -C /root && make -C {BUILT} 2>&1", archive.getvalue())
    assert done.returncode == 0, done.stdout.decode()
    return {name: f"{BUILT}/{name}/{name}.ko" for name in MODULES}
