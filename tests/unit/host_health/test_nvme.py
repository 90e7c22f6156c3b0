# SPDX-License-Identifier: GPL-3.0-or-later
"""The health log of NVMe drives (NVM Express Base Specification, log page 02h)."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._host_health import nvme


def log(warning=0, spare=100, used=3, unsafe=0, media=0):
    page = bytearray(512)
    page[0], page[1:3], page[3], page[4], page[5] = warning, (310).to_bytes(2, "little"), spare, 10, used
    page[144:160], page[160:176] = unsafe.to_bytes(16, "little"), media.to_bytes(16, "little")
    return bytes(page)


def test_each_field_is_read_from_its_place():
    assert nvme.parse(log(warning=0b001101, spare=9, used=104, unsafe=7, media=2**40)) == {
        "warnings": ["spare", "reliability", "read_only"],
        "media_errors": 2**40,
        "used_percent": 104,
        "spare_percent": 9,
        "unsafe_shutdowns": 7,
    }


def test_a_drive_that_lies_cannot_make_a_number_too_large():
    assert nvme.parse(b"\xff" * 512)["media_errors"] == 2**63 - 1
    assert nvme.parse(b"\xff" * 512)["warnings"] == list(nvme.WARNINGS)


@pytest.mark.parametrize("state", ["live", "resetting", "dead"])
def test_only_drives_at_work_are_asked(tmp_path, monkeypatch, state):
    asked = []
    (tmp_path / "class/nvme0").mkdir(parents=True)
    (tmp_path / "class/nvme0/state").write_text(state + "\n")
    monkeypatch.setattr(nvme, "read", lambda path: asked.append(path) or log())
    assert [drive["device"] for drive in nvme.drives(tmp_path / "class", "/dev")] == ["nvme0"] * (state == "live")
    assert asked == ["/dev/nvme0"] * (state == "live")


def test_the_worst_comes_first(tmp_path, monkeypatch):
    pages = [log(), log(used=90), log(warning=4), log(media=1)]
    for number in range(len(pages)):
        (tmp_path / f"nvme{number}").mkdir()
        (tmp_path / f"nvme{number}/state").write_text("live")
    monkeypatch.setattr(nvme, "read", lambda path: pages[int(path[-1])])
    assert [drive["device"] for drive in nvme.drives(tmp_path, "/dev")] == ["nvme3", "nvme2", "nvme1", "nvme0"]


def test_what_cannot_be_asked_is_left_out(tmp_path):
    for name in ("nvme0", "nvme1", "nvme-fabrics", "..x"):
        (tmp_path / "class" / name).mkdir(parents=True)
        (tmp_path / "class" / name / "state").write_text("live")
    (tmp_path / "nvme0").write_text("no device")  # refuses the command
    assert nvme.drives(tmp_path / "class", tmp_path) == []
    assert nvme.drives(tmp_path / "nothing", tmp_path) == []
