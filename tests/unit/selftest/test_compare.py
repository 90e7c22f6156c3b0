# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts, from probes that are right, a little wrong, wrong and silent."""

import re

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import SchemaError, validate
from ansible_collections.ksysak.fleet.plugins.plugin_utils.selftest import compare, document
from ansible_collections.ksysak.fleet.tests import fleet_data

BEGAN_S = 1795403280.0  # 2026-11-23T03:08:00Z, which is fleet_data.NOW
WINDOW_S = 20.0
SIZE = 1024
EXPECTED = {"type": "slab", "culprit": "ksysak_leak_deep", "module": "test_slab_leak", "object_bytes": SIZE, "churn_bytes_per_s": 0}
# A steady leak of 100 objects a second, read five times a second from 5 s before the window to 5 s after it.
READINGS = [
    {"read_at_s": BEGAN_S - 5 + tick / 5, "outstanding_bytes": tick * 20 * SIZE, "allocations": tick * 20, "frees": 0}
    for tick in range(151)
]
FRAMES = ["ksysak_leak_deep+0x1c [test_slab_leak]", "ksysak_descend+0x33 [test_slab_leak]", "process_one_work+0x1e2"]
RIGHT = {
    "verdict": "leak",
    "sampled": 1,
    "culprit": "ksysak_leak_deep",
    "module": "test_slab_leak",
    "bytes_outstanding": 2000 * SIZE,
    "stack": FRAMES,
}


def memleak(*entries, status="ok", reason="", sample=1, lost=0, **meminfo):
    data = fleet_data.memleak(*(fleet_data.outstanding(**entry) for entry in entries), **meminfo)
    envelope = fleet_data.envelope("memleak", {**data, "sample": sample}, status=status, reason=reason)
    envelope["cost"]["lost_events"] = lost
    return envelope


def test_what_was_leaked_in_a_window():
    least, most = compare.leaked_bytes(READINGS, memleak())
    assert least <= 2000 * SIZE <= most
    assert (least, most) == (1800 * SIZE, 2200 * SIZE)


@pytest.mark.parametrize("cut", [slice(30, None), slice(None, 100), slice(0, 0)], ids=["late", "early", "never"])
def test_readings_must_enclose_the_window(cut):
    with pytest.raises(ValueError, match="not read before, in and after"):
        compare.leaked_bytes(READINGS[cut], memleak())


@pytest.mark.parametrize(
    ("envelope", "verdict", "said"),
    [
        (memleak(RIGHT), "passed", ""),
        (memleak({**RIGHT, "bytes_outstanding": 1000 * SIZE}, {**RIGHT, "bytes_outstanding": 1000 * SIZE}), "passed", ""),
        (memleak({**RIGHT, "bytes_outstanding": 1700 * SIZE}), "partial", "wrong number of bytes"),
        (memleak({**RIGHT, "bytes_outstanding": 2300 * SIZE}), "partial", "wrong number of bytes"),
        (memleak({**RIGHT, "bytes_outstanding": 1700 * SIZE}, lost=200), "passed", ""),
        (memleak({**RIGHT, "bytes_outstanding": 1500 * SIZE}, sample=16), "passed", ""),
        (memleak({**RIGHT, "verdict": "suspect"}), "partial", "not called a leak"),
        (memleak({**RIGHT, "type": "page"}), "partial", "as type page instead of slab"),
        (memleak({**RIGHT, "culprit": "other", "module": None}), "partial", r"other \(slab\) is blamed instead"),
        (memleak(RIGHT, status="degraded", reason="events were lost"), "partial", "events were lost"),
        (memleak(SUnreclaim=2000 * SIZE), "partial", "only the kernel's counter SUnreclaim grew"),
        (memleak(), "failed", "nothing of 2252800 leaked bytes is seen"),
        (memleak(status="skipped", reason="lockdown"), "failed", "did not measure: lockdown"),
    ],
)
def test_leaks(envelope, verdict, said):
    result = compare.leak(EXPECTED, READINGS, envelope)
    assert result["verdict"] == verdict
    assert re.search(said, result["reason"])
    assert bool(result["reason"]) == (verdict != "passed")


def test_a_leak_that_stood_still_proves_nothing():
    still = [{**reading, "outstanding_bytes": 64 * SIZE} for reading in READINGS]
    assert compare.leak(EXPECTED, still, memleak(RIGHT))["verdict"] == "not_run"


CLOCK = {"monotonic_ns": 500 * 10**9, "read_at_s": BEGAN_S + 30}
OPENED_NS = 470.5 * 1e9  # half a second after started_at
LENGTHS_US = [30000 + 100 * number for number in range(30)]
DELAYS = [
    {"cpu": 1, "pid": 7, "start_ns": 471 * 10**9 + n * 600 * 10**6, "least_ns": us * 1000 - 9000, "most_ns": us * 1000 + 9000, "ran": [8]}
    for n, us in enumerate(LENGTHS_US)
]


