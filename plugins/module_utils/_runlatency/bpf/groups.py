# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the control group of the running task, as a number that is the inode of the group's folder.

Where services live in cgroup v2, the kernel has a function for it. On cgroup v1 the group of the cpu controller is read from
the task, by the offsets that the running kernel's BTF reports.
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups

_PATHS = ('task_struct.sched_task_group', 'task_group.css.cgroup', 'cgroup.kn', 'kernfs_node.id')

NONE = """
static inline u64 group_of_current(void) {
  return 0;
}
static inline u64 group_id(u64 group) {
  return 0;
}
"""

V2 = """
static inline u64 group_of_current(void) {
  return bpf_get_current_cgroup_id();
}
static inline u64 group_id(u64 group) {
  return group;
}
"""

V1 = """
/* The group of the cpu controller: task_struct.sched_task_group. */
static inline u64 group_of_current(void) {
  u64 group = 0;
  bpf_probe_read(&group, sizeof(group), (void *)(bpf_get_current_task() + TASK_GROUP_AT));
  return group;
}

/* Its number: task_group.css.cgroup, cgroup.kn, kernfs_node.id. 0: an automatic group of a session, which is no control group. */
static inline u64 group_id(u64 group) {
  u64 at = 0, id = 0;
  bpf_probe_read(&at, sizeof(at), (void *)(group + GROUP_CGROUP_AT));
  if (!at)
    return 0;
  bpf_probe_read(&at, sizeof(at), (void *)(at + CGROUP_NODE_AT));
  bpf_probe_read(&id, sizeof(id), (void *)(at + NODE_ID_AT));
  return id;
}
"""


def offsets(types, folder):
    """Return what fragment() takes for the hierarchy of cgroups.cpu_root(): 'v2', offsets of v1's structures in bytes, or None.

    types: btf_types.Types, or None.
    """
    if folder in cgroups.V2_ROOTS:
        return 'v2'
    found = [types and types.offset(path) for path in _PATHS]
    return None if folder is None or None in found else tuple(found)


def fragment(known):
    """Return (values, C text). known: see offsets()."""
    if known is None:
        return [], NONE
    if known == 'v2':
        return [], V2
    return list(zip(('TASK_GROUP_AT', 'GROUP_CGROUP_AT', 'CGROUP_NODE_AT', 'NODE_ID_AT'), known)), V1
