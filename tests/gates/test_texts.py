# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that people read: spelling, terms, fields, numbers, links and names agree with the rest of the project."""

import ast
import importlib
import importlib.util
import inspect
import json
import re

import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import DURATION_BOUNDS
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema import validate
from ansible_collections.ksysak.fleet.plugins.plugin_utils.usage import variables

PACKAGE = "ansible_collections.ksysak.fleet"


def _tool(repo):
    spec = importlib.util.spec_from_file_location("fields", repo / "tools/fields.py")
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up.
    importlib.sys.modules["fields"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fields(repo):
    return _tool(repo)


@pytest.fixture(scope="module")
def pages(repo, files):
    """{path: text} of every Markdown file."""
    found = {name: (repo / name).read_text() for name in files if name.suffix == ".md"}
    assert len(found) > 10
    return found


# ---------------------------------------------------------------- spelling and terms


def test_spelling(repo, files, tool):
    """Of everything but licences, copies of others' files and what kernels printed."""
    others = re.compile(r"(^|/)(vendor|LICENSES|made|corpus)/|^COPYING$|\.(xsd|png)$|/sarif-2\.1\.0\.json$|/get_pip\.py$")
    own = [name for name in files if not others.search(str(name))]
    assert own
    tool("codespell", *own, cwd=repo)


def _strings(node):
    """Yield all texts of a policy: its strings, without expressions."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for key, value in node.items():
            if key not in ("evidence", "signature"):
                yield from _strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from _strings(value)


def _explanations(node, key=""):
    """Yield the titles and descriptions of a schema."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _explanations(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from _explanations(value)
    elif isinstance(node, str) and key in ("title", "description"):
        yield node


DOCUMENTED = re.compile(r'(?ms)^ *(?:DOCUMENTATION|EXAMPLES|RETURN|EBPF|[A-Z]+) = r"""(.*?)"""')


# The parts of a catalogue whose English texts are checked.
CATALOGUE = ("messages", "policies")


def _texts(repo, files):
    """{path: lines} of all texts for people."""
    found = {}
    for name in files:
        path, text = str(name), None
        if name.suffix == ".md" or re.match(r"changelogs/fragments/|roles/\w+/meta/argument_specs\.yml$", path):
            text = (repo / name).read_text()
        elif re.match(r"plugins/(modules|doc_fragments)/", path):
            text = "\n".join(DOCUMENTED.findall((repo / name).read_text()))
        elif re.match(r"plugins/plugin_utils/policy/.*\.yml$", path):
            text = "\n".join(_strings(yaml.safe_load((repo / name).read_text())))
        elif path == "plugins/module_utils/_kernel_log/kinds.py":
            constants = [node.value for node in ast.walk(ast.parse((repo / name).read_text())) if isinstance(node, ast.Constant)]
            text = "\n".join(value for value in constants if isinstance(value, str))
        elif re.match(r"plugins/plugin_utils/schema/.*\.json$", path):
            text = "\n".join(_explanations(json.loads((repo / name).read_text())))
        elif re.match(r"roles/report/files/messages/.*\.json$", path):
            catalogue = json.loads((repo / name).read_text())
            text = "\n".join(re.sub(r"\{\w+\}", "", key) for part in CATALOGUE for key in catalogue[part])
        if text is not None:
            found[path] = text.splitlines()
    return found


@pytest.fixture(scope="module")
def terms(repo):
    found = yaml.safe_load((repo / "tests/gates/terms.yml").read_text())
    assert all(sorted(term) == ["because", "pattern", "use"] for term in found)
    return found


def test_replaced_terms_are_not_used(repo, files, terms):
    """The table of replaced terms is tests/gates/terms.yml; docs/glossary.md defines those to use."""
    texts = _texts(repo, files)
    assert len(texts) > 40
    patterns = [(re.compile(term["pattern"], re.IGNORECASE), term["use"]) for term in terms]
    found = [
        f"{path}: {match.group()!r} (use: {use}) in: {line.strip()[:160]}"
        for path, lines in texts.items()
        for line in lines
        for pattern, use in patterns
        for match in [pattern.search(line)]
        if match
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "bad"),
    [
        ("Use a timeout instead of a number.", False),
        ("| `events[].instead` | who ran |", True),
        ("A policy turns facts into findings.", False),
        ("the last 16 turns", True),
        ("Look at `module` first.", False),
        ("The probe looks at the log.", True),
        ("The reasons tell why.", True),
        ("The kernel intelligently reclaims.", False),
    ],
)
def test_terms_mean_exactly_what_is_replaced(terms, text, bad):
    assert any(re.search(term["pattern"], text, re.IGNORECASE) for term in terms) == bad


