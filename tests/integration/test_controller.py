# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks and tools/scan, run as an operator runs them: real probes on this machine, and every kind of bad luck."""

import os
import pty
import shutil
import signal
import subprocess

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import registry
from ansible_collections.ksysak.fleet.tests.integration.place import GONE, LOCAL, Place, wait_for

pytestmark = pytest.mark.usefixtures("root")


@pytest.fixture
def place(tmp_path, ansible, repo):
    return Place(tmp_path, ansible, repo)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory, ansible, repo):
    """A scan of this machine under a hostile name, with a second host that cannot be reached."""
    place = Place(tmp_path_factory.mktemp("scanned"), ansible, repo)
    place.done = place.play("scan", {"../../etc/x": {**LOCAL, "ksysak_note": 1}, "gone": GONE}, ksysak_duration=2)
    return place


def test_every_host_has_its_document(scanned):
    assert scanned.done.returncode == 0, scanned.done.stdout
    scan, hosts = scanned.documents()
    assert set(hosts) == set(scan["hosts"]) == {"../../etc/x", "gone"}
    assert scan["ended_at"] >= scan["started_at"]
    assert hosts["../../etc/x"]["state"] == "scanned"
    assert set(hosts["../../etc/x"]["probes"]) == set(scan["options"]["probes"])
    assert hosts["gone"]["state"] == "unreachable"
    assert "refused" in hosts["gone"]["reason"]


def test_the_scan_writes_only_into_its_folder(scanned):
    (folder,) = scanned.results.iterdir()
    left = {"scan.json", "hosts", "report.html", "fleet.json", "memory-counters.jsonl", "findings-history.json"}
    assert {path.name for path in folder.iterdir()} == left
    assert len(list((folder / "hosts").iterdir())) == 2
    assert {path.name for path in scanned.results.parent.iterdir()} == {"home", "hosts.json", "results"}


def test_a_scan_leaves_nothing_on_the_host(scanned):
    scanned.assert_nothing_left()


def test_a_document_cut_in_half_is_reported(scanned, place):
    shutil.copytree(scanned.results, place.results)
    (file,) = [path for path in place.results.glob("*/hosts/*") if path.name != "gone.json"]
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    (report,) = place.results.glob("*/report.html")
    report.unlink()
    done = place.play("report", {}, "-e", "ksysak_min_hosts=0")
    assert done.returncode == 0, done.stdout
    assert report.exists()
    assert file.name in done.stdout


def test_no_host_at_all_is_an_error_with_a_report(place):
    done = place.play("scan", {"gone": GONE, "other": LOCAL}, "--limit", "gone")
    assert done.returncode != 0
    assert "No host could be scanned" in done.stdout
    assert list(place.results.glob("*/report.html"))
    assert list(place.documents()[1]) == ["gone"]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ksysak_duration", -1),
        ("ksysak_duration", "abc"),
        ("ksysak_duration", 99999),
        ("ksysak_probes", ["nope"]),
        ("ksysak_probe_options", {"nope": {}}),
        ("ksysak_probe_options", {"memleak": {"sampel": 1}}),
        ("ksysak_scan_id", "../x"),
        ("ksysak_durtion", 60),
        ("ksysak_wait", "long"),
        ("ksysak_fail_on", "eror"),
        ("ksysak_formats", ["pdf"]),
        ("ksysak_language", "xx"),
        ("ksysak_min_hosts", "most"),
        ("ksysak_policy_overrides", "nothing"),
        ("ksysak_baseline", "/nope"),
        ("ksysak_history", "/nope"),
        ("ksysak_report", "/dev/null/report.html"),
    ],
)
def test_bad_options_are_one_error_before_any_host_is_touched(place, variable, value):
    done = place.play("scan", {"web1": LOCAL, "web2": LOCAL}, **{variable: value})
    assert done.returncode != 0
    assert done.stdout.count("FAILED!") == 1
    assert "UNREACHABLE" not in done.stdout
    assert variable + ": " in done.stdout
    assert not place.results.exists()
    assert not list(place.home.glob(".ansible/tmp/*"))


def test_a_results_folder_that_cannot_be_written(place):
    place.results.touch()
    below = str(place.results / "below")
    done = place.play("scan", {"web1": LOCAL, "web2": LOCAL}, ksysak_results=below)
    assert done.returncode != 0
    assert done.stdout.count("FAILED!") == 1
    assert f"ksysak_results: cannot write to {below}: " in done.stdout
    assert not list(place.home.glob(".ansible/tmp/*"))


