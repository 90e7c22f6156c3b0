# SPDX-License-Identifier: GPL-3.0-or-later
"""Sources of what no process holds by itself, on hosts that are made of files: cgroups of all versions, mounts, networks, limits."""

import os
import shutil
import struct

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._memory import (
    bpf_objects,
    cgroups,
    creators,
    host,
    limits,
    mounts,
    networks,
    tmpfs,
)

V2 = "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
V1 = "31 1 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n32 1 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
HYBRID = V1 + "33 1 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"


@pytest.fixture
def root(tmp_path):
    """A host: write files, then host()."""

    class Root:
        path = tmp_path

        @staticmethod
        def file(path, text):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

        @staticmethod
        def host():
            return host.Host(str(tmp_path))

        @staticmethod
        def group(path, **files):
            """A folder of a cgroup, with files whose dots are written as two underscores."""
            (tmp_path / path).mkdir(parents=True, exist_ok=True)
            for name, text in files.items():
                Root.file(f"{path}/{name.replace('__', '.')}", text)

        @staticmethod
        def process(pid, comm, parent=1, started=100, threads=1, **links):
            """A process of another group than this one; links: number of a namespace by name."""
            fields = ["S", parent, 10**8, 1, 0, -1, 0, 0, 0, 0, 0, 5, 5, 0, 0, 20, 0, threads, 0, started]
            Root.file(f"proc/{pid}/stat", f"{pid} ({comm}) " + " ".join(map(str, fields)) + "\n")
            status = f"Name:\t{comm}\nState:\tS (sleeping)\nPPid:\t{parent}\nUid:\t0\t0\t0\t0\nFDSize:\t64\nThreads:\t{threads}\n"
            Root.file(f"proc/{pid}/status", status)
            (tmp_path / f"proc/{pid}/ns").mkdir()
            (tmp_path / f"proc/{pid}/fd").mkdir()
            for name, number in links.items():
                (tmp_path / f"proc/{pid}/ns/{name}").symlink_to(f"{name}:[{number}]")

    Root.file("proc/self/mountinfo", "")
    return Root


def tree(source_class, root, classes):
    source = source_class(root.host())
    return source, source.read(), source.census(set(classes))


def test_cgroups_of_v2_are_counted_by_subtree_with_removed_ones(root):
    root.file("proc/self/mountinfo", V2)
    base = "sys/fs/cgroup"
    root.group(base, cgroup__controllers="memory pids\n", cgroup__stat="nr_descendants 7\nnr_dying_descendants 60\n")
    root.group(base + "/system.slice", cgroup__stat="nr_descendants 3\nnr_dying_descendants 59\n")
    job = base + "/system.slice/job.service"
    root.group(job, cgroup__stat="nr_descendants 2\nnr_dying_descendants 59\n", cgroup__procs="", memory__stat="file 4096\nshmem 900000\n")
    for number in range(2):
        stat = "nr_descendants 0\nnr_dying_descendants 0\n"
        root.group(f"{job}/r{number}", cgroup__stat=stat, memory__stat="file 0\nshmem 100000\n")
    root.group(base + "/user.slice", cgroup__stat="nr_descendants 0\nnr_dying_descendants 1\n")
    _source, totals, held = tree(cgroups.CgroupSource, root, ["dying_cgroup"])
    assert (totals["cgroup"][0], totals["dying_cgroup"][0]) == (7, 60)
    dying = held["dying_cgroup", "/system.slice/job.service"]
    assert dying.count == 59 and dying.owner["unit"] == "job.service" and dying.detail == {"pinned_shmem_bytes": 700000}
    assert held["cgroup", "/system.slice/job.service"].count == 2


def test_removed_cgroups_of_v1_are_those_without_a_folder(root):
    root.file("proc/self/mountinfo", V1)
    root.file("proc/cgroups", "#subsys_name hierarchy num_cgroups enabled\nmemory 4 50 1\npids 8 5 1\nhugetlb 0 1 1\n")
    top = "sys/fs/cgroup/memory"
    root.group(top, memory__usage_in_bytes="900000", memory__stat="cache 0\nrss 0\n")
    root.group(top + "/docker", memory__usage_in_bytes="800000", memory__stat="cache 0\nrss 0\n")
    for name in ("a", "b"):
        root.group(f"{top}/docker/{name}", memory__usage_in_bytes="100000", memory__stat="cache 90000\nrss 0\n")
    _source, totals, held = tree(cgroups.CgroupSource, root, ["cgroup"])
    assert totals["cgroup"][0] == 50
    dying = held["dying_cgroup", "/docker"]
    assert dying.count == 50 - 3 - 1 and dying.detail["charged_without_owner_bytes"] == 600000


def test_removed_cgroups_of_v1_without_a_trace_are_nobodys(root):
    root.file("proc/self/mountinfo", V1)
    root.file("proc/cgroups", "memory 4 50 1\n")
    root.group("sys/fs/cgroup/memory/a")
    _source, _totals, held = tree(cgroups.CgroupSource, root, ["cgroup"])
    assert held["dying_cgroup", "kernel"].owner["type"] == "kernel" and held["dying_cgroup", "kernel"].count == 48


