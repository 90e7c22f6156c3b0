# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as people use it: mistakes, other strategies, tags, surveys, a disk that is full, a colleague's scan."""

import contextlib
import json
import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.ksysak.fleet.tests.integration.place import LOCAL, Place, wait_for

pytestmark = pytest.mark.usefixtures("root")

QUICK = {"ksysak_probes": "host_health"}


@pytest.fixture
def place(tmp_path, ansible, repo):
    return Place(tmp_path, ansible, repo)


def assert_one_error_and_nothing_done(place, done, text):
    assert done.returncode != 0
    assert done.stdout.count("FAILED!") == 1, done.stdout
    assert text in done.stdout.replace("\\n", " ")
    assert not place.results.exists()
    assert not list(place.home.glob(".ansible/tmp/*"))


RULES = {
    "ksysak_policies": (["/nope.yml"], "/nope.yml"),
    "ksysak_policy_overrides": ({"runq-latncy": {"delay_us": 1}}, "no rule is called 'runq-latncy'"),
    "ksysak_known_bugs": (["/nope.yml"], "/nope.yml: cannot be read"),
}


@pytest.mark.parametrize("variable", RULES)
def test_policies_are_read_before_any_host_is_touched(place, variable):
    value, text = RULES[variable]
    assert_one_error_and_nothing_done(place, place.play("scan", {"web1": LOCAL, "web2": LOCAL}, **{variable: value}), text)


def test_a_misspelt_variable_is_named_with_the_right_one(place):
    done = place.play("scan", {"web1": LOCAL, "web2": LOCAL}, ksysak_fail_onn="error")
    assert_one_error_and_nothing_done(place, done, "ksysak_fail_onn: there is no such variable; did you mean ksysak_fail_on?")


def own_play(place, **play):
    """Run a play of somebody's own with the role."""
    tasks = [{"name": "Scan", "ansible.builtin.import_role": {"name": "ksysak.fleet.scan"}}]
    path = place.home.parent / "own.yml"
    path.write_text(yaml.safe_dump([{"name": "Own", "hosts": "all", "gather_facts": False, "tasks": tasks, **play}]))
    place.inventory.write_text(json.dumps({"all": {"hosts": {"web1": LOCAL, "web2": LOCAL}}}))
    return place.ansible.playbook(path, "-i", place.inventory, "-e", place.variables(**QUICK), **place.own)


@pytest.mark.parametrize("strategy", ["free", "host_pinned", "ansible.builtin.free"])
def test_another_strategy_of_an_own_play_is_refused(place, strategy):
    done = own_play(place, strategy=strategy)
    assert done.returncode != 0
    assert "needs 'strategy: ansible.builtin.linear' in the play" in done.stdout
    assert not place.results.exists()
    assert not list(place.home.glob(".ansible/tmp/*")) and not list(place.home.glob(".ansible_async*"))


def test_serial_is_refused(place):
    done = own_play(place, serial=1)
    assert done.returncode != 0 and "serial: the play has 'serial'" in done.stdout
    assert not place.results.exists()


def test_the_playbook_is_linear_whatever_the_settings_say(place):
    done = place.ansible.playbook(*place.command("scan", {"web1": LOCAL}, **QUICK), **place.own, ANSIBLE_STRATEGY="free")
    assert done.returncode == 0, done.stdout
    assert place.documents()[1]["web1"]["state"] == "scanned"


def test_an_empty_survey_is_all_defaults(place):
    names = ["ksysak_scan_id", "ksysak_formats", "ksysak_fail_on", "ksysak_policies", "ksysak_policy_overrides", "ksysak_probe_options"]
    names += ["ksysak_baseline", "ksysak_history", "ksysak_report", "ksysak_language", "ksysak_known_bugs", "ksysak_min_hosts"]
    names += ["ksysak_prepare", "ksysak_wait", "ksysak_async_dir", "ksysak_hosts", "ksysak_become"]
    done = place.play("scan", {"web1": LOCAL}, **dict.fromkeys(names, ""), **QUICK)
    assert done.returncode == 0, done.stdout
    scan, hosts = place.documents()
    assert hosts["web1"]["state"] == "scanned"
    assert {path.name for path in place.results.glob("*/*")} >= {"report.html", "fleet.json"}
    place.assert_nothing_left()


