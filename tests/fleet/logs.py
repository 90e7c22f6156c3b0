# SPDX-License-Identifier: GPL-3.0-or-later
"""python -m tests.fleet.logs MACHINE ...: break a kernel in many ways, and keep what it printed, with what was really done to it.

Writes tests/unit/kernel_log/made/MACHINE.json: {"kernel", "logs": [{"name", "expected": [{"kind", ...}], "lines": [str]}]}.
What is expected is known from what was done (and the process that it was done to), never from what a scanner said.
"""

import collections
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from . import cache
from .machine import Machine, MachineFailed

HERE = Path(__file__).parent
MADE = HERE.parent / "unit" / "kernel_log" / "made"
FOLDER = "/root/provoke"
# How this machine's log is read: each in another of the ways in which logs reach the scanner.
READERS = {
    "debian11": "dmesg --raw",
    "debian13": "journalctl --sync; journalctl --dmesg --no-pager --quiet --output=short-iso",
}
MARK = "ksy_provoke: begin"
PID = "; echo \"{\\\"%s\\\": $pid}\""
FILL = "exec python3 -c \"[b'x' * (1000000 + n) for n in range(4000)]\""
WRITE = "sh -c 'echo %s > /proc/ksy_provoke'"

# shell: what is done; it may print JSON with more of the first event's details; text: a line that ends the wait, if it comes later
Act = collections.namedtuple("Act", "name shell expected text", defaults=("",))


def _event(kind, culprit=None, **details):
    return {"kind": kind, "culprit": culprit, "details": details}


def _written(name, kind, **details):
    """An act of the module that kills, or lets live, the shell that asked for it."""
    return Act(name, WRITE % name + " || true", [_event(kind, "provoke_" + name, **details)])


def _program(name, address):
    """The start of an act: a program of that name reads that address."""
    code = "import ctypes; ctypes.string_at(%s)" % address
    start = "cp $(readlink -f $(command -v python3)) /tmp/{0}; /tmp/{0} -c '{1}' & pid=$!; wait $pid || true"
    return start.format(name, code) + PID % "pid"


LOOP = "device=$(losetup --find --show %s/%%s); name=$(basename $device); " % FOLDER

