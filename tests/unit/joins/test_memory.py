# SPDX-License-Identifier: GPL-3.0-or-later
"""Growth that programs hold and allocation sites become causes: each with its owner, and what nobody holds is a leak."""

import re

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._memory import kinds
from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import build
from ansible_collections.ksysak.fleet.plugins.plugin_utils.joins.joins import joined
from ansible_collections.ksysak.fleet.plugins.plugin_utils.joins.memory import causes
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema import validate
from ansible_collections.ksysak.fleet.tests import fleet_data as data


def site(function="any_function", per_s=200.0, size=512, call="any_call", who=None, **changes):
    """One site of memleak, of the core kernel, by the system calls of app[1234]."""
    rate = {"objects_outstanding": int(per_s * 20), "bytes_outstanding": int(per_s * 20) * size, "growth_bytes_per_s": per_s * size}
    place = {"module": None, "culprit": function, "cache": f"cache-{size}", "context": "system_call" if call else "interrupt"}
    stack = ["__kmalloc+0x1", f"{function}+0x7", f"__x64_sys_{call}+0x1" if call else "__do_softirq+0x1"]
    allocators = who if who is not None else [data.allocator()] if call else []
    found = {**data.outstanding(), **data.LEAK, "verdict": "suspect", "confidence": 0.6, **rate, **place, "stack": stack}
    return {**found, "system_call": call, "allocators": allocators, **changes}


def row(kind="posix_timer", per_s=200.0, bytes_each=300, name="app", pid=1234, **changes):
    """A row of memory's growth, of app[1234]."""
    owner = data.owner(name, pid=pid, cgroup=f"/system.slice/{name}.service", unit=f"{name}.service", **changes)
    rate = per_s * bytes_each if bytes_each is not None else None
    return {**data.growing(kind, per_s), "owner": owner, "bytes_per_s": rate}


def found(rows=(), sites=(), suspects=(), caches=(), outstanding=()):
    memleak = data.memleak(*sites)
    memleak["triage"]["suspects"], memleak["triage"]["caches"] = list(suspects), list(caches)
    memleak["outstanding"] = list(outstanding)
    made = causes(data.memory(growth=list(rows)), memleak)
    validate._check(validate._validator("causes", 1), made, ["causes"])
    return made


def told(made):
    return [(cause["kind"], cause["owner"]["name"], cause["held"], len(cause["sites"]), len(cause["growth"])) for cause in made]


def counter(name, bytes_per_s, kind="slab", explained=0.0):
    rate = {"bytes": int(bytes_per_s * 20), "bytes_per_s": bytes_per_s, "explained_bytes_per_s": explained}
    return {"type": kind, "counter": name, "by": "growth", **rate}


def test_what_a_process_allocates_as_it_holds_more_is_one_cause():
    sites = [site("make", 200, 328), site("queue", 200, 80), site("pages", 9, 4096, type="page", cache=None)]
    (cause,) = found([row()], sites, [counter("SUnreclaim", 82000.0, explained=81600.0)])
    assert told([cause]) == [("posix_timer", "app", "yes", 3, 1)]
    assert cause["kernel_bytes_per_s"] == pytest.approx(200 * 408 + 9 * 4096)
    assert cause["by_type"]["page"] == pytest.approx(9 * 4096) and cause["memory"] == "kernel"
    assert cause["maker"]["system_call"] == "any_call" and [one["counter"] for one in cause["counters"]] == ["SUnreclaim"]


def test_threads_and_workers_of_a_program_are_its_own():
    workers = [data.allocator(pid=pid, share=0.25) for pid in (1234, 1235, 1236, 1237)]
    rows = [row(pid=pid, per_s=50.0) for pid in (1234, 1235, 1236, 1237)]
    (cause,) = found(rows, [site(per_s=200, who=workers)])
    assert told([cause]) == [("posix_timer", "app", "yes", 1, 4)] and cause["processes"] == 4
    forked = [data.allocator(pid=None, processes=90, ended=True, cgroup=None, unit=None)]
    assert told(found([row("zombie", 20.0)], [site(per_s=20, who=forked)])) == [("zombie", "app", "yes", 1, 1)]


def test_ends_of_a_pair_that_are_made_on_two_ways_are_the_pairs():
    """A command makes both ends of a pair of devices: each way has half the rate."""
    ended = [data.allocator("ip", pid=None, processes=40, ended=True, cgroup=None, unit=None)]
    ways = [site("ipv6_add_dev", 4.7, 4096, "sendmsg", ended, stack=["__kmalloc+0x1", "ipv6_add_dev+0x7", f"way_{n}+0x1"]) for n in (1, 2)]
    assert told(found([row("network_device", 9.4, 40000)], ways)) == [("network_device", "app", "yes", 2, 1)]
    assert len(found([row("network_device", 30.0, 40000)], ways)) == 2


