# SPDX-License-Identifier: GPL-3.0-or-later
"""What injectors and probes could leave on a host."""

import ctypes
import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._injector.refusals import read
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.triage import parse_meminfo

KERNEL_MODULES = ('test_page_leak', 'test_slab_leak', 'test_vmalloc_leak', 'test_irqoff', 'test_nosched')
_SOCKETS = '@ksysak.fleet/'
# Where leaks of kernel memory show.
_MEMORY = ('SUnreclaim', 'VmallocUsed', 'unaccounted')

_SYS_BPF_X86_64 = 321
_PROG_GET_NEXT_ID, _PROG_GET_FD_BY_ID, _OBJ_GET_INFO_BY_FD = 11, 13, 15
_TRACING = (2, 5, 7, 17, 26)  # kprobe, tracepoint, perf_event, raw_tracepoint, tracing

_libc = ctypes.CDLL(None, use_errno=True)


def look():
    """Return {'kernel_modules': [name], 'sockets': [name], 'tracing_programs': int, 'memory_bytes': {counter: int}} of now.

    sockets: of running scans and of testrunlatency; memory_bytes: counters that grow with a leak.
    """
    loaded = set(line.split(' ')[0] for line in read('/proc/modules').splitlines())
    sockets = [line.split()[-1] for line in read('/proc/net/unix').splitlines()]
    meminfo = parse_meminfo(read('/proc/meminfo'))
    # Freed pages first go to lists of each CPU, which may hold tens of MiB and are in no field of meminfo.
    meminfo['unaccounted'] -= waiting_pages(read('/proc/zoneinfo')) * os.sysconf('SC_PAGE_SIZE')
    return {
        'kernel_modules': [name for name in KERNEL_MODULES if name in loaded],
        'sockets': sorted(set(name[:64] for name in sockets if name.startswith(_SOCKETS))),
        'tracing_programs': _tracing_programs(),
        'memory_bytes': dict((name, meminfo[name]) for name in _MEMORY if name in meminfo),
    }


def waiting_pages(zoneinfo):
    """Return the number of free pages on the lists of all CPUs. zoneinfo: text of /proc/zoneinfo."""
    return sum(int(count) for count in re.findall(r'^ +count: +(\d+)$', zoneinfo, re.MULTILINE))


def _bpf(command, *words):
    attributes = (ctypes.c_uint32 * 32)(*words)
    return _libc.syscall(_SYS_BPF_X86_64, command, attributes, ctypes.sizeof(attributes)), attributes


def _tracing_programs():
    """Number of BPF programs of the kinds that trace; those of other kinds belong to services and the network."""
    found, last = 0, 0
    while True:
        result, attributes = _bpf(_PROG_GET_NEXT_ID, last)
        if result != 0:
            return found
        last = attributes[1]
        descriptor, _unused = _bpf(_PROG_GET_FD_BY_ID, last)
        if descriptor < 0:
            continue  # it has gone meanwhile
        information = (ctypes.c_uint32 * 64)()
        address = ctypes.addressof(information)
        _bpf(_OBJ_GET_INFO_BY_FD, descriptor, ctypes.sizeof(information), address & 0xffffffff, address >> 32)
        os.close(descriptor)
        found += information[0] in _TRACING
