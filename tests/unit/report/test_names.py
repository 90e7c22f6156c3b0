# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of hosts without their common domain."""

import hypothesis
import pytest
from hypothesis import strategies

from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.names import common_domain, short

FLEET = [f"edge-{number:05d}.{site}.compute.prod.example-company.net" for number in range(30) for site in ("fra1", "iad3")]


@pytest.mark.parametrize(
    ("hosts", "domain"),
    [
        (FLEET, ".compute.prod.example-company.net"),
        ([*FLEET, "localhost", "192.0.2.7"], ".compute.prod.example-company.net"),
        ([*FLEET[:10], *(f"db{number}.example.org" for number in range(10))], ""),
        (["web1", "web2"], ""),
        (["a.example.net"], ""),
        (["a.example.net", "a.example.org"], ""),
        (["10.0.2.7", "10.1.2.7", "10.2.2.7"], ""),
        (["fe80::1", "fe80::2"], ""),
        ([], ""),
        (["example.net", *(f"h{number}.example.net" for number in range(20))], ".example.net"),
        # cut, "a" would be the name of two hosts
        (["a", *(f"{name}.x.net" for name in "abcdefghijklmnopq")], ""),
    ],
)
def test_the_domain_of_nine_in_ten_hosts_is_cut(hosts, domain):
    assert common_domain(hosts) == domain


LABELS = strategies.sampled_from(["", "a", "b", "1"])


@hypothesis.given(strategies.lists(strategies.lists(LABELS, min_size=1, max_size=4).map(".".join), unique=True, max_size=12))
def test_names_stay_apart_and_are_never_empty(hosts):
    domain = common_domain(hosts)
    cut = [short(host, domain) for host in hosts]
    assert len(set(cut)) == len(hosts)
    assert all(cut[place] or not host for place, host in enumerate(hosts))
