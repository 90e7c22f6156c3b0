# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of kernels that were broken on purpose, in known ways: tests/fleet/logs.py makes them."""

import json
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import scan_lines

LOGS = [
    pytest.param(log, id="%s-%s" % (path.stem, log["name"]))
    for path in sorted(Path(__file__).parent.glob("made/*.json"))
    for log in json.loads(path.read_text())["logs"]
]


def matches(event, expected):
    told = expected["culprit"] in (None, event["culprit"])
    return told and event["kind"] == expected["kind"] and expected["details"].items() <= event["details"].items()


@pytest.mark.parametrize("log", LOGS)
def test_what_was_done_to_the_kernel_is_what_its_log_is_said_to_tell(log):
    events = [event for event in scan_lines(log["lines"]) if not event["induced"]]
    assert [expected for expected in log["expected"] if not any(matches(event, expected) for event in events)] == []
    assert {event["kind"] for event in events} == {expected["kind"] for expected in log["expected"]}
