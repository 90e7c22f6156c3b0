# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes and owners of a host made of files: names of all kinds, processes that end, numbers that are used again, families."""

import os

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._memory import (
    descriptors,
    host as host_module,
    ipc,
    kernel_objects,
    probe,
    sock_diag,
)
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import Host
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.limits import Limits
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.processes import Processes


@pytest.fixture
def root(tmp_path):
    """A root folder; root.process(pid, name, …) makes one process in it, root.file(path, text) any file."""

    class Root:
        path = str(tmp_path)

        @staticmethod
        def file(path, text):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)

        @staticmethod
        def process(pid, name="app", parent=1, state="S", threads=1, started=100, cgroup="/system.slice/app.service", **fields):
            more = "".join(f"{field}:\t{value}\n" for field, value in fields.items())
            begin = f"Name:\t{name}\nState:\t{state} (x)\nPPid:\t{parent}\nUid:\t1000\t0\t0\t0\nFDSize:\t64\n"
            status = f"{begin}{more}Threads:\t{threads}\nSigQ:\t3/99\n"
            Root.file(f"proc/{pid}/status", status)
            Root.file(f"proc/{pid}/stat", f"{pid} ({name}) {state} {parent} " + "0 " * 17 + f"{started} 0\n")
            Root.file(f"proc/{pid}/cgroup", f"0::{cgroup}\n")
            (tmp_path / f"proc/{pid}/fd").mkdir(exist_ok=True)

        @staticmethod
        def ends(pid):
            for name in ("status", "stat", "cgroup"):
                (tmp_path / f"proc/{pid}/{name}").unlink()

    Root.file("proc/uptime", "10.00 9.00\n")
    return Root


def test_names_with_newlines_and_brackets_are_names(root):
    root.process(7, "a) b\\n(c")
    root.file("proc/7/comm", "a) b\n(c\n")
    (process,) = Host(root.path).processes()
    assert (process.state, process.parent, process.threads, process.started) == ("S", 1, 1, 100)
    owner = Host(root.path).owner_of(process)
    assert (owner["name"], owner["unit"], owner["uid"]) == ("a) b?(c", "app.service", 1000)


def test_a_process_that_ends_while_it_is_read_is_left_out_and_what_it_held_is_nothing(root):
    root.process(7)
    root.process(8)
    host = Host(root.path)
    gone = next(one for one in host.processes() if one.pid == 8)
    root.ends(8)
    os.rmdir(f"{root.path}/proc/8/fd")
    assert descriptors.sample(gone, 10, 0, 10) == {} and gone.started == 0
    assert host.owner_of(gone)["cgroup"] is None
    host.forget()
    assert [one.pid for one in host.processes()] == [7]


def test_a_number_that_is_used_again_is_another_owner(root):
    root.process(7, started=100)
    host = Host(root.path)
    host.begin()
    (first,) = host.processes()
    assert host.is_old(host.key_of(first))
    host.forget()
    (same,) = host.processes()
    assert host.key_of(same) == host.key_of(first)
    root.process(7, "other", started=10**6)
    host.forget()
    (second,) = host.processes()
    assert host.key_of(second) != host.key_of(first)
    assert not host.is_old(host.key_of(second))


def test_one_of_the_same_name_and_number_that_started_later_is_not_old(root):
    root.process(7, started=10**6)
    host = Host(root.path)
    host.begin()
    (process,) = host.processes()
    assert not host.is_old(host.key_of(process))
    assert host.is_old(("uid", 7)) and host.is_old(7) and host.is_old(("process", 7, 8))


def test_many_children_of_one_name_are_one_owner(root):
    root.process(5, "server")
    for pid in range(100, 120):
        root.process(pid, "worker", parent=5, threads=3, RssAnon="2048 kB", RssShmem="20480 kB")
    host = Host(root.path)
    held = Processes(host)
    held.read()
    found = {kind: holding for (kind, _key), holding in held.census({"memory"}).items()}
    assert found["anonymous_memory"].bytes == 20 * 2**21 and found["shared_memory"].bytes == 20 * 2**20
    assert found["thread"].count == 60
    owner = found["thread"].owner
    assert (owner["name"], owner["pid"], owner["parent"]) == ("worker", None, 5)


