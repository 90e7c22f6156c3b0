# SPDX-License-Identifier: GPL-3.0-or-later
"""The running kernel's code, by /proc/kcore: which function a return address comes back from."""

import os
import struct

_KCORE = '/proc/kcore'
_PT_LOAD = 1
_HEADER, _SEGMENT = struct.Struct('<16sHHIQQQIHHHHHH'), struct.Struct('<IIQQQQQQ')  # ELF-64: file header, program header
_MOST_SEGMENTS = 4096
_CALL, _CALL_BYTES = 0xe8, 5  # call rel32 (Intel SDM 2A)
_TOP = 0xffffffffffffffff


class Code:
    """Answers None where the kernel does not let its code be read: no /proc/kcore, or lockdown=confidentiality."""

    def __init__(self):
        self._segments = []  # (first address, bytes, place in the file)
        try:
            self._file = os.open(_KCORE, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1

    def called(self, address):
        """Return the address of the function that the call before return address `address` names; None: no direct call, or unknown."""
        code = self._read(address - _CALL_BYTES, _CALL_BYTES)
        if code is None or code[0] != _CALL:
            return None
        return (address + struct.unpack('<i', code[1:])[0]) & _TOP

    def _read(self, address, size):
        if self._file < 0:
            return None
        place = self._place(address, size)
        if place is None:  # a module may have been loaded since
            self._find_segments()
            place = self._place(address, size)
        try:
            code = os.pread(self._file, size, place) if place is not None else b''
        except OSError:
            code = b''
        return code if len(code) == size else None

    def _place(self, address, size):
        return next((at + address - first for first, length, at in self._segments
                     if first <= address and address + size <= first + length), None)

    def _find_segments(self):
        try:
            header = _HEADER.unpack(os.pread(self._file, _HEADER.size, 0))
            at, number = header[5], min(header[10], _MOST_SEGMENTS)
            rows = _SEGMENT.iter_unpack(os.pread(self._file, number * _SEGMENT.size, at)[:number * _SEGMENT.size])
            self._segments = [(row[3], row[5], row[2]) for row in rows if row[0] == _PT_LOAD]
        except (OSError, struct.error):
            self._segments = []

    def close(self):
        """Close the file; nothing is known from then on."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
