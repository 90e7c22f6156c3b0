# SPDX-License-Identifier: GPL-3.0-or-later
"""Every variant of every BPF text is C that clang accepts, in the project's format, and C that is wrong is found."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.bpf import text as blocked
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import program, stacks
from ansible_collections.ksysak.fleet.plugins.module_utils._interference import bpf as interference
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak import bpf as memleak, tracing
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import accounts, scheduler, text as runlatency
from ansible_collections.ksysak.fleet.tests.gates.bpf_dialect import TRACEPOINTS, errors_of, write_headers


def _runlatency():
    targets = {"all": (None, None), "tid": (1024, None), "comm": (None, "fifteen bytes !")}
    typed = {**{name: 8 * number for number, name in enumerate(scheduler.PATHS)}, "STATE_GIVEN": False}
    offsets = {
        "btf": {"run_queue": (640, 8, 4), "pid": 2000, "groups": (1000, 24, 48, 104), "events": typed, "rings": 6},
        "no-btf": {"run_queue": None, "pid": 0, "groups": None, "events": None, "rings": accounts.rings("4.19.0-27-amd64")},
        "v2": {"run_queue": (640, 8, 4), "pid": 2000, "groups": "v2", "events": {**typed, "STATE_GIVEN": True}, "rings": 4},
    }
    for syscall_us, target, known in itertools.product((None, 20000), targets, offsets):
        threads, comm = targets[target]
        options = {"runq_us": 1000, "irqoff_us": 10000, "nosched_us": 8000, "syscall_us": syscall_us, "comm": comm}
        yield f"{target}-{known}-{'syscall' if syscall_us else 'nosyscall'}", runlatency.text(options, threads, offsets[known], 256)


def _interference():
    every = [name for name, _row in interference.VECTORS]
    timers = ((), ("hrtimer",), ("timer",), ("hrtimer", "timer"))
    causes = ((), [event for event, *_rest in interference.CAUSE_EVENTS])
    for vectors, pid, nmi, kinds, starters, caused in itertools.product(
        ((), every), (0, 4711), (False, True), timers, (False, True), causes
    ):
        name = f"{len(vectors)}vectors-pid{pid}-nmi{nmi:d}-{'+'.join(kinds) or 'notimers'}-starters{starters:d}-{len(caused)}causes"
        yield name, interference.text(vectors, pid, nmi, kinds, starters, caused)
        if kinds or starters:
            yield name + "-raw", interference.text(vectors, pid, nmi, kinds, starters, caused, {"hrtimer": 40, "timer": 24})


def _memleak():
    """What tracing.BccEngine chooses from: a layout of slab events, with or without each other type."""
    raw = {"fields": False, "sizes": True, "cache": True}
    slab = {"noslab": []}
    for layout, nodes, bulk in itertools.product(raw, (False, True), (False, True)):
        found = memleak.frees(raw[layout]) + memleak.slab(layout, nodes) + (_bulk(layout) if bulk else [])
        slab[f"{layout}-nodes{nodes:d}-bulk{bulk:d}"] = found
    bulk_pages = memleak.bulk_pages("__alloc_pages_bulk", "ctx->r9")
    pages = {"nopages": [], "pages": memleak.pages(False), "rawpages": memleak.pages(True), "bulkpages": memleak.pages(True) + bulk_pages}
    percpu = {"nopercpu": [], "percpu": memleak.percpu()}
    vmalloc = {"novmalloc": [], "vmalloc": memleak.vmalloc(None), "vmallocprobe": memleak.vmalloc("__vmalloc_node_range")}
    parts = (slab, pages, percpu, vmalloc)
    for index, part in enumerate(parts):  # no part uses another: each alternative alone, and beside the longest of all others
        for name, functions in part.items():
            beside = [max(other.values(), key=_length) if number != index else functions for number, other in enumerate(parts)]
            for kind, chosen in (("alone", functions), ("all", sum(beside, []))):
                if chosen:
                    entries = [(0xFFFFFFFF81000000, 0xFFFFFFFF81000400), (0xFFFFFFFF82000000, 0xFFFFFFFF82000010)]
                    yield f"{name}-{kind}", memleak.text(chosen, 12345, stacks.DEPTH, 4, (96, 28, 8), entries if kind == "all" else ())


def _bulk(layout):
    return memleak.bulk_frees() + (memleak.bulk_allocations() if layout == "cache" else [])


def _blocked():
    needed = {name: 8 * number for number, name in enumerate(sorted(blocked.NEEDED))}
    of_locks = {name: 8 * number for number, name in enumerate(sorted(blocked.OF_LOCKS))}
    for locks, device, threshold_ms in itertools.product((None, of_locks), (False, True), (1, 50, 3600000)):
        name = f"{'locks' if locks else 'nolocks'}-device{device:d}-{threshold_ms}ms"
        yield name, blocked.text(threshold_ms * 10**6, 10**7, 4711, needed, locks, device)


def _length(functions):
    return sum(len(function.text) for function in functions)


PROBES = {"runlatency": _runlatency, "interference": _interference, "memleak": _memleak, "blocked": _blocked}


@pytest.fixture(scope="module")
def headers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("headers")
    write_headers(folder)
    return folder


def _whole(text):
    return program._GATE + text


@pytest.mark.parametrize("name", PROBES)
def test_every_variant_compiles(headers, name):
    variants = {text: variant for variant, text in PROBES[name]()}  # some options change only what is attached
    assert len(variants) > 1
    assert errors_of(headers, {variant: _whole(text) for text, variant in variants.items()}) == ""


MUTATIONS = {
    "syntax": (r"return 0;", "return 0"),
    "undeclared function": (r"bpf_ktime_get_ns\(\)", "bpf_ktime_get_nanoseconds()"),
    "undeclared name": (r"\bzero = 0", "one = 0"),
    "undeclared map": (r"\b\w+\.lookup\(", "no_such_map.lookup("),
    "unknown method": (r"\.lookup\(", ".look_up("),
    "too many arguments": (r"bpf_ktime_get_ns\(\)", "bpf_ktime_get_ns(0)"),
    "too few arguments": (r"bpf_get_current_comm\(([^,]+), [^;]+\);", r"bpf_get_current_comm(\1);"),
    "too many arguments of a function of the text": (r"gate_is_open\(\)", "gate_is_open(1)"),
    "too few arguments of a method": (r"\.lookup\(&\w+\)", ".lookup()"),
    "value for a key": (r"\.lookup\(&(\w+)\)", r".lookup(\1)"),
    "unknown member": (r"->total_ns|->born|->count\b", "->no_such_member"),
    "argument that the probe does not require": (r"args->(\w+)", r"args->common_pid"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("name", PROBES)
def test_a_text_that_is_wrong_does_not_compile(headers, name, mutation):
    """In the longest variant, at its last place."""
    text = max((text for _variant, text in PROBES[name]()), key=len)
    pattern, wrong = MUTATIONS[mutation]
    places = list(re.finditer(pattern, text))
    if not places and mutation == "argument that the probe does not require":
        text = next(text for _variant, text in PROBES[name]() if "args->" in text)
        places = list(re.finditer(pattern, text))
    mutated = text[: places[-1].start()] + places[-1].expand(wrong) + text[places[-1].end() :]
    assert errors_of(headers, {"right": _whole(text)}) == ""
    assert "error:" in errors_of(headers, {"wrong": _whole(mutated)})


def test_a_probe_requires_each_argument_that_its_text_reads():
    """Without such a requirement a kernel that lost the argument fails with a compiler's message."""
    required = {"sched:" + event: set(fields) for event, fields in scheduler.FIELDS.items()}
    required.update((event, set(fields)) for rows in tracing._NEEDED.values() for event, fields in rows)
    assert {event: set(TRACEPOINTS[event]) for event in required} == required


@pytest.fixture
def formatted(repo, tmp_path):
    """``formatted({name: text})``: return the C texts that clang-format would change."""
    formatter = Path(sys.executable).with_name("clang-format")

    def check(texts, style=".clang-format"):
        for name, text in texts.items():
            (tmp_path / name).write_text(text)
        command = [formatter, "--dry-run", "--Werror", f"--style=file:{repo / style}", *texts]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == (done.stderr == "")
        return done.stderr

    return check


def test_bpf_texts_are_formatted(formatted):
    texts = {f"{variant}.c": text for name in PROBES for variant, text in PROBES[name]()}
    assert formatted(texts) == ""
    assert "clang-format-violations" in formatted({"wrong.c": texts.popitem()[1].replace("  return", " return")})


def test_kernel_modules_are_formatted(repo, files, formatted):
    texts = {name.name: (repo / name).read_text() for name in files if name.parts[0] == "kmods" and name.suffix in (".c", ".h")}
    assert texts
    assert formatted(texts, "kmods/.clang-format") == ""
