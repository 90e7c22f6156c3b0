# SPDX-License-Identifier: GPL-3.0-or-later
"""Reports are looked up among known bugs, by what they say and by the kernel that said it."""

import pytest

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


def test_one_kernel_without_the_fix_is_enough():
    assert [bug["affected"] for bug in known_bugs.KnownBugs([BUG]).match(event(), {"6.1.19", "6.12.3"})] == [True]


def test_the_shipped_list():
    shipped = known_bugs._read(known_bugs.DEFAULT)
    assert len(shipped) >= 25 and len({bug["id"] for bug in shipped}) == len(shipped) == len({bug["commit"] for bug in shipped})
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