def test_zombies_are_their_parents_and_a_first_thread_that_ended_is_none(root):
    root.process(5, "careless")
    for pid in range(100, 110):
        root.process(pid, "child", parent=5, state="Z")
    root.process(200, "threaded", parent=5, state="Z", threads=4)
    held = Processes(Host(root.path))
    held.read()
    [(key, holding)] = list(held.census({"memory"}).items())
    assert (key[0], holding.owner["pid"], holding.count) == ("zombie", 5, 10)


def test_instances_are_looked_for_once_and_a_zombie_has_none(root):
    root.process(7)
    host = Host(root.path)
    (process,) = host.processes()
    for number, link in enumerate(("/dev/null", "anon_inode:inotify", "socket:[3]", "anon_inode:inotify")):
        os.symlink(link, f"{root.path}/proc/7/fd/{number}")
    process.descriptors = 4
    assert sorted(host.inotify.of(process)) == [1, 3]
    os.unlink(f"{root.path}/proc/7/fd/1")
    assert sorted(host.inotify.of(process)) == [1, 3]  # as many descriptors as then
    process.descriptors = 3
    assert sorted(host.inotify.of(process)) == []  # the numbers are those below the count
    process.fields["FDSize"], process.descriptors = "0", 0
    assert host.inotify.of(process) == []


def test_a_process_that_did_not_run_is_the_same_object_and_one_that_ran_is_not(monkeypatch):
    host = Host()
    monkeypatch.setattr(host_module, "cpu_s", lambda pid: 1.5)
    before = {one.pid: one for one in host.processes()}
    host.forget()
    again = {one.pid: one for one in host.processes()}
    assert all(again[pid] is before[pid] for pid in before.keys() & again.keys()) and before
    host.forget()
    host.fresh = True
    assert not any(one is before.get(one.pid) for one in host.processes())
    host.fresh = False
    monkeypatch.setattr(host_module, "cpu_s", lambda pid: 1.6)
    host.forget()
    third = {one.pid: one for one in host.processes()}
    assert not any(third[pid] is before[pid] for pid in before.keys() & third.keys())


@pytest.mark.parametrize("groups", ["", "4 " * 9000], ids=["few groups", "a status longer than one read"])
def test_fields_of_a_status_are_those_of_the_kernel_in_any_length(root, groups):
    text = open("/proc/self/status").read().replace("Groups:\t", f"Groups:\t{groups}")
    root.file("proc/7/status", text)
    process = Host(root.path).read_process(7)
    expected = {line.split(":")[0]: line.split()[1].split("/")[0] for line in text.splitlines() if len(line.split()) > 1}
    assert process.fields == {name: expected[name] for name in host_module.STATUS_FIELDS if name in expected}
    ended = "".join(line + "\n" for line in text.splitlines() if line.split(":")[0] not in host_module.MEMORY_FIELDS)
    kept = {name: value for name, value in process.fields.items() if name not in host_module.MEMORY_FIELDS}
    assert host_module.parse_status(ended) == kept
    swapped = "".join(reversed([line + "\n" for line in text.splitlines()]))
    assert host_module.parse_status(swapped) == process.fields


def test_threads_of_the_kernel_hold_nothing(root):
    root.process(2, "kthreadd", parent=0)
    root.process(9, "kworker/0:1", parent=2)
    assert Host(root.path).processes() == []


def test_a_host_that_hides_its_processes_says_so(root):
    root.file("proc/self/status", "Name:\tx\nCapEff:\t0000000000000000\n")
    os.makedirs(f"{root.path}/proc/self/ns")
    os.symlink("pid:[4026532999]", f"{root.path}/proc/self/ns/pid")
    assert [text.partition(" (")[0] for text in Host(root.path).missing()[:2]] == [
        "what processes of other users hold", "processes outside of this container",
    ]  # fmt: skip


def test_a_host_without_slab_counters_says_what_is_not_seen(root):
    (missing,) = Host(root.path).missing()
    assert "/proc/slabinfo" in missing and "cannot be read" in missing
    root.file("proc/slabinfo", "slabinfo - version: 2.1\n# name\nfilp 10 20 256 16 1 : tunables 0 0 0 : slabdata 2 2 0\n")
    assert Host(root.path).missing() == []


def test_a_host_without_meminfo_is_not_measured(monkeypatch):
    monkeypatch.setattr(probe.meminfo, "read", lambda root="/": {})
    with pytest.raises(Unavailable, match="/proc/meminfo cannot be read"):
        probe.ProcfsEngine({"top": 24}).open()


