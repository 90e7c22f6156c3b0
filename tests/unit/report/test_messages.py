# SPDX-License-Identifier: GPL-3.0-or-later
"""Message files: every text of the project has a translation, and no translation is left over."""

import ast
import json
import re
from pathlib import Path

import jmespath
import markupsafe
import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.outliers import OWN
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.sections import classes
from ansible_collections.ksysak.fleet.plugins.plugin_utils.messages import Messages
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.source import shipped
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.tables import TABLES
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import AssetError, Assets
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.digest import digest
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html import STATIC_ATTRIBUTE, STATIC_TEXT, render
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.parts import parts
from ansible_collections.ksysak.fleet.tests import fleet_data as data

REPO = Path(__file__).resolve().parents[3]
ROLE = REPO / "roles" / "report"
FILES = sorted((ROLE / "files" / "messages").glob("*.json"))


# Functions whose second argument is a thing of which there are some, and the key of that.
COUNTED = {"many": "{{n}} {}", "_more": "{{n}} more {}"}


def texts_of_python():
    """What translate("…") and translate.many(n, "…") are given."""
    found = set()
    for path in [*(REPO / "plugins" / "plugin_utils").rglob("*.py"), REPO / "plugins" / "action" / "report.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = ast.unparse(node.func).rsplit(".", 1)[-1]
            text = node.args[1] if name in COUNTED and len(node.args) > 1 else node.args[0] if name in ("translate", "_translate") else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found.add(COUNTED.get(name, "{}").format(text.value))
    return found


QUOTED = r"""('(?:[^'\\]|\\.)+'|"(?:[^"\\]|\\.)+")"""
SCRIPT_TEXT = re.compile(r"(?<![\w.$])t\(\s*" + QUOTED)
SCRIPT_PLURAL = re.compile(r"(?<![\w.$])plural\(\s*[\w.]+,\s*" + QUOTED)
# Texts that scripts translate although they are not theirs: titles of what the self-test injects, facts of a section (its TEXTS);
# and the function itself.
NOT_THEIRS = {
    "t(text, values = {})",
    "t(name.replaceAll('_', ' '))",
    "t(countText(count, one, many), { n: number(count) })",
    "t(title)",
    "t(row.text, row.values)",
    "t(reason)",  # texts of the section of blocked
}


def scripts():
    return [path for path in sorted((ROLE / "files").rglob("*.js")) if "vendor" not in path.parts]


def texts_of_scripts():
    """What t('…') and plural(n, '…') are given in the report's scripts; titles of the page's parts and of measures."""
    found = {text for part in parts() for text in (part.title, part.heading)}
    found |= set(OWN.values()) | {text for section in classes() for text in (*section.MEASURES.values(), *section.TEXTS)}
    for path in scripts():
        script = path.read_text(encoding="utf-8")
        found |= {ast.literal_eval(text) for text in SCRIPT_TEXT.findall(script)}
        found |= {f"{{n}} {ast.literal_eval(text)}" for text in SCRIPT_PLURAL.findall(script)}
    return found


def test_no_text_of_a_script_is_overlooked():
    """Every t(…) and plural(…) has its text in quotes, where texts_of_scripts() finds it, but for known ones."""
    odd = set()
    for path in scripts():
        script = path.read_text(encoding="utf-8")
        for pattern, found in ((r"(?<![\w.$])t\(.*", SCRIPT_TEXT), (r"(?<![\w.$])plural\(.*|const plural = .*", SCRIPT_PLURAL)):
            odd |= {match[0] for match in re.finditer(pattern, script) if not found.match(script, match.start())}
    assert {line for line in odd if not any(known in line for known in NOT_THEIRS)} == set()


def texts_of_template():
    """Static texts of the template's own parts, and what _('…') is given."""
    template = (ROLE / "templates" / "report.html.j2").read_text(encoding="utf-8")
    body = template[template.index("<body>") :]
    found = {" ".join(text.split()) for text in STATIC_TEXT.findall(body)} | {text for _name, text in STATIC_ATTRIBUTE.findall(body)}
    counted = {f"{{n}} {one}" for one in re.findall(r"(?<!\w)many\([^()]+, '([^']+)'\)", template)}
    return found | counted | set(re.findall(r"(?<!\w)_\('([^']+)'", template)) - {"KSysAK"}


def whole(path):
    """A language's file with those of probes that bring their own texts: <language>/<probe>.json. No text stands in two of them."""
    made = json.loads(path.read_text(encoding="utf-8"))
    for own in sorted(path.with_suffix("").glob("*.json")):
        for part in ("messages", "policies"):
            more = json.loads(own.read_text(encoding="utf-8"))[part]
            assert not set(more) & set(made[part]), own
            made[part].update(more)
    return made


@pytest.fixture(params=FILES, ids=lambda path: path.stem)
def catalog(request):
    return whole(request.param)["messages"]


def test_every_text_is_translated_with_the_same_values(catalog):
    wanted = (texts_of_python() | texts_of_scripts() | texts_of_template() | texts_of_selftests()) - {"KSysAK", "p"}
    assert len(wanted) > 150
    assert sorted(wanted - set(catalog)) == []
    fields = re.compile(r"\{\w*\}")
    assert [text for text, translation in catalog.items() if sorted(fields.findall(text)) != sorted(fields.findall(translation))] == []


def texts_of_selftests():
    """Titles of what the self-test injects."""
    rounds = yaml.safe_load((REPO / "roles" / "selftest" / "vars" / "main.yml").read_text(encoding="utf-8"))["__ksysak_selftest_rounds"]
    return {case["title"] for cases in rounds for case in cases}


def _names_in_schema(node):
    """Names of fields, and values that a field may have."""
    if isinstance(node, list):
        return set().union(*map(_names_in_schema, node))
    if not isinstance(node, dict):
        return set()
    enum = node.get("enum")
    values = [*(enum if isinstance(enum, list) else []), node.get("const")]
    own = set(node["properties"]) if isinstance(node.get("properties"), dict) else set()
    return own | {value for value in values if isinstance(value, str)} | set().union(*map(_names_in_schema, node.values()))


def words():
    """Names that a report may show as words: in schemas, quoted in Python of both sides, or made by a policy's expression.

    A label leaves the unit out, and has spaces for underscores.
    """
    plugins = REPO / "plugins"
    names = set()
    for path in (plugins / "plugin_utils" / "schema").glob("*.json"):
        names |= _names_in_schema(json.loads(path.read_text(encoding="utf-8")))
    for path in [*(plugins / "module_utils").rglob("*.py"), *(plugins / "plugin_utils").rglob("*.py")]:
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names |= {node.value for node in tree if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for path in (plugins / "plugin_utils" / "policy").rglob("*.yml"):
        names |= set(re.findall(r"\b([a-z]\w+)\b", path.read_text(encoding="utf-8")))
    names = {name for name in names if re.fullmatch(r"[a-z][a-z0-9_ ]*", name)}
    return {re.sub(end, "", name).replace("_", " ") for name in names for end in ("^$", "(_bytes_per_s|_per_s|_us|_s|_bytes)$")}


def test_no_translation_is_left_over(catalog):
    used = texts_of_python() | texts_of_scripts() | texts_of_template() | texts_of_selftests() | words()
    assert sorted(set(catalog) - used) == []


def texts_of_policies():
    """Names, reasons, titles and remedies of the shipped policies."""
    files = [file for name in ("default", "compliance") for file in shipped(name)]
    rules = [rule for file in files for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["rules"]]
    outcomes = [outcome for rule in rules for outcome in [rule, *rule.get("case", {}).get("of", {}).values()]]
    outcomes += [outcome for table in TABLES.values() for outcome in table.values()]
    fields = ("name", "rationale", "title", "remedy")
    return {" ".join(outcome[field].split()) for outcome in outcomes for field in fields if field in outcome}


def _made(node):
    """Names of the fields in what an expression of JMESPath results in: not those that it makes on its way."""
    kind, parts = node["type"], node["children"]
    if kind == "multi_select_dict":
        return {pair["value"] for pair in parts}.union(*(_made(pair["children"][0]) for pair in parts))
    if kind in ("multi_select_list", "flatten", "or_expression", "and_expression", "function_expression"):
        return set().union(*map(_made, parts))
    if kind in ("pipe", "subexpression", "projection", "value_projection", "index_expression", "filter_projection"):
        last = [part for part in parts[:2] if part["type"] not in ("identity", "index", "slice", "field")]
        return _made(last[-1]) if last else set()
    return set()


def labels_of_evidence():
    """What the page calls the fields that the evidence of a shipped rule has beside those of the facts (label() of lib/format.js)."""
    found = set()
    for name in ("default", "compliance"):
        for file in shipped(name):
            for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["rules"]:
                found |= _made(jmespath.compile(re.sub(r"\$\w+", "`1`", rule["evidence"])).parsed)
    unit = re.compile("(_bytes_per_s|_per_s|_log2_us|_us|_ns|_s|_bytes)$")
    return {unit.sub("", name.removesuffix("_ci95")).replace("_", " ") for name in found}


def test_every_field_that_evidence_makes_is_translated(catalog):
    wanted = labels_of_evidence()
    assert len(wanted) > 100
    assert sorted(wanted - set(catalog)) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_text_of_a_shipped_policy_is_translated_with_the_same_values(path):
    catalog = whole(path)["policies"]
    wanted = texts_of_policies()
    assert (sorted(wanted - set(catalog)), sorted(set(catalog) - wanted)) == ([], [])
    fields = re.compile(r"evidence\.\w+")
    assert [text for text, translation in catalog.items() if set(fields.findall(text)) != set(fields.findall(translation))] == []
    assert load_policy(["default", "compliance"], translate=Assets(str(ROLE), path.stem).rules).rules


def test_a_chinese_report_is_chinese(tmp_path):
    assets = Assets(str(ROLE), "zh")
    folder = data.write(tmp_path, [data.host(f"web{place}", kind) for place, kind in enumerate(data.KINDS)])
    fleet = build(folder, load_policy(translate=assets.rules), translate=assets.translate)
    assert any(group["title"].startswith("内核内存泄漏") for group in fleet["findings"])
    page = render(fleet, assets)
    assert '<html lang="zh-Hans">' in page
    assert "台主机" in fleet["verdict"]["sentence"]
    assert str(markupsafe.escape(fleet["verdict"]["sentence"])) in page
    assert "<h2>先看最严重的</h2>" in page.replace(' id="worst-title"', "")
    assert digest(fleet, assets.translate)[0].startswith("危急")


@pytest.mark.parametrize("language", ["xx", "../../x", "", "EN"])
def test_an_unknown_language_is_named(language):
    with pytest.raises(AssetError, match=r"ksysak_language: there is no .*\(known: en, zh\)"):
        Assets(str(ROLE), language)


def test_values_are_never_templates():
    translate = Messages({"a {x}": "b {x}"})
    assert translate("a {x}", x="{x} {0} {y}") == "b {x} {0} {y}"
    assert translate.many(2, "host") == "2 hosts"
