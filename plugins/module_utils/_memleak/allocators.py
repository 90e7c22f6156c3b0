# SPDX-License-Identifier: GPL-3.0-or-later
"""On whose behalf the kernel allocated: the processes, and the system call at the end of a call stack."""

import os
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core import cgroups, procfs, text
from ansible_collections.ksysak.fleet.plugins.module_utils._core.symbols import bare
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import stacks

SYSTEM_CALL, EXCEPTION, INTERRUPT, KERNEL_THREAD, UNKNOWN = 'system_call', 'exception', 'interrupt', 'kernel_thread', 'unknown'
MOST = 3  # processes of a site
# That much of what survives must be of one process (or of its like, in its cgroup) for that to be who has it.
ONE = 0.8

# Entries of system calls, as SYSCALL_DEFINEx makes them (include/linux/syscalls.h, arch/*/include/asm/syscall_wrapper.h), and the
# kernel's own names of what these call at once.
_ENTRY = re.compile(r'^__(?:x64|ia32|x32|arm64|s390x?|riscv|powerpc|do|se)_(?:compat_)?sys_(\w+)$|^(?:ksys|__sys)_(\w+)$')
_SYSTEM_CALL = frozenset(('do_syscall_64', 'x64_sys_call', 'ia32_sys_call', 'do_int80_syscall_32', 'do_fast_syscall_32',
                          'entry_SYSCALL_64_after_hwframe', 'entry_SYSCALL_64', 'el0_svc', 'el0_svc_common', 'invoke_syscall'))
_EXCEPTION = re.compile(r'^(?:asm_)?exc_\w+$|^(?:do_user_addr_fault|do_page_fault|async_page_fault|page_fault|el0_da|el0_ia)$')
_THREAD = frozenset(('ret_from_fork', 'ret_from_fork_asm', 'kthread', 'worker_thread'))
# System calls that change the memory of the process itself (mm/mmap.c, fs/exec.c).
MEMORY_CALLS = frozenset(('brk', 'mmap', 'mmap2', 'mmap_pgoff', 'mremap', 'munmap', 'mprotect', 'madvise', 'process_madvise', 'execve',
                          'execveat'))
_PF_KTHREAD = 0x00200000  # include/linux/sched.h, in the flags of /proc/PID/stat
_FIRST_NAMESPACE = 'pid:[4026531836]'  # include/linux/proc_ns.h: PROC_PID_INIT_INO
_ACCOUNT = re.compile(r'\{\s*([^{}"]*?),\s*"__GFP_ACCOUNT"\s*\}')
_SLAB_ACCOUNT = 0x04000000  # include/linux/slab.h, from 4.5 to 6.8; later ones tell it in their enum _slab_flag_bits


def context(frames, calls=()):
    """Return (what the kernel did it for, name of the system call or None) of a call stack, innermost first.

    calls: names of the kernel's system calls. The entry of one that ends with a jump to the function that does it is not on the
    stack: then the function that was entered first may have its name, as do_msgsnd and vm_mmap_pgoff.
    """
    core = [bare(frame) for frame in frames if stacks.module_of(frame) is None]
    if not frames:
        return UNKNOWN, None
    if stacks.is_boundary(frames[-1]):
        return INTERRUPT, None
    if stacks.is_dispatch(frames[-1]):
        return (KERNEL_THREAD if core[-1:] == ['process_one_work'] else INTERRUPT), None
    for name in reversed(core):
        found = _ENTRY.match(name)
        if found:
            return SYSTEM_CALL, found.group(1) or found.group(2)
    outer = core[-4:]
    if any(name in _SYSTEM_CALL for name in outer):
        first = next((name for name in reversed(core) if name not in _SYSTEM_CALL), '')
        name = re.sub('^_*(?:do|vm)_', '', first)
        return SYSTEM_CALL, name if name in calls else None
    if any(_EXCEPTION.match(name) for name in outer):
        return EXCEPTION, None
    return (KERNEL_THREAD if any(name in _THREAD for name in outer) else UNKNOWN), None


