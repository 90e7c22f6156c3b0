# SPDX-License-Identifier: GPL-3.0-or-later
"""The length decoder for x86-64 against a disassembler: on the code that this process runs, and on instructions made at random."""

import collections
import platform
import random
import re

import capstone
import pytest

from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import interrupted

DISASSEMBLER = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
LONGEST = 15


def is_misread(code, size, name):
    """`ret` with an operand-size prefix and REX.W has two bytes of operand; capstone reads four, objdump and the manuals do not."""
    return name.endswith("ret") and code[size - 5] == 0xC2 and 0x66 in code[: size - 5]


def compare(code, size, name):
    """Return whether the decoder knows the instruction; fail when it gives another length."""
    ours = interrupted.length(bytearray(code[: LONGEST + 1]))
    assert ours in (size, None) or is_misread(code, size, name), f"{code.hex()} ({name}): {ours}, not {size}"
    return ours is not None


def executable_code():
    """The bytes of the shared objects and of the interpreter that this process has mapped."""
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        for line in maps:
            found = re.match(r"([0-9a-f]+)-([0-9a-f]+) r-xp .* /", line)
            if found:
                begin, end = (int(bound, 16) for bound in found.groups())
                memory.seek(begin)
                yield memory.read(end - begin)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the code of this machine is not x86-64")
def test_the_length_of_real_instructions_is_a_disassemblers():
    """Data between functions may be taken for instructions, by both alike."""
    checked, unknown = 0, collections.Counter()
    for code in executable_code():
        for address, size, name, _operands in DISASSEMBLER.disasm_lite(code, 0, 100_000):
            checked += 1
            if not compare(code[address : address + LONGEST + 1], size, name):
                unknown[name] += 1
    assert checked > 100_000
    assert set(unknown) <= {"ud0", "ud1"} and sum(unknown.values()) < checked / 1000


PREFIXES = (b"", b"", b"", b"\x66", b"\xf2", b"\xf3", b"\x67", b"\x2e", b"\x65", b"\xf0")
VEX_MAPS, EVEX_MAPS = (1, 2, 3), (1, 2, 3, 5, 6)


def made(draw):
    """Instructions at random: (bytes, with operands for any of them)."""

    def any_byte():
        return draw.randbytes(1)

    rex = bytes([0x40 + draw.getrandbits(4)]) if draw.random() < 0.4 else b""
    head = draw.choice(PREFIXES) + draw.choice(PREFIXES) + rex
    kind = draw.random()
    if kind < 0.4:
        head += any_byte()
    elif kind < 0.7:
        head += b"\x0f" + any_byte()
    elif kind < 0.85:
        head += b"\x0f" + draw.choice((b"\x38", b"\x3a")) + any_byte()
    elif kind < 0.9:
        head = b"\xc5" + any_byte() + any_byte()
    elif kind < 0.95:
        head = b"\xc4" + bytes([0xE0 & draw.getrandbits(8) | draw.choice(VEX_MAPS)]) + any_byte() + any_byte()
    else:
        head = b"\x62" + bytes([0xF0 & draw.getrandbits(8) | draw.choice(EVEX_MAPS)]) + any_byte() + any_byte() + any_byte()
    return head + draw.randbytes(14)


# What the decoder leaves open on purpose (see interrupted.length): what traps, and what AMD's and Intel's processors read differently.
LEFT_OPEN = ("ud0", "ud1", "extrq", "insertq", "vmread")  # vmread: only with the prefix that makes it one of the two before


def is_short_branch(code, size):
    """A near branch with an operand-size prefix: two bytes of distance on AMD's processors, four on Intel's."""
    return 0x66 in code[: size - 4]


def test_the_length_of_any_instruction_is_a_disassemblers():
    draw, checked, unknown = random.Random(1), 0, collections.Counter()
    for _number in range(200_000):
        code = made(draw)
        found = next(DISASSEMBLER.disasm_lite(code, 0, 1), None)
        if found is None:
            continue
        _address, size, name, _operands = found
        checked += 1
        if not compare(code, size, name):
            name = name.split()[-1]
            branch = name in ("call", "jmp") or name.startswith("j")
            assert name in LEFT_OPEN or (branch and is_short_branch(code, size)), f"{code.hex()} ({name}) has no length, not {size}"
            unknown[name] += 1
    assert checked > 80_000
    assert 0 < sum(unknown.values()) < checked / 50
