# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports are looked up among known bugs, by what they say and by the kernel that said it."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import scan_lines
from ansible_collections.ksysak.fleet.plugins.plugin_utils.known_bugs import known_bugs

BUG = {
    "id": "ksy-read", "subject": "ksy: do not read twice", "kinds": ["warning", "kasan"], "culprits": ["ksy_read"], "frames": ["ksy_open"],
    "module": "ksy", "introduced": "5.2", "fixed": ["5.10.9", "6.1.20", "6.6"], "references": ["https://example.org/ksy"],
}  # fmt: skip


def event(**changes):
    return {"kind": "warning", "culprit": "ksy_read", "trace": ["ksy_read", "ksy_open"], "context": {"modules": ["ksy"]}, **changes}


def ids(reported, *kernels):
    return [bug["id"] for bug in known_bugs.KnownBugs([BUG]).match(reported, set(kernels))]


@pytest.mark.parametrize(
    "changes", [{"kind": "oom"}, {"culprit": "other"}, {"culprit": None}, {"trace": ["ksy_read"]}, {"context": {"modules": ["other"]}}]
)
def test_all_that_a_bug_asks_for_must_be_there(changes):
    assert ids(event()) == ["ksy-read"] and ids(event(context={})) == ["ksy-read"]
    assert ids(event(**changes)) == []


@pytest.mark.parametrize(("kernel", "affected"), [
    ("6.1.19", True), ("6.1.20", False), ("6.1.103-109.184.amzn2023", False), ("6.1.0-18-amd64", None), ("5.14.0-427.el9.x86_64", None),
    ("5.10.8", True), ("6.6.0", False), ("6.6.0-rc1", None), ("6.12.3", False), ("6.12.0-1-amd64", False), ("4.19.300", None),
    ("5.15.0", None), ("custom", None),
])  # fmt: skip
def test_a_kernel_has_the_bug_or_the_fix_or_does_not_tell(kernel, affected):
    assert known_bugs.affected(BUG, kernel) is affected
    assert ids(event(), kernel) == ([] if affected is False else ["ksy-read"])


def test_a_bug_may_be_in_what_the_culprit_called():
    """The kernel's infrastructure is not blamed, and has bugs of its own; who called the culprit has no part."""
    for bug, found in (({**BUG, "culprits": ["ksy_helper"], "frames": []}, 1), ({**BUG, "culprits": ["ksy_open"], "frames": []}, 0)):
        reported = event(trace=["ksy_helper", "ksy_read", "ksy_open"])
        assert len(known_bugs.KnownBugs([bug]).match(reported, {"6.1.19"})) == found


def test_a_match_tells_what_is_the_same():
    """A function may have more than one bug."""
    same = {("culprit", "frames", "module"): event(), ("culprit", "frames"): event(context={})}
    for parts, reported in same.items():
        assert [match["matched_by"] for match in known_bugs.KnownBugs([BUG]).match(reported, set())] == [list(parts)]
    alone = {name: value for name, value in BUG.items() if name not in ("frames", "module")}
    assert [match["matched_by"] for match in known_bugs.KnownBugs([alone]).match(event(), set())] == [["culprit"]]


def test_one_kernel_without_the_fix_is_enough():
    assert [bug["affected"] for bug in known_bugs.KnownBugs([BUG]).match(event(), {"6.1.19", "6.12.3"})] == [True]


SHIPPED = known_bugs._read(known_bugs.DEFAULT)
HEADER = {
    "kasan": "BUG: KASAN: slab-use-after-free in {f}+0x1/0x10",
    "warning": "WARNING: CPU: 1 PID: 7 at net/ksy.c:7 {f}+0x1/0x10",
    "oops_page_fault": "BUG: kernel NULL pointer dereference, address: 0000000000000010",
    "gpf": "general protection fault, probably for non-canonical address 0xdead000000000100: 0000 [#1] SMP",
    "oops_trap": "divide error: 0000 [#1] SMP",
    "kernel_bug": "kernel BUG at fs/ksy.c:7!",
    "ubsan": "UBSAN: shift-out-of-bounds in fs/ksy.c:7:3",
    "soft_lockup": "watchdog: BUG: soft lockup - CPU#1 stuck for 22s! [ksyd:7]",
    "hung_task": "INFO: task ksyd:7 blocked for more than 120 seconds.",
}


