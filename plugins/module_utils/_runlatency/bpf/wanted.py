# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): whose waits count."""

import struct

_ALL = """
static inline int is_wanted(u32 tid, const u64 *name) {
  return 1;
}
"""

_BY_TID = """
BPF_HASH(wanted, u32, u32, WANTED_THREADS);
static inline int is_wanted(u32 tid, const u64 *name) {
  return wanted.lookup(&tid) != 0;
}
"""

_BY_COMM = """
static inline int is_wanted(u32 tid, const u64 *name) {
  return (name[0] & WANTED_MASK_0) == WANTED_WORD_0 && (name[1] & WANTED_MASK_1) == WANTED_WORD_1;
}
"""


def _comm_values(comm):
    """Compare names up to their end: behind it some kernels leave what was there before."""
    name = comm.encode('utf-8') + b'\0'
    for kind, part in (('MASK', b'\xff' * len(name)), ('WORD', name)):
        for index, word in enumerate(struct.unpack('<2Q', part.ljust(16, b'\0'))):
            yield 'WANTED_%s_%d' % (kind, index), '%#xULL' % word


def fragment(threads, comm):
    """Return (values, C text). threads: size of the map `wanted`, whose threads alone count, or None; comm: name of the tasks, or None."""
    if threads:
        return [('WANTED_THREADS', threads)], _BY_TID
    if comm:
        return list(_comm_values(comm)), _BY_COMM
    return [], _ALL
