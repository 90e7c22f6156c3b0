# SPDX-License-Identifier: GPL-3.0-or-later
"""How old a finding is said to be, and whether it is new: in the template; tests/js/age.test.mjs has the page's."""

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.drift import CHANGES
from ansible_collections.ksysak.fleet.plugins.plugin_utils.messages import ENGLISH
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.age import age_text

AT = "2026-11-23T03:08:00Z"


def group(*first_seen, last_seen=AT, drift=None, hosts=(1,)):
    members = [{"first_seen": at} for at in first_seen]
    return {
        "last_seen": last_seen,
        "host_count": len(members),
        "hosts": members,
        "drift": drift and {**dict.fromkeys(CHANGES, 0), **drift},
        "history": {"hosts": list(hosts)},
    }


def text(one, drift=None, scans=()):
    return age_text(one, {"scan": {"started_at": AT}, "drift": drift, "trend": {"scans": list(scans)}}, ENGLISH)


def test_whole_numbers_of_texts_are_grouped():
    assert ENGLISH.many(10000, "host") == "10,000 hosts"
    assert ENGLISH("{n} of {hosts}, {share}", n=1785, hosts="9 hosts", share=0.5) == "1,785 of 9 hosts, 0.5"


@pytest.mark.parametrize(
    ("last_seen", "said"),
    [(AT, "now"), ("2026-11-23T01:00:00Z", "within a day"), ("2026-11-22T03:00:00Z", "last seen 1 day ago"),
     ("2026-11-17T03:00:00Z", "last seen 6 days ago"), (None, "no date")],
)  # fmt: skip
def test_an_age_has_a_unit_in_the_right_number(last_seen, said):
    assert text(group(AT, last_seen=last_seen)) == said


@pytest.mark.parametrize(
    ("hosts", "drift", "said"),
    [
        (1, {"new": 1}, "now, new"),
        (1, {"new": 1, "resolved": 1}, "now, new on 1 host"),
        (2, {"new": 1, "worse": 1}, "now, new on 1 of 2 hosts"),
        (1, {"unchanged": 1}, "now, known"),
        (1, {"not_measured_before": 1}, "now, not measured before"),
    ],
)
def test_what_is_new_is_said_against_the_compared_scan(hosts, drift, said):
    assert text(group(*[AT] * hosts, drift=drift), drift={"groups": []}) == said


@pytest.mark.parametrize(
    ("first", "hosts", "said"),
    [(AT, (None, None, 1), "now, not measured before"), (AT, (None, 0, 1), "now, new"), (AT, (None, 3, 1), "now, new on 1 host"),
     ("2026-11-16T03:08:00Z", (0, 1, 1), "now, known")],
)  # fmt: skip
def test_what_is_new_is_said_against_the_last_scans(first, hosts, said):
    assert text(group(first, hosts=hosts), scans=[{}, {}]) == said
