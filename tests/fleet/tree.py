# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a machine: a Debian tree of packages, and the little configuration that makes it a server of the fleet."""

import os
import subprocess
from pathlib import Path

PACKAGES = ["gcc", "iproute2", "kmod", "make", "openssh-server", "python3", "systemd-sysv", "udev"]
TAIL_LINES = 20  # of mmdebstrap's output in an error: apt's reason is among the last
# What no machine reads: a third of its disk.
LEFT_OUT = ["/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*"]
LEFT_OUT += ["/*lib/modules/*/kernel/%s/*" % kind for kind in ("drivers/gpu", "drivers/media", "drivers/net/wireless", "sound")]

# Nothing may run on the machine by itself while a test measures, and nothing waits for hardware that is not there.
MASKED = [
    *("%s.timer" % name for name in ("apt-daily", "apt-daily-upgrade", "dpkg-db-backup", "e2scrub_all", "fstrim", "man-db")),
    *("%s.service" % name for name in ("e2scrub_reap", "getty@tty1", "getty-static", "serial-getty@ttyS0", "systemd-timesyncd")),
    "systemd-tmpfiles-clean.timer",
]
ENABLED = ["fleet-network.service", "fleet-ready.service"]
LINKS = {
    "default.target": "/lib/systemd/system/multi-user.target",
    **{name: "/dev/null" for name in MASKED},
    **{"multi-user.target.wants/" + name: "/etc/systemd/system/" + name for name in ENABLED},
}

UNIT = "[Unit]\n%s\n[Service]\nType=oneshot\n%s\n[Install]\nWantedBy=multi-user.target\n"
FILES = {
    "etc/ssh/sshd_config.d/fleet.conf": "HostKey /etc/ssh/ssh_host_ed25519_key\n",
    # Commands over SSH run in its control group. systemd would end the service when the kernel kills one of them for want of memory.
    "etc/systemd/system/ssh.service.d/fleet.conf": "[Service]\nOOMPolicy=continue\n",
    "etc/systemd/journald.conf.d/fleet.conf": "[Journal]\nStorage=volatile\n",
    # The network that QEMU's user mode always has; a network manager would take half of the boot.
    "etc/systemd/system/fleet-network.service": UNIT
    % ("Before=network.target", "ExecStart=ip address add 10.0.2.15/24 dev eth0\nExecStart=ip link set eth0 up"),
    # The second serial line tells who started the machine that it answers.
    "etc/systemd/system/fleet-ready.service": UNIT
    % ("After=fleet-network.service ssh.service\nRequires=ssh.service", "ExecStart=sh -c 'echo ready > /dev/ttyS1'"),
}


def mirror(name):
    """Return the Debian mirror for the machine of this name: the environment's choice, or the one of this system."""
    variable = "FLEET_MIRROR_" + name.upper().replace("-", "_")
    if variable in os.environ:
        return os.environ[variable]
    sites = subprocess.run(["apt-get", "indextargets", "--format", "$(SITE)"], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    for site in sites:
        if "security" not in site:
            return site
    raise LookupError("apt knows no mirror: set %s" % variable)


class TreeFailed(Exception):
    """The packages could not be installed; the text has the end of what mmdebstrap printed."""


def install(name, release, tree):
    """Write the tree of the machine's packages into the folder `tree` (root only). Raises TreeFailed."""
    # In a mount namespace of its own: whatever ends it, no mount stays in a tree that somebody will remove.
    command = ["unshare", "--mount", "mmdebstrap", "--mode=root", "--variant=apt", "--dpkgopt=force-unsafe-io"]
    command += ["--dpkgopt=path-exclude=" + path for path in LEFT_OUT]
    command += ['--aptopt=%s "%s"' % tuple(option.split("=", 1)) for option in release.get("apt", [])]
    command += ["--include=" + package for package in [release["kernel"], release["headers"], release["bcc"], *PACKAGES]]
    command += [release["suites"][0], str(tree)]
    command += ["deb %s %s main" % (mirror(name), suite) for suite in release["suites"]]
    # INITRD: the machine starts from an initramfs of our own, so its packages need not make one.
    env = {**os.environ, "INITRD": "No", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        tail = "\n".join(done.stdout.decode(errors="replace").splitlines()[-TAIL_LINES:])
        raise TreeFailed("%s: mmdebstrap ended with %d. The end of its output:\n%s" % (name, done.returncode, tail))


def configure(name, public_key, tree):
    """Make the tree the machine of this name, where the key may log in."""
    files = {**FILES, "etc/hostname": name + "\n", "etc/hosts": "127.0.0.1 localhost %s\n" % name, "root/.ssh/authorized_keys": public_key}
    for path, text in files.items():
        path = Path(tree, path)
        path.parent.mkdir(mode=0o700 if path.parent.name == ".ssh" else 0o755, parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in LINKS.items():
        Path(tree, "etc/systemd/system", name).unlink(missing_ok=True)
        Path(tree, "etc/systemd/system", name).symlink_to(target)
