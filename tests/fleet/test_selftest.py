# SPDX-License-Identifier: GPL-3.0-or-later
"""The injectors and the self-test on virtual machines: right verdicts, clear refusals, and nothing left behind."""

import copy
import json
import os

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests.fleet.conftest import BUILT, INJECTIONS, LEAKING, MODULES, STALLING
from ansible_collections.ksysak.fleet.tests.fleet.injections import OBJECT_BYTES, OBJECTS
from ansible_collections.ksysak.fleet.tests.integration.test_probes import stalls_found

pytestmark = pytest.mark.usefixtures("root", "machine")

CHANGES = True  # this file has a machine to itself

SLAB = {"type": "slab", "confirm": True}
# Three of the six rounds, each of which takes an emulated machine some four minutes; `make test-fleet` injects all.
CASES = ["slab_cache", "page", "vmalloc", "runq", "slab_kmalloc", "irqoff", "slab_softirq", "page_steady"]
if os.environ.get("MACHINES"):
    CASES += ["slab_churn", "nosched", "slab_fast", "slab_bulk"]
NOISY = "the kernel's counter of this memory moves too much to confirm it"


def loaded(machine):
    """Return which of our kernel modules are loaded."""
    lines = machine.run("cat /proc/modules").stdout.decode().splitlines()
    return {line.split()[0] for line in lines}.intersection(MODULES)


@pytest.fixture
def inject(machine, ansible, inventory):
    """Run an injector on the machine; returns (return code, result). Everything is removed at the end."""

    def run(module, *args, **options):
        command = ["-m", f"ksysak.fleet.{module}", "-a", json.dumps(options), *args]
        done = ansible.adhoc("target", "-i", inventory, *command, ANSIBLE_CALLBACK_RESULT_FORMAT="json", ANSIBLE_PIPELINING="true")
        assert " => {" in done.stdout, done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout.partition(" => ")[2])

    yield run
    run("leak_injector", state="absent")
    assert loaded(machine) == set()


@pytest.fixture(scope="module")
def tested(ansible, inventory, tmp_path_factory):
    """The self-test's playbook run on the machine. Returns (its document, what it printed)."""
    results = tmp_path_factory.mktemp("results")
    options = {"ksysak_selftest_confirm": True, "ksysak_results": str(results), "ksysak_scan_id": "proof", "ksysak_selftest_cases": CASES}
    patient = copy.copy(ansible)
    patient.timeout_s = 3600  # an emulated machine needs minutes to build the kernel modules
    done = patient.playbook("ksysak.fleet.selftest", "-i", inventory, "-e", json.dumps(options), ANSIBLE_PIPELINING="true")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((results / "proof/selftest/target.json").read_text())
    validate(document)
    return document, done.stdout


# An emulated machine, which runs all some thirty times as slowly, may leave a case proven in part. The kernel does not run an ordinary
# tracepoint's program while another one runs on that CPU, and counts that. The counters of all memory are not read in one instant.
LOST = ("events were lost", "the bounds prove nothing")
IN_PART = {"slab_churn": LOST, "slab_softirq": LOST, "page": (NOISY,)}


def test_the_verdicts_of_todays_probes(tested):
    document, _printed = tested
    found = {case["case"]: case["verdict"] for case in document["cases"]}
    expected = dict.fromkeys(CASES, "passed")
    for case in document["cases"]:
        if case["verdict"] == "partial" and any(words in case["reason"] for words in IN_PART.get(case["case"], ())):
            expected[case["case"]] = "partial"
    assert found == expected, [f"{case['case']}: {case['reason']}" for case in document["cases"] if case["verdict"] != "passed"]


def test_a_case_that_is_not_known_is_refused(ansible, inventory):
    options = {"ksysak_selftest_confirm": True, "ksysak_selftest_cases": "page, pages"}
    done = ansible.playbook("ksysak.fleet.selftest", "-i", inventory, "-e", json.dumps(options))
    assert done.returncode != 0
    assert "ksysak_selftest_cases: there is no case pages" in done.stdout


def test_the_self_test_leaves_nothing(tested, machine):
    document, printed = tested
    assert document["left"] == [] and document["reason"] == ""
    assert "left behind: nothing" in printed
    assert loaded(machine) == set()
    assert machine.run("ls -d /root/.ansible_async*; grep -lE '^(testrunlatency|ks-.*)$' /proc/[0-9]*/comm").stdout == b""


@pytest.mark.parametrize(
    ("module", "options", "said"),
    [
        ("leak_injector", {"type": "slab"}, "confirm is not true"),
        ("leak_injector", {**SLAB, "rate": 0}, "rate must be between 1 and 1000000, got 0"),
        ("leak_injector", {**SLAB, "bytes": 65536, "ceiling_bytes": 4096}, "a parameter is out of its range"),
        ("leak_injector", {**SLAB, "ceiling_bytes": 2**35}, "max_memory_percent"),
        ("leak_injector", {**SLAB, "ko": "/nowhere.ko"}, "ko: /nowhere.ko: No such file"),
        ("leak_injector", {**SLAB, "ko": f"{BUILT}/other.ko"}, "built for kernel 9"),
        ("leak_injector", {**SLAB, "ko": f"{BUILT}/test_irqoff/test_irqoff.ko"}, "is the kernel module 'test_irqoff'"),
        ("latency_injector", {"type": "irqoff", "confirm": True, "cpu": 77}, "cpu: there is no CPU 77"),
    ],
)
def test_bad_input_is_refused(machine, built, inject, module, options, said):
    machine.run("sed 's/vermagic=[0-9]/vermagic=9/' %s > %s/other.ko" % (built["test_slab_leak"], BUILT))
    ko = {} if "ko" in options or module == "latency_injector" else {"ko": built["test_slab_leak"]}
    code, result = inject(module, **{**ko, **options})
    assert code != 0 and said in result["msg"]
    assert loaded(machine) == set()


