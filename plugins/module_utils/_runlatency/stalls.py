# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs that the kernel kept from interrupts, or from switching tasks: the BPF text (GPL-2.0) and what it found.

A software clock of perf interrupts each CPU. A tick that comes late by a threshold tells that interrupts
were off, or that the CPU stood still: the true length lies within period_us() below the gap. The interrupted
place tells which: a tick that waited for interrupts comes right behind the instruction that switches them on
(see interrupted.py), and only then is that place to blame. In user mode, and anywhere else in the kernel, they
were on: there the hypervisor or the firmware had the CPU, or an interrupt's own handler. Ticks that find a wish
to reschedule, one after another, tell of a kernel that does not switch. Idle time is left out: the switch away
from the idle task begins a new count.
"""

import heapq
import os
import platform
import struct
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf.headers import version_code
from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf.stacks import DEPTH, bare
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency import interrupted, residence

KINDS = ('irqoff', 'nosched', 'cpu_not_running', 'syscall')
CLASSES, KEPT = 6, 16
_LEAST_FRAMES = 4
_LEAST_PERIOD_US = 100
_AT_ONCE_S = 0.001
_LISTED = 1000
_WISH = 'sched_set_need_resched_tp'
_WAKES, _WAKE_S = 50, 0.001
_HYPERVISORS_OWN = ('xen_', 'pvm_', 'hypercall_page')  # on their kernels a call switches interrupts on
_LAZY_BIT_MOVED = (6 << 16) + (18 << 8)  # x86 went over to the generic bits of thread_info

TEXT = """
#include <uapi/linux/bpf_perf_event.h>
struct frames_t { u64 ip[DEPTH]; };
struct stall_t {
  u64 ended_ns; u64 least_ns; u64 most_ns; u64 ticked_ns;
  u32 tid; u32 cpu;
  char comm[16];
  u64 code[2];
  struct frames_t frames;
};
struct watch_t { u64 tick_ns; u64 clear_ns; u64 wanted_ns; u64 ticks; u64 captured; struct frames_t frames; struct frames_t looked; };
BPF_PERCPU_ARRAY(watches, struct watch_t, 1);
/* Of each kind and class of length the last ones: those that are twice as long, four times, ... are not displaced by shorter ones. */
BPF_PERCPU_ARRAY(stalls, struct stall_t, KINDS * CLASSES * KEPT);
BPF_PERCPU_ARRAY(stall_counts, u64, KINDS * CLASSES);
BPF_ARRAY(resched, u64, 2);  /* the mask to look at; the one that was seen */

/* sched_set_need_resched_tp(task, cpu, tif): it is never a lazy wish that ends an idle task's turn. */
int on_wish(struct bpf_raw_tracepoint_args *ctx) {
  u32 tid = 1, one = 1;
  bpf_probe_read(&tid, sizeof(tid), (void *)(ctx->args[0] + PID_AT));
  u64 *seen = resched.lookup(&one);
  if (seen && !tid)
    *seen = 1ULL << (ctx->args[2] & 63);
  return 0;
}

static inline struct stall_t *new_stall(u32 kind, u64 now, u64 least, u64 most) {
  u32 row = kind * CLASSES;
  u64 limit = 2 * (kind == 1 ? NOSCHED_NS : kind == 3 ? SYSCALL_NS : IRQOFF_NS);
#pragma unroll
  for (int i = 1; i < CLASSES; i++) {
    if (most >= limit)
      row++;
    limit *= 2;
  }
  u64 *count = stall_counts.lookup(&row);
  if (!count)
    return 0;
  u32 index = row * KEPT + (u32)(*count & (KEPT - 1));
  *count += 1;
  struct stall_t *stall = stalls.lookup(&index);
  if (!stall)
    return 0;
  stall->ended_ns = now;
  stall->least_ns = least;
  stall->most_ns = most;
  stall->cpu = bpf_get_smp_processor_id();
  stall->tid = bpf_get_current_pid_tgid();
  __builtin_memset(&stall->code, 0, sizeof(stall->code));
  __builtin_memset(&stall->frames, 0, sizeof(stall->frames));
  return stall;
}

/* Of several looks the shortest stack is kept: what a tick interrupts now and then, a softirq, stands on top of the task's own.
   Fewer than LEAST_FRAMES are what could not be unwound, as in the midst of a thunk.
   captured: bytes of the one that is kept, 0 before the first look; returns it anew. */
