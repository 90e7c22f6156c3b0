# SPDX-License-Identifier: GPL-3.0-or-later
"""memory against programs whose holdings the test knows: the kind, the process and the number have to be right.

All programs grow in steps, with a reading and a census after each, so that nothing depends on time.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import fastjsonschema
import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._memory import inotify, kernel_objects, rows, sockets
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.host import Host
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.sources import SOURCES
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.watch import Watch
from ansible_collections.ksysak.fleet.tests import fleet_data

pytestmark = pytest.mark.usefixtures("root")

MIB = 2**20
# Things that are made in each of four steps, by kind, and how many the probe counts for each one made (default 1).
MADE = {
    "socket": 100, "pipe": 60, "eventfd": 90, "epoll": 70, "inotify": 12, "timerfd": 75, "signalfd": 110, "fanotify": 20, "pidfd": 95,
    "io_uring": 30, "perf_event": 85, "pty": 35, "memfd": 65, "file": 120, "network_namespace": 80, "inotify_watch": 300,
    "file_in_flight": 130, "thread": 45, "zombie": 55, "process": 40, "posix_timer": 500, "pending_signal": 140, "file_lock": 160,
    "aio_context": 25, "tcp_unsent": 20, "tcp_close_wait": 105, "tcp_time_wait": 115, "unix_unread": 50, "sysv_shm": 33,
    "sysv_queue": 28, "sysv_semaphore": 37, "key": 90, "tcp_unread": 60,
}  # fmt: skip
COUNTED = {"pipe": 2, "pty": 2}
# Bytes of each of four steps, by kind: (made in a step, bytes of each at least, at most).
BYTES = {
    "anonymous_memory": (20, MIB, 1.1 * MIB), "shared_memory": (24, MIB, MIB), "locked_memory": (36, MIB / 4, MIB / 4),
    "page_table": (16, 2**17, 2**17 * 1.1), "udp_unread": (400, 700, 2304), "netlink_unread": (60, 1500, 12000),
    "packet_unread": (500, 900, 2304), "tcp_unread": (60, 8192, 40000), "unix_unread": (50, 8192, 24000), "memfd": (65, 16384, 20000),
}  # fmt: skip
OF_USER = {"key"}  # the kernel keeps no process for these


class Holder:
    """A program that makes things of one kind."""

    def __init__(self, kind):
        script = Path(__file__).with_name("memory_holders.py")
        self.kind = kind
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, script, kind], start_new_session=True, **pipes)
        self.pid = self._process.pid
        assert self._process.stdout.readline() == "ready\n"

    def ask(self, number):
        self._process.stdin.write(f"{number}\n")
        self._process.stdin.flush()

    def wait(self):
        assert self._process.stdout.readline() == "made\n", self.kind

    def end(self):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="module")
def no_budget():
    """However much else runs on this machine, the programs of this test are looked at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inotify, "LINKS", 10**6)
        patch.setattr(kernel_objects, "MAPS_BYTES", 2**30)
        patch.setattr(sockets, "LINKS", 10**6)
        yield


@pytest.fixture(scope="module")
def measured(root, no_budget):
    """({kind: pid}, rows of growth, seconds in which it grew) of all programs together."""
    made = {**MADE, **{kind: number for kind, (number, *_rest) in BYTES.items()}}
    holders = [Holder(kind) for kind in made]
    host = Host()
    watch = Watch(SOURCES, host)
    try:
        for step in range(4):
            if step == 0:
                watch.start(3600)
            for holder in holders:
                holder.ask(made[holder.kind])
            for holder in holders:
                holder.wait()
            watch.read()
            if step:
                watch.census()
        growth = []
        for one in watch.watched:
            assert one.not_measured == []
            # One census a second, whatever time the programs took.
            censuses = [(float(second), found) for second, (_measured_s, found) in enumerate(one.censuses)]
            growth += rows.growth(censuses, host.bytes_of, lambda key: host.is_old(key[1]))
        return {holder.kind: holder.pid for holder in holders}, rows.distinct(sorted(growth, key=rows.worst)), 2.0
    finally:
        for holder in holders:
            holder.end()


def row_of(measured, kind):
    pids, growth, _seconds = measured
    pid = None if kind in OF_USER else pids[kind]
    (row,) = [row for row in growth if row["kind"] == kind and row["owner"]["pid"] == pid]
    return row


@pytest.mark.parametrize("kind", sorted(MADE))
def test_the_number_that_a_program_made_is_its_growth(measured, kind):
    row = row_of(measured, kind)
    wanted = 2 * MADE[kind] * COUNTED.get(kind, 1)
    if kind in OF_USER:
        assert (row["owner"]["type"], row["owner"]["uid"]) == ("uid", 0)
        assert row["count_delta"] >= wanted
    else:
        assert row["owner"]["name"] == f"ks-{kind}"[:15]
        assert row["count_delta"] == pytest.approx(wanted, rel=0.03)
        assert row["count"] == pytest.approx(2 * wanted, rel=0.03, abs=8)


@pytest.mark.parametrize("kind", sorted(BYTES))
def test_the_bytes_that_a_program_made_are_its_growth(measured, kind):
    number, least, most = BYTES[kind]
    row, seconds = row_of(measured, kind), measured[2]
    assert row["owner"]["name"] == f"ks-{kind}"[:15]
    own = 64 * MIB if kind == "anonymous_memory" else MIB / 4  # the program's own
    assert 4 * number * least <= row["bytes"] <= 4 * number * most + own
    assert 2 * number * least * 0.97 <= row["bytes_per_s"] * seconds <= 2 * number * most * 1.03


def test_every_row_fits_the_schema(measured, repo):
    schema = json.loads((repo / "plugins/plugin_utils/schema/memory-1.json").read_text(encoding="utf-8"))
    fastjsonschema.compile(schema)(fleet_data.memory(growth=measured[1][:64]))


IN_A_NAMESPACE = """
import ctypes, fcntl, socket, struct, sys
if ctypes.CDLL(None, use_errno=True).unshare(0x40000000):
    sys.exit(1)
receiving = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
fcntl.ioctl(receiving, 0x8914, struct.pack("16sh14x", b"lo", 1))  # SIOCSIFFLAGS: up
receiving.bind(("127.0.0.1", 5353))
for _number in range(40):
    receiving.sendto(b"x" * 1000, ("127.0.0.1", 5353))
listening = socket.create_server(("127.0.0.1", 8080), backlog=64)
for _number in range(20):
    socket.create_connection(("127.0.0.1", 8080)).close()
print("ready", flush=True)
sys.stdin.read()
"""


def test_sockets_of_another_network_namespace_are_listed_and_this_process_stays_in_its_own(root):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    own = os.readlink("/proc/self/ns/net")
    with subprocess.Popen([sys.executable, "-c", IN_A_NAMESPACE], start_new_session=True, **pipes) as child:
        assert child.stdout.readline() == "ready\n"
        host = Host()
        found = sockets.Sockets(host).census({"udp_memory", "tcp_sockets"})
        held = {kind: one for (kind, _key), one in found.items() if one.owner["pid"] == child.pid}
        child.stdin.close()
    assert os.readlink("/proc/self/ns/net") == own
    assert held["udp_unread"].count == 1 and held["udp_unread"].bytes >= 40 * 1000
    assert held["tcp_close_wait"].count == 20  # nobody has accepted them: they belong to who listens
