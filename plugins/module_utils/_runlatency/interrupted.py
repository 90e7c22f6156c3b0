# SPDX-License-Identifier: GPL-3.0-or-later
"""Machine code before an interrupted instruction: had it just switched interrupts on?

An interrupt that waited comes at once when interrupts come back: behind popf, or behind the one instruction
that follows sti. Anywhere else in the kernel they had been on before.
"""

BYTES = 16
STI, POPF = 0xfb, 0x9d

_LONGEST = 15  # bytes of an instruction
_PREFIXES = bytearray(b'\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3')
_INVALID = bytearray(b'\x06\x07\x0e\x16\x17\x1e\x1f\x27\x2f\x37\x3f\x60\x61\x82\x9a\xce\xd4\xd5\xd6\xea')  # in 64-bit mode
# One-byte opcodes of 64-bit mode, by what follows them: ModRM, and bytes of an immediate operand.
_MODRM = set(range(0x04)).union(*(range(first, first + 4) for first in range(0x08, 0x40, 8)))
_MODRM.update([0x63, 0x69, 0x6b, 0x80, 0x81, 0x83, 0xc0, 0xc1, 0xc6, 0xc7, 0xf6, 0xf7, 0xfe, 0xff])
_MODRM.update(range(0x84, 0x90), range(0xd0, 0xd4), range(0xd8, 0xe0))
_IMMEDIATE = {0x68: 4, 0x69: 4, 0x6a: 1, 0x6b: 1, 0x80: 1, 0x81: 4, 0x83: 1, 0xa8: 1, 0xa9: 4, 0xc0: 1, 0xc1: 1, 0xc2: 2, 0xc6: 1,
              0xc7: 4, 0xc8: 3, 0xca: 2, 0xcd: 1, 0xe8: 4, 0xe9: 4, 0xeb: 1}
_IMMEDIATE.update((opcode, 1) for opcode in list(range(0x70, 0x80)) + list(range(0x04, 0x40, 8)) + list(range(0xb0, 0xb8)))
_IMMEDIATE.update((opcode, 1) for opcode in range(0xe0, 0xe8))
_IMMEDIATE.update((opcode, 4) for opcode in list(range(0x05, 0x40, 8)) + list(range(0xb8, 0xc0)))
# Two-byte opcodes (0f ..) without ModRM, those with an immediate byte, and moves of control registers, whose ModRM names registers alone.
_PLAIN_0F = set([0x05, 0x06, 0x07, 0x08, 0x09, 0x0b, 0x0e, 0x77, 0xa0, 0xa1, 0xa2, 0xa8, 0xa9, 0xaa])
_PLAIN_0F.update(range(0x30, 0x38), range(0xc8, 0xd0))
_BYTE_0F = set([0x0f, 0x70, 0x71, 0x72, 0x73, 0xa4, 0xac, 0xba, 0xc2, 0xc4, 0xc5, 0xc6])
_MOVES_0F = range(0x20, 0x24)
_TRAPS_0F = (0xb9, 0xff)  # ud1 and ud0: nothing goes on behind them
_VEX_2, _VEX_3, _EVEX, _XOP = 0xc5, 0xc4, 0x62, 0x8f
_MAPS = {1: 0x0f, 2: 0x38, 3: 0x3a, 5: 0x38, 6: 0x38}  # of VEX and EVEX: where an opcode has the same operands


def switched_on(before):
    """Had the instruction before an address just let interrupts in? before: bytes, the BYTES before the address."""
    before = bytearray(before)
    if before[-1] == POPF:
        return True
    return any(byte == STI and length(before[at + 1:]) == len(before) - at - 1 for at, byte in enumerate(before[:-1]))


def length(code):
    """Return the length of the first instruction of `code` (bytearray, x86-64).

    None: it is not whole, does not exist in 64-bit mode, always traps, or the makers of processors disagree on its length
    (a near branch with an operand-size prefix, which the kernel does not use).
    """
    try:
        found = _length(code)
    except IndexError:
        return None
    return found if found is not None and found <= min(_LONGEST, len(code)) else None


def _length(code):
    at = wide = 0
    prefixes = set()
    while code[at] in _PREFIXES or 0x40 <= code[at] < 0x50:
        wide = code[at] & 8 if code[at] < 0x50 and code[at] not in _PREFIXES else 0  # only a REX right before the opcode counts
        prefixes.add(code[at])
        at += 1
    opcode, short = code[at], 0x66 in prefixes and not wide
    at += 1
    if opcode == 0x0f:
        return _length_0f(code, at, prefixes, short)
    if opcode in (_VEX_2, _VEX_3, _EVEX):
        return _length_vex(code, at, opcode)
    branch = opcode in (0xe8, 0xe9)
    if opcode in _INVALID or (branch and short) or (opcode == _XOP and code[at] & 0x38):
        return None
    immediate = _IMMEDIATE.get(opcode, 0)
    if opcode in (0xf6, 0xf7) and not code[at] & 0x30:  # test with an immediate
        immediate = 1 if opcode == 0xf6 else 4
    if immediate == 4 and short:
        immediate = 2
    if 0xb8 <= opcode < 0xc0 and wide:
        immediate = 8
    if 0xa0 <= opcode < 0xa4:
        immediate = 4 if 0x67 in prefixes else 8
    if opcode in _MODRM:
        at = _after_modrm(code, at)
    return at + immediate


def _length_0f(code, at, prefixes, short):
    opcode = code[at]
    at += 1
    if opcode in (0x38, 0x3a):
        return _after_modrm(code, at + 1) + (opcode == 0x3a)
    if 0x80 <= opcode < 0x90:
        return None if short else at + 4
    if opcode in _TRAPS_0F or (opcode == 0x78 and prefixes & set([0x66, 0xf2])):  # AMD's extrq and insertq
        return None
    if opcode in _MOVES_0F:
        return at + 1
    if opcode in _PLAIN_0F:
        return at
    return _after_modrm(code, at) + (opcode in _BYTE_0F)


def _length_vex(code, at, prefix):
    """at: the byte behind the prefix's first one."""
    page = 0x0f if prefix == _VEX_2 else _MAPS.get(code[at] & (7 if prefix == _EVEX else 0x1f))
    at += {_VEX_2: 1, _VEX_3: 2, _EVEX: 3}[prefix]
    opcode = code[at]
    if page is None:
        return None
    if page == 0x0f and opcode == 0x77:  # vzeroupper
        return at + 1
    return _after_modrm(code, at + 1) + (page == 0x3a or (page == 0x0f and opcode in _BYTE_0F))


def _after_modrm(code, at):
    """Return the place behind a ModRM byte, its SIB byte and its displacement."""
    mode, memory = code[at] >> 6, code[at] & 7
    at += 1
    if mode == 3:
        return at
    if memory == 4:
        if not mode and code[at] & 7 == 5:
            mode = 2
        at += 1
    elif not mode and memory == 5:
        mode = 2
    return at + (0, 1, 4)[mode]
