# SPDX-License-Identifier: GPL-3.0-or-later
"""A probe is a plug-in: a toy probe is added to a copy of the collection, and is found in all that a scan makes.

Its own files and one line of the registry are all that is added; no other file is edited. Two lists that no program can make up for
itself are then written by 'make probes', as a person would.
"""

import difflib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.tests.gates import toy_probe
from ansible_collections.ksysak.fleet.tests.page import as_embedded, embedded

REGISTRY = "plugins/module_utils/_core/registry.py"
WRITTEN = {"README.md", "meta/runtime.yml"}  # by make probes

# Run with the copy in the import path: a host document of what the module returned, and a scan of this one host.
WRITE_RESULTS = """
import json, sys
from ansible_collections.ksysak.fleet.plugins.module_utils._core import host, version
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results import documents, folder

results, envelope = sys.argv[1], json.loads(sys.argv[2])
scan = folder.ScanFolder(results, "toy")
options = {"duration_s": 1, "probes": ["open_files"]}
scan.begin(documents.scan_document("toy", options, ["web1"], {"ansible_core": "2.19", "python": "3.11"}))
sent = {"collection_version": version.VERSION, "system": host.system(), "probes": {"open_files": envelope}}
made = documents.host_document("web1", [], "toy", documents.Outcome("scanned", scan=sent))
scan.write_host(made)
scan.end(documents.instant())
print(json.dumps(made))
"""

CHECK_OPTIONS = """
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.options import OptionsError, check_options
print(check_options(1, "all", {})["probes"][-1])
try:
    check_options(1, "nope", {})
except OptionsError as error:
    print(error)
"""

VALIDATE = """
import json, sys
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import SchemaError, validate
try:
    validate(json.loads(sys.argv[1]))
    print("fits")
except SchemaError as error:
    print(error.where)
"""

PAYLOADS = """
import base64, io, json, re, sys, zipfile
from ansible.executor.module_common import modify_module
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

root = sys.argv[1]
_AnsibleCollectionFinder(paths=[root])._install()
found = {}
for name in sys.argv[2:]:
    built = modify_module(
        module_name=f"ksysak.fleet.{name}", module_path=f"{root}/ansible_collections/ksysak/fleet/plugins/modules/{name}.py",
        module_args={}, templar=Templar(loader=DataLoader(), variables={}), task_vars={"ansible_python_interpreter": sys.executable},
    )
    text = built.b_module_data if hasattr(built, "b_module_data") else built[0]
    longest = max(re.findall(rb"[A-Za-z0-9+/=]{2000,}", text.replace(b"\\\\n", b"")), key=len)
    names = zipfile.ZipFile(io.BytesIO(base64.b64decode(longest))).namelist()
    found[name] = sorted(path.split("/module_utils/")[1] for path in names if "/fleet/plugins/module_utils/_" in path)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def copy(repo, files, tmp_path_factory):
    """The copy with the toy probe, before anything was generated; beside it what files it had and has: (root, before, after)."""
    root = tmp_path_factory.mktemp("plugin") / "ansible_collections" / "ksysak" / "fleet"
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(repo / name, root / name)
    before = _texts(root)
    for name, text in toy_probe.FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    registry = root / REGISTRY
    lines = registry.read_text(encoding="utf-8").splitlines(keepends=True)
    last = max(number for number, line in enumerate(lines) if line.lstrip().startswith("from ansible_collections."))
    registry.write_text("".join([*lines[: last + 1], toy_probe.LINE, *lines[last + 1 :]]), encoding="utf-8")
    after = _texts(root)
    subprocess.run([sys.executable, root / "tools/probes"], check=True, stdout=subprocess.DEVNULL)
    return root, before, after


def _texts(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def python(copy):
    """``python(script, *arguments)``: run a script with the copy in the import path; returns what it printed."""

    def script(text, *arguments):
        command = [sys.executable, "-c", text, *map(str, arguments)]
        done = subprocess.run(command, env={"PYTHONPATH": str(copy[0].parents[2])}, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return script


@pytest.fixture(scope="module")
def run(copy, tool):
    """``run(name, *arguments)``: one of Ansible's commands on the copy; returns what it printed."""
    root, _before, _after = copy

    def ansible(name, *arguments, **environment):
        env = {"ANSIBLE_COLLECTIONS_PATH": root.parents[2], "ANSIBLE_LOCALHOST_WARNING": "false"}
        return tool(name, *arguments, cwd=root.parents[2], **{key: str(value) for key, value in {**env, **environment}.items()})

    return ansible


@pytest.fixture(scope="module")
def envelope(run):
    """What the toy probe's own module returned on this machine."""
    facts = json.loads(_json(run("ansible", "localhost", "-m", "ksysak.fleet.open_files_facts", "-a", "duration=1")))
    return facts["ansible_facts"]["ksysak_open_files"]


def _json(printed):
    """What an ad hoc command printed after 'localhost | SUCCESS =>'."""
    return printed[printed.index("{") :]


@pytest.fixture(scope="module")
def results(python, envelope, tmp_path_factory):
    """(folder of a scan of one host with the toy probe, its host document)."""
    folder = tmp_path_factory.mktemp("results")
    return folder, json.loads(python(WRITE_RESULTS, folder, json.dumps(envelope)))


@pytest.fixture(scope="module")
def report(run, results):
    """(fleet document, HTML) that the playbook of the collection makes of it."""
    folder, _document = results
    run("ansible-playbook", "ksysak.fleet.report", "-e", f"ksysak_results={folder}")
    (html,) = folder.rglob("report.html")
    (fleet,) = folder.rglob("fleet.json")
    return json.loads(fleet.read_text()), html.read_text()


