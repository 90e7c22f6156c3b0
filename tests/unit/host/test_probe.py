# SPDX-License-Identifier: GPL-3.0-or-later
"""Options, envelopes and the size of a result."""

import importlib
import json

import pytest
import yaml
from hypothesis import given, strategies as st

from ansible_collections.ksysak.fleet.plugins.module_utils._core import probe as probes, window

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
    big = envelope({"rows": [{"number": number, "inner": ["x" * 50] * 4} for number in range(1000)], "few": [1, 2, 3]})
    small = envelope({"rows": [1, 2, 3]})
    result = {"big": big, "small": small}
    probes.fit(result, 20_000)
    assert len(json.dumps(result)) <= 20_100
    assert [row["number"] for row in big["data"]["rows"]] == list(range(len(big["data"]["rows"])))
    assert len(big["data"]["rows"]) > 10
    assert big["cost"]["truncated"] and big["data"]["few"] == [1, 2, 3]
    assert not small["cost"]["truncated"] and small["data"]["rows"] == [1, 2, 3]


def test_fit_leaves_alone_what_is_small_enough():
    result = {"one": envelope({"rows": list(range(100))})}
    before = json.dumps(result)
    probes.fit(result)
    assert json.dumps(result) == before


LEAVES = st.none() | st.integers() | st.text(max_size=20)
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner))


@given(st.dictionaries(st.text(max_size=5), JSON), st.integers(0, 2000))
def test_fit_ends_on_any_data(data, limit):
    result = {"one": envelope(data)}
    probes.fit(result, limit)
    lists = [value for value in data.values() if isinstance(value, list) and value]
    assert len(json.dumps(result)) <= limit or not lists


def test_each_limit_leaves_time_for_the_one_within_it(repo):
    """A probe ends itself, what does not is killed on the host, and only then the controller gives up."""
    collect = yaml.safe_load((repo / "roles/scan/vars/main.yml").read_text())
    documented = yaml.safe_load(importlib.import_module(COLLECT).DOCUMENTATION)
    assert window.OVERHEAD_LIMIT_S < collect["__ksysak_scan_host_overtime"] < documented["options"]["overtime"]["default"]
