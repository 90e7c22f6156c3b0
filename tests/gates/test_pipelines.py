# SPDX-License-Identifier: GPL-3.0-or-later
"""The files for pipelines that people copy: they parse, their commands are commands, and they name what exists."""

import re
import shlex
import subprocess

import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.plugin_utils.usage import variables

FILES = ["github-actions.yml", "gitlab-ci.yml", "azure-pipelines.yml", "Jenkinsfile"]


def _commands(document):
    """Yield the shell commands of a pipeline: values of run, script and before_script, and Jenkins's sh."""
    if isinstance(document, dict):
        for key, value in document.items():
            if key in ("run", "script", "before_script"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _commands(value)
    elif isinstance(document, list):
        for item in document:
            yield from _commands(item)


def _shell(repo, name):
    text = (repo / "docs" / "ci" / name).read_text()
    if name == "Jenkinsfile":
        return [*re.findall(r"\bsh '([^']+)'", text), *re.findall(r"(?s)'''(.*?)'''", text)]
    return list(_commands(yaml.safe_load(text)))


@pytest.mark.parametrize("name", FILES)
def test_commands_are_clean_shell(repo, tool, tmp_path, name):
    commands = _shell(repo, name)
    assert any("ksysak.fleet.preflight" in command for command in commands)
    script = tmp_path / "script.sh"
    # $(name) of Azure is replaced before a shell sees it.
    lines = [re.sub(r"\$\(([A-Z]?[a-z]+)\.([A-Za-z]+)\)", r"\1-\2", command) for command in commands]
    script.write_text("#!/bin/bash\nset -e\n" + "\n".join(lines) + "\n")
    tool("shellcheck", "--exclude=SC2154,SC2312", script, cwd=tmp_path)
    subprocess.run(["bash", "-n", script], check=True)


@pytest.mark.parametrize("name", FILES)
def test_what_they_name_exists(repo, name):
    text = (repo / "docs" / "ci" / name).read_text()
    (playbook,) = set(re.findall(r"ansible-playbook ksysak\.fleet\.(\w+)", text))
    assert (repo / "playbooks" / f"{playbook}.yml").is_file()
    assert set(re.findall(r"ksysak_\w+", text)) <= variables.known()
    (callback,) = set(re.findall(r"CALLBACKS_ENABLED\W+ksysak\.fleet\.(\w+)", text))
    assert (repo / "plugins" / "callback" / f"{callback}.py").is_file()
    packages = {line.strip() for line in (repo / "meta" / "ee-requirements.txt").read_text().splitlines() if line[:1].isalpha()}
    (installed,) = [line for line in text.splitlines() if "ansible-core>=" in line]
    assert packages - {"PyYAML"} <= set(shlex.split(installed.replace("'", " ").replace('"', " ")))


def test_jenkinsfile_is_balanced(repo):
    """Nothing here can compile Groovy: its braces, brackets and quotes at least belong together."""
    text = re.sub(r"(?s)'''.*?'''|'[^'\n]*'|\"[^\"\n]*\"|//[^\n]*", "", (repo / "docs" / "ci" / "Jenkinsfile").read_text())
    for left, right in ("{}", "()", "[]"):
        assert text.count(left) == text.count(right) > 0
    assert text.count("'") == text.count('"') == 0
