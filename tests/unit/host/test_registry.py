# SPDX-License-Identifier: GPL-3.0-or-later
"""The registry: the one list of probes."""

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import probe, registry


def test_each_line_gives_a_probe_of_that_name():
    classes = registry.classes()
    assert list(classes) == list(registry.NAMES)
    for name, found in classes.items():
        assert issubclass(found, probe.Probe)
        assert found.NAME == name


def test_every_package_with_a_probe_is_registered():
    packages = Path(registry.__file__).parent.parent
    held = {path.parent.name for path in packages.glob("_*/probe.py") if path.parent.name != "_core"}
    assert held == {f"_{name}" for name in registry.NAMES}


def test_names_are_known_without_a_probe(repo):
    script = f"import sys; import {registry.__name__}; print(*[name for name in sys.modules if '.module_utils._' in name])"
    env = {"PYTHONPATH": str(repo / ".cache" / "import")}
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {registry.__name__, registry.__package__}


def test_names_are_chosen_in_the_order_of_the_registry():
    assert registry.chosen(["all"]) == list(registry.NAMES)
    assert registry.chosen(["interference", "memleak", "memleak"]) == ["memleak", "interference"]


@pytest.mark.parametrize(("names", "said"), [(["memleak", "memlaek"], "no probe is called memlaek"), ([], "is empty")])
def test_what_is_no_probe_is_refused_with_the_probes_there_are(names, said):
    with pytest.raises(ValueError, match=f"probes: {said}; the probes are memleak, "):
        registry.chosen(names)