def events(**changes):
    return [
        fleet_data.wait(us, pid=7, at_s=(delay["start_ns"] + us * 1000 - OPENED_NS) / 1e9, longest_runner=None, **changes)
        | {"longest_runner": {"pid": 8, "comm": "ks-hog", "ran_us": us * 0.9}}
        for us, delay in zip(LENGTHS_US, DELAYS, strict=True)
    ]


def runlatency(found, **changes):
    data = fleet_data.runlatency(*found)
    data["histograms"]["wakeup"]["16384"] = len(DELAYS) if len(found) > 1 else len(found)
    return fleet_data.envelope("runlatency", data, **changes)


def runq(found, delays=DELAYS, **changes):
    return compare.latency("runq", delays, CLOCK, runlatency(found, **changes))


def test_every_wait_is_found_with_its_length():
    result = runq(events())
    assert (result["verdict"], result["reason"]) == ("passed", "")
    assert result["least"] <= result["measured"] == len(DELAYS) <= result["most"]


@pytest.mark.parametrize("later_s", [-3.0, 0.0, 3.0])
def test_a_window_that_opened_long_before_or_after_its_second_was_noted(later_s):
    """As on a host that is short of CPU: the delays are told apart by when the probe saw them."""
    delays = [{**DELAYS[0], "start_ns": DELAYS[0]["start_ns"] - n * 600 * 10**6} for n in range(20, 0, -1)] + DELAYS
    clock = {**CLOCK, "read_at_s": CLOCK["read_at_s"] - later_s}
    result = compare.latency("runq", delays, clock, runlatency(events()))
    assert (result["verdict"], result["reason"], result["least"], result["measured"]) == ("passed", "", len(DELAYS), len(DELAYS))


def test_only_the_longest_waits_need_to_be_listed():
    result = runq([*events()[20:], fleet_data.wait(32000.0)])
    assert (result["verdict"], result["measured"]) == ("passed", 10)


def test_waits_of_others_do_not_matter():
    assert runq([*events(), fleet_data.wait(90000.0), fleet_data.wait(20.0, pid=7)])["verdict"] == "passed"


@pytest.mark.parametrize(
    ("found", "verdict", "said"),
    [
        ([], "failed", "no event of kind runq"),
        (events()[:27], "partial", "3 of 30 delays have no event of the right length"),
        (events()[:1], "partial", "the histogram has 1 of that length"),
        ([{**event, "delay_us": event["delay_us"] + 15} for event in events()], "partial", "30 events fit no delay"),
        ([{**event, "at_s": event["at_s"] + 0.03 * number} for number, event in enumerate(events())], "partial", "fit no delay"),
        ([{**event, "longest_runner": None} for event in events()], "partial", "30 of 30 events name another task"),
        ([{**event, "wait": "preempted"} for event in events()], "failed", "no event of kind runq"),
    ],
)
def test_waits_that_are_missed_or_wrong(found, verdict, said):
    result = runq(found)
    assert result["verdict"] == verdict and said in result["reason"]


def test_a_probe_that_did_not_measure_is_blind():
    assert runq(events(), status="skipped", reason="lockdown")["verdict"] == "failed"


def test_no_delay_in_the_window_proves_nothing():
    assert runq(events(), delays=[])["verdict"] == "not_run"


def test_a_window_that_closed_before_the_delays_ended_proves_nothing():
    """By its own second it opened early enough for one of them; by what the probe saw it did not."""
    delay = {**DELAYS[0], "start_ns": round(CLOCK["monotonic_ns"] - 28e9), "least_ns": 10**9, "most_ns": 10**9}
    event = {**events()[0], "delay_us": 1e6, "at_s": 0.5}
    envelope = {**runlatency([event, event]), "window_s": 4.0}
    assert compare.latency("runq", [delay], CLOCK, envelope)["verdict"] == "not_run"


def test_a_host_that_tells_of_too_many_delays_is_not_believed():
    with pytest.raises(ValueError, match="3000 delays are more than"):
        runq(events(), delays=DELAYS * 100)


KERNEL = [{"n": n, "cpu": 1, "pid": 9, "start_ns": (472 + n) * 10**9, "length_ns": 20 * 10**6} for n in range(5)]
LONGER_US = 900.0


