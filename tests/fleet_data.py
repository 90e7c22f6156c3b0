# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes results folders of hosts that never were, with documents as real scans write them."""

import json
import random

from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.names import host_file_name

SCAN_ID = "20261123T030800Z-a1b2c3"
PROBES = ["memleak", "runlatency", "interference", "os_exceptions", "host_health", "memory"]
NOW = "2026-11-23T03:08:00Z"
KINDS = ("healthy", "leaking", "noisy", "oopsing", "degraded", "unreachable", "failed", "lost")

OOPS = """BUG: unable to handle page fault for address: ffffb3a1c0de0000
#PF: supervisor read access in kernel mode
Oops: 0000 [#1] PREEMPT SMP NOPTI
CPU: 1 PID: 4242 Comm: modprobe Tainted: G           OE      6.1.0-28-amd64
RIP: 0010:acme_ring_poll+0x4f/0x120 [acme_nic]
Call Trace:
 <IRQ>
 net_rx_action+0x2a1/0x580
 __do_softirq+0xf0/0x2fe"""


def envelope(probe, data, status="ok", reason="", remedy="", **changes):
    """A probe's envelope, as in host-1.json."""
    measured = status in ("ok", "degraded")
    return {
        "schema": f"ksysak.{probe}/1",
        "status": status,
        "reason": reason,
        "remedy": remedy,
        "engine": {"os_exceptions": "logs", "host_health": "sysfs", "memory": "procfs"}.get(probe, "bcc") if measured else "none",
        "started_at": NOW,
        "window_s": 20.0 if measured else 0,
        "cost": {"cpu_s": 0.41, "max_rss_bytes": 71303168, "setup_s": 0.4, "lost_events": 0, "lost_share": 0.0, "truncated": False},
        "data": data if measured else {},
        **changes,
    }


def allocator(comm="app", pid=1234, share=1.0, **changes):
    """One process of memleak's allocators, of a service of its name."""
    place = {"cgroup": f"/system.slice/{comm}.service", "unit": f"{comm}.service"}
    return {"pid": pid, "processes": 1, "comm": comm, **place, "ended": False, "kernel_thread": False, "share": share, **changes}


def outstanding(**changes):
    """One place of memleak: a working set that comes and goes, no leak."""
    return {
        "type": "slab",
        "verdict": "clean",
        "confidence": 0.0,
        "reasons": ["it fills a cache that the kernel gives back when memory runs low"],
        "culprit": "ext4_alloc_inode",
        "offset": 31,
        "module": "ext4",
        "cache": "ext4_inode_cache",
        "allocations": 4096,
        "frees": 3900,
        "objects_outstanding": 196,
        "bytes_outstanding": 217168,
        "growth_bytes_per_s": 10858.4,
        "growth_ci95": [8000.5, 13000.0],
        "oldest_age_s": 4.2,
        "ages": [0, 0, 0, 0, 0, 16, 80, 100],
        "trend": [],
        "corroborated": True,
        "sampled": 16,
        "stack": ["ext4_alloc_inode+0x1f [ext4]", "alloc_inode+0x1e", "iget_locked+0xb4", "__ext4_iget+0x11f [ext4]"],
        "reclaimable": True,
        "context": "system_call",
        "system_call": "newfstatat",
        "allocators": [allocator("updatedb", 812)],
        "accounted": 1.0,
        "comms": ["updatedb"],
        **changes,
    }


LEAK = {
    "verdict": "leak",
    "confidence": 0.97,
    "reasons": ["it grew all through the window, and what is older than 2.0 s stays"],
    "culprit": "acme_rx_refill.isra.0+0x61",
    "offset": 97,
    "module": "acme_nic",
    "cache": "kmalloc-1k",
    "allocations": 9731,
    "frees": 11,
    "objects_outstanding": 9720,
    "bytes_outstanding": 9953280,
    "growth_bytes_per_s": 497664.0,
    "growth_ci95": [489000.0, 505000.0],
    "oldest_age_s": 19.8,
    "ages": [1215] * 8,
    "trend": [[second, 497664 * second] for second in range(21)],
    "sampled": 1,
    "stack": ["acme_rx_refill.isra.0+0x61 [acme_nic]", "acme_ring_poll+0x4f [acme_nic]", "__napi_poll+0x2b", "net_rx_action+0x2a1"],
    "reclaimable": False,
    "context": "interrupt",
    "system_call": None,
    "allocators": [],
    "accounted": 0.0,
    "comms": ["ksoftirqd/1", "nginx"],
}


