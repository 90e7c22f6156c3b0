# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock, the bit and the culprit of stalls."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils.runlatency import stalls
from ansible_collections.ksysak.fleet.plugins.module_utils.runlatency.probe import RunlatencyProbe


@pytest.mark.parametrize(
    ("release", "mask"),
    [("4.19.0-27-amd64", 8), ("6.1.0-28-amd64", 8), ("6.12.107+deb13-amd64", 8), ("6.17.3", 8), ("6.18.44", 16), ("7.0.0-rc1", 16)],
)
def test_the_bit_that_wants_a_switch_moved(release, mask):
    assert stalls.resched_mask(release) == mask


@pytest.mark.parametrize(("irqoff_us", "nosched_us", "period_us"), [(10000, 10000, 2000), (2000, 10000, 400), (10**7, 500, 100)])
def test_the_clock_ticks_a_fifth_of_the_smaller_threshold(irqoff_us, nosched_us, period_us):
    assert stalls.period_us({"irqoff_us": irqoff_us, "nosched_us": nosched_us}) == period_us


@pytest.mark.parametrize(
    ("stack", "culprit"),
    [
        (["_raw_spin_unlock_irqrestore+0x15", "acme_reset.isra.0+0x61 [acme_nic]", "worker_thread+0x1"], "acme_reset"),
        (["finish_task_switch.isra.0+0x93", "__schedule+0x3e4"], "finish_task_switch"),
        (["_raw_spin_unlock_irq+0x15"], "_raw_spin_unlock_irq"),
        ([], None),
    ],
)
def test_the_culprit_is_not_the_lock(stack, culprit):
    assert stalls.culprit(stack) == culprit


@pytest.mark.parametrize("option", ["irqoff_us", "nosched_us"])
@pytest.mark.parametrize("value", [0, -1, 499])
def test_thresholds_that_no_clock_can_serve_are_refused(option, value):
    defaults = {name: spec["default"] for name, spec in RunlatencyProbe.OPTIONS.items()}
    with pytest.raises(ValueError, match=f"{option} must be between 500 and 10000000, got {value}"):
        RunlatencyProbe({**defaults, option: value})
