# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose interrupt a number is, and which CPUs may take it."""

import glob
import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text

_PCI = '/sys/bus/pci/devices'


def handlers(irq):
    """Return the names of the handlers of a device interrupt, as in the last column of /proc/interrupts; '' without one."""
    return _text('/sys/kernel/irq/%s/actions' % irq)


def describe(irq):
    """Return {'device', 'driver', 'affinity', 'effective_affinity'} of a device interrupt, each '' where the kernel does not tell.

    device: PCI address, else the interrupt controller; driver: of the PCI device; affinity: CPUs that may take it ('0-3,8'),
    effective_affinity: the one that the controller was given.
    """
    found = glob.glob('%s/*/msi_irqs/%s' % (_PCI, irq))
    folder = os.path.dirname(os.path.dirname(found[0])) if found else ''
    driver = os.path.join(folder, 'driver')
    return {
        'device': os.path.basename(folder) or _text('/sys/kernel/irq/%s/chip_name' % irq),
        'driver': os.path.basename(os.readlink(driver)) if folder and os.path.islink(driver) else '',
        'affinity': _text('/proc/irq/%s/smp_affinity_list' % irq),
        'effective_affinity': _text('/proc/irq/%s/effective_affinity_list' % irq),
    }


def _text(path):
    return read_text(path).strip()[:128]
