# SPDX-License-Identifier: GPL-3.0-or-later
"""The same content for machines: each format against its own rules, whatever hosts send."""

import csv
import io
import json
import re
from pathlib import Path
from xml.etree import ElementTree

import fastjsonschema
import lxml.etree
import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.action import report
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import compliance, verdict
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import formats, junit, sarif, table
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.digest import digest
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data

SARIF = json.loads(Path(__file__).with_name("sarif-2.1.0.json").read_text(encoding="utf-8"))
URI = r"^[A-Za-z][A-Za-z0-9+.-]*:[^\s]*$"
check_sarif = fastjsonschema.compile(
    {**SARIF, "$schema": "http://json-schema.org/draft-07/schema#"},
    formats={"uri": URI, "uri-reference": r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*$"},
)

WAIVERS = {"schema": "ksysak.policy/1", "waivers": [
    {"rule": "slab-growth", "owner": "=ops", "reason": "<known> & accepted", "expires": "2099-01-01"}]}  # fmt: skip


@pytest.fixture
def fleet_of(tmp_path):
    """Return a function that makes a fleet document of host documents; slab-growth is waived."""

    def make(*documents, **changes):
        path = tmp_path / "waivers.yml"
        path.write_text(yaml.safe_dump(WAIVERS), encoding="utf-8")
        fleet = build(data.write(tmp_path, documents, **changes), load_policy(["default", str(path)]))
        validate(fleet)
        return fleet

    return make


def mixed():
    return [data.host(f"web{place}", kind) for place, kind in enumerate(data.KINDS)]


HOSTILE = "</failure><x>&amp;\"' ]]>\ufffe\uffff=1+1"


def hostile():
    document = data.host(f'web<1>&"{HOSTILE}', "noisy")
    document["probes"]["runlatency"]["data"] = data.runlatency(data.wait(50000.0, longest_runner=HOSTILE))
    down = data.host("\u202eweb2 ]]>", "failed")
    down["reason"] = HOSTILE + "\x00\x1b[31m\u2028"
    return [document, down]


RULES = [rule.id for rule in load_policy().rules]
FLEETS = {"mixed": mixed, "hostile": hostile, "empty": list, "all failed": lambda: [data.host("web1", "failed")]}


# --- SARIF ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FLEETS)
def test_sarif_fits_the_public_schema(fleet_of, name):
    document = json.loads(sarif.render(fleet_of(*FLEETS[name]())))
    check_sarif(document)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
    fingerprints = [result["partialFingerprints"]["ksysakSignature/v1"] for result in run["results"]]
    assert len(set(fingerprints)) == len(fingerprints)


def test_the_public_schema_refuses_what_is_no_sarif(fleet_of):
    document = json.loads(sarif.render(fleet_of(*mixed())))
    for path, value in ((("version",), "2.0"), (("runs", 0, "results", 0, "level"), "fatal"), (("runs", 0, "results", 0, "locatons"), [])):
        wrong = json.loads(json.dumps(document))
        node = wrong
        for step in path[:-1]:
            node = node[step]
        node[path[-1]] = value
        with pytest.raises(fastjsonschema.JsonSchemaException):
            check_sarif(wrong)


def test_sarif_has_every_finding_with_its_place_and_every_waiver_as_a_suppression(fleet_of):
    fleet = fleet_of(*mixed())
    (run,) = json.loads(sarif.render(fleet))["runs"]
    told = {
        (result["ruleId"], result["locations"][0]["logicalLocations"][0]["name"])
        for result in run["results"]
        if "suppressions" not in result
    }
    assert told == {(group["rule"], member["host"]) for group in fleet["findings"] for member in group["hosts"]}
    (waived,) = [result for result in run["results"] if "suppressions" in result]
    assert waived["ruleId"] == "slab-growth"
    assert waived["suppressions"][0]["justification"] == "<known> & accepted (=ops, until 2099-01-01)"
    oops = next(result for result in run["results"] if result["properties"]["severity"] == "critical")
    assert (oops["level"], oops["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]) == ("error", "hosts/web3.json")
    notes = [note["message"]["text"] for note in run["invocations"][0]["toolExecutionNotifications"]]
    assert any(note.startswith("web5 (unreachable): ssh: connect") for note in notes)


def test_sarif_compares_with_the_earlier_scan(tmp_path):
    kinds = {"web1.prod.example.net": ("leaking", "leaking"), "web2.prod.example.net": ("oopsing", "healthy")}
    kinds["web3.prod.example.net"] = ("healthy", "noisy")
    before = [data.host(name, kind, "20261116T030800Z-00aa11") for name, (kind, _now) in kinds.items()]
    now = [data.host(name, kind) for name, (_before, kind) in kinds.items()]
    worse = {**data.LEAK, "growth_bytes_per_s": 3 * data.LEAK["growth_bytes_per_s"]}
    now[0]["probes"]["memleak"] = data.envelope("memleak", data.memleak(data.outstanding(**worse), SUnreclaim=20 * 2**20))
    made = data.write(tmp_path / "before", before, scan_id="20261116T030800Z-00aa11")
    baseline = made.rename(made.with_name("20261116T030800Z-00aa11"))
    (run,) = json.loads(sarif.render(build(data.write(tmp_path / "now", now), load_policy(), baseline)))["runs"]
    check_sarif({"version": "2.1.0", "runs": [run]})
    states = {}
    for result in run["results"]:
        host = result["locations"][0]["logicalLocations"][0]["name"].split(".")[0]
        states.setdefault((host, result["ruleId"]), result["baselineState"])
    assert states["web1", "memleak-suspected"] == "updated"
    assert states["web2", "os-exception"] == "absent"
    assert states["web3", "runq-latency"] == "new"
    assert run["baselineGuid"] != run["automationDetails"]["guid"]


def test_the_help_of_a_rule_is_about_no_instance(fleet_of):
    fleet = fleet_of(*mixed())
    (run,) = json.loads(sarif.render(fleet))["runs"]
    rules = {rule["id"]: rule for rule in run["tool"]["driver"]["rules"]}
    assert len(rules) > 40
    for rule in rules.values():
        assert rule["help"]["text"].startswith(rule["shortDescription"]["text"])
    stall = rules["kernel-stall"]["help"]
    assert "nosched: Another task was to run on that CPU" in stall["text"]
    assert "**What to do**" in stall["markdown"] and "**Thresholds**" in stall["markdown"]
    assert "{{" not in json.dumps(run["tool"])
    remedies = {group["remedy"] for group in fleet["findings"]}
    assert not [rule["id"] for rule in rules.values() if rule["help"]["text"] in remedies]
    assert "acme" not in json.dumps(run["tool"])
    assert {result["properties"].get("remedy") for result in run["results"] if "suppressions" not in result} <= remedies


def test_sarif_stays_within_what_services_take(fleet_of, monkeypatch):
    monkeypatch.setattr(sarif, "RESULTS", 2)
    (run,) = json.loads(sarif.render(fleet_of(*mixed())))["runs"]
    assert len(run["results"]) == 2
    assert "more results are not in this file" in run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]


# --- JUnit ---------------------------------------------------------------------------------------------------------------

# What build servers take: attributes and children of each element (the union would let everything through).
JUNIT = {
    "testsuites": ({"name", "time", "tests", "failures", "disabled", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors", "time", "disabled", "skipped", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": ({"name", "classname", "time", "assertions", "status"}, {"skipped", "error", "failure", "system-out", "system-err"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
}


# What Jenkins itself checks (Surefire's dialect, which most others read too).
XSD = lxml.etree.XMLSchema(lxml.etree.parse(Path(__file__).with_name("junit-10.xsd")))


def checked_junit(fleet):
    text = junit.render(fleet).encode()
    XSD.assertValid(lxml.etree.fromstring(text))
    root = ElementTree.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = JUNIT[element.tag]
        assert set(element.attrib) <= attributes
        assert {child.tag for child in element} <= children
    totals = dict.fromkeys(("tests", "failures", "errors"), 0)
    for suite in root:
        cases = suite.findall("testcase")
        count = {"tests": len(cases), **{f"{kind}s": len(suite.findall(f"testcase/{kind}")) for kind in ("failure", "error")}}
        assert {name: int(suite.get(name)) for name in count} == count
        assert int(suite.get("skipped")) == len(suite.findall("testcase/skipped"))
        assert all(case.get("classname") == suite.get("name") and case.get("name") for case in cases)
        assert not suite.get("timestamp") or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", suite.get("timestamp"))
        totals = {name: totals[name] + count[name] for name in totals}
    assert {name: int(root.get(name)) for name in totals} == totals
    assert len({suite.get("name") for suite in root}) == len(root)
    return {suite.get("name"): suite for suite in root}


@pytest.mark.parametrize("name", FLEETS)
def test_junit_is_what_build_servers_take(fleet_of, name):
    checked_junit(fleet_of(*FLEETS[name]()))


@pytest.mark.parametrize("wrong", ["<testsuites><testcase name='x'/></testsuites>", "<testsuite name='x' tests='1' failures='0'/>"])
def test_the_schema_of_build_servers_refuses_what_is_no_junit(wrong):
    assert not XSD.validate(lxml.etree.fromstring(wrong))


def results_of(suite):
    """Return {name of a case: what became of it}."""
    return {case.get("name"): next((child.tag for child in case), "passed") for case in suite.iter("testcase")}


def test_junit_fails_for_findings_and_errs_for_hosts_that_nobody_saw(fleet_of):
    suites = checked_junit(fleet_of(*mixed()))
    assert [name for name, result in results_of(suites["os-exception"]).items() if result == "failure"] == ["web3"]
    hosts = results_of(suites["hosts"])
    assert [name for name, result in hosts.items() if result == "error"] == ["web5", "web6", "web7"]
    assert sum(result == "passed" for result in hosts.values()) == 5
    (skipped,) = [case.find("skipped") for case in suites["slab-growth"] if case.get("name") == "web1"]
    assert skipped.get("message") == "waived until 2099-01-01 by =ops: <known> & accepted"
    (info,) = [case for case in suites["probe-status"] if case.find("system-out") is not None][:1]
    assert info.find("failure") is None
    leaks = results_of(suites["memleak-suspected"])
    assert (leaks["web1"], leaks["web0"], leaks["web5"]) == ("failure", "passed", "skipped")


def names_of(suites):
    return [(name, case.get("classname"), case.get("name")) for name, suite in suites.items() for case in suite.iter("testcase")]


def changed_fleets(fleet_of, tmp_path):
    """Return the suites of one inventory: as it is; with everything repaired; with nothing measured."""
    kinds = [data.KINDS, ["healthy"] * len(data.KINDS), ["unreachable"] * len(data.KINDS)]
    return [
        checked_junit(
            build(data.write(tmp_path / str(n), [data.host(f"web{place}", kind) for place, kind in enumerate(some)]), load_policy())
        )
        for n, some in enumerate(kinds)
    ]


def test_what_was_repaired_turns_green_under_the_same_name(fleet_of, tmp_path):
    before, repaired, unmeasured = changed_fleets(fleet_of, tmp_path)
    assert names_of(before) == names_of(repaired) == names_of(unmeasured)
    assert len(set(names_of(before))) == len(names_of(before)) == (len(RULES) + 1) * len(data.KINDS) + len(RULES) + 1
    failed = [(rule, host) for rule, suite in before.items() for host, result in results_of(suite).items() if result == "failure"]
    assert len(failed) >= 3
    assert {results_of(repaired[rule])[host] for rule, host in failed} == {"passed"}
    assert {results_of(unmeasured[rule])[host] for rule, host in failed} == {"skipped"}


def test_a_large_fleet_has_a_case_for_each_rule_and_each_host(fleet_of, tmp_path, monkeypatch):
    monkeypatch.setattr(compliance, "LETTERS", len(RULES) * len(data.KINDS) - 1)
    before, repaired, unmeasured = changed_fleets(fleet_of, tmp_path)
    assert names_of(before) == names_of(repaired) == names_of(unmeasured)
    assert len(names_of(before)) == len(RULES) + len(data.KINDS) + len(RULES) + 1
    oops = before["os-exception"].find("testcase")
    assert (oops.get("name"), oops.find("failure").get("type")) == ("all hosts", "critical")
    assert "critical: web3: " in oops.find("failure").text
    assert results_of(before["hosts"])["web3"] == "failure"
    assert results_of(before["hosts"])["web5"] == "error"
    assert results_of(repaired["os-exception"]) == {"all hosts": "passed"}
    assert results_of(unmeasured["os-exception"]) == {"all hosts": "skipped"}


def test_junit_keeps_within_what_services_take(fleet_of, monkeypatch):
    fleet = fleet_of(*mixed())
    whole = junit.render(fleet)
    monkeypatch.setattr(junit, "DETAIL_CHARS", 0)
    messages = [
        case.find("failure").get("message") for suite in checked_junit(fleet).values() for case in suite if case.find("failure") is not None
    ]
    assert len(messages) >= 3
    assert all(messages)
    assert len(junit.render(fleet)) < len(whole)


def test_several_findings_of_a_rule_on_a_host_are_one_case(fleet_of):
    document = data.host("web1")
    events = [data.exception(title=f"Oops {number}", signature=f"s{number}") for number in range(25)]
    document["probes"]["os_exceptions"]["data"] = data.os_exceptions(*events)
    (case,) = checked_junit(fleet_of(document))["os-exception"].findall("testcase")
    failure = case.find("failure")
    assert failure.get("message").endswith(" (and 24 more)")
    assert failure.text.endswith("and 5 more: the report has all")


def test_junit_keeps_what_hosts_send_as_text(fleet_of):
    suites = checked_junit(fleet_of(*hostile()))
    failure = next(case.find("failure") for case in suites["runq-latency"] if case.find("failure") is not None)
    assert HOSTILE.replace("\ufffe\uffff", "\ufffd\ufffd") in failure.get("message")


# --- CSV -----------------------------------------------------------------------------------------------------------------


def rows_of(fleet):
    text = table.render(fleet)
    assert text.startswith("\ufeff")
    assert all(line.startswith('"') and line.endswith('"') for line in text.removeprefix("\ufeff").splitlines())
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def test_csv_has_numbers_as_numbers_and_their_unit_in_the_measure(tmp_path):
    names = [f"web{number}.fra1.compute.prod.example-company.net" for number in range(2)]
    baseline = data.write(tmp_path / "before", [data.host(names[0], "leaking"), data.host(names[1])])
    folder = data.write(tmp_path / "now", [data.host(names[0], "leaking"), data.host(names[1], "oopsing")])
    text = table.render(build(folder, load_policy(), baseline))
    rows = list(csv.reader(io.StringIO(text.removeprefix("\ufeff")), quoting=csv.QUOTE_NONNUMERIC))
    found = {(row["rule"], row["host"]): row for row in (dict(zip(rows[0], row, strict=True)) for row in rows[1:])}
    leak = found["memleak-suspected", names[0]]
    assert (leak["value"], leak["measure"], leak["change"]) == (497664.0, "growth_bytes_per_s", "unchanged")
    oops = found["os-exception", names[1]]
    assert (oops["last_seen"], oops["change"], oops["times"]) == ("2026-11-23T02:41:07Z", "new", 1.0)
    assert oops["groups"] == "all; web"


def test_csv_has_a_row_for_everything(fleet_of):
    fleet = fleet_of(*mixed())
    rows = rows_of(fleet)
    assert set(rows[0]) == set(table.COLUMNS)
    found = {(row["rule"], row["host"]) for row in rows if row["state"] == "finding"}
    assert found == {(group["rule"], member["host"]) for group in fleet["findings"] for member in group["hosts"]}
    assert {row["host"]: row["state"] for row in rows if not row["rule"]} == {"web5": "unreachable", "web6": "failed", "web7": "lost"}
    (waived,) = [row for row in rows if row["state"] == "waived"]
    assert waived["reason"] == "until 2099-01-01 by =ops: <known> & accepted"
    assert next(row for row in rows if row["host"] == "web3")["kernel"] == "6.1.0-28-amd64"


@pytest.mark.parametrize(
    "formula",
    ["=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", " \n =1", "\uff1d1+1", "|x", "%x", '=HYPERLINK("http://x")'],
)
def test_no_cell_is_a_formula(fleet_of, formula):
    document = data.host(f"{formula}host", "oopsing")
    document["groups"] = [formula]
    document["system"].update(kernel=formula, distribution=formula)
    document["probes"]["os_exceptions"]["data"] = data.os_exceptions(data.exception(title=formula, signature=formula))
    down = data.host("web2", "failed")
    down["reason"] = formula
    rows = rows_of(fleet_of(document, down))
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if cell.startswith(table.FORMULA) or re.search(r"[\x00-\x1f]", cell)]
    assert sum(cell.startswith(("'", "\u240d")) for cell in cells) >= 5


# --- digest, and the action that writes all ---------------------------------------------------------------------------------


def test_the_digest_tells_causes_changes_and_outliers(tmp_path):
    before = [data.host(f"web{place}") for place in range(40)]
    now = [data.host(f"web{place}", "leaking" if place < 8 else "healthy") for place in range(39)] + [data.host("web39", "noisy")]
    for place, document in enumerate(now):
        document["system"]["modules"] = ["ext4", *(["acme_nic"] if place < 9 else [])]
    baseline = data.write(tmp_path / "before", before)
    lines = digest(build(data.write(tmp_path / "now", now), load_policy(), baseline))
    assert any(line.strip() == "module acme_nic: on 8 of 9 hosts with it, on 0 of 31 without it" for line in lines)
    assert f"Since {data.SCAN_ID}: 20 new" in lines
    assert any(line.startswith("Unlike the rest: web39 (") for line in lines)


def options(folder, **changes):
    role = Path(__file__).resolve().parents[3] / "roles" / "report"
    given = {"results": str(folder), "scan_id": "", "dest": None, "json_dest": None, "policies": [], "policy_overrides": {}}
    given.update(
        formats=list(formats.FILES),
        baseline=None,
        history=None,
        language="en",
        fail_on="never",
        known_bugs=[],
        runbooks="",
        assets=str(role),
    )
    return {**given, **changes}


def test_all_formats_are_written_beside_the_report(tmp_path):
    folder = data.write(tmp_path, mixed())
    result = report.make(options(folder), check_mode=False)
    beside = {"hosts", "scan.json", "memory-counters.jsonl", "findings-history.json"}
    assert {path.name for path in folder.iterdir()} == {*formats.FILES.values(), *beside}
    for name, file in result["files"].items():
        raw = (folder / formats.FILES[name]).read_bytes()
        assert (file["path"], file["bytes"]) == (str(folder / formats.FILES[name]), len(raw))
    assert (folder / "digest.txt").read_text(encoding="utf-8").splitlines() == result["digest"]
    few = report.make(options(folder, formats=["sarif"], dest=str(tmp_path / "out" / "x.html")), check_mode=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["findings.sarif"]
    assert "report" not in few


def test_check_mode_writes_no_format(tmp_path):
    folder = data.write(tmp_path, mixed())
    assert set(report.make(options(folder), check_mode=True)["files"]) == set(formats.FILES)
    assert sorted(path.name for path in folder.iterdir()) == ["hosts", "scan.json"]


@pytest.mark.parametrize(
    ("kinds", "failing"),
    [
        (["healthy"], set()),
        (["healthy", "lost"], {"incomplete"}),
        (["leaking"], {"incomplete", "warning", "error"}),
        (["noisy"], {"incomplete", "warning", "error"}),
        (["oopsing"], {"incomplete", "warning", "error", "critical"}),
        (["lost"], {"incomplete", "warning", "error", "critical", "fatal"}),
        ([], {"incomplete", "warning", "error", "critical", "fatal"}),
    ],
)
def test_what_is_not_good_enough_does_not_pass(tmp_path, kinds, failing):
    folder = data.write(tmp_path, [data.host(f"web{place}", kind) for place, kind in enumerate(kinds)])
    result = {level: report.make(options(folder, formats=[], fail_on=level), check_mode=True)["passed"] for level in verdict.FAIL_ON}
    assert {level for level, passed in result.items() if not passed} == failing


def test_the_baseline_is_a_scan_or_the_last_one_before(tmp_path):
    for name, began, kind in (
        ("a", "2026-01-01T00:00:00Z", "healthy"),
        ("b", "2026-02-01T00:00:00Z", "leaking"),
        ("c", "2026-03-01T00:00:00Z", "oopsing"),
    ):
        folder = data.write(tmp_path / "made", [data.host("web1", kind, scan_id=name)], scan_id=name, started_at=began)
        folder.rename(tmp_path / name)
    last = report.make(options(tmp_path, baseline=str(tmp_path)), check_mode=True)
    assert (last["scan_id"], last["drift"]["new"], last["drift"]["resolved"] + last["drift"]["rebooted"]) == ("c", 2, 2)
    named = report.make(options(tmp_path, baseline=str(tmp_path / "a")), check_mode=True)
    assert (named["drift"]["new"], named["drift"]["resolved"]) == (2, 0)
    first = report.make(options(tmp_path, scan_id="a", baseline=str(tmp_path)), check_mode=True)
    assert first["drift"] == {}
    assert "There is no earlier scan to compare with yet." in first["verdict"]["notes"]
    with pytest.raises(report.BAD_INPUT, match="ksysak_baseline: .*no such folder"):
        report.make(options(tmp_path, baseline=str(tmp_path / "none")), check_mode=True)


def test_runbooks_have_the_rule_at_the_end_and_are_secure(tmp_path):
    folder = data.write(tmp_path, mixed())
    report.make(options(folder, formats=["json", "sarif"], runbooks="https://wiki.example.net/kernel"), check_mode=False)
    assert json.loads((folder / "fleet.json").read_text(encoding="utf-8"))["runbooks"] == "https://wiki.example.net/kernel/"
    (run,) = json.loads((folder / "findings.sarif").read_text(encoding="utf-8"))["runs"]
    helped = {rule["id"]: rule["helpUri"] for rule in run["tool"]["driver"]["rules"]}
    assert helped["runq-latency"] == "https://wiki.example.net/kernel/runq-latency"
    for wrong in ("http://wiki.example.net/", "javascript:alert(1)//https://", "https://a b/", "https://x/<b>", 'https://x/"'):
        with pytest.raises(report.BAD_INPUT, match="ksysak_runbooks"):
            report.make(options(folder, runbooks=wrong), check_mode=True)
