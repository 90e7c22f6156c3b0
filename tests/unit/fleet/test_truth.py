# SPDX-License-Identifier: GPL-3.0-or-later
"""What the fleet document claims is true of each host, and nothing that was not judged is called clear."""

import json

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.groups import shared_title
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.order import age_days
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.verdict import passes
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.source import shipped
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.text import for_log
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data

RULES = [rule.id for rule in load_policy().rules]
DOMAIN = "rack07.fra2.prod.example.net"


def named(place, role="edge"):
    """A name as hosts of real fleets have."""
    return f"{role}-{place:05d}.{DOMAIN}"


def made(folder, policies=None, overrides=None, baseline=None):
    fleet = build(folder, load_policy(policies, overrides), baseline)
    validate(fleet)
    return fleet


def faulty(place):
    """A host with a leak, an OOM, an oops and waits of 310 ms."""
    document = data.host(named(place), "leaking")
    document["probes"]["os_exceptions"] = data.host("x", "oopsing")["probes"]["os_exceptions"]
    document["probes"]["runlatency"]["data"] = data.runlatency(data.wait(310000.0))
    return document


def rule_of(fleet, rule):
    return next(entry for entry in fleet["compliance"]["rules"] if entry["rule"] == rule)


def test_with_every_rule_off_nothing_is_known(tmp_path):
    folder = data.write(tmp_path, [faulty(place) for place in range(6)])
    fleet = made(folder, overrides={rule: {"enabled": False} for rule in RULES})
    assert fleet["verdict"]["level"] == "unknown"
    assert "no rule of the policy is on" in fleet["verdict"]["sentence"]
    assert not any(passes(fleet["verdict"]["level"], level) for level in ("fatal", "warning", "incomplete"))
    (note,) = [note for note in fleet["verdict"]["notes"] if note.startswith("Off: ")]
    assert "ksysak_policy_overrides" in note
    assert f"and {len(RULES) - 4} more" in note


def test_one_rule_off_is_no_all_clear(tmp_path):
    folder = data.write(tmp_path, [data.host(named(place)) for place in range(3)])
    assert made(folder)["verdict"]["level"] == "clear"
    fleet = made(folder, overrides={"cpu-pressure": {"enabled": False}})
    assert fleet["verdict"]["level"] == "incomplete"
    assert f"1 of {len(RULES)} rules are off" in fleet["verdict"]["sentence"]
    assert "Off: cpu-pressure (ksysak_policy_overrides)." in fleet["verdict"]["notes"]
    assert rule_of(fleet, "cpu-pressure")["off"] == 3
    assert rule_of(fleet, "cpu-pressure")["pass"] == 0


def test_a_rule_that_is_off_on_some_hosts_is_no_all_clear(tmp_path):
    folder = data.write(tmp_path, [data.host(named(place)) for place in range(3)])
    fleet = made(folder, overrides={"cpu-pressure": {"hosts": {"edge-00001.*": {"enabled": False}}}})
    assert fleet["verdict"]["level"] == "incomplete"
    assert "Off: cpu-pressure on 1 host (ksysak_policy_overrides)." in fleet["verdict"]["notes"]
    (change,) = rule_of(fleet, "cpu-pressure")["changes"]
    assert (change["scope"], change["of"], change["from"], change["to"]) == ("hosts", "edge-00001.*", True, False)


def noisy(place, delay_us=310000.0):
    document = data.host(named(place))
    document["probes"]["runlatency"]["data"] = data.runlatency(data.wait(delay_us))
    return document


def test_a_threshold_that_hides_findings_leaves_a_trace(tmp_path):
    folder = data.write(tmp_path, [noisy(0), noisy(1), data.host(named(2))])
    changed = tmp_path / "team.yml"
    changed.write_text("schema: ksysak.policy/1\noverrides:\n  runq-latency:\n    delay_us: 100000000\n", encoding="utf-8")
    fleet = made(folder, ["default", str(changed)])
    assert fleet["findings"] == []
    assert fleet["verdict"]["level"] == "incomplete"
    assert "changes of the policy hide 2 findings" in fleet["verdict"]["sentence"]
    (note,) = [note for note in fleet["verdict"]["notes"] if "runq-latency" in note]
    assert note == (
        "Hidden by changes of the policy: runq-latency: delay_us 20000 → 100000000 (team.yml:4:5): 2 findings on 2 hosts not reported."
    )
    assert rule_of(fleet, "runq-latency")["not_judged"] == {"hosts": 2, "findings": 2, "severity": "error"}


