# SPDX-License-Identifier: GPL-3.0-or-later
"""When two names of kernel functions mean the same function. For hosts and the controller.

Compilers add suffixes to the name of a function that they clone, split or rename. One build of a kernel has f.isra.0, the next has f.
"""

import re

# gcc: isra, constprop, part, cold, clone, localalias, lto_priv; clang: llvm, __uniq, cfi, cfi_jt, cold. A number may follow each.
_SUFFIXES = re.compile(r'(?:\.(?:isra|constprop|part|cold|clone|localalias|lto_priv|llvm|__uniq|cfi|cfi_jt)(?:\.[0-9]+)*)+(?![\w])')


def without_suffixes(text):
    """Return a text without the compilers' suffixes of the function names in it: 'f.isra.0.cold+0x1c' gives 'f+0x1c'."""
    return _SUFFIXES.sub('', text)


def bare(symbol):
    """Return the name alone of a function in a call stack: 'f.isra.0+0x1c [ext4]' gives 'f'."""
    return without_suffixes(symbol.split(' ')[0].split('+')[0])