def stalled(kind, delays=KERNEL, longer_us=0.0, **changes):
    """What a right probe with a clock of 2 ms says of delays, changed."""
    found = []
    for delay in delays:
        most_us = delay["length_ns"] / 1e3 + LONGER_US + longer_us
        at_s = (delay["start_ns"] + delay["length_ns"] - OPENED_NS) / 1e9
        event = {"kind": kind, "delay_us": most_us, "least_us": most_us - 2000, "cpu": 1, "pid": 9, "comm": "ks", "at_s": at_s}
        event.update(certain=True, reasons=[], culprit=f"ksysak_{kind}_spin")
        found.append({**event, "stack": [f"ksysak_{kind}_spin+0x1c [test_{kind}]"], **changes})
    data = {**fleet_data.runlatency(), "stalls": found, "stall_period_us": 2000}
    data["stall_counts"] = {"irqoff": 0, "nosched": 0, "cpu_not_running": 0, kind: len(found)}
    return fleet_data.envelope("runlatency", data)


@pytest.mark.parametrize("kind", ["irqoff", "nosched"])
@pytest.mark.parametrize(
    ("changes", "verdict", "said"),
    [
        ({}, "passed", ""),
        ({"delays": KERNEL[1:]}, "partial", "1 of 5 delays have no event of the right length"),
        ({"delays": []}, "failed", "no event of kind"),
        ({"culprit": "other"}, "partial", "5 of 5 events blame another function: other"),
        ({"longer_us": 9000.0}, "partial", "5 of 5 delays"),
        ({"cpu": 0}, "partial", "of 5 delays"),
    ],
)
def test_stalls(kind, changes, verdict, said):
    envelope = stalled(kind, **changes)
    validate({**fleet_data.host("web1"), "probes": {"runlatency": envelope}})
    result = compare.latency(kind, KERNEL, CLOCK, envelope)
    assert result["verdict"] == verdict and said in result["reason"]


@pytest.mark.parametrize(
    ("gaps_us", "verdict", "said"),
    [
        ([0, 0, 0, 9000, 0], "passed", ""),
        ([0, 0, 0, 1900, 0], "partial", "1 of 5 delays have no event"),
        ([9000, 0, 0, 0, 0], "partial", "1 of 4 delays have no event"),
        ([9000] * 5, "not_run", "in each delay something else had the CPU"),
    ],
)
def test_a_delay_in_which_a_hypervisor_had_the_cpu_needs_no_event(gaps_us, verdict, said):
    delays = [{**delay, "gap_ns": gap_us * 1000} for delay, gap_us in zip(KERNEL, gaps_us, strict=True)]
    result = compare.latency("nosched", delays, CLOCK, stalled("nosched", [*KERNEL[:3], KERNEL[4]]))
    assert (result["verdict"], result["reason"][: len(said)]) == (verdict, said)


@pytest.mark.parametrize("kind", ["irqoff", "nosched"])
def test_a_stall_that_is_too_short_is_wrong(kind):
    result = compare.latency(kind, KERNEL, CLOCK, stalled(kind, longer_us=-5000.0))
    assert (result["verdict"], result["measured"]) == ("partial", 0)


def test_kinds_that_the_probe_does_not_know_are_blind():
    result = compare.latency("irqoff", KERNEL[:1], CLOCK, runlatency(events()))
    assert (result["verdict"], result["least"], result["measured"]) == ("failed", 1, 0)


@pytest.mark.parametrize(
    ("verdicts", "verdict"),
    [
        ([], "not_run"),
        (["not_run"], "not_run"),
        (["passed", "not_run"], "passed"),
        (["failed", "failed"], "failed"),
        (["passed", "failed"], "partial"),
    ],
)
def test_a_probe_is_what_all_its_cases_are(verdicts, verdict):
    assert compare.probe_verdict(verdicts) == verdict


NOW = {"kernel_modules": [], "sockets": [], "tracing_programs": 3, "memory_bytes": {"SUnreclaim": 10**7}}


@pytest.mark.parametrize(
    ("after", "said"),
    [
        ({}, []),
        ({"tracing_programs": 2}, []),
        ({"kernel_modules": ["test_irqoff"]}, ["the kernel module test_irqoff is loaded"]),
        ({"sockets": ["@ksysak.fleet/scan"]}, ["something listens on @ksysak.fleet/scan"]),
        ({"tracing_programs": 5}, ["2 more BPF programs trace than before"]),
    ],
)
def test_what_is_left_is_named(after, said):
    assert compare.left_behind(NOW, {**NOW, **after}, []) == said


MIB = 2**20
LITTLE = [f"only {10**7} of {40 * MIB} leaked bytes came back"]


@pytest.mark.parametrize(("back", "said"), [(40 * 2**20, []), (29 * 2**20, []), (10**7, LITTLE)])
def test_memory_that_does_not_come_back_is_named(back, said):
    removed = [{"ground_truths": {"test_slab_leak": {"outstanding_bytes": 40 * 2**20}}, "given_back_bytes": back}, {"changed": False}]
    assert document.left({"leftovers": NOW}, {"leftovers": NOW}, removed) == said


