# SPDX-License-Identifier: GPL-3.0-or-later
"""What is refused before any host is touched, and in which words."""

import sys
import types
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.registry import NAMES
from ansible_collections.ksysak.fleet.plugins.plugin_utils.usage import check, variables

META = Path(__file__).resolve().parents[3] / "meta"


def task(**play):
    of_task = types.SimpleNamespace(**{"strategy": "linear", "serial": [], **play})
    return types.SimpleNamespace(get_play=lambda: of_task)


def test_a_missing_package_is_named_with_its_python_and_the_command():
    with pytest.raises(check.UsageError) as refused:
        check.packages(("yaml", "ksysak_nope", "ksysak_never"))
    text = str(refused.value)
    assert f"{sys.executable}, has no package ksysak_nope, ksysak_never. " in text
    assert f"{sys.executable} -m pip install ksysak_nope ksysak_never" in text
    assert refused.value.result["usage_error"] is True
    check.packages()


def test_the_packages_are_those_of_the_execution_environment():
    listed = [line.strip() for line in (META / "ee-requirements.txt").read_text().splitlines() if line.strip() and line[0] != "#"]
    assert set(check.PACKAGES) | {"PyYAML"} == set(listed)  # PyYAML comes with ansible-core


@pytest.mark.parametrize("strategy", ["linear", "debug", "ansible.builtin.linear", "ansible.builtin.debug"])
def test_strategies_that_wait_for_all_hosts(strategy):
    check.play(task(strategy=strategy))


@pytest.mark.parametrize("strategy", ["free", "ansible.builtin.free", "host_pinned", "mitogen_linear", "mitogen_free", "of.mine.linear"])
def test_another_strategy_is_refused_with_what_to_write(strategy):
    with pytest.raises(check.UsageError, match=rf"strategy '{strategy}'.*'strategy: ansible\.builtin\.linear' in the play"):
        check.play(task(strategy=strategy))


def test_serial_is_refused():
    with pytest.raises(check.UsageError, match="^serial: .*remove 'serial'"):
        check.play(task(serial=["30%"]))


MISSPELT = {
    "ksysak_durtion": "ksysak_duration",
    "ksysak_fail_onn": "ksysak_fail_on",
    "ksysak_policy_override": "ksysak_policy_overrides",
    "ksysak_polices": "ksysak_policies",
    "ksysak_probe_option": "ksysak_probe_options",
    "ksysak_host": "ksysak_hosts",
    "ksysak_result": "ksysak_results",
    "ksysak_scanid": "ksysak_scan_id",
    "ksysak_min_host": "ksysak_min_hosts",
    "ksysak_format": "ksysak_formats",
}


@pytest.mark.parametrize("name", MISSPELT)
def test_a_misspelt_variable_is_named_with_the_right_one(name):
    with pytest.raises(check.UsageError, match=f"^{name}: there is no such variable; did you mean {MISSPELT[name]}\\?"):
        check.names(["ansible_host", name])


@pytest.mark.parametrize("name", ["ksysak_note", "ksysak_window", "ksysak_x"])
def test_a_variable_of_somebody_else_is_only_mentioned(name, monkeypatch):
    warned = []
    monkeypatch.setattr(check.display, "warning", warned.append)
    check.names([name, "other"])
    assert warned[0].startswith(f"{name}: not used by ksysak.fleet.") and "ksysak_duration" in warned[0]


def test_what_is_right_is_no_mistake(monkeypatch):
    monkeypatch.setattr(check.display, "warning", pytest.fail)
    check.names([*variables.known(), *(f"ksysak_{name}" for name in NAMES), "__ksysak_scan_checked", "ansible_facts"])


def test_no_variable_of_the_collection_is_near_to_another_one_by_mistake():
    """Each name is known as it is; the list is that of all roles and of the playbooks."""
    assert {"ksysak_hosts", "ksysak_become", "ksysak_duration", "ksysak_fail_on", "ksysak_selftest_confirm"} <= variables.known()
