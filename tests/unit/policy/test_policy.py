# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies: what the shipped one finds, and how wrong ones are refused."""

import copy
import datetime
import json
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.module_utils._core.registry import NAMES as PROBES
from ansible_collections.ksysak.fleet.plugins.plugin_utils.joins.joins import JOINS
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy import text
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.expressions import Expression, ExpressionError
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import PolicyError, load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.source import shipped
from ansible_collections.ksysak.fleet.tests import fleet_data as data

REPO = Path(__file__).resolve().parents[3]

RULE = {
    "id": "many-cpus",
    "title": "{{ evidence.cpus }} CPUs on {{ host }}",
    "category": "config",
    "severity": "info",
    "evidence": "system | [@][?cpus >= $cpus]",
    "signature": "cpus",
    "remedy": "None.",
    "parameters": {"cpus": {"value": 2, "unit": "CPUs", "description": "how many are many"}},
}


def policy_file(tmp_path, *rules, name="own.yml"):
    path = tmp_path / name
    path.write_text(yaml.safe_dump({"schema": "ksysak.policy/1", "rules": list(rules)}), encoding="utf-8")
    return str(path)


def found(document, **overrides):
    findings, problems = load(overrides=overrides).findings(document)
    assert problems == []
    return {(finding["rule"], finding["severity"]) for finding in findings}


def with_probe(name, probe_data, **changes):
    document = data.host("web1")
    document["probes"][name] = data.envelope(name, probe_data, **changes)
    return document


@pytest.mark.parametrize(("status", "severity"), [("degraded", "info"), ("skipped", "info"), ("failed", "warning")])
@pytest.mark.parametrize("probe", ["memory", "runlatency"])
def test_a_probe_that_failed_is_more_than_a_note(probe, status, severity):
    document = data.host("web1")
    measured = {"memory": data.memory, "runlatency": data.runlatency}[probe]()
    document["probes"][probe] = data.envelope(probe, measured, status, "no answer", "scan again")
    assert ("probe-status", severity) in found(document)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("healthy", set()),
        ("leaking", {("memleak-suspected", "error"), ("slab-growth", "warning")}),
        (
            "noisy",
            {("runq-latency", "error"), ("interrupt-cpu-share", "warning"), ("cpu-interrupted", "warning"), ("cpu-not-running", "info")},
        ),
        ("oopsing", {("os-exception", "critical"), ("os-exception", "error")}),
        ("degraded", {("probe-status", "info")}),
        ("unreachable", set()),
        ("failed", set()),
        ("lost", set()),
    ],
)
def test_shipped_policy_finds_what_is_there_and_no_more(kind, expected):
    assert found(data.host("web1", kind)) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"confidence": 0.39},
        {"growth_bytes_per_s": 4095.0},
        {"objects_outstanding": 7},
        {"verdict": "clean"},
    ],
)
def test_a_leak_is_suspected_only_when_all_signs_agree(changes):
    border = {"verdict": "suspect", "confidence": 0.4, "growth_bytes_per_s": 4096.0, "objects_outstanding": 8}
    suspected = {("memleak-suspected", "warning")}
    assert found(with_probe("memleak", data.memleak(data.outstanding(**{**data.LEAK, **border})))) == suspected
    assert found(with_probe("memleak", data.memleak(data.outstanding(**{**data.LEAK, **border, **changes})))) == set()


def test_a_leak_that_is_known_can_be_accepted():
    document = with_probe("memleak", data.memleak(data.outstanding(**{**data.LEAK, "culprit": "f"})))
    assert found(document) == {("memleak-suspected", "error")}
    assert found(document, **{"memleak-suspected": {"accepted": ["f"]}}) == set()


ECC = {"controller": "mc0", "corrected": 99, "uncorrected": 0, "dimms": []}
DISK = {"device": "sda", "errors": 9, "timeouts": 9, "requests": 99}
DRIVE = {"device": "nvme0", "warnings": [], "media_errors": 0, "used_percent": 99, "spare_percent": 100, "unsafe_shutdowns": 4}
ARRAY = {"array": "md0", "missing_members": 0, "mismatched_sectors": 0}
LINK = {"device": "0000:01:00.0", "corrected": 99, "non_fatal": 0, "fatal": 0}
KERNEL = data.host_health()["kernel"]
PANIC = {"panic": 10, "softlockup_panic": 1, "hung_task_panic": 1, "watchdog": 1, "hung_task_timeout_secs": 120}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ecc": [ECC], "disks": [DISK], "nvme": [DRIVE], "arrays": [ARRAY], "pcie": [LINK], "panic_settings": PANIC}, set()),
        ({"unclean_boots": None, "taint": None, "panic_settings": {}, "kdump": {"loaded": None, "reserved_bytes": None}}, set()),
        ({"ecc": [{**ECC, "corrected": 100}]}, {("memory-corrected", "warning")}),
        ({"ecc": [{**ECC, "uncorrected": 1}]}, {("memory-uncorrected", "critical")}),
        ({"disks": [{**DISK, "errors": 10}]}, {("disk-failed-requests", "warning")}),
        ({"disks": [{**DISK, "timeouts": 10}]}, {("disk-failed-requests", "warning")}),
        ({"nvme": [{**DRIVE, "used_percent": 100}]}, {("nvme-health", "warning")}),
        ({"nvme": [{**DRIVE, "media_errors": 1, "warnings": ["temperature"]}]}, {("nvme-health", "warning")}),
        ({"nvme": [{**DRIVE, "warnings": ["read_only"]}]}, {("nvme-health", "error")}),
        ({"arrays": [{**ARRAY, "missing_members": 1}]}, {("array-degraded", "error")}),
        ({"arrays": [{**ARRAY, "mismatched_sectors": 8}]}, {("array-mismatch", "info")}),
        ({"file_systems": [{"file_system": "ext4", "device": "sda1", "errors": 1, "last_at": None}]}, {("file-system-errors", "error")}),
        ({"pcie": [{**LINK, "corrected": 100}]}, {("pcie-errors", "warning")}),
        ({"pcie": [{**LINK, "fatal": 1}]}, {("pcie-errors", "error")}),
        ({"unclean_boots": [{"boot_id": "1" * 32, "ended_at": None}]}, {("unclean-boot", "warning")}),
        ({"kernel": {**KERNEL, "oops_count": 1, "warn_count": 2}}, {("kernel-oopsed", "error"), ("kernel-warned", "info")}),
        ({"kernel": {**KERNEL, "reboot_pending": "newer_kernel"}}, {("reboot-pending", "info")}),
        ({"kernel": {**KERNEL, "reboot_pending": "asked_for"}}, {("reboot-pending", "info")}),
        ({"taint": {"value": 640, "flags": ["D", "W"]}}, {("kernel-taint-trouble", "warning")}),
        ({"kdump": {"loaded": False, "reserved_bytes": 0}}, {("kdump-not-ready", "info")}),
        ({"kdump": {"loaded": False, "reserved_bytes": 2**28}}, {("kdump-not-ready", "info")}),
        ({"panic_settings": {"panic": 0}}, set()),
        (
            {"panic_settings": {"panic": 0}, "kdump": {"loaded": False, "reserved_bytes": 0}},
            {("kdump-not-ready", "info"), ("panic-halts-host", "info")},
        ),
        (
            {"panic_settings": {**PANIC, "watchdog": 0}},
            {("lockup-detector-off", "info"), ("panic-settings-contradict", "info")},
        ),
        ({"panic_settings": {**PANIC, "hung_task_timeout_secs": 0}}, {("panic-settings-contradict", "info")}),
    ],
)
def test_what_is_wrong_with_the_health_of_a_host_is_a_finding(changes, expected):
    assert found(with_probe("host_health", data.host_health(**changes))) == expected


