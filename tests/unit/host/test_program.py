# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of what the compiler and the verifier say."""

import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import program

COMPILER = """\
/virtual/main.c:12:1: error: unknown type name 'BPF_PERCPU_HASH'
BPF_PERCPU_HASH(timers, struct timer_key_t, struct stat_t, 256);
^
/virtual/main.c:20:3: error: use of undeclared identifier 'timers'
2 errors generated.
"""
VERIFIER = """\
from 60 to 62: R0=inv(id=0) R6=ctx(id=0)
BPF program is too large. Processed 1000001 insn
processed 1000001 insns (limit 1000000) max_states_per_insn 35 total_states 10 peak_states 9 mark_read 8
"""


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (COMPILER, "unknown type name 'BPF_PERCPU_HASH'"),
        (VERIFIER, "BPF program is too large. Processed 1000001 insn"),
        ("x" * 900, "x" * 300),
        ("\n \n", ""),
    ],
)
def test_one_line_says_why(words, line):
    assert program.telling_line(words) == line
