# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit tests and a small scan of this machine with every minor release of ansible-core, from the oldest that meta/runtime.yml allows.

    tools/matrix.py --collections FOLDER [--only 2.16 …] [--tests tests/unit/usage …] [--sanity]

pip says which releases there are for which Python. A release gets the oldest Python on PATH or of pyenv that pip allows for it, since
releases name no newest one. Its environment in .cache/matrix is kept for the next time. --sanity runs the sanity tests of that release
too, which takes minutes. Ends with 1 when something failed or no Python here
runs a release.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache" / "matrix"
OLDEST_PYTHON, NEWEST_PYTHON = 10, 15
# What unit tests import, and what the collection needs at run time. Not pinned: old Pythons get the last releases for them.
WANTED = ("capstone", "fastjsonschema", "hypothesis", "jmespath", "lxml", "pytest", "PyYAML")
VERSION = re.compile(r"\b(2\.(\d+)\.(\d+))\b")
QUIET = ("-q", "--disable-pip-version-check")


class EnvironmentMissing(RuntimeError):
    """An environment could not be made. The text says why in a few words."""


class Row(NamedTuple):
    """One line of the table. core: version; python: its version; the rest: what became of it, '' is nothing."""

    core: str
    python: str
    unit: str
    scan: str
    sanity: str
    seconds: float


def pythons() -> list[Path]:
    """Return an interpreter for each minor release of Python 3 that runs here, the oldest first."""
    found: list[Path] = []
    for minor in range(OLDEST_PYTHON, NEWEST_PYTHON + 1):
        root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser() / "versions"
        candidates = [shutil.which(f"python3.{minor}"), *sorted(map(str, root.glob(f"3.{minor}.*/bin/python3")), reverse=True)]
        for candidate in filter(None, candidates):
            # A version manager's shim may be there and not run; a Debian Python may lack what makes environments.
            if run([candidate, "-c", "import ensurepip, pip, venv"]).returncode == 0:
                found.append(Path(candidate))
                break
    return found