def test_unaccounted_memory_is_a_finding():
    assert found(with_probe("memleak", data.memleak(unaccounted=67108864))) == {("unaccounted-growth", "warning")}
    assert found(with_probe("memleak", data.memleak(unaccounted=67108863))) == set()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"explained_bytes_per_s": None}, True),
        ({"explained_bytes_per_s": 599999.0}, True),
        ({"explained_bytes_per_s": 600000.0}, False),
        ({"bytes_per_s": 65535.0}, False),
        ({"by": "size", "bytes_per_s": None, "explained_bytes_per_s": None}, False),
    ],
)
def test_a_counter_that_grows_without_an_allocation_site_is_a_finding(changes, expected):
    measured = data.memleak()
    row = {"type": "slab", "counter": "SUnreclaim", "by": "growth", "bytes": 24 * 10**6, "bytes_per_s": 1.2e6, "explained_bytes_per_s": 0.0}
    measured["triage"]["suspects"] = [{**row, **changes}]
    assert found(with_probe("memleak", measured)) == ({("memory-counter-growth", "warning")} if expected else set())


@pytest.mark.parametrize(("delay_us", "severity"), [(19999.9, None), (20000.0, "warning"), (99999.0, "warning"), (100000.0, "error")])
def test_the_longest_wait_sets_the_severity(delay_us, severity):
    expected = {("runq-latency", severity)} if severity else set()
    assert found(with_probe("runlatency", data.runlatency(data.wait(delay_us), data.wait(12000.0, longest_runner=None)))) == expected


ORDINARY = {"pid": 999, "comm": "python3", "prio": 120, "policy": "normal", "ran_us": 40000.0}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"runq-latency"}),
        ({"longest_slice": None}, set()),  # one of 40 ms in many turns is what a busy host has
        ({"longest_slice": ORDINARY}, set()),  # it ran for so long because the scheduler chose it
        ({"longest_slice": {**ORDINARY, "policy": "deadline", "prio": -1}}, {"runq-latency"}),
        ({"longest_slice": None, "long_waits": 10}, {"runq-latency"}),
        ({"longest_slice": None, "long_waits": 9}, set()),
        ({"longest_slice": None, "delay_us": 100000.0}, {"runq-latency"}),
        ({"longest_slice": None, "policy": "realtime", "prio": 49}, {"runq-latency"}),
        ({"prio": 139}, set()),  # nice 19 means that others go first
        ({"policy": "idle"}, set()),
        ({"cause": "cpu_not_running"}, {"cpu-not-running"}),
        ({"cause": "idle"}, set()),
        ({"cause": "throttled"}, set()),  # cpu-quota-exhausted has it
        ({"cause": "realtime_throttled"}, {"realtime-throttled"}),
        ({"cause": "affinity", "allowed_cpus": "1", "idle_elsewhere_share": 0.9}, {"cpu-affinity"}),
        ({"cause": "affinity", "allowed_cpus": "1", "idle_elsewhere_share": 0.9, "policy": "idle"}, set()),
    ],
)
def test_one_wait_is_a_finding_by_its_cause_and_by_how_often(changes, expected):
    measured = data.runlatency(
        data.wait(**{"delay_us": 40000.0, **{name: value for name, value in changes.items() if name != "long_waits"}})
    )
    measured["long_waits"] = [{"at_least_us": 8192, "count": 500}, {"at_least_us": 16384, "count": changes.get("long_waits", 1)}]
    assert {rule for rule, _severity in found(with_probe("runlatency", measured))} == expected


@pytest.mark.parametrize(("total_us", "pid", "expected"), [(8e6, 4711, {"cpu-affinity"}), (7.9e6, 4711, set()), (2e7, 4712, set())])
def test_many_short_waits_of_a_pinned_task_are_a_finding(total_us, pid, expected):
    measured = data.runlatency(data.wait(6000.0, comm="app", cause="affinity", allowed_cpus="1", idle_elsewhere_share=0.9))
    measured["tasks"] = [{**measured["tasks"][0], "pid": pid, "comm": "app", "total_us": total_us}]
    assert {rule for rule, _severity in found(with_probe("runlatency", measured))} == expected


def test_pinned_workers_that_hardly_wait_are_no_finding():
    """As those of a web server with a CPU each on a large host: together they wait for long, none of them does."""
    waits = [
        data.wait(3000.0, comm="nginx", pid=pid, cause="affinity", allowed_cpus=str(pid), idle_elsewhere_share=0.8) for pid in range(9, 73)
    ]
    measured = data.runlatency(*waits)
    measured["tasks"] = [{**measured["tasks"][0], "pid": pid, "total_us": 0.4e6} for pid in range(9, 73)]
    measured["commands"] = [{**measured["commands"][0], "wait_us": 64 * 0.4e6}]
    assert found(with_probe("runlatency", measured)) == set()


def test_a_wait_names_the_commands_that_had_the_cpu():
    commands = [
        {"pid": None, "comm": comm, "ran_us": share * 4e4, "share": share} for comm, share in (("kworker", 0.47), ("app", 0.4), ("sh", 0.1))
    ]
    measured = data.runlatency(data.wait(40000.0, commands=commands))
    findings, problems = load().findings(with_probe("runlatency", measured))
    assert problems == []
    assert [finding["title"] for finding in findings] == ["Tasks that could run waited up to 40 ms for a CPU, while kworker, app ran"]
    pinned = data.wait(40000.0, cause="affinity", allowed_cpus="1", idle_elsewhere_share=0.9, commands=commands[:1], comm="redis")
    findings, problems = load().findings(with_probe("runlatency", data.runlatency(pinned)))
    assert [finding["title"] for finding in findings] == [
        "redis may use CPU 1 alone and waited up to 40 ms for it, while kworker ran and other CPUs were idle for 90 %"
    ]


