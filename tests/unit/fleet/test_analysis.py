# SPDX-License-Identifier: GPL-3.0-or-later
"""What is only seen when hosts, rules and scans are compared."""

import copy
import datetime
import json
import math
import random

import hypothesis
import pytest
import yaml
from hypothesis import strategies

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import drift, factors
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.load import ResultsError
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.outliers import outliers
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data

TODAY = datetime.date(2026, 11, 24)


def made(folder, policies=None, baseline=None, **overrides):
    fleet = build(folder, load_policy(policies, overrides, TODAY), baseline)
    validate(fleet)
    return fleet


def group_of(fleet, rule):
    (group,) = [group for group in fleet["findings"] if group["rule"] == rule]
    return group


# --- common factors ----------------------------------------------------------------------------------------------------


@hypothesis.given(strategies.integers(1, 60).flatmap(lambda total: strategies.tuples(
    strategies.just(total), strategies.integers(0, total), strategies.integers(0, total), strategies.integers(0, 60))))  # fmt: skip
def test_fisher_is_the_sum_of_the_hypergeometric_distribution(numbers):
    total, affected, having, both = numbers
    both = min(both, affected, having)
    ways = sum(math.comb(having, x) * math.comb(total - having, affected - x) for x in range(both, min(affected, having) + 1))
    assert factors.fisher(both, affected, having, total) == pytest.approx(ways / math.comb(total, affected), rel=1e-9)


def test_fisher_of_known_tables():
    assert factors.fisher(3, 4, 4, 8) == pytest.approx(17 / 70)  # the lady who tastes tea
    assert 0 < factors.fisher(300, 300, 300, 10000) <= 1e-300


def test_holm_of_a_known_example():
    assert factors.holm([0.01, 0.04, 0.03, 0.005], 4) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert factors.holm([0.01], 200) == [1.0]
    assert factors.holm([], 5) == []


def mixed_fleet(healthy=60, leaking=8):
    """Hosts that leak run kernel 6.8 with acme_nic and acme_core; of the others some run that kernel, none has the modules."""
    documents = []
    for place in range(healthy + leaking):
        leaks = place < leaking
        document = data.host(f"web{place}", "leaking" if leaks else "healthy")
        document["system"].update(kernel="6.8.0-1" if leaks or place % 3 == 0 else "6.1.0-28", uptime_s=86400.0 * (place % 9))
        document["system"]["modules"] = ["acme_core", "acme_nic", "ext4"] if leaks else ["ext4", *(["odd"] if place % 2 else [])]
        document["groups"] = ["all", f"rack{place % 4}"]
        documents.append(document)
    return documents


def test_what_affected_hosts_have_in_common_is_named_with_counts(tmp_path):
    common = group_of(made(data.write(tmp_path, mixed_fleet())), "memleak-suspected")["common"]
    first, second = common
    assert (first["factor"], first["value"], first["also"]) == ("module", "acme_core", ["module acme_nic"])
    assert (first["affected"], first["affected_of"], first["others"], first["others_of"]) == (8, 8, 0, 60)
    assert (second["factor"], second["value"], second["also"]) == ("kernel", "6.8.0-1", ["kernel_series 6.8"])
    assert (second["affected"], second["others"]) == (8, 20)
    assert first["p"] < second["p"] < factors.ALPHA


@pytest.mark.parametrize(("healthy", "leaking"), [(30, 2), (2, 8), (4, 3), (0, 9)])
def test_thin_evidence_is_not_talked_about(tmp_path, healthy, leaking):
    assert group_of(made(data.write(tmp_path, mixed_fleet(healthy, leaking))), "memleak-suspected")["common"] == []


def test_chance_is_not_taken_for_a_cause(tmp_path):
    """A leak on random hosts of a fleet with hundreds of random properties: without the correction some would seem to matter."""
    rng = random.Random(5)
    documents = []
    for place in range(60):
        document = data.host(f"web{place}", "leaking" if rng.random() < 0.3 else "healthy")
        document["system"]["modules"] = sorted({f"module{rng.randrange(400)}" for _draw in range(200)})
        documents.append(document)
    fleet = made(data.write(tmp_path, documents))
    assert group_of(fleet, "memleak-suspected")["common"] == []


def test_hosts_on_which_a_rule_could_not_be_judged_are_no_others(tmp_path):
    documents = mixed_fleet()
    for document in documents[20:]:
        document["probes"]["memleak"] = data.envelope("memleak", {}, "skipped", "no bcc", "install it")
    first, *_rest = group_of(made(data.write(tmp_path, documents)), "memleak-suspected")["common"]
    assert (first["others"], first["others_of"]) == (0, 12)


# --- outliers ----------------------------------------------------------------------------------------------------------


def test_a_host_far_above_the_rest_is_an_outlier_and_its_neighbours_are_not():
    rng = random.Random(3)
    values = {f"h{place}": rng.lognormvariate(4, 0.2) for place in range(50)} | {"slow": 5000.0, "slower": 90000.0}
    found = outliers(values)
    assert [entry["host"] for entry in found["outliers"]] == ["slower", "slow"]
    assert found["median"] == pytest.approx(math.exp(4), rel=0.15)
    assert found["spread"] == pytest.approx(math.exp(0.2), rel=0.1)


