# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the clock that finds CPUs which the kernel kept from interrupts, or from switching tasks.

A software clock of perf interrupts each CPU. A tick that comes late by a threshold shows that interrupts were off, or that
the CPU did not run. The true length lies within WIDTH_NS below the gap. The interrupted instruction decides which: a tick
that waited for interrupts comes right behind the instruction that switches them on (see interrupted.py), and only then is
that function to blame. In user mode, and anywhere else in the kernel, interrupts were on: there the hypervisor or the
firmware had the CPU, or an interrupt's own handler. Consecutive ticks that find need_resched set show a kernel that does not
switch. Idle time is left out: the switch away from the idle task begins a new count.

A virtual machine that is paused while interrupts are off anyway looks like that, too. How likely this is, ticks in time tell: one that
falls due while interrupts are off comes behind the instruction that switches them on, so the share of ticks there is the share of time.
"""

TEXT = """
struct tick_state_t {
  u64 tick_ns;         /* the last tick, 0: the CPU was idle */
  u64 clear_ns;        /* when need_resched was last known to be clear */
  u64 need_resched_ns; /* the first tick that found it set, 0: it is clear */
  u64 ticks;           /* how many have found it set since */
  u64 in_time;         /* ticks of the window that were not late */
  struct kept_t kept;
};
BPF_PERCPU_ARRAY(tick_states, struct tick_state_t, 1);
BPF_HASH(tick_places, u64, u64, TICK_PLACES); /* how many ticks in time came right behind what may have switched interrupts on */
BPF_ARRAY(need_resched, u64, NEED_RESCHED_ROWS);

/* sched_set_need_resched_tp(task, cpu, tif): the bit that ends an idle task's timeslice is never the lazy one. */
int on_need_resched(struct bpf_raw_tracepoint_args *ctx) {
  u32 tid = 1, row = NEED_RESCHED_SEEN;
  bpf_probe_read(&tid, sizeof(tid), (void *)(ctx->args[0] + TASK_PID_AT));
  u64 *seen = need_resched.lookup(&row);
  if (seen && !tid)
    *seen = 1ULL << (ctx->args[2] & 63);
  return 0;
}

static inline u64 has_byte(u64 word, u64 byte) {
  u64 zero = word ^ (byte * 0x0101010101010101ULL);
  return (zero - 0x0101010101010101ULL) & ~zero & 0x8080808080808080ULL;
}

/* May the code before an interrupted instruction have switched interrupts on: popf at its end, or sti? Yes when it could not be read. */
static inline int may_switch_on(u64 *code) {
  return (code[1] >> 56) == OPCODE_POPF || has_byte(code[0], OPCODE_STI) || has_byte(code[1], OPCODE_STI) || !(code[0] | code[1]);
}

int on_tick(struct bpf_perf_event_data *ctx) {
  u32 zero = 0, row = NEED_RESCHED_MASK;
  struct tick_state_t *state = tick_states.lookup(&zero);
  if (!state)
    return 0;
  u64 now = bpf_ktime_get_ns();
  if (!state->clear_ns)
    state->clear_ns = now;
  if (!(u32)bpf_get_current_pid_tgid()) {
    state->tick_ns = 0;
    state->need_resched_ns = 0;
    state->clear_ns = now;
    return 0;
  }
  /* Also before the window: what keeps a CPU as it opens began at some time since the last tick. */
  u64 gap = state->tick_ns ? now - state->tick_ns : 0, flags = 0;
  u32 user = ctx->regs.cs & 3;
  state->tick_ns = now;
  bpf_probe_read(&flags, sizeof(flags), (void *)bpf_get_current_task());
  u64 *mask = need_resched.lookup(&row);
  u32 is_set = !user && mask && (flags & *mask);
  if (!is_set) {
    state->need_resched_ns = 0;
    state->clear_ns = now;
  }
  if (!gate_is_open())
    return 0;
  kernel_time_tick(ctx, user, now);
  u64 code[2] = {}, place = ctx->regs.ip;
  if (!user)
    bpf_probe_read(&code, sizeof(code), (void *)(place - sizeof(code)));
  u32 paused = user || !may_switch_on(code);
  if (gap < 2 * TICK_NS) {
    state->in_time += 1;
    u64 none = 0, *met = paused ? 0 : tick_places.lookup_or_try_init(&place, &none);
    if (met)
      __sync_fetch_and_add(met, 1);
  } else {
    u32 cpu = bpf_get_smp_processor_id();
    struct cpu_t *here = paused ? cpus.lookup(&cpu) : 0;
    if (here)
      here->slice_paused_ns += gap - TICK_NS;
    struct stall_t *stall = gap < IRQOFF_NS ? 0 : new_stall(paused ? STALL_CPU_NOT_RUNNING : STALL_IRQOFF, now, gap - WIDTH_NS, gap);
    if (stall) {
      bpf_get_current_comm(&stall->comm, sizeof(stall->comm));
      if (!user) {
        stall->code[0] = code[0];
        stall->code[1] = code[1];
        bpf_get_stack(ctx, &stall->frames, sizeof(stall->frames), 0);
      }
    }
  }
  if (!is_set)
    return 0;
  if (!state->need_resched_ns) {
    state->need_resched_ns = now;
    state->ticks = 0;
    state->kept.votes = 0;
  }
  state->ticks += 1;
  if (now - state->need_resched_ns >= NOSCHED_NS / 2)
    capture_stack(ctx, &state->kept);
  return 0;
}

static inline void ticks_switch(u32 prev, u32 next, u64 now) {
  u32 zero = 0;
  struct tick_state_t *state = tick_states.lookup(&zero);
  if (!state)
    return;
  if (state->need_resched_ns) {
    u64 least = now - state->need_resched_ns;
    u64 most = now - state->clear_ns;
    /* Ticks tell a kernel at work from interrupts that are off, or a CPU that does not run. */
    u64 ticked = state->ticks * TICK_NS;
    if (state->kept.votes && most >= NOSCHED_NS && ticked + WIDTH_NS >= NOSCHED_NS) {
      struct stall_t *stall = new_stall(STALL_NOSCHED, now, least, most);
      if (stall) {
        stall->tid = prev;
        stall->ticked_ns = ticked;
        bpf_get_current_comm(&stall->comm, sizeof(stall->comm));
        __builtin_memcpy(&stall->frames, &state->kept.frames, sizeof(state->kept.frames));
      }
    }
    state->need_resched_ns = 0;
  }
  state->clear_ns = now;
  if (!prev)
    state->tick_ns = now;
  else if (!next)
    state->tick_ns = 0;
}
"""
