# SPDX-License-Identifier: GPL-3.0-or-later
"""What a patrol wants to know of a host and no log line tells: counters, settings, and how earlier boots ended.

Only reads. What a kernel or host does not have is left out or null, never invented.
"""

import os
import re
import select
import subprocess
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._kernel_log.text import printable
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions import groups, nvme
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.pipe import program

MAX_COUNTERS = 64
MAX_BOOTS = 8
JOURNAL_S = 3.0  # what asking the journal about earlier boots may take

_TAINT_LETTERS = 'PFSRMBUDAWCIOELKXTNJ'  # by bit
_TEXT_CHARS = 128
_READ_BYTES = 4096
_SETTINGS = ('panic', 'panic_on_oops', 'panic_on_warn', 'panic_on_io_nmi', 'panic_on_unrecovered_nmi', 'panic_on_rcu_stall',
             'softlockup_panic', 'hardlockup_panic', 'hung_task_panic', 'hung_task_timeout_secs', 'watchdog', 'watchdog_thresh', 'sysrq')
_RELEASE = re.compile(r'vmlinuz-([0-9][\w.+~-]{0,100})$')
_BOOT = re.compile(r'\s*-(\d+) ([0-9a-f]{32}) ')
_PCIE_COUNTERS = (('corrected', 'correctable', 'COR'), ('non_fatal', 'nonfatal', 'NONFATAL'), ('fatal', 'fatal', 'FATAL'))
_FLAVOUR = re.compile(r'(?:-(?!rc\d)[a-z][a-z0-9_]*)*$')
_ENDED_CLEANLY = re.compile(r'systemd-shutdown\[1\]|Journal stopped|Stopped Journal|'
                            r'Reached target .*(?:[Ss]hutdown|[Rr]eboot|Power-?\s?Off|Halt|Kexec)|'
                            r'System is (?:rebooting|powering down)|reboot: (?:Restarting|Power down)')


def look(max_age_s, root='/'):
    """Return the section 'patrol' of schema ksysak.os_exceptions/1.

    max_age_s: boots that ended longer ago are left out; root: folder that is taken for the host's root.
    """
    def under(*parts):
        return os.path.join(root, *parts)

    running = os.uname()[2]
    newest = _newest_kernel(under, running)
    settings = dict((name, _int(under('proc/sys/kernel', name))) for name in _SETTINGS)
    settings['panic_on_oom'] = _int(under('proc/sys/vm/panic_on_oom'))
    return {
        'kernel': {
            'running': printable(running, _TEXT_CHARS), 'newest_installed': newest,
            'reboot_pending': _reboot_pending(under, running, newest),
            'oops_count': _int(under('sys/kernel/oops_count')), 'warn_count': _int(under('sys/kernel/warn_count')),
        },
        'panic_settings': dict((name, value) for name, value in settings.items() if value is not None),
        'kdump': {'loaded': _flag(under('sys/kernel/kexec_crash_loaded')), 'reserved_bytes': _int(under('sys/kernel/kexec_crash_size'))},
        'unclean_boots': _unclean_boots(max_age_s),
        'ecc': _ecc(under('sys/devices/system/edac/mc')),
        'disks': _disks(under('sys/block')),
        'nvme': nvme.drives(under('sys/class/nvme'), under('dev')),
        'file_systems': _file_systems(under('sys/fs/ext4')) + _btrfs(under('sys/fs/btrfs')),
        'arrays': _arrays(under('sys/block')),
        'pcie': _pcie(under('sys/bus/pci/devices')),
    }


def taint(path='/proc/sys/kernel/tainted'):
    """What has made this kernel's word doubtful, as in the schema; None where it cannot be read."""
    value = _int(path)
    return None if value is None else {'value': value, 'flags': [letter for bit, letter in enumerate(_TAINT_LETTERS) if value >> bit & 1]}


def _text(path):
    """The start of a file of proc or sys, or None. Some of these files fail when they are read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.read(fd, _READ_BYTES).decode('utf-8', 'replace').strip()
        finally:
            os.close(fd)
    except (IOError, OSError):
        return None


def _int(path):
    text = _text(path)
    try:
        return int(text, 0) if text else None
    except ValueError:
        return None


def _flag(path):
    value = _int(path)
    return None if value is None else value == 1


def _entries(folder):
    try:
        return sorted(os.listdir(folder))
    except (IOError, OSError):
        return []


def _newest_kernel(under, running):
    """Release of the newest installed kernel of the running one's flavour (-amd64, -generic) that has its modules, or None."""
    releases = []
    for name in _entries(under('boot')):
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