def test_p99_and_pressure_are_findings():
    slow = data.runlatency()
    slow["normal"]["percentiles_us"]["p99"] = 16384
    slow["pressure"]["some_share"] = 0.7
    assert found(with_probe("runlatency", slow)) == {("runq-latency-p99", "warning"), ("cpu-pressure", "warning")}
    findings, _problems = load().findings(with_probe("runlatency", slow))
    assert {finding["title"] for finding in findings} == {
        "p99 run-queue latency is 16.4 ms (%d waits), CPUs used by nginx" % slow["count"],
        "At least one task waited for a CPU during 70 % of the window, CPUs used by nginx",
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"idle_share": 0.25}, {"runq-latency-p99"}),  # CPUs are free: more of them would not help
        ({"wait_shares": {"throttled": 0.5, "cpu_not_running": 0.0}}, set()),
        ({"wait_shares": {"throttled": 0.0, "cpu_not_running": 0.5}}, set()),
        ({"idle_share": None, "wait_shares": None, "commands": []}, {"runq-latency-p99", "cpu-pressure"}),
    ],
)
def test_pressure_says_that_cpus_are_few_only_where_they_are(changes, expected):
    slow = {**data.runlatency(), **changes}
    slow["normal"]["percentiles_us"]["p99"] = 16384
    slow["pressure"]["some_share"] = 0.7
    assert {rule for rule, _severity in found(with_probe("runlatency", slow))} == expected


STALL = {"kind": "irqoff", "delay_us": 12000.0, "least_us": 10000.0, "cpu": 1, "pid": 9, "comm": "kworker/1:2", "at_s": 2.5}
STALL.update(times=2, certain=True, reasons=[], culprit="acme_reset", stack=["acme_reset+0x61 [acme]"])


@pytest.mark.parametrize(
    ("changes", "severity"),
    [
        ({}, "error"),
        ({"times": 1}, None),  # a virtual machine: a pause can look so once
        ({"kind": "nosched", "times": 1}, "warning"),
        ({"delay_us": 9999.9}, None),
        ({"certain": False, "reasons": ["the machine was paused"]}, None),
        ({"kind": "cpu_not_running", "culprit": None, "stack": []}, None),
        ({"culprit": None, "stack": []}, None),
        ({"kind": "syscall"}, None),
    ],
)
def test_only_a_stall_that_is_certain_blames_a_function(changes, severity):
    document = with_probe("runlatency", {**data.runlatency(), "stalls": [{**STALL, **changes}]})
    assert found(document) == ({("kernel-stall", severity)} if severity else set())
    assert found(document, **{"kernel-stall": {"accepted": ["acme_reset"]}}) == set()
    if changes == {"times": 1}:
        document["system"]["virtualization"] = "none"
        assert found(document) == {("kernel-stall", "error")}


@pytest.mark.parametrize(
    ("changes", "expected"), [({}, {("long-syscall", "info")}), ({"delay_us": 19999.0}, set()), ({"culprit": None}, set())]
)
def test_a_long_system_call_is_a_finding(changes, expected):
    call = {**STALL, "kind": "syscall", "delay_us": 20000.0, "syscall_nr": 19, **changes}
    document = with_probe("runlatency", {**data.runlatency(), "stalls": [call]})
    assert found(document) == expected
    assert found(document, **{"long-syscall": {"accepted": ["acme_reset"]}}) == set()


def test_a_quota_that_ran_out_is_a_finding():
    def throttled(total_us):
        group = {"cgroup": "/system.slice/a.service", "times": 9, "total_us": total_us}
        return found(with_probe("runlatency", {**data.runlatency(), "throttled": [group]}))

    assert throttled(1_000_000) == {("cpu-quota-exhausted", "warning")}
    assert throttled(999_999) == set()


def test_long_handlers_are_findings_also_without_an_interrupt_number():
    long = [
        data.vector("softirq", "NET_RX", None, {0: (9, 20000.0, 10000.0)}),
        data.vector("timer", "LOC", None, {1: (9, 20000.0, 2000.0)}),
    ]
    assert found(with_probe("interference", data.interference(*long))) == set()  # once, on a virtual machine
    for entry in long:
        entry["long_runs"] = 10
    timers = [{**data.timer("tick_nohz_handler", 500.0, 9e5), "long_runs": 10}]
    assert found(with_probe("interference", data.interference(*long, timers=timers))) == {
        ("softirq-long", "warning"),
        ("interrupt-handler-long", "warning"),
    }


@pytest.mark.parametrize(("long_functions", "expected"), [(0, set()), (9, set()), (10, {("interrupt-handler-long", "warning")})])
def test_on_a_virtual_machine_the_functions_of_the_local_timer_are_judged(long_functions, expected):
    """Its handler sets the next timer: there the hypervisor may take the CPU away, each time anew."""
    entry = {**data.vector("timer", "LOC", None, {1: (9, 20000.0, 53000.0)}), "long_runs": 40}
    timers = [
        {**data.timer("tick_nohz_handler", 500.0, 9e5), "long_runs": long_functions},
        data.timer("process_timeout", 9.0, 9e5, kind="timer"),
    ]
    assert found(with_probe("interference", data.interference(entry, timers=timers))) == expected
    other = {**entry, "kind": "hardirq", "name": "nvme0q1"}
    assert found(with_probe("interference", data.interference(other, timers=timers))) == {("interrupt-handler-long", "warning")}


@pytest.mark.parametrize(("per_s", "expected"), [(499.9, set()), (500.0, {("process-storm", "warning")}), (None, set())])
def test_processes_that_are_started_by_the_hundred_are_a_storm(per_s, expected):
    document = with_probe("runlatency", {**data.runlatency(), "started_per_s": per_s})
    document["system"]["cpus"] = 2
    assert found(document) == expected
    document["system"]["cpus"] = 3
    assert found(document) == set()


