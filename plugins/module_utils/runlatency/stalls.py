# SPDX-License-Identifier: GPL-3.0-or-later
"""CPUs that the kernel kept from interrupts, or from switching tasks: the BPF text (GPL-2.0) and what it found.

A software clock of perf interrupts each CPU every period. A tick that comes late by a
threshold tells that interrupts were off: the true length lies between (gap - period) and gap,
and the interrupted instruction is where they came back on. Ticks that find a wish to
reschedule, one after another, tell of a kernel that does not switch. Idle time is
left out: the switch away from the idle task begins a new count. A late tick in user mode is
the hypervisor's doing, as there interrupts are never off: it is counted apart, and so is
what happens to several CPUs of a virtual machine at once.
"""

import platform

from ansible_collections.ksysak.fleet.plugins.module_utils.ebpf.headers import version_code
from ansible_collections.ksysak.fleet.plugins.module_utils.ebpf.stacks import DEPTH, bare

KINDS = ('irqoff', 'nosched', 'pause')
KEPT = 64
_LEAST_PERIOD_US = 100
_AT_ONCE_S = 0.001
_LAZY_BIT_MOVED = (6 << 16) + (18 << 8)  # x86 went over to the generic bits of thread_info

TEXT = """
#include <uapi/linux/bpf_perf_event.h>
struct frames_t { u64 ip[DEPTH]; };
struct stall_t {
  u64 ended_ns; u64 least_ns; u64 most_ns;
  u32 tid; u32 cpu;
  char comm[16];
  struct frames_t frames;
};
struct watch_t { u64 tick_ns; u64 clear_ns; u64 wanted_ns; u64 ticks; u64 captured; struct frames_t frames; };
BPF_PERCPU_ARRAY(watches, struct watch_t, 1);
BPF_PERCPU_ARRAY(stalls, struct stall_t, 3 * KEPT);
BPF_PERCPU_ARRAY(stall_counts, u64, 3);

static inline struct stall_t *new_stall(u32 kind, u64 now, u64 least, u64 most) {
  u64 *count = stall_counts.lookup(&kind);
  if (!count)
    return 0;
  u32 index = kind * KEPT + (u32)(*count & (KEPT - 1));
  *count += 1;
  struct stall_t *stall = stalls.lookup(&index);
  if (!stall)
    return 0;
  stall->ended_ns = now;
  stall->least_ns = least;
  stall->most_ns = most;
  stall->cpu = bpf_get_smp_processor_id();
  stall->tid = bpf_get_current_pid_tgid();
  __builtin_memset(&stall->frames, 0, sizeof(stall->frames));
  return stall;
}

int on_tick(struct bpf_perf_event_data *ctx) {
  u32 zero = 0;
  struct watch_t *watch = watches.lookup(&zero);
  if (!watch)
    return 0;
  if (!gate_is_open() || !(u32)bpf_get_current_pid_tgid()) {
    watch->tick_ns = 0;
    watch->wanted_ns = 0;
    return 0;
  }
  u64 now = bpf_ktime_get_ns(), gap = watch->tick_ns ? now - watch->tick_ns : 0;
  u32 user = ctx->regs.cs & 3;
  watch->tick_ns = now;
  if (gap >= IRQOFF_NS) {
    struct stall_t *stall = new_stall(user ? 2 : 0, now, gap - PERIOD_NS, gap);
    if (stall) {
      bpf_get_current_comm(&stall->comm, sizeof(stall->comm));
      if (!user)
        bpf_get_stack(ctx, &stall->frames, sizeof(stall->frames), 0);
    }
  }
  u64 flags = 0;
  bpf_probe_read(&flags, sizeof(flags), (void *)bpf_get_current_task());
  if (user || !(flags & RESCHED)) {
    watch->wanted_ns = 0;
    watch->clear_ns = now;
    return 0;
  }
  if (!watch->wanted_ns) {
    watch->wanted_ns = now;
    watch->ticks = 0;
    watch->captured = 0;
  }
  watch->ticks += 1;
  if (!watch->captured && now - watch->wanted_ns >= NOSCHED_NS / 2) {
    watch->captured = 1;
    __builtin_memset(&watch->frames, 0, sizeof(watch->frames));
    bpf_get_stack(ctx, &watch->frames, sizeof(watch->frames), 0);
  }
  return 0;
}

static inline void switched_away(u32 prev, u32 next, u64 now) {
  u32 zero = 0;
  struct watch_t *watch = watches.lookup(&zero);
  if (!watch)
    return;
  if (watch->wanted_ns) {
    u64 least = now - watch->wanted_ns;
    u64 most = now - watch->clear_ns;
    /* Too few ticks for the time: that was no kernel at work, but interrupts off, or a paused machine. */
    if (watch->captured && most >= NOSCHED_NS && watch->ticks * PERIOD_NS * 2 >= least) {
      struct stall_t *stall = new_stall(1, now, least, most);
      if (stall) {
        stall->tid = prev;
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
    """Return the microseconds between two ticks: a fifth of the smaller threshold."""
    return max(_LEAST_PERIOD_US, min(options['irqoff_us'], options['nosched_us']) // 5)


def text(options):
    """Return the C text. options: those of the probe."""
    values = (('IRQOFF_NS', '%dULL' % (options['irqoff_us'] * 1000)), ('NOSCHED_NS', '%dULL' % (options['nosched_us'] * 1000)),
              ('PERIOD_NS', '%dULL' % (period_us(options) * 1000)), ('RESCHED', '%dULL' % resched_mask(platform.release())),
              ('KEPT', KEPT), ('DEPTH', DEPTH))
    return ''.join('#define %s %s\n' % value for value in values) + TEXT


def resched_mask(release):
    """Return TIF_NEED_RESCHED of x86 as a mask. The bit for lazy rescheduling, where there is one, is another: waiting for it is normal.

    Source: arch/x86/include/asm/thread_info.h; from 6.18 on include/asm-generic/thread_info_tif.h.
    """
    return 1 << (4 if version_code(release) >= _LAZY_BIT_MOVED else 3)


def read(program, symbols, opened_ns, top, virtual):
    """Return ({kind: count}, [event], longest first) as in the schema.

    program: Program with the text above; symbols: Symbols; opened_ns: CLOCK_MONOTONIC at the begin of the window;
    virtual: whether a hypervisor can pause this machine.
    """
    table, counted = program.table('stalls'), program.table('stall_counts')
    counts = dict((kind, sum(counted[index])) for index, kind in enumerate(KINDS))
    events = []
    for index in range(len(KINDS) * KEPT):
        for stall in table[index]:
            if stall.ended_ns:
                events.append(_event(KINDS[index // KEPT], stall, symbols, opened_ns))
    if virtual:
        _tell_pauses(events, counts)
    events.sort(key=lambda event: -event['delay_us'])
    return counts, events[:top]


def _tell_pauses(events, counts):
    """CPUs that stood still from one instant to another, all of them, were paused with their machine; changes both in place.

    A CPU that waited for a lock of another ends with it, too, but has not begun with it.
    """
    stopped = [event for event in events if event['kind'] != 'nosched']
    paused = [event for event in stopped if event['kind'] == 'irqoff' and any(_at_once(event, other) for other in stopped)]
    for event in paused:
        event.update(kind='pause', culprit=None, stack=[])
    counts['irqoff'] -= len(paused)
    counts['pause'] += len(paused)


def _at_once(event, other):
    period_s = (event['delay_us'] - event['least_us']) / 1e6
    begins_s = [stall['at_s'] - stall['delay_us'] / 1e6 for stall in (event, other)]
    return (event['cpu'] != other['cpu'] and abs(event['at_s'] - other['at_s']) < _AT_ONCE_S
            and abs(begins_s[0] - begins_s[1]) < period_s + _AT_ONCE_S)


def _event(kind, stall, symbols, opened_ns):
    frames = symbols.stack(stall.frames.ip)
    return {'kind': kind, 'delay_us': round(stall.most_ns / 1e3, 3), 'least_us': round(stall.least_ns / 1e3, 3), 'cpu': stall.cpu,
            'pid': stall.tid, 'comm': stall.comm.decode('utf-8', 'replace'), 'at_s': round((stall.ended_ns - opened_ns) / 1e9, 6),
            'culprit': culprit(frames), 'stack': frames}


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
              '__const_udelay', '__udelay', 'irqentry_', 'irq_exit', 'bpf_')