def _unclean_boots(max_age_s):
    """Earlier boots whose journal ends in the middle of work, newest first; None where no journal tells."""
    path = program('journalctl')
    deadline_s = time.monotonic() + JOURNAL_S
    listed = _ask([path, '--no-pager', '--quiet', '--list-boots'], deadline_s) if path else None
    if listed is None:
        return None
    boots = [found.groups() for found in map(_BOOT.match, listed.splitlines()) if found]
    unclean = []
    for _unused, boot in sorted(boots, key=lambda found: int(found[0]))[:MAX_BOOTS]:
        tail = _ask([path, '--no-pager', '--quiet', '--output=short-unix', '--lines=40', '_BOOT_ID=' + boot], deadline_s)
        if not tail:
            continue
        last_s = _seconds(tail.splitlines()[-1])
        if last_s is None or time.time() - last_s > max_age_s:
            continue
        if not any(_ENDED_CLEANLY.search(line) for line in tail.splitlines()):
            unclean.append({'boot_id': boot, 'ended_at': groups.instant(last_s)})
    return unclean


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
        except (IOError, OSError):
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


def _ecc(folder):
    """Errors that memory controllers counted since boot, and the modules that they came from."""
    found = []
    for name in _entries(folder):
        if not re.match(r'mc\d+$', name):
            continue
        corrected, uncorrected = _int(os.path.join(folder, name, 'ce_count')), _int(os.path.join(folder, name, 'ue_count'))
        if corrected is None and uncorrected is None:
            continue
        dimms = []
        for dimm in _entries(os.path.join(folder, name)):
            if re.match(r'(?:dimm|rank)\d+$', dimm):
                place = os.path.join(folder, name, dimm)
                counts = _int(os.path.join(place, 'dimm_ce_count')) or 0, _int(os.path.join(place, 'dimm_ue_count')) or 0
                if any(counts):
                    label = _text(os.path.join(place, 'dimm_label')) or _text(os.path.join(place, 'dimm_location')) or dimm
                    dimms.append({'dimm': printable(label, _TEXT_CHARS), 'corrected': counts[0], 'uncorrected': counts[1]})
        found.append({'controller': name, 'corrected': corrected or 0, 'uncorrected': uncorrected or 0, 'dimms': dimms[:MAX_COUNTERS]})
    return found[:MAX_COUNTERS]


def _disks(folder):
    """SCSI and ATA disks that have failed requests since boot."""
    found = []
    for name in _entries(folder):
        errors = _int(os.path.join(folder, name, 'device/ioerr_cnt'))
        if errors:
            found.append({'device': printable(name, _TEXT_CHARS), 'errors': errors,
                          'timeouts': _int(os.path.join(folder, name, 'device/iotmo_cnt')) or 0,
                          'requests': _int(os.path.join(folder, name, 'device/iorequest_cnt')) or 0})
    return sorted(found, key=lambda disk: -disk['errors'])[:MAX_COUNTERS]


def _file_systems(folder):
    """ext4 file systems whose superblock has errors on record, which fsck would clear."""
    found = []
    for name in _entries(folder):
        errors = _int(os.path.join(folder, name, 'errors_count'))
        if errors:
            found.append({'file_system': 'ext4', 'device': printable(name, _TEXT_CHARS), 'errors': errors,
                          'last_at': groups.instant(_int(os.path.join(folder, name, 'last_error_time')))})
    return found[:MAX_COUNTERS]


def _btrfs(folder):
    """Devices of btrfs that have errors on record, which 'btrfs device stats --reset' would clear."""
    found = []
    for name in _entries(folder):
        for device in _entries(os.path.join(folder, name, 'devinfo')):
            stats = _text(os.path.join(folder, name, 'devinfo', device, 'error_stats')) or ''
            errors = sum(int(count) for count in re.findall(r'_errs (\d{1,15})', stats))
            if errors:
                found.append({'file_system': 'btrfs', 'device': printable('%s device %s' % (name, device), _TEXT_CHARS),
                              'errors': errors, 'last_at': None})
    return found[:MAX_COUNTERS]


def _arrays(folder):
    """Software RAID that lacks a member, or whose copies differ."""
    found = []
    for name in _entries(folder):
        degraded, mismatches = (_int(os.path.join(folder, name, 'md', counter)) for counter in ('degraded', 'mismatch_cnt'))
        if degraded or mismatches:
            found.append({'array': printable(name, _TEXT_CHARS), 'missing_members': degraded or 0, 'mismatched_sectors': mismatches or 0})
    return found[:MAX_COUNTERS]


def _pcie(folder):
    """Devices that have reported errors of their PCI Express link since boot."""
    found = []
    for name in _entries(folder):
        counts = {}
        for field, counter, total in _PCIE_COUNTERS:
            said = re.search(r'TOTAL_ERR_%s (\d{1,15})' % total, _text(os.path.join(folder, name, 'aer_dev_' + counter)) or '')
            counts[field] = int(said.group(1)) if said else 0
        if any(counts.values()):
            found.append(dict(counts, device=printable(name, _TEXT_CHARS)))
    return sorted(found, key=lambda device: (-device['fatal'], -device['non_fatal'], -device['corrected']))[:MAX_COUNTERS]