def test_tags(place):
    done = place.play("scan", {"web1": LOCAL}, "--tags", "scan", **QUICK)
    assert done.returncode == 0, done.stdout
    assert place.documents()[1]["web1"]["state"] == "scanned"
    assert not list(place.results.glob("*/report.html"))
    done = place.play("scan", {"web1": LOCAL}, "--tags", "report")
    assert done.returncode == 0, done.stdout
    assert len(list(place.results.glob("*/report.html"))) == len(list(place.results.glob("*/scan.json"))) == 1
    done = place.play("scan", {"web1": LOCAL}, "--tags", "reprot")
    assert done.returncode != 0
    assert "--tags reprot: this playbook has the tags scan and report" in done.stdout


def test_preparing_comes_with_the_tag_of_the_scan(place, system_python):
    done = place.play("scan", {"web1": LOCAL}, "--tags", "scan", ksysak_prepare="true", **QUICK)
    assert done.returncode == 0, done.stdout
    assert "Look for bcc" in done.stdout


@pytest.mark.parametrize(("least", "code"), [("50%", 0), ("51%", 2)])
def test_hosts_that_must_be_scanned(place, least, code):
    done = place.play("scan", {"web1": LOCAL, "gone": {"ansible_host": "127.0.0.1", "ansible_port": 1}}, ksysak_min_hosts=least, **QUICK)
    assert done.returncode == code, done.stdout
    assert list(place.results.glob("*/report.html"))
    assert ("1 of 2 hosts could be scanned" in done.stdout) is (code != 0)


@contextlib.contextmanager
def mounted(folder, options):
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def elsewhere(tmp_path):
    """The controller's own files are not in the home folder of the host that is the same machine."""
    return {"ANSIBLE_HOME": tmp_path / "controller", "ANSIBLE_LOCAL_TEMP": tmp_path / "controller" / "tmp"}


def _of_ansible(*roots):
    return [path for root in roots for pattern in (".ansible*", "ansible*") for path in Path(root).glob(pattern)]


@pytest.mark.parametrize("trouble", ["read-only", "full", "read-only async folder"])
def test_a_host_whose_disk_cannot_be_written_is_scanned_from_memory(place, elsewhere, trouble):
    """A read-only or full disk is just the host that a diagnosis is for."""
    is_async = trouble == "read-only async folder"
    folder = place.home / "disk" if is_async else place.home
    folder.mkdir(exist_ok=True)
    with mounted(folder, "size=64k" if trouble == "full" else "ro"):
        if trouble == "full":
            with contextlib.suppress(OSError), (folder / "ballast").open("wb", buffering=0) as file:
                while True:
                    file.write(b"x" * 4096)
        more = {"ksysak_async_dir": f"{folder}/a/jobs"} if is_async else {}
        done = place.ansible.playbook(*place.command("scan", {"web1": LOCAL}, **QUICK, **more), **{**place.own, **elsewhere})
    assert done.returncode == 0, done.stdout
    host = place.documents()[1]["web1"]
    assert (host["state"], host["reason"]) == ("scanned", ""), done.stdout
    assert "web1: scanned from /dev/shm, because " in done.stdout
    # Ansible's own wrapper of the job looks every 5 s whether that has ended, and then removes its folder.
    wait_for(lambda: not _of_ansible("/dev/shm", "/run"))


