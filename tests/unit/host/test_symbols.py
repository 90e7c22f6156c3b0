# SPDX-License-Identifier: GPL-3.0-or-later
"""One function has one name, whatever the compiler added, for a stack, a kernel log and a signature alike."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._core import symbols
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import culprit
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy import text

SUFFIXES = [
    "",
    ".isra.0",
    ".constprop.12",
    ".part.0",
    ".cold",
    ".cold.3",
    ".isra.0.cold",
    ".part.3.constprop.0",
    ".llvm.1234567890",
    ".__uniq.99.llvm.5",
    ".cfi_jt",
    ".lto_priv.0",
]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_both_sides_know_a_function_by_the_same_name(suffix):
    name = "acme_rx_refill" + suffix
    assert symbols.bare(name) == symbols.bare(name + "+0x61 [acme_nic]") == "acme_rx_refill"
    assert culprit.clean(name) == "acme_rx_refill"
    assert text.plain_function(name + "+0x61/0x90") == "acme_rx_refill"
    assert text.plain_function(f"memleak|{name}|slab|{name}") == "memleak|acme_rx_refill|slab|acme_rx_refill"


@pytest.mark.parametrize("name", ["f.colder", "f.participant", "eth0.100", "disk.part_1", "a.llvmpipe"])
def test_what_only_looks_like_a_suffix_stays(name):
    assert symbols.without_suffixes(name) == symbols.bare(name) == name
