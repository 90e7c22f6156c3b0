# SPDX-License-Identifier: GPL-3.0-or-later
"""Large plain files, sifted by grep: only lines that may begin a report, with enough of what follows them.

Python looks at a line a hundred times slower than grep passes over it. The scanner's answer is the same as if it
had read every line: it never looks further behind a header than CONTEXT lines.
"""

import collections
import re

from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log import lines, patterns
from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log.pipe import Pipe, program
from ansible_collections.ksysak.fleet.plugins.module_utils.kernel_log.scanner import REACH_LINES

# text: str; number: of the line, from 1; candidate: False where no rule can match the line
Sifted = collections.namedtuple('Sifted', 'text number candidate')

_NOTHING_FOUND = 1
# One expression: GNU grep's machine for it is twice as fast as the one for a list of fixed strings.
EXPRESSION = '|'.join(re.sub(r'([][().*+?{}|^$\\])', r'\\\1', needle) for needle in patterns.NEEDLES + (lines.NUMBERS,))


class NoSieve(Exception):
    """There is no grep on this host, or none that can do this."""


def can_sift(start):
    """True unless records of the file span lines, which have to be read one by one.

    start: bytes, the beginning of the file.
    """
    return lines.Export.FIRST.encode() not in start


def sift(fd, split):
    """Yield L(Sifted) lines of an open file from its position on, None where there is nothing yet.

    split: function that turns chunks of bytes into lines of str. Raises L(NoSieve) before the first line, ValueError later.
    """
    path = program('grep')
    if path is None:
        raise NoSieve()
    pipe = Pipe([path, '-a', '-n', '-A', str(REACH_LINES), '-E', EXPRESSION], stdin=fd)
    try:
        some = False
        for line in split(pipe.chunks()):
            if line is None:
                yield None
                continue
            digits = len(line) - len(line.lstrip('0123456789'))
            if digits and line[digits:digits + 1] in (':', '-'):
                some = True
                yield Sifted(line[digits + 1:], int(line[:digits]), line[digits] == ':')
        if pipe.code not in (0, _NOTHING_FOUND):
            if not some:
                raise NoSieve()
            raise ValueError('grep ended with code %d: %s' % (pipe.code, pipe.complaint()))
    finally:
        pipe.close()
