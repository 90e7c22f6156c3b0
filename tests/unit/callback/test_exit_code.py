# SPDX-License-Identifier: GPL-3.0-or-later
"""The exit code of a pipeline: what decides when several things happened."""

import types

import pytest

from ansible_collections.ksysak.fleet.plugins.callback.exit_code import CallbackModule


def ended(*results, custom=None):
    """Return the exit code after tasks with these results; None: the callback left it alone. results: ('ok'|'failed'|'ignored', dict).

    custom: statistics that the playbook set.
    """
    callback = CallbackModule()
    for how, returned in results:
        result = types.SimpleNamespace(_result=returned)
        if how == "ok":
            callback.v2_runner_on_ok(result)
        else:
            callback.v2_runner_on_failed(result, ignore_errors=how == "ignored")
    try:
        callback.v2_playbook_on_stats(types.SimpleNamespace(custom=custom or {}))
    except SystemExit as end:
        return end.code
    return None


def report(code):
    return ("ok", {"exit_code": code, "verdict": {"level": "x"}})


WRONG = ("failed", {"usage_error": True, "msg": "ksysak_duration: …"})


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([], None), ([("ok", {"exit_code": 7})], None), ([("failed", {"msg": "no"})], None), ([report(0)], 0), ([report(2)], 2),
        ([report(3), ("failed", {"assertion": "x"})], 3), ([WRONG], 4), ([report(2), WRONG], 4), ([("ignored", WRONG[1])], None),
        ([report(0), report(3)], 3), ([report(3), report(2)], 2),
    ],
)  # fmt: skip
def test_exit_codes(results, code):
    assert ended(*results) == code


@pytest.mark.parametrize(("judged", "code"), [(0, 3), (3, 3), (2, 2)])
def test_a_destination_that_was_not_reached_is_a_gap(judged, code):
    assert ended(report(judged), custom={"_run": {"ksysak_outcome": {"not_published": ["x: refused"]}}}) == code
    assert ended(report(judged), custom={"_run": {"ksysak_outcome": {"not_published": []}}}) == judged
