# SPDX-License-Identifier: GPL-3.0-or-later
"""A finding on hosts with a kernel and on those without: counts of what was measured, and no more than is known."""

import datetime
import json

import pytest

from ansible_collections.ksysak.fleet.plugins.action import report
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.finding_history import FindingHistory
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.rollouts import is_telling
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report import findings as findings_format, junit, pipeline
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.digest import digest
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data

NEW, OLD = "6.8.0-45-generic", "6.1.0-28-amd64"
# Probes of fleet_data begin at NOW and measure 20 s; the host was then up for an hour.
UP_S = 3600.0
BOOT = datetime.datetime(2026, 11, 23, 3, 8, 20) - datetime.timedelta(seconds=UP_S)
KILLED = "oom:java"


def at(seconds):
    """The instant so many seconds after the boot."""
    return (BOOT + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def host(name, kernel, *events, **system):
    document = data.host(name)
    document["system"].update(kernel=kernel, uptime_s=UP_S, **system)
    document["probes"]["os_exceptions"] = data.envelope("os_exceptions", data.os_exceptions(*events))
    return document


def killed(after_s=None, **changes):
    instant = None if after_s is None else at(after_s)
    return data.exception(kind="oom", title="Out of memory: Killed process 9 (java)", signature=KILLED, culprit=None, trace=[],
                          first_seen=instant, last_seen=instant, **changes)  # fmt: skip


def unmeasured(name, kernel):
    document = host(name, kernel)
    document["probes"]["os_exceptions"] = data.envelope("os_exceptions", {}, "skipped", "the log cannot be read", "run it as root")
    return document


def fleet_of(folder, documents, baseline=None, earlier=None):
    made = build(data.write(folder, documents), load_policy(), baseline, earlier=earlier)
    validate(json.loads(json.dumps(made)))
    return made


def group_of(fleet, signature=KILLED):
    (group,) = [group for group in fleet["findings"] if group["signature"].endswith(signature)]
    return group


def rollout_of(folder, documents, **more):
    return group_of(fleet_of(folder, documents, **more))["rollout"]


def canary(ill=31, well=212, after_s=2400.0):
    return [host(f"new{n}", NEW, killed(after_s)) for n in range(ill)] + [host(f"old{n}", OLD) for n in range(well)]


def counts(entry):
    return entry["affected_with"], entry["with"], entry["affected_without"], entry["without"]


def test_the_sentence_of_a_canary(tmp_path):
    fleet = fleet_of(tmp_path, canary())
    (entry,) = group_of(fleet)["rollout"]
    assert (entry["factor"], entry["value"], counts(entry)) == ("kernel", NEW, (31, 31, 0, 212))
    assert entry["after_boot"] == {"by": "kernel_log", "hosts": 31, "smallest_s": 2400, "median_s": 2400, "before_boot": 0}
    assert entry["sentence"] == (
        f"kernel {NEW}: on 31 of 31 hosts with it, on 0 of 212 without it; "
        "first in the kernel log 40 min after boot (median of 31 hosts, smallest 40 min)"
    )
    # the same sentence wherever findings are listed
    lines = [line.strip() for line in digest(fleet)]
    place = lines.index(f"kernel {NEW}: on 31 of 31 hosts with it, on 0 of 212 without it")
    assert lines[place + 1] == "first in the kernel log 40 min after boot (median of 31 hosts, smallest 40 min)"
    assert not [line for line in lines if line.startswith(f"in common: kernel {NEW}")]  # not twice
    assert entry["sentence"] in junit.render(fleet)
    assert [one["data_from_hosts"]["rollout"] for one in findings_format.document(fleet)["findings"]].count([entry["sentence"]]) == 1
    assert [line for line in pipeline.github_lines(fleet, fleet["findings"]) if entry["sentence"] in line]


def test_the_times_are_smallest_and_median_of_the_hosts_that_date_it(tmp_path):
    times = [60, 90, 600, 1200, None]
    documents = [host(f"new{n}", NEW, killed(after)) for n, after in enumerate(times)] + [host(f"old{n}", OLD) for n in range(9)]
    (entry,) = rollout_of(tmp_path, documents)
    assert counts(entry) == (5, 5, 0, 9)
    assert entry["after_boot"] == {"by": "kernel_log", "hosts": 4, "smallest_s": 60, "median_s": 345, "before_boot": 0}
    assert "(median of 4 hosts, smallest 60 s)" in entry["sentence"]


def test_where_all_hosts_have_the_kernel_nothing_is_claimed(tmp_path):
    assert rollout_of(tmp_path, [host(f"h{n}", NEW, *([killed(60)] if n < 12 else [])) for n in range(40)]) == []


def test_hosts_on_which_the_rule_was_not_evaluated_count_neither_way(tmp_path):
    documents = canary(6, 10) + [unmeasured(f"dark{n}", NEW) for n in range(5)] + [unmeasured(f"dim{n}", OLD) for n in range(7)]
    documents += [data.host("gone", "unreachable"), data.host("broken", "failed")]
    nameless = host("nameless", "", killed(60))  # its kernel is not known
    (entry,) = rollout_of(tmp_path, [*documents, nameless])
    assert counts(entry) == (6, 6, 0, 10)


def test_only_hosts_without_a_measurement_lack_the_kernel(tmp_path):
    assert rollout_of(tmp_path, [host(f"new{n}", NEW, killed(60)) for n in range(8)] + [unmeasured(f"old{n}", OLD) for n in range(8)]) == []


def test_two_kernels_that_are_both_affected_have_a_line_each(tmp_path):
    documents = [host(f"a{n}", "6.8.0-45", killed(60)) for n in range(10)] + [host(f"b{n}", "6.8.0-47", killed(90)) for n in range(12)]
    documents += [host(f"c{n}", OLD) for n in range(100)]
    found = {entry["value"]: counts(entry) for entry in rollout_of(tmp_path, documents)}
    assert found == {"6.8.0-45": (10, 10, 12, 112), "6.8.0-47": (12, 12, 10, 110)}


def test_a_part_of_the_hosts_with_a_kernel_is_no_whole(tmp_path):
    documents = canary(3, 212) + [host(f"fine{n}", NEW) for n in range(28)]
    (entry,) = rollout_of(tmp_path, documents)
    assert counts(entry) == (3, 31, 0, 212)
    assert is_telling(entry)


def test_a_finding_of_any_kernel_has_no_line(tmp_path):
    kernels = ["6.1.0-28", "5.15.0-119", "5.14.0-427"]
    documents = [host(f"h{n}", kernels[n % 3], *([killed(60)] if n % 5 == 0 else [])) for n in range(90)]
    assert rollout_of(tmp_path, documents) == []


@pytest.mark.parametrize(("documents", "expected", "short"), [
    ([("a", NEW, True)], [], False),
    ([("a", NEW, True), ("b", OLD, False)], [(1, 1, 0, 1)], False),
    ([("a", NEW, True), ("b", NEW, False), ("c", OLD, False)], [], False),  # one host of several: it says nothing
    ([("a", NEW, True), ("b", NEW, True), ("c", OLD, False)], [(2, 2, 0, 1)], True),
    ([("a", NEW, True), ("b", NEW, True), ("c", NEW, False), ("d", OLD, False), ("e", OLD, False)], [(2, 3, 0, 2)], False),
    ([("a", NEW, True), *((f"o{n}", OLD, False) for n in range(120))], [(1, 1, 0, 120)], True),
])  # fmt: skip
def test_few_hosts_have_counts_and_no_more(tmp_path, documents, expected, short):
    fleet = fleet_of(tmp_path, [host(name, kernel, *([killed(60)] if ill else [])) for name, kernel, ill in documents])
    found = group_of(fleet)["rollout"]
    assert [counts(entry) for entry in found] == expected
    assert any("hosts with it" in line for line in digest(fleet)) == short
    assert not [entry for entry in found if "caus" in entry["sentence"] or "because" in entry["sentence"]]


# --- clocks ------------------------------------------------------------------------------------------------------------


def test_what_is_dated_before_the_boot_is_not_after_it(tmp_path):
    documents = [host("wrong", NEW, killed(-9e6)), host("right", NEW, killed(300)), host("earlier", NEW, killed(-1))]
    documents += [host(f"old{n}", OLD) for n in range(4)]
    (entry,) = rollout_of(tmp_path, documents)
    assert entry["after_boot"] == {"by": "kernel_log", "hosts": 1, "smallest_s": 300, "median_s": 300, "before_boot": 2}
    assert entry["sentence"].endswith("dated before the present boot on 2 hosts: an earlier boot, or a wrong clock")


def test_a_date_after_the_scan_is_not_used(tmp_path):
    documents = [host(f"new{n}", NEW, killed(UP_S + 86400)) for n in range(3)] + [host(f"old{n}", OLD) for n in range(4)]
    (entry,) = rollout_of(tmp_path, documents)
    assert (counts(entry), entry["after_boot"]) == ((3, 3, 0, 4), None)
    assert entry["sentence"].endswith("without it")


@pytest.mark.parametrize("instant", ["2026-13-45T99:99:99Z", "0000-00-00T00:00:00Z", None])
def test_what_is_no_date_is_not_known(tmp_path, instant):
    documents = canary(4, 4)
    for document in documents[:4]:
        for event in document["probes"]["os_exceptions"]["data"]["events"]:
            event.update(first_seen=instant, last_seen=instant)
    (entry,) = rollout_of(tmp_path, documents)
    assert (counts(entry), entry["after_boot"]) == ((4, 4, 0, 4), None)


def leaking(name, kernel, collected_at, uptime_s, scan_id):
    document = data.host(name, "leaking" if kernel == NEW else "healthy")
    document.update(collected_at=collected_at, scan_id=scan_id)
    document["system"].update(kernel=kernel, uptime_s=uptime_s)
    return document


def leak_rollout(tmp_path, first_uptime_s, then_uptime_s):
    """Two scans an hour apart, both with the leak: that of the second one, and of its hosts the uptime at both."""
    policy = load_policy()
    for scan_id, started_at, collected_at, uptime_s in (
        ("20261123T020800Z-aaaaaa", "2026-11-23T02:08:00Z", "2026-11-23T02:08:30Z", first_uptime_s),
        (data.SCAN_ID, data.NOW, "2026-11-23T03:08:30Z", then_uptime_s),
    ):
        documents = [leaking(f"{kernel}{n}", kernel, collected_at, uptime_s, scan_id) for kernel in (NEW, OLD) for n in range(5)]
        folder = data.write(tmp_path / "made", documents, scan_id=scan_id, started_at=started_at).rename(tmp_path / scan_id)
        history = FindingHistory(tmp_path, folder)
        fleet = build(folder, policy, earlier=history)
        validate(json.loads(json.dumps(fleet)))
        history.write(fleet)
    (group,) = [group for group in fleet["findings"] if group["rule"] == "memleak-suspected"]
    (entry,) = [entry for entry in group["rollout"] if entry["factor"] == "kernel"]
    return entry


def test_what_has_no_date_was_there_by_the_first_scan_with_it(tmp_path):
    entry = leak_rollout(tmp_path, 630.0, 4230.0)  # booted at 01:58; the first scan began at 02:08
    assert entry["after_boot"] == {"by": "scan", "hosts": 5, "smallest_s": 600, "median_s": 600, "before_boot": 0}
    assert "there at the latest 10 min after boot, when scanned" in entry["sentence"]


def test_a_scan_of_an_earlier_boot_is_named_as_such(tmp_path):
    entry = leak_rollout(tmp_path, 90000.0, 1800.0)  # rebooted between the two scans
    assert entry["after_boot"] == {"by": "scan", "hosts": 0, "smallest_s": None, "median_s": None, "before_boot": 5}
    assert "after boot" not in entry["sentence"]


def test_a_result_that_was_collected_late_is_not_of_an_earlier_boot(tmp_path):
    documents = [leaking(f"{kernel}{n}", kernel, "2026-11-23T03:20:00Z", 25.0, data.SCAN_ID) for kernel in (NEW, OLD) for n in range(5)]
    fleet = fleet_of(tmp_path, documents)
    (group,) = [group for group in fleet["findings"] if group["rule"] == "memleak-suspected"]
    assert group["rollout"][0]["after_boot"] == {"by": "scan", "hosts": 5, "smallest_s": 0, "median_s": 0, "before_boot": 0}


# --- before and after a change --------------------------------------------------------------------------------------------


def test_the_same_hosts_before_a_change_are_named_where_no_other_host_lacks_the_kernel(tmp_path):
    before = [host(f"h{n}", OLD) for n in range(9)] + [unmeasured("dark", OLD), host("same", NEW)]
    now = [host(f"h{n}", NEW, killed(600)) for n in range(9)] + [host("dark", NEW, killed(60)), host("same", NEW), host("added", NEW)]
    baseline = data.write(tmp_path / "before", before)
    fleet = fleet_of(tmp_path / "now", now, baseline)
    (entry,) = group_of(fleet)["rollout"]
    assert counts(entry) == (10, 12, 0, 0)
    assert entry["before"] == {"hosts": 9, "affected": 0, "affected_now": 9}
    assert entry["sentence"].startswith(
        f"kernel {NEW}: on 10 of 12 hosts with it, no host without it was measured; "
        "of 9 hosts with another kernel in the earlier scan, 0 had it then and 9 have it now; first in the kernel log"
    )
    level, groups = pipeline.judged(fleet, True)
    decisive = {"level": level, "findings": [pipeline.brief(group) for group in groups], "total": len(groups)}
    lines = report._brought(decisive, {"only_new": True})
    assert entry["sentence"] in [line.strip() for line in lines]


def test_what_was_there_before_the_change_too_has_no_line(tmp_path):
    baseline = data.write(tmp_path / "before", [host(f"h{n}", OLD, killed(600)) for n in range(9)])
    assert rollout_of(tmp_path / "now", [host(f"h{n}", NEW, killed(600)) for n in range(9)], baseline=baseline) == []


def test_one_host_of_many_that_changed_is_no_sign_of_the_kernel(tmp_path):
    ill = {"h1", "x3", "x7"}
    before = [host(f"h{n}", OLD) for n in range(8)] + [host(f"x{n}", NEW) for n in range(40)] + [host(f"y{n}", OLD) for n in range(40)]
    names = [(f"h{n}", NEW) for n in range(8)] + [(f"x{n}", NEW) for n in range(40)] + [(f"y{n}", OLD) for n in range(40)]
    now = [host(name, kernel, *([killed(60)] if name in ill | {"y5"} else [])) for name, kernel in names]
    assert rollout_of(tmp_path / "now", now, baseline=data.write(tmp_path / "before", before)) == []


# --- modules, and what hosts may send ---------------------------------------------------------------------------------------


def test_a_module_has_its_line_where_it_is_a_common_factor(tmp_path):
    documents = [host(f"h{n}", OLD if n % 2 else NEW, *([killed(60)] if n < 8 else [])) for n in range(60)]
    for n, document in enumerate(documents):
        document["system"]["modules"] = ["ext4", *(["acme_nic"] if n < 9 else []), *([f"odd{n % 7}"])]
    (entry,) = rollout_of(tmp_path, documents)
    assert (entry["factor"], entry["value"], counts(entry), entry["after_boot"]) == ("module", "acme_nic", (8, 9, 0, 51), None)


def test_the_version_of_a_driver_is_told_from_the_driver(tmp_path):
    """All hosts have the module; the ones with its new version have the finding."""
    documents = [host(f"new{n}", OLD, killed(60), modules=["acme_nic"], module_versions={"acme_nic": "5.2.1"}) for n in range(3)]
    documents += [host(f"old{n}", OLD, modules=["acme_nic"], module_versions={"acme_nic": "5.2.0"}) for n in range(9)]
    documents += [host("dark", OLD, modules=["acme_nic"])]  # its module has no version
    fleet = fleet_of(tmp_path, documents)
    (entry,) = group_of(fleet)["rollout"]
    assert (entry["factor"], counts(entry), entry["after_boot"]) == ("module_version", (3, 3, 0, 10), None)
    assert entry["sentence"] == "module version acme_nic 5.2.1: on 3 of 3 hosts with it, on 0 of 10 without it"
    assert not [one["system"] for one in fleet["hosts"] if "module_versions" in one["system"]]


def test_a_driver_of_one_version_has_one_line(tmp_path):
    driver = {"modules": ["acme_nic", "ext4"], "module_versions": {"acme_nic": "srcversion 1A2B"}}
    documents = [host(f"h{n}", OLD if n % 2 else NEW, *([killed(60)] if n < 8 else []), **(driver if n < 9 else {})) for n in range(60)]
    (entry,) = rollout_of(tmp_path, documents)
    assert (entry["factor"], entry["value"], counts(entry)) == ("module_version", "acme_nic srcversion 1A2B", (8, 9, 0, 51))


@pytest.mark.parametrize("kernel", [
    "{hosts} {0.__class__} %s %(x)s", "<script>alert(1)</script>", "\x1b[2J\r\nAll clear", "\u202egnp.6.8", "##vso[task.complete]",
    "::error::x", "K" * 128,
])  # fmt: skip
def test_a_kernel_name_is_data(tmp_path, kernel):
    documents = [host(f"new{n}", kernel, killed(60)) for n in range(4)] + [host(f"old{n}", OLD) for n in range(6)]
    fleet = fleet_of(tmp_path, documents)
    (entry,) = group_of(fleet)["rollout"]
    assert counts(entry) == (4, 4, 0, 6)
    assert "hosts with it, on 0 of 6 without it" in entry["sentence"]
    level, groups = pipeline.judged(fleet, False)
    shown = report._brought({"level": level, "findings": [pipeline.brief(group) for group in groups], "total": 1}, {"only_new": True})
    lines = [*digest(fleet), *shown]
    assert not [line for line in lines if any(bad in line for bad in ("\x1b", "\r", "\n", "\u202e", "##vso[", " ::error::"))]
    assert max(map(len, lines[1:])) <= 1100
    junit.render(fleet)
    json.dumps(findings_format.document(fleet))
