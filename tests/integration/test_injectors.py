# SPDX-License-Identifier: GPL-3.0-or-later
"""testrunlatency on this machine, through its module: what it says it did, and that nothing of it stays."""

import json
import os
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("root")

COMMS = {"testrunlatency", "ks-hog", "ks-victim", "ks-crowd"}


@pytest.fixture
def inject(ansible, system_python):
    """Run latency_injector here; returns (return code, result). Everything is removed at the end."""

    def run(*args, **options):
        said = json.dumps({"type": "runq", "cpu": 0, "interval_ms": 20, "duration_us": 3000, "ttl_s": 120, **options})
        variables = f"ansible_connection=local ansible_python_interpreter={system_python}"
        module = ["-m", "ksysak.fleet.latency_injector", "-a", said]
        done = ansible.adhoc("here", "-i", "here,", *module, "-e", variables, *args, ANSIBLE_CALLBACK_RESULT_FORMAT="json")
        assert " => {" in done.stdout, done.stderr
        return done.returncode, json.loads(done.stdout.partition(" => ")[2])

    yield run
    run(state="absent")


def processes():
    """Return the names of the processes of this file that run, without those that have ended and wait for init."""
    found, own = [], os.readlink("/proc/thread-self/ns/net")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _end, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            ours = name in COMMS and rest.split()[0] != "Z" and os.readlink(folder / "ns/net") == own
        except OSError:  # it has ended
            continue
        if ours:
            found.append(name)
    return sorted(found)


@pytest.mark.parametrize(
    ("load", "there"),
    [
        ("realtime", ["ks-hog", "ks-victim", "testrunlatency"]),
        ("hogs", ["ks-hog", "ks-hog", "ks-hog", "ks-victim", "testrunlatency"]),
        ("crowd", ["ks-crowd", "ks-crowd", "ks-crowd", "testrunlatency"]),
    ],
)
def test_delays_are_made_and_told(inject, load, there):
    code, first = inject(confirm=True, load=load, tasks=3, count=3)
    assert (code, first["changed"], first["actions"]) == (0, True, ["start testrunlatency"])
    assert processes() == there
    while True:
        _code, again = inject(confirm=True, load=load, tasks=3, count=3)
        assert (again["changed"], again["actions"]) == (False, [])
        if again["ground_truth"]["turns"] == 3:
            break
    truth = again["ground_truth"]
    assert truth["error"] == ""
    waiters = 3 if load == "crowd" else 1
    assert len(truth["delays"]) == 3 * waiters
    for delay in truth["delays"]:
        assert 0 <= delay["least_ns"] <= delay["most_ns"]
        assert delay["cpu"] == 0 and delay["start_ns"] + delay["most_ns"] <= truth["read_at_ns"]
    if load == "realtime":
        assert all(delay["least_ns"] > 2_500_000 and len(delay["ran"]) == 1 for delay in truth["delays"])
    code, gone = inject(state="absent")
    assert (code, gone["changed"], gone["ground_truths"]["testrunlatency"]["turns"]) == (0, True, 3)
    assert processes() == []
    assert inject(state="absent")[1]["changed"] is False


def test_other_parameters_begin_anew(inject):
    inject(confirm=True)
    _code, other = inject(confirm=True, interval_ms=40)
    assert other["actions"] == ["end testrunlatency", "start testrunlatency"]
    assert other["parameters"]["interval_ms"] == 40
    assert processes() == ["ks-hog", "ks-victim", "testrunlatency"]


def test_it_ends_by_itself(inject):
    _code, started = inject(confirm=True, ttl_s=1)
    assert started["changed"]
    while processes():
        time.sleep(0.1)
    assert inject(state="absent")[1]["changed"] is False


def test_check_mode_changes_nothing(inject):
    code, said = inject("--check", confirm=True)
    assert (code, said["changed"], said["actions"]) == (0, True, ["start testrunlatency"])
    assert processes() == []
    inject(confirm=True)
    _code, said = inject("--check", state="absent")
    assert said["actions"] == ["end testrunlatency"]
    assert len(processes()) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "confirm is not true"),
        ({"confirm": True, "cpu": 99999}, "cpu: there is no CPU 99999"),
        ({"confirm": True, "duration_us": 0}, "duration_us must be between 1 and 1000000, got 0"),
        ({"confirm": True, "ttl_s": 0}, "ttl_s must be between 1 and 86400, got 0"),
        ({"confirm": True, "type": "nope"}, "value of type must be one of"),
    ],
)
def test_bad_input_is_refused(inject, options, said):
    code, answer = inject(**options)
    assert code != 0 and said in answer["msg"]
    assert processes() == []