def test_a_probe_is_its_own_files_and_one_line(copy):
    _root, before, after = copy
    assert set(after) - set(before) == set(toy_probe.FILES)
    changed = {name for name in before if after.get(name) != before[name]}
    assert changed == {REGISTRY}
    lines = [before[REGISTRY].decode().splitlines(), after[REGISTRY].decode().splitlines()]
    assert [line for line in difflib.ndiff(*lines) if line[0] in "+-"] == [f"+ {toy_probe.LINE.rstrip()}"]


def test_two_lists_are_written_by_make_probes(copy, run):
    """The action group and the list of the documentation; nothing else is."""
    root, _before, after = copy
    changed = {name for name, text in _texts(root).items() if name in after and after[name] != text}
    assert changed == WRITTEN
    assert "| [open_files](docs/open_files.md) | Files that the whole host has open |" in (root / "README.md").read_text()
    assert "    - open_files_facts\n" in (root / "meta/runtime.yml").read_text()
    listed = json.loads(run("ansible-doc", "--list", "--json", "ksysak.fleet"))
    assert listed["ksysak.fleet.open_files_facts"] == "Files that the whole host has open"


def test_the_module_scan_runs_it(run):
    """In check mode, which starts the probe on this machine and leaves a scan of somebody else's alone."""
    arguments = json.dumps({"probes": ["open_files"], "duration": 1})
    answer = json.loads(_json(run("ansible", "localhost", "--check", "-m", "ksysak.fleet.scan", "-a", arguments)))
    assert answer["preflight"] == [{"probe": "open_files", "engine": "procfs", "status": "ok", "reason": "", "remedy": ""}]


def test_all_probes_are_all_of_them_and_an_unknown_one_is_answered_with_its_name(python):
    last, said = python(CHECK_OPTIONS).splitlines()
    assert last == "open_files" and "open_files, all" in said


def test_a_module_ships_its_own_probe_and_scan_ships_all(copy, python):
    root, _before, _after = copy
    probes = sorted(path.parent.name for path in (root / "plugins/module_utils").glob("_*/probe.py") if path.parent.name != "_core")
    modules = [f"{name[1:]}_facts" for name in probes]
    shipped = json.loads(python(PAYLOADS, root.parents[2], "scan", *modules))
    assert len(probes) >= 5
    for module, held in shipped.items():
        own = probes if module == "scan" else [f"_{module.removesuffix('_facts')}"]
        assert [name for name in probes if f"{name}/probe.py" in held] == own
        assert ("_core/registry.py" in held) == (module == "scan")


def test_what_it_measures_is_checked_against_its_schema(python, results):
    _folder, document = results
    assert document["state"] == "scanned", document["reason"]
    assert document["probes"]["open_files"]["data"]["open"] > 0
    wrong = json.loads(json.dumps(document))
    wrong["probes"]["open_files"]["data"]["open"] = "many"
    assert python(VALIDATE, json.dumps(document)).strip() == "fits"
    assert python(VALIDATE, json.dumps(wrong)).strip() == "probes.open_files.data.open"


def test_it_makes_a_finding_and_a_section_of_the_fleet_document(report, envelope):
    fleet, _html = report
    (group,) = [group for group in fleet["findings"] if group["rule"] == "open-files"]
    assert group["probes"] == [toy_probe.NAME] and group["title"] == f"{envelope['data']['open']} files are open"
    assert fleet["sections"][-1] == {"key": toy_probe.KEY, "title": "Open files", "probe": toy_probe.NAME}
    assert fleet[toy_probe.KEY] == {"hosts": 1, "most": envelope["data"]["open"], "finding": group["id"]}
    assert fleet["hosts"][0][toy_probe.KEY] == envelope["data"]


def test_it_has_a_section_of_the_page(report):
    fleet, html = report
    assert embedded(html) == as_embedded(json.loads(json.dumps(fleet)))
    assert "toy section: ${files.most} open files" in html
    assert re.search(rf'<section [^>]*id="{toy_probe.KEY}"', html) and f'href="#{toy_probe.KEY}"' in html


def test_it_brings_its_texts_in_another_language(run, results, envelope, tmp_path):
    folder, _document = results
    run(
        "ansible-playbook", "ksysak.fleet.report", "-e", f"ksysak_results={folder}", "-e", "ksysak_language=zh",
        "-e", f"ksysak_report={tmp_path}/report.html",
    )  # fmt: skip
    fleet = json.loads((tmp_path / "fleet.json").read_text())
    assert f"打开了 {envelope['data']['open']} 个文件" in [group["title"] for group in fleet["findings"]]


def test_every_probe_of_the_collection_is_whole(repo):
    """What the toy probe consists of, each probe has; and nothing of a probe that is not registered lies about."""
    from ansible_collections.ksysak.fleet.plugins.module_utils._core.registry import NAMES
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.sections import classes

    keys = [section.KEY for section in classes()]
    assert [section.PROBE for section in classes()] == list(NAMES)
    own = [path for path in toy_probe.FILES if "/messages/" not in path]  # zh.json may have its texts
    wanted = {path.replace("open_files", name).replace("sections/files.j", f"sections/{key}.j")
              for path in own for name, key in zip(NAMES, keys, strict=True)}  # fmt: skip
    assert [path for path in sorted(wanted) if not (repo / path).is_file()] == []
    assert {path.stem for path in (repo / "plugins/plugin_utils/sections").glob("*.py")} == set(NAMES)
    assert {path.stem for path in (repo / "plugins/plugin_utils/schema/sections").glob("*.json")} == set(keys)
    assert {path.stem.removesuffix("_facts") for path in (repo / "plugins/modules").glob("*_facts.py")} == set(NAMES)
    assert Path(repo / REGISTRY).read_text().count(".probe import ") == len(NAMES)