def test_hybrid_hosts_count_the_hierarchy_that_has_memory(root):
    root.file("proc/self/mountinfo", HYBRID)
    root.file("proc/cgroups", "memory 4 3 1\n")
    root.group("sys/fs/cgroup/unified", cgroup__controllers="", cgroup__stat="nr_descendants 999\nnr_dying_descendants 0\n")
    root.group("sys/fs/cgroup/memory/one/two")
    _source, totals, held = tree(cgroups.CgroupSource, root, ["cgroup"])
    assert totals["cgroup"][0] == 3 and held["cgroup", "/one"].count == 1


def test_a_host_without_cgroups_says_so(root):
    source, totals, held = tree(cgroups.CgroupSource, root, ["cgroup"])
    assert not totals and not held and source.not_measured


def test_many_cgroups_are_counted_within_bounds(root, monkeypatch):
    root.file("proc/self/mountinfo", V2)
    root.group("sys/fs/cgroup", cgroup__controllers="memory", cgroup__stat="nr_descendants 420\nnr_dying_descendants 0\n")
    for number in range(400):
        root.group(f"sys/fs/cgroup/batch.slice/j{number}", cgroup__stat="nr_descendants 0\nnr_dying_descendants 0\n")
    for number in range(20):
        root.group(f"sys/fs/cgroup/other/k{number}/deep", cgroup__stat="nr_descendants 0\nnr_dying_descendants 0\n")
    monkeypatch.setattr(cgroups, "_NAMES", 100)
    source, _totals, held = tree(cgroups.CgroupSource, root, ["cgroup"])
    assert held["cgroup", "/batch.slice"].count == 400  # known by the links of its folder, although not all are listed
    assert source.not_measured


def mountinfo(points, kind="ext4", device="254:0"):
    return "".join(f"{number} 1 {device} / {point} rw - {kind} src rw\n" for number, point in enumerate(points, 40))


def test_mounts_are_named_by_folder_or_by_who_lives_in_the_namespace(root):
    root.process(1, "init", mnt=1)
    root.process(50, "runtime", mnt=2)
    root.process(51, "worker", started=200, mnt=2)
    root.file("proc/1/mountinfo", mountinfo([f"/var/lib/pods/p{number}/v" for number in range(40)] + ["/", "/boot"]))
    root.file("proc/50/mountinfo", mountinfo(["/data"] * 60))
    held = mounts.MountSource(root.host()).census({"mount"})
    assert (held["mount", 1].owner["name"], held["mount", 1].count) == ("/var/lib/pods", 42)
    assert held["mount", 2].owner["name"] == "runtime" and held["mount", 2].detail["processes"] == 2


def test_mount_points_behind_remote_file_systems_are_not_visited():
    table = {"/": ("ext4", "254:0"), "/net": ("autofs", "0:40"), "/net/a": ("tmpfs", "0:41"), "/run": ("tmpfs", "0:42")}
    table["/mnt"] = ("fuse.sshfs", "0:9")
    assert tmpfs.safe("/run/user", table) and not tmpfs.safe("/net/a", table) and not tmpfs.safe("/mnt/x", table)


def test_routes_of_one_tree_are_counted_once():
    block = "\tAver depth:     2.0\n\tMax depth:      3\n\tLeaves:         4\n\tPrefixes:       %d\n\tInternal nodes: 2\n\t  1: 3\n\n"
    head = "Basic info: size of leaf: 48 bytes, size of tnode: 40 bytes.\n"
    assert networks.parse_routes(head + "Main:\n" + block % 900 + "Local:\n" + block % 900) == 900
    assert networks.parse_routes(head + "Main:\n" + block % 900 + "Local:\n" + block % 5 + "Id 100:\n" + block % 7) == 912
    assert networks.parse_routes("") == 0


@pytest.mark.parametrize("text", ["", "entries\n", "entries\nxyz 1\n"])
def test_tables_that_are_not_there_have_no_entries(text):
    assert networks.parse_stat(text) == 0 and networks.parse_routes6(text) == 0


def test_devices_routes_and_connections_are_the_namespaces_oldest_process(root):
    root.process(1, "init", net=1, mnt=1)
    root.process(70, "cni", net=2, mnt=1)
    root.process(71, "pause", started=300, net=2, mnt=1)
    root.file("proc/70/net/dev", "h\nh\n" + "".join(f" veth{number:x}: 0 0\n" for number in range(30)))
    root.file("proc/70/net/stat/nf_conntrack", "entries searched\n00000200 0\n")
    held = networks.NetworkSource(root.host()).census({"network_device"})
    assert held["network_device", 2].owner["name"] == "cni" and held["network_device", 2].detail["devices"] == "veth*"
    assert held["conntrack", 2].count == 512


