# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of a scan in check mode: bounded, however many hosts there are and whatever they answer."""

import json
from pathlib import Path

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.ksysak.fleet.plugins.action.collect import preflight_of

ROLE = Path(__file__).resolve().parents[3] / "roles" / "scan"
PROBES = ("memleak", "runlatency", "interference", "os_exceptions", "host_health", "memory", "blocked")
LINES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["__ksysak_scan_table_lines"]
# Of one event of a job: AWX keeps it in a row of its database and sends it to each browser.
EVENT_CHARS = 700_000


def task():
    """The task that shows the table, as Ansible loads it: templates of files are trusted, other texts are not."""
    loaded = DataLoader().load_from_file(str(ROLE / "tasks" / "main.yml"))
    try:
        from ansible._internal._datatag._tags import TrustedAsTemplate  # ansible-core 2.19
    except ImportError:
        trusted = str
    else:
        trusted = TrustedAsTemplate().tag
    (found,) = [entry for entry in loaded if entry["name"] == "Show what each probe could do"]
    return trusted(found["ansible.builtin.debug"]["msg"]), {name: trusted(text) for name, text in found["vars"].items()}


def shown(jobs):
    """Return the lines that check mode shows. jobs: {host: what its launch returned}."""
    message, variables = task()
    hostvars = {host: {"__ksysak_scan_collected": preflight_of(host, job)} for host, job in jobs.items()}
    # a host that left the play before has no result
    hostvars["gone"] = {}
    known = {**variables, "hostvars": hostvars, "ansible_play_hosts_all": list(hostvars), "__ksysak_scan_table_lines": LINES}
    return Templar(DataLoader(), variables=known).template(message)


def row(probe, reason):
    return {"probe": probe, "status": "skipped", "engine": "none", "reason": reason, "remedy": ""}


def measured(reason="the Python bindings of bcc are missing", probes=PROBES):
    return {"preflight": [row(probe, reason) for probe in probes], "scan": None}


def test_ten_thousand_hosts_have_a_bounded_table():
    lines = shown({f"web-{n:05d}.fra1.example.net": measured() for n in range(10_000)})
    assert len(lines) == 1 + LINES + 1
    assert lines[0].split() == ["host", "probe", "status", "engine", "reason"]
    assert lines[1].split()[:2] == ["web-00000.fra1.example.net", "memleak"]
    assert lines[-1] == f"… and {10_000 * len(PROBES) - LINES} more lines; --limit shows others"
    assert len(json.dumps(lines)) < EVENT_CHARS


@pytest.mark.parametrize(("hosts", "job"), [
    (60, measured("R" * 5_000, [f"{'p' * 1000}{n}" for n in range(40)])),
    (300, measured("\u00fc\u4e2d" * 2_500)),
    (1_600, {"failed": True, "msg": "m" * 5_000, "module_stderr": "e" * 5_000}),
    (1_600, {"unreachable": True, "msg": "\u0000\u001b[2J" + "\u4e2d" * 5_000}),
])  # fmt: skip
def test_no_answer_makes_the_table_large(hosts, job):
    lines = shown({f"{'h' * 250}{n:05d}": job for n in range(hosts)})
    assert lines[-1].startswith("… and ") and lines[-1].endswith(" more lines; --limit shows others")
    assert len("\n".join(lines)) < EVENT_CHARS


@pytest.mark.parametrize(("hosts", "probes", "more"), [(1, 7, None), (LINES, 1, None), (LINES + 1, 1, 1)])
def test_what_fits_is_not_cut(hosts, probes, more):
    lines = shown({f"h{n}": measured(probes=PROBES[:probes]) for n in range(hosts)})
    assert len(lines) == 1 + min(LINES, hosts * probes) + (more is not None)
    assert [line for line in lines if line.startswith("…")] == ([] if more is None else [f"… and {more} more lines; --limit shows others"])
