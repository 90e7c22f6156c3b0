# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, envelopes and the size of a result."""

import importlib
import json
import time
import types
from unittest import mock

import pytest
import yaml
from hypothesis import assume, given, strategies as st

from ansible_collections.ksysak.fleet.plugins.module_utils._core import probe as probes, registry, window
from ansible_collections.ksysak.fleet.plugins.modules import scan

COLLECT = "ansible_collections.ksysak.fleet.plugins.modules.collect"


class Example(probes.Probe):
    NAME = "example"
    BOUNDS = {"top": (1, 10)}


@pytest.mark.parametrize("value", [0, -1, 11])
def test_an_option_out_of_bounds_is_named(value):
    with pytest.raises(ValueError, match=f"^top must be between 1 and 10, got {value}$"):
        Example({"top": value})


def envelope(data):
    return dict(probes.envelope(Example({"top": 1}), "ok", engine="test"), data=data)


def test_fit_cuts_the_tail_of_the_longest_list_and_says_so():
    result = envelope({"rows": [{"number": number, "inner": ["x" * 50] * 4} for number in range(1000)], "few": [1, 2, 3]})
    probes.fit(result, 20_000)
    assert len(json.dumps(result)) <= 20_000
    assert [row["number"] for row in result["data"]["rows"]] == list(range(len(result["data"]["rows"])))
    assert len(result["data"]["rows"]) > 10
    assert result["cost"]["truncated"] and result["data"]["few"] == [1, 2, 3]


def test_fit_leaves_alone_what_is_small_enough():
    result = envelope({"rows": list(range(100))})
    before = json.dumps(result)
    probes.fit(result)
    assert json.dumps(result) == before


LEAVES = st.none() | st.integers() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))


@given(st.dictionaries(st.text(max_size=5), JSON), st.integers(0, 2000))
def test_fit_ends_on_any_data(data, limit):
    result = envelope(data)
    probes.fit(result, limit)
    lists = [value for value in data.values() if isinstance(value, list) and value]
    assert len(json.dumps(result)) <= limit or not lists


def test_the_budgets_of_all_probes_fit_into_the_result_of_a_host():
    budgets = {name: probe.BUDGET_BYTES for name, probe in registry.classes().items()}
    assert sum(budgets.values()) <= probes.RESULT_BYTES, budgets


class Recorded(probes.Engine):
    NAME = "recorded"
    ROWS = 0

    def poll(self, timeout_s):
        pass

    def read(self, window_s):
        return {"rows": ["x" * 50] * self.ROWS}


class TalkativeEngine(Recorded):
    ROWS = 20_000


class QuietEngine(Recorded):
    ROWS = 100


class Talkative(probes.Probe):
    NAME, ENGINES, BUDGET_BYTES = "talkative", (TalkativeEngine,), 8192


class Quiet(probes.Probe):
    NAME, ENGINES, BUDGET_BYTES = "quiet", (QuietEngine,), 8192


def test_a_talkative_probe_cuts_only_its_own_list(monkeypatch):
    """In a whole scan, as the module does it: the quiet probe's list stays, however much the other one has to translate."""
    answer = {}
    module = types.SimpleNamespace(
        params={"scan_id": "budget-test", "duration": 1, "wait_s": 0}, check_mode=False, exit_json=lambda **values: answer.update(values)
    )
    # Another scan may be running on this host, and its name is taken.
    monkeypatch.setattr(scan.control, "Listener", lambda scan_id: mock.Mock(spec=["serve", "finish"]))
    monkeypatch.setattr(scan.runner, "use_python_with_bcc", lambda chosen: None)
    monkeypatch.setattr(scan.runner, "run", lambda chosen, duration_s, *rest: window.measure(chosen, duration_s))
    scan.measure(module, [Talkative({}), Quiet({})])
    envelopes = answer["scan"]["probes"]
    assert envelopes["quiet"]["data"]["rows"] == ["x" * 50] * 100 and not envelopes["quiet"]["cost"]["truncated"]
    assert envelopes["talkative"]["cost"]["truncated"]
    # What the quiet one leaves unused is the talkative one's, but for the last piece that was cut.
    whole = sum(len(json.dumps(result)) for result in envelopes.values())
    assert probes.RESULT_BYTES * 0.8 < whole <= probes.RESULT_BYTES


class LateEngine(Recorded):
    def start(self, duration_s):
        time.sleep(duration_s)


class Late(probes.Probe):
    NAME, ENGINES = "late", (LateEngine,)


def test_an_engine_that_starts_late_has_its_whole_window():
    found = window.measure([Late({}), Quiet({})], 1)
    assert {name: (result["status"], result["window_s"] >= 1) for name, result in found.items()} == dict.fromkeys(found, ("ok", True))


NOT_MEASURED = [("skipped", 0.0, False), ("failed", 0.0, False)]


@pytest.mark.parametrize(("status", "window_s", "said"), [("ok", 5.9, True), ("ok", 6.0, False), *NOT_MEASURED])
def test_an_engine_that_started_too_late_says_so(status, window_s, said):
    result = probes.envelope(Example({"top": 1}), status, engine="test", window_s=window_s)
    window._began_late(result, 12)
    assert (result["status"] == "degraded", "it measured for 5.9 of 12 s" in result["reason"]) == (said, said)


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(200, 20_000)), min_size=1, max_size=5), st.integers(2000, 60_000))
def test_envelopes_share_what_others_leave(needs, limit):
    """needs: (rows, budget) of each. None is cut below its budget, and none while there is room for all."""
    assume(sum(budget for _rows, budget in needs) <= limit)
    envelopes = {f"p{number}": envelope({"rows": ["x" * 50] * rows}) for number, (rows, _budget) in enumerate(needs)}
    budgets = {f"p{number}": budget for number, (_rows, budget) in enumerate(needs)}
    before = {name: len(json.dumps(result)) for name, result in envelopes.items()}
    probes.fit_together(envelopes, budgets, limit)
    after = {name: len(json.dumps(result)) for name, result in envelopes.items()}
    if sum(before.values()) <= limit:
        assert after == before
    emptied = [name for name, result in envelopes.items() if not result["data"]["rows"]]
    for name in envelopes:
        assert after[name] == before[name] if before[name] <= budgets[name] else name in emptied or after[name] >= budgets[name] * 0.8
    assert emptied or sum(after.values()) <= limit


def test_each_limit_leaves_time_for_the_one_within_it(repo):
    """A probe ends itself, what does not is killed on the host, and only then the controller gives up."""
    collect = yaml.safe_load((repo / "roles/scan/vars/main.yml").read_text())
    documented = yaml.safe_load(importlib.import_module(COLLECT).DOCUMENTATION)
    assert window.OVERHEAD_LIMIT_S < collect["__ksysak_scan_host_overtime"] < documented["options"]["overtime"]["default"]