ACTS = (
    # Hung tasks are told only until the first oops.
    Act("hung_task", "sysctl -qw kernel.hung_task_timeout_secs=5; " + WRITE % "hold" + " >&2 & holder=$!; python3 log.py wait held; "
        + WRITE % "wait" + " >&2 & pid=$!; python3 log.py wait 'blocked for more than'; kill $holder; wait $pid; "
        "sysctl -qw kernel.hung_task_timeout_secs=120" + PID % "pid", [_event("hung_task", "provoke_wait", task="sh")]),
    Act("frozen", LOOP % "good.img" + "mount $device /mnt; fsfreeze -f /mnt; sysctl -qw kernel.hung_task_timeout_secs=5; "
        "touch /mnt/new >&2 & pid=$!; python3 log.py wait 'blocked for more than'; sysctl -qw kernel.hung_task_timeout_secs=120; "
        "fsfreeze -u /mnt; wait $pid; umount /mnt; losetup -d $device" + PID % "pid", [_event("hung_task", task="touch")]),
    Act("oom_memcg", "mkdir /sys/fs/cgroup/made; echo +memory > /sys/fs/cgroup/cgroup.subtree_control; "
        "echo 24M > /sys/fs/cgroup/made/memory.max; (echo $BASHPID > /sys/fs/cgroup/made/cgroup.procs; " + FILL + ") & pid=$!; "
        "wait $pid || true" + PID % "victim_pid", [_event("oom", constraint="MEMCG", memory_cgroup="/made", victim="python3")]),
    _written("pages", "page_alloc_failure", order=10, asked_by="sh"),
    Act("segfault", _program("made_segv", "0"), [_event("segfault", program="made_segv", address="0")]),
    Act("protection", _program("made_gp", "0x6b6b6b6b6b6b6b6b"), [_event("segfault", program="made_gp")]),
    Act("medium_error", "modprobe scsi_debug opts=2 dev_size_mb=8 medium_error_start=4660; udevadm settle; "
        "dd if=/dev/sda of=/dev/null bs=512 skip=4660 count=1 iflag=direct || true; modprobe -r scsi_debug",
        [_event("io_error", device="sda", sector=4660, operation="READ", error="medium")]),
    Act("flakey", LOOP % "good.img" + "echo 0 8192 flakey $device 0 0 3600 | dmsetup create made; "
        "dd if=/dev/mapper/made of=/dev/null bs=4096 count=1 || true; dmsetup remove made; losetup -d $device",
        [_event("io_error", device="dm-0", block=0)], "I/O error on dev dm-0"),
    Act("ext4", LOOP % "bad.img" + "mount $device /mnt; ls -l /mnt/made >&2 || true; umount /mnt; losetup -d $device; "
        "echo \"{\\\"device\\\": \\\"$name\\\"}\"",
        [_event("fs_error", file_system="EXT4", function="ext4_lookup", inode=2), _event("fs_error"), _event("fs_readonly")]),
    Act("machine_check", "modprobe mce-inject; cd /sys/kernel/debug/mce-inject; echo sw > flags; echo 1 > cpu; echo 0x12345000 > addr; "
        "echo 0x9c00000000000093 > status; echo 4 > bank",
        [_event("mce", cpu=1, bank=4, status="9c00000000000093", address="12345000", corrected=True)], "ADDR 12345000"),
    Act("poisoned", "python3 -c 'import ctypes, mmap; m = mmap.mmap(-1, 4096); m[0] = 1; "
        "ctypes.CDLL(None).madvise(ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(m))), ctypes.c_size_t(4096), 100)' || true",
        [_event("mce", corrected=False)]),
    _written("warning", "warning"),
    _written("refcount", "warning"),
    _written("null", "oops_page_fault", address="0000000000000010"),
    _written("wild", "gpf"),
    _written("divide", "oops_trap"),
    _written("bug", "kernel_bug"),
    _written("list", "list_corruption"),
    Act("usercopy", WRITE % "usercopy" + " || true", [_event("kernel_bug", "copy_too_much")]),
    _written("sleep", "atomic_sleep"),
    Act("soft_lockup", "sysctl -qw kernel.watchdog_thresh=2; taskset -c 1 " + WRITE % "spin" + "; sysctl -qw kernel.watchdog_thresh=10",
        [_event("soft_lockup", "provoke_write", cpu=1, task="sh")]),
    Act("rcu_stall", "cd /sys/module/rcupdate/parameters; old=$(cat rcu_cpu_stall_timeout); echo 4 > rcu_cpu_stall_timeout; "
        "sysctl -qw kernel.soft_watchdog=0; taskset -c 1 " + WRITE % "spin" + "; sysctl -qw kernel.soft_watchdog=1; "
        "echo $old > rcu_cpu_stall_timeout", [_event("rcu_stall", "provoke_write", stalled_cpus=[1])], "stall"),
    Act("unregister", "ip link add made0 type dummy; echo net_hold > /proc/ksy_provoke; ip link del made0 >&2 & "
        "python3 log.py wait 'waiting for made0'; echo net_release > /proc/ksy_provoke; wait",
        [_event("netdev_unregister", device="made0")]),
    Act("neighbours", "for n in 1 2 3; do sysctl -qw net.ipv4.neigh.default.gc_thresh$n=1; done; "
        "for n in $(seq 30 60); do echo x > /dev/udp/10.0.2.$n/9 || true; done; "
        "for n in 1:128 2:512 3:1024; do sysctl -qw net.ipv4.neigh.default.gc_thresh${n%:*}=${n#*:}; done",
        [_event("neigh_table_full", table="arp_cache")]),
    Act("oom", "echo 600 > /proc/sys/vm/nr_hugepages; mkdir /sys/fs/cgroup/free; "
        "(echo $BASHPID > /sys/fs/cgroup/free/cgroup.procs; echo 1000 > /proc/$BASHPID/oom_score_adj; " + FILL + ") & pid=$!; "
        "wait $pid || true; echo 0 > /proc/sys/vm/nr_hugepages" + PID % "victim_pid",
        [_event("oom", constraint="NONE", victim="python3", victim_score=1000)]),
)  # fmt: skip
KFENCE = Act("kfence", "echo 1 > /sys/module/kfence/parameters/sample_interval; " + WRITE % "kfence"
             + "; echo 0 > /sys/module/kfence/parameters/sample_interval", [_event("kfence", "provoke_kfence", access="read")])  # fmt: skip
