# SPDX-License-Identifier: GPL-3.0-or-later
"""What memleak finds of known leaks, and what it says of honest work, on a machine of the test fleet. Some 50 minutes a machine.

python tests/bench/leaks.py debian12 [strong] [weak] [kinds] [odd] [steady] [rates] [sites] [storms] [--runs 3] [--seconds 60] [--window 20]
"""

import argparse
import collections
import io
import itertools
import json
import random
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / ".cache" / "import"))

from ansible_collections.ksysak.fleet.tests.fleet import cache, still  # noqa: E402
from ansible_collections.ksysak.fleet.tests.fleet.conftest import ON_HOST, OnMachine  # noqa: E402
from ansible_collections.ksysak.fleet.tests.fleet.machine import MEMORY_MIB, Machine  # noqa: E402

LEAKING = "tests/fleet/leaking.py"
SENT = (LEAKING, "tests/fleet/injections.py")
KMODS = "/root/kmods"
PLACES = ("shallow", "middle", "deep")
# One of each in every window.
SLABS = ({"bytes": 1024}, {"bytes": 64}, {"bytes": 512, "cache": 1}, {"bytes": 4096}, {"bytes": 192, "cache": 1})
PAGES = tuple({"order": order} for order in range(5))
VMALLOCS = ({"bytes": 16384}, {"bytes": 4096}, {"bytes": 65536}, {"bytes": 8192}, {"bytes": 32768})
FREED_PERCENT = (0, 50, 90)
# Bytes a second that stay, seconds of the window, and whether each size is tried with every share that is freed again.
LEAKS = {"strong": (256 * 1024, 20, True), "weak": (16 * 1024, 80, False)}
# Emulation makes an event some thirty times as dear: the budget would lower the sampling of every leak.
OPTIONS = {"max_overhead_percent": 100}
COMMANDS = {
    "build": f"make -s -C {KMODS} clean && make -s -C {KMODS}",
    "modules": "for name in dummy loop vcan ext2; do modprobe $name; modprobe -r $name; done",
    "cold_walk": "echo 3 >/proc/sys/vm/drop_caches; find / -xdev -printf '%s' >/dev/null",
    "page_cache": "cat /dev/vda >/dev/null; find /usr -xdev -type f -exec cat {} + >/dev/null",
}
# Of the kernel module tests/fleet/kernel_leaks, by what is true of them.
KINDS = ("leak_1mb", "myfs_alloc_inode", "p9_track", "refill_ring", "swap_tables", "leak_softirq", "leak_shrunk", "leak_bulk", "leak_split")
MORE_KINDS = ("leak_bulk_pages", "leak_skb", "leak_devm", "leak_dma", "leak_tail")
# Windows of each pattern, sites in each; then windows with leaks among them.
SITES_WINDOWS, SITES_EACH, MIXED_WINDOWS = 2, 12, 3
# In other contexts, by other allocators, in other rhythms.
ODD = ("leak_shared", "leak_bursts", "leak_hardirq", "leak_atomic_pages", "leak_work", "leak_thread", "leak_ctor", "leak_mempool")
MORE_ODD = (
    "leak_percpu",
    "leak_vmalloc",
    "leak_large",
    "leak_exact",
    "leak_frag",
    "leak_name",
    "leak_order_5",
    "leak_xarray",
    "leak_later",
)
STEADY = ("full_ring", "steady_pages", "steady_slab")
# What RCU frees, caches that drop any of their entries, reserves, other allocators; and buffers that grow, of which none is lost.
ODD_STEADY = ("full_cache", "steady_long", "steady_rcu", "freed_by_rcu", "steady_mempool", "steady_vmalloc", "steady_percpu")
GROWN = ("grow_krealloc",)
WINDOWS = {"kinds": (KINDS, MORE_KINDS), "odd": (ODD, MORE_ODD), "steady": (STEADY,), "odd_steady": (ODD_STEADY,), "grown": (GROWN,)}
SETTLE_S = {"steady": 30, "odd_steady": 65}
# Number of equal leaks or names, objects a second of each (0: its own), seconds, and what runs beside.
MANY = tuple("leak_many_%02d" % number for number in range(100))
RATES = {
    "17_sites": (MANY[:17], 0, 80, None),
    "100_sites": (MANY, 0, 80, None),
    "10_mb": (("myfs_alloc_inode",), 10240, 80, None),
    "1_kib": (("weak_slab",), 16, 300, None),
    "build": (KINDS, 0, 80, "build"),
}
STORMS = ("processes", "pipes", "sockets", "files", "memory", "namespaces", *COMMANDS)


def leak(kind, place, rate_bytes, freed_percent, parameters):
    """Return a leak of leaking.py that keeps so many bytes a second, and what it is called."""
    size = 4096 << parameters["order"] if kind == "page" else parameters["bytes"]
    rate = max(1, round(rate_bytes / size / (1 - freed_percent / 100)))
    wanted = {"rate": rate, "freed_percent": freed_percent, "place": place, **parameters}
    return {
        "ko": f"{KMODS}/test_{kind}_leak/test_{kind}_leak.ko",
        "type": kind,
        "parameters": {name: str(value) for name, value in wanted.items()},
    }