def test_outliers_of_alike_and_of_few_hosts():
    same = {f"h{place}": 128.0 for place in range(20)}
    assert outliers(same)["outliers"] == []
    assert [entry["host"] for entry in outliers({**same, "slow": 4096.0})["outliers"]] == ["slow"]
    assert outliers({**same, "next bucket": 256.0})["outliers"] == []
    assert outliers({f"h{place}": 1.0 for place in range(7)}) is None


def test_outliers_are_found_over_a_fleet(tmp_path):
    documents = [data.host(f"web{place}") for place in range(12)] + [data.host("slow", "noisy")]
    found = {entry["measure"]: [host["host"] for host in entry["outliers"]] for entry in made(data.write(tmp_path, documents))["outliers"]}
    assert found["wait_p99_us"] == found["wait_longest_us"] == found["interrupted_share"] == ["slow"]
    assert found["probe_cpu_s"] == found["unfreed_bytes_per_s"] == []


# --- compliance --------------------------------------------------------------------------------------------------------


def test_every_rule_is_in_the_compliance_table_and_every_host_in_its_row(tmp_path):
    kinds = ["healthy", "leaking", "degraded", "lost"]
    path = tmp_path / "waivers.yml"
    waivers = [
        {"rule": "slab-growth", "owner": "ops", "reason": "known", "expires": "2027-01-01"},
        {"rule": "runq-latency", "hosts": ["web*"], "owner": "ops", "reason": "none yet", "expires": "2027-01-01"},
        {"rule": "memleak-suspected", "owner": "ops", "reason": "over", "expires": "2026-01-01"},
    ]
    path.write_text(yaml.safe_dump({"schema": "ksysak.policy/1", "waivers": waivers}), encoding="utf-8")
    documents = [data.host(f"web{place}", kind) for place, kind in enumerate(kinds)]
    folder = data.write(tmp_path, documents, meant=[*(document["host"] for document in documents), "gone"])
    fleet = made(folder, ["default", str(path)], **{"cpu-pressure": {"enabled": False}})
    rows = {row["rule"]: row for row in fleet["compliance"]["rules"]}
    assert set(rows) == {rule.id for rule in load_policy().rules}
    for row in rows.values():
        assert sum(row[outcome] for outcome in ("pass", "fail", "waived", "unknown", "off")) == 5
    assert (rows["slab-growth"]["waived"], rows["slab-growth"]["fail"]) == (1, 0)
    assert (rows["memleak-suspected"]["fail"], rows["memleak-suspected"]["pass"], rows["memleak-suspected"]["unknown"]) == (1, 1, 3)
    assert rows["cpu-pressure"]["off"] == 3
    (waived,) = fleet["compliance"]["waived"]
    assert (waived["rule"], waived["hosts"], waived["reason"], waived["place"]) == ("slab-growth", ["web1"], "known", "waivers.yml:3:3")
    assert [waiver["rule"] for waiver in fleet["compliance"]["unused"]] == ["runq-latency"]
    assert [waiver["rule"] for waiver in fleet["compliance"]["expired"]] == ["memleak-suspected"]
    assert "slab-growth" not in {group["rule"] for group in fleet["findings"]}
    assert any("waived finding" in note for note in fleet["verdict"]["notes"])
    assert any("without effect: 1 waiver." in note for note in fleet["verdict"]["notes"])


# --- drift -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def compared(tmp_path):
    """Return a function: the fleet document of hosts now, compared with hosts before."""

    def make(before, now, **changes):
        baseline = data.write(tmp_path / "before", before)
        return made(data.write(tmp_path / "now", now, **changes), baseline=baseline)

    return make


def leaking(name, growth=497664.0, **system):
    document = data.host(name, "leaking")
    document["probes"]["memleak"]["data"]["leaks"][0]["growth_bytes_per_s"] = growth
    document["system"].update(system)
    return document


def test_each_change_is_told_from_the_others(compared):
    quiet = {name: data.host(name) for name in ("resolved", "rebooted", "new")}
    for document in quiet.values():
        document["system"]["boot_id"] = "one"
    quiet["rebooted"]["system"]["boot_id"] = "two"
    not_measured_now = data.host("not_measured_now", "degraded")
    was_unseen = data.host("not_measured_before", "degraded")
    before = [
        leaking(name, boot_id="one") for name in ("resolved", "rebooted", "not_measured_now", "same", "worse", "better", "lost", "removed")
    ]
    fleet = compared(
        [*before, quiet["new"], was_unseen],
        [quiet["resolved"], quiet["rebooted"], not_measured_now, leaking("same", 500000.0), leaking("worse", 900000.0),
         leaking("better", 90000.0), data.host("lost", "lost"), leaking("new", boot_id="one"), leaking("not_measured_before"),
         leaking("added")],
    )  # fmt: skip
    leak = group_of(fleet, "memleak-suspected")
    entry = next(entry for entry in fleet["drift"]["groups"] if entry["finding"] == leak["id"])
    assert entry["hosts"] == {
        "new": ["new"], "worse": ["worse"], "unchanged": ["same"], "better": ["better"], "resolved": ["resolved"], "rebooted": ["rebooted"],
        "not_measured_now": ["lost", "not_measured_now"], "not_measured_before": ["added", "not_measured_before"],
    }  # fmt: skip
    assert leak["drift"] == entry["counts"] == {change: len(hosts) for change, hosts in entry["hosts"].items()}
    said = fleet["drift"]
    assert (said["hosts_added"], said["hosts_removed"]) == (["added"], ["removed"])
    assert "rebooted" in said["rebooted"] and "resolved" not in said["rebooted"]
    assert said["baseline"] == {"scan_id": data.SCAN_ID, "started_at": data.NOW, "hosts": 10}