def test_a_severity_that_nobody_looks_at_hides_findings_too(tmp_path):
    folder = data.write(tmp_path, [noisy(0)])
    fleet = made(folder, overrides={"runq-latency": {"severity": "info"}})
    assert fleet["verdict"]["level"] == "incomplete"
    assert any("runq-latency: severity error → info" in note for note in fleet["verdict"]["notes"])


def test_a_change_that_hides_nothing_is_shown_and_harmless(tmp_path):
    folder = data.write(tmp_path, [data.host(named(0))])
    fleet = made(folder, overrides={"runq-latency": {"delay_us": 50000}, "cpu-steal": {"share": 0.1}})
    assert fleet["verdict"]["level"] == "clear"
    assert [change["field"] for change in rule_of(fleet, "runq-latency")["changes"]] == ["delay_us"]
    assert rule_of(fleet, "cpu-steal")["changes"] == []


def test_a_stricter_threshold_hides_nothing(tmp_path):
    folder = data.write(tmp_path, [noisy(0)])
    fleet = made(folder, overrides={"runq-latency": {"delay_us": 1000}})
    assert rule_of(fleet, "runq-latency")["not_judged"] is None
    assert fleet["verdict"]["level"] == "error"


def test_facts_that_no_rule_reads_were_not_judged(tmp_path):
    folder = data.write(tmp_path, [data.host(named(0), "leaking")])
    (own,) = [path for path in shipped("default") if path.name == "runlatency.yml"]
    fleet = made(folder, [str(own)])
    assert fleet["verdict"]["level"] == "incomplete"
    (note,) = [note for note in fleet["verdict"]["notes"] if "no rule reads" in note]
    assert "memleak" in note
    empty = tmp_path / "empty.yml"
    empty.write_text("schema: ksysak.policy/1\n", encoding="utf-8")
    assert made(folder, [str(empty)])["verdict"]["level"] == "unknown"


def test_the_policy_in_force_has_a_hash_of_its_content(tmp_path):
    folder = data.write(tmp_path, [data.host(named(0))])
    hashes = [made(folder, overrides=overrides)["compliance"]["sha256"] for overrides in (None, {}, {"cpu-steal": {"share": 0.2}})]
    assert hashes[0] == hashes[1] != hashes[2]
    copied = []
    for path in shipped("default"):
        copied.append(tmp_path / f"copy-{path.name}")
        copied[-1].write_bytes(path.read_bytes())
    assert made(folder, [str(path) for path in copied])["compliance"]["sha256"] == hashes[0]


def test_each_rule_says_what_it_is_about_and_how_severe_it_can_be(tmp_path):
    fleet = made(data.write(tmp_path, [data.host(named(0))]), ["default", "compliance"])
    rules = {rule["rule"]: rule for rule in fleet["compliance"]["rules"]}
    assert rules["os-exception"]["severity"] == "fatal"
    assert rules["runq-latency"]["severity"] == "error"
    threshold = {"name": "delay_us", "value": 20000, "unit": "us", "description": "Report waits of at least this"}
    assert threshold in rules["runq-latency"]["parameters"]
    assert [name for name, rule in rules.items() if not rule["rationale"]] == []
    assert [rule["name"] for rule in rules.values() if "{{" in rule["name"]] == []


@pytest.mark.parametrize("count", [8, 400])
def test_every_pair_of_host_and_finding_has_its_own_number_severity_and_evidence(tmp_path, count):
    delays = {named(place): 21000.0 + 1000.0 * place for place in range(count)}
    fleet = made(data.write(tmp_path, [noisy(place, delays[named(place)]) for place in range(count)]))
    (group,) = [group for group in fleet["findings"] if group["rule"] == "runq-latency"]
    assert len(group["hosts"]) == count
    for member in group["hosts"]:
        delay = delays[member["host"]]
        assert f"{delay / 1000:g} ms" in member["title"] or f"{delay / 1000:.0f} ms" in member["title"]
        assert member["severity"] == ("error" if delay >= 100000 else "warning")
        assert [evidence["worst_us"] for evidence in member["evidence"]] == [delay]


def killed(place, pid, **changes):
    """A host on which the kernel ended a process for memory."""
    title = f"Out of memory: Killed process {pid} (java)"
    event = data.exception(kind="oom", title=title, signature="oom:java", culprit=None, trace=[], count=place + 1, **changes)
    document = data.host(named(place))
    document["probes"]["os_exceptions"]["data"] = data.os_exceptions(event)
    return document