def cases(rate_bytes, window_s, every_share):
    """Yield the cases: all sizes, each with every share that is freed again, or with one of them in turn."""
    for index, sizes in enumerate(zip(SLABS, PAGES, VMALLOCS, strict=True)):
        for percent in FREED_PERCENT if every_share else FREED_PERCENT[index % 3 :][:1]:
            kinds = zip(("slab", "page", "vmalloc"), itertools.islice(itertools.cycle(PLACES), index, None), sizes, strict=False)
            leaks = [leak(kind, place, rate_bytes, percent, parameters) for kind, place, parameters in kinds]
            yield {"window_s": window_s, "options": OPTIONS, "leaks": leaks}


def evaluated(case, result):
    """Yield a row a leak: what it was, what was said of it, and by how much the rate was off."""
    data = result["data"]
    for truth, made in zip(result["truth"], case["leaks"], strict=True):
        own = [row for row in data["leaks"] if row["module"] == truth["module"]]
        found = next((row for row in own if row["type"] == truth["type"] and row["culprit"] == truth["culprit"]), None)
        row = {"kind": made["type"], **made["parameters"], "verdict": found["verdict"] if found else "missed"}
        if found:
            off = found["growth_bytes_per_s"] / truth["bytes_per_s"] - 1
            least, most = found["growth_ci95"]
            row.update(off_percent=round(100 * off, 1), held=least <= truth["bytes_per_s"] <= most, confidence=found["confidence"])
            row["sampled"] = found["sampled"]
            if found["verdict"] != "leak":
                row["reasons"] = found["reasons"]
        else:
            row["said"] = [(other["type"], other["culprit"], other["verdict"]) for other in own]
        known = [other["module"] for other in result["truth"]]
        others = [leak for leak in data["leaks"] if leak["module"] not in known]
        row["false"] = [(leak["type"], leak["culprit"]) for leak in others if leak["verdict"] == "leak"]
        row["degradations"], row["lost"], row["lowered"] = result["degradations"], result["lost"], data["budget"]["lowered"]
        yield row


def evaluated_kinds(kinds, result):
    """Yield a row a kind: its rate, and what was reported of the function of that name; then a row of all else."""
    data = result["data"]
    for kind in kinds:
        rows = [row for row in [*data["leaks"], *data["outstanding"]] if (row["culprit"], row["module"]) == (kind, "kernel_leaks")]
        truth, (least, most) = result["truth"][kind], (sum(row["growth_ci95"][end] for row in rows) for end in (0, 1))
        measured = round(sum(row["growth_bytes_per_s"] for row in rows))
        evaluated_row = {"kind": kind, "truth_bytes_per_s": round(truth), "bytes_per_s": measured}
        evaluated_row.update(verdicts=[row["verdict"] for row in rows], held=least <= truth <= most, ci95=[round(least), round(most)])
        evaluated_row.update({name: [row[name] for row in rows] for name in ("type", "confidence", "sampled", "corroborated")})
        evaluated_row["stacks"] = [row["stack"][:12] for row in rows if len(rows) > 1 or not rows[0]["verdict"] == "leak"]
        yield {**evaluated_row, "reasons": [row["reasons"][:2] for row in rows]}
    others = [row for row in data["leaks"] if row["module"] != "kernel_leaks" or row["culprit"] not in kinds]
    rest = {"others": [(row["verdict"], row["type"], row["culprit"], row["module"], row["stack"][:6]) for row in others]}
    rest.update(verdict=data["verdict"], degradations=result["degradations"], lost=result["lost"], budget=data["budget"])
    yield {**rest, "suspects": data["triage"]["suspects"]}


def stormed(on_machine, kind, seconds):
    """Return what was said of one storm."""
    arguments = ("work", COMMANDS[kind], seconds) if kind in COMMANDS else ("storm", kind, seconds)
    result = on_machine.run(ON_HOST, *arguments)
    data = result["data"]
    found = [(row["verdict"], row["type"], row["culprit"], row["confidence"], row["bytes_outstanding"]) for row in data["leaks"]]
    return {
        "verdict": data["verdict"],
        "found": found,
        "degradations": result["degradations"],
        "lost": result["lost"],
        "budget": data["budget"],
    }