NET_RX = data.vector("softirq", "NET_RX", None, {1: (400000, 2e6, 9.0)})


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        (data.interference(data.vector("hardirq", "nvme0q1", 31, {0: (400000, 800000.0, 9.0)})), "interrupt-one-cpu"),
        (data.interference(data.vector("hardirq", "nvme0q1", 31, {0: (400000, 4e6, 9.0)})), "interrupt-cpu-share"),
        (data.interference(data.vector("hardirq", "nvme0q1", 31, {0: (399999, 800000.0, 9.0)})), None),
        (data.interference(data.vector("hardirq", "nvme0q1", 31, {0: (400000, 800000.0, 9.0), 1: (200000, 700000.0, 9.0)})), None),
        (data.interference(data.vector("softirq", "TIMER", None, {0: (1000000, 800000.0, 9.0)})), "softirq-storm"),
        (data.interference(data.vector("softirq", "TIMER", None, {0: (999999, 800000.0, 9.0), 1: (999999, 800000.0, 9.0)})), None),
        (data.interference(timers=[data.timer("hrtimer_wakeup.isra.0", 50000.0, 9e5, (77, "spinner", 9))]), "timer-storm"),
        (data.interference(timers=[data.timer("process_timeout", 50000.0, 9e5, kind="timer")]), "timer-storm"),
        (data.interference(timers=[data.timer("hrtimer_wakeup", 49999.0, 9e5)]), None),
        (data.interference(timers=[data.timer("tick_sched_timer", 128000.0, 9e5)]), None),
        (data.interference(timers=[{**data.timer("timerfd_tmrproc", 9000.0, 9e5), "cpu_share": 0.05}]), "timer-storm"),
        (data.interference(sources=[data.caused("tlb_shootdowns", 5000.0, (5, "java", 4990.0))]), "tlb-shootdowns"),
        (data.interference(sources=[data.caused("tlb_shootdowns", 4999.0, (5, "java", 4990.0))]), None),
        (data.interference(NET_RX, sources=[data.caused("packets_sent", 2e4, (5, "iperf3", 2e4))]), "packet-rate"),
        (data.interference(NET_RX, sources=[data.caused("packets_sent", 1.9e4, (5, "iperf3", 2e4))]), None),
        (data.interference(sources=[data.caused("packets_sent", 2e5, (5, "iperf3", 2e5))]), None),  # they cost little
        (data.interference(threads=[(14, "ksoftirqd/0", 0.5)]), "kernel-thread-busy"),
        (data.interference(threads=[(14, "ksoftirqd/0", 0.49)]), None),
        (data.interference(steal=0.1), "cpu-steal"),
        (data.interference(steal=0.09), None),
    ],
)
def test_storms_and_what_takes_a_cpu(measured, expected):
    assert found(with_probe("interference", measured)) == ({(expected, "warning")} if expected else set())


def test_interrupts_of_a_disk_name_whose_block_io_they_are():
    disk = data.vector("hardirq", "virtio1-req.0", 31, {1: (480000, 800000.0, 9.0)})
    softirq = data.vector("softirq", "BLOCK", None, {1: (400000, 5e6, 9.0)})
    asked = data.caused(
        "io_requests", 24000.0, (8, "jbd2/vda-8", 12000.0), (5, "app-fsync", 4000.0), (6, "app-fsync", 3000.0), (7, "cron", 1.0)
    )
    document = with_probe("interference", data.interference(disk, softirq, sources=[asked]))
    titles = {finding["title"] for finding in load().findings(document)[0]}
    assert "CPU 1 alone takes the 24000 interrupts a second of virtio1-req.0, block I/O of jbd2/vda-8, app-fsync" in titles
    assert "softirq BLOCK takes 25 % of CPU 1, block I/O of jbd2/vda-8, app-fsync" in titles
    asked["rate_per_s"] = 9000.0  # fewer than these interrupts are for: another device's
    titles = {finding["title"] for finding in load().findings(document)[0]}
    assert "CPU 1 alone takes the 24000 interrupts a second of virtio1-req.0" in titles


def test_storms_name_who_and_where():
    timer = data.timer("hrtimer_wakeup.isra.0", 50000.0, 9e5, (77, "spinner", 9))
    sources = [
        data.caused("packets_sent", 203000.0, (5, "iperf3", 202000.0), (6, "sshd", 12.0)),
        data.caused("packets_received", 150000.0, (7, "sink", 150000.0)),
        data.caused("tlb_shootdowns", 10000.0, (8, "java", 9990.0)),
    ]
    storm = data.interference(NET_RX, timers=[timer], threads=[(14, "ksoftirqd/0", 0.5)], sources=sources)
    findings, problems = load().findings(with_probe("interference", storm))
    assert problems == []
    assert {finding["signature"]: finding["title"] for finding in findings} == {
        "timer-storm|hrtimer|hrtimer_wakeup": "50000 timers a second call hrtimer_wakeup and take 5 % of all CPUs, "
        "most of them started by spinner",
        "kernel-thread-busy|ksoftirqd": "The kernel thread ksoftirqd takes 50 % of a CPU: ksoftirqd/0",
        "packet-rate|packets": "203000 packets a second, sent by iperf3, received by sink, take 10 % of CPU 1 in softirqs",
        "tlb-shootdowns|java": "java interrupts other CPUs 10000 times a second: it unmaps memory that its threads share",
    }


def test_counts_without_times_are_no_findings():
    counted = data.interference()
    counted.update(cpus=[], cross_check=None)
    untimed = {"total_us": None, "mean_us": None, "longest_us": None}
    for vector in counted["vectors"]:
        vector.update(untimed, histogram_ns=None)
        for cpu in vector["by_cpu"]:
            cpu.update(untimed)
    document = with_probe("interference", counted, status="degraded", reason="no tracepoints", engine="procfs")
    assert found(document) == {("probe-status", "info")}


@pytest.mark.parametrize(
    ("kind", "severity", "category"),
    [
        ("panic", "fatal", "exception"),
        ("gpf", "critical", "exception"),
        ("mce", "error", "hardware"),
        ("io_error", "error", "hardware"),
        ("oom", "error", "resource"),
        ("warning", "warning", "exception"),
        ("fs_readonly", "critical", "hardware"),
        ("never_heard_of", "warning", "exception"),
    ],
)
def test_kinds_set_severity_and_category_and_unknown_ones_are_found_too(kind, severity, category):
    event = data.exception(kind=kind, signature=f"{kind}:f+0x1a/0x20")
    findings, problems = load().findings(with_probe("os_exceptions", data.os_exceptions(event)))
    assert problems == []
    assert [(finding["severity"], finding["category"]) for finding in findings] == [(severity, category)]
    assert findings[0]["signature"] == f"os-exception|{kind}:f"


def test_kinds_beyond_the_kept_events_are_found():
    exceptions = data.os_exceptions(data.exception())
    exceptions["kinds"]["panic"] = 4
    assert ("os-exception-beyond", "fatal") in found(with_probe("os_exceptions", exceptions))


def test_a_finding_has_the_shape_of_the_design():
    (finding, *_rest), _problems = load().findings(data.host("web1", "leaking"))
    assert set(finding) == {
        "id", "rule", "probes", "severity", "category", "title", "host", "signature", "evidence", "remedy", "references",
        "weight", "bytes_per_s", "excess", "last_seen", "first_reported", "dated",
    }  # fmt: skip
    assert finding["title"] == "Kernel memory leak in acme_rx_refill [acme_nic] (slab): 486 KiB/s"
    assert finding["signature"] == "memleak-suspected|slab|acme_rx_refill|acme_nic"


