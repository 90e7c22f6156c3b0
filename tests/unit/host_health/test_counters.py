# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters, settings and boots of a host that is made of files."""

import json
import time

import fastjsonschema
import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import sysfs
from ansible_collections.ksysak.fleet.plugins.module_utils._host_health import boots, probe, settings


@pytest.fixture
def valid(repo):
    return fastjsonschema.compile(json.loads((repo / "plugins/plugin_utils/schema/host_health-1.json").read_text()))


@pytest.fixture
def host(tmp_path, monkeypatch, valid):
    """A host's root folder without a journal: make files in it, then collect."""
    monkeypatch.setattr(boots, "program", lambda name: None)

    class Host:
        @staticmethod
        def file(path, text):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

        @staticmethod
        def kernels(running, *installed):
            monkeypatch.setattr(settings.os, "uname", lambda: ("Linux", "host", running, "#1", "x86_64"))
            for release in installed:
                Host.file("boot/vmlinuz-" + release, "")
                (tmp_path / "lib/modules" / release).mkdir(parents=True)

        @staticmethod
        def collect():
            found = probe.collect(86400, str(tmp_path))
            valid(found)
            return found

    return Host


def test_a_host_without_any_of_it(host):
    found = host.collect()
    assert found["kernel"]["newest_installed"] is found["kernel"]["reboot_pending"] is found["unclean_boots"] is None
    assert found["kdump"] == {"loaded": None, "reserved_bytes": None} and found["panic_settings"] == {}
    assert [found[name] for name in ("ecc", "disks", "file_systems", "arrays", "pcie")] == [[]] * 5


def test_settings(host):
    host.file("proc/sys/kernel/panic_on_oops", "1\n")
    host.file("proc/sys/kernel/hung_task_timeout_secs", "120\n")
    host.file("proc/sys/vm/panic_on_oom", "2\n")
    host.file("sys/kernel/kexec_crash_loaded", "1\n")
    host.file("sys/kernel/kexec_crash_size", "268435456\n")
    host.file("sys/kernel/oops_count", "3\n")
    found = host.collect()
    assert found["panic_settings"] == {"panic_on_oops": 1, "hung_task_timeout_secs": 120, "panic_on_oom": 2}
    assert found["kdump"] == {"loaded": True, "reserved_bytes": 268435456}
    assert (found["kernel"]["oops_count"], found["kernel"]["warn_count"]) == (3, None)


@pytest.mark.parametrize("running,installed,newest,pending", [
    ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-28-amd64"], "6.1.0-28-amd64", "newer_kernel"),
    ("6.1.0-28-amd64", ["6.1.0-9-amd64", "6.1.0-28-amd64"], "6.1.0-28-amd64", None),
    ("6.1.0-28-amd64", ["6.12.0-1-cloud-amd64", "6.1.0-28-amd64"], "6.1.0-28-amd64", None),
    ("5.14.0-427.el9.x86_64", ["5.14.0-427.el9.x86_64", "5.14.0-503.11.1.el9_5.x86_64"], "5.14.0-503.11.1.el9_5.x86_64", "newer_kernel"),
    ("6.18.0", ["6.18.0-rc1"], "6.18.0-rc1", None),
    ("6.18.0-rc2", ["6.18.0-rc10"], "6.18.0-rc10", "newer_kernel"),
    ("6.18.0-custom", ["6.1.0-28-amd64"], None, None),
])
def test_a_newer_kernel_waits_for_a_reboot(host, running, installed, newest, pending):
    host.kernels(running, *installed)
    assert (host.collect()["kernel"]["newest_installed"], host.collect()["kernel"]["reboot_pending"]) == (newest, pending)


def test_a_kernel_without_modules_is_not_installed(host):
    host.kernels("6.1.0-9-amd64")
    host.file("boot/vmlinuz-6.1.0-28-amd64", "")
    assert host.collect()["kernel"]["newest_installed"] is None


def test_a_package_may_ask_for_a_reboot(host):
    host.file("run/reboot-required", "")
    assert host.collect()["kernel"]["reboot_pending"] == "asked_for"


