# SPDX-License-Identifier: GPL-3.0-or-later
"""Every example of the documentation of modules and filters, run on this machine as it is written but for its times and its folders."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.ksysak.fleet.tests.integration.place import LOCAL, Place

pytestmark = pytest.mark.usefixtures("root")

COLLECTION = Path(__file__).resolve().parents[2]
# Injectors build kernel modules for the host, which tests/fleet does: here they are run with check_mode, which checks their options.
CHECKED = {"latency_injector", "leak_injector"}
# In this order, for the report's examples want the scan that those of collect have made.
LAST = ["results", "collect", "report"]
# Its example compares an injection with what a scan beside it measured; tests/fleet makes both, with modules that load.
NOT_HERE = {"selftest"}
# What an example takes from tasks that it does not show.
SURROUNDINGS = {"cases": [], "leaks": {"results": []}, "truth": {"ksysak_truth": {}}}
JUDGES = ("ansible.builtin.assert", "ansible.builtin.fail")


def examples():
    """Yield (module or filter, task) of all examples."""
    found = {}
    for path in sorted((COLLECTION / "plugins" / "modules").glob("*.py")):
        found[path.stem] = re.search(r'(?s)\nEXAMPLES = r"""(.*?)"""', path.read_text())[1]
    for path in sorted((COLLECTION / "plugins").glob("*/*.yml")):
        found[path.stem] = yaml.safe_load(path.read_text())["EXAMPLES"]
    for name in sorted(found.keys() - NOT_HERE, key=lambda name: (LAST.index(name) if name in LAST else -1, name)):
        for task in yaml.safe_load(found[name]):
            yield name, task


def on_this_machine(name, task, results):
    """Return the example as it is run here. results: a folder."""
    task = json.loads(json.dumps(task).replace("/var/lib/ksysak", str(results)).replace("ksysak-results/night", str(results / "night")))
    for options in task.values():
        if isinstance(options, dict):
            options.update({key: 1 for key in ("duration", "watch_s") if key in options})
            options.update({"pid": os.getpid()} if "pid" in options else {})
            for key in ("results", "history"):
                options.update({key: str(results)} if key in options and name == "report" else {})
    if name in CHECKED:
        wrong = "injected.msg | default('') is search('nsupported|required|must be|value of')"
        task.update(check_mode=True, register="injected", failed_when=wrong)
    if any(judge in task for judge in JUDGES):
        task["ignore_errors"] = True  # it may rightly find something here; that it can be evaluated is asserted below
    return task


def test_every_example_runs(tmp_path, ansible, repo):
    place = Place(tmp_path, ansible, repo)
    results = place.results
    tasks = [on_this_machine(name, task, results) for name, task in examples()]
    assert len(tasks) > 30
    for task in tasks:
        text = json.dumps(task)
        if "web1.json" in text:
            task.update(json.loads(text.replace("web1.json", "here.json")))
    path = tmp_path / "examples.yml"
    play = {"name": "Examples", "hosts": "here", "gather_facts": False, "vars": SURROUNDINGS, "tasks": tasks}
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    place.inventory.write_text(json.dumps({"all": {"hosts": {"here": {**LOCAL, "role_path": str(COLLECTION / "roles" / "report")}}}}))
    done = ansible.playbook(path, "-i", place.inventory, **place.own)
    assert done.returncode == 0, done.stdout
    assert "undefined" not in done.stdout and "rror while" not in done.stdout, done.stdout
    assert list(results.glob("*/report.html"))
    place.assert_nothing_left()