def measured_sites(on_machine, window_s, seed):
    """Yield a row for each site of drawn patterns, and one for each window: how many of each pattern were called what."""
    draw = random.Random(seed)
    windows = [[pattern] * SITES_EACH for pattern in still.STILL * SITES_WINDOWS]
    windows += [["leak"] * 3 + [draw.choice(still.STILL) for _site in range(SITES_EACH - 3)] for _window in range(MIXED_WINDOWS)]
    for patterns in windows:
        sites = [still.site(draw, pattern, window_s) for pattern in patterns]
        case = {"window_s": window_s, "options": dict(OPTIONS, top=200, min_bytes=0), "sites": sites, "settle_s": still.settle_s(sites)}
        (result,) = on_machine.run(LEAKING, json.dumps([{**case, "ko": f"{KMODS}/kernel_leaks/kernel_sites.ko"}]))
        data, called = result["data"], collections.Counter()
        for number, specification in enumerate(sites):
            name = f"site_{number:02d}"
            rows = [row for row in [*data["leaks"], *data["outstanding"]] if (row["culprit"], row["module"]) == (name, "kernel_sites")]
            verdicts = sorted({row["verdict"] for row in rows}, key=("leak", "suspect", "clean", "unknown").index) or ["none"]
            pattern = specification.partition(":")[0]
            called[f"{pattern} {verdicts[0]}"] += 1
            if (pattern == "leak") != (verdicts[0] == "leak"):
                own = [
                    {key: row[key] for key in ("type", "confidence", "reasons", "ages", "growth_bytes_per_s", "sampled")} for row in rows
                ]
                yield {"site": specification, "verdict": verdicts[0], "truth": result["truth"][name], "rows": own}
        others = [(row["type"], row["culprit"], row["module"]) for row in data["leaks"] if row["verdict"] == "leak"]
        others = [row for row in others if row[2] != "kernel_sites"]
        yield {"window_s": window_s, "called": called, "others": others, "lost": result["lost"], "degradations": result["degradations"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("machine", choices=list(cache.releases()))
    parser.add_argument("parts", nargs="*", default=[*LEAKS, "storms"])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--window", type=int, nargs="*", help="windows in seconds; else 20 and 80, and those of each rate")
    parser.add_argument("--memory", type=int, default=MEMORY_MIB, help="MiB of the machine: leaks stay until the window is over")
    parser.add_argument("--seed", type=int, default=1, help="of the sites that are drawn")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(args.machine, cache.ensure(args.machine), Path(folder) / "console", memory_mib=args.memory).wait()
        try:
            measure(machine, args, Path(folder))
        finally:
            machine.stop()


def measure(machine, args, folder):
    on_machine = OnMachine(machine, REPO)
    # Built by the machine's own compiler, without emulation.
    shutil.copytree(REPO / "kmods", folder / "kmods")
    shutil.copytree(REPO / "tests/fleet/kernel_leaks", folder / "kmods/kernel_leaks")
    cache.build_modules(machine.name, folder / "kmods")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(folder / "kmods", "kmods")
        for path in SENT:
            tar.add(REPO / path, f"tests/ansible_collections/ksysak/fleet/{path}")
    unpacked = machine.run("tar -xf - -C /root", archive.getvalue())
    if unpacked.returncode:
        sys.exit(unpacked.stderr.decode(errors="replace"))
    kernel = machine.run("uname -r").stdout.decode().strip()
    for part, wanted in LEAKS.items():
        for case in cases(*wanted) if part in args.parts else ():
            (result,) = on_machine.run(LEAKING, json.dumps([case]))
            for row in evaluated(case, result):
                print(json.dumps({"kernel": kernel, "part": part, **row}), flush=True)
    kinds_of = [(part, kinds) for part in WINDOWS if part in args.parts for kinds in WINDOWS[part]]
    for window_s, (part, kinds) in itertools.product(args.window or (20, 80), kinds_of):
        case = {"window_s": window_s, "options": OPTIONS, "ko": f"{KMODS}/kernel_leaks/kernel_leaks.ko", "kinds": kinds}
        case.update(settle_s=SETTLE_S.get(part, 1), parameters={"later_ms": window_s * 500})
        (result,) = on_machine.run(LEAKING, json.dumps([case]))
        for row in evaluated_kinds(kinds, result):
            print(json.dumps({"kernel": kernel, "part": part, "window_s": window_s, **row}), flush=True)
    for name, (kinds, rate, own_s, beside) in RATES.items():
        for window_s in args.window or (own_s,) if {"rates", name}.intersection(args.parts) else ():
            many = len(set(kinds).intersection(MANY))
            case = {"window_s": window_s, "options": dict(OPTIONS, top=200), "ko": f"{KMODS}/kernel_leaks/kernel_leaks.ko"}
            case.update(kinds=[] if many else kinds, parameters={"many": many, "rate": rate}, beside=COMMANDS.get(beside))
            (result,) = on_machine.run(LEAKING, json.dumps([case]))
            for row in evaluated_kinds(kinds, result):
                print(json.dumps({"kernel": kernel, "part": name, "window_s": window_s, **row}), flush=True)
    if "sites" in args.parts:
        for row in measured_sites(on_machine, (args.window or [20])[0], args.seed):
            print(json.dumps({"kernel": kernel, "part": "sites", **row}), flush=True)
    if "storms" in args.parts:
        for run, kind in itertools.product(range(args.runs), STORMS):
            print(json.dumps({"kernel": kernel, "run": run, "storm": kind, **stormed(on_machine, kind, args.seconds)}), flush=True)


if __name__ == "__main__":
    main()