def test_counters(host):
    for path, text in {
        "sys/devices/system/edac/mc/mc0/ce_count": "5", "sys/devices/system/edac/mc/mc0/ue_count": "1",
        "sys/devices/system/edac/mc/mc0/dimm0/dimm_ce_count": "5", "sys/devices/system/edac/mc/mc0/dimm0/dimm_label": "DIMM_A1",
        "sys/devices/system/edac/mc/mc0/dimm1/dimm_ce_count": "0", "sys/devices/system/edac/mc/mc0/dimm1/dimm_label": "DIMM_A2",
        "sys/block/sda/device/ioerr_cnt": "0x1f", "sys/block/sda/device/iorequest_cnt": "0xff", "sys/block/sdb/device/ioerr_cnt": "0x0",
        "sys/block/md0/md/degraded": "1", "sys/block/md0/md/mismatch_cnt": "0",
        "sys/fs/ext4/sda1/errors_count": "2", "sys/fs/ext4/sda1/last_error_time": "1795404000", "sys/fs/ext4/sdb1/errors_count": "0",
        "sys/fs/btrfs/u-1/devinfo/1/error_stats": "write_errs 0\nread_errs 4\nflush_errs 0\ncorruption_errs 1\ngeneration_errs 0",
        "sys/bus/pci/devices/0000:01:00.0/aer_dev_correctable": "RxErr 3\nTOTAL_ERR_COR 3",
        "sys/bus/pci/devices/0000:02:00.0/aer_dev_fatal": "TOTAL_ERR_FATAL 0",
    }.items():
        host.file(path, text + "\n")
    found = host.collect()
    assert found["ecc"] == [{"controller": "mc0", "corrected": 5, "uncorrected": 1, "dimms": [
        {"dimm": "DIMM_A1", "corrected": 5, "uncorrected": 0}]}]
    assert found["disks"] == [{"device": "sda", "errors": 31, "timeouts": 0, "requests": 255}]
    assert found["arrays"] == [{"array": "md0", "missing_members": 1, "mismatched_sectors": 0}]
    assert found["file_systems"] == [
        {"file_system": "ext4", "device": "sda1", "errors": 2, "last_at": "2026-11-23T03:20:00Z"},
        {"file_system": "btrfs", "device": "u-1 device 1", "errors": 5, "last_at": None}]
    assert found["pcie"] == [{"device": "0000:01:00.0", "corrected": 3, "non_fatal": 0, "fatal": 0}]


JOURNAL = """#!/bin/sh
case "$*" in
*--list-boots*)
    echo '-3 33333333333333333333333333333333 Mon 2026-11-16 08:00:00 UTC Mon 2026-11-16 09:00:00 UTC'
    echo '-2 22222222222222222222222222222222 Mon 2026-11-16 09:00:00 UTC Mon 2026-11-16 10:00:00 UTC'
    echo '-1 11111111111111111111111111111111 Mon 2026-11-16 10:00:00 UTC Mon 2026-11-16 11:00:00 UTC'
    echo ' 0 00000000000000000000000000000000 Mon 2026-11-16 11:00:00 UTC Mon 2026-11-16 12:00:00 UTC';;
*333*) echo '%(old)d.5 host cron[7]: in the middle of work';;
*222*)
    echo '%(now)d.1 host systemd[1]: Reached target reboot.target - System Reboot.'
    echo '%(now)d.5 host systemd-journald[9]: Journal stopped';;
*111*) echo '%(now)d.5 host cron[7]: in the middle of work';;
esac
"""


def test_boots_that_ended_in_the_middle_of_work(host, tmp_path, monkeypatch):
    now = int(time.time()) - 3600
    program = tmp_path / "journalctl"
    program.write_text(JOURNAL % {"now": now, "old": now - 2 * 86400})
    program.chmod(0o755)
    monkeypatch.setattr(boots, "program", lambda name: str(program))
    assert host.collect()["unclean_boots"] == [
        {"boot_id": "1" * 32, "ended_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))}]


@pytest.mark.parametrize("script", ["exit 1", "exec sleep 1000"])
def test_a_journal_that_fails_or_hangs_is_not_waited_for(host, tmp_path, monkeypatch, script):
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\n%s\n" % script)
    program.chmod(0o755)
    monkeypatch.setattr(boots, "program", lambda name: str(program))
    monkeypatch.setattr(boots, "JOURNAL_S", 0.2)
    assert host.collect()["unclean_boots"] is None


@pytest.mark.parametrize("value,flags", [("0\n", []), ("4097\n", ["P", "O"]), ("512\n", ["W"]), ("128", ["D"]), ("16384", ["L"])])
def test_taint(host, value, flags):
    assert host.collect()["taint"] is None
    host.file("proc/sys/kernel/tainted", value)
    assert host.collect()["taint"] == {"value": int(value), "flags": flags}


def test_files_that_fail_when_they_are_read_are_no_counters(host, monkeypatch):
    def fails(_fd, _size):
        raise OSError(5, "I/O error")

    host.file("sys/kernel/oops_count", "3")
    host.file("sys/kernel/warn_count", "many")
    assert (host.collect()["kernel"]["oops_count"], host.collect()["kernel"]["warn_count"]) == (3, None)
    monkeypatch.setattr(sysfs.os, "read", fails)
    assert host.collect()["kernel"]["oops_count"] is None
