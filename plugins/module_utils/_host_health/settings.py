# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel of a host: which one runs and which is installed, what a panic would do, and what has tainted it."""

import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.sysfs import entries, flag, integer
from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable

_TAINT_LETTERS = 'PFSRMBUDAWCIOELKXTNJ'  # by bit
_TEXT_CHARS = 128
# sysctls, each with its place below proc/sys; the field is its name without the folder
_PANIC_SETTINGS = tuple('kernel/' + name for name in (
    'panic', 'panic_on_oops', 'panic_on_warn', 'panic_on_io_nmi', 'panic_on_unrecovered_nmi', 'panic_on_rcu_stall', 'softlockup_panic',
    'hardlockup_panic', 'hung_task_panic', 'hung_task_timeout_secs', 'watchdog', 'watchdog_thresh', 'sysrq')) + ('vm/panic_on_oom',)
_RELEASE = re.compile(r'vmlinuz-([0-9][\w.+~-]{0,100})$')
_FLAVOUR = re.compile(r'(?:-(?!rc\d)[a-z][a-z0-9_]*)*$')


def kernel(under):
    """Return the section 'kernel'. under: function that puts the root folder before a path."""
    running = os.uname()[2]
    newest = _newest_kernel(under, running)
    return {'running': printable(running, _TEXT_CHARS), 'newest_installed': newest,
            'reboot_pending': _reboot_pending(under, running, newest),
            'oops_count': integer(under('sys/kernel/oops_count')), 'warn_count': integer(under('sys/kernel/warn_count'))}


def panic(under):
    """Return the section 'panic_settings'."""
    settings = dict((place.rsplit('/', 1)[1], integer(under('proc/sys', place))) for place in _PANIC_SETTINGS)
    return dict((name, value) for name, value in settings.items() if value is not None)


def kdump(under):
    """Return the section 'kdump'."""
    return {'loaded': flag(under('sys/kernel/kexec_crash_loaded')), 'reserved_bytes': integer(under('sys/kernel/kexec_crash_size'))}


def taint(under):
    """What has made this kernel's word doubtful, as in the schema; None where it cannot be read."""
    value = integer(under('proc/sys/kernel/tainted'))
    return None if value is None else {'value': value, 'flags': [letter for bit, letter in enumerate(_TAINT_LETTERS) if value >> bit & 1]}


def _newest_kernel(under, running):
    """Release of the newest installed kernel of the running one's flavour (-amd64, -generic) that has its modules, or None."""
    releases = []
    for name in entries(under('boot')):
        found = _RELEASE.match(name)
        if found and _FLAVOUR.search(found.group(1)).group() == _FLAVOUR.search(running).group():
            if os.path.isdir(under('lib/modules', found.group(1))):
                releases.append(found.group(1))
    return printable(max(releases, key=_version), _TEXT_CHARS) if releases else None


def _version(release):
    """A key that sorts releases: numbers by value, and a release candidate before its release."""
    return [(1, int(part), '') if part.isdigit() else (0 if part in ('rc', '~') else 2, 0, part)
            for part in re.findall(r'\d+|[a-z]+|~', release)] + [(1, -1, '')]


def _reboot_pending(under, running, newest):
    """Why a reboot is due: 'newer_kernel', 'asked_for' (a package wants it), or None."""
    if newest is not None and _version(newest) > _version(running):
        return 'newer_kernel'
    return 'asked_for' if os.path.exists(under('run/reboot-required')) or os.path.exists(under('var/run/reboot-required')) else None
