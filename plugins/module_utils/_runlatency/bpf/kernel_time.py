# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): for how long system calls and page faults stay in the kernel.

Kernel time begins with the system call, or with the task's return from a sleep within the call. It ends with the next
sleep or the way back to user mode. Only time on a CPU counts: a preempted task keeps what it had. Ticks capture the
stack in the second half of a kernel time that becomes too long.

The page fault of a user-mode task has kernel time, too, but no event marks its end. The end lies between the last tick
that found the task in the fault and the first event that did not: another tick, a system call, another fault, a switch.
In the fault, the registers that user mode will get back are those of its begin; the work of an interrupt that came later
has others below it. Where such an interrupt came at once, before user mode did anything, only the stack shows it.
"""

# Without the option.
NONE = """
static inline void kernel_time_tick(void *ctx, u32 user, u64 now) {
}
static inline void kernel_time_switch(u32 prev, u32 next, u32 sleeps, u64 now) {
}
"""

TEXT = """
struct kernel_time_t {
  u64 since_ns;    /* 0: the task that runs has none */
  u64 before_ns;   /* what it had before it lost the CPU */
  u64 slack_ns;    /* how much of it may have been elsewhere */
  u64 ticks;       /* how many found it */
  u64 ticked_ns;   /* the last one */
  u64 switched_ns; /* when this CPU last switched tasks */
  u64 regs, mark;  /* of a fault: where user mode's registers are, and what they were */
  u32 captured;    /* whether a stack was */
  u32 call;
  u32 tid;
};
/* The same of a task that lost the CPU. */
struct switched_out_t {
  u64 before_ns, slack_ns, ticks, regs, mark;
  u32 captured, call, tid;
};
BPF_PERCPU_ARRAY(kernel_times, struct kernel_time_t, 1);
BPF_ARRAY(switched_out, struct switched_out_t, THREADS);
/* Stacks by thread: its kernel time may end on another CPU. A thread that exits within it leaves its stack to be displaced. */
BPF_TABLE("lru_hash", u32, struct kept_t, kernel_stacks, KERNEL_STACKS);
BPF_PERCPU_ARRAY(no_stacks, struct kept_t, 1);

static inline void kernel_time_resume(struct kernel_time_t *time, struct switched_out_t *out, u64 since) {
  time->before_ns = out->before_ns;
  time->slack_ns = out->slack_ns;
  time->ticks = out->ticks;
  time->captured = out->captured;
  time->call = out->call;
  time->tid = out->tid;
  time->regs = out->regs;
  time->mark = out->mark;
  time->ticked_ns = since;
  time->since_ns = since;
  out->tid = 0;
}

/* The kernel time of the task that has this CPU. Some kernels do not report every switch: it came back at some time since the last one. */
static inline struct kernel_time_t *kernel_time_of(u32 tid, u64 now) {
  u32 zero = 0, index = tid & (THREADS - 1);
  struct kernel_time_t *time = kernel_times.lookup(&zero);
  if (!time || (time->since_ns && time->tid == tid))
    return time;
  time->since_ns = 0;
  struct switched_out_t *out = switched_out.lookup(&index);
  if (out && out->tid == tid && tid && time->switched_ns) {
    kernel_time_resume(time, out, time->switched_ns);
    time->slack_ns += now - time->switched_ns;
  }
  return time;
}

static inline void in_kernel_end(struct kernel_time_t *time, u64 now) {
  u64 most = time->before_ns + now - time->since_ns;
  u32 tid = time->tid;
  struct stall_t *stall = most < SYSCALL_NS ? 0 : new_stall(STALL_SYSCALL, now, most - time->slack_ns, most);
  if (stall) {
    stall->tid = tid;
    stall->ticked_ns = time->ticks * TICK_NS;
    stall->code[0] = time->call;
    bpf_get_current_comm(&stall->comm, sizeof(stall->comm));
  }
  if (!time->captured)
    return;
  struct kept_t *kept = kernel_stacks.lookup(&tid);
  if (stall && kept)
    __builtin_memcpy(&stall->frames, &kept->frames, sizeof(stall->frames));
  kernel_stacks.delete(&tid);
}

/* The end of a fault was not seen: it was after the last tick in the kernel. */
static inline void fault_end(struct kernel_time_t *time, u64 now) {
  if (time->since_ns && time->call == PAGE_FAULT && time->ticks) {
    time->slack_ns += now - time->ticked_ns;
    in_kernel_end(time, now);
  }
}

