# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts of a host that findings are compared by."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import host

LINES = {
    "acme_nic": "acme_nic 16384 2 acme_ib,acme_core, Live 0xffffffffc0a00000 (OE)",
    "acme_core": "acme_core 16384 0 - Live 0x0000000000000000 (POE)",
    "bare": "bare 16384 0 - Live 0x0000000000000000 (O)",
    "signed": "signed 16384 0 - Live 0x0000000000000000 (E)",
    "staged": "staged 16384 0 - Live 0x0000000000000000 (C)",
    "ext4": "ext4 999424 1 - Live 0xffffffffc0b00000",
    "going": "going 16384 0 - Unloading 0x0000000000000000 (OE-)",
}


@pytest.fixture
def machine(monkeypatch):
    files = {}
    monkeypatch.setattr(host, "read_text", lambda path: files.get(path, ""))
    return files


def test_versions_are_those_of_modules_from_outside_of_the_tree(machine):
    machine["/proc/modules"] = "".join(f"{line}\n" for line in LINES.values())
    for name in LINES:
        machine[f"/sys/module/{name}/srcversion"] = f"SRC{name}\n"
    machine["/sys/module/acme_nic/version"] = "5.2.1\n"
    del machine["/sys/module/acme_core/srcversion"], machine["/sys/module/bare/srcversion"]
    machine["/sys/module/acme_core/version"] = "V" * 300
    found = host.system()
    assert found["modules"] == sorted(LINES)
    assert found["module_versions"] == {
        "acme_nic": "5.2.1 (srcversion SRCacme_nic)", "acme_core": "V" * 64, "going": "srcversion SRCgoing",
    }  # fmt: skip


@pytest.mark.parametrize("text", ["", "\n", "x\n", "( O\n", "(O)\n", "a b c d e (" + "\n"])
def test_a_list_of_modules_that_is_none(machine, text):
    machine["/proc/modules"] = text
    assert host.system()["module_versions"] == {}


def test_versions_are_few(machine):
    machine["/proc/modules"] = "".join(f"m{n:03d} 1 0 - Live 0x0 (O)\n" for n in range(200))
    machine.update({f"/sys/module/m{n:03d}/version": "1" for n in range(200)})
    assert sorted(host.system()["module_versions"]) == [f"m{n:03d}" for n in range(32)]