def test_one_finding_has_one_title_wherever_it_is_shown(tmp_path):
    before = data.write(tmp_path / "before", [killed(0, 111), killed(1, 222)])
    fleet = made(data.write(tmp_path, [killed(place, 800 + place) for place in range(3)]), baseline=before)
    (group,) = fleet["findings"]
    assert group["title"] == "Out of memory: Killed process (java) (3 times)"
    assert [member["title"].split(" (")[0][-3:] for member in group["hosts"]] == ["802", "801", "800"]
    assert {entry["title"] for entry in fleet["drift"]["groups"]} == {group["title"]}
    assert {event["title"] for event in fleet["exceptions"]["events"]} == {group["title"]}


@pytest.mark.parametrize(
    ("title", "pid", "shown"),
    [
        ("Sockets of app[4242] (app.service) grow by 400/s", 4242, "Sockets of app (app.service) grow by 400/s"),
        ("task jbd2/vda1-8:312 blocked for more than 122 seconds", 312, "task jbd2/vda1-8 blocked for more than 122 seconds"),
        ("app holds 18000 sockets", 18000, "app holds 18000 sockets"),
        ("Killed process 811 (java), 811 pages", 811, "Killed process (java), 811 pages"),
    ],
)
def test_a_title_of_many_hosts_has_no_process_id(title, pid, shown):
    worst = {"title": title, "evidence": {"owner": {"pid": pid}}}
    assert shared_title(worst, [{"title": title}, {"title": "another"}]) == shown
    assert shared_title(worst, [{"title": title}, {"title": title}]) == title


def test_each_pair_has_its_own_change(tmp_path):
    before = data.write(tmp_path / "before", [killed(0, 1), killed(1, 1), data.host(named(2))])
    fleet = made(data.write(tmp_path, [killed(0, 1), data.host(named(1)), killed(2, 1)]), baseline=before)
    (group,) = fleet["findings"]
    assert {member["host"]: member["change"] for member in group["hosts"]} == {named(0): "unchanged", named(2): "new"}
    (entry,) = fleet["drift"]["groups"]
    assert entry["hosts"] == {"new": [named(2)], "rebooted": [named(1)], "unchanged": [named(0)]} or entry["hosts"] == {
        "new": [named(2)],
        "resolved": [named(1)],
        "unchanged": [named(0)],
    }


def test_all_hosts_of_a_change_are_named(tmp_path):
    before = data.write(tmp_path / "before", [killed(place, 1) for place in range(60)])
    fleet = made(data.write(tmp_path, [data.host(named(place)) for place in range(60)]), baseline=before)
    (entry,) = fleet["drift"]["groups"]
    assert sum(len(hosts) for hosts in entry["hosts"].values()) == 60


def oops(place, last_seen, **changes):
    document = data.host(named(place))
    title = f"BUG: unable to handle page fault in f{place}"
    event = data.exception(signature=f"oops{place}", title=title, last_seen=last_seen, culprit=None, **changes)
    document["probes"]["os_exceptions"]["data"] = data.os_exceptions(event)
    return document


def test_what_is_old_comes_after_what_is_recent(tmp_path):
    documents = [oops(0, "2026-10-24T03:08:00Z"), oops(1, "2026-11-23T02:00:00Z"), oops(2, "2026-11-17T03:08:00Z")]
    fleet = made(data.write(tmp_path, documents))
    assert [group["title"][-2:] for group in fleet["findings"]] == ["f1", "f2", "f0"]
    assert [group["last_seen"][:10] for group in fleet["findings"]] == ["2026-11-23", "2026-11-17", "2026-10-24"]


def test_what_is_new_comes_before_what_is_known(tmp_path):
    at = "2026-11-23T02:00:00Z"
    before = data.write(tmp_path / "before", [oops(0, at), data.host(named(1))])
    fleet = made(data.write(tmp_path, [oops(0, at), oops(1, at)]), baseline=before)
    assert [group["title"][-2:] for group in fleet["findings"]] == ["f1", "f0"]


def test_what_was_measured_in_the_window_was_seen_then(tmp_path):
    fleet = made(data.write(tmp_path, [noisy(0)]))
    assert fleet["findings"][0]["last_seen"] == "2026-11-23T03:08:31Z"
    assert age_days("2026-11-23T03:08:31Z", data.NOW) == 0
    assert age_days("2026-11-17T03:08:00Z", data.NOW) == 6