def test_ids_are_unique_and_stable():
    document = data.host("web1", "noisy")
    loud = [data.vector("hardirq", f"eth{n}-TxRx-0", n, {0: (9, 9e6, 1.0)}) for n in range(3)]
    document["probes"]["interference"] = data.envelope("interference", data.interference(*loud))
    first, second = (load().findings(copy.deepcopy(document))[0] for _again in range(2))
    assert first == second
    assert len({finding["id"] for finding in first}) == len(first)
    assert len({finding["signature"] for finding in first if finding["rule"] == "interrupt-cpu-share"}) == 1


def test_overrides_change_thresholds_and_switch_rules_off():
    noisy = data.host("web1", "noisy")
    assert ("runq-latency", "warning") in found(noisy, **{"runq-latency": {"severe_us": 500000}})
    assert not {rule for rule, _severity in found(noisy, **{"runq-latency": {"enabled": False}})} & {"runq-latency"}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"nope": {}}, "no rule is called 'nope'"),
        ({"runq-latency": {"nope": 1}}, "rule 'runq-latency': 'nope': no such parameter"),
        ({"runq-latency": {"delay_us": "20"}}, "'delay_us': a number \\(us\\) is expected"),
        ({"runq-latency": {"delay_us": True}}, "'delay_us': a number"),
        ({"memleak-suspected": {"accepted": "f"}}, "'accepted': a list of texts is expected"),
        ({"memleak-suspected": {"accepted": [1]}}, "'accepted': a list of texts is expected"),
        ({"runq-latency": {"enabled": "no"}}, "'enabled': true or false"),
        ({"runq-latency": 5}, "a dictionary of parameters"),
    ],
)
def test_wrong_overrides_are_named(overrides, said):
    with pytest.raises(PolicyError, match=said):
        load(overrides=overrides)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"severity": "bad"}, "rule 'many-cpus': severity"),
        ({"sevrity": "info"}, "sevrity"),
        ({"evidence": "system.["}, "evidence: column 9: the expression ends too early"),
        ({"evidence": "system[?cpus > $cpus $cpus]"}, "evidence: column 22: syntax error"),
        ({"evidence": "system[?cpus > $cpu]"}, "evidence: column 16: unknown parameter '\\$cpu'"),
        ({"evidence": "lenght(system)"}, "unknown function 'lenght\\(\\)'"),
        ({"evidence": "system[?starts_with(kernel)]"}, "'starts_with\\(\\)' takes 2 arguments, not 1"),
        ({"evidence": "probes.memleak.data.outstandng[0]"}, "evidence: column 21: can never match: nothing here is called 'outstandng'"),
        ({"evidence": "probes.memlaek.data"}, "evidence: column 8: can never match: nothing here is called 'memlaek' \\(known: "),
        ({"evidence": "system.kernel.release"}, "column 15: can never match: 'release' is asked of a value that has no members"),
        ({"evidence": "probes.os_exceptions.data.sources[?status == 'lost']"}, "it is never 'lost' \\(known: read, partial, unread\\)"),
        ({"evidence": "system | [@][?cpu > `1`]"}, "nothing here is called 'cpu'"),
        ({"evidence": "with_fields(probes.memleak.data.outstanding, {w: host})[?wx]"}, "nothing here is called 'wx'"),
        ({"title": "{{ evidence.cpus"}, "title: "),
        ({"title": "{{ evidnce.cpus }}"}, "title: unknown name 'evidnce'"),
        ({"title": "{{ evidence.cpus | nice }}"}, "title: .*nice"),
        ({"remedy": "{{ lookup('pipe', 'id') }}"}, "remedy: unknown name 'lookup'"),
        ({"references": ["javascript:alert(1)"]}, "references"),
    ],
)
def test_wrong_rules_are_refused_with_file_and_rule(tmp_path, changes, said):
    with pytest.raises(PolicyError, match=said) as refused:
        load([policy_file(tmp_path, {**RULE, **changes})])
    assert "own.yml" in str(refused.value)
    assert "many-cpus" in str(refused.value)


WRONG_LINES = """schema: ksysak.policy/1
rules:
  - id: one
    title: One
    category: config
    severity: info
    evidence: >-
      system |
      [@][?cpus > $cpu].{a: kernel}
    signature: one
    remedy: "{{ nope }}"
overrides:
  one:
    hosts:
      "web*": {severity: awful}
waivers:
  - rule: two
    owner: ops
    reason: none
    expires: 2026-02-30
"""


@pytest.mark.parametrize(
    ("changes", "place", "said"),
    [
        ([], "9:19", "rule 'one': evidence: column 22: unknown parameter '$cpu'"),
        ([("$cpu", "`1`")], "11:13", "rule 'one': remedy: unknown name 'nope'"),
        ([("$cpu", "`1`"), ("nope", "host")], "15:16", "rule 'one': 'hosts.web*.severity': one of fatal, "),
        ([("$cpu", "`1`"), ("nope", "host"), ("awful", "info")], "17:11", "waiver: no rule is called 'two'"),
        ([("$cpu", "`1`"), ("nope", "host"), ("awful", "info"), ("two", "one")], "20:14", "waiver: '2026-02-30' is not a day"),
        ([("title:", "titel:")], "3:5", "rule 'one': it must contain"),
        ([("severity: info", "severity: bad")], "6:15", "rule 'one': severity: "),
        ([("  one:", "  three:")], "13:3", "no rule is called 'three'"),
        ([("title: One", "id: One")], "4:5", "the key 'id' is there twice"),
        ([("  - id: one", "  - id: [one")], "4:10", "not YAML"),
    ],
)
def test_what_is_wrong_is_shown_with_line_and_column(tmp_path, changes, place, said):
    text = WRONG_LINES
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "own.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError) as refused:
        load([str(path)])
    assert str(refused.value).startswith(f"{path}:{place}: ")
    assert said in str(refused.value)


def rules_of(name):
    return [rule for file in shipped(name) for rule in yaml.safe_load(file.read_text(encoding="utf-8"))["rules"]]


@pytest.mark.parametrize("rule", [rule for name in ("default", "compliance") for rule in rules_of(name)], ids=lambda rule: rule["id"])
def test_what_a_shipped_rule_asks_is_in_the_schemas(rule):
    """The check sees wrong names in real rules: each name that stands for a field of a document, misspelled, is refused."""
    parameters = {name: entry["value"] for name, entry in rule.get("parameters", {}).items()}
    Expression(rule["evidence"], parameters).check_fits_hosts()
    paths = re.findall(r"\b(?:probes|system|trend)\.[a-z_.]+[a-z_]", rule["evidence"])
    of_join = {"causes": r"\bheld\b", "levels": r"\bdetail\b"}.get(rule["evidence"].partition("[")[0])
    paths += re.findall(of_join, rule["evidence"])[:1] if of_join else []
    assert paths or "entries(probes)" in rule["evidence"] or rule["evidence"].startswith("system |")
    for path in paths:
        if "meminfo_delta_bytes." in path:
            continue  # the fields are the kernel's
        with pytest.raises(ExpressionError, match="can never match"):
            Expression(rule["evidence"].replace(path, f"{path}x"), parameters).check_fits_hosts()