def test_what_only_tracing_sees_is_not_resolved_where_nothing_was_traced(compared):
    untraced = data.host("web1")
    untraced["probes"]["memleak"].update(engine="procfs", status="degraded")
    untraced["probes"]["memleak"]["data"]["sample"] = 0
    fleet = compared([leaking("web1"), leaking("web2")], [untraced, data.host("web2")])
    (entry,) = [entry for entry in fleet["drift"]["groups"] if entry["rule"] == "memleak-suspected"]
    assert entry["hosts"] == {"resolved": ["web2"], "not_measured_now": ["web1"]}
    assert fleet["compliance"]["unmet"] == {"hosts": 1, "rules": ["memleak-suspected"]}
    said = "Not evaluated on 1 host, where their probes did not measure what they need: Kernel memory leak."
    assert said in fleet["verdict"]["notes"]


def test_a_finding_that_was_on_no_host_is_a_new_group(compared):
    fleet = compared([data.host("web1"), data.host("web2")], [data.host("web1", "oopsing"), data.host("web2")])
    assert fleet["drift"]["new_groups"] == 2
    assert fleet["drift"]["counts"]["new"] == 2
    assert any(f"New since the scan {data.SCAN_ID}: 2 kinds of findings." in note for note in fleet["verdict"]["notes"])


def test_a_finding_that_spreads_is_no_new_group(compared):
    fleet = compared([leaking("web1"), data.host("web2")], [leaking("web1"), leaking("web2")])
    assert (fleet["drift"]["new_groups"], fleet["drift"]["counts"]["new"]) == (0, 2)  # the leak, and the slab memory that grew
    said = f"Since the scan {data.SCAN_ID}, 2 known findings came up on hosts that had none of the kind."
    assert said in fleet["verdict"]["notes"]


def test_a_new_severity_is_worse_or_better(compared):
    def waiting(name, delay_us):
        document = data.host(name)
        document["probes"]["runlatency"]["data"] = data.runlatency(data.wait(delay_us))
        return document

    fleet = compared([waiting("web1", 99000.0), waiting("web2", 101000.0)], [waiting("web1", 101000.0), waiting("web2", 99000.0)])
    (entry,) = fleet["drift"]["groups"]
    assert entry["hosts"] == {"worse": ["web1"], "better": ["web2"]}


def test_another_kernel_is_noted(compared):
    old = data.host("web1")
    new = copy.deepcopy(old)
    new["system"].update(kernel="6.12.1", boot_id="other")
    fleet = compared([old], [new])
    assert fleet["drift"]["kernels"] == [{"host": "web1", "before": "6.1.0-28-amd64", "now": "6.12.1"}]
    assert fleet["drift"]["rebooted"] == ["web1"]


def test_a_scan_compared_with_itself_has_no_change(tmp_path):
    folder = data.write(tmp_path, data.fleet(40, 0.5))
    fleet = made(folder, baseline=folder)
    counts = fleet["drift"]["counts"]
    assert counts["unchanged"] == sum(group["host_count"] for group in fleet["findings"]) > 0
    assert {change for change in drift.CHANGES if counts[change]} == {"unchanged"}


def test_broken_files_of_the_baseline_are_problems(tmp_path):
    baseline = data.write(tmp_path / "before", [data.host("web1"), data.host("web2")])
    (baseline / "hosts" / "web1.json").write_text("", encoding="utf-8")
    fleet = made(data.write(tmp_path / "now", [leaking("web1")]), baseline=baseline)
    assert [problem["reason"] for problem in fleet["problems"]] == ["baseline: hosts/web1.json is empty"]
    assert fleet["drift"]["counts"]["not_measured_before"] == 2
    with pytest.raises(ResultsError):
        made(tmp_path / "now" / data.SCAN_ID, baseline=tmp_path)


def test_the_analysis_is_the_same_every_time(tmp_path):
    before = data.write(tmp_path / "before", data.fleet(41, 0.5))
    now = data.write(tmp_path / "now", mixed_fleet())
    first, second = (made(now, baseline=before) for _again in range(2))
    first.pop("generated_at"), second.pop("generated_at")
    assert json.dumps(first) == json.dumps(second)
