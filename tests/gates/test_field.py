# SPDX-License-Identifier: GPL-3.0-or-later
"""What Galaxy, Automation Hub and the community's inclusion checklist ask of a collection, by their own tools."""

import os
import re
import subprocess

import pytest
import yaml

IMPORTER = """[galaxy-importer]
CHECK_REQUIRED_TAGS = True
CHECK_CHANGELOG = True
RUN_ANSIBLE_LINT = False
RUN_ANSIBLE_TEST = False
"""  # ansible-lint and ansible-test are gates of their own


@pytest.fixture(scope="module")
def field_tool(repo):
    """``field_tool(name, *arguments, cwd=...)``: run a tool of .cache/venv-gates. Its CompletedProcess has stderr in stdout."""
    bin_dir = repo / ".cache" / "venv-gates" / "bin"
    assert bin_dir.is_dir(), "make test-needs sets it up"

    def run(name, *arguments, cwd, **environment):
        own = {"PATH": f"{bin_dir}:{os.environ['PATH']}", "NO_COLOR": "1", **{key: str(value) for key, value in environment.items()}}
        env = {**os.environ, **own}
        command = [str(bin_dir / name), *map(str, arguments)]
        return subprocess.run(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )

    return run


def test_licences_are_stated_as_reuse_wants(tree, field_tool):
    done = field_tool("reuse", "lint", cwd=tree)
    assert done.returncode == 0, done.stdout


def test_galaxy_imports_the_collection(tree, field_tool, tmp_path):
    built = field_tool("ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=tree)
    assert built.returncode == 0, built.stdout
    (tarball,) = tmp_path.glob("*.tar.gz")
    config = tmp_path / "importer.cfg"
    config.write_text(IMPORTER)
    done = field_tool("python", "-m", "galaxy_importer.main", tarball, cwd=tmp_path, GALAXY_IMPORTER_CONFIG=config)
    assert done.returncode == 0, done.stdout
    assert "Importer processing completed successfully" in done.stdout
    assert [line for line in done.stdout.splitlines() if line.startswith(("ERROR", "WARNING"))] == []


def test_documentation_as_antsibull_wants_it(tree, field_tool):
    arguments = ("lint-collection-docs", "--plugin-docs", "--validate-collection-refs=self", "--skip-rstcheck", ".")
    done = field_tool("antsibull-docs", *arguments, cwd=tree, ANSIBLE_COLLECTIONS_PATH=tree.parents[2])
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_the_documentation_is_a_web_site_without_a_warning(repo, collections_path, tmp_path):
    """`make docsite`: every page of the collection and the reference of every plugin; links that lead nowhere are warnings."""
    command = [repo / "tools/docsite/build", repo / ".cache/venv-gates/bin", collections_path, tmp_path / "site"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout
    html = tmp_path / "site" / "html"
    for page in (repo / "docs").glob("*.md"):
        assert (html / "docs" / f"{page.stem}.html").is_file(), page
    for module in (repo / "plugins" / "modules").glob("*.py"):
        assert (html / "reference" / f"{module.stem}_module.html").is_file(), module
    assert (html / "reference" / "docsite" / "guides.html").is_file()
    contents = (html / "index.html").read_text()
    assert [page.stem for page in (repo / "docs").glob("*.md") if f'href="docs/{page.stem}.html"' not in contents] == []


@pytest.fixture
def environment(tree, repo, field_tool, tmp_path):
    """A folder as docs/awx.md wants it: the file of the collection, and the definition of an execution environment beside it."""
    built = field_tool("ansible-galaxy", "collection", "build", "--output-path", tmp_path, cwd=tree)
    assert built.returncode == 0, built.stdout
    definition = tmp_path / "execution-environment.yml"
    definition.write_text((repo / "docs" / "awx" / definition.name).read_text())
    return definition


def test_ansible_builder_takes_the_execution_environment(environment, repo, field_tool):
    done = field_tool("ansible-builder", "create", "-f", environment, "-c", environment.parent / "context", cwd=environment.parent)
    assert done.returncode == 0, done.stdout
    assert "outdated" not in done.stdout
    version = yaml.safe_load((repo / "galaxy.yml").read_text())["version"]
    assert (environment.parent / f"context/_build/collections/ksysak-fleet-{version}.tar.gz").is_file()
    (wanted,) = yaml.safe_load((environment.parent / "context/_build/requirements.yml").read_text())["collections"]
    assert wanted == {"name": f"/build/collections/ksysak-fleet-{version}.tar.gz", "type": "file"}


def test_ansible_builder_checks_the_execution_environment_by_its_schema(environment, field_tool):
    environment.write_text(environment.read_text() + "no_such_key: true\n")
    done = field_tool("ansible-builder", "create", "-f", environment, "-c", environment.parent / "context", cwd=environment.parent)
    assert done.returncode != 0 and "no_such_key" in done.stdout


def test_ansible_builder_finds_what_the_collection_needs(repo, collections_path, field_tool):
    done = field_tool("ansible-builder", "introspect", collections_path, cwd=repo)
    assert done.returncode == 0, done.stdout
    found = yaml.safe_load(done.stdout.partition("---")[2])
    names = {kind: {re.match(r"[\w-]+", line)[0] for line in lines} for kind, lines in found.items()}
    # What comes with ansible-core, as PyYAML, is left out.
    assert names == {"python": {"fastjsonschema", "jmespath"}, "system": {"openssh-clients", "openssh-client"}}


def test_inclusion_checklist(repo):
    """Of the community's checklist: what a file of the repository must have."""
    galaxy = yaml.safe_load((repo / "galaxy.yml").read_text())
    assert all(galaxy[name].startswith("https://") for name in ("repository", "documentation", "homepage", "issues"))
    assert re.fullmatch(r"\d+\.\d+\.\d+", galaxy["version"]) and galaxy["license"] and 0 < len(galaxy["tags"]) <= 20
    assert all(re.fullmatch(r"[a-z0-9]{1,64}", tag) for tag in galaxy["tags"])
    assert "code_of_conduct" in (repo / "CODE_OF_CONDUCT.md").read_text()
    readme = (repo / "README.md").read_text()
    for words in ("ansible-core 2.16", "ansible-galaxy collection install", "code of conduct", "CONTRIBUTING.md", "Licence"):
        assert words.lower() in readme.lower(), words
    assert yaml.safe_load((repo / "meta" / "runtime.yml").read_text())["requires_ansible"].startswith(">=")
    assert (repo / "changelogs" / "config.yaml").is_file()


def test_one_file_names_the_placeholder_of_the_public_address(repo, files):
    placeholder = "example.org/" + "ksysak"
    assert [str(name) for name in files if placeholder in (repo / name).read_bytes().decode("utf-8", "replace")] == ["galaxy.yml"]