def test_received_data_is_held_by_who_does_not_read_it():
    """The sender allocates; head and data of a buffer are two sites, and their sum is what the queue grew by."""
    sender = [data.allocator("sender", 77)]
    sites = [site("append", 1500, 1024, "sendto", sender), site("append", 1500, 256, "sendto", sender)]
    (cause,) = found([row("udp_unread", None or 0.0, None) | {"per_s": None, "bytes_per_s": 1500 * 1280.0}], sites)
    assert told([cause]) == [("udp_unread", "app", "yes", 2, 1)]
    assert (cause["maker"]["name"], cause["maker"]["system_call"]) == ("sender", "sendto")
    softirq = [site("receive", 1500, 1024, None), site("receive_head", 1500, 256, None)]
    assert told(found([row("udp_unread") | {"per_s": None, "bytes_per_s": 1500 * 1300.0}], softirq)) == [("udp_unread", "app", "yes", 2, 1)]


def test_what_an_interrupt_allocates_belongs_to_what_grows_by_as_many():
    assert told(found([row("tcp_time_wait", 800.0)], [site("any", 790, 256, None)])) == [("tcp_time_wait", "app", "yes", 1, 1)]
    apart = found([row("tcp_time_wait", 800.0)], [site("any", 300, 256, None, verdict="leak")])
    assert sorted(told(apart)) == [("leak", "any", "no", 1, 0), ("tcp_time_wait", "app", "yes", 0, 1)]


def test_objects_of_a_cache_of_one_kind_are_the_things_of_that_kind():
    waiting = row("tcp_time_wait", 277.0, bytes_each=256)
    from_interrupts = {"per_s": 540, "size": 256, "call": None}
    assert told(found([waiting], [site(**from_interrupts, cache="tw_sock_TCP")])) == [("tcp_time_wait", "app", "yes", 1, 1)]
    # Things of another kind, or far more of them: nobody holds these.
    for rows, changes in (([row("socket", 277.0)], {"cache": "tw_sock_TCP"}), ([waiting], {"cache": "tw_sock_TCP", "per_s": 5400})):
        assert [cause["held"] for cause in found(rows, [site(**{**from_interrupts, **changes})])] == ["no", "yes"]


def test_memory_of_a_program_explains_no_kernel_memory_but_what_describes_it():
    grown = row("anonymous_memory", None or 0.0, None) | {"per_s": None, "bytes_per_s": 4e6}
    table = site("table", 2, 4096, None, [data.allocator()], context="exception", type="page", cache=None)
    assert told(found([grown], [table])) == [("anonymous_memory", "app", "yes", 1, 1)]
    both = found([grown], [site("timer", 2000, 300, "timer_create")])
    assert told(both) == [("anonymous_memory", "app", "yes", 0, 1), ("kernel_memory", "app", "likely", 1, 0)]
    assert both[0]["memory"] == "program"
    assert sorted(told(found([grown], [site("softirq", 900, 4000, None)])))[1][:3] == ("leak", "softirq", "no")


def test_what_one_process_allocates_by_system_calls_is_likely_its_own():
    (cause,) = found([], [site("f", 10, 512, "keyctl"), site("g", 90, 64, "keyctl")])
    assert told([cause]) == [("kernel_memory", "app", "likely", 2, 0)]
    assert (cause["owner"]["pid"], cause["owner"]["unit"], cause["maker"]["system_call"]) == (1234, "app.service", "keyctl")


@pytest.mark.parametrize(
    "changes",
    [
        {"module": "acme"},
        {"call": None},
        {"context": "kernel_thread", "call": None, "who": [data.allocator("kworker/0:1", 9, kernel_thread=True)]},
        {"who": [data.allocator("a", 1, 0.5), data.allocator("b", 2, 0.5)]},
        {"who": [data.allocator("ls", None, processes=800, ended=True, cgroup=None, unit=None)]},
    ],
    ids=["module", "interrupt", "kernel thread", "many", "ended"],
)
def test_what_nobody_holds_is_a_leak(changes):
    (cause,) = found([], [site("leaks", **changes)])
    assert (cause["kind"], cause["owner"]["name"], cause["owner"]["type"], cause["held"]) == ("leak", "leaks", "kernel", "no")
    assert cause["evidence"][0].startswith("nobody holds it: ")


