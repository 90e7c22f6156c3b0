# SPDX-License-Identifier: GPL-3.0-or-later
"""Ad-hoc commands and playbooks in the documentation: modules, options, values and variables that exist."""

import json
import re
import shlex

import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.plugin_utils.usage import variables

ADHOC = re.compile(r"ansible(?: [\w.-]+)? (?:-[bo] )*-m ksysak\.fleet\.(\w+)(?: -a ('[^']*'|\"[^\"]*\"|[^\s`'\"]+))?")
PLAYBOOK = re.compile(r"ansible-playbook ksysak\.fleet\.(\w+)([^`\n]*)")


@pytest.fixture(scope="module")
def pages(repo, files):
    shown = [name for name in files if name.suffix == ".md" and name.parts[0] in ("docs", "README.md", "roles")]
    return {str(name): (repo / name).read_text() for name in shown}


def _options(repo, module):
    """Return {option: its documentation} of a module, with those of its fragments."""
    text = (repo / "plugins" / "modules" / f"{module}.py").read_text()
    documentation = yaml.safe_load(re.search(r'(?s)\nDOCUMENTATION = r"""(.*?)"""', text)[1])
    options = dict(documentation.get("options", {}))
    for fragment in documentation.get("extends_documentation_fragment", []):
        _collection, _name, file, *variant = fragment.split(".")
        source = (repo / "plugins" / "doc_fragments" / f"{file}.py").read_text()
        wanted = (variant or ["documentation"])[0].upper()
        options.update(yaml.safe_load(re.search(rf'(?s)    {wanted} = r"""(.*?)"""', source)[1]).get("options", {}))
    return options


def test_adhoc_commands(repo, pages):
    found = [(page, *match) for page, text in pages.items() for match in ADHOC.findall(text)]
    assert len(found) > 20
    wrong = []
    for page, module, arguments in found:
        options = _options(repo, module)
        text = shlex.split(arguments)[0] if arguments else ""
        given = yaml.safe_load(text).items() if text.startswith("{") else [part.split("=", 1) for part in shlex.split(text)]
        for name, value in given:
            argument = f"{name}={value}"
            option = options.get(name)
            choices = [] if isinstance(value, list) else [str(choice) for choice in (option or {}).get("choices", [])]
            if option is None or (choices and str(value) not in choices):
                wrong.append(f"{page}: {module} {argument}")
            elif option["type"] == "int" and not str(value).isdigit():
                wrong.append(f"{page}: {module} {argument} is not a number")
    assert wrong == []


def test_playbooks(repo, pages):
    found = [(page, *match) for page, text in pages.items() for match in PLAYBOOK.findall(text)]
    assert len(found) > 10
    assert [f"{page}: {name}" for page, name, _rest in found if not (repo / "playbooks" / f"{name}.yml").is_file()] == []
    named = [(page, name) for page, _name, rest in found for name in re.findall(r"\bksysak_\w+", rest)]
    assert [f"{page}: {name}" for page, name in named if name not in variables.known()] == []
    given = [(page, text) for page, _name, rest in found for text in re.findall(r"-e '(\{.*?\})'", rest)]
    for page, text in given:
        assert isinstance(json.loads(text), dict), page