def memleak(*places, **meminfo):
    """Data of memleak."""
    found = [outstanding(), *places]
    leaks = [place for place in found if place["verdict"] in ("leak", "suspect")]
    objects, size = sum(place["objects_outstanding"] for place in found), sum(place["bytes_outstanding"] for place in found)
    points = [[second, 52428800 + 10649 * second] for second in range(21)]
    spent = {"max_overhead_percent": 3.0, "overhead_percent": 0.4}
    trend = {"type": "slab", "counter": "SUnreclaim", "slope_bytes_per_s": 10649.0, "slope_ci95": [9000.0, 12000.0]}
    return {
        "verdict": "leak" if leaks else "clean",
        "leaks": leaks,
        "outstanding": [place for place in found if place not in leaks],
        "totals": {"slab": {"allocations": 200000, "frees": 199000, "objects_outstanding": objects, "bytes_outstanding": size}},
        "triage": {
            "meminfo_delta_bytes": {"SUnreclaim": 212992, "KernelStack": 16384, "unaccounted": -1048576, **meminfo},
            "free_bytes_by_order": {"before": [4096 * 2**order for order in range(11)], "after": [8192 * 2**order for order in range(11)]},
            "caches": [{"cache": "kmalloc-1k", "object_bytes": 1024, "objects_delta": 208, "bytes_delta": 212992}],
            "code_lines": None,
            "suspects": [],
        },
        "trends": [{**trend, "grows": False, "reclaimable": False, "points": points}],
        "sample": 16,
        "budget": {**spent, "lowered": 1, "followed_events": 52000, "suspects": 3, "map_bytes": 15499224},
    }


def wait(delay_us, comm="nginx", longest_runner="stress-ng", **changes):
    """One long wait of runlatency, for a real-time task."""
    other = {"pid": 999, "comm": longest_runner, "prio": 49, "policy": "realtime", "ran_us": delay_us * 0.9} if longest_runner else None
    event = {"kind": "runq", "wait": "wakeup", "delay_us": delay_us, "cpu": 1, "pid": 4711, "comm": comm, "prio": 120, "at_s": 7.25}
    known = {"idle_us": 0.0, "unattributed_us": delay_us * 0.1} if longest_runner else {"idle_us": delay_us, "unattributed_us": 0.0}
    known.update(cause="run_queue" if other else "idle", paused_us=0.0, policy="normal", cgroup="/system.slice/web.service", from_cpu=1)
    known["commands"] = [{**other, "share": 0.9}] if other else []
    known["longest_slice"] = other and {**other, "ran_us": delay_us}
    return {**event, "longest_runner": other, **known, **changes}


def waited(count, mean_us, max_us):
    """What runlatency tells of the waits of one CPU or task."""
    percentiles = {"p50": 16, "p90": 32, "p99": 128, "p999": max_us}
    return {"count": count, "total_us": count * mean_us, "max_us": max_us, "percentiles_us": percentiles, "histogram": {"8": count}}


