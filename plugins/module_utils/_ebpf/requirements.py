# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold before a BPF program is worth compiling, each with its reason and remedy."""

import errno
import os
import platform

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux, procfs
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

_LOCKDOWN = '/sys/kernel/security/lockdown'
_BPF_MAP_TYPE_ARRAY = 2


def check():
    """Raise Unavailable for the first thing that keeps this process from running BPF programs."""
    check_arch()
    check_root()
    check_bcc()
    check_lockdown()
    check_bpf()


def check_arch():
    """x86_64 only: interrupt vectors, register layout and syscall numbers are the architecture's own."""
    machine = platform.machine()
    if machine != 'x86_64':
        raise Unavailable('the eBPF engine is for x86_64, this is %s' % machine,
                          'Nothing to do: the counters that the kernel keeps by itself are used instead.')


def check_root():
    """BPF tracing, tracefs and a mount namespace all ask for root."""
    if os.geteuid() != 0:
        raise Unavailable('not root (effective user id %d)' % os.geteuid(), 'Run the play with become: true.')


def check_bcc():
    """bcc for the Python that runs this; the modules look for such a Python first."""
    try:
        from bcc import BPF
    except ImportError as error:
        raise Unavailable('no Python on this host can import bcc (%s)' % error,
                          'Install it with the playbook ksysak.fleet.prepare, or by hand: '
                          'python3-bpfcc on Debian and Ubuntu, python3-bcc elsewhere.')
    return BPF


def check_lockdown():
    """Lockdown in its confidentiality mode refuses every read of kernel memory; integrity mode does not."""
    # Without securityfs bpf() itself will tell.
    if '[confidentiality]' in procfs.read_text(_LOCKDOWN):
        raise Unavailable('kernel lockdown is in confidentiality mode',
                          'Boot with lockdown=integrity (or none) if your policy allows it.')


def check_bpf():
    """Ask the kernel for the smallest of BPF maps, and give it back."""
    try:
        os.close(linux.bpf(linux.BPF_MAP_CREATE, _BPF_MAP_TYPE_ARRAY, 4, 8, 1)[0])
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise Unavailable('this kernel has no bpf() system call', 'Boot a kernel with CONFIG_BPF_SYSCALL.')
        if error.errno == errno.EPERM:
            raise Unavailable('the kernel refuses bpf() even to root: a container without the capability, '
                              'a seccomp filter, or a low limit on locked memory',
                              'Run the scan on the host itself, or give the container CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN.')
        raise Unavailable(error.strerror, 'See dmesg on the host.')