def account_flag(format_text):
    """Return the flag __GFP_ACCOUNT of this kernel, of the text of a tracepoint's format file; 0: it does not tell.

    The file has the kernel's own expression: (( gfp_t)0x400000u) or (( gfp_t)((((1UL))) << (22))).
    """
    found = _ACCOUNT.search(format_text)
    words = re.findall(r'0x[0-9a-f]+|\d+|<<', found.group(1)) if found else []
    if len(words) == 3 and words[1] == '<<' and int(words[2]) < 32:
        return int(words[0], 0) << int(words[2])
    return int(words[0], 16) if len(words) == 1 and words[0].startswith('0x') else 0


def slab_account(enumerated):
    """Return the flag of slab caches whose objects are charged to cgroups. enumerated: {'_SLAB_ACCOUNT': bit} of the kernel, or None."""
    return 1 << enumerated['_SLAB_ACCOUNT'] if enumerated else _SLAB_ACCOUNT


class Processes:
    """What there is to know of processes at the end of the window."""

    def __init__(self, root='/proc'):
        self._root, self._known = root, {}
        try:
            self._sees_all = os.readlink(root + '/self/ns/pid') == _FIRST_NAMESPACE
        except OSError:
            self._sees_all = True

    def process(self, pid):
        """Return {comm, cgroup, unit, ended, kernel_thread}; comm None of one that ended, ended None where other processes are seen."""
        if pid not in self._known:
            self._known[pid] = self._read(pid)
        return self._known[pid]

    def _read(self, pid):
        found = {'comm': None, 'cgroup': None, 'unit': None, 'ended': True, 'kernel_thread': False}
        if not self._sees_all:  # in a container: the numbers are those of another name space
            return dict(found, ended=None)
        stat = procfs.read_text('%s/%d/stat' % (self._root, pid))
        words = stat.rpartition(')')[2].split()
        if len(words) < 7 or words[0] in ('Z', 'X'):
            return found
        cgroup = cgroups.parse(procfs.read_text('%s/%d/cgroup' % (self._root, pid)))
        return {'comm': stat.partition('(')[2].rpartition(')')[0], 'cgroup': cgroup, 'unit': cgroups.unit(cgroup), 'ended': False,
                'kernel_thread': bool(int(words[6]) & _PF_KTHREAD)}

    def describe(self, counted):
        """Return the allocators of a site as in the schema, most of the survivors first. counted: {(tgid, comm): objects}.

        Processes of one name that ended are one row.
        """
        rows, total = {}, float(sum(counted.values()))
        for (pid, comm), objects in counted.items():
            one = self.process(pid)
            comm = one['comm'] or comm
            row = rows.setdefault((comm, None if one['ended'] else pid), {'one': one, 'pids': set(), 'objects': 0})
            row['pids'].add(pid)
            row['objects'] += objects
        found = []
        for (comm, _pid), row in rows.items():
            one = row['one']
            found.append({
                'pid': min(row['pids']) if len(row['pids']) == 1 else None, 'processes': len(row['pids']),
                'comm': text.printable(comm, 64), 'cgroup': one['cgroup'] and text.printable(one['cgroup'], 256),
                'unit': one['unit'] and text.printable(one['unit'], 256), 'ended': one['ended'], 'kernel_thread': one['kernel_thread'],
                'share': round(row['objects'] / total, 3)})
        found.sort(key=lambda row: (-row['share'], row['comm'], row['pid'] or 0))
        return found


def named(row):
    """Return words for the process of a row of Processes.describe: 'app[1234]'."""
    return row['comm'] if row['pid'] is None else '%s[%d]' % (row['comm'], row['pid'])


def single(described):
    """Return the row of the one process, or of the first of several of one name and cgroup, that allocated nearly all; None: many did.

    described: of Processes.describe, all rows.
    """
    families = {}
    for row in described:
        key = (row['comm'], row['cgroup'], row['ended'], row['kernel_thread'])
        families.setdefault(key, []).append(row)
    for rows in families.values():
        if sum(row['share'] for row in rows) >= ONE and rows[0]['comm'] and not rows[0]['kernel_thread']:
            return rows[0]
    return None