static inline u64 look(void *ctx, struct frames_t *kept, u64 captured) {
  u32 zero = 0;
  struct watch_t *watch = watches.lookup(&zero);
  if (!watch)
    return captured;
  __builtin_memset(&watch->looked, 0, sizeof(watch->looked));
  long bytes = bpf_get_stack(ctx, &watch->looked, sizeof(watch->looked), 0);
  if (bytes < LEAST_FRAMES * 8)
    bytes = sizeof(*kept) + 1;
  if (captured && bytes >= captured)
    return captured;
  __builtin_memcpy(kept, &watch->looked, sizeof(*kept));
  return bytes;
}
"""

_CLOCK = """
static inline u64 has_byte(u64 word, u64 byte) {
  u64 zero = word ^ (byte * 0x0101010101010101ULL);
  return (zero - 0x0101010101010101ULL) & ~zero & 0x8080808080808080ULL;
}

/* May the code before an interrupted place have let interrupts in, by popf at its end or an sti? Also when it could not be read. */
static inline int may_let_in(u64 *code) {
  return (code[1] >> 56) == 0x9d || has_byte(code[0], 0xfb) || has_byte(code[1], 0xfb) || !(code[0] | code[1]);
}

int on_tick(struct bpf_perf_event_data *ctx) {
  u32 zero = 0;
  struct watch_t *watch = watches.lookup(&zero);
  if (!watch)
    return 0;
  u64 now = bpf_ktime_get_ns();
  if (!watch->clear_ns)
    watch->clear_ns = now;
  if (!(u32)bpf_get_current_pid_tgid()) {
    watch->tick_ns = 0;
    watch->wanted_ns = 0;
    watch->clear_ns = now;
    return 0;
  }
  /* Also before the window: what keeps a CPU as it opens began at some time since the last tick. */
  u64 gap = watch->tick_ns ? now - watch->tick_ns : 0, flags = 0;
  u32 user = ctx->regs.cs & 3;
  watch->tick_ns = now;
  bpf_probe_read(&flags, sizeof(flags), (void *)bpf_get_current_task());
  u64 *mask = resched.lookup(&zero);
  u32 wanted = !user && mask && (flags & *mask);
  if (!wanted) {
    watch->wanted_ns = 0;
    watch->clear_ns = now;
  }
  if (!gate_is_open())
    return 0;
  stay_ticks(ctx, user, now);
  if (gap >= IRQOFF_NS) {
    u64 code[2] = {};
    if (!user)
      bpf_probe_read(&code, sizeof(code), (void *)(ctx->regs.ip - sizeof(code)));
    struct stall_t *stall = new_stall(user || !may_let_in(code) ? 2 : 0, now, gap - WIDTH_NS, gap);
    if (stall) {
      bpf_get_current_comm(&stall->comm, sizeof(stall->comm));
      if (!user) {
        stall->code[0] = code[0];
        stall->code[1] = code[1];
        bpf_get_stack(ctx, &stall->frames, sizeof(stall->frames), 0);
      }
    }
  }
  if (!wanted)
    return 0;
  if (!watch->wanted_ns) {
    watch->wanted_ns = now;
    watch->ticks = 0;
    watch->captured = 0;
  }
  watch->ticks += 1;
  if (now - watch->wanted_ns >= NOSCHED_NS / 2)
    watch->captured = look(ctx, &watch->frames, watch->captured);
  return 0;
}