# ---------------------------------------------------------------- fields


def test_fields_in_modules_and_pages_are_those_of_the_schemas(repo, fields):
    """RETURN of each module and the table of its page are what tools/fields.py writes."""
    stale = [str(path.relative_to(repo)) for path, text in fields.files().items() if path.read_text() != text]
    assert stale == [], "run tools/fields.py"


def test_every_probe_documents_all_of_its_fields(repo, fields):
    """RETURN, read as Ansible reads it, has the properties of the schema: the generator is not its own judge."""
    probes = fields.probes()
    assert len(probes) >= 4
    for probe in probes:
        module = importlib.import_module(f"{PACKAGE}.plugins.modules.{probe}_facts")
        facts = yaml.safe_load(module.RETURN)["ansible_facts"]["contains"][f"ksysak_{probe}"]
        schema = json.loads((validate.FOLDER / f"{probe}-1.json").read_text())
        assert list(facts["contains"]["data"]["contains"]) == list(schema["properties"])
        page = (repo / f"docs/{probe}.md").read_text()
        assert [name for name in schema["properties"] if f"\n| `{name}` |" not in page] == []


def test_examples_of_schemas_fit_them():
    import fastjsonschema

    tried = 0
    for path in sorted(validate.FOLDER.glob("*.json")):
        schema = json.loads(path.read_text())
        for name, node in schema.get("properties", {}).items():
            for example in node.get("examples", []):
                checked = validate._inlined(node, schema.get("definitions", {}))
                try:
                    fastjsonschema.compile(checked, use_default=False)(example)
                except fastjsonschema.JsonSchemaException as error:
                    pytest.fail(f"{path.name}: example of {name}: {error}")
                tried += 1
    assert tried >= 20


# ---------------------------------------------------------------- numbers


def _constant(repo, name):
    """Return the value of a module-level constant of the shipped code, wherever it is: '[folder:]NAME', and one place has it."""
    folder, _unused, word = name.rpartition(":")
    owners = [
        path for path in (repo / "plugins" / folder).rglob("*.py") if re.search(rf"(?m)^{re.escape(word)}(?:: \w+)? = ", path.read_text())
    ]
    assert len(owners) == 1, f"{name} has {len(owners)} owners: {owners}"
    return getattr(importlib.import_module(".".join([PACKAGE, *owners[0].relative_to(repo).with_suffix("").parts])), word)


