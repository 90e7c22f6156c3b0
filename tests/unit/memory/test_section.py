# SPDX-License-Identifier: GPL-3.0-or-later
"""The section of the fleet document: pictures of hosts, and rows that name the finding about them."""

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.sections import memory
from ansible_collections.ksysak.fleet.tests import fleet_data as data

GIB = 2**30


@pytest.fixture
def section(tmp_path):
    """A function that returns the section of a fleet of hosts: {name: data of memory}."""

    def section(**hosts):
        documents = [data.host(name) for name in hosts]
        for document in documents:
            document["probes"]["memory"] = data.envelope("memory", hosts[document["host"]])
        return build(data.write(tmp_path, documents), load())["memory"]

    return section


def test_the_groups_of_a_picture_are_all_memory_and_the_parts_that_matter_are_listed(section):
    (found,) = section(web1=data.memory(picture=data.picture(vmalloc=2**20, kernel_stacks=GIB)))["pictures"]
    assert sum(found["groups"].values()) == found["total_bytes"] == 8 * GIB
    assert found["groups"]["kernel"] == GIB + GIB // 8 + 2**20 and found["groups"]["caches"] == 3 * GIB + GIB // 4
    groups = {row["part"]: row["group"] for row in found["parts"]}
    assert groups == {
        "anonymous": "programs", "page_cache": "caches", "slab_reclaimable": "caches", "slab_unreclaimable": "kernel",
        "kernel_stacks": "kernel", "free": "free",
    }  # fmt: skip
    assert found["parts"][0]["part"] == "page_cache"


def test_hosts_whose_kernel_has_most_come_first_and_a_host_without_a_picture_has_none(section):
    hosts = {f"web{number}": data.memory(picture=data.picture(slab_unreclaimable=number * GIB // 32)) for number in range(1, 30)}
    found = section(**hosts, db1=data.memory(picture=None))
    assert [row["host"] for row in found["pictures"]] == [f"web{number}" for number in range(29, 29 - memory.PICTURES, -1)]
    assert found["hosts"] == 30


def test_holders_and_limits_name_the_finding_about_them(section):
    limit = {"limit": "fs.file-max", "owner": None, "used": 95, "limit_value": 100, "unit": "files", "share": 0.95, "per_s": None,
             "exhausted_in_s": None}  # fmt: skip
    own = {**limit, "limit": "RLIMIT_NOFILE", "owner": data.owner("nginx"), "share": 0.4, "used": 40}
    found = section(web1=data.memory(holders=[data.held("socket", 18000), data.held("pipe", 70)], limits=[limit, own]))
    assert [bool(row["finding"]) for row in found["holders"]] == [True, False]
    assert {row["limit"]: bool(row["finding"]) for row in found["limits"]} == {"fs.file-max": True, "RLIMIT_NOFILE": False}