def run(command: list[str], timeout: int = 3600, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command without settings of the caller that would change what Ansible or Python do."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ANSIBLE_", "PYTHON", "VIRTUAL_ENV", "MAKE"))}
    return subprocess.run(
        command, cwd=cwd, env={**kept, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", timeout=timeout, check=False,
    )  # fmt: skip


def releases(python: Path) -> dict[int, str]:
    """Return {minor: its newest release} of ansible-core that pip finds for a Python."""
    listed = run([str(python), "-m", "pip", *QUIET[1:], "index", "versions", "ansible-core"]).stdout
    line = next((line for line in listed.splitlines() if line.startswith("Available versions:")), "")
    newest: dict[int, tuple[int, str]] = {}
    for version, minor, patch in VERSION.findall(line):
        newest[int(minor)] = max(newest.get(int(minor), (-1, "")), (int(patch), version))
    return {minor: version for minor, (_patch, version) in newest.items()}


def oldest() -> int:
    """Return the minor release that the collection requires."""
    found = re.search(r'requires_ansible: ">=2\.(\d+)', (ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    assert found, "meta/runtime.yml: requires_ansible"
    return int(found[1])


def environment(core: str, python: Path) -> Path:
    """Return the folder of commands of an environment with this release, which is made if it is missing."""
    folder = CACHE / core
    made = folder / ".made"
    wanted = "\n".join([f"ansible-core=={core}", *WANTED])
    if not made.is_file() or made.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", *QUIET]
        for command in ([str(python), "-m", "venv", str(folder)], [*pip, *wanted.splitlines()]):
            done = run(command)
            if done.returncode:
                print(done.stdout)
                raise EnvironmentMissing(f"failed: {last_line(done.stdout)}")
        made.write_text(wanted)
    return folder / "bin"


def last_line(text: str) -> str:
    """Return the last line that says something, short enough for a table."""
    lines = [line.strip(" =") for line in text.splitlines() if line.strip(" =")]
    return lines[-1][:60] if lines else "no output"


def scan(commands: Path, collections: Path) -> str:
    """Scan this machine with the cheapest probe for a second; return '' or what went wrong."""
    with tempfile.TemporaryDirectory() as results:
        given = f'{{"ksysak_duration": 1, "ksysak_probes": ["host_health"], "ksysak_become": false, "ksysak_results": "{results}"}}'
        done = run(
            [str(commands / "ansible-playbook"), "ksysak.fleet.scan", "-i", "localhost,", "-c", "local", "-e", given,
             "-e", f"ansible_python_interpreter={commands / 'python'}"],
            ANSIBLE_COLLECTIONS_PATH=str(collections), LC_ALL="C.UTF-8",
        )  # fmt: skip
        missing = [name for name in ("report.html", "fleet.json") if not list(Path(results).glob(f"*/{name}"))]
    if done.returncode or missing or "1 scanned" not in done.stdout:
        print(done.stdout)
        return f"failed: rc {done.returncode}{', no ' + ' and '.join(missing) if missing else ''}"
    return ""


def sanity(commands: Path) -> str:
    """Run ansible-test sanity of a release; return what became of it."""
    version = run([str(commands / "python"), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "ansible_collections", "ksysak", "fleet")
        listed = run(["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout
        for name in filter(lambda name: (ROOT / name).is_file(), listed.split("\0")):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, tree / name)
        run(["git", "init", "--quiet", str(tree)])
        # Each release wants another list, and here all are the same. It also looks for Python on PATH: no version manager's shim.
        (ignored,) = (tree / "tests" / "sanity").glob("ignore-*.txt")
        ignored.rename(ignored.with_name(f"ignore-{'.'.join(commands.parent.name.split('.')[:2])}.txt"))
        Path(folder, f"python{version}").symlink_to((commands / "python").resolve())
        _offer_get_pip(commands)
        command = [str(commands / "ansible-test"), "sanity", "--local", "--python", version, "--color", "no"]
        done = run(command, cwd=tree, PATH=f"{folder}:{commands}:{os.environ['PATH']}")
    if done.returncode:
        print("\n".join(line for line in done.stdout.splitlines() if line.startswith(("ERROR", "FATAL"))))
    return "failed" if done.returncode else "passed"


def _offer_get_pip(commands: Path) -> None:
    """Put the stand-in of the gates where ansible-test of this release keeps the script that it would download."""
    (source,) = commands.parent.glob("lib/python3*/site-packages/ansible_test/_internal/python_requirements.py")
    for pip in re.findall(r"pip='([\d.]+)'", source.read_text(encoding="utf-8")):
        kept = Path.home() / ".ansible" / "test" / "cache" / f"get_pip_{pip.replace('.', '_')}.py"
        kept.parent.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            shutil.copy2(ROOT / "tests" / "gates" / "get_pip.py", kept)


def row(core: str, python: Path, collections: Path, paths: list[str], with_sanity: bool) -> Row:
    """Test one release. paths: of the unit tests."""
    begun = time.monotonic()
    version = run([str(python), "-c", "import platform; print(platform.python_version())"]).stdout.strip()
    try:
        commands = environment(core, python)
    except EnvironmentMissing as error:
        return Row(core, version, str(error), "not run", "not run", time.monotonic() - begun)
    tests = run([str(commands / "python"), "-m", "pytest", "-q", *paths])
    if tests.returncode:
        print(tests.stdout)
    unit = last_line(tests.stdout) if tests.returncode == 0 else f"failed: {last_line(tests.stdout)}"
    made = scan(commands, collections) or "report made"
    return Row(core, version, unit, made, sanity(commands) if with_sanity else "not run", time.monotonic() - begun)


def main() -> int:
    """Print the table, a line at a time. Returns the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--collections", type=Path, required=True, help="folder with the built and installed collection")
    parser.add_argument("--only", nargs="*", default=[], help="releases, as 2.16")
    parser.add_argument("--tests", nargs="*", default=["tests/unit"], help="files or folders of unit tests")
    parser.add_argument("--sanity", action="store_true", help="run the sanity tests too")
    given = parser.parse_args()
    chosen: dict[int, tuple[str, Path]] = {}
    for python in pythons():
        for minor, core in releases(python).items():
            if minor not in chosen or int(core.rpartition(".")[2]) > int(chosen[minor][0].rpartition(".")[2]):
                chosen[minor] = (core, python)
    if not chosen:
        print("pip finds no release of ansible-core for any Python here")
        return 1
    wrong = False
    print(f"{'ansible-core':13} {'Python':8} {'scan':28} {'sanity':8} unit tests")
    for minor in range(oldest(), max(chosen) + 1):
        if given.only and f"2.{minor}" not in given.only:
            continue
        if minor not in chosen:
            print(f"2.{minor:<11} no Python here runs it", flush=True)
            wrong = True
            continue
        made = row(*chosen[minor], given.collections.resolve(), given.tests, given.sanity)
        wrong |= "failed" in made.scan or made.sanity == "failed" or made.unit.startswith("failed")
        print(f"{made.core:13} {made.python:8} {made.scan:28} {made.sanity:8} {made.unit} ({made.seconds:.0f} s)", flush=True)
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