OPTIONS = {"type": "slab", "bytes": SIZE, "rate": 100, "freed_percent": 0, "place": "deep"}
CHURN = [{**row, "outstanding_bytes": 8 * SIZE, "frees": max(0, row["allocations"] - 8)} for row in READINGS]


@pytest.mark.parametrize(
    ("readings", "envelope", "verdict"),
    [
        (CHURN, memleak(), "passed"),
        (CHURN, memleak({**RIGHT, "verdict": "clean"}), "passed"),
        (CHURN, memleak({**RIGHT, "verdict": "suspect"}), "failed"),
        (CHURN, memleak(RIGHT), "failed"),
        (CHURN, memleak(status="skipped", reason="lockdown"), "failed"),
        ([{**row, "frees": 7} for row in CHURN], memleak(), "not_run"),
        (CHURN[:30], memleak(), "not_run"),
    ],
)
def test_memory_that_is_freed_again_must_not_be_suspected(readings, envelope, verdict):
    assert compare.steady(EXPECTED, readings, envelope)["verdict"] == verdict


def test_an_amount_is_not_proven_where_any_would_do():
    coarse = compare.leak(EXPECTED, READINGS, memleak({**RIGHT, "sampled": 1024}))
    assert coarse["verdict"] == "partial" and coarse["least"] == 0 and "the bounds prove nothing" in coarse["reason"]


@pytest.mark.parametrize(("sampled", "verdict"), [(1, "passed"), (8, "passed"), (32, "partial"), (64, "partial")])
def test_bounds_that_hold_a_third_and_twice_the_truth_prove_nothing(sampled, verdict):
    found = compare.leak(EXPECTED, READINGS, memleak({**RIGHT, "sampled": sampled}))
    assert found["verdict"] == verdict
    assert (found["most"] <= compare.PROVING * found["least"]) == (verdict == "passed")


@pytest.mark.parametrize(("counted", "verdict"), [(2000, "passed"), (1900, "passed"), (700, "failed"), (0, "failed")])
def test_a_probe_that_did_not_see_the_allocations_is_not_praised_for_its_silence(counted, verdict):
    envelope = memleak()
    envelope["data"]["totals"]["slab"]["allocations"] = counted
    assert compare.steady(EXPECTED, CHURN, envelope)["verdict"] == verdict


CASE = {"case": "slab", "probe": "memleak", "title": "leak", "options": OPTIONS}


def verdict_of(injected, job, truth):
    cases, system = document.verdicts([CASE], injected, job, truth)
    made = document.document("web1", "test", system, "", cases, [])
    validate(made)
    return made


def good():
    whole = fleet_data.host("web1")
    scan = {name: whole[name] for name in ("collection_version", "system", "probes")}
    scan["probes"]["memleak"] = memleak(RIGHT)
    return [{"item": CASE}], {"scan": scan}, {"growth": {"test_slab_leak": READINGS}, "delays": {}, "clock": CLOCK}


def test_a_document_of_what_went_well():
    made = verdict_of(*good())
    assert (made["probes"], made["kernel"]) == ({"memleak": "passed"}, "6.1.0-28-amd64")
    assert any("passed" in line for line in document.table(made))


@pytest.mark.parametrize(
    ("number", "answer", "said"),
    [
        (0, [], "nothing was injected"),
        (0, [{"item": CASE, "failed": True, "msg": "no\x1b[31m headers"}], "the injection failed: no [31m headers"),
        (1, {"failed": True, "msg": "lost"}, "the scan failed: lost"),
        (1, {"scan": {"probes": "mine"}}, "the result of the host was refused"),
        (1, {}, "the result of the host was refused"),
        (2, {"failed": True, "msg": "no"}, "reading the ground truth failed: no"),
        (2, {}, "the ground truth cannot be used: KeyError"),
        (2, {"growth": {"test_slab_leak": [1, "x"]}}, "the ground truth cannot be used: TypeError"),
        (2, {"growth": {"test_slab_leak": [{"read_at_s": float("nan"), "outstanding_bytes": "x"}]}}, "the ground truth cannot be used"),
    ],
)
def test_what_a_host_makes_up_is_untested(number, answer, said):
    answers = list(good())
    answers[number] = answer
    made = verdict_of(*answers)
    assert made["probes"] == {"memleak": "not_run"}
    assert said in made["cases"][0]["reason"]


def test_a_wrong_document_is_not_written():
    with pytest.raises(SchemaError):
        document.document("web1", "../x", {}, "", [], [])


@pytest.mark.parametrize("after", [{}, {"leftovers": None}, {"failed": True}])
def test_who_could_not_look_does_not_say_clean(after):
    assert document.left({"leftovers": NOW}, after, []) is None