PANIC = _event("panic")


def _images(folder):
    """Two small ext4 file systems: good.img, and bad.img with a name that leads to no inode."""
    for name, options in (("good.img", []), ("bad.img", ["-e", "remount-ro"])):
        path = Path(folder, name)
        path.write_bytes(bytes(4 << 20))
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-b", "1024", "-O", "^metadata_csum,has_journal", *options, str(path)], check=True)
    for request in ("mkdir made", "clri made"):
        subprocess.run(["debugfs", "-w", "-R", request, str(path)], check=True, capture_output=True)


def _run(machine, shell, data=b""):
    done = machine.run(shell, data)
    if done.returncode:
        raise MachineFailed("%s: %s\n%s" % (machine.name, shell, done.stderr.decode(errors="replace")))
    return done.stdout.decode(errors="replace")


def prepare(machine):
    """Put all that is needed on the machine, and load the module."""
    with tempfile.TemporaryDirectory() as folder:
        _images(folder)
        names = ["good.img", "bad.img"]
        archive = subprocess.run(
            ["tar", "cz", "-C", str(HERE / "provoke"), "ksy_provoke.c", "log.py", "-C", folder, *names], stdout=subprocess.PIPE, check=True
        )
    _run(machine, "mkdir -p %s && tar xz -C %s" % (FOLDER, FOLDER), archive.stdout)
    _run(machine, "cd %s && echo 'obj-m := ksy_provoke.o' > Makefile && make -s -C /lib/modules/$(uname -r)/build M=$PWD modules"
         " && insmod ksy_provoke.ko" % FOLDER)  # fmt: skip


def perform(machine, act):
    """Do it; returns the act's entry of the file."""
    wait = "cd %s; python3 log.py wait '%s'" % (FOLDER, act.text) if act.text else ":"
    script = "cd %s; python3 log.py begin\n%s\n%s\n" % (FOLDER, act.shell, wait)
    said = _run(machine, "bash -s", script.encode()).strip()
    expected = json.loads(json.dumps(act.expected))
    expected[0]["details"].update(json.loads(said) if said else {})
    lines = _run(machine, READERS.get(machine.name, "dmesg")).splitlines()
    start = max(number for number, line in enumerate(lines) if MARK in line)
    return {"name": act.name, "expected": expected, "lines": lines[start + 1 :]}


def panic(machine):
    """End the machine by a panic; returns the entry with what its serial console shows."""
    _run(machine, "dmesg -n 8; echo '<5>%s' > /dev/kmsg" % MARK)
    machine.run("echo c > /proc/sysrq-trigger")
    machine.process.wait()
    lines = machine.console.read_text(errors="replace").split("\n")
    start = max(number for number, line in enumerate(lines) if MARK in line)
    return {"name": "panic", "expected": [PANIC], "lines": [line.rstrip("\r") for line in lines[start + 1 :]]}


class Broken:
    """One machine after another: some acts end some kernels."""

    def __init__(self, name, folder):
        self._name, self._folder, self.machine = name, folder, None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_error):
        self.machine.stop()

    def start(self):
        if self.machine is not None:
            self.machine.stop()
        self.machine = Machine(self._name, cache.ensure(self._name), Path(self._folder, "console")).wait()
        prepare(self.machine)

    def logs(self):
        """Yield the entries of the file."""
        for act in ACTS + ((KFENCE,) if "kfence" in _run(self.machine, "ls /sys/module") else ()):
            try:
                yield perform(self.machine, act)
                print(self._name, act.name, flush=True)
            except MachineFailed as error:  # a kernel that has not what it takes, or that did not survive; the others go on
                print(error, file=sys.stderr, flush=True)
                if self.machine.run("true").returncode:
                    self.start()
        yield panic(self.machine)


def make(name):
    with tempfile.TemporaryDirectory() as folder, Broken(name, folder) as broken:
        made = {"kernel": _run(broken.machine, "uname -r").strip(), "logs": []}
        MADE.mkdir(exist_ok=True)
        for entry in broken.logs():
            made["logs"].append(entry)
            Path(MADE, name + ".json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    for machine_name in sys.argv[1:]:
        make(machine_name)
