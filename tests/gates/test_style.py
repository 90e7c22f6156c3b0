# SPDX-License-Identifier: GPL-3.0-or-later
"""Style and licence of every file of the project."""

import os
import re

import pytest
import yaml


def _starts_with(path, shebang):
    with path.open("rb") as stream:
        return re.match(shebang, stream.read(100)) is not None


def test_ruff(repo, tool):
    tool("ruff", "check", "--no-cache", "--output-format", "concise", ".", cwd=repo)


def test_types_of_the_controller_side(repo, tool):
    """mypy, by its table in pyproject.toml."""
    tool("mypy", cwd=repo)


def test_yamllint(repo, files, tool):
    yaml = [name for name in files if name.suffix in (".yml", ".yaml") or name.name in (".yamllint", ".ansible-lint")]
    assert yaml
    tool("yamllint", "--strict", *yaml, cwd=repo)


def test_shellcheck(repo, files, tool):
    scripts = [name for name in files if name.suffix == ".sh" or _starts_with(repo / name, rb"#!.*\b(ba)?sh\b")]
    assert scripts
    tool("shellcheck", *scripts, cwd=repo)


def test_python_files_name_their_licence(repo, files):
    """All but empty ones: ansible-test wants the __init__.py of module_utils empty."""
    python = [name for name in files if name.suffix == ".py" or _starts_with(repo / name, rb"#!.*\bpython")]
    heads = {str(name): (repo / name).read_text().splitlines()[:3] for name in python}
    without = [name for name, head in heads.items() if head and "# SPDX-License-Identifier: GPL-3.0-or-later" not in head]
    assert heads
    assert without == []


def test_kernel_sources_name_their_licence(repo, files):
    """What is loaded into the kernel is GPL-2.0-only."""
    sources = [name for name in files if name.suffix in (".c", ".h") and name.parts[0] == "kmods"]
    assert sources
    without = [str(name) for name in sources if "SPDX-License-Identifier: GPL-2.0-only" not in (repo / name).read_text()[:200]]
    assert without == []


# Written in parts, or this file would not pass its own test.
REGISTRIES = tuple(
    ".".join(parts)
    for parts in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("galaxy", "ansible", "com"),
        ("npmjs", "org"),
        ("crates", "io"),
        ("docker", "io"),
        ("quay", "io"),
        ("ghcr", "io"),
        ("proxy", "golang", "org"),
    )
)


@pytest.fixture(scope="module")
def texts(repo, files):
    """{name: text} of every file that is text."""
    found = {}
    for name in files:
        raw = (repo / name).read_bytes()
        if b"\0" not in raw:
            found[str(name)] = raw.decode("utf-8", "replace")
    assert found
    return found


def test_no_registry_is_named(texts):
    found = [f"{name}: {host}" for name, text in texts.items() for host in REGISTRIES if host in text]
    assert found == []


def test_no_path_of_a_machine(repo, texts):
    """Neither this checkout's path nor a person's home; kernel logs in tests may name the homes of others."""
    home = re.compile(r"(?<![\w.])(/home/\w+/|/Users/\w+/|/root/\.\w+)")
    own = {name: text for name, text in texts.items() if not name.startswith("tests/")}
    found = [f"{name}: {match.group()}" for name, text in own.items() for match in home.finditer(text)]
    found += [f"{name}: {repo}" for name, text in texts.items() if re.search(re.escape(str(repo)) + r"(?!\w)", text)]
    assert found == []


def _is_below(name, pattern):
    return any(path.match(pattern) for path in (name, *name.parents) if path.name)


def test_shipped_documents_link_to_shipped_files(repo, files):
    """A reader of the installed collection has no other files."""
    ignored = yaml.safe_load((repo / "galaxy.yml").read_text())["build_ignore"]
    shipped = [name for name in files if not any(_is_below(name, entry) for entry in ignored)]
    documents = [name for name in shipped if name.suffix == ".md"]
    links = [(name, target) for name in documents for target in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", (repo / name).read_text())]
    assert links
    there = {str(path) for name in shipped for path in (name, *name.parents)}
    targets = [(name, os.path.normpath(name.parent / target)) for name, target in links]
    assert [f"{name}: {target}" for name, target in targets if target not in there] == []


def test_links_between_documents(repo, files):
    """Every relative link of a Markdown file leads to a file or folder of the project."""
    documents = [repo / name for name in files if name.suffix == ".md"]
    links = [(path, target) for path in documents for target in re.findall(r"\]\((?![a-z]+:|#)([^)#\s]+)", path.read_text())]
    assert links
    assert [f"{path.relative_to(repo)}: {target}" for path, target in links if not (path.parent / target).exists()] == []
