# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of docs/upgrade.md: what a release may break, compared with the newest release that tests/released keeps."""

import copy
import json

import pytest
import yaml

from ansible_collections.ksysak.fleet.tests import released


@pytest.fixture(scope="module")
def interface():
    return released.current()


def breaking(repo):
    """Return the text of all changelog entries, of fragments, about what breaks."""
    fragments = [yaml.safe_load(path.read_text()) for path in (repo / "changelogs" / "fragments").glob("*.yml")]
    return "\n".join(entry for one in fragments for kind in ("breaking_changes", "removed_features") for entry in one.get(kind, []))


def test_every_release_is_kept(repo):
    """CONTRIBUTING.md names the command, which a release runs."""
    assert sorted(yaml.safe_load((repo / "changelogs" / "changelog.yaml").read_text())["releases"]) == sorted(released.versions())


def refused(broken, before, now, text):
    """Return what of broken a release may not break. before, now: versions; text: what the changelog says that it breaks."""
    (major, minor, _patch), (now_major, now_minor, _now_patch) = ([int(part) for part in version.split(".")] for version in (before, now))
    may = now_major > major or (now_major == 0 and now_minor > minor)
    return [what for what in broken if not may or what.split()[-3] not in text]


def test_what_the_newest_release_has_still_works_or_the_changelog_names_it(repo, interface):
    now = yaml.safe_load((repo / "galaxy.yml").read_text())["version"]
    for version in released.versions()[-1:]:
        broken = released.broken(json.loads((released.FOLDER / f"{version}.json").read_text()), interface)
        assert refused(broken, version, now, breaking(repo)) == []


@pytest.mark.parametrize(
    ("before", "now", "text", "allowed"),
    [
        ("1.2.3", "2.0.0", "scan - the option old is gone.", True),
        ("1.2.3", "2.0.0", "", False),
        ("1.2.3", "1.3.0", "scan - the option old is gone.", False),
        ("1.2.3", "1.2.4", "scan - the option old is gone.", False),
        ("0.1.0", "0.2.0", "scan - the option old is gone.", True),
        ("0.1.0", "0.2.0", "", False),
        ("0.1.0", "0.1.1", "scan - the option old is gone.", False),
    ],
)
def test_which_release_may_break(before, now, text, allowed):
    broken = ["module scan option old is gone"]
    assert refused(broken, before, now, text) == ([] if allowed else broken)


def gone(kind):
    def change(new):
        name = next(name for name in new["names"] if name.startswith(kind))
        new["names"].remove(name)
        return f"{name} is gone"

    return change


def at(new, *path):
    node = new["schemas"]
    for step in path:
        node = node[step]
    return node


ENVELOPE = ("host-1.json", "definitions", "envelope")


def required(new):
    at(new, *ENVELOPE)["required"].append("note")
    return "host-1.json/definitions/envelope/required was changed"


def renamed(new):
    fields = at(new, *ENVELOPE, "properties")
    fields["note"] = fields.pop("reason")
    return "host-1.json/definitions/envelope/properties/reason is gone"


def bounded(new):
    at(new, *ENVELOPE, "properties", "window_s")["maximum"] = 1
    return "host-1.json/definitions/envelope/properties/window_s/maximum was added"


def another_value(new):
    at(new, *ENVELOPE, "properties", "status")["enum"].append("odd")
    return "host-1.json/definitions/envelope/properties/status/enum was changed"


def without_a_file(new):
    del new["schemas"]["memleak-1.json"]
    return "memleak-1.json is gone"


def newer_ansible(new):
    new["requires_ansible"][1] += 1
    return "requires_ansible was raised"


@pytest.mark.parametrize(
    "change",
    [
        *(gone(kind) for kind in ("module scan", "module scan option", "role scan", "playbook", "filter", "callback", "rule", "rule runq")),
        required, renamed, bounded, another_value, without_a_file, newer_ansible,
    ],
)  # fmt: skip
def test_what_breaks_is_found(interface, change):
    new = copy.deepcopy(interface)
    assert released.broken(interface, new) == []
    what = change(new)
    assert released.broken(interface, new) == [what]


def test_what_is_added_breaks_nothing(interface):
    new = copy.deepcopy(interface)
    at(new, *ENVELOPE, "properties")["note"] = {"type": "string"}
    new["schemas"]["memleak-2.json"] = {}
    new["names"] += ["module other", "rule other"]
    assert released.broken(interface, new) == []


def test_names_of_all_kinds_are_kept(interface):
    for name in (
        "module memleak_facts option sample", "module memleak_facts option duration", "role scan main option ksysak_duration",
        "role report main option ksysak_fail_on", "playbook compliance", "filter findings", "callback exit_code",
        "rule runq-latency parameter delay_us", "rule events-lost", "module ground_truth",
    ):  # fmt: skip
        assert name in interface["names"], name
