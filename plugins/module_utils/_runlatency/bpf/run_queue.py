# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the length of this CPU's run queue, by the offsets that the running kernel's BTF reports."""

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf

_PATH = (('task_struct', 'se'), ('sched_entity', 'cfs_rq'), ('cfs_rq', 'rq'), ('rq', 'nr_running'))

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


def offsets():
    """Return the offsets that fragment() takes, in bytes; None where the kernel does not report them."""
    found = [(btf.offsets(struct_name, [member]) or {}).get(member) for struct_name, member in _PATH]
    return None if None in found else (found[0] + found[1], found[2], found[3])


def fragment(offsets_of_kernel):
    """Return (values, C text). offsets_of_kernel: see offsets()."""
    if offsets_of_kernel is None:
        return [], _UNKNOWN
    return list(zip(('TASK_CFS_RQ_AT', 'CFS_RQ_RQ_AT', 'RQ_NR_RUNNING_AT'), offsets_of_kernel)), _KNOWN
