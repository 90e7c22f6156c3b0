# SPDX-License-Identifier: GPL-3.0-or-later
"""The report's scripts: linted, formatted, and their unit tests by Node's own runner."""

import re
import subprocess
from pathlib import Path

import pytest

LINE_CHARS = 120
OWN = ("roles/report/files/", "tests/js/")
CONFIG = "tests/js/eslint.config.mjs"


@pytest.fixture(scope="module")
def scripts(files):
    """The project's own scripts, as paths relative to the root."""
    found = [str(name) for name in files if name.suffix in (".js", ".mjs") and "vendor" not in name.parts]
    assert found
    assert [name for name in found if not name.startswith(OWN)] == []
    return found


@pytest.fixture(scope="module")
def run(repo):
    """``run(command…)`` in the root of the project; it must succeed. Returns what it printed."""

    def start(*command):
        done = subprocess.run(command, cwd=repo, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, done.stdout
        return done.stdout

    return start


def tool(repo, name):
    """Return the path of a tool that make test-needs installs."""
    path = repo / ".cache" / "node" / "node_modules" / ".bin" / name
    assert path.exists(), f"{name} is missing: make test-needs installs it"
    return str(path)


def test_eslint(repo, scripts, run):
    run(tool(repo, "eslint"), "--config", CONFIG, "--max-warnings", "0", "--no-warn-ignored", *scripts)


def test_prettier(repo, scripts, run):
    run(tool(repo, "prettier"), "--config", "tests/js/.prettierrc.json", "--check", *scripts)


def test_scripts_name_their_licence_and_have_short_lines(repo, scripts):
    texts = {name: (repo / name).read_text(encoding="utf-8").splitlines() for name in scripts}
    assert [name for name, lines in texts.items() if "SPDX-License-Identifier: GPL-3.0-or-later" not in lines[0]] == []
    assert [f"{name}: {line}" for name, lines in texts.items() for line in lines if len(line) > LINE_CHARS] == []


def test_unit_tests_of_scripts(repo, run):
    tests = sorted(str(path.relative_to(repo)) for path in (repo / "tests" / "js").glob("*.test.mjs"))
    assert tests
    tool(repo, "eslint")  # the tests need what is installed with it
    printed = run("node", "--test", "--test-reporter", "tap", *tests)
    counts = {name: int(count) for name, count in re.findall(r"^# (tests|pass|fail|skipped|todo) (\d+)$", printed, re.M)}
    assert counts["tests"] == counts["pass"] > 50
    written = sum(len(re.findall(r"^test\(", (repo / name).read_text(encoding="utf-8"), re.M)) for name in tests)
    assert counts["tests"] >= written


def test_no_script_is_imported_from_outside(repo, scripts):
    """The page loads nothing: its scripts import each other alone."""
    own = [name for name in scripts if name.startswith(OWN[0])]
    imports = [(name, target) for name in own for target in re.findall(r"from '([^']+)'", (repo / name).read_text(encoding="utf-8"))]
    assert imports
    assert [f"{name}: {target}" for name, target in imports if not (repo / Path(name).parent / target).resolve().is_file()] == []
