# SPDX-License-Identifier: GPL-3.0-or-later
"""Interference against timers, processes and counters whose truth the test knows."""

import json
import subprocess
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.tests.integration.test_probes import validate_data

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def on_host(repo, system_python):
    """Run a case of interference_on_host.py. Returns its JSON."""
    script = Path(__file__).with_name("interference_on_host.py")

    def run(*arguments):
        command = ["env", "PYTHONPATH=%s" % (repo / ".cache" / "import"), system_python, str(script), *map(str, arguments)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_every_expiration_of_a_timer_is_counted_and_its_owner_named(on_host):
    result = on_host("timers", 1000, 2)
    validate_data("ksysak.interference/1", result["data"])
    timer = next(row for row in result["data"]["timers"] if row["function"] == "timerfd_tmrproc")
    own = next(owner for owner in timer["started_by"] if owner["pid"] == result["truth"]["pid"])
    assert own["comm"] == "ks-timer"
    assert timer["kind"] == "hrtimer"
    truth = result["truth"]
    assert truth["expirations"] >= truth["reads"] > 0
    # Timers of others may run beside it, before the trace begins and after it ends.
    assert timer["count"] >= truth["expirations"] - truth["in_process_1"] - result["lost"] > 0
    assert sum(timer["histogram_ns"].values()) == timer["count"]
    assert 0 < timer["mean_us"] <= timer["longest_us"] <= timer["total_us"]


def test_who_starts_most_timers_is_named_beside_thousands_that_start_one(on_host):
    """There are more of them than processes of which the probe can keep the number."""
    result = on_host("many_starters", 6000)
    validate_data("ksysak.interference/1", result["data"])
    timer = next(row for row in result["data"]["timers"] if row["function"] == "hrtimer_wakeup")
    (own,) = [owner for owner in timer["started_by"] if owner["pid"] == result["truth"]["pid"]]
    assert own["comm"] == "ks-sleeper"
    assert own["started"] >= 0.99 * result["truth"]["slept"] - result["lost"]
    assert [text for text in result["degradations"] if "too many" in text] == []


def test_of_one_process_only_what_hit_it_is_counted(on_host):
    result = on_host("one_process")
    validate_data("ksysak.interference/1", result["data"])
    data, truth = result["data"], result["truth"]
    assert {place["cpu"] for vector in data["vectors"] for place in vector["by_cpu"]} == {truth["cpu"]}
    timer = next(vector for vector in data["vectors"] if vector["kind"] == "timer")
    # It had at least one tick (10 ms at most) for each 10 ms that it ran.
    assert timer["count"] >= 0.9 * data["process"]["cpu_us"] / 10000
    assert (data["process"]["pid"], data["process"]["comm"]) == (truth["pid"], "ks-victim")
    total_us = sum(vector["total_us"] for vector in data["vectors"])
    assert data["process"]["interrupted_us"] == pytest.approx(total_us, abs=0.01 * len(data["vectors"]))
    assert 0 < total_us < data["process"]["cpu_us"] < 4e6
    assert (data["timers"], data["kernel_threads"]) == ([], [])
    assert data["cross_check"]["compared"] >= 1 and data["cross_check"]["disagreements"] == []


def test_a_process_that_ends_leaves_what_was_seen(on_host):
    result = on_host("process_ends")
    validate_data("ksysak.interference/1", result["data"])
    assert "ended within the window" in " ".join(result["degradations"])
    process = result["data"]["process"]
    assert (process["comm"], process["cpu_us"], process["wait_us"], process["timeslices"]) == ("ks-victim", None, None, None)


def test_a_process_that_is_not_there_is_refused(on_host):
    refused = on_host("refused", 2**22)
    assert refused["status"] == "skipped" and "no process with pid 4194304" in refused["reason"] and refused["remedy"]


def test_without_tracing_there_are_counts_devices_threads_and_steal(on_host):
    result = on_host("kernel_counters")
    validate_data("ksysak.interference/1", result["data"])
    data = result["data"]
    assert result["degradations"] == ["no durations: only counts"]
    timer = next(vector for vector in data["vectors"] if vector["kind"] == "timer")
    assert timer["count"] > 0 and timer["total_us"] is None and timer["histogram_ns"] is None
    device = next(vector for vector in data["vectors"] if vector["kind"] == "hardirq")
    assert device["device"] and device["affinity"]
    assert data["kernel_threads"] and all(row["cpu_us"] > 0 for row in data["kernel_threads"])
    assert {row["cpu"] for row in data["steal"]} == set(range(len(data["steal"])))
