# SPDX-License-Identifier: GPL-3.0-or-later
"""Errors that the kernel counts for memory, disks, file systems, software RAID and PCI Express."""

import collections
import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.sysfs import entries, integer, text
from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import instant, printable

MAX_COUNTERS = 64
_TEXT_CHARS = 128

# One list of the facts whose entries are folders with a file for each counter.
# folder: below the root; key: field with the entry's name; fields: (field, file, regex of the number or None: the file is one number);
# wrong: fields of which one is above zero in an entry that is listed, also the order, worst first
Table = collections.namedtuple('Table', 'name folder key fields wrong')


def _total(name):
    return re.compile(r'TOTAL_ERR_%s (\d{1,15})' % name)


TABLES = (
    Table('disks', 'sys/block', 'device', (
        ('errors', 'device/ioerr_cnt', None), ('timeouts', 'device/iotmo_cnt', None), ('requests', 'device/iorequest_cnt', None)),
        ('errors',)),
    Table('arrays', 'sys/block', 'array', (('missing_members', 'md/degraded', None), ('mismatched_sectors', 'md/mismatch_cnt', None)),
          ('missing_members', 'mismatched_sectors')),
    Table('pcie', 'sys/bus/pci/devices', 'device', (
        ('corrected', 'aer_dev_correctable', _total('COR')), ('non_fatal', 'aer_dev_nonfatal', _total('NONFATAL')),
        ('fatal', 'aer_dev_fatal', _total('FATAL'))), ('fatal', 'non_fatal', 'corrected')),
)


def tables(under):
    """Return {name: entries} of TABLES. under: function that puts the root folder before a path."""
    return dict((table.name, _entries(table, under(table.folder))) for table in TABLES)


def _entries(table, folder):
    found = []
    for name in entries(folder):
        counts = dict((field, _counter(os.path.join(folder, name, path), regex)) for field, path, regex in table.fields)
        if any(counts[field] for field in table.wrong):
            found.append(dict(counts, **{table.key: printable(name, _TEXT_CHARS)}))
    return sorted(found, key=lambda entry: [-entry[field] for field in table.wrong])[:MAX_COUNTERS]


def _counter(path, regex):
    if regex is None:
        return max(0, integer(path) or 0)
    match = regex.search(text(path) or '')
    return int(match.group(1)) if match else 0


def memory(folder):
    """Errors that memory controllers counted since boot, and the modules that they came from. folder: sys/devices/system/edac/mc."""
    found = []
    for name in entries(folder):
        if not re.match(r'mc\d+$', name):
            continue
        corrected, uncorrected = integer(os.path.join(folder, name, 'ce_count')), integer(os.path.join(folder, name, 'ue_count'))
        if corrected is None and uncorrected is None:
            continue
        dimms = []
        for dimm in entries(os.path.join(folder, name)):
            if re.match(r'(?:dimm|rank)\d+$', dimm):
                place = os.path.join(folder, name, dimm)
                counts = integer(os.path.join(place, 'dimm_ce_count')) or 0, integer(os.path.join(place, 'dimm_ue_count')) or 0
                if any(counts):
                    label = text(os.path.join(place, 'dimm_label')) or text(os.path.join(place, 'dimm_location')) or dimm
                    dimms.append({'dimm': printable(label, _TEXT_CHARS), 'corrected': counts[0], 'uncorrected': counts[1]})
        found.append({'controller': name, 'corrected': corrected or 0, 'uncorrected': uncorrected or 0, 'dimms': dimms[:MAX_COUNTERS]})
    return found[:MAX_COUNTERS]


def file_systems(under):
    """File systems that have errors on record."""
    return _ext4(under('sys/fs/ext4')) + _btrfs(under('sys/fs/btrfs'))


def _ext4(folder):
    """Those whose superblock has errors on record, which fsck clears."""
    found = []
    for name in entries(folder):
        errors = integer(os.path.join(folder, name, 'errors_count'))
        if errors:
            found.append({'file_system': 'ext4', 'device': printable(name, _TEXT_CHARS), 'errors': errors,
                          'last_at': instant(integer(os.path.join(folder, name, 'last_error_time')))})
    return found[:MAX_COUNTERS]


def _btrfs(folder):
    """Devices that have errors on record, which 'btrfs device stats --reset' clears."""
    found = []
    for name in entries(folder):
        for device in entries(os.path.join(folder, name, 'devinfo')):
            stats = text(os.path.join(folder, name, 'devinfo', device, 'error_stats')) or ''
            errors = sum(int(count) for count in re.findall(r'_errs (\d{1,15})', stats))
            if errors:
                found.append({'file_system': 'btrfs', 'device': printable('%s device %s' % (name, device), _TEXT_CHARS),
                              'errors': errors, 'last_at': None})
    return found[:MAX_COUNTERS]
