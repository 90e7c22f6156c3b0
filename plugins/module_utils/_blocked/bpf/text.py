# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text of the probe blocked: its fragments in order, and the offsets of the running kernel's structures that they take."""

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.bpf import clock, constants, devices, locks, waits
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

# {name in the text: paths of the member, the first one that there is counts}
NEEDED = {
    'TASK_PID_AT': ('task_struct.pid',), 'TASK_TGID_AT': ('task_struct.tgid',), 'TASK_COMM_AT': ('task_struct.comm',),
    'TASK_PRIO_AT': ('task_struct.prio',), 'TASK_FLAGS_AT': ('task_struct.flags',), 'TASK_MM_AT': ('task_struct.mm',),
    'TASK_STATE_AT': ('task_struct.__state', 'task_struct.state'),  # renamed in 5.14
    'TASK_ARRIVAL_AT': ('task_struct.sched_info.last_arrival',), 'TASK_QUEUED_AT': ('task_struct.sched_info.last_queued',),
    'TASK_SUM_AT': ('task_struct.se.sum_exec_runtime',), 'TASK_SUM_BEFORE_AT': ('task_struct.se.prev_sum_exec_runtime',),
}
OF_LOCKS = {
    'MM_MMAP_LOCK_AT': ('mm_struct.mmap_lock', 'mm_struct.mmap_sem'), 'MUTEX_OWNER_AT': ('mutex.owner', 'rt_mutex.owner'),
    'RWSEM_OWNER_AT': ('rw_semaphore.owner', 'rwbase_rt.rtmutex.owner'), 'RT_OWNER_AT': ('rt_mutex_base.owner', 'rt_mutex.owner'),
}


def offsets(types):
    """Return ({name: offset} of what is needed, that of locks or None where the kernel lacks some). Raises Unavailable.

    types: btf_types.Types.
    """
    needed = dict((name, types.first(*paths)) for name, paths in NEEDED.items())
    missing = sorted(NEEDED[name][0] for name, offset in needed.items() if offset is None)
    if missing:
        raise Unavailable('this kernel has no %s' % ', '.join(missing), 'Boot a kernel with CONFIG_SCHED_INFO (CONFIG_SCHEDSTATS).')
    of_locks = dict((name, types.first(*paths)) for name, paths in OF_LOCKS.items())
    return needed, None if None in of_locks.values() else of_locks


def text(threshold_ns, jiffy_ns, calibrator, needed, of_locks, has_device):
    """Return the C text.

    threshold_ns: shortest wait; jiffy_ns: the longest jiffy that a kernel has; calibrator: thread id of this process; needed,
    of_locks: as given by offsets(), of_locks None: locks are not traced; has_device: whether requests of block devices are.
    """
    values = [('THRESHOLD_NS', '%dULL' % threshold_ns), ('SHORT_NS', '%dULL' % max(0, threshold_ns - 2 * jiffy_ns)),
              ('CALIBRATOR', '%dU' % calibrator)]
    values += sorted(needed.items()) + sorted((of_locks or {}).items())
    fragments = (clock.TEXT, waits.STRUCT, locks.TEXT if of_locks else locks.NONE, devices.TEXT if has_device else devices.NONE, waits.TEXT)
    return constants.text() + constants.define(values) + ''.join(fragments)
