# SPDX-License-Identifier: GPL-3.0-or-later
"""How long system calls and page faults stay in the kernel: the BPF text (GPL-2.0).

A stay begins with the system call, or with the task's return from a sleep within it, and ends with the next
sleep or the way back to user mode. Only time on a CPU counts: a task that was preempted keeps what it had. The
clock for stalls looks at the stack in the second half of a stay that becomes too long.

A page fault of user mode is a stay, too, but no event tells of its end. It lies between the last tick that found
the task in the fault and the first event that did not: another tick, a system call, another fault, a switch. In the
fault, the registers that user mode will get back are those of its begin; the work of an interrupt that came later has
others below it. Where such an interrupt came at once, before user mode did anything, only the stack tells.
"""

import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import Unavailable

SLOTS = 65536
MOST = 1024  # stacks of stays that go on
FAULT = 0xffffffff  # in place of the number of a system call
# Where the kernel is entered for a page fault: from 5.8 on, before, and on a KVM guest before.
_ENTRY = re.compile(r'(asm_exc_page_fault|page_fault|async_page_fault|asm_sysvec_kvm_asyncpf_interrupt)(\+|$)')

# Of the text for stalls: where a stay is looked at by the clock, and where the CPU switches tasks.
UNWATCHED = """
static inline void stay_ticks(void *ctx, u32 user, u64 now) {}
static inline void stay_switches(u32 prev, u32 next, u32 sleeps, u64 now) {}
"""

