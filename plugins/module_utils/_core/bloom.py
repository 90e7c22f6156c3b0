# SPDX-License-Identifier: GPL-3.0-or-later
"""A Bloom filter: a set of names in few bits, which has every name that is in it, and about one in 800 that is not."""

import hashlib

BITS_A_NAME = 14
_PLACES = 10  # of one name: 0.7 * BITS_A_NAME, where false members are fewest


def places(name, bits):
    """The bits that a name sets in a filter of that many (less than 2**24)."""
    digest = hashlib.sha256(name.encode('utf-8', 'replace')).digest()
    return [int.from_bytes(digest[3 * index:3 * index + 3], 'big') % bits for index in range(_PLACES)]


def made(names):
    """The filter of a list of names: bytes."""
    bits = bytearray((len(names) * BITS_A_NAME + 7) // 8)
    for name in names:
        for place in places(name, 8 * len(bits)):
            bits[place >> 3] |= 1 << (place & 7)
    return bytes(bits)


def holds(bits, name):
    """False where a filter (bytes) surely does not have the name."""
    return all(bits[place >> 3] >> (place & 7) & 1 for place in places(name, 8 * len(bits)))