def test_a_host_without_headers_names_the_package(machine, inject):
    link = "/lib/modules/$(uname -r)/build"
    machine.run(f"mv {link} {link}.away")
    try:
        code, result = inject("leak_injector", **SLAB)
        checked, said = inject("leak_injector", "--check", **SLAB)
    finally:
        machine.run(f"mv {link}.away {link}")
    assert code != 0 and "install linux-headers-" in result["msg"]
    assert checked != 0 and said["msg"] == result["msg"]
    assert loaded(machine) == set()


def test_check_mode_changes_nothing(machine, inject):
    code, said = inject("leak_injector", "--check", **SLAB)
    assert (code, said["changed"], said["actions"]) == (0, True, ["load test_slab_leak"])
    assert loaded(machine) == set()


def test_a_leak_is_built_changed_and_removed_while_it_leaks(machine, inject):
    code, first = inject("leak_injector", **SLAB, place="middle", rate=2000)
    assert (code, first["changed"], loaded(machine)) == (0, True, {"test_slab_leak"})
    _code, again = inject("leak_injector", **SLAB, place="middle", rate=2000)
    assert (again["changed"], again["actions"]) == (False, [])
    places = {row["place"]: row for row in again["ground_truth"]["places"]}
    assert places["ksysak_leak_middle"]["outstanding_bytes"] == 1024 * places["ksysak_leak_middle"]["allocations"] > 0
    _code, would = inject("leak_injector", "--check", **SLAB, place="middle", rate=100)
    assert would["actions"] == ["set rate: 100 instead of 2000 of test_slab_leak"]
    _code, changed = inject("leak_injector", **SLAB, place="middle", rate=100)
    assert changed["changed"] and changed["parameters"]["rate"] == "100"
    _code, would = inject("leak_injector", "--check", state="absent")
    assert would["actions"] == ["unload test_slab_leak"] and loaded(machine) == {"test_slab_leak"}
    _code, gone = inject("leak_injector", state="absent")
    truth = gone["ground_truths"]["test_slab_leak"]
    assert truth["outstanding_bytes"] == 1024 * (truth["allocations"] - truth["frees"]) > 0
    assert loaded(machine) == set()
    assert inject("leak_injector", state="absent")[1]["changed"] is False


def test_leaks_of_all_types_are_found_with_place_and_rate_while_half_is_freed_again(on_machine, built):
    """256 KiB/s each, for 20 s, sampled as by default."""

    def leaking(kind, place, size, **parameters):
        rate = 2 * 256 * 1024 // size
        wanted = {"rate": str(rate), "freed_percent": "50", "place": place, **parameters}
        return {"ko": built[f"test_{kind}_leak"], "type": kind, "parameters": wanted}

    leaks = [
        leaking("slab", "shallow", 1024, bytes="1024"),
        leaking("page", "middle", 8192, order="1"),
        leaking("vmalloc", "deep", 16384, bytes="16384"),
    ]
    (result,) = on_machine.run(LEAKING, json.dumps([{"window_s": 20, "options": {"max_overhead_percent": 100}, "leaks": leaks}]))
    found = {
        (leak["type"], leak["culprit"], leak["module"]): leak
        for leak in result["data"]["leaks"]
        if leak["verdict"] == "leak" or (leak["type"], leak["reasons"][:1]) == ("page", [NOISY])
    }
    assert set(found) == {(truth["type"], truth["culprit"], truth["module"]) for truth in result["truth"]}, result["data"]["leaks"]
    for truth in result["truth"]:
        leak = found[truth["type"], truth["culprit"], truth["module"]]
        least, most = leak["growth_ci95"]
        assert least * 0.9 <= truth["bytes_per_s"] <= most * 1.1, (truth, leak)


@pytest.mark.parametrize("kind", ["irqoff", "nosched"])
def test_stalls_of_10_to_100_ms_are_found_with_length_and_culprit(on_machine, built, kind):
    lengths_us = [10000, 20000, 40000, 100000] * 2
    result = on_machine.run(STALLING, built["test_" + kind], 5000, *lengths_us)
    found = stalls_found(result, kind)
    assert len(found) == len(lengths_us)
    for stall, event in found:
        assert event, (stall, result["data"]["stalls"])
        assert event["culprit"] == f"ksysak_{kind}_spin", event["stack"]
        assert event["least_us"] <= stall["most_us"] and stall["least_us"] <= event["delay_us"], (stall, event)


def test_a_hundred_times_without_a_leftover(on_machine, built):
    """The injectors in turn, 20 times each."""
    result = on_machine.run(INJECTIONS, 20, *built.values())
    leaks = [name.endswith("_leak") for name in built] * 20
    assert len(result["done"]) == len(leaks) == 100
    outstanding = OBJECTS * OBJECT_BYTES
    assert all(number == outstanding if leak else number > 0 for number, leak in zip(result["done"], leaks, strict=True))
    before, after = result["before"], result["after"]
    assert (after["kernel_modules"], after["sockets"]) == ([], [])
    # 120 MB went and came: what is not given back of one in twenty is more than the noise of a machine at rest.
    grown = sum(after["memory_bytes"].values()) - sum(before["memory_bytes"].values())
    assert grown < sum(leaks) * outstanding / 20
