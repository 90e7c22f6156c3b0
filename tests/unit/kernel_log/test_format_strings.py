# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule's words come from format strings of the kernel's source, which tools/format_strings collects."""

import json
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import patterns
from ansible_collections.ksysak.fleet.tests.unit.kernel_log import formats

KEPT = json.loads((Path(__file__).parent / "format_strings.json").read_text())
NEWEST = max(KEPT, key=lambda release: [int(number) for number in release.split(".")])

# Rules, by their needle, whose sample is not in one format string of the kernel's tree, and why.
ELSEWHERE = {
    "Oops: ": "the word is an argument of die()",
    "Oops": "the word is an argument of die()",
    " [#": "the words are arguments of die()",
    "ernel BUG [#": "the words are arguments of die()",
    "BUG: kernel ": "any text",
    "BUG: ": "any text",
    ": BUG: ": "any text",
    "BUG: memory leak": "syzkaller prints it",
    " die for more than ": "linux-next",
    "fault_state(0x": "the words are one symbol",
    ": forced readonly": "what stands before it are arguments",
    ": mds": "what stands before it are arguments",
    "trusty: ": "a driver outside of the tree",
    "NVRM: Xid": "NVIDIA's driver, outside of the tree",
    "fallen off the bus": "NVIDIA's driver, outside of the tree",
    "quorum( yes -> no": "DRBD 9, outside of the tree",
    "and has been suspended": "ZFS, outside of the tree",
    "was lost; in progress": "Lustre, outside of the tree since 4.18",
    "This client was evicted by": "Lustre, outside of the tree since 4.18",
    " was inactive for ": "Lustre, outside of the tree since 4.18",
}
# Rules that only kernels before 5.10 print, and those that the newest kernel does not print any more: the last release that does.
BEFORE_5_10 = {"due to I/O error on": "4.2", "INFO: Freed in": "5.9"}
GONE = {"BUG ": "6.12", "WARNING: CPU: ": "6.12"}


def found_in(rule):
    """The releases that print a sample of a rule."""
    return [release for release in KEPT for sample in KEPT[release] if patterns.find(sample, True)[0] is rule]


def test_the_releases_of_the_test_fleet_are_compared():
    assert {"5.10", "6.1", "6.12"} <= set(KEPT) and float(NEWEST) > 7


@pytest.mark.parametrize("rule", patterns.RULES, ids=lambda rule: rule.needle.strip())
def test_a_kernel_prints_what_a_rule_looks_for(rule):
    releases = found_in(rule)
    if rule.needle in ELSEWHERE or rule.needle in BEFORE_5_10:
        return
    assert releases, "no kernel prints it: mend the rule, its sample, or run tools/format_strings for the release that prints it"
    if rule.needle not in GONE:
        assert NEWEST in releases, "%s does not print it any more: what does it print?" % NEWEST


def test_the_exceptions_are_needed():
    needles = {rule.needle for rule in patterns.RULES}
    assert set(ELSEWHERE) | set(BEFORE_5_10) | set(GONE) <= needles
    assert set(GONE.values()) <= set(KEPT)
    for rule in patterns.RULES:
        assert rule.needle not in GONE or (GONE[rule.needle] in found_in(rule) and NEWEST not in found_in(rule))


def test_a_sample_is_compared_with_what_a_format_string_prints():
    wanted = {"ksy: disk sdb failed 3 times, giving up": "disk sdb failed 3 times"}
    for text, fits in (
        ("disk %s failed %d times, giving up\\n", True), ("ksy: disk %s failed %u times", True),
        ("disk %s failed %d time, giving up", False), ("disk %s", False), ("%s: %s", False), ("giving up", False),
    ):  # fmt: skip
        matcher = formats.Matcher(wanted)
        matcher.offer("drivers/ksy.c", text)
        assert bool(matcher.result()) is fits, text