def test_a_modules_function_is_held_only_by_who_holds_as_many_things_more():
    """A driver leaks 200 objects a second in ioctl calls of app, which opens 50 files a second; or holds 200."""
    leak = site("acme_ioctl", 200, 1024, "ioctl", module="acme", verdict="leak", confidence=0.97)
    assert sorted(told(found([row("file", 50.0)], [leak]))) == [("file", "app", "yes", 0, 1), ("leak", "acme_ioctl", "no", 1, 0)]
    assert told(found([row("file", 205.0)], [leak])) == [("file", "app", "yes", 1, 1)]
    assert len(found([row("file", 205.0, name="other", pid=99)], [leak])) == 2


def test_objects_that_a_leak_brings_with_it_are_no_leaks_of_their_own():
    outer = site("acme_open", 40, 512, None, module="acme", stack=["__kmalloc+0x1", "acme_open+0x7 [acme]", "w+0x1"])
    inner = site(
        "acme_buffer", 41, 2048, None, module="acme", stack=["__kmalloc+0x1", "acme_buffer+0x7 [acme]", "acme_open+0x9 [acme]", "w+0x1"]
    )
    (cause,) = found([], [outer, inner])
    assert (cause["owner"]["name"], len(cause["sites"])) == ("acme_buffer", 2)
    other = {**inner, "culprit": "acme_close", "stack": ["__kmalloc+0x1", "acme_close+0x7 [acme]", "w+0x1"]}
    faster = {**inner, "objects_outstanding": 2 * inner["objects_outstanding"], "growth_bytes_per_s": 2 * inner["growth_bytes_per_s"]}
    faster["bytes_outstanding"] *= 2
    assert len(found([], [outer, other])) == 2 and len(found([], [outer, faster])) == 2


def test_what_processes_of_one_command_leave_behind_is_one_cause():
    ended = {"processes": 90, "ended": True, "cgroup": None, "unit": None}
    ip, mount = [data.allocator("ip", None, **ended)], [data.allocator("mount", None, **ended)]
    sites = [site("device", 20, 4096, "sendmsg", ip), site("queue", 80, 512, "sendmsg", ip), site("mount", 20, 300, "mount", mount)]
    assert [(cause["owner"]["name"], len(cause["sites"]), cause["maker"]["name"]) for cause in found([], sites)] == [
        ("device", 2, "ip"),
        ("mount", 1, "mount"),
    ]
    veth = {**row("network_device", 20.0, None), "owner": data.owner("host", type="host", pid=None, cgroup=None, unit=None)}
    held = found([veth], sites[:2])
    assert told(held) == [("network_device", "host", "yes", 2, 1)] and held[0]["maker"]["name"] == "ip"


def test_a_hundred_leaks_at_the_same_rate_are_a_hundred_causes():
    sites = [site(f"leak_{number}", 20, 512, None, module="acme") for number in range(40)]
    assert len(found([], sites)) == 40


def test_what_is_counted_twice_belongs_to_the_process():
    host = {**row("network_namespace", 3.0, 30000), "owner": data.owner("host", type="host", pid=None, cgroup=None, unit=None)}
    (cause,) = found([row("file", 3.1), host], [])
    assert told([cause]) == [("network_namespace", "app", "yes", 0, 2)]
    mount = {**row("tmpfs", 0.0, None), "per_s": None, "bytes_per_s": 5e6, "owner": {**host["owner"], "type": "mount", "name": "/tmp"}}
    assert len(found([row("socket", 400.0), mount], [])) == 2


def test_a_cache_that_grows_by_as_much_hides_no_cause():
    everywhere = data.owner("all file systems", type="host", pid=None, cgroup=None, unit=None)
    caches = {**row("inode", 21000.0, 190), "owner": everywhere}
    unsent = row("tcp_unsent", 4.0, None) | {"bytes_per_s": 21000.0 * 190}
    pages = site("frag", 122, 32768, "sendto", type="page", cache=None)
    assert sorted(told(found([caches, unsent], [pages]))) == [
        ("inode", "all file systems", "yes", 0, 1),
        ("tcp_unsent", "app", "yes", 1, 1),
    ]


