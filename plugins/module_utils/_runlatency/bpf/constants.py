# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers and kinds that the BPF text and the Python code which reads its maps share. This module is their only owner."""

import enum

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf.stacks import DEPTH
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import interrupted

# Powers of two, because the verifier accepts `index & (size - 1)`.
THREADS = 65536  # threads whose state is kept, by thread id
TASKS = 512  # tasks with a histogram, on each CPU
WORST_WAITS = 16  # longest waits that are kept, on each CPU
TIMESLICES = 16  # recent long timeslices that are kept, on each CPU
ACCOUNTS = 64  # commands whose CPU time is kept at hand, on each CPU
COMMANDS = 4096  # commands whose CPU time is kept
SNAPSHOTS = 64  # of the CPU time of all accounts, in each ring
SNAPSHOT_NS = 1 << 20  # least time between two snapshots
UNIT_SHIFT = 10  # snapshots have times in units of 1024 ns
IDLE = ACCOUNTS  # in place of the number of an account
TICK_PLACES = 1024  # instructions behind which ticks came that had perhaps waited
STALLS_KEPT = 16  # stalls of each kind and class of length that are kept, on each CPU

WAIT_BUCKETS = 64
TASK_BUCKETS = 22  # the last one: a second and longer
STALL_CLASSES = 6  # lengths from the threshold on, each class reaches to twice its begin; the last one has no end
KERNEL_STACKS = 1024  # stacks of kernel time that goes on
MIN_FRAMES = 4  # a shorter stack could not be unwound
PAGE_FAULT = 0xffffffff  # in place of the number of a system call
DEFAULT_PRIO = 120  # of nice 0; tasks above are nice, and wait by design
PREEMPTED_IN_KERNEL = 0x100  # TASK_REPORT_MAX in prev_state, since 4.14


class Wait(enum.IntEnum):
    """The begin of a wait."""

    WAKEUP = 0
    PREEMPTED = 1


class Stall(enum.IntEnum):
    """The kind of a stall. The last one is counted only on request, so the others' rows never move."""

    IRQOFF = 0
    NOSCHED = 1
    CPU_NOT_RUNNING = 2
    SYSCALL = 3


class NeedResched(enum.IntEnum):
    """The rows of the map `need_resched`."""

    MASK = 0  # the bit that a tick tests
    SEEN = 1  # the bit that this kernel set


_NUMBERS = (('THREADS', THREADS), ('TASKS', TASKS), ('WORST_WAITS', WORST_WAITS), ('TIMESLICES', TIMESLICES), ('STALLS_KEPT', STALLS_KEPT),
            ('TICK_PLACES', TICK_PLACES),
            ('WAIT_BUCKETS', WAIT_BUCKETS), ('WAIT_KINDS', len(Wait)), ('TASK_BUCKETS', TASK_BUCKETS), ('STALL_CLASSES', STALL_CLASSES),
            ('KERNEL_STACKS', KERNEL_STACKS), ('STACK_DEPTH', DEPTH), ('MIN_FRAMES', MIN_FRAMES), ('PAGE_FAULT', '%dU' % PAGE_FAULT),
            ('ACCOUNTS', ACCOUNTS), ('COMMANDS', COMMANDS), ('SNAPSHOTS', SNAPSHOTS), ('SNAPSHOT_NS', SNAPSHOT_NS),
            ('UNIT_SHIFT', UNIT_SHIFT), ('IDLE', IDLE), ('KWORKER', '%#xULL' % int.from_bytes(b'kworker/', 'little')),
            ('DEFAULT_PRIO', DEFAULT_PRIO), ('PREEMPTED_IN_KERNEL', PREEMPTED_IN_KERNEL),
            ('OPCODE_STI', interrupted.STI), ('OPCODE_POPF', interrupted.POPF))
_KINDS = (('WAIT', Wait), ('STALL', Stall), ('NEED_RESCHED', NeedResched))


def names(kinds):
    """Return the names of an enumeration as facts have them, in order."""
    return tuple(kind.name.lower() for kind in kinds)


def define(pairs):
    """Return C text that defines each (name, value)."""
    return ''.join('#define %s %s\n' % pair for pair in pairs)


def text():
    """Return the C text of all of them."""
    kinds = ['enum %s_kind { %s };\n' % (prefix.lower(), ', '.join('%s_%s = %d' % (prefix, kind.name, kind) for kind in kinds))
             for prefix, kinds in _KINDS]
    return define(_NUMBERS) + ''.join(kinds)