@pytest.mark.parametrize(
    ("text", "path", "name"),
    [
        ("0::/system.slice/docker-ab.scope\n", "/system.slice/docker-ab.scope", "docker-ab.scope"),
        ("0::/user.slice/user-1.slice/user@1.service/app.slice/x.service\n", "/user.slice/user-1.slice/user@1.service/app.slice/x.service",
         "x.service"),
        ("12:memory:/docker/ab\n1:name=systemd:/docker/ab\n0::/\n", "/docker/ab", None),
        ("4:cpu,cpuacct:/\n3:memory:/\n1:name=systemd:/system.slice/a.service\n", "/system.slice/a.service", "a.service"),
        ("0::/\n", "/", None),
        ("", None, None),
    ],
)  # fmt: skip
def test_cgroups_of_all_hierarchies(text, path, name):
    assert (cgroups.parse(text), cgroups.unit(path)) == (path, name)


def test_merged_caches_are_counted_under_the_name_that_the_kernel_kept(root):
    line = "%s %d 800 %d 10 1 : tunables 0 0 0 : slabdata 9 9 0\n"
    root.file("proc/slabinfo", "slabinfo - version: 2.1\n# name\n" + line % ("mnt_cache", 700, 384) + line % ("filp", 5, 192))
    os.makedirs(f"{root.path}/sys/kernel/slab/:A-384")
    for name in ("mnt_cache", "posix_timers_cache"):
        os.symlink(":A-384", f"{root.path}/sys/kernel/slab/{name}")
    root.file("sys/kernel/slab/:A-384/slab_size", "384\n")
    host = Host(root.path)
    assert (host.objects("posix_timers_cache"), host.objects("posix_timers_cache", "mnt_cache", "filp")) == (700, 705)
    assert host.objects("nonsense") is None and host.bytes_of(("nonsense",)) is None
    assert host.bytes_of(("posix_timers_cache", "nonsense")) == 384


@pytest.mark.parametrize(
    ("link", "kind"),
    [
        ("socket:[12]", "socket"), ("pipe:[3]", "pipe"), ("anon_inode:[eventfd]", "eventfd"), ("anon_inode:inotify", "inotify"),
        ("anon_inode:[eventpoll]", "epoll"), ("anon_inode:bpf-map", "bpf_map"), ("anon_inode:[pidfd]", "pidfd"), ("pidfd:[9]", "pidfd"),
        ("anon_inode:kvm-vcpu:0", "anon_inode"), ("net:[4026531840]", "network_namespace"), ("mnt:[1]", "namespace"),
        ("/memfd:a (deleted)", "memfd"), ("/dev/pts/4", "pty"), ("/dev/null", "device"), ("/etc/passwd", "file"), ("/a/socket:[1]", "file"),
    ],
)  # fmt: skip
def test_kinds_of_descriptors(link, kind):
    assert descriptors.kind_of(link) == kind


def test_text_files_of_sockets_give_what_netlink_gives():
    text = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000005 00:00000000 00000000     0        0 11 1 x 100 0 0 10 0
   1: 0100007F:1F90 0100007F:D431 08 00000000:00000001 00:00000000 00000000  1000        0 12 1 x
   2: 0100007F:D431 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 13 1 x
   3: 0100007F:D432 0100007F:1F90 01 00001000:00000000 00:00000000 00000000  1000        0 14 1 x
   4: broken
