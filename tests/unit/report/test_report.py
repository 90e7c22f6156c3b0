# SPDX-License-Identifier: GPL-3.0-or-later
"""What is written from a fleet document, and the action that does it."""

import base64
import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.ksysak.fleet.plugins.action import report
from ansible_collections.ksysak.fleet.plugins.filter.findings import findings
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.sections import listed
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.text import clean, in_bytes, in_us, visible
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import parts
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import AssetError, Assets
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.digest import LINE_CHARS, digest
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html import render
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.page import as_embedded, embedded

ROLE = Path(__file__).resolve().parents[3] / "roles" / "report"


@pytest.fixture(scope="module")
def assets():
    return Assets(str(ROLE))


def fleet_of(tmp_path, *documents, **changes):
    return build(data.write(tmp_path, documents, **changes), load_policy())


def options(folder, **changes):
    """Options of the action as Ansible hands them over."""
    given = {"results": str(folder), "scan_id": "", "dest": None, "json_dest": None, "policies": [], "policy_overrides": {}}
    given.update(formats=["html", "json"], baseline=None, history=None, language="en", fail_on="never")
    given["known_bugs"] = []
    given["runbooks"] = ""
    return {**given, "assets": str(ROLE), **changes}


def text_of(page):
    """What a browser without scripts shows, roughly."""
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", page[page.index("<body>") :])
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", body).split()))


def test_the_page_says_the_verdict_without_scripts(tmp_path, assets):
    fleet = fleet_of(tmp_path, data.host("web1", "oopsing"), data.host("web2", "lost"))
    shown = text_of(render(fleet, assets))
    assert fleet["verdict"]["sentence"] in shown
    assert "1 critical" in shown
    assert "lost web2 the host did not answer within 80 s" in shown


def test_the_page_holds_the_whole_document(tmp_path, assets):
    fleet = fleet_of(tmp_path, *data.fleet(20, 0.5))
    assert embedded(render(fleet, assets)) == as_embedded(fleet)


