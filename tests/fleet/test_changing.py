# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that change while a probe measures: CPUs that go and come back, a restart, machine checks and non-maskable interrupts."""

import json
import re
import subprocess

import pytest

from ansible_collections.ksysak.fleet.tests.fleet.conftest import CHANGING, ON_HOST, TRACES
from ansible_collections.ksysak.fleet.tests.fleet.test_machines import assert_clean
from ansible_collections.ksysak.fleet.tests.integration.test_probes import validate_data

pytestmark = pytest.mark.usefixtures("root", "machine")

CHANGES = True  # this file has a machine to itself

# A machine check as hardware raises it for an error in memory that nobody has read yet (Intel SDM 3B, 16.6: valid, uncorrected,
# enabled, with address, signalled; memory scrubbing), at an address without memory. On all CPUs, as Intel's do.
MACHINE_CHECK = "mce -b 0 9 0xbd000000000000c0 0x5 0xc0000000 0x8c"


@pytest.fixture(scope="module")
def clean(machine, on_machine, built):
    """What is on the machine before any test, the modules that tests load among it."""
    assert built
    compiled = machine.run("python3 -m compileall -q " + on_machine.FOLDER)
    assert compiled.returncode == 0, compiled.stdout
    return on_machine.run(TRACES)


@pytest.fixture
def unplugged(on_machine, clean):
    """Run the case of this name of changing.py; nothing is left when it has ended."""

    def run(name, comes_back):
        result = on_machine.run(CHANGING, "unplugged", name, int(comes_back))
        assert_clean(on_machine, clean)
        validate_data("ksysak.%s/1" % name, result["data"])
        result["degradations"] = [limit for limit in result["degradations"] if limit.startswith("CPU ")]
        return result

    return run


UNSEEN = "CPU 1 was not online all through the window: its stalls are not all seen"
GONE = "CPU 1 went on- or offline within the window: run_delay leaves it out"


@pytest.mark.parametrize(("comes_back", "said"), [(False, [GONE, UNSEEN]), (True, [UNSEEN])], ids=["gone", "back"])
def test_runlatency_goes_on_without_a_cpu_and_says_so(unplugged, comes_back, said):
    result = unplugged("runlatency", comes_back)
    assert result["degradations"] == said
    least_us = sum(delay["least_ns"] for delay in result["truth"]["delays"]) / 1e3
    assert least_us <= result["data"]["run_delay"]["total_us"] <= result["truth"]["waited_us"]
    for delay in result["truth"]["delays"]:
        events = [event for event in result["data"]["events"] if (event["pid"], event["cpu"]) == (delay["pid"], delay["cpu"])]
        assert any(delay["least_ns"] / 1e3 - 1 <= event["delay_us"] <= delay["most_ns"] / 1e3 + 1 for event in events), (delay, events)


@pytest.mark.parametrize(
    ("comes_back", "said"),
    [(False, ["CPU 1 went on- or offline within the window: untraced vectors are counted on the others only"]), (True, [])],
    ids=["gone", "back"],
)
def test_interference_goes_on_without_a_cpu_and_says_so(unplugged, comes_back, said):
    result = unplugged("interference", comes_back)
    data = result["data"]
    assert result["degradations"] == said
    assert data["cross_check"]["compared"] > 5 and data["cross_check"]["disagreements"] == []
    timer = next(vector for vector in data["vectors"] if vector["kind"] == "timer")
    seen = {str(place["cpu"]): place["count"] for place in timer["by_cpu"]}
    assert set(result["truth"]["ticks"]) == ({"0", "1"} if comes_back else {"0"})
    for cpu, ticks in result["truth"]["ticks"].items():
        assert seen[cpu] >= 0.98 * ticks - 10 and ticks > 0, (cpu, ticks, seen)


# What befalls the host once all windows are open; $SCAN is the scan's process.
# It asks for all pages at once (0x8022: private, anonymous, populated): one that touches them itself competes for its own text with all
# that it displaced, and the machine may be busy with that for minutes before anything is killed.
HOG = (
    "import mmap, os; open('/proc/self/oom_score_adj', 'w').write('1000'); "
    "mmap.mmap(-1, os.sysconf('SC_PHYS_PAGES') * mmap.PAGESIZE, flags=0x8022)"
)
BUSY = "while kill -0 $SCAN 2>/dev/null; do ls -R /proc/self >/dev/null; done"
SITUATIONS = {
    "cpu_gone": "echo 0 >/sys/devices/system/cpu/cpu1/online",
    "busy": " & ".join(4 * [f"({BUSY})"]) + "; wait",
    "no_memory": f'python3 -c "{HOG}"; [ $? = 137 ]',
    "module_gone": "rmmod test_slab_leak",
}


@pytest.mark.parametrize("situation", list(SITUATIONS))
def test_a_scan_ends_well_whatever_befalls_the_host(machine, on_machine, built, clean, situation):
    if situation == "module_gone":
        parameters = "run=1 rate=2000 bytes=512 place=ksysak_leak_shallow ceiling=67108864"
        assert machine.run(f"insmod {built['test_slab_leak']} {parameters}").returncode == 0
    command = machine.command("echo $$; exec " + on_machine.shell(ON_HOST, "scan", 20))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as scan:
        pid = int(scan.stdout.readline())
        assert [scan.stderr.readline() for _probe in range(3)] == [b"measuring\n"] * 3
        done = machine.run(f"SCAN={pid}; {SITUATIONS[situation]}")
        said, failed = scan.communicate()
    machine.run("echo 1 >/sys/devices/system/cpu/cpu1/online")
    assert scan.returncode == 0, failed
    assert done.returncode == 0, done.stderr
    envelopes = json.loads(said)
    for name in ("interference", "memleak", "runlatency"):
        envelope = envelopes[name]
        assert envelope["engine"] == "bcc" and envelope["status"] in ("ok", "degraded"), (name, envelope["status"], envelope["reason"])
        validate_data("ksysak.%s/1" % name, envelope["data"])
    leaks = envelopes["memleak"]["data"]["leaks"]
    assert [(row["culprit"], row["module"]) for row in leaks if row["verdict"] == "leak"] == []
    assert [frame for row in leaks for frame in row["stack"] if frame.startswith("0x")] == []
    if situation == "cpu_gone":
        assert GONE in envelopes["runlatency"]["reason"] and UNSEEN in envelopes["runlatency"]["reason"]
    assert_clean(on_machine, clean)


