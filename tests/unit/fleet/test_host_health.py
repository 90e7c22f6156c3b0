# SPDX-License-Identifier: GPL-3.0-or-later
"""The section about the health of hosts: every fact that is collected, once, with its hosts."""

import json

import fastjsonschema

from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs
from ansible_collections.ksysak.fleet.plugins.plugin_utils.sections import host_health
from ansible_collections.ksysak.fleet.plugins.plugin_utils.sections.host_health import Section
from ansible_collections.ksysak.fleet.tests import fleet_data as data

ALL_WRONG = {
    "kernel": {"running": "6.1.0-9", "newest_installed": "6.1.0-28", "reboot_pending": "newer_kernel", "oops_count": 2, "warn_count": 7},
    "panic_settings": {"panic": 0},
    "kdump": {"loaded": False, "reserved_bytes": 0},
    "taint": {"value": 512, "flags": ["W"]},
    "unclean_boots": [{"boot_id": "1" * 32, "ended_at": "2026-11-23T03:20:00Z"}],
    "ecc": [{"controller": "mc0", "corrected": 5, "uncorrected": 1, "dimms": [{"dimm": "A1", "corrected": 5, "uncorrected": 1}]}],
    "disks": [{"device": "sda", "errors": 3, "timeouts": 1, "requests": 99}],
    "nvme": [{"device": "nvme0", "warnings": ["spare"], "media_errors": 2, "used_percent": 104, "spare_percent": 9, "unsafe_shutdowns": 7}],
    "file_systems": [{"file_system": "ext4", "device": "sda1", "errors": 2, "last_at": "2026-11-20T01:02:03Z"}],
    "arrays": [{"array": "md0", "missing_members": 1, "mismatched_sectors": 8}],
    "pcie": [{"device": "0000:01:00.0", "corrected": 3, "non_fatal": 4, "fatal": 6}],
}


def section(repo, *hosts):
    """The section of these hosts' data, checked against its schema."""
    made = Section(known_bugs.load([]))
    for number, facts in enumerate(hosts):
        made.add(f"web{number}", data.envelope("host_health", facts))
    found = made.result([])
    schema = json.loads((repo / "plugins/plugin_utils/schema/sections/host_health.json").read_text(encoding="utf-8"))
    host_name = {"type": "string", "minLength": 1, "maxLength": 255}
    fastjsonschema.compile({**schema, "definitions": {"host_name": host_name, **schema.get("definitions", {})}})(found)
    return found


def test_every_fact_of_the_schema_is_shown(repo):
    schema = json.loads((repo / "plugins/plugin_utils/schema/host_health-1.json").read_text(encoding="utf-8"))
    fastjsonschema.compile(schema)(ALL_WRONG)
    assert set(ALL_WRONG) == set(schema["properties"])
    shown = section(repo, ALL_WRONG)["rows"]
    assert {row["topic"] for row in shown} == set(host_health.TOPICS)
    details = {row["topic"]: row["hosts"][0]["detail"] for row in shown if row["hosts"][0]["detail"]}
    assert details["NVMe"] == "warnings spare, media_errors 2, used_percent 104, spare_percent 9, unsafe_shutdowns 7"
    assert details["Memory"] == "corrected 5, uncorrected 1, A1 5/1"
    for field, topic, _text, name, _fields in host_health.LISTS:
        for entry in ALL_WRONG[field]:
            for key, value in entry.items():
                assert key in (name, "dimms", "warnings") or str(value) in details[topic], (field, key)


def test_a_fact_is_one_row_with_its_hosts(repo):
    without = data.host_health(kdump={"loaded": False, "reserved_bytes": 0})
    found = section(repo, *[without] * 22, data.host_health())
    rows = {row["text"]: row["host_count"] for row in found["rows"] if row["topic"] == "kdump"}
    assert rows == {"no crash kernel is loaded, no memory is reserved": 22, "a crash kernel is loaded": 1}
    assert found["hosts"] == 23 and found["cut"] == 0


def test_several_entries_of_one_host_are_one_host(repo):
    boots = [{"boot_id": str(number) * 32, "ended_at": f"2026-11-2{number}T00:00:00Z"} for number in (1, 2)]
    (row,) = [row for row in section(repo, data.host_health(unclean_boots=boots))["rows"] if row["topic"] == "Boots"]
    assert row["host_count"] == 1 and row["hosts"][0]["detail"] == "2026-11-21T00:00:00Z; 2026-11-22T00:00:00Z"


def test_a_talkative_fleet_is_bounded(repo):
    hosts = [data.host_health(disks=[{"device": f"d{host}-{n}", "errors": 1, "timeouts": 0, "requests": 1} for n in range(64)])
             for host in range(10)]  # fmt: skip
    found = section(repo, *hosts)
    assert len(found["rows"]) == host_health.ROWS and found["cut"] > 0


def test_every_text_is_one_that_is_translated(repo):
    """tests/unit/report/test_messages.py wants a translation of all TEXTS; the row of a setting has names and numbers only."""
    assert len(host_health.Section.TEXTS) > 20
    bad = data.host_health(
        kernel={"running": "6.1.0", "newest_installed": None, "reboot_pending": "asked_for", "oops_count": 1, "warn_count": 1},
        unclean_boots=None,
    )
    rows = section(repo, data.host_health(), bad)["rows"]
    assert {row["topic"] for row in rows} <= host_health.Section.TEXTS
    assert {row["text"] for row in rows} - {host_health.SETTING[1]} <= host_health.Section.TEXTS