def test_the_strict_policy_finds_what_is_no_trouble_yet():
    document = data.host("web1")
    document["system"].update(uptime_s=200 * 86400.0, modules=["ext4", "scsi_debug"])
    document["probes"]["memleak"]["cost"].update(lost_events=700, lost_share=0.031)
    document["probes"]["os_exceptions"]["data"]["sources"].append(
        {"name": "kmsg", "status": "unread", "reason": "no permission", "lines": 0, "bytes": 0}
    )
    document["probes"]["runlatency"] = data.envelope("runlatency", {}, "skipped", "no bcc", "install it")
    findings, problems = load(["default", "compliance"]).findings(document)
    assert problems == []
    assert {(finding["rule"], finding["severity"]) for finding in findings} == {
        ("kernel-tainted", "warning"), ("module-forbidden", "error"), ("log-unread", "warning"), ("events-lost", "warning"),
        ("uptime-long", "warning"), ("probe-status", "error"),
    }  # fmt: skip
    allowed = {"kernel-tainted": {"allowed": ["O", "E"]}, "uptime-long": {"enabled": False}}
    rules = {finding["rule"] for finding in load(["default", "compliance"], allowed).findings(document)[0]}
    assert not rules & {"kernel-tainted", "uptime-long"}


@pytest.mark.parametrize(
    ("lost_events", "lost_share", "status", "found"),
    [
        (0, 0.0, "degraded", False),  # of another cause
        (700, 0.0011, "degraded", False),  # a small share, and degraded of any cause
        (101, 0.011, "ok", True),
        (101, 0.01, "ok", False),
        (100, 0.9, "degraded", False),  # of a window in which hardly anything happened
    ],
)
def test_lost_events_are_a_finding_by_their_share(lost_events, lost_share, status, found):
    document = data.host("web1")
    document["probes"]["memleak"].update(status=status, reason="" if status == "ok" else "no kernel headers")
    document["probes"]["memleak"]["cost"].update(lost_events=lost_events, lost_share=lost_share)
    findings = [finding for finding in load(["default", "compliance"]).findings(document)[0] if finding["rule"] == "events-lost"]
    assert [finding["title"] for finding in findings] == ["Probe memleak lost 1.1 % of its events (101)"] * found


def test_the_strict_policy_alone_says_what_it_needs():
    with pytest.raises(PolicyError, match=r"compliance\.yml:\d+:\d+: no rule is called 'probe-status'"):
        load(["compliance"])


def test_overrides_are_for_all_for_groups_or_for_hosts(tmp_path):
    overrides = {"many-cpus": {"cpus": 99, "groups": {"web": {"cpus": 1}, "db": {"cpus": 1}}, "hosts": {"web2": {"enabled": False}}}}
    policy = load([policy_file(tmp_path, RULE)], overrides)
    assert policy.rules[0].parameters == {"cpus": 99}
    assert [len(policy.findings(data.host(name))[0]) for name in ("web1", "web2", "db1")] == [1, 0, 1]
    other = data.host("mail1")
    other["groups"] = ["mail"]
    assert policy.findings(other)[0] == []
    raised = load([policy_file(tmp_path, RULE)], {"many-cpus": {"severity": "error", "hosts": {"web*": {"severity": "fatal"}}}})
    assert [raised.findings(data.host(name))[0][0]["severity"] for name in ("web1", "db1")] == ["fatal", "error"]


def extra_file(tmp_path, name="extra.yml", **parts):
    path = tmp_path / name
    path.write_text(yaml.safe_dump({"schema": "ksysak.policy/1", **parts}), encoding="utf-8")
    return str(path)


def test_later_policies_change_rules_of_earlier_ones_and_the_option_has_the_last_word(tmp_path):
    own = policy_file(tmp_path, RULE)
    extra = extra_file(tmp_path, overrides={"many-cpus": {"cpus": 50, "severity": "error"}})
    assert load([own, extra]).rules[0].parameters == load([extra, own]).rules[0].parameters == {"cpus": 50}
    policy = load([own, extra], {"many-cpus": {"cpus": 1}})
    assert (policy.rules[0].parameters, policy.findings(data.host("web1"))[0][0]["severity"]) == ({"cpus": 1}, "error")


WAIVER = {"rule": "many-cpus", "owner": "ops", "reason": "they are meant to be many", "expires": "2026-12-31"}


@pytest.mark.parametrize(
    ("changes", "waived"),
    [
        ({}, ["db1", "web1"]),
        ({"hosts": ["web*"]}, ["web1"]),
        ({"groups": ["db"]}, ["db1"]),
        ({"groups": ["db"], "hosts": ["web1"]}, ["db1", "web1"]),
        ({"signature": "many-cpus|cp*"}, ["db1", "web1"]),
        ({"signature": "many-cpus|other"}, []),
        ({"expires": "2026-11-24"}, ["db1", "web1"]),
        ({"expires": "2026-11-23"}, []),
    ],
)
def test_waivers_hold_for_hosts_until_a_day(tmp_path, changes, waived):
    extra = extra_file(tmp_path, waivers=[{**WAIVER, **changes}])
    policy = load([policy_file(tmp_path, RULE), extra], today=datetime.date(2026, 11, 24))
    evaluations = {name: policy.evaluate(data.host(name)) for name in ("db1", "web1")}
    assert [name for name, evaluation in evaluations.items() if evaluation.waived] == waived
    for name, evaluation in evaluations.items():
        assert evaluation.outcomes == {"many-cpus": "waived" if name in waived else "fail"}
        assert len(evaluation.findings) + len(evaluation.waived) == 1
        for finding in evaluation.waived:
            said = {field: {**WAIVER, **changes}[field] for field in ("owner", "reason", "expires")}
            said["scope"] = {field: {**WAIVER, **changes}.get(field) for field in ("rule", "signature", "hosts", "groups")}
            assert {**finding["waiver"], "place": re.sub(r"\d+", "N", finding["waiver"]["place"])} == {**said, "place": "extra.yml:N:N"}
    assert len(policy.expired) == (changes.get("expires") == "2026-11-23")


TRACED_ONLY = ["runq-latency", "realtime-throttled", "cpu-affinity", "cpu-not-running", "runq-latency-p99", "kernel-stall"]