def runlatency(*events, rng=None, scale=1):
    """Data of runlatency. scale: how much slower than a quiet host."""
    rng = rng or random.Random(1)
    shape = {0: 40, 1: 400, 2: 3000, 4: 9000, 8: 6000, 16: 2000, 32: 700, 64: 260, 128: 90, 256: 30, 512: 9, 1024: 3}
    wakeup = {str(lower * scale): count + rng.randrange(1 + count // 4) for lower, count in shape.items()}
    preempted = {str(lower * scale): count // 9 for lower, count in shape.items() if lower >= 8 and count // 9}
    longest = max([1400.0 * scale, *(event["delay_us"] for event in events)])
    count = sum(wakeup.values()) + sum(preempted.values())
    return {
        "histograms": {"wakeup": wakeup, "preempted": preempted},
        "percentiles_us": {"p50": 8 * scale, "p90": 32 * scale, "p99": 128 * scale, "p999": 512 * scale},
        "count": count,
        "total_us": count * 9.5 * scale,
        "max_us": longest,
        "threshold_us": 10000,
        "over_threshold": len(events),
        "events": sorted(events, key=lambda event: -event["delay_us"]),
        "cpus": [{"cpu": cpu, **waited(count // 2, 9.5 * scale, longest)} for cpu in (1, 0)],
        "tasks": [{"pid": 4711 + number, "comm": "nginx", **waited(count // 40, 9.5 * scale, longest)} for number in range(20)],
        "waits_unattributed": count - 20 * (count // 40),
        "long_waits": [{"at_least_us": 16384, "count": sum(event["delay_us"] >= 16384 for event in events)}],
        "wait_shares": {"throttled": 0.0, "cpu_not_running": 0.0},
        "idle_share": 0.2,
        "services": [],
        "normal": {"count": count, "percentiles_us": {"p50": 8 * scale, "p90": 32 * scale, "p99": 128 * scale, "p999": 512 * scale}},
        "commands": [{"comm": "nginx", "pid": None, "policy": "normal", "ran_us": 9e6, "share": 0.45, "waits": 900, "wait_us": 8e3}],
        "run_delay": {"total_us": 181234.0, "timeslices": 20000, "mean_us": 9.1},
        "pressure": {"some_us": 120000, "some_share": 0.006},
        "started_per_s": 12.4,
    }


def stall(kind, delay_us, **changes):
    """One stall, which something speaks against."""
    stack = ["_raw_spin_unlock_irqrestore+0x11", "acme_drain+0x4e [acme_nic]", "do_syscall_64+0x5a"] if kind == "irqoff" else []
    found = {"kind": kind, "delay_us": delay_us, "least_us": delay_us - 2000, "cpu": 1, "pid": 812, "comm": "stress-ng", "at_s": 3.25}
    reasons = ["another CPU was late at the same instant"] if kind == "irqoff" else ["interrupts were on where the CPU did not run"]
    culprit = "acme_drain" if kind == "irqoff" else None
    return {**found, "certain": False, "reasons": reasons, "culprit": culprit, "stack": stack, **changes}


def stalled(*stalls):
    """What runlatency adds where it watched for stalls."""
    kinds = dict.fromkeys(("irqoff", "nosched", "cpu_not_running", *(stall["kind"] for stall in stalls)))
    counts = {kind: sum(stall["kind"] == kind for stall in stalls) for kind in kinds}
    return {"stalls": list(stalls), "stall_counts": counts, "stall_period_us": 2000}


def vector(kind, name, irq, cpus):
    """One vector of interference, on a host of two CPUs. cpus: {cpu: (count, total_us, longest_us)}."""
    rows = [{"cpu": cpu, "count": n, "total_us": total, "mean_us": total / n, "longest_us": longest}
            for cpu, (n, total, longest) in cpus.items()]  # fmt: skip
    rows.sort(key=lambda row: -row["total_us"])
    count, total_us = sum(row["count"] for row in rows), sum(row["total_us"] for row in rows)
    share = rows[0]["total_us"] / total_us
    return {
        "kind": kind,
        "name": name,
        "irq": irq,
        "device": "0000:00:02.0" if kind == "hardirq" else "",
        "driver": "ixgbe" if kind == "hardirq" else "",
        "affinity": "0-1" if kind == "hardirq" else "",
        "effective_affinity": "0" if kind == "hardirq" else "",
        "count": count,
        "rate_per_s": count / 20,
        "total_us": total_us,
        "mean_us": total_us / count,
        "longest_us": max(row["longest_us"] for row in rows),
        "long_runs": sum(row["longest_us"] >= 2097 for row in rows),
        "histogram_ns": {"1024": count - 1, "8192": 1},
        "concentration": {"cpu": rows[0]["cpu"], "share": share, "coefficient": 2 * (share * share + (1 - share) ** 2) - 1},
        "by_cpu": rows,
    }


def timer(function, rate_per_s, total_us, *started_by, kind="hrtimer"):
    """One function that timers call. started_by: (pid, comm, how often)."""
    count = int(rate_per_s * 20)
    return {
        "kind": kind,
        "function": function,
        "count": count,
        "rate_per_s": rate_per_s,
        "total_us": total_us,
        "mean_us": total_us / count,
        "longest_us": 31.0,
        "long_runs": 0,
        "cpu_share": round(rate_per_s * 1e-6, 6) if kind == "hrtimer" else None,
        "histogram_ns": {"2048": count},
        "started_by": [{"pid": pid, "comm": comm, "started": started} for pid, comm, started in started_by],
    }


def caused(kind, rate_per_s, *processes):
    """What processes cause. processes: (pid, comm, rate)."""
    rows = [{"pid": pid, "comm": comm, "rate_per_s": rate} for pid, comm, rate in processes]
    return {"kind": kind, "count": int(rate_per_s * 20), "rate_per_s": rate_per_s, "processes": rows}


def interference(*vectors, timers=(), threads=(), steal=0.0, sources=()):
    """Data of interference. threads: (pid, comm, share of a CPU); steal: share of CPU 0; sources: of caused()."""
    quiet = [
        vector("timer", "LOC", None, {0: (5000, 20000.0, 31.0), 1: (4800, 19100.0, 28.0)}),
        vector("softirq", "NET_RX", None, {0: (900, 9100.0, 210.0), 1: (300, 2200.0, 90.0)}),
        vector("hardirq", "eth0-TxRx-0", 27, {0: (950, 4100.0, 19.0)}),
        vector("ipi", "RES", None, {0: (600, 900.0, 5.0), 1: (580, 870.0, 6.0)}),
    ]
    found = sorted([*vectors, *quiet], key=lambda entry: -entry["total_us"])
    spent = {cpu: sum(row["total_us"] for entry in found for row in entry["by_cpu"] if row["cpu"] == cpu) for cpu in (0, 1)}
    cpus = sorted(({"cpu": cpu, "share": us / 2e7} for cpu, us in spent.items()), key=lambda entry: -entry["share"])
    own = [timer("tick_nohz_handler", 250.0, 18000.0), timer("hrtimer_wakeup", 90.0, 900.0, (812, "chronyd", 1800))]
    busy = [(15, "rcu_preempt", 0.0011), (8, "kworker/0:1-events", 0.0004)]
    return {
        "vectors": found,
        "cpus": cpus,
        "timers": sorted([*timers, *own], key=lambda entry: -entry["total_us"]),
        "kernel_threads": [
            {"pid": pid, "comm": comm, "cpu_us": share * 2e7, "share": share}
            for pid, comm, share in sorted([*threads, *busy], key=lambda thread: -thread[2])
        ],
        "kernel_thread_families": [
            {"family": comm.split("/")[0], "threads": 1, "cpu_us": share * 2e7, "share": share, "names": [comm]}
            for _pid, comm, share in sorted([*threads, *busy], key=lambda thread: -thread[2])
        ],
        "sources": list(sources),
        "steal": sorted(({"cpu": cpu, "share": share} for cpu, share in ((0, steal), (1, 0.0))), key=lambda entry: -entry["share"]),
        "process": None,
        "cross_check": {"compared": 9, "largest_share": 0.0004, "disagreements": []},
    }


def exception(**changes):
    """One kernel exception."""
    return {
        "kind": "oops_page_fault",
        "title": "BUG: unable to handle page fault in acme_ring_poll",
        "culprit": "acme_ring_poll",
        "called_by": ["acme_poll"],
        "signature": "oops_page_fault:acme_ring_poll:net_rx_action",
        "count": 1,
        "first_seen": "2026-11-23T02:41:07Z",
        "last_seen": "2026-11-23T02:41:07Z",
        "in_window": False,
        "induced": False,
        "sources": ["journal"],
        "trace": ["acme_ring_poll", "__napi_poll", "net_rx_action", "__do_softirq"],
        "excerpt": OOPS,
        **changes,
    }


def os_exceptions(*events):
    """Data of os_exceptions."""
    kinds = {}
    for event in events:
        kinds[event["kind"]] = kinds.get(event["kind"], 0) + event["count"]
    return {
        "events": list(events),
        "kinds": kinds,
        "sources": [{"name": "journal", "status": "read", "reason": "", "lines": 21034, "bytes": 2301022}],
    }


def owner(name="app-sockets", **changes):
    """Owner of memory: a process in a service."""
    process = {"type": "process", "pid": 4242, "parent": 1, "cgroup": "/system.slice/app.service", "unit": "app.service", "uid": 0}
    return {**process, "name": name, **changes}


def held(kind="socket", count=18000, **changes):
    """What an owner holds of one kind, as in holders."""
    level = {"kind": kind, "owner": owner(), "count": count, "bytes": count * 3264, "limit": None, "detail": {}}
    return {**level, "command": "ls -l /proc/4242/fd", **changes}


def growing(kind="socket", per_s=400.0, **changes):
    """The same as in growth."""
    return {**held(kind), "count_delta": round(per_s * 12), "per_s": per_s, "bytes_per_s": per_s * 3264, **changes}


def picture(**changes):
    """Where the memory of a host of 8 GiB is. changes: bytes of parts; what is left is free."""
    gib = 2**30
    held = {"anonymous": 2 * gib, "page_cache": 3 * gib, "slab_unreclaimable": gib // 8, "slab_reclaimable": gib // 4, **changes}
    held["free"] = 8 * gib - sum(held.values()) - 60 * 2**20
    owners = {"anonymous": [{"name": "postgres[811]", "bytes": gib}], "slab_unreclaimable": [{"name": "kmalloc-128", "bytes": 2**23}]}
    rows = [{"part": part, "bytes": size, "delta_bytes": 0, "owners": owners.get(part, [])} for part, size in held.items()]
    rows.sort(key=lambda row: -row["bytes"])
    return {"total_bytes": 8 * gib, "parts": rows, "unaccounted_bytes": 60 * 2**20, "unaccounted_delta_bytes": 4096, "within": []}


def memory(**changes):
    """Data of memory: nothing grows or is large."""
    return {"picture": picture(), "growth": [], "holders": [], "limits": [], "counters": counters(), "not_measured": [], **changes}


def counters(uptime_s=812345.6, **changes):
    """What the probe memory keeps for the trend. changes: of counters of bytes."""
    size = {"MemTotal": 8 * 2**30, "MemAvailable": 5 * 2**30, "AnonPages": 2**31, "SUnreclaim": 100 * 2**20, "unaccounted": 60 * 2**20}
    return {
        "uptime_s": uptime_s,
        "bytes": {**size, **changes},
        "counts": {"files": 2112, "tasks": 240},
        "slab_bytes": {"kmalloc-128": 8 * 2**20},
        "slab_reclaimable_bytes": {"dentry": 40 * 2**20},
        "slab_aliases": {"mnt_cache": ["posix_timers_cache"]},
    }


def host_health(**changes):
    """Data of host_health: nothing is wrong."""
    return {
        "kernel": {
            "running": "6.1.0-28-amd64", "newest_installed": "6.1.0-28-amd64", "reboot_pending": None, "oops_count": 0, "warn_count": 0,
        },
        "panic_settings": {"panic": 10, "panic_on_oops": 1, "watchdog": 1, "hung_task_timeout_secs": 120},
        "kdump": {"loaded": True, "reserved_bytes": 268435456},
        "taint": {"value": 12288, "flags": ["O", "E"]},
        "unclean_boots": [],
        **{name: [] for name in ("ecc", "disks", "nvme", "file_systems", "arrays", "pcie")},
        **changes,
    }  # fmt: skip


def host(name, kind="healthy", scan_id=SCAN_ID, rng=None):
    """A host document (host-1) of one of KINDS."""
    rng = rng or random.Random(name)
    document = {
        "schema": "ksysak.host/1",
        "host": name,
        "scan_id": scan_id,
        "state": "scanned",
        "reason": "",
        "groups": ["all", "web" if name.startswith("web") else "db"],
        "collected_at": "2026-11-23T03:08:31Z",
        "collection_version": "1.0.0",
        "system": {
            "kernel": "6.1.0-28-amd64",
            "arch": "x86_64",
            "distribution": "Debian 12.8",
            "cpu_model": "AMD EPYC 9354",
            "cpus": 2,
            "memory_bytes": 8 * 2**30,
            "virtualization": "kvm",
            "boot_id": f"{rng.getrandbits(128):032x}",
            "uptime_s": rng.randrange(10**7) / 10,
            "modules": ["acme_nic", "ext4", "nf_conntrack", "virtio_net"],
        },
        "probes": {
            "memleak": envelope("memleak", memleak()),
            "runlatency": envelope("runlatency", {**runlatency(rng=rng), **stalled()}),
            "interference": envelope("interference", interference()),
            "os_exceptions": envelope("os_exceptions", os_exceptions()),
            "host_health": envelope("host_health", host_health()),
            "memory": envelope("memory", memory()),
        },
    }
    probes = document["probes"]
    if kind == "leaking":
        probes["memleak"] = envelope("memleak", memleak(outstanding(**LEAK), SUnreclaim=20 * 2**20))
    elif kind == "noisy":
        waited = runlatency(wait(148200.5), wait(31000.0, comm="redis-server"), rng=rng, scale=32)
        probes["runlatency"] = envelope("runlatency", {**waited, **stalled(stall("irqoff", 24000.0), stall("cpu_not_running", 90000.0))})
        loud = vector("hardirq", "eth0-TxRx-3", 31, {1: (410000, 9100000.0, 88.0)})
        probes["interference"] = envelope("interference", interference(loud))
    elif kind == "oopsing":
        killed = exception(
            kind="oom", title="Out of memory: Killed process 811 (java)", culprit=None, signature="oom:java", count=3, trace=[]
        )
        probes["os_exceptions"] = envelope("os_exceptions", os_exceptions(exception(in_window=True), killed))
    elif kind == "degraded":
        reason, remedy = "the Python bindings of bcc are missing", "install python3-bpfcc, or run the role ksysak.fleet.prepare"
        probes["memleak"] = envelope("memleak", {}, "skipped", reason, remedy)
        probes["runlatency"] = envelope(
            "runlatency", {**runlatency(rng=rng), "histograms": {}, "percentiles_us": {}}, "degraded", reason, remedy, engine="procfs"
        )
    elif kind != "healthy":
        said = {
            "unreachable": "ssh: connect to host 192.0.2.7 port 22: Connection timed out",
            "failed": "No python interpreter was found on the host",
            "lost": "the host did not answer within 80 s after the scan began",
        }
        document.update(state=kind, reason=said[kind], system=None, probes={})
    return document


def scan(hosts, **changes):
    """A scan document (scan-1)."""
    return {
        "schema": "ksysak.scan/1",
        "scan_id": SCAN_ID,
        "collection_version": "1.0.0",
        "started_at": NOW,
        "ended_at": "2026-11-23T03:08:40Z",
        "options": {"duration_s": 20, "probes": PROBES},
        "hosts": list(hosts),
        "controller": {"ansible_core": "2.19.14", "python": "3.11.2"},
        **changes,
    }


def write(root, documents, meant=None, **changes):
    """Write a results folder below root and return it. meant: hosts of scan.json, default those of the documents."""
    folder = root / SCAN_ID
    (folder / "hosts").mkdir(parents=True)
    meant = [document["host"] for document in documents] if meant is None else meant
    (folder / "scan.json").write_text(json.dumps(scan(meant, **changes)), encoding="utf-8")
    for document in documents:
        (folder / "hosts" / host_file_name(document["host"])).write_text(json.dumps(document), encoding="utf-8")
    return folder


def fleet(number, faulty_share=0.03):
    """Host documents of a fleet: mostly healthy, the faulty ones of all kinds in turn."""
    rng = random.Random(number)
    every = max(1, round(1 / faulty_share)) if faulty_share else 2 * number + 2
    kinds = [KINDS[1 + place // every % (len(KINDS) - 1)] if place % every == every // 2 else "healthy" for place in range(number)]
    return [host(f"{'web' if place % 3 else 'db'}-{place:05d}", kind, rng=rng) for place, kind in enumerate(kinds)]