def test_who_makes_what_no_process_holds_is_named():
    slice_ = data.owner("/leak", type="cgroup", pid=None, cgroup="/leak", unit=None)
    sites = [
        site("css", 40, 2048, "mkdir"),
        site("files", 520, 128, "mkdir"),
        site("counters", 40, 8192, "mkdir", type="percpu", cache=None),
    ]
    (cause,) = found([{**row("cgroup", 40.0, None), "owner": slice_}], sites)
    assert told([cause]) == [("cgroup", "/leak", "yes", 3, 1)] and cause["maker"]["name"] == "app"


def test_a_site_that_other_growth_excuses_is_a_cause_when_its_cache_grows_steadily():
    sizes = [{"cache": "cache-192", "object_bytes": 192, "objects_delta": 38000, "bytes_delta": 7296000}]
    areas = site("area", 1950, 192, "mmap", verdict="clean", confidence=0.3)
    (cause,) = found([], [], [counter("cache-192", 370000.0)], sizes, [areas])
    assert told([cause]) == [("kernel_memory", "app", "likely", 1, 0)] and len(cause["counters"]) == 1
    assert found([], [], [], sizes, [areas]) == []
    assert [one["kind"] for one in found([], [], [counter("cache-192", 370000.0)], sizes, [{**areas, "reclaimable": True}])] == ["counter"]
    strangers = found([row("socket", 94.0, 3600, "server", 7)], [], [counter("cache-192", 370000.0)], sizes, [areas])
    assert sorted(told(strangers)) == [("kernel_memory", "app", "likely", 1, 0), ("socket", "server", "yes", 0, 1)]


def test_counters_that_causes_explain_are_none_of_their_own():
    sizes = [{"cache": "cache-300", "object_bytes": 300, "objects_delta": 4000, "bytes_delta": 1200000}]
    cache, total = counter("cache-300", 60000.0), counter("SUnreclaim", 66000.0)
    (cause,) = found([row()], [], [total, cache], sizes)
    assert told([cause]) == [("posix_timer", "app", "yes", 0, 1)] and [one["counter"] for one in cause["counters"]] == [
        "cache-300",
        "SUnreclaim",
    ]
    unknown = site(per_s=170, size=300, cache=None)
    assert len(found([], [unknown], [cache], sizes)) == 1 and len(found([], [{**unknown, "cache": "other"}], [cache], sizes)) == 2
    twice = found([], [site(per_s=100, size=4096)], [cache], sizes)
    assert [one["counter"] for one in twice[0]["counters"]] == ["cache-300"] and len(twice) == 1
    assert len(found([], [site(per_s=130, size=4096)], [cache], sizes)) == 2
    alone = found([], [], [total, cache], sizes)
    assert [(one["kind"], one["owner"]["name"], one["bytes_per_s"]) for one in alone] == [("counter", "SUnreclaim", 66000.0)]
    assert found([], [], [counter("SUnreclaim", 66000.0, explained=40000.0)]) == []
    (locks,) = found(
        [row("file_lock", 150.0, 192)],
        [],
        [counter("file_lock_cache", 32000.0, explained=20000.0)],
        [{**sizes[0], "cache": "file_lock_cache"}],
    )
    assert locks["kernel_bytes_per_s"] == 32000.0
    assert [one["kind"] for one in found([row()], [], [counter("unaccounted", 9e5, "page")])] == ["counter", "posix_timer"]


def test_the_cause_of_most_bytes_is_first():
    rows = [row("socket", 20.0, 3000, "a", 1), row("pipe", 300.0, 3000, "z", 2), row("key", 100.0, 3000, "m", 3)]
    assert [cause["owner"]["name"] for cause in found(rows)] == ["z", "m", "a"]


def test_one_probe_alone_is_enough():
    assert told(causes(data.memory(growth=[row()]), None)) == [("posix_timer", "app", "yes", 0, 1)]
    assert told(causes(None, data.memleak(site()))) == [("kernel_memory", "app", "likely", 1, 0)]
    assert causes(None, None) == []


def with_causes(rows, sites):
    document = data.host("web1")
    document["probes"]["memleak"]["data"] = data.memleak(*sites)
    document["probes"]["memory"]["data"] = data.memory(growth=list(rows))
    return document


def test_a_finding_names_kind_owner_and_numbers_once():
    sites = [site("make", 2000, 240, "timer_create"), site("queue", 2000, 80, "timer_create")]
    findings, problems = load().findings(with_causes([row("posix_timer", 2000.0)], sites))
    assert problems == [] and [finding["rule"] for finding in findings] == ["memory-held-growth"]
    (finding,) = findings
    assert finding["title"] == "POSIX timers of app[1234] (app.service) grow by 2000/s: 625 KiB/s of kernel memory"
    assert (finding["severity"], finding["category"], finding["probes"]) == ("warning", "resource", ["memleak", "memory"])
    assert "First check: ls -l /proc/4242/fd" in finding["remedy"] and len(finding["evidence"]["sites"]) == 2


