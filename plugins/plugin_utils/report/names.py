# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of hosts as a report shows them: without the domain that all but a few share."""

from __future__ import annotations

import collections
from collections.abc import Collection

# So many of the hosts share the domain that is cut: one with an odd name does not make all others long.
SHARE = 0.9


def common_domain(hosts: Collection[str]) -> str:
    """Return the longest end of names, from a dot on, that nine in ten of the hosts share ('': none).

    Addresses have no domain. By cutting it no name becomes empty, or the same as another one.
    """
    ends: collections.Counter[str] = collections.Counter()
    for host in hosts:
        labels = host.split(".")
        if not labels[-1].isdigit():  # of an IPv4 address
            ends.update("." + ".".join(labels[place:]) for place in range(1, len(labels)))
    least = max(2, SHARE * len(hosts))
    domain = max((end for end, count in ends.items() if count >= least), key=len, default="")
    cut = {short(host, domain) for host in hosts}
    return domain if len(cut) == len(set(hosts)) and "" not in cut else ""


def short(host: str, domain: str) -> str:
    """Return the name of a host without the domain. domain: as from common_domain."""
    return host.removesuffix(domain)
