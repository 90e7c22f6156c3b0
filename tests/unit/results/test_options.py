# SPDX-License-Identifier: GPL-3.0-or-later
import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core.registry import NAMES
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.options import OptionsError, check_hosts, check_options, check_wait


@pytest.mark.parametrize("duration", [1, 3600, "20"])
def test_good_durations(duration):
    assert check_options(duration, ["memleak"], {})["duration_s"] == int(duration)


@pytest.mark.parametrize("duration", [0, -1, 3601, 99999, "abc", "1.5", 1.5, True, {}, [1], "9" * 5000])
def test_bad_durations(duration):
    with pytest.raises(OptionsError, match=r"^ksysak_duration: .* from 1 to 3600$"):
        check_options(duration, ["memleak"], {})


@pytest.mark.parametrize("probes", [["memleak", "interference"], "interference, memleak", ["interference", "memleak", "memleak"]])
def test_good_probes(probes):
    assert check_options(1, probes, {})["probes"] == ["memleak", "interference"]


@pytest.mark.parametrize("probes", ["all", ["all"], "memleak, all"])
def test_all_stands_for_every_probe_of_the_registry(probes):
    assert check_options(1, probes, {})["probes"] == list(NAMES)


@pytest.mark.parametrize("probes", ["nope", ["memleak", "nope"], {"memleak": 1}, [["memleak"]], [None]])
def test_bad_probes(probes):
    with pytest.raises(OptionsError, match="^ksysak_probes: .*known: memleak, "):
        check_options(1, probes, {})


WRONG_PROBE_OPTIONS = [[1], "x", "{", {"nope": {}}, {"memleak": 1}]
WRONG_PROBE_OPTIONS += [{"memleak": {"sampel": 1}}, {"memleak": {"top": 0}}, {"memory": {"top": "many"}}]


@pytest.mark.parametrize("options", WRONG_PROBE_OPTIONS)
def test_bad_probe_options(options):
    with pytest.raises(OptionsError, match="^ksysak_probe_options: "):
        check_options(1, ["memleak"], options)


def test_options_of_other_probes_are_dropped():
    options = {"memleak": {"top": 3}, "runlatency": {"top": 5}}
    assert check_options(1, ["memleak"], options)["probe_options"] == {"memleak": {"top": 3}}


def test_all_problems_come_at_once():
    with pytest.raises(OptionsError) as error:
        check_options(0, "nope", 3)
    assert [problem.split(":")[0] for problem in error.value.problems] == ["ksysak_duration", "ksysak_probes", "ksysak_probe_options"]


def test_a_host_name_that_no_document_can_hold():
    check_hosts(["../../etc/x", "x" * 255])
    with pytest.raises(OptionsError, match="inventory: host name"):
        check_hosts(["x" * 256])


@pytest.mark.parametrize("nothing", ["", None, [], [""]])
def test_what_a_survey_leaves_empty_is_the_default(nothing):
    assert check_options(nothing, nothing, nothing) == {"duration_s": 20, "probes": list(NAMES), "probe_options": {}}
    assert check_wait(nothing) == 300


def test_the_text_area_of_a_survey_holds_probe_options():
    assert check_options(1, ["memleak"], "memleak: {sample: 1}")["probe_options"] == {"memleak": {"sample": 1}}
    assert check_options(1, ["memleak"], '{"memleak": {"sample": 1}}')["probe_options"] == {"memleak": {"sample": 1}}


def test_a_probe_names_its_own_option_that_is_wrong():
    with pytest.raises(OptionsError, match=r"^ksysak_probe_options: memleak has no option sampel; there are .*sample"):
        check_options(1, ["memleak"], {"memleak": {"sampel": 1}})


@pytest.mark.parametrize("wait", [-1, 3601, "x", 1.5, True])
def test_bad_waits(wait):
    with pytest.raises(OptionsError, match=r"^ksysak_wait: .* from 0 to 3600$"):
        check_wait(wait)