def row_of(result, name):
    """Return the row of `vectors` of that name, and its counts by CPU."""
    validate_data("ksysak.interference/1", result["data"])
    (vector,) = [vector for vector in result["data"]["vectors"] if vector["name"] == name]
    return vector, {str(place["cpu"]): place["count"] for place in vector["by_cpu"]}


def test_non_maskable_interrupts_are_counted_and_timed(on_machine):
    result = on_machine.run(CHANGING, "backtraces")
    vector, seen = row_of(result, "Non-maskable interrupts")
    assert vector["kind"] == "nmi"
    assert seen == {cpu: count for cpu, count in result["truth"].items() if count} != {}
    assert 0 < vector["longest_us"] <= vector["total_us"]


@pytest.mark.parametrize(
    ("row", "name", "shell", "order"),
    [
        ("MCE", "Machine check exceptions", ":", MACHINE_CHECK),
        ("MCP", "Machine check polls", "echo 1 > /sys/devices/system/machinecheck/machinecheck0/check_interval", "info version"),
    ],
    ids=["exceptions", "polls"],
)
def test_machine_checks_are_counted(machine, on_machine, row, name, shell, order):
    assert machine.run(shell).returncode == 0
    command = machine.command(on_machine.shell(CHANGING, "more_of", row))
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as measuring:
        assert measuring.stderr.readline() == b"measuring\n"
        machine.monitor(order)
        said, failed = measuring.communicate()
    assert measuring.returncode == 0, failed
    result = json.loads(said)
    vector, seen = row_of(result, name)
    assert (vector["kind"], vector["total_us"]) == ("mce", None)
    assert all(seen[cpu] >= count for cpu, count in result["truth"].items() if count), (seen, result["truth"])
    assert row != "MCE" or seen == result["truth"] == {"0": 1, "1": 1}


def test_a_report_after_a_restart_of_the_host_says_so(machine, on_machine, inventory, ansible):
    def task(**options):
        command = ["-m", "ksysak.fleet.runlatency_facts", "-a", json.dumps(options)]
        # A connection that is kept would be one to the machine before its restart.
        done = ansible.adhoc("target", "-i", inventory, *command, ANSIBLE_SSH_ARGS="-o ControlMaster=no")
        return done.returncode, json.JSONDecoder().raw_decode(done.stdout, done.stdout.index("=> ") + 3)[0]

    files = on_machine.run(TRACES)["files"]
    code, started = task(state="started", ttl_s=3600)
    assert (code, started["changed"], started["service"]["status"]) == (0, True, "ok"), started
    machine.reboot()
    code, reported = task(state="reported")
    assert code != 0 and "ansible_facts" not in reported
    found = re.search(r"runlatency is not running on this host: .*the host was started anew \(it is up for (\d+) s\)", reported["msg"])
    assert found and int(found.group(1)) < 3600, reported["msg"]
    code, stopped = task(state="stopped")
    assert (code, stopped["changed"], stopped["service"]) == (0, False, None)
    assert on_machine.run(TRACES)["files"] == files
    # Nothing of the measurement before is in the way of a new one, or in its answer.
    code, again = task(state="started", ttl_s=3600)
    assert (code, again["changed"]) == (0, True), again
    code, last = task(state="stopped")
    envelope = last["ansible_facts"]["ksysak_runlatency"]
    assert code == 0 and envelope["started_at"] == again["service"]["started_at"] and envelope["data"]["count"] > 0


def test_a_drive_that_is_unwell_is_asked_and_told(machine, on_machine):
    ask = "import json; from %s import nvme; print(json.dumps(nvme.drives('/sys/class/nvme', '/dev')))" % (
        "ansible_collections.ksysak.fleet.plugins.module_utils._host_health"
    )

    def drives():
        done = machine.run(f'PYTHONPATH={on_machine.FOLDER} python3 -c "{ask}"')
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    assert drives() == []
    machine.monitor("drive_add 0 if=none,id=disk,driver=null-co,size=64M,read-zeroes=on")
    machine.monitor("device_add nvme,id=unwell,drive=disk,serial=fleet")
    done = machine.run("modprobe nvme; timeout 300 sh -c 'until grep -qs live /sys/class/nvme/nvme0/state; do sleep 0.1; done'")
    assert done.returncode == 0, done.stderr
    (drive,) = drives()
    assert (drive["device"], drive["warnings"], drive["media_errors"]) == ("nvme0", [], 0)
    machine.monitor("qom-set /machine/peripheral/unwell smart_critical_warning 12")
    (drive,) = drives()
    assert (drive["device"], drive["warnings"], drive["media_errors"]) == ("nvme0", ["reliability", "read_only"], 0)
    machine.monitor("device_del unwell")
    assert machine.run("timeout 300 sh -c 'while [ -e /sys/class/nvme/nvme0 ]; do sleep 0.1; done'").returncode == 0
    assert drives() == []
