# SPDX-License-Identifier: GPL-3.0-or-later
"""Which modules are loaded where, a bit a host."""

import hypothesis
from hypothesis import strategies

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import modules
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.modules import Modules


def collected(loaded):
    made = Modules()
    for host, names in loaded.items():
        made.add({"host": host, "system": {"modules": names}})
    return made


@hypothesis.given(strategies.lists(strategies.sets(strategies.sampled_from("abcde")), max_size=20))
def test_the_bits_of_a_module_are_its_hosts(loaded):
    hosts = [f"web{place}.fra1.example-company.net" for place in range(len(loaded))]
    listed = collected(dict(zip(hosts, map(sorted, loaded), strict=True))).result(hosts)
    found = {one["module"]: {host for place, host in enumerate(hosts) if int(one["hosts"], 16) >> place & 1} for one in listed}
    assert found == {name: {host for host, names in zip(hosts, loaded, strict=True) if name in names} for name in set().union(*loaded)}
    assert all(one["host_count"] == len(found[one["module"]]) for one in listed)


def test_a_host_that_was_not_scanned_has_no_modules_and_the_rarest_are_cut(monkeypatch):
    monkeypatch.setattr(modules, "MODULES", 1)
    made = collected({"a": ["ext4", "xfs"], "b": ["xfs"]})
    made.add({"host": "c", "system": None})
    assert made.result(["c", "b", "a"]) == [{"module": "xfs", "host_count": 2, "hosts": "6"}]
