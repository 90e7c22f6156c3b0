# SPDX-License-Identifier: GPL-3.0-or-later
"""Tests do not meet what else runs on this machine."""

import json
import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("root")

LISTEN = """if True:
    import socket, sys
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind("\\0ksysak.fleet/scan")
        listener.listen()
    except OSError:
        pass  # somebody's own scan runs there, which is as good
    print("there", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def scan(ansible, system_python):
    """Scan this machine for a second; `within` is a command to run Ansible under. Returns its CompletedProcess."""

    def run(*within):
        options = {"scan_id": "apart", "duration": 1, "probes": ["os_exceptions"], "probe_options": {}}
        variables = {"ansible_connection": "local", "ansible_python_interpreter": system_python}
        command = [ansible.bin_dir / "ansible", "here", "-i", "here,", "-m", "ksysak.fleet.scan", "-a", json.dumps(options)]
        command = [*within, *command, "-e", json.dumps(variables)]
        env = {**os.environ, **ansible.env}
        return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)

    return run


def test_a_scan_of_somebody_else_is_not_in_the_way(scan, network_of_the_host):
    there = ["nsenter", "--net=%s" % network_of_the_host]
    with subprocess.Popen([*there, sys.executable, "-c", LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "there\n"
        refused = scan(*there)
        done = scan()
        other.stdin.close()
    assert refused.returncode != 0 and "another scan is running on this host" in refused.stdout, refused.stdout + refused.stderr
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_files_own_network_has_loopback():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        pass