@pytest.mark.parametrize(
    ("probe", "engine", "changes", "unmet"),
    [
        ("runlatency", "bcc", {}, []),
        ("runlatency", "bcc", {"pressure": None}, ["cpu-pressure"]),
        ("runlatency", "bcc", {"started_per_s": None}, ["process-storm"]),
        ("runlatency", "bcc", {"stall_counts": ...}, ["kernel-stall"]),
        ("runlatency", "procfs", {"stall_counts": ..., "idle_share": None, "wait_shares": None, "normal": None}, TRACED_ONLY),
        ("memleak", "procfs", {"sample": 0}, ["memleak-suspected"]),
    ],
)
def test_what_its_probe_did_not_measure_passes_no_rule(probe, engine, changes, unmet):
    document = data.host("web1")
    measured = document["probes"][probe]
    measured["engine"] = engine
    measured["data"] = {name: value for name, value in {**measured["data"], **changes}.items() if value is not ...}
    evaluation = load().evaluate(document)
    assert evaluation.unmet == unmet and evaluation.problems == []
    assert {evaluation.outcomes[rule] for rule in unmet} <= {"unknown"}
    assert evaluation.outcomes["long-syscall"] == "unknown"  # nobody asked for them, which is no gap


def test_a_finding_is_a_finding_whatever_else_the_rule_needs(tmp_path):
    rule = {**RULE, "needs": "probes.memleak.data.sample > `1000000`"}
    evaluation = load([policy_file(tmp_path, rule)]).evaluate(data.host("web1"))
    assert evaluation.outcomes == {"many-cpus": "fail"} and evaluation.unmet == []
    never = load([policy_file(tmp_path, {**rule, "evidence": "system | [@][?cpus < `0`]"})]).evaluate(data.host("web1"))
    assert never.outcomes == {"many-cpus": "unknown"} and never.unmet == ["many-cpus"]
    with pytest.raises(PolicyError, match=r"rule 'many-cpus': needs: column 9: "):
        load([policy_file(tmp_path, {**rule, "needs": "probes.["})])


@pytest.mark.parametrize("changes", [{"owner": ""}, {"reason": None}, {"expires": "soon"}, {"until": "2027-01-01"}, {"rule": None}])
def test_a_waiver_needs_an_owner_a_reason_and_an_end(tmp_path, changes):
    spec = {name: value for name, value in {**WAIVER, **changes}.items() if value is not None}
    with pytest.raises(PolicyError, match=r"extra\.yml:\d+:\d+: waivers\.0"):
        load([policy_file(tmp_path, RULE), extra_file(tmp_path, waivers=[spec])])


def test_what_was_not_measured_passes_no_rule():
    outcomes = load().evaluate(data.host("web1", "degraded")).outcomes
    assert outcomes["memleak-suspected"] == "unknown"
    assert outcomes["probe-status"] == "fail"
    assert outcomes["os-exception"] == "pass"
    assert set(load().evaluate(data.host("web1", "lost")).outcomes.values()) == {"unknown"}
    assert load(overrides={"os-exception": {"enabled": False}}).evaluate(data.host("web1")).outcomes["os-exception"] == "off"


@pytest.mark.parametrize(
    "text", ["", "[]", "rules: []", "a: [", "schema: ksysak.policy/2\nrules: []", "!!python/object/apply:os.system [id]"]
)
def test_what_is_no_policy_is_refused_with_its_file(tmp_path, text):
    path = tmp_path / "own.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(PolicyError, match=r"own\.yml"):
        load([str(path)])


def test_a_missing_policy_is_refused_with_its_file(tmp_path):
    with pytest.raises(PolicyError, match="none.yml: cannot be read: No such file"):
        load([str(tmp_path / "none.yml")])


def test_policies_combine_and_rules_have_one_home(tmp_path):
    own = policy_file(tmp_path, RULE)
    assert len(load(["default", own]).rules) == len(load().rules) + 1
    with pytest.raises(PolicyError, match=r"other\.yml:\d+:\d+: rule 'many-cpus': already defined in own.yml"):
        load([own, policy_file(tmp_path, RULE, name="other.yml")])


def test_a_rule_that_does_not_fit_a_host_is_a_problem_and_stops_nothing(tmp_path):
    broken = {**RULE, "id": "broken", "title": "{{ evidence.no_such_field }}"}
    typed = {**RULE, "id": "typed", "evidence": "length(system.cpus)"}
    findings, problems = load([policy_file(tmp_path, broken, typed, RULE)]).findings(data.host("web1"))
    assert [finding["rule"] for finding in findings] == ["many-cpus"]
    assert [problem.split("'")[1] for problem in problems] == ["broken", "typed"]


def test_what_a_host_sends_is_never_a_template():
    hostile = "{{ 7 * 7 }}{% raw %}\x1b[2J\u202e"
    document = with_probe("runlatency", data.runlatency(data.wait(50000.0, longest_runner=hostile)))
    (finding,), problems = load().findings(document)
    assert problems == []
    assert "{{ 7 * 7 }}{% raw %}\u241b[2J\ufffd" in finding["title"]


def test_templates_cannot_reach_python(tmp_path):
    escape = {**RULE, "title": "{{ ''.__class__.__mro__[1].__subclasses__() }}"}
    findings, problems = load([policy_file(tmp_path, escape)]).findings(data.host("web1"))
    assert findings == []
    assert "many-cpus" in problems[0]


@pytest.mark.parametrize("value", ["`", "'", '"', "\\", "$x", "a`]|[`b"])
def test_parameters_are_values_whatever_is_in_them(value):
    assert Expression("[?name == $wanted].name | [0]", {"wanted": value}).search([{"name": value}]) == value


def test_a_dollar_inside_quotes_is_text():
    assert Expression("[?name == '$wanted']", {"wanted": 1}).search([{"name": "$wanted"}])


DOCS = Path(__file__).resolve().parents[3] / "docs" / "policy.md"


def test_the_page_of_the_docs_names_every_rule_and_parameter():
    text = DOCS.read_text(encoding="utf-8")
    for rule in load().rules:
        row = next(line for line in text.splitlines() if line.startswith("| ") and f"`{rule.id}`" in line)
        assert all(f"`{name}`" in row for name in rule.parameters)


def test_the_examples_of_the_docs_work(tmp_path):
    overrides, own = (yaml.safe_load(text) for text in re.findall(r"(?s)```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8")))
    assert load(overrides=overrides["ksysak_policy_overrides"])
    document = data.host("web1")
    document["system"]["kernel"] = "5.10.0"
    findings, problems = load([policy_file(tmp_path, *own["rules"])]).findings(document)
    assert ([finding["title"] for finding in findings], problems) == (["Kernel 5.10.0 is not the one we run"], [])