TEXT = """
struct stay_t {
  u64 since_ns; u64 before_ns; u64 slack_ns; u64 ticks; u64 ticked_ns; u64 switched_ns;
  u64 regs; u64 mark;  /* of a fault: where user mode's registers are, and what they were */
  u32 captured; u32 call; u32 tid;
  struct frames_t frames;
};
struct away_t { u64 before_ns; u64 slack_ns; u64 ticks; u64 regs; u64 mark; u32 captured; u32 call; u32 tid; };
BPF_PERCPU_ARRAY(stays, struct stay_t, 1);
BPF_ARRAY(away, struct away_t, SLOTS);
/* Stacks by thread: its stay may end on another CPU. One that exits within its stay leaves it to be displaced. */
BPF_TABLE("lru_hash", u32, struct frames_t, midst, MOST);

static inline void stay_resumes(struct stay_t *stay, struct away_t *slot, u64 since) {
  stay->before_ns = slot->before_ns;
  stay->slack_ns = slot->slack_ns;
  stay->ticks = slot->ticks;
  stay->captured = slot->captured;
  stay->call = slot->call;
  stay->tid = slot->tid;
  stay->regs = slot->regs;
  stay->mark = slot->mark;
  stay->ticked_ns = since;
  stay->since_ns = since;
  slot->tid = 0;
}

/* The stay of the task that has this CPU. Some kernels do not tell of every switch: it came back at some time since the last one. */
static inline struct stay_t *stay_of(u32 tid, u64 now) {
  u32 zero = 0, index = tid & (SLOTS - 1);
  struct stay_t *stay = stays.lookup(&zero);
  if (!stay || (stay->since_ns && stay->tid == tid))
    return stay;
  stay->since_ns = 0;
  struct away_t *slot = away.lookup(&index);
  if (slot && slot->tid == tid && tid && stay->switched_ns) {
    stay_resumes(stay, slot, stay->switched_ns);
    stay->slack_ns += now - stay->switched_ns;
  }
  return stay;
}

static inline void stay_ends(struct stay_t *stay, u64 now) {
  u64 most = stay->before_ns + now - stay->since_ns;
  u32 tid = stay->tid;
  struct stall_t *stall = most < SYSCALL_NS ? 0 : new_stall(3, now, most - stay->slack_ns, most);
  if (stall) {
    stall->tid = tid;
    stall->ticked_ns = stay->ticks * TICK_NS;
    stall->code[0] = stay->call;
    bpf_get_current_comm(&stall->comm, sizeof(stall->comm));
  }
  if (!stay->captured)
    return;
  struct frames_t *frames = midst.lookup(&tid);
  if (stall && frames)
    __builtin_memcpy(&stall->frames, frames, sizeof(stall->frames));
  midst.delete(&tid);
}

/* The end of a fault was not seen: it was after the last tick in the kernel. */
static inline void fault_ends(struct stay_t *stay, u64 now) {
  if (stay->since_ns && stay->call == FAULT && stay->ticks) {
    stay->slack_ns += now - stay->ticked_ns;
    stay_ends(stay, now);
  }
}

/* A mark of user mode's registers: cx, dx, si, di, orig_ax and ip of pt_regs. */
static inline u64 mark_of(u64 regs) {
  u64 kept[6] = {};
  bpf_probe_read(kept, sizeof(kept), (void *)(regs + 88));
  return ((((kept[0] * 31 + kept[1]) * 31 + kept[2]) * 31 + kept[3]) * 31 + kept[4]) * 31 + kept[5];
}

/* Whether it is a fault that is over; then it is taken to its end. */
static inline int fault_is_over(struct stay_t *stay, u64 now) {
  if (!stay->since_ns || stay->call != FAULT || mark_of(stay->regs) == stay->mark)
    return 0;
  fault_ends(stay, now);
  stay->since_ns = 0;
  return 1;
}

static inline int stay_begins(u32 call, u64 regs) {
  u64 now = bpf_ktime_get_ns();
  struct stay_t *stay = stay_of(bpf_get_current_pid_tgid(), now);
  if (!stay)
    return 0;
  fault_ends(stay, now);
  stay->since_ns = 0;  /* until the rest is written: a tick may come in between */
  asm volatile("" ::: "memory");
  stay->before_ns = 0;
  stay->slack_ns = 0;
  stay->ticks = 0;
  stay->captured = 0;
  stay->call = call;
  stay->tid = bpf_get_current_pid_tgid();
  stay->ticked_ns = now;
  stay->regs = regs;
  if (regs)
    stay->mark = mark_of(regs);
  asm volatile("" ::: "memory");
  stay->since_ns = now;
  return 0;
}

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx) {
  return gate_is_open() ? stay_begins(ctx->args[1], 0) : 0;
}

int on_page_fault_user(struct bpf_raw_tracepoint_args *ctx) {
  return gate_is_open() ? stay_begins(FAULT, ctx->args[1]) : 0;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx) {
  if (!gate_is_open())
    return 0;
  u64 now = bpf_ktime_get_ns();
  struct stay_t *stay = stay_of(bpf_get_current_pid_tgid(), now);
  if (stay && stay->since_ns) {
    stay_ends(stay, now);
    stay->since_ns = 0;
  }
  return 0;
}

static inline void stay_ticks(struct bpf_perf_event_data *ctx, u32 user, u64 now) {
  u32 tid = bpf_get_current_pid_tgid();
  struct stay_t *stay = stay_of(tid, now);
  if (!stay || !stay->since_ns)
    return;
  if (user) {
    fault_ends(stay, now);
    stay->since_ns = 0;
    return;
  }
  if (fault_is_over(stay, now))
    return;
  stay->ticks += 1;
  stay->ticked_ns = now;
  if (stay->before_ns + now - stay->since_ns >= SYSCALL_NS / 2) {
    u32 before = stay->captured;
    stay->captured = look(ctx, &stay->frames, before);
    if (stay->captured != before)
      midst.update(&tid, &stay->frames);
  }
}

static inline void stay_switches(u32 prev, u32 next, u32 sleeps, u64 now) {
  u32 index = prev & (SLOTS - 1);
  struct stay_t *stay = stay_of(prev, now);
  struct away_t *slot = away.lookup(&index);
  if (!stay || !slot)
    return;
  if (stay->since_ns && !fault_is_over(stay, now)) {
    if (sleeps)
      stay_ends(stay, now);
    slot->before_ns = sleeps ? 0 : stay->before_ns + now - stay->since_ns;
    slot->slack_ns = sleeps ? 0 : stay->slack_ns + (stay->call == FAULT ? now - stay->ticked_ns : 0);
    slot->ticks = sleeps ? 0 : stay->ticks;
    slot->captured = sleeps ? 0 : stay->captured;
    slot->call = stay->call;
    slot->regs = stay->regs;
    slot->mark = stay->mark;
    slot->tid = prev;
  }
  stay->since_ns = 0;
  stay->switched_ns = now;
  index = next & (SLOTS - 1);
  slot = away.lookup(&index);
  if (next && slot && slot->tid == next)
    stay_resumes(stay, slot, now);
}
"""


def text(syscall_us):
    """Return the C text. syscall_us: the shortest stay that is kept; None: stays are not watched."""
    if syscall_us is None:
        return UNWATCHED
    values = (('SYSCALL_NS', '%dULL' % (syscall_us * 1000)), ('SLOTS', SLOTS), ('MOST', MOST), ('FAULT', '%dU' % FAULT))
    return ''.join('#define %s %s\n' % value for value in values) + TEXT


def may_be_fault(stack):
    """May the stack (names, innermost first) come from a page fault? Where the kernel hides its symbols there are numbers only."""
    return any(_ENTRY.match(frame) for frame in stack) or all(frame.startswith('0x') for frame in stack)


def attach(program, has_clock):
    """Watch system calls, and page faults. Returns why the latter cannot be, or ''.

    Raises Unavailable on a kernel without the tracepoints of system calls, or without the clock for stalls.
    """
    if not has_clock:
        raise Unavailable('they need the clock for stalls')
    program.attach_raw('sys_enter', 'on_sys_enter')
    program.attach_raw('sys_exit', 'on_sys_exit')
    try:
        program.attach_raw('page_fault_user', 'on_page_fault_user')
    except Unavailable as error:
        return error.reason
    return ''
