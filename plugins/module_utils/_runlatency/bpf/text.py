# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF text of runlatency: fragments in an order in which each uses only what stands before it. The text itself is GPL-2.0.

Tracepoint arguments are read, and two kernel structures: the run queue of a CPU and the number of a task, by the offsets that
the running kernel reports. Header files may be another kernel's.
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import stalls as stall_options
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.bpf import (
    accounts,
    constants,
    groups,
    kernel_time,
    run_queue,
    stacks,
    stalls,
    tasks,
    ticks,
    timeslices,
    waits,
    wanted,
)

_INCLUDE = '#include <uapi/linux/bpf_perf_event.h>\n'


def offsets():
    """Return the offsets of this kernel's structures that text() takes."""
    return {'run_queue': run_queue.offsets(), 'pid': (btf.offsets('task_struct', ['pid']) or {}).get('pid', 0),
            'groups': groups.offsets(cgroups.cpu_root())}


def text(options, threads, kernel_offsets, cpus):
    """Return the C text.

    options: those of the probe; threads: how many threads the map `wanted` holds, whose waits alone count, or None;
    kernel_offsets: {'run_queue': bytes as in run_queue.offsets() or None, 'pid': bytes within task_struct, 0 when unknown,
    'groups': see groups.offsets()}; cpus: how many CPUs this machine can have.
    """
    wanted_values, wanted_text = wanted.fragment(threads, options['comm'])
    queue_values, queue_text = run_queue.fragment(kernel_offsets['run_queue'])
    group_values, group_text = groups.fragment(kernel_offsets['groups'])
    values = [('CPUS', cpus), ('THRESHOLD_NS', _ns(options['runq_us'])), ('SHORT_SLICE_NS', '(THRESHOLD_NS / TIMESLICES)'),
              ('IRQOFF_NS', _ns(options['irqoff_us'])), ('NOSCHED_NS', _ns(options['nosched_us'])),
              ('SYSCALL_NS', _ns(options['syscall_us'] or 0)), ('WIDTH_NS', _ns(stall_options.period_us(options))),
              ('TICK_NS', _ns(stall_options.tick_us(options))), ('NEED_RESCHED_ROWS', len(constants.NeedResched)),
              ('STALL_ROWS', len(stall_options.watched(options)) * constants.STALL_CLASSES),
              ('TASK_PID_AT', '%dULL' % kernel_offsets['pid'])]
    fragments = (wanted_text, queue_text, group_text, stacks.TEXT, stalls.TEXT,
                 kernel_time.TEXT if options['syscall_us'] else kernel_time.NONE, timeslices.TEXT, accounts.TEXT, ticks.TEXT, tasks.TEXT,
                 waits.TEXT)
    return _INCLUDE + constants.text() + constants.define(values + wanted_values + queue_values + group_values) + ''.join(fragments)


def _ns(microseconds):
    return '%dULL' % (microseconds * 1000)