def test_the_devices_of_a_namespace_are_followed_through_its_oldest_process(root):
    """The command ip, which makes a device there, has ended before the next reading."""
    root.process(1, "init", net=1)
    root.process(70, "cni", net=2)
    root.process(99, "ip", net=2)
    for pid in (70, 99):
        root.file(f"proc/{pid}/net/dev", "h\nh\n" + " veth: 0 0\n" * 10)
    source = networks.NetworkSource(root.host())
    assert source.read()["network_device"] == (10, None)
    shutil.rmtree(root.path / "proc/99")
    root.file("proc/70/net/dev", "h\nh\n" + " veth: 0 0\n" * 12)
    assert source.read()["network_device"] == (12, None)
    shutil.rmtree(root.path / "proc/70")
    root.process(98, "pause", net=2)
    root.file("proc/98/net/dev", "h\nh\n" + " veth: 0 0\n" * 14)
    assert source.read()["network_device"] == (14, None)


def event(handle, pid, name=b""):
    record = struct.pack("=BBH8sIi", 1, 0, 20 + len(handle), b"f" * 8, len(handle), 1) + handle
    return struct.pack("=IBBHQii", 24 + len(record) + len(name), 3, 0, 24, 0x100, -1, pid) + record + name


def test_events_of_fanotify_are_read_whole_and_cut():
    data = event(b"dir-one1", 7) + event(b"dir-two2", 8, b"\0" * 8)
    assert [pid for _handle, pid in creators.events(data)] == [7, 8]
    assert [handle[8:] for handle, _pid in creators.events(data)] == [b"dir-one1", b"dir-two2"]
    assert list(creators.events(data[:30])) == [] and list(creators.events(b"\0" * 64)) == []


def test_a_limit_that_is_approached_in_both_halves_has_a_time():
    use = limits.Use(90, 100, "files", None)
    assert limits.row("x", use, [(0.0, 70), (10.0, 80), (20.0, 90)])["exhausted_in_s"] == 10.0
    for points in ([(0.0, 70), (10.0, 90), (20.0, 90)], [(0.0, 70), (10.0, 70), (20.0, 90)], [(0.0, 95), (20.0, 90)], [(0.0, 90)]):
        assert limits.row("x", use, points)["exhausted_in_s"] is None


def test_limits_of_a_host_made_of_files(root):
    root.process(1, "init", mnt=1, net=1)
    root.file("proc/meminfo", "MemTotal: 1000 kB\nSUnreclaim: 400 kB\nSwapTotal: 100 kB\nSwapFree: 10 kB\nVmallocTotal: 0 kB\n")
    root.file("proc/net/sockstat", "sockets: used 9\nTCP: inuse 1 orphan 2 tw 3 alloc 4 mem 80\nUDP: inuse 1 mem 7\n")
    root.file("proc/sys/net/ipv4/tcp_mem", "10 50 100\n")
    root.file("proc/sys/fs/file-nr", "900\t0\t1000\n")
    root.file("proc/loadavg", "0 0 0 1/250 99\n")
    root.file("proc/sys/kernel/pid_max", "1000\n")
    root.file("proc/key-users", "    0:     9 8/8 3/1000 40/2500\n 1000:   190 190/190 180/200 1900/20000\nbad\n")
    root.file("proc/self/mountinfo", V2)
    root.group("sys/fs/cgroup", cgroup__controllers="memory pids")
    app = {"memory__max": "1000000", "memory__current": "950000", "memory__stat": "inactive_file 150000\n"}
    root.group("sys/fs/cgroup/app.service", pids__max="max", pids__current="5", **app)
    watched = limits.Limits(root.host())
    watched.observe(dear=True)
    found = {(row["limit"], row["owner"] and row["owner"]["name"]): (row["used"], row["limit_value"]) for row in watched.rows()}
    page = os.sysconf("SC_PAGE_SIZE")
    assert found["net.ipv4.tcp_mem", None] == (80 * page, 100 * page)
    assert found["fs.file-max", None] == (900, 1000) and found["kernel.pid_max", None] == (250, 1000)
    assert found["kernel.keys.maxkeys", "1000"] == (180, 200)
    assert found["memory.max", "/app.service"] == (800000, 1000000)
    assert found["SUnreclaim of memory", None] == (400 * 1024, 1000 * 1024) and found["swap", None] == (90 * 1024, 100 * 1024)
    assert not any(limit == "pids.max" for limit, _owner in found)
    assert watched.rows()[0]["share"] == max(row["share"] for row in watched.rows())


def test_limits_of_a_host_that_shows_nothing_are_none(root):
    watched = limits.Limits(root.host())
    watched.observe(dear=True)
    assert all(row["limit_value"] for row in watched.rows())


def test_machine_code_is_rounded_to_what_the_kernel_charges():
    program = bpf_objects.Object(1, "x", 1, 100, 4096, ())
    assert bpf_objects.jit_bytes([program, program], (6, 1)) == 2 * 128
    assert bpf_objects.jit_bytes([program], (5, 10)) == 4096
    assert bpf_objects.jit_bytes([program._replace(size=0)], (6, 1)) == 0
