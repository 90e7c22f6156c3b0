# SPDX-License-Identifier: GPL-3.0-or-later
"""Short delays on virtual machines whose clock counts instructions: there a bound can be as tight as the truth."""

import pytest

from ansible_collections.ksysak.fleet.tests.fleet.conftest import STALLING
from ansible_collections.ksysak.fleet.tests.integration import test_probes

pytestmark = pytest.mark.usefixtures("root", "machine")

EXACT = True


@pytest.mark.parametrize("kind", ["irqoff", "nosched"])
def test_every_stall_from_1_to_100_ms_is_found_with_its_length_and_culprit(on_machine, built, kind):
    lengths_us = [1000, 1500, 2000, 2500, 3000, 5000, 10000, 20000, 50000, 100000] * 2
    result = on_machine.run(STALLING, built["test_" + kind], 1000, *lengths_us)
    assert result["data"]["stall_period_us"] == 200
    found = test_probes.stalls_found(result, kind)
    assert len(found) == len(lengths_us)
    for stall, event in found:
        assert event, (stall, result["data"]["stalls"])
        assert (event["culprit"], event["certain"]) == (f"ksysak_{kind}_spin", True), event
        # The wish to reschedule begins and ends a little outside of what the module measures.
        slack_us = 0.02 * stall["least_us"] if kind == "nosched" else 0
        assert event["least_us"] - slack_us <= stall["least_us"] <= event["delay_us"], (stall, event)
        assert event["delay_us"] - event["least_us"] <= 200.1


@test_probes.TRACEPOINTS
def test_every_wait_from_half_a_millisecond_is_found_with_its_length_and_culprit(on_host, tracepoints):
    test_probes.test_every_wait_from_half_a_millisecond_is_found_with_its_length_and_culprit(on_host, tracepoints)


def test_long_system_calls_are_found_and_sleeps_are_not(on_host):
    test_probes.test_long_system_calls_are_found_and_sleeps_are_not(on_host)


def test_a_long_page_fault_is_found_with_its_length_and_stack(on_host):
    test_probes.test_a_long_page_fault_is_found_with_its_length_and_stack(on_host)


@pytest.mark.parametrize("hogs", [0, 2])
def test_a_machine_at_rest_or_at_work_has_no_stall(on_host, hogs):
    data = on_host("queued", hogs, 20)["data"]
    assert data["stalls"] == [] and set(data["stall_counts"].values()) == {0}, data["stalls"]
