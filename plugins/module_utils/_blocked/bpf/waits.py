# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): waits that are over, at the wake-up, and tasks that are blocked now, by an iterator over all tasks.

The iterator sees each wait that lasts; on_sched_waking is attached only while there are some, as each wake-up pays for it.

The kernel itself keeps when a task last got a CPU (sched_info.last_arrival) and how long it ran then
(sum_exec_runtime - prev_sum_exec_runtime): both together give the begin of its sleep, without a program at each switch. The
sleeper does not run yet when sched_waking reports it, so its stack, its state and the stack of who wakes it are all there.
For a real-time task the second number is not kept: its wait is too long by its last timeslice at most.
"""

STRUCT = """
struct wait_t {
  u64 ended_ns, slept_ns, site, lock, device_at_ns;
  u64 code; /* the 8 bytes before the address that the sleeper returns to: the call of the function in which it sleeps */
  u32 tid, tgid, state, flags, device, lock_flags, is_mmap_lock, owner_tid, owner_tgid, waker_tid, waker_tgid, prio;
  char comm[16], owner_comm[16], waker_comm[16];
  u64 frames[STACK_DEPTH], waker_frames[STACK_DEPTH];
};
"""

TEXT = """
struct site_t {
  u64 frames[SITE_FRAMES];
};
struct look_t {
  u64 least_ns, most_ns; /* which interruptible sleeps count, by what they have lasted */
  u64 kept;              /* samples that were kept */
  u64 wanted;            /* those that were to be kept */
};
struct counts_t {
  u64 waits, lost, lost_ns, total_ns;
};
BPF_PERCPU_ARRAY(scratch, struct site_t, 1);
BPF_PERCPU_ARRAY(waits, struct wait_t, WAITS_KEPT);
BPF_PERCPU_ARRAY(counts, struct counts_t, 1);
BPF_PERCPU_ARRAY(taken, u64, 1);
BPF_ARRAY(looked, struct site_t, 1);
BPF_ARRAY(look, struct look_t, 1);
BPF_ARRAY(samples, struct wait_t, SAMPLES);
/* Places where tasks sleep because a program asked for it: of uninterruptible sleep and of other sleep apart. */
BPF_HASH(ordinary, u64, u64, SITES);

/* May a task in this state be blocked by the kernel? Not one that is idle by design, stopped, traced or frozen. */
static inline int may_be_blocked(u32 state) {
  return (state & (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)) && !(state & (TASK_NOLOAD | TASK_FROZEN));
}

/* The place where a task sleeps, as a number. site: where its frames are kept meanwhile. */
static inline u64 site_of(u64 task, u32 state, struct site_t *site) {
  u64 found = state & TASK_UNINTERRUPTIBLE;
  __builtin_memset(site, 0, sizeof(*site));
  bpf_get_task_stack((void *)task, site->frames, sizeof(site->frames), 0);
#pragma unroll
  for (int i = 0; i < SITE_FRAMES; i++)
    found = (found ^ site->frames[i]) * 0x9E3779B97F4A7C15ULL;
  return found;
}

/* When the task went to sleep, in the scheduler's clock. now: in the same. */
static inline u64 sleep_begin(u64 task, u64 arrival, u64 now) {
  u64 sum = 0, before = 0;
  u32 prio = 0;
  bpf_probe_read_kernel(&sum, sizeof(sum), (void *)(task + TASK_SUM_AT));
  bpf_probe_read_kernel(&before, sizeof(before), (void *)(task + TASK_SUM_BEFORE_AT));
  bpf_probe_read_kernel(&prio, sizeof(prio), (void *)(task + TASK_PRIO_AT));
  u64 ran = sum - before;
  return prio < 100 || ran > now - arrival ? arrival : arrival + ran;
}

static inline void describe(u64 task, struct wait_t *wait) {
  u64 at = 0;
  bpf_probe_read_kernel(&wait->tid, sizeof(u32), (void *)(task + TASK_PID_AT));
  bpf_probe_read_kernel(&wait->tgid, sizeof(u32), (void *)(task + TASK_TGID_AT));
  bpf_probe_read_kernel(&wait->flags, sizeof(u32), (void *)(task + TASK_FLAGS_AT));
  bpf_probe_read_kernel(&wait->prio, sizeof(u32), (void *)(task + TASK_PRIO_AT));
  bpf_probe_read_kernel(&wait->comm, sizeof(wait->comm), (void *)(task + TASK_COMM_AT));
  wait->code = 0;
  at = wait->frames[0];
  if (at)
    bpf_probe_read_kernel(&wait->code, sizeof(wait->code), (void *)(at - sizeof(wait->code)));
  wait->lock = 0;
  wait->lock_flags = 0;
  wait->is_mmap_lock = 0;
  wait->owner_tid = 0;
  wait->device = 0;
  wait->waker_tid = 0;
  wait->waker_tgid = 0;
  wait->waker_frames[0] = 0;
  lock_of(wait->tid, wait);
  device_of(wait->tid, wait);
}