def test_own_functions():
    def search(text, document):
        return Expression(text, {}).search(document)

    assert search("divide(a, b)", {"a": 3, "b": 0}) is None
    assert search("with_fields(a, {w: b})[?n > w].n", {"a": [{"n": 1}, {"n": 3}], "b": 2}) == [3]
    assert search("entries(a)[?value > `1`].name", {"a": {"x": 1, "y": 2}}) == ["y"]
    with pytest.raises(ExpressionError):
        search("multiply(a, b)", {"a": "3", "b": 2})


def test_a_rule_can_read_probes_only(tmp_path):
    """Other documents have a schema too, but no host has them."""
    for name in ("known_bugs", "fleet", "selftest", "policy"):
        with pytest.raises(ExpressionError, match=f"nothing here is called '{name}'"):
            Expression(f"probes.{name}.data.bugs", {}).check_fits_hosts()


def test_the_default_policy_has_a_file_for_each_probe():
    assert [path.stem for path in shipped("default")][: len(PROBES)] == list(PROBES)
    rules = load().rules
    assert {rule.origin for rule in rules} == {f"default/{path.name}" for path in shipped("default")}
    for rule in rules:
        own = rule.origin.removeprefix("default/").removesuffix(".yml").removesuffix("_trend")
        assert rule.probes <= {own}.union(*(JOINS[name].probes for name in rule.joins if own in JOINS[name].probes))
    assert load().origins == [{"file": "default", "rules": len(rules)}]


def test_what_another_host_reported_does_not_alarm():
    event = data.exception(kind="panic", signature="host:db7:panic:f", host="db7", title="Kernel panic - not syncing: a test")
    document = with_probe("os_exceptions", {**data.os_exceptions(event), "kinds": {}})
    (finding,) = load().findings(document)[0]
    assert (finding["rule"], finding["severity"]) == ("os-exception-of-other-host", "info")
    assert finding["title"] == "db7, in this host's log: Kernel panic - not syncing: a test"


@pytest.mark.parametrize(("virtualization", "took_ns", "expected"), [
    ("none", 2_400_000, ("os-exception", "warning")), ("none", 9_833, ("os-exception-slow-interrupt", "info")),
    ("kvm", 2_400_000, ("os-exception-slow-interrupt", "info")), ("kvm", 9_833, ("os-exception-slow-interrupt", "info")),
])  # fmt: skip
def test_a_slow_timer_interrupt_alarms_only_where_no_hypervisor_explains_it(virtualization, took_ns, expected):
    event = data.exception(kind="slow_interrupt", signature="slow_interrupt:hrtimer", details={"took_ns": took_ns},
                           title=f"hrtimer: interrupt took {took_ns} ns")  # fmt: skip
    document = with_probe("os_exceptions", {**data.os_exceptions(event), "kinds": {}})
    document["system"]["virtualization"] = virtualization
    (finding,) = load().findings(document)[0]
    assert (finding["rule"], finding["severity"]) == expected


def test_what_a_program_wrote_to_the_kernel_log_does_not_alarm():
    event = data.exception(kind="panic", signature="program:panic:f", written_by="program", title="Kernel panic - not syncing: a test")
    document = with_probe("os_exceptions", {**data.os_exceptions(event), "kinds": {}})
    (finding,) = load().findings(document)[0]
    assert (finding["rule"], finding["severity"]) == ("os-exception-of-program", "info")
    assert finding["title"] == "A program wrote to the kernel log: Kernel panic - not syncing: a test"


def _titles(node):
    """All titles in a policy's document."""
    if isinstance(node, dict):
        own = {" ".join(node["title"].split())} if isinstance(node.get("title"), str) else set()
        return own.union(*(_titles(value) for value in node.values()))
    return set().union(*(_titles(item) for item in node)) if isinstance(node, list) else set()


def test_titles_count_one_thing_and_many():
    """A number of things has the filter many. Rates, and what a rule reports from many on, have a plural of their own."""
    files = list((REPO / "plugins" / "plugin_utils" / "policy").rglob("*.yml"))
    titles = set().union(*(_titles(yaml.safe_load(path.read_text(encoding="utf-8"))) for path in files))
    assert len([title for title in titles if "{{" in title]) > 40
    number = "(?:count|errors|requests|members|sectors|times|events|length|int|[a-z]+ed)"
    after_a_number = re.compile(number + r" \}\} (?:\w+ )?(\w+s)\b(?! a second)")
    rates = {"timers", "packets", "interrupts", "us"}
    assert {title: found for title in titles if (found := set(after_a_number.findall(title)) - rates)} == {}


def test_one_of_a_thing_is_singular():
    health = data.host_health(
        ecc=[{"controller": "mc0", "corrected": 1, "uncorrected": 1, "dimms": []}],
        arrays=[{"array": "md0", "missing_members": 1, "mismatched_sectors": 1}],
    )
    document = data.host("web1")
    document["probes"]["host_health"]["data"] = health
    titles = {finding["title"] for finding in load().findings(document)[0]}
    assert "1 uncorrected memory error at mc0 since boot" in titles
    assert "Software RAID md0 lacks 1 member" in titles


@pytest.mark.parametrize(
    "value",
    ["plain", "line\nbreak\ttab", "\u00e9t\u00e9 \u4e2d\u6587", "del \x7f", "esc \x1b[31m", "nul \x00",
     "bidi \u202e", "zero \u200b", "lone \ud800", "c1 \x85",
     "back \b", "feed \f", "return \r", "\\u001b as text", "{{ 1 }}"],
)  # fmt: skip
@pytest.mark.parametrize("ascii_only", [True, False])
def test_text_that_is_called_clean_has_nothing_to_clean(value, ascii_only):
    """In a value, deep inside, and in a key of one line; as JSON of ASCII alone, and with all other characters as they are."""
    for document in (value, {"key": [value]}, *([] if "\n" in value else [{value: 1}])):
        raw = json.dumps(document, ensure_ascii=ascii_only)
        assert not text.is_clean(raw) or text.clean(json.loads(raw)) == json.loads(raw)
    assert text.is_clean(json.dumps({"key": ["line\nbreak\ttab", 1.5e3, None]}, indent=1))


def test_what_a_host_measured_is_asked_of_each_host():
    """One policy evaluates hosts with other probes, in any order, as a policy of its own would."""
    whole, partial, without, compared = (data.host(name) for name in ("web1", "web2", "web3", "web4"))
    del partial["probes"]["memleak"]
    partial["probes"]["runlatency"]["status"] = "skipped"
    without["probes"] = {}
    compared["trend"] = {"memory": {"compared": True, "rows": []}}
    hosts = [whole, partial, without, compared]
    alone = [load().evaluate(document).outcomes for document in hosts]
    assert len({json.dumps(outcomes) for outcomes in alone}) == len(hosts)
    policy = load()
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 1, 0, 3, 2]):
        assert [policy.evaluate(hosts[place]).outcomes for place in order] == [alone[place] for place in order]
