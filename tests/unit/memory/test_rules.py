# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules of levels and limits: what is held by one owner without growth, and limits that are near."""

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
from ansible_collections.ksysak.fleet.tests import fleet_data as data


def limit(share, name="fs.file-max", unit="files", **changes):
    row = {"limit": name, "owner": None, "used": share * 1000, "limit_value": 1000, "unit": unit, "share": share}
    return {**row, "per_s": None, "exhausted_in_s": None, **changes}


def titles(rule, **facts):
    host = data.host("web1")
    host["probes"]["memory"] = data.envelope("memory", data.memory(**facts))
    return [finding["title"] for finding in load().findings(host)[0] if finding["rule"] == rule]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (data.held("socket", 18000), True),
        (data.held("socket", 9000), False),
        (data.held("zombie", 4000, bytes=None), True),
        (data.held("zombie", 40, bytes=None), False),
        (data.held("bpf_map", 5, bytes=5 * 2**29), True),
        (data.held("dying_cgroup", 60000), True),
        (data.held("dentry", 10**7, detail={"reclaimable": True}), False),
        ({**data.held("anonymous_memory", 1, bytes=2**36), "count": None}, False),
        (data.held("huge_page_pool", 4096, bytes=2**33), False),
        (data.held("sysv_shm", 1, bytes=2**33), False),
        (data.held("tmpfs", 12, bytes=2**32), False),
    ],
)
def test_what_one_owner_holds_is_reported_from_a_level_on(row, told):
    found = titles("memory-held-level", holders=[row])
    assert len(found) == told
    assert all("app-sockets[4242] (app.service)" in title for title in found)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (limit(0.95), "fs.file-max is at 95 %"),
        (limit(0.5), None),
        (limit(0.5, exhausted_in_s=1200.0), "full in"),
        (limit(0.5, exhausted_in_s=86400.0), None),
        (limit(0.1, exhausted_in_s=1200.0), None),
        (limit(0.3, "SUnreclaim of memory", "bytes"), "SUnreclaim of memory is at 30 %"),
        (limit(1.0, "huge pages of 2048 KiB", "pages"), None),
        (limit(0.92, "pids.max", "threads", owner=data.owner("/app.slice", type="cgroup", pid=None, unit=None)), "pids.max of /app.slice"),
    ],
)
def test_limits_are_reported_when_they_are_near(row, told):
    found = titles("memory-limit", limits=[row])
    assert len(found) == (told is not None)
    assert all(told in title for title in found)
