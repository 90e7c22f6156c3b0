# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): run-queue latency, and the switch of tasks, which every other fragment hears of here.

A task's wait begins when it is woken, or when it loses the CPU while it could go on (previous state 0: preempted on the
way to user space, or it yielded; 0x100: preempted inside the kernel, since 4.14). It ends when a CPU switches to the task.

The longest waits are kept in the kernel, WORST_WAITS on each CPU, so that a storm of waits costs a comparison each and
can lose none of them. A wait that is kept takes along who ran meanwhile (see accounts.py) on the CPU on whose queue it began: a
CPU that becomes idle and fetches the task from there has not kept it waiting.
"""

TEXT = r"""
struct waiting_t {
  u32 tid;
  u32 wait; /* its kind, and above that one bit the CPU */
  u64 since_ns;
  u32 snapshots; /* of that CPU by then */
  u32 padding;
};
struct wait_t {
  u64 ended_ns;
  u64 delay_ns;
  u32 tid;
  u32 cpu;
  s32 prio;
  u32 wait;
  u32 from_cpu;
  s32 queued;
  char comm[16];
  struct timeslices_t long_slices;
  struct runners_t runners;
};
BPF_ARRAY(waiting, struct waiting_t, THREADS);
BPF_ARRAY(worst, struct wait_t, (CPUS * WORST_WAITS));

static inline void wait_begin(struct cpu_t *here, u32 tid, u32 wait, u32 cpu, u32 snapshots, u64 now) {
  u32 index = tid & (THREADS - 1);
  struct waiting_t *entry = waiting.lookup(&index);
  if (!entry)
    return;
  if (entry->tid && entry->tid != tid) {
    u32 cpu_here = bpf_get_smp_processor_id();
    if (!here)
      here = cpus.lookup(&cpu_here);
    if (here)
      here->displaced += 1;
  }
  entry->since_ns = now;
  entry->wait = wait | cpu << 1;
  entry->snapshots = snapshots;
  entry->tid = tid;
}

/* The place of a wait that is longer than the shortest one that is kept: in place of that one. */
static inline struct wait_t *worst_of(struct cpu_t *here, u32 cpu, u64 delay) {
  u32 least = 0;
  u64 lowest = ~0ULL, second = ~0ULL;
#pragma unroll
  for (int i = 0; i < WORST_WAITS; i++) {
    u64 value = here->kept_ns[i];
    if (value < lowest) {
      second = lowest;
      lowest = value;
      least = i;
    } else if (value < second) {
      second = value;
    }
  }
  here->floor_ns = second < delay ? second : delay;
  here->kept_ns[least & (WORST_WAITS - 1)] = delay;
  least += cpu * WORST_WAITS;
  return worst.lookup(&least);
}

static inline int woken(u32 tid, u32 cpu, const u64 *name) {
  if (is_wanted(tid, name))
    wait_begin(0, tid, WAIT_WAKEUP, cpu, snapshots_of(cpu), bpf_ktime_get_ns());
  return 0;
}

static inline int switched(struct switch_t *event) {
  u64 now = bpf_ktime_get_ns();
  u32 zero = 0, index, cpu = bpf_get_smp_processor_id();
  struct cpu_t *here = cpus.lookup(&cpu);
  if (!here)
    return 0;
  u64 ran = now - here->switched_ns; /* the first one: since before the window, which is longer than any wait */
  if (ran >= SHORT_SLICE_NS) {
    struct timeslice_t *slice = timeslice_end(&here->long_slices, ran, now);
    slice->tid = event->prev;
    slice->prio = event->prev_prio;
    __builtin_memcpy(slice->comm, event->prev_name, sizeof(event->prev_name));
  }
  if (!here->switched_ns) {
    u64 *begin = opened.lookup(&zero);
    ran = begin && *begin < now ? now - *begin : 0;
  }
  if (here->has_waited) {
    struct task_t *task = task_of(event->prev, here->waited_ns);
    if (task) {
      task->total_ns += here->waited_ns;
      task->ran_ns += ran;
      if (task->longest_ns < here->waited_ns)
        task->longest_ns = here->waited_ns;
      __builtin_memcpy(task->comm, event->prev_name, sizeof(event->prev_name));
      task->histogram[here->waited_index < TASK_BUCKETS ? here->waited_index : TASK_BUCKETS - 1] += 1;
    }
  }
  u32 account = account_run(here, event->prev_name[0], event->prev_name[1], event->prev, event->prev_prio, ran, now);
  here->switched_ns = now;
  here->running_tid = event->next;
  here->running_prio = event->next_prio;
  here->running_name[0] = event->next_name[0];
  here->running_name[1] = event->next_name[1];
  here->has_waited = 0;
  if (now - here->snapshot_ns >= SNAPSHOT_NS)
    snapshot_take(here, cpu, account, ran, now);
  kernel_time_switch(event->prev, event->next, !event->goes_on, now);
  ticks_switch(event->prev, event->next, now);

  if (event->prev && is_wanted(event->prev, event->prev_name)) {
    if (event->goes_on) {
      wait_begin(here, event->prev, WAIT_PREEMPTED, cpu, here->snapshots, now);
    } else {
      index = event->prev & (THREADS - 1);
      struct waiting_t *gone = waiting.lookup(&index);
      if (gone && gone->tid == event->prev)
        gone->tid = 0;
    }
  }

  if (!event->next)
    return 0;
  index = event->next & (THREADS - 1);
  struct waiting_t *entry = waiting.lookup(&index);
  if (!entry || entry->tid != event->next)
    return 0;
  entry->tid = 0;
  if (entry->since_ns > now)
    return 0;
  u64 delay = now - entry->since_ns;
  u32 wait = entry->wait & 1, from_cpu = entry->wait >> 1;
  index = delay < 1000 ? 0 : bpf_log2l(delay / 1000);
  if (index >= WAIT_BUCKETS)
    index = WAIT_BUCKETS - 1;
  here->has_waited = 1;
  here->waited_ns = delay;
  here->waited_idle_ns = 0;
  here->waited_index = index;
  u32 row = wait + (event->next_prio > DEFAULT_PRIO ? WAIT_KINDS : 0);
  here->histogram[(index + row * WAIT_BUCKETS) & (2 * WAIT_KINDS * WAIT_BUCKETS - 1)] += 1;
  here->total_ns += delay;
  if (here->longest_ns < delay)
    here->longest_ns = delay;
  if (delay >= THRESHOLD_NS) {
    here->over_threshold += 1;
    if (from_cpu == cpu)
      here->waited_idle_ns = idle_since(here, cpu, entry->snapshots, entry->since_ns);
  }
  if (delay <= here->floor_ns)
    return 0;

  struct wait_t *place = worst_of(here, cpu, delay);
  struct cpu_t *there = cpus.lookup(&from_cpu);
  if (!place || !there)
    return 0;
  place->ended_ns = now;
  place->delay_ns = delay;
  place->tid = event->next;
  place->cpu = cpu;
  place->prio = event->next_prio;
  place->wait = wait;
  place->from_cpu = from_cpu;
  place->queued = queued();
  __builtin_memcpy(place->comm, event->next_name, sizeof(event->next_name));
  __builtin_memcpy(&place->long_slices, &there->long_slices, sizeof(there->long_slices));
  runners_note(&place->runners, there, from_cpu, entry->snapshots, entry->since_ns, from_cpu != cpu, now);
  return 0;
}
"""