static inline void switched_away(u32 prev, u32 next, u32 sleeps, u64 now) {
  u32 zero = 0;
  stay_switches(prev, next, sleeps, now);
  struct watch_t *watch = watches.lookup(&zero);
  if (!watch)
    return;
  if (watch->wanted_ns) {
    u64 least = now - watch->wanted_ns;
    u64 most = now - watch->clear_ns;
    /* Ticks are what tells a kernel at work from interrupts off, or a paused machine. */
    u64 ticked = watch->ticks * TICK_NS;
    if (watch->captured && most >= NOSCHED_NS && ticked + WIDTH_NS >= NOSCHED_NS) {
      struct stall_t *stall = new_stall(1, now, least, most);
      if (stall) {
        stall->tid = prev;
        stall->ticked_ns = ticked;
        bpf_get_current_comm(&stall->comm, sizeof(stall->comm));
        __builtin_memcpy(&stall->frames, &watch->frames, sizeof(watch->frames));
      }
    }
    watch->wanted_ns = 0;
  }
  watch->clear_ns = now;
  if (!prev)
    watch->tick_ns = now;
  else if (!next)
    watch->tick_ns = 0;
}
"""


def period_us(options):
    """Return the width of an interval that holds a stall's length, in microseconds: a fifth of the smallest threshold."""
    return max(_LEAST_PERIOD_US, min(options[name] for name in ('irqoff_us', 'nosched_us', 'syscall_us') if options[name]) // 5)


def tick_us(options):
    """Return the microseconds between two ticks: less than period_us, as a tick itself may come a little later than it should."""
    return period_us(options) * 5 // 6


def text(options):
    """Return the C text. options: those of the probe."""
    values = (('IRQOFF_NS', '%dULL' % (options['irqoff_us'] * 1000)), ('NOSCHED_NS', '%dULL' % (options['nosched_us'] * 1000)),
              ('WIDTH_NS', '%dULL' % (period_us(options) * 1000)), ('TICK_NS', '%dULL' % (tick_us(options) * 1000)),
              ('SYSCALL_NS', '%dULL' % ((options['syscall_us'] or 0) * 1000)), ('KINDS', len(watched(options))),
              ('CLASSES', CLASSES), ('LEAST_FRAMES', _LEAST_FRAMES), ('KEPT', KEPT), ('DEPTH', DEPTH),
              ('PID_AT', '%dULL' % (btf.offsets('task_struct', ['pid']) or {}).get('pid', 0)))
    return ''.join('#define %s %s\n' % value for value in values) + TEXT + residence.text(options['syscall_us']) + _CLOCK


def watched(options):
    """Return the kinds that are looked for, in the order of the kernel's rows."""
    return KINDS if options['syscall_us'] else KINDS[:-1]


def resched_mask(release):
    """Return TIF_NEED_RESCHED of x86 as a mask. The bit for lazy rescheduling, where there is one, is another: waiting for it is normal.

    Source: arch/x86/include/asm/thread_info.h; from 6.18 on include/asm-generic/thread_info_tif.h.
    """
    return 1 << (4 if version_code(release) >= _LAZY_BIT_MOVED else 3)


def learn_resched_mask(program):
    """Have the running kernel say which bit it sets; the one of its version where it has no tracepoint for that.

    Kernels that moved the bit have the tracepoint (it came with 6.17). To see it, this process wakes idle CPUs by its own timers.
    """
    table = program.table('resched')
    mask = resched_mask(platform.release())
    if btf.offsets('task_struct', ['pid']) is not None:
        try:
            program.attach_raw(_WISH, 'on_wish')
        except Unavailable:
            pass  # a kernel without it
        else:
            for _unused in range(_WAKES):
                time.sleep(_WAKE_S)
                if table[1].value:
                    mask = table[1].value
                    break
            program.detach_raw(_WISH)
    table[table.Key(0)] = table.Leaf(mask)
    return mask


class Found(object):
    """The stalls of one window: collect() them while it is open, as the kernel keeps the last KEPT of each kind and class on each CPU.

    program: Program with the text above; kinds: as given by watched(); symbols: Symbols; opened_ns: CLOCK_MONOTONIC at the begin
    of the window.
    """

    def __init__(self, program, kinds, symbols, opened_ns):
        self._program, self._kinds, self._symbols, self._opened_ns = program, kinds, symbols, opened_ns
        self._taken = {}
        self._events = dict((kind, []) for kind in kinds)
        self.counts = dict((kind, 0) for kind in kinds)
        self.overwritten = 0
        self._hypervisors_own = False  # whether a stall was of the kind that only a look can tell

    def collect(self, least_new=1):
        """Take over what is new, once some CPU has `least_new` of a kind and class."""
        table, counted = self._program.table('stalls'), self._program.table('stall_counts')
        for row in range(len(self._kinds) * CLASSES):
            kind = self._kinds[row // CLASSES]
            counts = list(counted[row])
            before = self._taken.get(row, [0] * len(counts))
            if max(count - taken for count, taken in zip(counts, before)) < least_new:
                continue
            self._symbols.refresh()
            self._taken[row] = counts
            wanted, displaced = {}, 0
            for cpu, (count, taken) in enumerate(zip(counts, before)):
                displaced += max(0, count - taken - KEPT)
                for serial in range(max(taken, count - KEPT), count):
                    wanted.setdefault(serial % KEPT, []).append(cpu)
            for place, cpus in wanted.items():
                stalls = table[row * KEPT + place]
                for cpu in cpus:
                    event = _event(kind, stalls[cpu], self._symbols, self._opened_ns)
                    if event is not None:
                        self._hypervisors_own = self._hypervisors_own or (kind, event['kind']) == ('cpu_not_running', 'irqoff')
                        self._add(event)
            self._displaced(kind, displaced)

    def _displaced(self, kind, number):
        """Count those that nobody can look at any more. What the kernel calls a pause is one, except in a hypervisor's own functions."""
        if kind == 'cpu_not_running' and not self._hypervisors_own:
            self.counts[kind] += number
        else:
            self.overwritten += number

    def _add(self, event):
        self.counts[event['kind']] += 1
        rows = self._events[event['kind']]
        row = (event['delay_us'], sum(self.counts.values()), event)
        if len(rows) < _LISTED:
            heapq.heappush(rows, row)
        else:
            heapq.heappushpop(rows, row)

    def longest(self, top, virtual, stolen_us):
        """Return the events as in the schema, longest first, at most `top`, and at most `top` system calls; those that contradict
        others say so.

        virtual: whether a hypervisor can pause this machine; stolen_us: {CPU: what it took within the window}.
        """
        events = [row[2] for rows in self._events.values() for row in rows]
        doubt(events, virtual, stolen_us)
        events.sort(key=lambda event: -event['delay_us'])
        calls = [event for event in events if event['kind'] == 'syscall'][:top]
        return sorted([event for event in events if event['kind'] != 'syscall'][:top] + calls, key=lambda event: -event['delay_us'])


def doubt(events, virtual, stolen_us):
    """Add the reasons to doubt a stall, and whether there are none as 'certain'; changes events in place."""
    irqoff = [event for event in events if event['kind'] == 'irqoff']
    paused_us = max([event['delay_us'] for event in events if event['kind'] == 'cpu_not_running'] or [0])
    for event in irqoff:
        if virtual and paused_us > event['least_us'] / 2:
            event['reasons'].append('CPUs of this virtual machine stood still for up to %d us within the window' % paused_us)
        if virtual and stolen_us.get(event['cpu'], 0) > event['least_us'] / 2:
            event['reasons'].append('the hypervisor took %d us from this CPU within the window' % stolen_us[event['cpu']])
        for other in irqoff:
            if other['cpu'] != event['cpu'] and abs(other['at_s'] - event['at_s']) < _AT_ONCE_S and other['delay_us'] > event['least_us']:
                event['reasons'].append('CPU %d had interrupts off until the same instant: one of the two may have waited for the other'
                                        % other['cpu'])
                break
    for event in events:
        if event['kind'] != 'cpu_not_running' and _is_ours(event['pid']):
            event['reasons'].append('the task is a probe of this measurement')
        event['certain'] = not event['reasons']


def _is_ours(pid):
    """Does the task belong to the process group of this measurement?"""
    try:
        return pid > 0 and os.getpgid(pid) == os.getpgrp()
    except OSError:
        return False


def _of_late_tick(code, kind, frames):
    """Return (kind, reason to doubt it or '') of a late tick: did interrupts that were off keep it?

    code: the bytes before the interrupted place, zeros in user mode or when they could not be read; kind: as the kernel saw it.
    """
    if not any(bytearray(code)):
        return kind, ('the code at the interrupted place could not be read' if kind == 'irqoff' else
                      'in user mode: the hypervisor, the firmware or the handler of an interrupt had the CPU')
    if interrupted.switched_on(code) or (frames and bare(frames[0]).startswith(_HYPERVISORS_OWN)):
        return 'irqoff', ''
    return 'cpu_not_running', 'interrupts were on: the hypervisor, the firmware or the handler of an interrupt had the CPU'


def _event(kind, stall, symbols, opened_ns):
    """Return a stall as an event; None for the work of an interrupt that was taken for a page fault."""
    frames = symbols.stack(stall.frames.ip)
    if kind == 'syscall' and stall.code[0] == residence.FAULT and not residence.may_be_fault(frames):
        return None
    reason = ''
    if kind in ('irqoff', 'cpu_not_running'):
        kind, reason = _of_late_tick(struct.pack('<2Q', *stall.code), kind, frames)
        frames = [] if kind == 'cpu_not_running' else frames
    elif stall.ticked_ns < stall.least_ns / 2:
        reason = 'the CPU stood still for a part of it: the clock ticked for %d us only' % (stall.ticked_ns // 1000)
    event = {'kind': kind, 'delay_us': round(stall.most_ns / 1e3, 3), 'least_us': round(stall.least_ns / 1e3, 3), 'cpu': stall.cpu,
             'pid': stall.tid, 'comm': stall.comm.decode('utf-8', 'replace'), 'at_s': round((stall.ended_ns - opened_ns) / 1e9, 6),
             'culprit': culprit(frames), 'stack': frames, 'reasons': [reason] if reason else []}
    if kind == 'syscall':
        event['syscall_nr'] = None if stall.code[0] == residence.FAULT else stall.code[0]
    return event


def culprit(stack):
    """Return the function to blame for a stall: the innermost one that is not a lock's or an interrupt's own; None without a stack.

    stack: names as given by Symbols.stack, innermost first.
    """
    for frame in stack:
        name = bare(frame)
        if not name.startswith(_MACHINERY):
            return name
    return bare(stack[0]) if stack else None


_MACHINERY = ('_raw_spin_', '_raw_read_', '_raw_write_', '__raw_spin_', 'native_', 'pv_native_', 'pvm_', 'xen_', 'asm_', 'sysvec_',
              'queued_spin_', '__pv_queued_spin_', 'preempt_', 'ktime_get', 'read_tsc', 'kvm_clock', 'pvclock_', 'delay_', '__delay',
              '__const_udelay', '__udelay', 'irqentry_', 'irq_exit', '__irq_exit', '__do_softirq', 'handle_softirqs', 'bpf_')
