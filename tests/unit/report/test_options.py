# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of a report: what is refused, and what an empty one stands for."""

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.options import check_options, enough
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.options import OptionsError

NAMES = ("formats", "fail_on", "language", "policies", "policy_overrides", "known_bugs", "runbooks", "min_hosts", "only_new", "publish")


@pytest.mark.parametrize("nothing", ["", None, [], [""]])
def test_what_a_survey_leaves_empty_is_the_default(nothing):
    made = check_options(dict.fromkeys(NAMES, nothing))
    assert made == {
        "formats": ["html", "json"], "fail_on": "never", "language": "en", "policies": [], "policy_overrides": {}, "known_bugs": [],
        "min_hosts": 1, "only_new": False, "runbooks": None, "publish": [],
    }  # fmt: skip
    assert check_options({}) == made


def test_lists_may_be_text_with_commas():
    made = check_options({"formats": "html, junit", "policies": "default, /x/my.yml", "known_bugs": ["a.yml"]})
    assert (made["formats"], made["policies"], made["known_bugs"]) == (["html", "junit"], ["default", "/x/my.yml"], ["a.yml"])


def test_overrides_may_be_the_text_of_a_survey():
    assert check_options({"policy_overrides": "runq-latency: {delay_us: 1}"})["policy_overrides"] == {"runq-latency": {"delay_us": 1}}


WRONG = {
    "formats": (["htlm"], "ksysak_formats: 'htlm' is none of html, .*did you mean 'html'"),
    "fail_on": ("eror", "ksysak_fail_on: 'eror' is none of never, fatal, .*did you mean 'error'"),
    "policies": ({"a": 1}, "ksysak_policies: {'a': 1} is not a list"),
    "known_bugs": ([1], r"ksysak_known_bugs: \[1\] is not a list"),
    "policy_overrides": ("just words", "ksysak_policy_overrides: 'just words' is not a dictionary"),
    "only_new": ("perhaps", "ksysak_only_new: 'perhaps' is neither true nor false"),
    "runbooks": ("http://wiki.example.net", "ksysak_runbooks: 'http://wiki.example.net' is no address that begins with https://"),
    "publish": ("just words", "ksysak_publish: a list of destinations is expected"),
    "min_hosts": ("many", "ksysak_min_hosts: 'many' is neither a number of hosts nor a percentage"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named_as_the_user_wrote_it(name):
    value, message = WRONG[name]
    with pytest.raises(OptionsError, match=message):
        check_options({name: value})


def test_all_mistakes_are_named_at_once():
    with pytest.raises(OptionsError) as refused:
        check_options({name: value for name, (value, _message) in WRONG.items()})
    assert len(refused.value.problems) == len(WRONG)


@pytest.mark.parametrize("value", ["101%", "-1", -1, 1.5, True, "1e3", "٣", "50 %%"])
def test_numbers_of_hosts_that_make_no_sense(value):
    with pytest.raises(OptionsError, match="^ksysak_min_hosts: "):
        check_options({"min_hosts": value})


@pytest.mark.parametrize(
    ("required", "scanned", "total", "answer"),
    [
        (1, 0, 6, False), (1, 1, 6, True), (0, 0, 6, True), ("0", 0, 0, True), ("90%", 9, 10, True), ("90%", 8, 10, False),
        ("100%", 1000, 1000, True), ("100 %", 999, 1000, False), ("33.3%", 333, 1000, True), ("33.3%", 332, 1000, False),
        ("0%", 0, 5, True),
    ],
)  # fmt: skip
def test_enough_hosts(required, scanned, total, answer):
    assert enough(scanned, total, check_options({"min_hosts": required})["min_hosts"]) is answer