LOGS = "docs/os_exceptions.md"
# (file, the text with the number in parentheses, constant, what to divide it by)
NUMBERS = [
    ("plugins/doc_fragments/probe.py", r"at most (\d+) s beyond the window", "module_utils:OVERHEAD_LIMIT_S", 1),
    ("roles/scan/meta/argument_specs.yml", r"whole number of seconds from 1 to (\d+)", "plugin_utils/results:MAX_DURATION_S", 1),
    ("roles/scan/README.md", r"whole seconds, 1 to (\d+)", "plugin_utils/results:MAX_DURATION_S", 1),
    ("docs/scan.md", r"whole seconds, 1 to (\d+)", "plugin_utils/results:MAX_DURATION_S", 1),
    ("docs/awx.md", r"integer, 1 to (\d+)", "plugin_utils/results:MAX_DURATION_S", 1),
    ("docs/scan.md", r"larger than (\d+) MiB", "plugin_utils/results:MAX_RESULT_BYTES", 2**20),
    ("docs/report.md", r"From (\d+) hosts on", "plugin_utils/fleet:FEW", 1),
    ("docs/report.md", r"at most (\d+) processes", "plugin_utils/fleet:PROCESSES", 1),
    ("docs/report.md", r"finding on at least (\d+) hosts", "plugin_utils/fleet:AFFECTED", 1),
    ("docs/report.md", r"below (0\.\d+)", "plugin_utils/fleet:ALPHA", 1),
    ("docs/report.md", r"leads by (\d+) percentage points", "plugin_utils/fleet:LEAD", 0.01),
    ("docs/report.md", r"more than (\d\.\d) standard deviations", "plugin_utils/fleet:SCORE", 1),
    ("docs/memleak.md", r"window below (\d+) s gives no verdict", "module_utils/_memleak:LEAST_WINDOW_S", 1),
    ("docs/memleak.md", r"younger than (\d+) s do not count", "module_utils/_memleak:SETTLE_S", 1),
    ("docs/memleak.md", r"less than (\d+) KiB", "module_utils/_memleak:LEAK_BYTES", 1024),
    ("docs/runlatency.md", r"keeps the (\d+) longest of each CPU", "module_utils/_runlatency:WORST_WAITS", 1),
    ("docs/runlatency.md", r"counts (\d+) tasks at a time", "module_utils/_runlatency:TASKS", 1),
    ("docs/runlatency.md", r"keeps its (\d+) most recent long timeslices", "module_utils/_runlatency:TIMESLICES", 1),
    (LOGS, r"newest (\d+ ?\d+) lines", "module_utils/_os_exceptions:MAX_JOURNAL_LINES", 1),
    (LOGS, r"lines, (\d+) MiB", "module_utils/_os_exceptions:MAX_JOURNAL_BYTES", 2**20),
    (LOGS, r"newest (\d+) files; of each plain", "module_utils/_os_exceptions:MAX_FILES", 1),
    (LOGS, r"newest (\d+) GiB", "module_utils/_os_exceptions:MAX_SIFTED_BYTES", 2**30),
    (LOGS, r"\((\d+) MiB where the host has no `grep`", "module_utils/_os_exceptions:MAX_PLAIN_BYTES", 2**20),
    (LOGS, r"packed file the first (\d+) MiB", "module_utils/_os_exceptions:MAX_UNPACKED_BYTES", 2**20),
    (LOGS, r"(\d+) parts of", "module_utils/_os_exceptions:MAX_PSTORE_PARTS", 1),
    (LOGS, r"parts of (\d+) KiB", "module_utils/_os_exceptions:MAX_PSTORE_PART_BYTES", 1024),
    (LOGS, r"newest (\d+) files, as above", "module_utils/_os_exceptions:MAX_CRASHES", 1),
    (LOGS, r"at most (\d+) s after it", "module_utils/_os_exceptions:FINISH_S", 1),
    ("plugins/modules/os_exceptions_facts.py", r"log files to read, at most (\d+)", "module_utils/_os_exceptions:MAX_PATHS", 1),
]


@pytest.mark.parametrize(("name", "pattern", "constant", "unit"), NUMBERS, ids=[f"{row[0]}-{row[2]}" for row in NUMBERS])
def test_numbers_in_texts_are_those_of_the_code(repo, name, pattern, constant, unit):
    text = " ".join((repo / name).read_text().split())
    found = re.search(pattern, text)
    assert found, f"{name} has no text like {pattern}"
    assert float(found[1].replace(" ", "")) == pytest.approx(_constant(repo, constant) / unit)