def test_nothing_but_its_own_texts_may_run(tmp_path, assets):
    page = render(fleet_of(tmp_path, data.host("web1")), assets)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        texts = re.findall(rf"(?s)<{tag}>(.*?)</{tag}>", page)
        allowed = [f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" for text in texts]
        assert f"{tag}-src {' '.join(allowed)}" in policy
    body = re.sub(r"(?s)<(script|style)\b.*?</\1>", " ", page)
    assert not re.search(r"\s(on[a-z]+|style|src)=", body)
    assert "sourceMappingURL" not in page


def test_vendored_files_are_what_they_say(tmp_path):
    listed = json.loads((ROLE / "files" / "vendor.json").read_text(encoding="utf-8"))["libraries"]
    named = {entry["file"] for library in listed for entry in library["files"]} | {library["licence_file"] for library in listed}
    assert {path.name for path in (ROLE / "files" / "vendor").iterdir()} == named
    copied = tmp_path / "role"
    shutil.copytree(ROLE, copied)
    with (copied / "files" / "vendor" / "uPlot.iife.min.js").open("a", encoding="utf-8") as file:
        file.write("//")
    with pytest.raises(AssetError, match=r"uPlot\.iife\.min\.js is not the file that was vendored"):
        Assets(str(copied))


ASSETS = [
    "templates/report.html.j2",
    "files/vendor.json",
    "files/main.js",
    "files/lib/dom.js",
    "files/sections/leaks.js",
    "files/vendor/uPlot.min.css",
]


@pytest.mark.parametrize("missing", ASSETS)
def test_a_missing_asset_is_named(tmp_path, missing):
    shutil.copytree(ROLE, tmp_path / "role")
    (tmp_path / "role" / missing).unlink()
    with pytest.raises(AssetError, match=f"{missing}: No such file"):
        Assets(str(tmp_path / "role"))


def test_a_script_of_no_section_is_named(tmp_path):
    shutil.copytree(ROLE, tmp_path / "role")
    (tmp_path / "role" / "files" / "sections" / "toy.js").write_text("export const render = () => 1\n")
    with pytest.raises(AssetError, match=r"toy\.js: the fleet document has no section 'toy'"):
        Assets(str(tmp_path / "role"))


def test_a_section_is_its_script_and_its_line(tmp_path, monkeypatch):
    """Navigation, place and script of a section come from its entry alone; nothing else of the page names it."""
    shutil.copytree(ROLE, tmp_path / "role")
    (tmp_path / "role" / "files" / "sections" / "toy.js").write_text("export const render = (toy, root) => root.append(toy.text)\n")
    monkeypatch.setattr(parts, "listed", lambda: [*listed(), {"key": "toy", "title": "Toys", "probe": "toy"}])
    page = render(fleet_of(tmp_path, data.host("web1")), Assets(str(tmp_path / "role")))
    assert '<a href="#toy">Toys</a>' in page
    assert re.search(r'<section id="toy">\s*<details open><summary><h2>Toys</h2></summary>', page)
    assert '"toy": m["sections/toy.js"]' in page


def test_the_page_holds_every_script_of_the_role(assets):
    files = ROLE / "files"
    own = {path.relative_to(files).as_posix() for path in files.rglob("*.js")} - {f"vendor/{path.name}" for path in files.glob("vendor/*")}
    assert len(own) > 25
    assert {name for name in own if f'm["{name}"] = ' not in assets.scripts[-1]} == set()


def test_a_broken_template_is_named(tmp_path, assets):
    broken = Assets(str(ROLE))
    broken.template = "{{ fleet.verdikt.level }}"
    with pytest.raises(AssetError, match=r"report\.html\.j2: .*verdikt"):
        render(fleet_of(tmp_path, data.host("web1")), broken)


def test_the_digest_is_short_whatever_the_fleet_holds(tmp_path):
    documents = [data.host(f"{number}" * 60, "oopsing") for number in range(30)] + [data.host(f"gone{n}", "lost") for n in range(40)]
    for number, document in enumerate(documents[:30]):
        event = data.exception(signature=f"s{number}", title="x" * 512)
        document["probes"]["os_exceptions"]["data"] = data.os_exceptions(event)
    lines = digest(fleet_of(tmp_path, *documents))
    assert len(lines) <= 40
    assert max(map(len, lines[1:])) <= LINE_CHARS
    assert "  … and 20 more findings" in lines
    assert "  … and 30 more hosts" in lines


@pytest.mark.parametrize(
    "hostile", ["\x1b]0;owned\x07", "\x1b[2J\x1b[H", "a\rb", "\x9b31m", "\u202eevil", "\ud800", "two\nlines", "\u2028"]
)
def test_terminals_are_safe_from_hosts(tmp_path, hostile):
    down = data.host("web2", "failed")
    down["reason"] = hostile
    odd = data.host("web1", "noisy")
    odd["probes"]["runlatency"]["data"] = data.runlatency(data.wait(50000.0, longest_runner=f"x{hostile}"))
    document = fleet_of(tmp_path, odd, down)
    validate(document)
    lines = digest(document)
    assert any("web2" in line for line in lines)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", "".join(lines))


def test_cleaning_keeps_the_length_and_what_is_harmless():
    assert visible("a\x1bb\x7f\u202e\ud800") == "a\u241bb\u2421\ufffd\ufffd"
    assert clean({"k\x00": ["ä\n\t", 1, None]}) == {"k\u2400": ["ä\n\t", 1, None]}


def test_numbers_for_people():
    assert [in_us(value) for value in (0, 12.34, 999.9, 48200, 1.5e6, 6e9, None)] == [
        "0 us",
        "12.3 us",
        "1000 us",
        "48.2 ms",
        "1.5 s",
        "6000 s",
        "?",
    ]
    assert [in_bytes(value) for value in (0, 1023, 1536, 497664, -1048576)] == ["0 B", "1023 B", "1.5 KiB", "486 KiB", "-1.0 MiB"]


FLEETS = {
    "no findings": ([data.host("web1"), data.host("web2")], "clear"),
    "one host": ([data.host("web1", "noisy")], "error"),
    "all failed": ([data.host("web1", "failed"), data.host("web2", "unreachable")], "unknown"),
    "no hosts": ([], "unknown"),
}


@pytest.mark.parametrize("name", FLEETS)
def test_a_report_is_always_made_and_says_how_it_is(tmp_path, name):
    documents, level = FLEETS[name]
    folder = data.write(tmp_path, documents)
    result = report.make(options(folder), check_mode=False)
    assert result["verdict"]["level"] == level
    assert result["digest"][0] == f"{level.upper()}: {result['verdict']['sentence']}"
    page = Path(result["report"]).read_text(encoding="utf-8")
    assert result["verdict"]["sentence"] in text_of(page)
    fleet = json.loads(Path(result["fleet"]).read_text(encoding="utf-8"))
    validate(fleet)
    assert embedded(page) == as_embedded(fleet)
    left = {"findings-history.json", "fleet.json", "hosts", "memory-counters.jsonl", "report.html", "scan.json"}
    assert {path.name for path in folder.iterdir()} == left


def test_a_report_speaks_one_language(tmp_path):
    folder = data.write(tmp_path, [data.host("web1", "leaking")])
    result = report.make({**options(folder), "language": "zh"}, check_mode=False)
    assert any("内核内存泄漏，位于 acme_rx_refill" in line for line in result["digest"])


def test_cut_files_are_reported(tmp_path):
    folder = data.write(tmp_path, [data.host("web1"), data.host("web2")])
    path = folder / "hosts" / "web1.json"
    path.write_bytes(path.read_bytes()[:700])
    result = report.make(options(folder), check_mode=False)
    assert (result["verdict"]["level"], result["problems"], result["hosts"]["unreadable"]) == ("incomplete", 1, 1)
    assert any("hosts/web1.json is not JSON" in line for line in result["digest"])


def test_check_mode_writes_nothing(tmp_path):
    folder = data.write(tmp_path, [data.host("web1")])
    result = report.make(options(folder, dest=str(tmp_path / "new" / "report.html")), check_mode=True)
    assert result["changed"]
    assert sorted(path.name for path in folder.iterdir()) == ["hosts", "scan.json"]
    assert not (tmp_path / "new").exists()


def test_the_report_goes_where_it_is_asked_to_and_replaces_the_old_one(tmp_path):
    folder = data.write(tmp_path, [data.host("web1")])
    dest = tmp_path / "new" / "folder" / "out.html"
    for _again in range(2):
        result = report.make(options(tmp_path, dest=str(dest)), check_mode=False)
    assert (result["report"], result["fleet"]) == (str(dest), str(dest.with_name("fleet.json")))
    assert sorted(path.name for path in dest.parent.iterdir()) == ["fleet.json", "out.html"]
    assert sorted(path.name for path in folder.iterdir()) == ["findings-history.json", "hosts", "memory-counters.jsonl", "scan.json"]


def test_bad_input_names_the_option_and_writes_nothing(tmp_path):
    folder = data.write(tmp_path, [data.host("web1")])
    (tmp_path / "file").write_text("", encoding="utf-8")
    wrong = {
        "ksysak_results: .*none: no such folder": {"results": str(tmp_path / "none")},
        "ksysak_scan_id: .*'none'": {"results": str(tmp_path), "scan_id": "none"},
        "ksysak_history: .*none: no such folder": {"history": str(tmp_path / "none")},
        "ksysak_report: .*file is not a folder": {"dest": str(tmp_path / "file" / "report.html")},
        "ksysak_report: .*is a folder": {"dest": str(tmp_path)},
        "json_dest: .*is a folder": {"json_dest": str(tmp_path)},
        r"none\.yml: cannot be read": {"policies": [str(tmp_path / "none.yml")]},
        "ksysak_policy_overrides: no rule is called 'x'": {"policy_overrides": {"x": {}}},
        "report.html.j2: No such file": {"assets": str(tmp_path)},
    }
    for said, changes in wrong.items():
        with pytest.raises(report.BAD_INPUT, match=said):
            report.make(options(folder, **changes), check_mode=False)
    assert sorted(path.name for path in folder.iterdir()) == ["hosts", "scan.json"]


def test_a_file_that_cannot_be_written_leaves_nothing_behind(tmp_path, monkeypatch):
    folder = data.write(tmp_path, [data.host("web1")])
    monkeypatch.setattr("os.replace", lambda source, target: (nothing for nothing in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(report.BAD_INPUT, match="No space left on device"):
        report.make(options(folder), check_mode=False)
    assert sorted(path.name for path in folder.iterdir()) == ["hosts", "scan.json"]


def test_the_filter_gives_the_findings_of_the_design():
    found = findings(data.host("web1", "oopsing"), overrides={"os-exception": {"enabled": True}})
    assert [finding["severity"] for finding in found] == ["critical", "error"]
    assert set(found[0]) == {
        "id", "rule", "probes", "severity", "category", "title", "host", "signature", "evidence", "remedy", "references",
    }  # fmt: skip
    for wrong, said in ((data.scan(["web1"]), "a host document is expected"), ({}, "are expected"), ("text", "JSON object")):
        with pytest.raises(AnsibleFilterError, match=said):
            findings(wrong)
    with pytest.raises(AnsibleFilterError, match="no rule is called"):
        findings(data.host("web1"), overrides={"x": {}})


def test_role_variables_are_documented_alike():
    described = yaml.safe_load((ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text(encoding="utf-8"))
    assert set(described) == set(defaults)
    for name, spec in described.items():
        if "default" in spec:
            assert spec["default"] == defaults[name]
        assert f"`{name}`" in (ROLE / "README.md").read_text(encoding="utf-8")
