# SPDX-License-Identifier: GPL-3.0-or-later
"""A place of its own for the run of a playbook: what it leaves behind can be told from all the rest."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate

LOCAL = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
GONE = {"ansible_host": "127.0.0.1", "ansible_port": 1}  # nobody listens there
WAIT_S = 300  # only a safety net: no test depends on it


def wait_for(what):
    """Return the first truthy answer of what()."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        answer = what()
        if answer:
            return answer
        time.sleep(0.05)
    pytest.fail("waited in vain", pytrace=True)


class Place:
    """A home folder and a results folder of its own: what a run leaves behind can be told from all the rest."""

    def __init__(self, folder, ansible, repo):
        self.ansible, self.repo = ansible, repo
        self.home, self.results = folder / "home", folder / "results"
        self.home.mkdir()
        self.inventory = folder / "hosts.json"
        self.own = {"HOME": self.home, "ANSIBLE_REMOTE_TMP": self.home / ".ansible/tmp"}

    def variables(self, **variables):
        return json.dumps({"ksysak_results": str(self.results), "ksysak_duration": 1, **variables})

    def command(self, playbook, hosts, *args, **variables):
        self.inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
        return ["ksysak.fleet." + playbook, "-i", self.inventory, "-e", self.variables(**variables), *args]

    def play(self, playbook, hosts, *args, **variables):
        return self.ansible.playbook(*self.command(playbook, hosts, *args, **variables), **self.own)

    def env(self):
        return {**os.environ, **{name: str(value) for name, value in {**self.ansible.env, **self.own}.items()}}

    def start(self, playbook, hosts, **variables):
        command = [self.ansible.bin_dir / "ansible-playbook", *self.command(playbook, hosts, **variables)]
        return subprocess.Popen(command, env=self.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def tool(self, *args):
        """The command line of tools/scan for this machine."""
        return [sys.executable, self.repo / "tools/scan", "--results", self.results, *args]

    def documents(self):
        """Return the scan document and {host: host document}, all of them valid."""
        (scan_file,) = self.results.glob("*/scan.json")
        documents = [json.loads(path.read_text()) for path in [scan_file, *scan_file.parent.glob("hosts/*")]]
        for document in documents:
            validate(document)
        return documents[0], {document["host"]: document for document in documents[1:]}

    def job_files(self):
        return list(self.home.glob(".ansible_async*/j*"))

    def processes(self):
        """Return {pid: command line} of what runs with this home, whoever started it."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if b"HOME=%s\0" % os.fsencode(self.home) in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:  # it has ended
                continue
        return found

    def scan_runs(self):
        """Return whether a scan has begun on this machine."""
        return self.job_files() and [line for line in self.processes().values() if "AnsiballZ_scan" in line and "async_wrapper" not in line]

    def assert_nothing_left(self):
        assert not list(self.home.glob(".ansible_async*"))
        wait_for(lambda: not self.processes())  # Ansible's own wrapper looks for the end of its job every 5 s
        assert not [path for path in self.home.rglob("*") if path.is_file()]
