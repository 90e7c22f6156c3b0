# SPDX-License-Identifier: GPL-3.0-or-later
"""Earlier boots of a host that ended in the middle of work."""

import os
import re
import select
import subprocess
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core.pipe import program
from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import instant

MAX_BOOTS = 8
JOURNAL_S = 3.0  # what asking the journal about earlier boots may take

_BOOT = re.compile(r'\s*-(\d+) ([0-9a-f]{32}) ')
_ENDED_CLEANLY = re.compile(r'systemd-shutdown\[1\]|Journal stopped|Stopped Journal|'
                            r'Reached target .*(?:[Ss]hutdown|[Rr]eboot|Power-?\s?Off|Halt|Kexec)|'
                            r'System is (?:rebooting|powering down)|reboot: (?:Restarting|Power down)')


def unclean(max_age_s):
    """Earlier boots whose journal ends in the middle of work, newest first; None where no journal tells."""
    path = program('journalctl')
    deadline_s = time.monotonic() + JOURNAL_S
    listed = _ask([path, '--no-pager', '--quiet', '--list-boots'], deadline_s) if path else None
    if listed is None:
        return None
    boots = [match.groups() for match in map(_BOOT.match, listed.splitlines()) if match]
    found = []
    for _unused, boot in sorted(boots, key=lambda boot: int(boot[0]))[:MAX_BOOTS]:
        tail = _ask([path, '--no-pager', '--quiet', '--output=short-unix', '--lines=40', '_BOOT_ID=' + boot], deadline_s)
        if not tail:
            continue
        last_s = _seconds(tail.splitlines()[-1])
        if last_s is None or time.time() - last_s > max_age_s:
            continue
        if not any(_ENDED_CLEANLY.search(line) for line in tail.splitlines()):
            found.append({'boot_id': boot, 'ended_at': instant(last_s)})
    return found


def _seconds(line):
    try:
        return float(line.split(' ', 1)[0])
    except ValueError:
        return None


def _ask(command, deadline_s):
    """The output of a program (at most 64 KiB), or None where it failed or took too long."""
    environment = {'LC_ALL': 'C', 'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'SYSTEMD_COLORS': '0'}
    with open(os.devnull, 'r+b') as null:
        try:
            process = subprocess.Popen(command, stdin=null, stdout=subprocess.PIPE, stderr=null, env=environment, close_fds=True, cwd='/')
        except OSError:
            return None
    output = b''
    try:
        while len(output) < 65536:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not select.select([process.stdout], [], [], left_s)[0]:
                return None
            chunk = os.read(process.stdout.fileno(), 65536)
            if not chunk:
                return output.decode('utf-8', 'replace') if process.wait() == 0 else None
            output += chunk
        return output.decode('utf-8', 'replace')
    finally:
        if process.poll() is None:
            process.kill()
        process.stdout.close()
        process.wait()