def _bounds(probe):
    """Return {option: (lowest, highest)} of a probe's class."""
    module = importlib.import_module(f"{PACKAGE}.plugins.module_utils._{probe}.probe")
    classes = [one for _name, one in inspect.getmembers(module, inspect.isclass) if getattr(one, "NAME", None) == probe]
    assert classes
    return {**DURATION_BOUNDS, **getattr(classes[0], "BOUNDS", {})}


def test_bounds_of_options_are_those_of_the_code(fields):
    """Every 'A to B' of an option's description is what the probe enforces."""
    wrong, tried = [], 0
    for probe in fields.probes():
        module = importlib.import_module(f"{PACKAGE}.plugins.modules.{probe}_facts")
        bounds = _bounds(probe)
        for name, option in yaml.safe_load(module.DOCUMENTATION)["options"].items():
            text = " ".join([option["description"]] if isinstance(option["description"], str) else option["description"])
            if name not in bounds or "bytes" in text and option["type"] == "str":
                continue
            for low, high in re.findall(r"(?<![\w.])([\d.]+) to ([\d.]*\d)", text):
                tried += 1
                if (float(low), float(high)) != bounds[name]:
                    wrong.append(f"{probe}_facts, {name}: {low} to {high}, and the code has {bounds[name]}")
    assert wrong == []
    assert tried >= 6


def test_a_scan_has_the_time_that_it_may_take(repo):
    """The role's async limit, collect's limit and the example of collect are longer than what a scan may take beyond its window."""
    overhead_s = _constant(repo, "module_utils:OVERHEAD_LIMIT_S")
    host_s = yaml.safe_load((repo / "roles/scan/vars/main.yml").read_text())["__ksysak_scan_host_overtime"]
    collect = importlib.import_module(f"{PACKAGE}.plugins.modules.collect")
    documented_s = yaml.safe_load(collect.DOCUMENTATION)["options"]["overtime"]["default"]
    (default_s,) = re.findall(r'"overtime": \{"type": "int", "default": (\d+)\}', (repo / "plugins/action/collect.py").read_text())
    launch = yaml.safe_load(collect.EXAMPLES)[0]
    example_s = launch["async"] - launch["ksysak.fleet.scan"]["duration"]
    assert overhead_s < host_s < documented_s == int(default_s)
    assert host_s <= example_s


# ---------------------------------------------------------------- links and names


def _anchors(text):
    """Return the anchors of the headings of a Markdown text, as GitHub makes them."""
    found = set()
    for line in re.sub(r"(?ms)^```.*?^```", "", text).splitlines():
        heading = re.match(r"#{1,6} (.*)", line)
        if heading:
            found.add(re.sub(r"[^\w\- ]", "", heading[1].lower()).replace(" ", "-"))
    return found


def test_anchors_of_links_exist(repo, pages):
    missing = []
    tried = 0
    for name, text in pages.items():
        for target, anchor in re.findall(r"\]\((?![a-z]+:)([^)#\s]*)#([^)\s]+)\)", text):
            tried += 1
            page = repo / name if not target else (repo / name).parent / target
            if not page.exists() or anchor not in _anchors(page.read_text()):
                missing.append(f"{name}: {target}#{anchor}")
    assert tried
    assert missing == []


def _code(text):
    """Return the code of a Markdown text: spans, fenced and indented blocks."""
    fenced = re.findall(r"(?ms)^\s*```\w*\n(.*?)^\s*```", text)
    rest = re.sub(r"(?ms)^\s*```.*?^\s*```", "", text)
    return fenced + re.findall(r"(?m)^    (.*)$", rest) + re.findall(r"`([^`\n]+)`", rest)


