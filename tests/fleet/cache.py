# SPDX-License-Identifier: GPL-3.0-or-later
"""The images in .cache/fleet, one folder a machine; a changed entry of releases.yml makes a new one of its own."""

import fcntl
import hashlib
import inspect
import json
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

import yaml

from . import image, tree

FLEET = Path(__file__).resolve().parents[2] / ".cache" / "fleet"
RELEASES = Path(__file__).with_name("releases.yml")


def releases():
    """Return {name of a machine: its entry in releases.yml}."""
    return yaml.safe_load(RELEASES.read_text())


def _key(name, release):
    """Return what changes whenever the machine would be built otherwise."""
    recipe = [json.dumps([name, release], sort_keys=True), inspect.getsource(tree), inspect.getsource(image)]
    return hashlib.sha256("".join(recipe).encode()).hexdigest()[:12]


@contextmanager
def _locked(name):
    (FLEET / "images").mkdir(parents=True, exist_ok=True)
    with open(FLEET / "images" / (name + ".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name, release, folder):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "fleet", "-f", str(folder / "key")], check=True)
    tree_folder = folder / "tree"
    tree.install(name, release, tree_folder)
    tree.configure(name, (folder / "key.pub").read_text(), tree_folder)
    image.build(tree_folder, folder)
    host_key = (tree_folder / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    (folder / "known_hosts").write_text("%s %s" % (name, host_key))


def ensure(name):
    """Return the folder of the machine's image, with disk.img, vmlinuz, initramfs, key, known_hosts and tree; built if need be.

    Raises KeyError (no such machine), TreeFailed (its packages cannot be installed; the text says why) and CalledProcessError (another
    tool failed and has said why on standard error).
    """
    release = releases()[name]
    folder = FLEET / "images" / name / _key(name, release)
    with _locked(name):
        if not folder.is_dir():
            # Half-built ones, and those of an older recipe.
            shutil.rmtree(folder.parent, ignore_errors=True)
            folder.parent.mkdir(parents=True)
            print("fleet: building %s, which takes some minutes ..." % name, flush=True)
            building = Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
            _build(name, release, building)
            building.rename(folder)
    return folder


def build_modules(name, sources):
    """Build the kernel modules in a folder of sources (as kmods) in place: for the machine's kernel, by its compiler, without emulation.

    Raises CalledProcessError; its output says why.
    """
    # In a mount namespace of its own: no mount stays in the tree, whatever ends the build.
    tree_folder = ensure(name) / "tree"
    (release,) = (path.name for path in (tree_folder / "lib/modules").iterdir())
    script = 'mount -t proc proc "$1/proc" && mount --bind "$2" "$1/mnt" && exec chroot "$1" make -C /mnt "KDIR=$3"'
    arguments = [str(tree_folder), str(sources), f"/lib/modules/{release}/build"]
    command = ["unshare", "--mount", "sh", "-c", script, "sh", *arguments]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=True)


def clean():
    """Remove all images."""
    for folder in (FLEET / "images").glob("*"):
        if folder.is_dir():
            with _locked(folder.name):
                shutil.rmtree(folder)