def test_a_colleagues_scan_is_waited_for(place, tmp_path, ansible, repo):
    first = place.start("scan", {"web1": LOCAL}, ksysak_duration=8, **QUICK)
    wait_for(place.scan_runs)
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other", ansible, repo)
    done = other.play("scan", {"web1": LOCAL}, **QUICK)
    assert first.wait() == 0
    assert done.returncode == 0, done.stdout
    assert other.documents()[1]["web1"]["state"] == place.documents()[1]["web1"]["state"] == "scanned"
    place.assert_nothing_left()
    other.assert_nothing_left()


def assert_ended_early(place, first):
    """Stop the scan 'long' elsewhere: the playbook that waits for it goes on, and what was measured so far is what it reports."""
    place.play("stop", {"web1": LOCAL}, ksysak_scan_id="long")
    output = first.communicate()[0]
    assert first.returncode == 0, output
    host = place.documents()[1]["web1"]
    assert host["state"] == "scanned" and "stopped on request" in host["probes"]["host_health"]["reason"]
    place.assert_nothing_left()


def test_a_colleagues_scan_that_lasts_longer_is_named(place, tmp_path, ansible, repo):
    first = place.start("scan", {"web1": LOCAL}, ksysak_duration=600, ksysak_scan_id="long", **QUICK)
    wait_for(place.scan_runs)
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other", ansible, repo)
    done = other.play("scan", {"web1": LOCAL}, ksysak_wait=1, **QUICK)
    assert done.returncode != 0
    reason = other.documents()[1]["web1"]["reason"]
    assert "another scan is running on this host and did not end within 1 s" in reason
    assert_ended_early(place, first)
    other.assert_nothing_left()


def test_a_scan_that_waits_can_be_stopped(place, tmp_path, ansible, repo):
    first = place.start("scan", {"web1": LOCAL}, ksysak_duration=600, ksysak_scan_id="long", **QUICK)
    wait_for(place.scan_runs)
    (tmp_path / "other").mkdir()
    other = Place(tmp_path / "other", ansible, repo)
    second = other.start("scan", {"web1": LOCAL}, ksysak_scan_id="waits", **QUICK)
    wait_for(other.scan_runs)
    stopped = other.play("stop", {"web1": LOCAL}, ksysak_scan_id="waits")
    assert first.poll() is None, stopped.stdout  # a colleague's scan is not ended
    second.communicate()
    assert_ended_early(place, first)
    assert other.documents()[1]["web1"]["state"] == "failed", stopped.stdout
    assert "ended while it waited" in other.documents()[1]["web1"]["reason"]
    other.assert_nothing_left()


def preflight(place, *hosts, environment=None, **variables):
    more = {"ANSIBLE_CALLBACKS_ENABLED": "ksysak.fleet.exit_code", **(environment or {})}
    names = {name: LOCAL if name.startswith("web") else {"ansible_host": "127.0.0.1", "ansible_port": 1} for name in hosts}
    return place.ansible.playbook(*place.command("preflight", names, **{**QUICK, **variables}), **place.own, **more)


def test_preflight_tells_gaps_and_mistakes_apart(place):
    done = preflight(place, "web1", "gone")
    assert done.returncode in (2, 3), done.stdout  # 2: this machine has a finding
    assert done.returncode == json.loads(next(place.results.glob("*/fleet.json")).read_text())["verdict"]["level"].count("incomplete") + 2
    assert {"report.html", "fleet.json", "junit.xml", "findings.sarif", "codequality.json"} <= {
        path.name for path in place.results.glob("*/*")
    }
    done = preflight(place, "web1", ksysak_duration="long")
    assert done.returncode == 4, done.stdout
    done = preflight(place, "web1", ksysak_fail_on="never")
    assert done.returncode == 0, done.stdout


def test_preflight_judges_only_what_the_change_brought(place):
    done = preflight(place, "web1", ksysak_change_command="true", ksysak_scan_id="build", ksysak_fail_on="warning")
    assert done.returncode == 0, done.stdout
    assert "New or worse since the baseline: 0 findings" in done.stdout
    assert {path.name for path in place.results.iterdir()} == {"build", "build-before"}
    place.assert_nothing_left()
