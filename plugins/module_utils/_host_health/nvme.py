# SPDX-License-Identifier: GPL-3.0-or-later
"""What NVMe drives say of their own health: the SMART / Health Information log (NVM Express Base Specification, log page 02h).

The kernel keeps no counters of it. The drive is asked with the command that smartctl and nvme-cli use (include/uapi/linux/nvme_ioctl.h),
which reads and changes nothing; one that is not at work is left alone.
"""

import ctypes
import fcntl
import os
import re
import struct

from ansible_collections.ksysak.fleet.plugins.module_utils._core.text import printable

MOST = 64
_NAME = re.compile(r'nvme\d+$')
_ADMIN_COMMAND = 0xC0484E41  # _IOWR('N', 0x41, struct nvme_admin_cmd)
_GET_LOG_PAGE, _HEALTH, _ALL = 0x02, 0x02, 0xffffffff
_LOG_BYTES = 512
# Bits of the critical warning.
WARNINGS = ('spare', 'temperature', 'reliability', 'read_only', 'volatile_backup', 'persistent_memory')


def parse(log):
    """Return what the 512 bytes of the log say: {'warnings', 'media_errors', 'used_percent', 'spare_percent', 'unsafe_shutdowns'}."""
    return {'warnings': [name for bit, name in enumerate(WARNINGS) if bytearray(log)[0] >> bit & 1],
            'media_errors': _number(log, 160), 'used_percent': bytearray(log)[5], 'spare_percent': bytearray(log)[3],
            'unsafe_shutdowns': _number(log, 144)}


def _number(log, at):
    """The low half of a number of 16 bytes."""
    return min(struct.unpack_from('<Q', log, at)[0], 2 ** 63 - 1)


def read(path):
    """Return the log of the controller with this device file, as bytes. Raises OSError, also where the drive refuses."""
    log = ctypes.create_string_buffer(_LOG_BYTES)
    command = bytearray(struct.pack('<BBHIIIQQII6III', _GET_LOG_PAGE, 0, 0, _ALL, 0, 0, 0, ctypes.addressof(log), 0, _LOG_BYTES,
                                    _HEALTH | (_LOG_BYTES // 4 - 1) << 16, 0, 0, 0, 0, 0, 0, 0))
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = fcntl.ioctl(fd, _ADMIN_COMMAND, command)
    finally:
        os.close(fd)
    if status:
        raise OSError('the drive answers with status %#x' % status)
    return log.raw


def drives(classes, devices):
    """Return what each drive says, those with most errors of their media first: [{'device', and as given by parse()}].

    classes: /sys/class/nvme; devices: the folder of device files. Drives that cannot be asked are left out.
    """
    found = []
    try:
        names = sorted(os.listdir(classes))
    except OSError:
        return found
    for name in names:
        if not _NAME.match(name):
            continue
        try:
            with open(os.path.join(classes, name, 'state')) as stream:
                if stream.read(32).strip() != 'live':
                    continue
            found.append(dict(parse(read(os.path.join(devices, name))), device=printable(name, 128)))
        except OSError:
            continue
    return sorted(found, key=lambda drive: (-drive['media_errors'], -len(drive['warnings']), -drive['used_percent']))[:MOST]
