# SPDX-License-Identifier: GPL-3.0-or-later
"""One machine under software emulation: start, wait until it answers, run a command, stop."""

import json
import os
import re
import shlex
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

MEMORY_MIB, CPUS = 1536, 2
BOOT_LIMIT_S = 900  # only a safety net: the machine says when it is ready
KERNEL_ARGUMENTS = "console=ttyS0 quiet panic=-1 root=/dev/vda rw net.ifnames=0 mitigations=off tsc=reliable audit=0 apparmor=0 selinux=0"


class MachineFailed(Exception):
    """The machine ended, or never answered; the text has the end of its console."""


def _qmp(monitor, command, **arguments):
    """One command of the machine protocol; returns what QEMU answers."""
    monitor.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
    monitor.flush()
    for line in monitor:
        answer = json.loads(line)
        if "return" in answer:
            return answer["return"]
        if "error" in answer:
            raise MachineFailed("QEMU refused %s: %s" % (command, answer["error"]["desc"]))
    raise MachineFailed("QEMU ended")


# What setpriv runs: QEMU, unless its parent died before setpriv could tie it to that.
WITH_PARENT = '[ "$PPID" = "$0" ] && exec "$@"'


class Machine:
    """A machine of an image folder (see cache.ensure). Attributes: name, folder, console (path), process, port, boot_s.

    It ends with the process that started it, whatever happens to that; with outlive=True it stays.
    exact: one CPU whose clock counts its own instructions (500 million are a second), so that an emulator that is late, or not given the
    CPU, is nothing the machine could see: no tick is lost, and what lasts a millisecond does so.
    memory_mib: of the machine.
    Raises MachineFailed when it cannot even begin to start.
    """

    def __init__(self, name, folder, console, outlive=False, exact=False, memory_mib=MEMORY_MIB):
        self.name, self.folder, self.console, self.exact = name, Path(folder), Path(console), exact
        self._memory_mib = memory_mib
        self.boot_s, self._began_s, self._orders = None, time.monotonic(), None
        # Ends of socket pairs instead of paths or ports: nothing to choose, to collide with, or to leave behind.
        self._ready, qemu_ready = socket.socketpair()
        self._monitor, qemu_monitor = socket.socketpair()
        with qemu_ready, qemu_monitor, open(self.console, "wb") as log:
            command = self._command(qemu_ready.fileno(), qemu_monitor.fileno())
            if not outlive:
                command = ["setpriv", "--pdeathsig", "KILL", "sh", "-c", WITH_PARENT, str(os.getpid()), *command]
            files = (qemu_ready.fileno(), qemu_monitor.fileno())
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=files, start_new_session=True
            )
        with self._or_stop():
            self.port = self._forwarded_port()

    def _command(self, ready, monitor):
        files = {name: self.folder / name for name in ("disk.img", "vmlinuz", "initramfs")}
        # One thread for all CPUs: with a thread each, QEMU before 8.1 may run the breakpoint of a tracepoint that is just being switched
        # after it is gone, and the kernel panics ("Oops: int3"). Nehalem: a third faster than max, whose AVX and LA57 are slow to emulate.
        command = ["qemu-system-x86_64", "-name", self.name, "-accel", "tcg,thread=single,tb-size=512", "-cpu", "Nehalem"]
        command += ["-smp", "1", "-icount", "shift=1"] if self.exact else ["-smp", str(CPUS)]
        command += ["-m", str(self._memory_mib), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
        command += ["-kernel", str(files["vmlinuz"]), "-initrd", str(files["initramfs"]), "-append", KERNEL_ARGUMENTS]
        # snapshot: what the machine writes goes to a file that has no name and ends with it.
        command += ["-drive", "file=%s,if=virtio,format=raw,snapshot=on,cache=unsafe" % str(files["disk.img"]).replace(",", ",,")]
        # Port 0: the kernel chooses a free one. restrict: the machine reaches nobody.
        command += ["-netdev", "user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:0-:22", "-device", "virtio-net-pci,netdev=net"]
        command += ["-device", "virtio-rng-pci", "-serial", "stdio"]
        command += ["-chardev", "socket,id=ready,fd=%d" % ready, "-serial", "chardev:ready"]
        command += ["-chardev", "socket,id=monitor,fd=%d" % monitor, "-mon", "chardev=monitor,mode=control"]
        return command

    @contextmanager
    def _or_stop(self):
        """End the machine on any error; one of its own becomes a MachineFailed that shows the console."""
        try:
            yield
        except (OSError, MachineFailed) as error:
            self.stop()
            tail = self.console.read_text(errors="replace")[-3000:]
            raise MachineFailed("%s did not start: %s. The end of %s:\n%s" % (self.name, error, self.console, tail))
        except BaseException:
            self.stop()
            raise

    def _forwarded_port(self):
        self._monitor.settimeout(BOOT_LIMIT_S)
        self._orders = self._monitor.makefile("rw")
        self._orders.readline()  # the greeting
        _qmp(self._orders, "qmp_capabilities")
        return int(re.search(r"TCP\[HOST_FORWARD\]\s+\S+\s+\S+\s+(\d+)", self.monitor("info usernet")).group(1))

    def monitor(self, command):
        """Give a command to QEMU's monitor for people; returns what it prints."""
        return _qmp(self._orders, "human-monitor-command", **{"command-line": command})

    def wait(self):
        """Wait until the machine answers; returns itself. Raises MachineFailed."""
        with self._or_stop():
            self._ready.settimeout(BOOT_LIMIT_S)
            said = b""
            while not said.endswith(b"\n"):
                part = self._ready.recv(1)
                if not part:
                    raise MachineFailed("it ended")
                said += part
        self.boot_s = time.monotonic() - self._began_s
        return self

    def reboot(self):
        """Have the machine start anew, as its administrator would, and wait until it answers."""
        self._began_s = time.monotonic()
        _qmp(self._orders, "set-action", reboot="reset")
        self.run("systemctl reboot")
        self.wait()
        _qmp(self._orders, "set-action", reboot="shutdown")

    def stop(self):
        """End the machine at once."""
        self.process.kill()
        self.process.wait()
        self._ready.close()
        self._monitor.close()
        if self._orders:
            self._orders.close()

    def variables(self):
        """Return the machine's variables for an inventory."""
        options = ["UserKnownHostsFile=%s" % (self.folder / "known_hosts"), "HostKeyAlias=" + self.name]
        options += ["StrictHostKeyChecking=yes", "IdentitiesOnly=yes"]
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_common_args": " ".join("-o " + shlex.quote(option) for option in options),
            "ansible_python_interpreter": "/usr/bin/python3",
        }

    def command(self, command):
        """Return the argument list that runs a shell command on the machine over SSH."""
        variables = self.variables()
        ssh = ["ssh", "-F", "none", "-p", str(self.port), "-i", variables["ansible_ssh_private_key_file"], "-o", "BatchMode=yes"]
        return [*ssh, *shlex.split(variables["ansible_ssh_common_args"]), "root@127.0.0.1", command]

    def run(self, command, data=b""):
        """Run a shell command on the machine with these bytes as standard input; returns a CompletedProcess with bytes."""
        return subprocess.run(self.command(command), input=data, capture_output=True, check=False)
