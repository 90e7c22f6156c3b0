# SPDX-License-Identifier: GPL-3.0-or-later
"""What the sources of the kernel modules, their documentation and their injectors say of the parameters."""

import re

import pytest

from ansible_collections.ksysak.fleet.plugins.modules import latency_injector, leak_injector

_PARAM = re.compile(r'KSYSAK_PARAM\((\w+), \w+,\s*"(.*?)"\);', re.DOTALL)


@pytest.fixture
def described(repo):
    """{parameter: its descriptions} of all modules."""
    texts = {}
    for path in sorted((repo / "kmods").glob("*/*.[ch]")):
        for name, text in _PARAM.findall(path.read_text()):
            texts.setdefault(name, []).append(text)
    return texts


def test_each_parameter_says_its_default(described):
    assert {name for name, texts in described.items() if not all(re.search(r"default \w+\)$", text) for text in texts)} == set()


def test_each_parameter_is_in_the_documentation(described, repo):
    rows = set(re.findall(r"^\| `(\w+)` \|", (repo / "docs" / "kmods.md").read_text(), re.MULTILINE))
    assert set(described) | {"trigger", "release"} <= rows


@pytest.mark.parametrize("name", ["rate", "order", "freed_percent", "duration_us", "interval_ms", "ttl"])
def test_injectors_have_the_same_bounds(described, name):
    bounds = dict(leak_injector.BOUNDS, **latency_injector.BOUNDS)
    assert "(%d..%d, default" % bounds[{"ttl": "ttl_s"}.get(name, name)] in described[name][0]