def test_check_mode_shows_a_table_and_writes_nothing(place):
    done = place.play("scan", {"web1": LOCAL, "gone": GONE}, "--check")
    assert done.returncode == 0, done.stdout
    rows = [line.strip(' ",').split()[:3] for line in done.stdout.splitlines() if line.strip().startswith(('"web1 ', '"gone '))]
    assert {row[1] for row in rows if row[0] == "web1"} == set(registry.NAMES)
    assert ["gone", "-", "unreachable"] in rows
    assert not place.results.exists()
    place.assert_nothing_left()


@pytest.mark.parametrize(("job_file_too", "state"), [(False, "failed"), (True, "lost")])
def test_a_scan_that_vanishes_is_reported(place, job_file_too, state):
    run = place.start("scan", {"web1": LOCAL}, ksysak_duration=6, ksysak_probes=["os_exceptions"])
    wait_for(place.scan_runs)
    running = place.processes()
    victims = ("AnsiballZ_scan", "async_wrapper") if job_file_too else ("/AnsiballZ_scan",)
    for pid, line in running.items():
        if any(name in line for name in victims) and (job_file_too or "async_wrapper" not in line):
            os.kill(pid, signal.SIGKILL)
    if job_file_too:
        for path in place.job_files():
            path.unlink()
    output = run.communicate()[0]
    assert run.returncode != 0, output
    host = place.documents()[1]["web1"]
    assert (host["state"], bool(host["reason"])) == (state, True)
    assert list(place.results.glob("*/report.html"))
    assert not list(place.home.glob(".ansible_async*"))


def assert_measured_until_the_interrupt(place):
    scan, hosts = place.documents()
    assert scan["ended_at"] is None
    assert (hosts["localhost"]["state"], hosts["localhost"]["reason"]) == ("scanned", "")
    windows = [envelope["window_s"] for envelope in hosts["localhost"]["probes"].values()]
    assert max(windows) < scan["options"]["duration_s"]
    assert list(place.results.glob("*/report.html"))
    place.assert_nothing_left()


def read_terminal(terminal):
    try:
        return os.read(terminal, 65536)
    except OSError:  # how the end of a terminal reads
        return b""


def test_ctrl_c_on_a_terminal(place):
    command = place.tool("--window", "3600", "--ansible-playbook", place.ansible.bin_dir / "ansible-playbook")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], list(map(str, command)), place.env())
    wait_for(place.scan_runs)
    os.write(terminal, b"\x03")
    output = b"".join(iter(lambda: read_terminal(terminal), b"")).decode()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130, output
    assert output.rstrip().splitlines()[-1].startswith("Results: ")
    assert_measured_until_the_interrupt(place)


def test_a_terminal_that_is_closed(place):
    command = place.tool("--window", "3600", "--ansible-playbook", place.ansible.bin_dir / "ansible-playbook")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], list(map(str, command)), place.env())
    wait_for(place.scan_runs)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert_measured_until_the_interrupt(place)


def test_a_signal_to_the_tool_alone(place):
    command = place.tool("--window", "3600", "--ansible-playbook", place.ansible.bin_dir / "ansible-playbook")
    run = subprocess.Popen(command, env=place.env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    wait_for(place.scan_runs)
    run.terminate()
    output = run.communicate()[0]
    assert run.returncode == 130, output
    assert_measured_until_the_interrupt(place)


@pytest.mark.parametrize("window", ["abc", "-1", "0", "99999", "1.5", "", "١٢"])
def test_a_window_that_makes_no_sense(place, window):
    command = place.tool(f"--window={window}", "--ansible-playbook", "false")
    done = subprocess.run(command, env=place.env(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "argument --window: " in done.stderr
    assert not place.results.exists()


def test_an_inventory_that_is_not_there(place):
    done = subprocess.run(place.tool("--inventory", "nope.ini"), env=place.env(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "argument --inventory: 'nope.ini' does not exist" in done.stderr


def test_a_prepared_host_is_left_alone(place, system_python):
    done = place.play("prepare", {"web1": LOCAL})
    assert done.returncode == 0, done.stdout
    assert "changed=0" in done.stdout
    assert "Find out which package manager" not in done.stdout


def test_the_emergency_brake_finds_nothing_to_stop(place):
    done = place.play("stop", {"web1": LOCAL, "gone": GONE})
    assert "changed=0" in done.stdout
    assert not place.results.exists()


def test_stop_of_a_scan_that_is_not_there(place):
    done = place.play("stop", {"web1": LOCAL}, ksysak_scan_id="nope")
    assert done.returncode != 0
    assert "ksysak_scan_id: there is no scan 'nope'" in done.stdout