/* A mark of user mode's registers: cx, dx, si, di, orig_ax and ip, which follow each other. */
static inline u64 mark_of(u64 regs) {
  u64 kept[6] = {};
  bpf_probe_read(kept, sizeof(kept), (void *)(regs + __builtin_offsetof(struct pt_regs, cx)));
  return ((((kept[0] * 31 + kept[1]) * 31 + kept[2]) * 31 + kept[3]) * 31 + kept[4]) * 31 + kept[5];
}

/* Whether it is a fault that is over; then it is taken to its end. */
static inline int fault_is_over(struct kernel_time_t *time, u64 now) {
  if (!time->since_ns || time->call != PAGE_FAULT || mark_of(time->regs) == time->mark)
    return 0;
  fault_end(time, now);
  time->since_ns = 0;
  return 1;
}

static inline int in_kernel_begin(u32 call, u64 regs) {
  u64 now = bpf_ktime_get_ns();
  struct kernel_time_t *time = kernel_time_of(bpf_get_current_pid_tgid(), now);
  if (!time)
    return 0;
  fault_end(time, now);
  time->since_ns = 0; /* until the rest is written: a tick may come in between */
  asm volatile("" ::: "memory");
  time->before_ns = 0;
  time->slack_ns = 0;
  time->ticks = 0;
  time->captured = 0;
  time->call = call;
  time->tid = bpf_get_current_pid_tgid();
  time->ticked_ns = now;
  time->regs = regs;
  if (regs)
    time->mark = mark_of(regs);
  asm volatile("" ::: "memory");
  time->since_ns = now;
  return 0;
}

int on_sys_enter(struct bpf_raw_tracepoint_args *ctx) {
  return gate_is_open() ? in_kernel_begin(ctx->args[1], 0) : 0;
}

int on_page_fault_user(struct bpf_raw_tracepoint_args *ctx) {
  return gate_is_open() ? in_kernel_begin(PAGE_FAULT, ctx->args[1]) : 0;
}

int on_sys_exit(struct bpf_raw_tracepoint_args *ctx) {
  if (!gate_is_open())
    return 0;
  u64 now = bpf_ktime_get_ns();
  struct kernel_time_t *time = kernel_time_of(bpf_get_current_pid_tgid(), now);
  if (time && time->since_ns) {
    in_kernel_end(time, now);
    time->since_ns = 0;
  }
  return 0;
}

static inline void kernel_time_tick(struct bpf_perf_event_data *ctx, u32 user, u64 now) {
  u32 tid = bpf_get_current_pid_tgid();
  struct kernel_time_t *time = kernel_time_of(tid, now);
  if (!time || !time->since_ns)
    return;
  if (user) {
    fault_end(time, now);
    time->since_ns = 0;
    return;
  }
  if (fault_is_over(time, now))
    return;
  time->ticks += 1;
  time->ticked_ns = now;
  if (time->before_ns + now - time->since_ns >= SYSCALL_NS / 2) {
    struct kept_t *kept = time->captured ? kernel_stacks.lookup(&tid) : 0;
    if (!kept) { /* the first; or it was displaced, or refused as the map was in use */
      u32 zero = 0;
      struct kept_t *none = no_stacks.lookup(&zero);
      if (none)
        kernel_stacks.update(&tid, none);
      kept = kernel_stacks.lookup(&tid);
    }
    if (kept) {
      capture_stack(ctx, kept);
      time->captured = 1;
    }
  }
}

static inline void kernel_time_switch(u32 prev, u32 next, u32 sleeps, u64 now) {
  u32 index = prev & (THREADS - 1);
  struct kernel_time_t *time = kernel_time_of(prev, now);
  struct switched_out_t *out = switched_out.lookup(&index);
  if (!time || !out)
    return;
  if (time->since_ns && !fault_is_over(time, now)) {
    if (sleeps)
      in_kernel_end(time, now);
    out->before_ns = sleeps ? 0 : time->before_ns + now - time->since_ns;
    out->slack_ns = sleeps ? 0 : time->slack_ns + (time->call == PAGE_FAULT ? now - time->ticked_ns : 0);
    out->ticks = sleeps ? 0 : time->ticks;
    out->captured = sleeps ? 0 : time->captured;
    out->call = time->call;
    out->regs = time->regs;
    out->mark = time->mark;
    out->tid = prev;
  }
  time->since_ns = 0;
  time->switched_ns = now;
  index = next & (THREADS - 1);
  out = switched_out.lookup(&index);
  if (next && out && out->tid == next)
    kernel_time_resume(time, out, now);
}
"""
