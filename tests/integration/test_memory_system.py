# SPDX-License-Identifier: GPL-3.0-or-later
"""memory: what no process holds by a descriptor, or holds for others; the picture of memory; levels. See memory_on_host.py."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("root")

# case: (kind, whether its process is named, things in the row for each one made, bytes of each at least and at most)
WANTED = {
    "cgroups": ("cgroup", True, 1, 8192, 10**6), "mounts": ("mount", True, 1, 256, 1024),
    "network_namespaces": ("network_namespace", True, 1, 50000, 10**6), "devices": ("network_device", True, 1, 4096, 10**5),
    "routes": ("route", True, 1, 64, 512), "spool": ("tmpfs", False, 1, 120000, 131072), "bpf_maps": ("bpf_map", True, 1, 65536, 70000),
    "huge_pool": ("huge_page_pool", True, 1, 2**21, 2**21),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(root, repo):
    """Run a case of memory_on_host.py here and return its JSON."""

    def run(case):
        script = repo / "tests/integration/memory_on_host.py"
        env = {**os.environ, "PYTHONPATH": str(repo / ".cache/import")}
        done = subprocess.run([sys.executable, script, case], capture_output=True, env=env, start_new_session=True, check=False)
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="module")
def system(run):
    """What children made of all kinds, and rows of the probe's sources."""
    return run("system")


def of(found, kind, child):
    """The rows of growth of a kind that name a child, or a folder of it."""
    own = [row for row in found["growth"] if row["kind"] == kind and row["owner"]["pid"] == child["pid"]]
    # Before Linux 6.7 the kernel does not report who makes cgroups: the cgroup names itself.
    return own or [row for row in found["growth"] if row["kind"] == kind == "cgroup" and row["owner"]["cgroup"] == f"/made-{child['pid']}"]


@pytest.mark.parametrize("case", WANTED)
def test_kind_owner_number_and_bytes_are_right(system, case):
    kind, named, each, least, most = WANTED[case]
    child = system["made"][case]
    mounts = [row for row in system["growth"] if row["kind"] == kind and row["owner"]["type"] == "mount"]
    rows = of(system, kind, child) if named else mounts
    assert len(rows) == 1, system["growth"]
    (row,) = rows
    assert row["count_delta"] == 2 * child["step"] * each  # two of the four steps are between the first census and the last
    if named:
        assert row["owner"]["name"] in (child["name"], row["owner"]["cgroup"])
    assert least <= row["bytes"] / row["count"] <= most


def test_a_file_that_is_open_in_a_tmpfs_is_its_programs(system):
    child = system["made"]["open_spool"]
    (row,) = of(system, "tmpfs", child)
    assert row["bytes"] == 4 * child["step"] * 131072 and row["detail"]["file"].endswith("/log") and row["bytes_per_s"] > 0


def test_removed_cgroups_that_live_on_grow(system):
    rows = [row for row in system["growth"] if row["kind"] == "dying_cgroup"]
    child = system["made"]["removed_cgroups"]
    # cgroup v1 counts them for the whole host, where others may end meanwhile.
    assert sum(row["count_delta"] for row in rows) >= 0.8 * child["step"]
    assert any(f"/made-{child['pid']}" in (row["owner"]["cgroup"] or "") or row["owner"]["pid"] == child["pid"] for row in rows), rows


def test_nothing_is_said_to_be_missing(system):
    assert system["missing"] == []


def test_who_writes_and_who_makes_files_is_named(run):
    busy = run("busy")
    rows = busy["cases"].items()
    named = {case: owner["pid"] == pid and folder_is_right is not False for case, (owner, pid, folder_is_right) in rows if owner}
    # Before Linux 5.13 the kernel reports no names of files in tmpfs.
    assert named == ({"spool": True, "names": True} if busy["tmpfs_has_handles"] else {"spool": True}), busy


def test_maps_that_do_not_grow_are_named_with_their_holder(run):
    found = run("bpf_level")
    rows = [row for row in found["found"]["data"]["holders"] if row["kind"] == "bpf_map"]
    assert rows[0]["owner"]["pid"] == found["pid"] and rows[0]["bytes"] >= found["bytes"] > 0
    assert not [row for row in found["found"]["data"]["growth"] if row["kind"] == "bpf_map"]


def test_the_picture_adds_up(run):
    found = run("picture")
    assert found["status"] in ("ok", "degraded")
    check_picture(found["data"]["picture"])


def check_picture(picture):
    """The parts and what is unaccounted are all memory, and less than 1 % is unaccounted or counted twice."""
    assert sum(row["bytes"] for row in picture["parts"]) + picture["unaccounted_bytes"] == picture["total_bytes"]
    assert abs(picture["unaccounted_bytes"]) < 0.01 * picture["total_bytes"], picture
    assert {"free", "anonymous", "page_cache", "slab_unreclaimable", "kernel_stacks"} <= {row["part"] for row in picture["parts"]}
