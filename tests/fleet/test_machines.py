# SPDX-License-Identifier: GPL-3.0-or-later
"""The probes, and a whole scan over SSH, on machines with other kernels than this one.

The ground truth and what is asserted of it are those of tests/integration; only the way to the host differs.
"""

import json
import signal
import subprocess
import time

import pytest

from ansible_collections.ksysak.fleet.tests.fleet.conftest import ON_HOST, TRACES
from ansible_collections.ksysak.fleet.tests.integration.test_probes import (  # noqa: F401 # pylint: disable=unused-import
    eventually,
    test_interference_agrees_with_the_kernels_own_counters,
    test_memleak_counts_every_object_that_was_not_freed,
    test_memleak_sample_estimates_the_same_leak,
    test_memleak_tells_a_burst_from_steady_growth,
    test_no_kernel_headers_are_needed,
    test_runlatency_measures_a_wait_and_names_who_ran_instead,
)
from ansible_collections.ksysak.fleet.tests.integration.test_scan import (  # noqa: F401 # pylint: disable=unused-import
    host,
    test_all_documents_fit_their_schemas,
    test_every_probe_measured_for_the_whole_window_with_its_best_engine,
    test_the_growth_is_found_with_its_function_and_its_holder,
    test_the_line_in_the_kernel_log_is_found,
    test_the_report_tells_of_it,
    test_the_task_that_waited_is_found_with_the_one_that_ran,
)

pytestmark = pytest.mark.usefixtures("root", "machine")


@pytest.fixture(scope="module")
def scanned(machine, on_machine, clean, inventory, ansible, tmp_path_factory):
    """The machine in trouble, scanned by the playbook. Returns (truth, folder of the scan, what the playbook printed)."""
    results = tmp_path_factory.mktemp("results")
    with subprocess.Popen(machine.command(on_machine.shell(ON_HOST, "trouble")), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as trouble:
        try:
            truth = json.loads(trouble.stdout.readline())
            options = {
                "ksysak_duration": 10,
                "ksysak_results": str(results),
                "ksysak_scan_id": "trouble",
                "ksysak_probe_options": {"memleak": {"sample": 1}},
            }
            done = ansible.playbook("ksysak.fleet.scan", "-i", inventory, "-e", json.dumps(options))
        finally:
            trouble.communicate(b"stop")
    assert done.returncode == 0, done.stdout + done.stderr
    return truth, results / "trouble", done.stdout


@pytest.fixture(scope="module")
def clean(on_machine):
    """What is on the machine before any scan."""
    return on_machine.run(TRACES)


def assert_clean(on_machine, clean):
    """Wait until nothing is on the machine that was not there before: the kernel ends what a process leaves, in its own time."""

    def left():
        traces = on_machine.run(TRACES)
        return {name: [trace for trace in traces[name] if trace not in clean[name]] for name in clean}

    eventually(lambda: not any(left().values()), "nothing is left: %s" % left())


@pytest.mark.usefixtures("scanned")
def test_nothing_is_left_behind_by_a_scan(on_machine, clean):
    assert_clean(on_machine, clean)


def test_nothing_is_left_behind_by_a_scan_that_is_killed(machine, on_machine, clean):
    command = machine.command("echo $$; exec " + on_machine.shell(ON_HOST, "scan", 600))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as scan:
        pid = int(scan.stdout.readline())
        assert [scan.stderr.readline() for _probe in range(3)] == [b"measuring\n"] * 3
        during = on_machine.run(TRACES)
        assert len(during["programs"]) > len(clean["programs"]) and str(pid) in during["processes"]
        machine.run("kill -9 %d" % pid)
        scan.communicate()
    assert_clean(on_machine, clean)


def test_a_machine_that_its_neighbours_keep_from_the_cpu_blames_nobody(machine, on_machine):
    """It stands still more often than the kernel keeps stalls between two looks of the probe."""
    command = machine.command(on_machine.shell(ON_HOST, "worked", 10))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as work:
        assert work.stdout.readline() == b"ready\n"
        for _unused in range(500):
            machine.process.send_signal(signal.SIGSTOP)
            time.sleep(0.012)  # longer than the threshold of a stall
            machine.process.send_signal(signal.SIGCONT)
            time.sleep(0.005)
        result = json.loads(work.stdout.read())
    assert result["degradations"] == []
    assert result["data"]["stall_counts"]["cpu_not_running"] > 100
    assert [stall for stall in result["data"]["stalls"] if stall["certain"]] == []
