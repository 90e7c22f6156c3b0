# SPDX-License-Identifier: GPL-3.0-or-later
"""Small logs made after public bug reports of storage, file servers, network cards, GPUs, containers and virtual machines."""

import json
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import scan_lines

LOGS = [pytest.param(log, id=log["name"]) for log in json.loads(Path(__file__).with_name("reported.json").read_text())]


@pytest.mark.parametrize("log", LOGS)
def test_each_report_is_found_once_with_its_kind_culprit_and_details(log):
    found = [{name: event[name] for name in ("line", "kind", "culprit", "details")} for event in scan_lines(log["lines"])]
    assert found == log["expected"]
