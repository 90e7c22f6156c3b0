# SPDX-License-Identifier: GPL-3.0-or-later
"""Large plain files, sifted by grep: only lines that may begin a report, with enough of what follows them.

Python looks at a line a hundred times slower than grep passes over it. The scanner's answer is the same as if it
had read every line: it never looks further behind a header than CONTEXT lines.
"""

import collections
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.pipe import Pipe, program
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log import lines, patterns
from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.scanner import REACH_LINES

# text: str; number: of the line, from 1; candidate: False where no rule can match the line
Sifted = collections.namedtuple('Sifted', 'text number candidate')

_NOTHING_FOUND = 1
_TAIL_CHARS = 6
# What quiet logs look like. grep is the faster the rarer the beginnings of what it looks for are.
_QUIET = """
Nov 23 05:38:57 web-1.example.org kernel: [12345.678901] eth0: renamed from veth4f2c9a1, link becomes ready at 1000 Mbps
2026-11-23T05:38:57.123456+00:00 db2 systemd[1]: Starting Daily man-db regeneration... Finished; Consumed 1.234s CPU time.
Nov  3 15:09:17 host sshd[20461]: pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)
Nov  3 15:10:01 host CRON[98765]: (www-data) CMD (test -x /usr/sbin/anacron || run-parts --report /etc/cron.hourly > /dev/null 2>&1)
Nov  3 15:10:02 host postfix/smtpd[1234]: disconnect from unknown[198.51.100.23] ehlo=1 auth=0/1 quit=1 commands=2/3 status=sent (250 ok)
Nov  3 15:10:03 host dockerd[890]: time="2026-11-03T15:10:03Z" level=info msg="ignoring event" container=5d41402abc4b2a76b9719d911017c592
[    1.234567] pci 0000:00:1f.2: BAR 4: assigned [io  0xc060-0xc07f], usb 1-1: New USB device found, idVendor=80ee, idProduct=0021
Nov  3 15:10:05 host NetworkManager[612]: <info>  [1793718605.1] dhcp4 (ens3): state changed new lease, address=192.0.2.68
type=AVC audit(1793718605.123:456): apparmor="ALLOWED" operation="open" profile="/usr/bin/man" name="/etc/passwd" requested_mask="r"
"""


def _beginnings(literal):
    """How often quiet logs have the beginnings of the literal."""
    return sum(_QUIET.count(literal[:length]) for length in range(1, len(literal)))


def _tail(needle):
    """The tail of the needle that grep finds soonest: every line with the needle has it too."""
    return min((needle[start:] for start in range(max(1, len(needle) - _TAIL_CHARS + 1))), key=_beginnings)


# One expression: GNU grep's machine for it is twice as fast as the one for a list of fixed strings.
EXPRESSION = '|'.join(re.sub(r'([][().*+?{}|^$\\])', r'\\\1', literal)
                      for literal in patterns.shortest(_tail(needle) for needle in patterns.NEEDLES + (lines.NUMBERS,)))


class PrefilterUnavailable(Exception):
    """There is no grep on this host, or none that can do this."""


def can_prefilter(start):
    """True unless records of the file span lines, which have to be read one by one.

    start: bytes, the beginning of the file.
    """
    return lines.Export.FIRST.encode() not in start


def sift(fd, split):
    """Yield L(Sifted) lines of an open file from its position on, None where there is nothing yet.

    split: function that turns chunks of bytes into lines of str. Raises L(PrefilterUnavailable) before the first line, ValueError later.
    """
    path = program('grep')
    if path is None:
        raise PrefilterUnavailable()
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
                raise PrefilterUnavailable()
            raise ValueError('grep ended with code %d: %s' % (pipe.code, pipe.stderr_text()))
    finally:
        pipe.close()
