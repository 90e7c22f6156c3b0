# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.fleet.lockup SOURCE: lock a CPU up with interrupts off, and keep what the kernel printed.

Distributions' kernels find that with a performance counter, which an emulated machine has not. So this builds a small kernel whose CPUs
watch each other (CONFIG_HARDLOCKUP_DETECTOR_BUDDY), from SOURCE: an unpacked kernel source, 6.5 or later, as of the package
linux-source-6.12. Its own dump test module (drivers/misc/lkdtm) locks the CPU up. Writes tests/unit/kernel_log/made/buddy.json; some ten
minutes. Needs what a kernel needs to be built (flex, bison, bc, libelf-dev) besides the needs of the fleet.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .logs import MADE

OPTIONS = """
64BIT SMP PRINTK PRINTK_TIME TTY SERIAL_8250 SERIAL_8250_CONSOLE BLK_DEV_INITRD RD_GZIP BINFMT_ELF BINFMT_SCRIPT PROC_FS SYSFS DEVTMPFS
DEBUG_KERNEL DEBUG_FS KALLSYMS BUG UNWINDER_ORC HARDLOCKUP_DETECTOR HARDLOCKUP_DETECTOR_PREFER_BUDDY SOFTLOCKUP_DETECTOR LKDTM
RUNTIME_TESTING_MENU MULTIUSER FUTEX PCI ACPI HIGH_RES_TIMERS SYSCTL PROC_SYSCTL
"""
INIT = """#!/bin/sh
mount -t proc none /proc; mount -t sysfs none /sys; mount -t debugfs none /sys/kernel/debug; mount -t devtmpfs none /dev
echo 5 > /proc/sys/kernel/watchdog_thresh
echo MARK
taskset 2 sh -c 'echo HARDLOCKUP > /sys/kernel/debug/provoke-crash/DIRECT' &
sleep 60
"""
MARK = "ksy_provoke: begin"
END = "</TASK>"  # of the stack of the CPU that is locked up
EXPECTED = {"kind": "hard_lockup", "culprit": "lkdtm_HARDLOCKUP", "details": {"cpu": 1}}


def build(source, folder):
    """Build the kernel out of the source's tree; returns its file and its release."""
    make = ["make", "-s", "-C", source, "O=%s" % folder, "-j%d" % (os.cpu_count() or 1)]
    subprocess.run([*make, "tinyconfig"], check=True)
    with open(Path(folder, ".config"), "a") as config:
        config.writelines("CONFIG_%s=y\n" % option for option in OPTIONS.split())
    subprocess.run([*make, "olddefconfig"], check=True)
    subprocess.run([*make, "bzImage"], check=True)
    release = subprocess.run([*make, "kernelrelease"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return Path(folder, "arch/x86/boot/bzImage"), release


def initramfs(folder):
    """Make the file system that the kernel starts with; returns its file."""
    root = Path(folder, "root")
    for name in ("bin", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    subprocess.run(["cp", "/bin/busybox", root / "bin"], check=True)
    for name in ("sh", "mount", "sleep", "taskset"):
        (root / "bin" / name).symlink_to("busybox")
    (root / "init").write_text(INIT.replace("MARK", MARK))
    (root / "init").chmod(0o755)
    listed = "\n".join(str(path.relative_to(root)) for path in root.rglob("*"))
    packed = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=root, input=listed.encode(), stdout=subprocess.PIPE, check=True)
    Path(folder, "initramfs").write_bytes(gzip.compress(packed.stdout))
    return Path(folder, "initramfs")


def locked_up(kernel, ramdisk):
    """Start the machine, which ends itself after a minute; returns the lines of the lockup."""
    command = ["qemu-system-x86_64", "-accel", "tcg", "-smp", "2", "-m", "256", "-nodefaults", "-display", "none", "-no-reboot"]
    command += ["-kernel", str(kernel), "-initrd", str(ramdisk), "-append", "console=ttyS0 panic=-1", "-serial", "stdio"]
    lines = []
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as machine:
        for line in machine.stdout:
            lines.append(line.rstrip("\r\n"))
            if END in line:
                break
        else:
            raise SystemExit("no lockup was found:\n" + "\n".join(lines[-20:]))
        machine.kill()
    return lines[lines.index(MARK) + 1 :]


def main(source):
    with tempfile.TemporaryDirectory() as folder:
        kernel, release = build(source, folder)
        lines = locked_up(kernel, initramfs(folder))
    made = {"kernel": release, "logs": [{"name": "hard_lockup", "expected": [EXPECTED], "lines": lines}]}
    Path(MADE, "buddy.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
