# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine starts from: a disk image made of its tree, its kernel, and an initramfs that does nothing but mount the disk."""

import lzma
import shutil
import subprocess
from pathlib import Path

SIZE_BYTES = 6 << 30  # sparse: takes what its files take
MODULES = ["virtio_pci", "virtio_blk", "virtio_net", "ext4"]

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done < /modules/order
/bin/busybox mount -t ext4 /dev/vda /root
exec /bin/busybox switch_root /root /sbin/init
"""


def _modules(tree):
    """Return the paths of MODULES and of what they need, in the order of loading."""
    (version,) = (path.name for path in Path(tree, "lib/modules").iterdir())
    paths = []
    for module in MODULES:
        command = ["chroot", str(tree), "modprobe", "--set-version", version, "--show-depends", module]
        for line in subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
            kind, path = line.split()[:2]
            if kind == "insmod" and path not in paths:
                paths.append(path)
    return [Path(tree, path.lstrip("/")) for path in paths]


def _initramfs(tree, work, target):
    for name in ("bin", "dev", "modules", "root"):
        Path(work, name).mkdir(parents=True)
    shutil.copy(shutil.which("busybox"), Path(work, "bin/busybox"))
    Path(work, "init").write_text(INIT)
    Path(work, "init").chmod(0o755)
    order = []
    for path in _modules(tree):
        name = path.name.removesuffix(".xz")
        with (open if path.name == name else lzma.open)(path, "rb") as source:
            Path(work, "modules", name).write_bytes(source.read())
        order.append(name + "\n")
    Path(work, "modules/order").write_text("".join(order))
    files = "\n".join(["."] + [str(path.relative_to(work)) for path in sorted(Path(work).rglob("*"))])
    with open(target, "wb") as archive:
        command = ["cpio", "--quiet", "--create", "--format=newc", "--owner=0:0"]
        subprocess.run(command, cwd=work, input=files.encode(), stdout=archive, check=True)


def build(tree, folder):
    """Write disk.img, vmlinuz and initramfs of the tree into the folder (root only)."""
    (kernel,) = Path(tree, "boot").glob("vmlinuz-*")
    shutil.copy(kernel, Path(folder, "vmlinuz"))
    work = Path(folder, "initramfs.d")
    _initramfs(tree, work, Path(folder, "initramfs"))
    shutil.rmtree(work)
    disk = Path(folder, "disk.img")
    with open(disk, "wb") as file:
        file.truncate(SIZE_BYTES)
    # Every boot is of a fresh copy: what guards a disk against a crash would only cost time.
    command = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-m", "0", "-d", str(tree), str(disk)]
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True)
