# SPDX-License-Identifier: GPL-3.0-or-later
"""What injectors and probes could leave on a host."""

import os

from ansible_collections.ksysak.fleet.plugins.module_utils._core import ipc, linux, meminfo, procfs

KERNEL_MODULES = ('test_page_leak', 'test_slab_leak', 'test_vmalloc_leak', 'test_irqoff', 'test_nosched')
_SOCKETS = '@' + ipc.PREFIX
# Where leaks of kernel memory show.
_MEMORY = ('SUnreclaim', 'VmallocUsed', meminfo.UNACCOUNTED)

_TRACING = (2, 5, 7, 17, 26)  # kprobe, tracepoint, perf_event, raw_tracepoint, tracing


def snapshot():
    """Return {'kernel_modules': [name], 'sockets': [name], 'tracing_programs': int, 'memory_bytes': {counter: int}} of now.

    sockets: of running scans and of testrunlatency; memory_bytes: counters that grow with a leak.
    """
    loaded = set(line.split(' ')[0] for line in procfs.read_text('/proc/modules').splitlines())
    sockets = [line.split()[-1] for line in procfs.read_text('/proc/net/unix').splitlines()]
    memory = meminfo.accounted()
    return {
        'kernel_modules': [name for name in KERNEL_MODULES if name in loaded],
        'sockets': sorted(set(name[:64] for name in sockets if name.startswith(_SOCKETS))),
        'tracing_programs': _tracing_programs(),
        'memory_bytes': dict((name, memory[name]) for name in _MEMORY if name in memory),
    }


def _tracing_programs():
    """Number of BPF programs of the kinds that trace; those of other kinds belong to services and the network."""
    found, last = 0, 0
    while True:
        try:
            last = linux.bpf(linux.BPF_PROG_GET_NEXT_ID, last)[1][1]
        except OSError:
            return found
        try:
            descriptor = linux.bpf(linux.BPF_PROG_GET_FD_BY_ID, last)[0]
        except OSError:
            continue  # it has gone meanwhile
        try:
            found += linux.bpf_program_type(descriptor) in _TRACING
        finally:
            os.close(descriptor)