def test_files_that_pages_name_exist(repo, pages):
    """A path in code that begins with a folder of the project, or of the role whose README names it."""
    tops = {path.name for path in repo.iterdir() if path.is_dir() and not path.name.startswith(".")} - {"ksysak-results"}
    missing, tried = [], 0
    for name, text in pages.items():
        role = (repo / name).parent if name.parts[0] == "roles" else None
        for code in _code(text):
            for path in re.findall(r"(?<![\w/.~-])((?:[\w.-]+|<\w+>)(?:/[\w.*<>-]+)+/?)", code):
                base = repo if path.split("/")[0] in tops else role if role and (role / path.split("/")[0]).is_dir() else None
                # A kernel module that is built there is not in the repository.
                if base is None or path.endswith(".ko"):
                    continue
                tried += 1
                pattern = re.sub(r"<\w+>", "*", path).strip("/.")
                if not any(base.glob(pattern)):
                    missing.append(f"{name}: {path}")
    assert tried > 20
    assert missing == []


def test_make_targets_that_pages_name_exist(repo, pages):
    targets = set(re.findall(r"(?m)^([a-z][\w-]*):", (repo / "Makefile").read_text()))
    named = [(name, target) for name, text in pages.items() for code in _code(text) for target in re.findall(r"\bmake ([a-z][\w-]*)", code)]
    assert named
    assert [f"{name}: make {target}" for name, target in named if target not in targets] == []


def _offered(repo):
    """Names that follow ksysak.fleet: modules, callbacks, filters, playbooks, roles, documentation fragments."""
    found = {path.stem for kind in ("modules", "callback", "filter", "doc_fragments") for path in (repo / "plugins" / kind).glob("*.*")}
    found |= {path.stem for path in (repo / "playbooks").glob("*.yml")}
    return found | {path.name for path in (repo / "roles").iterdir()} | set(_groups(repo))


def _groups(repo):
    return yaml.safe_load((repo / "meta/runtime.yml").read_text())["action_groups"]


def test_names_of_the_collection_that_texts_use_exist(repo, files):
    offered = _offered(repo)
    texts = {
        name: (repo / name).read_text() for name in files if name.suffix == ".md" or re.match(r"(roles|playbooks)/.*\.yml$", str(name))
    }
    named = [(name, word) for name, text in texts.items() for word in re.findall(r"\bksysak\.fleet\.(\w+)", text)]
    assert len(named) > 20
    assert [f"{name}: ksysak.fleet.{word}" for name, word in named if word not in offered] == []


def _specs(repo):
    """Yield (role, {option: specification}) of every entry point of every role."""
    for path in sorted((repo / "roles").glob("*/meta/argument_specs.yml")):
        for entry in yaml.safe_load(path.read_text())["argument_specs"].values():
            yield path.parent.parent.name, entry.get("options", {})


def test_options_that_pages_name_exist(repo, pages, fields):
    known = {name for _role, options in _specs(repo) for name in options} | {f"ksysak_{probe}" for probe in fields.probes()}
    known |= set(variables.OUTPUTS)
    for folder in ("playbooks", "kmods"):
        for path in (repo / folder).rglob("*.[ychm]*"):
            known |= set(re.findall(r"\bksysak_\w+", path.read_text()))
    named = [(name, word) for name, text in pages.items() for word in re.findall(r"(?<![\w/.])ksysak_\w+", text)]
    assert len(named) > 50
    unknown = sorted({f"{name}: {word}" for name, word in named if word not in known and not any(one.startswith(word) for one in known)})
    assert unknown == []


def test_defaults_in_tables_of_roles_are_those_of_their_specifications(repo):
    wrong, tried = [], 0
    for role, options in _specs(repo):
        rows = re.findall(r"(?m)^\| `(ksysak_\w+)` \| `([^`|]+)` \|", (repo / "roles" / role / "README.md").read_text())
        for name, cell in rows:
            if "default" in options.get(name, {}):
                tried += 1
                if yaml.safe_load(cell) != options[name]["default"]:
                    wrong.append(f"{role}: {name}: {cell}, and the specification has {options[name]['default']!r}")
    assert tried >= 8
    assert wrong == []


def test_readme_links_every_page(repo):
    text = (repo / "README.md").read_text()
    missing = [path.name for path in sorted((repo / "docs").glob("*.md")) if f"](docs/{path.name})" not in text]
    assert missing == []
