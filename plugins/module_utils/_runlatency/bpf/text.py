# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF text of runlatency: fragments in an order in which each uses only what stands before it. The text itself is GPL-2.0.

Tracepoint arguments are read, and kernel structures by the offsets that the running kernel reports. Header files may be another
kernel's.
"""

import platform

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import stalls as stall_options
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import (
    accounts,
    constants,
    groups,
    kernel_time,
    run_queue,
    scheduler,
    stacks,
    stalls,
    tasks,
    ticks,
    timeslices,
    waits,
    wanted,
)

_INCLUDE = '#include <uapi/linux/bpf_perf_event.h>\n'


def offsets(types):
    """Return the offsets of this kernel's structures that text() takes. types: btf_types.Types, or None where the kernel has none."""
    return {'run_queue': run_queue.offsets(types), 'pid': types and types.offset('task_struct.pid') or 0,
            'groups': groups.offsets(types, cgroups.cpu_root()), 'events': scheduler.offsets(types),
            'rings': accounts.rings(platform.release())}


def text(options, threads, kernel_offsets, cpus):
    """Return the C text.

    options: those of the probe; threads: how many threads the map `wanted` holds, whose waits alone count, or None;
    kernel_offsets: {'run_queue': bytes as in run_queue.offsets() or None, 'pid': bytes within task_struct, 0 when unknown,
    'groups': see groups.offsets(), 'events': see scheduler.offsets(),
    'rings': see accounts.rings()}; cpus: how many CPUs this machine can have.
    """
    wanted_values, wanted_text = wanted.fragment(threads, options['comm'])
    queue_values, queue_text = run_queue.fragment(kernel_offsets['run_queue'])
    group_values, group_text = groups.fragment(kernel_offsets['groups'])
    event_values, event_text = scheduler.fragment(kernel_offsets['events'])
    values = [('CPUS', cpus), ('THRESHOLD_NS', _ns(options['runq_us'])), ('SHORT_SLICE_NS', '(THRESHOLD_NS / TIMESLICES)'),
              ('IRQOFF_NS', _ns(options['irqoff_us'])), ('NOSCHED_NS', _ns(options['nosched_us'])),
              ('SYSCALL_NS', _ns(options['syscall_us'] or 0)), ('WIDTH_NS', _ns(stall_options.period_us(options))),
              ('TICK_NS', _ns(stall_options.tick_us(options))), ('NEED_RESCHED_ROWS', len(constants.NeedResched)),
              ('STALL_ROWS', len(stall_options.watched(options)) * constants.STALL_CLASSES),
              ('TASK_PID_AT', '%dULL' % kernel_offsets['pid']), ('RINGS', kernel_offsets['rings'])]
    fragments = (wanted_text, queue_text, group_text, stacks.TEXT, stalls.TEXT,
                 kernel_time.TEXT if options['syscall_us'] else kernel_time.NONE, timeslices.TEXT, accounts.TEXT, ticks.TEXT,
                 tasks.TEXT, scheduler.STRUCT, waits.TEXT, event_text)
    values += wanted_values + queue_values + group_values + event_values
    return _INCLUDE + constants.text() + constants.define(values) + ''.join(fragments)


def _ns(microseconds):
    return '%dULL' % (microseconds * 1000)
