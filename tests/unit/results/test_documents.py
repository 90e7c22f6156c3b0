# SPDX-License-Identifier: GPL-3.0-or-later
import copy

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.documents import Outcome, host_document, instant, plain, scan_document
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate

SCAN = {
    "collection_version": "0.1.0",
    "system": {
        "kernel": "6.1.0",
        "arch": "x86_64",
        "distribution": "Debian",
        "cpus": 2,
        "memory_bytes": 1,
        "virtualization": "none",
        "boot_id": "x",
        "uptime_s": 1.5,
        "modules": [],
    },
    "probes": {
        "memleak": {
            "schema": "ksysak.memleak/1",
            "status": "skipped",
            "reason": "no bcc",
            "remedy": "install it",
            "engine": "none",
            "started_at": "2026-11-23T03:08:00Z",
            "window_s": 0,
            "cost": {"cpu_s": 0, "max_rss_bytes": 0, "setup_s": 0, "lost_events": 0, "lost_share": 0, "truncated": False},
            "data": {},
        }
    },
}


def changed(*path, value):
    scan = copy.deepcopy(SCAN)
    inner = scan
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return scan


def deep(levels):
    inner: list = []
    for _level in range(levels):
        inner = [inner]
    return inner


def document(scan):
    made = host_document("web1", ["web"], "night", Outcome("scanned", scan=scan))
    validate(made)
    return made


def test_a_good_scan():
    made = document(SCAN)
    assert made["state"] == "scanned"
    assert made["reason"] == ""
    assert {key: made[key] for key in SCAN} == SCAN


BAD = {
    "nothing": None,
    "a list": [],
    "text": "scan",
    "empty": {},
    "very deep": deep(100000),
    "its own host name": {**SCAN, "host": "web2"},
    "its own state": {**SCAN, "state": "lost"},
    "no probes": {**SCAN, "probes": None},
    "no system": {**SCAN, "system": {}},
    "unknown status": changed("probes", "memleak", "status", value="great"),
    "data of another type": changed("probes", "memleak", "data", value=[]),
    "ok without data": changed("probes", "memleak", "status", value="ok"),
    "not a number": changed("system", "uptime_s", value=float("nan")),
    "too large": changed("system", "modules", value=["x" * 2**20]),
    "no envelope": changed("probes", "../x", value=1),
}


@pytest.mark.parametrize("scan", BAD.values(), ids=BAD.keys())
def test_a_bad_scan_makes_the_host_failed(scan):
    made = document(scan)
    assert (made["host"], made["state"], made["system"], made["probes"]) == ("web1", "failed", None, {})
    assert made["reason"].startswith("the result of the host was refused: ")


@pytest.mark.parametrize("host", ["../../etc/x", "a\0b", "\ud800", "x" * 255])
def test_any_inventory_name_and_reason_give_a_valid_document(host):
    made = host_document(host, ["g" * 300], "night", Outcome("lost", "\x1b[2J" + "x" * 5000))
    validate(made)
    assert made["host"] == host
    assert "\x1b" not in made["reason"]


def test_text_of_a_host_cannot_move_the_cursor():
    assert plain("a\x1b[31m\r\n\x9bb\u202ec") == "a [31m b c"
    assert len(plain("x" * 100, 10)) == 10


def test_a_scan_document_is_valid():
    options = {"duration_s": 20, "probes": ["memleak"], "probe_options": {}}
    validate(scan_document("night", options, ["a"], {"ansible_core": "2.19", "python": "3.11"}))


def test_instants():
    assert instant(0) == "1970-01-01T00:00:00Z"
