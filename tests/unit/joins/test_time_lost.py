# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts of runlatency and blocked become one row a service, and one explanation a delay."""

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.joins.time_lost import time_lost
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema import validate

SHOP, AGENT = "/system.slice/shop.service", "/system.slice/agent.service"


def cpu(cgroup=SHOP, worst=(), **changes):
    """A service of runlatency: 4 s on a CPU, 1 s on the run queue."""
    row = {"cgroup": cgroup, "unit": cgroup.rsplit("/", 1)[1], "running_ns": 4 * 10**9, "run_queue_ns": 10**9, "throttled_ns": 0}
    row.update(interrupted_ns=10**7, steal_ns=0, waits=20, longest_wait_ns=10**8, worst=list(worst))
    return {**row, **changes}


def delay(pid=10, at_s=1.0, delay_us=100000.0, cause="run_queue", by="hog"):
    return {"at_s": at_s, "delay_us": delay_us, "pid": pid, "comm": "shop", "cause": cause, "by": by}


def service(cgroup=SHOP, cpu_cgroup=SHOP, **kinds):
    return {"cgroup": cgroup, "cpu_cgroup": cpu_cgroup, "unit": "shop.service", "comm": "shop", "waits": 1, "longest_us": 9.0,
            "blocked_us": float(sum(kinds.values())), "kinds": kinds}  # fmt: skip


def wait(tid=10, at_s=0.9, delay_us=200000.0, kind="mmap_lock", holder=None, cgroup=SHOP, **changes):
    row = {"pid": 10, "tid": tid, "comm": "shop", "cgroup": cgroup, "unit": "shop.service", "kind": kind, "reason": kind, "at_s": at_s}
    return {**row, "delay_us": delay_us, "holder": holder, "expected": False, "kernel_thread": False, **changes}


def made(services=None, blocked=None, waits=(), events=()):
    runlatency = None if services is None else {"services": services, "events": list(events)}
    found = time_lost(runlatency, None if blocked is None else {"services": blocked, "waits": list(waits)})
    validate._check(validate._validator("time_lost", 1), found, ["time_lost"])
    return found


def test_the_times_of_both_probes_are_one_row():
    (row,) = made([cpu()], [service(mmap_lock=2e6, journal=5e5)])
    assert (row["running_us"], row["run_queue_us"], row["blocked_us"], row["lost_us"]) == (4e6, 1e6, 2.5e6, 3.51e6)
    assert (row["largest"], row["unit"], row["comm"]) == ("mmap_lock", "shop.service", "shop")


def test_what_was_not_measured_is_null():
    assert made([cpu()])[0]["blocked_us"] is None
    assert made([cpu()], [])[0]["blocked_us"] == 0.0
    row = made(None, [service(journal=1e6)])[0]
    assert (row["running_us"], row["run_queue_us"], row["largest"]) == (None, None, "journal")


def test_cgroups_below_one_of_the_cpu_controller_add_up():
    (row,) = made([cpu("/")], [service("/a", "/", journal=1e6), service("/b", "/", journal=2e6)])
    assert row["blocked"] == {"journal": 3e6}


def test_a_wait_and_the_wait_for_a_cpu_behind_it_are_one_delay():
    """Blocked from 0.7 to 0.9 s, then on the run queue to 1.0 s."""
    (row,) = made([cpu(worst=[delay()])], [service(mmap_lock=2e5)], [wait()])
    (one,) = row["worst"]
    assert (one["cause"], one["delay_us"], one["parts"]) == ("mmap_lock", 300000.0, {"run_queue": 100000.0, "mmap_lock": 200000.0})


@pytest.mark.parametrize("changes", [{"at_s": 0.8}, {"tid": 11}])
def test_other_delays_stay_apart(changes):
    (row,) = made([cpu(worst=[delay()])], [service(mmap_lock=2e5)], [wait(**changes)])
    assert [one["cause"] for one in row["worst"]] == ["mmap_lock", "run_queue"]


def test_a_holder_that_waited_for_a_cpu_explains_the_wait():
    holder = {"pid": 30, "tid": 30, "comm": "agent"}
    event = {"pid": 30, "at_s": 0.88, "delay_us": 150000.0, "longest_runner": {"comm": "hog"}}
    one = made([cpu()], [service(mmap_lock=2e5)], [wait(holder=holder)], [event])[0]["worst"][0]
    assert (one["by"], one["words"]) == ("hog", "mmap_lock, whose holder waited for a CPU")
    short = {**event, "delay_us": 50000.0}
    assert made([cpu()], [service(mmap_lock=2e5)], [wait(holder=holder)], [short])[0]["worst"][0]["by"] == "agent"


def test_a_wait_that_was_asked_for_is_no_delay():
    waits = [wait(expected=True), wait(kernel_thread=True)]
    assert made([cpu()], [service(mmap_lock=2e5)], waits)[0]["worst"] == []


def test_the_service_that_lost_most_is_first_and_the_list_is_bounded():
    rows = made([cpu(f"/s{number}.service", run_queue_ns=number * 10**8) for number in range(60)])
    assert len(rows) == 32 and rows[0]["cgroup"] == "/s59.service"


def test_facts_of_an_engine_without_services():
    assert time_lost({"events": []}, None) == []
    assert time_lost(None, None) == []
