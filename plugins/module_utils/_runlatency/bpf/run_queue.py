# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the length of this CPU's run queue, by the offsets that the running kernel's BTF reports."""

_PATHS = ('task_struct.se.cfs_rq', 'cfs_rq.rq', 'rq.nr_running')

_UNKNOWN = """
static inline s32 queued(void) {
  return -1;
}
"""

_KNOWN = """
/* How many tasks are on the run queue of this CPU: task_struct.se.cfs_rq, cfs_rq.rq, rq.nr_running. */
static inline s32 queued(void) {
  u64 at = bpf_get_current_task() + TASK_CFS_RQ_AT;
  s32 tasks = -1;
  bpf_probe_read(&at, sizeof(at), (void *)at);
  at += CFS_RQ_RQ_AT;
  bpf_probe_read(&at, sizeof(at), (void *)at);
  bpf_probe_read(&tasks, sizeof(tasks), (void *)(at + RQ_NR_RUNNING_AT));
  return tasks;
}
"""


def offsets(types):
    """Return the offsets that fragment() takes, in bytes; None where the kernel does not report them. types: btf_types.Types, or None."""
    found = [types and types.offset(path) for path in _PATHS]
    return None if None in found else tuple(found)


def fragment(offsets_of_kernel):
    """Return (values, C text). offsets_of_kernel: see offsets()."""
    if offsets_of_kernel is None:
        return [], _UNKNOWN
    return list(zip(('TASK_CFS_RQ_AT', 'CFS_RQ_RQ_AT', 'RQ_NR_RUNNING_AT'), offsets_of_kernel)), _KNOWN