/* sched_waking(task) */
int on_sched_waking(u64 *ctx) {
  u64 task = 0, arrival = 0;
  u32 zero = 0, state = 0;
  struct clock_t *clock = clocks.lookup(&zero);
  if (!clock)
    return 0;
  ARGUMENT(task, ctx, 0);
  LOAD(arrival, task, TASK_ARRIVAL_AT);
  if (bpf_jiffies64() * clock->jiffy_ns + clock->jiffies_offset_ns - arrival < SHORT_NS)
    return 0;
  if (!gate_is_open())
    return 0;
  u64 monotonic = bpf_ktime_get_ns(), now = monotonic + clock->offset_ns;
  u64 slept = now - sleep_begin(task, arrival, now);
  if (slept < THRESHOLD_NS || (s64)slept < 0)
    return 0;
  bpf_probe_read_kernel(&state, sizeof(state), (void *)(task + TASK_STATE_AT));
  struct counts_t *count = counts.lookup(&zero);
  u64 *collected = taken.lookup(&zero);
  struct site_t *site = scratch.lookup(&zero);
  if (!may_be_blocked(state) || !count || !collected || !site)
    return 0;
  u64 place = site_of(task, state, site);
  if (ordinary.lookup(&place))
    return 0;
  if (count->waits - *collected >= WAITS_KEPT) {
    count->lost += 1;
    count->lost_ns += slept;
    return 0;
  }
  u32 index = count->waits & (WAITS_KEPT - 1);
  struct wait_t *wait = waits.lookup(&index);
  if (!wait)
    return 0;
  count->waits += 1;
  count->total_ns += slept;
  wait->ended_ns = monotonic;
  wait->slept_ns = slept;
  wait->state = state;
  wait->site = place;
  __builtin_memset(wait->frames, 0, sizeof(wait->frames));
  __builtin_memset(wait->waker_frames, 0, sizeof(wait->waker_frames));
  bpf_get_task_stack((void *)task, wait->frames, sizeof(wait->frames), 0);
  describe(task, wait);
  u64 waker = bpf_get_current_pid_tgid();
  wait->waker_tid = waker;
  wait->waker_tgid = waker >> 32;
  bpf_get_current_comm(&wait->waker_comm, sizeof(wait->waker_comm));
  bpf_get_stack(ctx, wait->waker_frames, sizeof(wait->waker_frames), 0);
  return 0;
}

/* The iterator over tasks. */
int on_task(u64 *ctx) {
  u64 task = 0, arrival = 0;
  u32 zero = 0, state = 0;
  ARGUMENT(task, ctx, 1);
  if (!task)
    return 0;
  struct look_t *all = look.lookup(&zero);
  struct clock_t *clock = clocks.lookup(&zero);
  struct site_t *site = looked.lookup(&zero);
  if (!all || !clock || !site)
    return 0;
  bpf_probe_read_kernel(&state, sizeof(state), (void *)(task + TASK_STATE_AT));
  if (!may_be_blocked(state))
    return 0;
  LOAD(arrival, task, TASK_ARRIVAL_AT);
  u64 monotonic = bpf_ktime_get_ns(), now = monotonic + clock->offset_ns;
  u64 slept = now - sleep_begin(task, arrival, now);
  if ((s64)slept < 0)
    slept = 0;
  if (!(state & TASK_UNINTERRUPTIBLE) && (slept < all->least_ns || slept > all->most_ns))
    return 0;
  u64 place = site_of(task, state, site);
  if (ordinary.lookup(&place))
    return 0;
  all->wanted += 1;
  u32 index = all->kept;
  struct wait_t *wait = samples.lookup(&index);
  if (!wait)
    return 0;
  all->kept += 1;
  wait->ended_ns = monotonic;
  wait->slept_ns = slept;
  wait->state = state;
  wait->site = place;
  __builtin_memset(wait->frames, 0, sizeof(wait->frames));
  bpf_get_task_stack((void *)task, wait->frames, sizeof(wait->frames), 0);
  describe(task, wait);
  return 0;
}
"""
