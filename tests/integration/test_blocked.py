# SPDX-License-Identifier: GPL-3.0-or-later
"""blocked against waits whose length, holder and chain the test makes: see blocked_on_host.py."""

import json
import subprocess

import pytest

from ansible_collections.ksysak.fleet.tests.integration.test_probes import validate_data

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture(scope="module")
def run(repo, system_python):
    """Run a case of blocked_on_host.py here and return its JSON."""

    def case(name):
        script = repo / "tests/integration/blocked_on_host.py"
        command = ["env", "PYTHONPATH=%s" % (repo / ".cache" / "import"), system_python, str(script), name]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return case


def measured(result):
    """Return the data of a case, which must fit the schema and come from the best engine."""
    envelope = result["envelope"]
    assert (envelope["engine"], envelope["status"] in ("ok", "degraded")) == ("bcc", True), envelope["reason"]
    validate_data("ksysak.blocked/1", envelope["data"])
    return envelope["data"]


def test_a_daemon_that_answers_late_is_the_holder(run):
    result = run("slow_daemon")
    data, truth = measured(result), result["truth"]
    cause = next(row for row in data["reasons"] if row["kind"] == "fuse")
    assert cause["victims"][0]["pid"] == truth["victim"]
    assert (cause["holders"][0]["pid"], cause["holders"][0]["comm"]) == (truth["daemon"], "ks-daemon")
    waits = [row for row in data["waits"] if row["pid"] == truth["victim"] and not row["ongoing"]]
    assert waits
    assert all(row["delay_us"] >= 0.95 * 400000 for row in waits)  # each answer takes 400 ms at least
    # It waits for hardly anything else, and no wait counts twice.
    assert cause["total_us"] <= 1.02e6 * result["envelope"]["window_s"]
    assert cause["count"] <= result["envelope"]["window_s"] / 0.4 + 2


def test_the_chain_leads_from_the_lock_of_a_directory_to_the_daemon(run):
    result = run("directory_chain")
    data, truth = measured(result), result["truth"]
    waits = [row for row in data["waits"] if row["kind"] == "inode_lock" and row["pid"] in truth["makers"]]
    assert waits
    for row in waits:
        other = next(pid for pid in truth["makers"] if pid != row["pid"])
        assert row["holder"]["pid"] == other
    assert any([link["kind"] for link in row["chain"]] == ["fuse"] for row in waits)


def test_a_wait_that_goes_on_since_before_the_window(run):
    result = run("hung_daemon")
    data, truth = measured(result), result["truth"]
    wait = next(row for row in data["waits"] if row["pid"] == truth["victim"])
    assert (wait["kind"], wait["ongoing"]) == ("fuse", True)
    assert wait["delay_us"] > 1e6 * result["envelope"]["window_s"]
    cause = next(row for row in data["reasons"] if row["kind"] == "fuse")
    assert cause["total_us"] <= 1.02e6 * result["envelope"]["window_s"] + 20000


def test_sleeps_that_programs_ask_for_are_no_cause(run):
    result = run("asked_for")
    data, truth = measured(result), result["truth"]
    ours = set(truth["pids"].values())
    assert [row for row in data["waits"] if row["pid"] in ours and not row["expected"]] == []
    assert [cause for cause in data["reasons"] if cause["count"] and ours & {victim["pid"] for victim in cause["victims"]}] == []


def test_a_file_system_that_is_frozen(run):
    result = run("frozen_file_system")
    if "unable" in result["truth"]:
        pytest.skip(result["truth"]["unable"])
    data, truth = measured(result), result["truth"]
    cause = next(row for row in data["reasons"] if row["kind"] == "fs_frozen")
    assert cause["victims"][0]["pid"] == truth["victim"]
    assert cause["holders"][0]["comm"] == "ks-freezer"
    service = next(row for row in data["services"] if "fs_frozen" in row["kinds"])
    # Looks estimate the same time as the waits add up to.
    victim = cause["victims"][0]
    assert victim["sampled_us"] == pytest.approx(victim["total_us"], rel=0.35)
    assert service["blocked_us"] >= victim["sampled_us"] * 0.99