def before(release):
    """The release that came before one of a list: 6.1.64 before 6.1.65."""
    head, _dot, patch = release.rpartition(".")
    return "%s.%d" % (head, int(patch) - 1)


@pytest.mark.parametrize("bug", SHIPPED, ids=[bug["id"] for bug in SHIPPED])
def test_a_log_of_a_shipped_bug_is_recognised_with_its_kernels(bug):
    """The scanner reads a log of the bug, and the list tells the kernels with it from those without."""
    culprit = bug.get("culprits", ["ksy_outer"])[0]
    release = next(release for release in bug["fixed"] if release.count(".") == 2 and not release.endswith(".0"))
    log = [
        HEADER[bug["kinds"][0]].format(f=culprit),
        "CPU: 1 PID: 7 Comm: ksyd Not tainted 6.1.0-0-amd64 #1 Debian %s-1" % before(release),
        *(["RIP: 0010:%s+0x1/0x10" % culprit] if bug["kinds"][0] != "hung_task" else []),
        "Call Trace:", *(" %s+0x1/0x10" % name for name in (culprit, *bug.get("frames", ()), "do_syscall_64")),
        *(["Modules linked in: %s(O)" % bug["module"]] if "module" in bug else []),
    ]  # fmt: skip
    [reported] = scan_lines("[    1.%06d] %s" % line for line in enumerate(log))
    upstream = reported["context"]["upstream"]
    assert upstream == before(release)
    assert [(match["id"], match["affected"]) for match in known_bugs.KnownBugs([bug]).match(reported, {upstream})] == [(bug["id"], True)]
    for fixed in (release, "99.0.1"):
        assert known_bugs.KnownBugs([bug]).match(reported, {fixed}) == []


def test_the_shipped_list():
    shipped = SHIPPED
    assert len(shipped) >= 150 and len({bug["id"] for bug in shipped}) == len(shipped) == len({bug["commit"] for bug in shipped})
    for bug in shipped:
        assert bug["references"][0].endswith("/" + bug["commit"]) and len(bug["commit"]) == 40
        modules = {"modules": [bug.get("module", "ksy")]}
        reported = event(kind=bug["kinds"][0], culprit=bug.get("culprits", [None])[0], trace=bug.get("frames", []), context=modules)
        assert bug["id"] in [found["id"] for found in known_bugs.load([]).match(reported, set())]


OWN = """\
schema: ksysak.known_bugs/1
bugs:
  - id: raid5d-waits-for-itself
    subject: ours
    kinds: [soft_lockup]
    culprits: [raid5d]
    references: [https://example.org/ours]
"""


def test_own_bugs_come_first_and_replace(tmp_path):
    (tmp_path / "own.yml").write_text(OWN)
    reported = event(kind="soft_lockup", culprit="raid5d", trace=[])
    assert [bug["subject"] for bug in known_bugs.load([str(tmp_path / "own.yml")]).match(reported, set())] == ["ours"]


@pytest.mark.parametrize(("text", "said"), [
    ("[", "not YAML"), ("bugs: []", "begins with"), (OWN.replace("    culprits: [raid5d]\n", ""), "bugs.0"),
    (OWN.replace("https", "http"), "bugs.0"),
    (None, "cannot be read"),
])  # fmt: skip
def test_wrong_files_are_named(tmp_path, text, said):
    path = tmp_path / "own.yml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(known_bugs.KnownBugsError, match=said) as raised:
        known_bugs.load([str(path)])
    assert str(path) in str(raised.value)