"""
    found = [(one.state, one.port, one.uid, one.inode, one.unread, one.unsent) for one in sock_diag.parse_inet(text, "tcp")]
    assert found == [(10, 8080, 0, 11, 0, 0), (8, 8080, 1000, 12, 1, 0), (1, 54322, 1000, 14, 0, 4096)]
    assert [one.inode for one in sock_diag.parse_inet(text, "tcp", 1 << 8)] == [12]


def test_without_a_handler_the_kernel_is_not_made_to_load_one(root):
    """A host whose handlers are modules that are not loaded: the text is read, and nothing is asked by netlink."""
    root.file("proc/modules", "ext4 1 2 - Live 0x0\n")
    root.file("proc/net/udp", "head\n 0: 00000000:14E9 00000000:0000 07 00000000:00000300 00:0 0 7 0 99 2 x 0\n")
    diag = sock_diag.Diag(root.path)
    assert [(one.port, one.uid, one.inode, one.unread) for one in diag.inet("udp")] == [(5353, 7, 99, 768)]
    with pytest.raises(sock_diag.Missing):
        diag.unix()
    assert diag.netlink() == [] and diag.packet() == []


def test_posix_queues_and_keys_of_users(root):
    for number in range(3):
        root.file(f"dev/mqueue/q{number}", "QSIZE:900        NOTIFY:0     SIGNO:0     NOTIFY_PID:0\n")
    queues = ipc.PosixQueues(Host(root.path))
    assert queues.read() == {"posix_queues": (3, 2700)}
    [(_key, holding)] = list(queues.census({"posix_queues"}).items())
    assert (holding.count, holding.bytes, holding.owner["type"], holding.detail) == (3, 2700, "uid", {"queue": "q0"})
    root.file("proc/key-users", "    0:    12 11/11 5/1000000 100/25000000\n 1000:   400 390/390 380/400 9000/20000\nbroken\n")
    keys = ipc.Keys(Host(root.path))
    assert keys.read() == {"keys": (401, 9100)}
    ((_key, holding),) = keys.census({"keys"}).items()
    assert (holding.count, holding.limit, holding.owner["uid"]) == (390, 400, 1000)


def test_of_timers_too_many_to_read_the_process_has_what_the_user_has_left(root):
    root.process(7, "many", SigQ="0/9")
    root.process(8, "few")
    root.file("proc/7/timers", "ID: 1\nsignal: 34/0000\nnotify: signal/pid.7\nClockID: 1\n" * 9000)
    root.file("proc/8/timers", "ID: 1\nsignal: 34/0000\nnotify: signal/pid.8\nClockID: 1\n" * 100)
    status = open(f"{root.path}/proc/8/status").read().replace("SigQ:\t3/99", "SigQ:\t20100/99999")
    root.file("proc/8/status", status)
    found = kernel_objects.TimersAndSignals(Host(root.path)).census({"timers"})
    assert {holding.owner["name"]: holding.count for holding in found.values()} == {"many": 20000, "few": 100}


def test_a_host_without_proc_has_nothing_and_no_error(tmp_path):
    from ansible_collections.ksysak.fleet.plugins.module_utils._memory.sources import SOURCES
    from ansible_collections.ksysak.fleet.plugins.module_utils._memory.watch import Watch

    watch = Watch(SOURCES[:10], Host(str(tmp_path)))
    watch.start(1)
    watch.stop()
    assert [(one.name, one.not_measured, one.last) for one in watch.watched if one.not_measured or one.last] == []


@pytest.mark.parametrize("number", [0, 150, 700])
def test_descriptors_are_counted_where_the_kernel_does_not_report_their_number(monkeypatch, number):
    """Before Linux 6.2 the size of /proc/PID/fd is 0: small tables are listed, of large ones the end is looked for."""
    opened = [os.open("/dev/null", os.O_RDONLY) for _unused in range(number)]
    try:
        wanted = len(os.listdir("/proc/self/fd"))
        process = Host().read_process(os.getpid())
        monkeypatch.setattr(descriptors.os, "stat", lambda path: os.stat_result((0,) * 10))
        counted = descriptors.count(process)
    finally:
        monkeypatch.undo()
        for one in opened:
            os.close(one)
    small = int(process.fields["FDSize"]) <= descriptors.SMALL_TABLE
    assert counted == 0 if small else abs(counted - wanted) <= 8


def test_mappings_are_counted_of_processes_that_have_many_and_know_their_limit(root):
    line = "7f0000000000-7f0000001000 rw-p 00000000 00:00 0\n"
    for pid, number in ((7, 1500), (8, 40)):
        root.process(pid, f"app-{pid}")
        root.file(f"proc/{pid}/maps", line * number)
    root.file("proc/sys/vm/max_map_count", "3000\n")
    host = Host(root.path)
    found = kernel_objects.Mappings(host).census({"mappings"})
    ((kind, _key), holding) = next(iter(found.items()))
    assert len(found) == 1 and (kind, holding.owner["pid"], holding.count, holding.limit) == ("mapping", 7, 1500, 3000)
    limits = Limits(host)
    limits.observe(dear=True)
    (row,) = [row for row in limits.rows() if row["limit"] == "vm.max_map_count"]
    assert (row["owner"]["name"], row["used"], row["share"]) == ("app-7", 1500, 0.5)
