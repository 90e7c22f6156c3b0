# SPDX-License-Identifier: GPL-3.0-or-later
"""A host whose sudo refuses to run without a terminal: Defaults requiretty, with pipelining and without."""

import contextlib
import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from .place import wait_for

pytestmark = pytest.mark.usefixtures("root")

REFUSED = "sorry, you must have a tty to run sudo"
REMEDY = "set ansible_pipelining: false"


def run(*command):
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


@contextlib.contextmanager
def account(name):
    """An account that may use sudo only on a terminal. Yields its home; nothing of it stays."""
    home, drop_in = Path(f"/var/tmp/{name}"), Path(f"/etc/sudoers.d/{name}")
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.callback(subprocess.run, ["userdel", name], capture_output=True, check=False)
        run("useradd", "--create-home", "--home-dir", home, "--shell", "/bin/sh", "--password", "*", name)
        stack.callback(drop_in.unlink, missing_ok=True)
        text = f"Defaults:{name} requiretty\n{name} ALL=(root) NOPASSWD: ALL\n"
        checked = home / "sudoers"
        checked.write_text(text)
        run("visudo", "-cf", checked)  # before it is in force: a wrong file would end sudo on this machine
        descriptor = os.open(drop_in, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o440)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        yield home


@contextlib.contextmanager
def ssh_server(folder, name, home):
    """An OpenSSH server for this account alone. Yields (port, private key)."""
    for key in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / key)
    allowed = home / "authorized_keys"
    shutil.copy(folder / "user.pub", allowed)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = (
        f"Port {port}", "ListenAddress 127.0.0.1", f"HostKey {folder}/host", f"AuthorizedKeysFile {allowed}", f"AllowUsers {name}",
        "PidFile none", "UsePAM no", "StrictModes no", "PasswordAuthentication no", "Subsystem sftp internal-sftp",
    )  # fmt: skip
    (folder / "config").write_text("".join(f"{line}\n" for line in lines))
    separation = Path("/run/sshd")
    made = not separation.is_dir()
    separation.mkdir(mode=0o755, exist_ok=True)
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "config"], stderr=subprocess.PIPE, text=True)
    try:
        assert "listening" in server.stderr.readline()
        yield port, folder / "user"
    finally:
        server.terminate()
        server.communicate()
        if made:
            separation.rmdir()


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """Variables of a host that refuses sudo without a terminal."""
    name = f"ksysak-tty-{os.getpid()}"
    with account(name) as home:
        with ssh_server(tmp_path_factory.mktemp("ssh"), name, home) as (port, key):
            yield {
                "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": port, "ansible_user": name,
                "ansible_ssh_private_key_file": str(key), "ansible_ssh_args": "-o ControlMaster=no",
                "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o IdentitiesOnly=yes",
                "ansible_python_interpreter": sys.executable if os.access(sys.executable, os.X_OK) else "/usr/bin/python3",
            }  # fmt: skip
        # its processes, which userdel would trip over, have ended with their connections
        uid = pwd.getpwnam(name).pw_uid
        wait_for(lambda: not [pid for pid in Path("/proc").glob("[0-9]*") if _owner(pid) == uid])
    assert not home.exists() and not Path(f"/etc/sudoers.d/{name}").exists()
    with pytest.raises(KeyError):
        pwd.getpwnam(name)


def _owner(process):
    try:
        return process.stat().st_uid
    except OSError:  # it has ended
        return None


@pytest.fixture
def play(ansible, host, tmp_path):
    """Runs a playbook of the collection on that host."""

    def played(playbook, pipelining, *args, **variables):
        inventory, results = tmp_path / "hosts.json", tmp_path / "results"
        inventory.write_text(json.dumps({"all": {"hosts": {"web1": {**host, "ansible_pipelining": pipelining}}}}))
        more = {"ksysak_results": str(results), "ksysak_duration": 1, "ksysak_probes": ["host_health", "memory"], **variables}
        done = ansible.playbook(
            f"ksysak.fleet.{playbook}", "-i", inventory, "-e", json.dumps(more), *args, HOME=tmp_path, ANSIBLE_HOST_KEY_CHECKING="false"
        )
        documents = [json.loads(path.read_text()) for path in results.glob("*/hosts/*.json")]
        return done, documents[0] if documents else None

    return played


@pytest.mark.parametrize("pipelining", [False, True])
def test_a_host_that_requires_a_terminal_is_scanned(play, pipelining):
    done, document = play("scan", pipelining)
    assert (done.returncode, document["state"], document["reason"]) == (0, "scanned", ""), done.stdout + done.stderr
    assert {probe["status"] for probe in document["probes"].values()} <= {"ok", "degraded"}
    # what had to be changed for it is said, with the remedy; and only then
    assert (REMEDY in done.stdout) == pipelining


@pytest.mark.parametrize("pipelining", [False, True])
def test_check_mode_names_reason_and_remedy(play, pipelining):
    done, document = play("scan", pipelining, "--check")
    assert document is None
    assert (REFUSED in done.stdout and REMEDY in done.stdout) == pipelining, done.stdout + done.stderr
    assert ("host_health" in done.stdout.partition("status")[2]) != pipelining
