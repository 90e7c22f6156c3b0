# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection against the rules of Ansible: lint, sanity, documentation, metadata, what is shipped."""

import json
import os
import subprocess
import sys
import tarfile
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.module_utils._core.version import VERSION

# Under these, everything is needed at run time; the rest is what a user reads.
RUN_TIME = ("kmods", "meta", "playbooks", "plugins", "roles")
READ = ("docs", "LICENSES")
PAGES = {"README.md", "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "COPYING"}
SINGLE = PAGES | {"REUSE.toml", "changelogs/config.yaml", "changelogs/changelog.yaml"}


def test_ansible_lint(tree, tool):
    tool("ansible-lint", "--profile", "production", "--offline", "--strict", cwd=tree, ANSIBLE_COLLECTIONS_PATH=tree.parents[2])


def test_ansible_test_sanity(tree, tool, tmp_path):
    """Every sanity test of ansible-core, for the controller's Python (for hosts see test_host_python.py)."""
    _offer_get_pip()
    # ansible-test looks for Python on PATH: show it the real one, not a version manager's shim.
    version = "{}.{}".format(*sys.version_info)
    (tmp_path / f"python{version}").symlink_to(os.path.realpath(sys.executable))
    tool("ansible-test", "sanity", "--local", "--python", version, "--color", "no", cwd=tree, PATH=f"{tmp_path}:{os.environ['PATH']}")


def _offer_get_pip():
    """Put our stand-in where ansible-test 2.19 keeps the get-pip script it would download, unless it has one."""
    cached = Path.home() / ".ansible" / "test" / "cache" / "get_pip_24_2.py"
    if not cached.exists():
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.write_text(Path(__file__).with_name("get_pip.py").read_text())


def test_changelog(tree, tool):
    tool("antsibull-changelog", "lint", cwd=tree)


def _names(repo, kind):
    """The names of what the collection offers of a kind of ansible-doc's, from the sources."""
    if kind == "module":
        return sorted(path.stem for path in (repo / "plugins/modules").glob("*.py"))
    if kind == "role":
        return sorted(path.parent.parent.name for path in (repo / "roles").glob("*/meta/main.yml"))
    if kind == "callback":
        return sorted(path.stem for path in (repo / "plugins/callback").glob("*.py"))
    package = "ansible_collections.ksysak.fleet.plugins.filter"
    plugins = [import_module(f"{package}.{path.stem}").FilterModule() for path in (repo / "plugins/filter").glob("*.py")]
    return sorted(name for plugin in plugins for name in plugin.filters())


@pytest.mark.parametrize("kind", ["module", "filter", "callback", "role"])
def test_documentation_renders(repo, ansible, kind):
    """ansible-doc knows every one in the installed collection, and renders it without a warning."""
    names = [f"ksysak.fleet.{name}" for name in _names(repo, kind)]
    assert names
    done = ansible.run("ansible-doc", "--type", kind, *names)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name.upper() in done.stdout.upper() for name in names)
    listed = json.loads(ansible.run("ansible-doc", "--type", kind, "--list", "--json", "ksysak.fleet").stdout)
    assert sorted(listed) == names


def test_lists_of_probes_are_those_that_make_probes_writes(repo):
    done = subprocess.run([repo / "tools/probes", "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_action_group_holds_every_probe(repo):
    runtime = yaml.safe_load((repo / "meta/runtime.yml").read_text())
    modules = {path.stem for path in (repo / "plugins/modules").glob("*.py")}
    probes = sorted(name for name in modules if name.endswith("_facts") or name == "scan")
    assert sorted(name.replace("ksysak.fleet.", "") for name in runtime["action_groups"]["probes"]) == probes


def test_built_collection_holds_what_is_needed_and_nothing_else(files, tree, tool, tmp_path):
    tool("ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=tree)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        shipped = {member.name for member in archive if not member.isdir()}
    wanted = {str(name) for name in files if name.parts[0] in RUN_TIME + READ or str(name) in SINGLE}
    assert shipped == wanted | {"MANIFEST.json", "FILES.json"}


def test_hosts_report_the_version_of_galaxy_yml(repo):
    assert yaml.safe_load((repo / "galaxy.yml").read_text())["version"] == VERSION
