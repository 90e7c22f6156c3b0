# SPDX-License-Identifier: GPL-3.0-or-later
"""Symbols of kernel modules, kept when a module is unloaded.

bcc reads the kernel's symbols once. A module that is loaded later has no names there, or those of another, and one that is
unloaded before the names are asked for has none any more.
"""

import bisect
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text

_KALLSYMS = '/proc/kallsyms'
_MODULES = '/proc/modules'
_SYMBOL = re.compile(r'^([0-9a-f]{16}) ([a-zA-Z]) (\S+)\t\[(\S+)\]$', re.M)
_SYSTEM_CALL = re.compile(rb' [tT] __(?:x64|ia32)_sys_(\w+)\n')
_CODE = frozenset('tTwW')
# Modules lie above the kernel itself on x86_64 (Documentation/x86/x86_64/mm.rst), per-CPU symbols near zero.
_LOWEST = 0xffffffffa0000000


class ModuleSymbols:
    """Call refresh() before and now and then while tracing."""

    def __init__(self):
        self._addresses, self._names, self._loaded = [], [], None
        self._extents = {}  # module: (first address, the one after the last)
        self._kernel = b''
        self._text = None  # (first address, the one after the last) of the kernel's own code
        self.hidden = False  # the kernel hides its symbols even from root

    def refresh(self):
        """Read the symbols anew when modules were loaded or unloaded since."""
        rows = [line.split() for line in read_text(_MODULES).splitlines()]
        loaded = [(words[0], int(words[1]), int(words[5], 16)) for words in rows if len(words) > 5]  # name, bytes, address
        if loaded != self._loaded:
            self._loaded = loaded
            self._extents = dict((name, (first, first + size)) for name, size, first in loaded if first)
            self._read()

    def _read(self):
        try:
            with open(_KALLSYMS, 'rb') as stream:
                data = stream.read()
        except OSError:
            data = b''
        # Those of modules come last.
        first = data.find(b'\t[')
        first = data.rfind(b'\n', 0, first) + 1 if first >= 0 else len(data)
        self._kernel = data[:first]
        self.hidden = not self._kernel.strip(b'\n') or self._kernel.startswith(b'0000000000000000') and b'\nffffffff' not in self._kernel
        self._text = self._text or self.extent('_stext', '_etext')
        rows = _SYMBOL.findall(data[first:].decode('ascii', 'replace'))
        # Where code and data share an address, the code comes last and counts.
        found = sorted((int(address, 16), kind in _CODE, name, module) for address, kind, name, module in rows)
        found = [row for row in found if row[0] >= _LOWEST]
        self._addresses = [row[0] for row in found]
        self._names = [row[1:] for row in found]

    def has(self, function):
        """Does the kernel itself have a function of that name?"""
        return any((b' %s %s\n' % (kind, function.encode())) in self._kernel for kind in (b'T', b't'))

    def system_calls(self):
        """Return the names of the system calls of this kernel, as a set."""
        return set(name.decode() for name in _SYSTEM_CALL.findall(self._kernel))

    def address(self, symbol):
        """Return the address of a symbol of the kernel itself; None when it has none, or hides it."""
        at = self._kernel.find(b' %s\n' % symbol.encode())
        return int(self._kernel[at - 18:at - 2], 16) or None if at >= 18 else None

    def extent(self, first, end=None):
        """Return (address of symbol `first`, address of symbol `end`, or of the next one that lies higher); None when not known."""
        begin = self.address(first)
        if begin is None:
            return None
        if end is not None:
            limit = self.address(end)
            return (begin, limit) if limit is not None and limit > begin else None
        at = self._kernel.find(b'%016x ' % begin)
        for line in self._kernel[at:at + 4096].splitlines():
            address = int(line[:16], 16) if len(line) > 16 else 0
            if address > begin:
                return begin, address
        return None

    def outside_text(self, address):
        """Is this no code of the kernel itself? False where the kernel's bounds are not known."""
        return self._text is not None and not self._text[0] <= address <= self._text[1]

    def forget_kernel(self):
        """Free the text that has() looks at."""
        self._kernel = b''

    def beyond_kernel(self, address):
        """Does the address lie where modules are? What has no name there (BPF programs on some kernels) is not the kernel's either."""
        return bool(self._addresses) and address >= self._addresses[0]

    def name(self, address):
        """Return 'function+0x1c [module]' of an address within a module, else None."""
        index = bisect.bisect_right(self._addresses, address) - 1
        if index < 0 or not address or address < _LOWEST:
            return None
        code, name, module = self._names[index]
        first, end = self._extents.get(module, (0, address + 1))
        if not code or not first <= address < end:
            return None
        return '%s+0x%x [%s]' % (name, address - self._addresses[index], module)
