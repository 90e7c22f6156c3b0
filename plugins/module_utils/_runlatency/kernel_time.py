# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernel time of system calls and page faults: what to attach, and which stack is a page fault's. `bpf/kernel_time.py` has the BPF text."""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

# Where the kernel is entered for a page fault: from 5.8 on, before, and on a KVM guest before.
_ENTRY = re.compile(r'(asm_exc_page_fault|page_fault|async_page_fault|asm_sysvec_kvm_asyncpf_interrupt)(\+|$)')


def may_be_fault(stack):
    """May the stack (names, innermost first) come from a page fault? Where the kernel hides its symbols there are numbers only."""
    return any(_ENTRY.match(frame) for frame in stack) or all(frame.startswith('0x') for frame in stack)


def attach(program, has_clock):
    """Trace system calls and page faults. Returns why page faults cannot be traced, or ''.

    Raises Unavailable on a kernel without the tracepoints of system calls, or without the clock for stalls.
    """
    if not has_clock:
        raise Unavailable('they need the clock for stalls', 'See why stalls are not measured.')
    program.attach_raw('sys_enter', 'on_sys_enter')
    program.attach_raw('sys_exit', 'on_sys_exit')
    try:
        program.attach_raw('page_fault_user', 'on_page_fault_user')
    except Unavailable as error:
        return error.reason
    return ''