def leak(place, culprit, growth):
    document = data.host(named(place))
    found = {**data.LEAK, "culprit": culprit, "growth_bytes_per_s": growth, "bytes_outstanding": int(growth * 20)}
    stack = [f"{culprit}+0x61 [acme_nic]", *data.LEAK["stack"][1:]]
    document["probes"]["memleak"]["data"] = data.memleak(data.outstanding(**{**found, "stack": stack}))
    return document


def test_of_equals_the_larger_is_worse_and_not_the_first_in_the_alphabet(tmp_path):
    fleet = made(data.write(tmp_path, [leak(0, "aaa_small", 72 * 1024.0), leak(1, "zzz_large", 928 * 1024.0)]))
    leaks = [group["title"] for group in fleet["findings"] if group["rule"] == "memleak-suspected"]
    assert "zzz_large" in leaks[0]
    assert "aaa_small" in leaks[1]
    assert "zzz_large" in fleet["verdict"]["sentence"]


def test_of_equals_of_other_rules_the_one_farther_above_its_threshold_is_worse(tmp_path):
    slow = noisy(0, 25000.0)
    steal = data.host(named(1))
    steal["probes"]["interference"]["data"] = data.interference(steal=0.8)
    fleet = made(data.write(tmp_path, [slow, steal]))
    assert [group["rule"] for group in fleet["findings"][:2]] == ["cpu-steal", "runq-latency"]


def test_many_hosts_are_worse_than_one(tmp_path):
    documents = [leak(0, "aaa_alone", 500 * 1024.0), *(leak(place, "zzz_many", 500 * 1024.0) for place in range(1, 6))]
    leaks = [group["title"] for group in made(data.write(tmp_path, documents))["findings"] if group["rule"] == "memleak-suspected"]
    assert "zzz_many" in leaks[0]


def test_a_title_is_never_blank(tmp_path):
    own = tmp_path / "own.yml"
    rule = {
        "id": "blank",
        "category": "config",
        "severity": "warning",
        "title": "{{ evidence.reason if evidence.none else '' }}",
        "evidence": "{none: `null`, reason: 'x'}",
        "signature": "x",
        "remedy": "y",
    }
    own.write_text(json.dumps({"schema": "ksysak.policy/1", "rules": [rule]}), encoding="utf-8")
    fleet = made(data.write(tmp_path, [data.host(named(0))]), [str(own)])
    assert fleet["findings"][0]["title"] == "Blank (blank|x)"


def test_a_host_cannot_speak_for_the_report(tmp_path):
    document = data.host(named(0))
    event = data.exception(title='all is well". No action needed. ##vso[task.complete result=Succeeded] ::error::x', culprit=None)
    document["probes"]["os_exceptions"]["data"] = data.os_exceptions(event)
    sentence = made(data.write(tmp_path, [document]))["verdict"]["sentence"]
    assert 'Worst: "all is well\'. No action needed. # #vso[task.complete' in sentence
    assert " ::error" not in sentence


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("##vso[task.setvariable variable=x]y", "# #vso[task.setvariable variable=x]y"),
        ("##[error]x", "# #[error]x"),
        ("a##teamcity[message]", "a# #teamcity[message]"),
        ("::error file=a::b", ": :error file=a::b"),
        ("  ::add-mask::x", "  : :add-mask::x"),
        ("std::vector [1] ## heading", "std::vector [1] ## heading"),
    ],
)
def test_no_text_is_a_command_of_a_build_server(text, shown):
    assert for_log(text) == shown


def interrupted(place, cpu, own=1):
    """A host on which one vector takes much of a CPU, and all vectors together much of another or the same one."""
    document = data.host(named(place))
    loud = data.vector("hardirq", "eth0-TxRx-3", 31, {own: (410000, 9100000.0, 88.0)})
    found = data.interference(loud)
    found["cpus"] = [{"cpu": cpu, "share": 0.6}]
    document["probes"]["interference"]["data"] = found
    return document


def test_a_symptom_stands_beneath_its_cause(tmp_path):
    fleet = made(data.write(tmp_path, [interrupted(place, 1) for place in range(3)]))
    groups = {group["rule"]: group for group in fleet["findings"]}
    assert groups["cpu-interrupted"]["part_of"] == groups["interrupt-cpu-share"]["id"]
    assert groups["interrupt-cpu-share"]["part_of"] is None


def test_what_is_on_another_cpu_or_host_is_no_symptom(tmp_path):
    fleet = made(data.write(tmp_path, [interrupted(0, 1), interrupted(1, 0)]))
    assert all(group["part_of"] is None for group in fleet["findings"])