def test_a_finding_of_what_is_likely_held_says_so():
    (finding,) = load().findings(with_causes([], [site("f", 2000, 240, "timer_create")]))[0]
    assert finding["title"] == "Kernel memory allocated for app[1234] (app.service) by timer_create() grows by 469 KiB/s"
    assert finding["category"] == "resource" and "it is a kernel leak" in finding["remedy"]


def test_the_worst_growth_is_first_whatever_its_rule():
    small, large = site("small", 20, 512, None, verdict="leak"), site("f", 2000, 512, "timer_create")
    suspected = {**small, "verdict": "suspect"}
    findings, _problems = load().findings(with_causes([], [suspected, large]))
    assert [finding["rule"] for finding in findings] == ["memory-held-growth", "memleak-suspected"]
    findings, _problems = load().findings(with_causes([], [small, large]))
    assert [finding["severity"] for finding in findings] == ["error", "warning"]


def test_a_join_is_made_of_what_was_measured_alone():
    document = with_causes([row()], [site()])
    document["probes"]["memory"] = data.envelope("memory", {}, "failed", "no /proc", "mount it")
    assert [cause["held"] for cause in joined(document, {"causes"})["causes"]] == ["likely"]
    assert load().evaluate(document).outcomes["memory-held-growth"] == "fail"
    document["probes"]["memleak"] = data.envelope("memleak", {}, "skipped", "no bcc", "install it")
    assert load().evaluate(document).outcomes["memory-held-growth"] == "unknown"
    assert "causes" not in document


def test_sections_list_causes_with_their_parts_and_findings(tmp_path):
    leak = {**data.outstanding(), **data.LEAK}
    document = with_causes([row("posix_timer", 2000.0)], [site("make", 2000, 240, "timer_create"), leak])
    fleet = build.build(data.write(tmp_path, [document]), load())
    validate.validate(fleet)
    findings = {group["id"]: group["rule"] for group in fleet["findings"]}
    listed = [(row["kind"], row["owner"], row["held"], findings[row["finding"]], len(row["parts"])) for row in fleet["leaks"]["causes"]]
    assert listed == [
        ("posix_timer", "app", "yes", "memory-held-growth", 2),
        ("leak", "acme_rx_refill", "no", "memleak-suspected", 1),
    ]
    assert [part["what"] for part in fleet["memory"]["causes"][0]["parts"]] == ["posix_timer", "slab"]
    assert [row["kind"] for row in fleet["memory"]["causes"]] == ["posix_timer"]


def test_what_fills_memory_soonest_is_the_first_group(tmp_path):
    """Of one severity, whatever the titles' letters: 928 KiB/s before 72 KiB/s."""
    rows = [row("key", 2000.0, 36, "aaa", 1), row("pipe", 2000.0, 475, "zzz", 2)]
    fleet = build.build(data.write(tmp_path, [with_causes(rows, [])]), load())
    titles = [group["title"] for group in fleet["findings"] if group["rule"] == "memory-held-growth"]
    assert [re.search(r"(\w+)\[", title)[1] for title in titles] == ["zzz", "aaa"]


def test_sets_of_kinds_have_kinds_of_the_table():
    for names in (kinds.PROGRAM_MEMORY, kinds.LASTING_MEMORY, kinds.QUEUES, kinds.RECLAIMED):
        assert names <= kinds.BY_NAME.keys()


def test_what_no_process_holds_may_be_made_by_another_for_its_owner():
    """A routing daemon gives its routes to ip(8), which allocates them: one cause, which says both."""
    routes = row("route", per_s=4000.0, bytes_each=112, name="app-bgp", pid=77)
    ip = [data.allocator(comm="ip", pid=88)]
    (cause,) = found([routes], [site("fib_table_insert", per_s=4000.0, size=48, call="sendmsg", who=ip)])
    assert (cause["owner"]["name"], cause["kind"], cause["maker"]["name"]) == ("app-bgp", "route", "ip")
    # Sockets are held by processes: those of another are its own.
    two = found([row("socket", per_s=4000.0, name="app-bgp", pid=77)], [site("sock_alloc", per_s=4000.0, call="socket", who=ip)])
    assert sorted(cause["owner"]["name"] for cause in two) == ["app-bgp", "ip"]
