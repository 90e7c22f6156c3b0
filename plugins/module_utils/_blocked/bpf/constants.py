# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that the BPF text and the Python code which reads its maps share. This module is their only owner."""

import enum

DEPTH = 32  # frames of a stack that is kept
SITE_FRAMES = 6  # frames that tell one place where tasks sleep from another
WAITS_KEPT = 64  # waits between two collections, on each CPU; a power of two, because the verifier accepts `index & (size - 1)`
SAMPLES = 256  # tasks of one look at all tasks that are kept with their stacks
SLOTS = 16384  # tasks whose lock and device are kept, by thread id; a power of two
SITES = 8192  # places of ordinary sleep
CALIBRATIONS = 256

TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, TASK_NOLOAD = 0x1, 0x2, 0x400  # include/linux/sched.h, since 4.14
TASK_FROZEN = 0x8000  # since 6.1
PF_KTHREAD = 0x200000


class Lock(enum.IntFlag):
    """The flags of tracepoint lock:contention_begin (include/trace/events/lock.h)."""

    SPIN = 1
    READ = 2
    WRITE = 4
    RT = 8
    PERCPU = 16
    MUTEX = 32


_NUMBERS = (('STACK_DEPTH', DEPTH), ('SITE_FRAMES', SITE_FRAMES), ('WAITS_KEPT', WAITS_KEPT), ('SAMPLES', SAMPLES), ('SLOTS', SLOTS),
            ('SITES', SITES), ('CALIBRATIONS', CALIBRATIONS), ('TASK_INTERRUPTIBLE', TASK_INTERRUPTIBLE),
            ('TASK_UNINTERRUPTIBLE', TASK_UNINTERRUPTIBLE), ('TASK_NOLOAD', TASK_NOLOAD), ('TASK_FROZEN', TASK_FROZEN))


def define(pairs):
    """Return C text that defines each (name, value)."""
    return ''.join('#define %s %s\n' % pair for pair in pairs)


def text():
    """Return the C text of all of them."""
    return define(_NUMBERS) + ''.join('#define LOCK_%s %d\n' % (flag.name, flag) for flag in Lock)
