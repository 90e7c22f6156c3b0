# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): run-queue latency, and the switch of tasks, which every other fragment hears of here.

A task's wait begins when it is woken, or when it loses the CPU while it could go on (previous state 0: preempted on the
way to user space, or it yielded; 0x100: preempted inside the kernel, since 4.14). It ends when a CPU switches to the task.

The longest waits are kept in the kernel, WORST_WAITS on each CPU, so that a storm of waits costs a comparison each and
can lose none of them. A wait that is kept takes a copy of the CPU's recent timeslices along.
"""

TEXT = r"""
struct waiting_t {
  u32 tid;
  u32 wait; /* its kind, and above that one bit the CPU */
  u64 since_ns;
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
  struct timeslices_t short_slices, long_slices;
};
struct worst_t {
  struct wait_t waits[WORST_WAITS];
};
struct cpu_t {
  u64 switched_ns; /* when the task that runs got the CPU */
  u64 floor_ns;    /* the shortest of the waits that are kept */
  u64 total_ns;
  u64 longest_ns;
  u64 over_threshold;
  u64 displaced;
  u64 histogram[WAIT_KINDS * WAIT_BUCKETS];
  struct timeslices_t short_slices, long_slices;
};
BPF_ARRAY(waiting, struct waiting_t, THREADS);
BPF_PERCPU_ARRAY(cpus, struct cpu_t, 1);
BPF_PERCPU_ARRAY(worst, struct worst_t, 1);

/* A name, in two pieces where the event has it at a place that allows that: byte by byte costs a tenth more. */
#define COPY_COMM(to, field) \
  do { \
    if (__builtin_offsetof(struct tracepoint__sched__sched_switch, field) % 8 == 0) { \
      ((u64 *)(to))[0] = ((u64 *)args->field)[0]; \
      ((u64 *)(to))[1] = ((u64 *)args->field)[1]; \
    } else { \
      __builtin_memcpy(to, args->field, 16); \
    } \
  } while (0)

static inline void wait_begin(u32 tid, u32 wait, u32 cpu, u64 now) {
  u32 index = tid & (THREADS - 1);
  struct waiting_t *entry = waiting.lookup(&index);
  if (!entry)
    return;
  if (entry->tid && entry->tid != tid) {
    u32 zero = 0;
    struct cpu_t *here = cpus.lookup(&zero);
    if (here)
      here->displaced += 1;
  }
  entry->since_ns = now;
  entry->wait = wait | cpu << 1;
  entry->tid = tid;
}

/* The place of a wait that is longer than the shortest one that is kept: in place of that one. */
static inline struct wait_t *worst_of(struct cpu_t *here, u64 delay) {
  u32 zero = 0, least = 0;
  struct worst_t *kept = worst.lookup(&zero);
  if (!kept)
    return 0;
  u64 lowest = ~0ULL, second = ~0ULL;
#pragma unroll
  for (int i = 0; i < WORST_WAITS; i++) {
    u64 value = kept->waits[i].delay_ns;
    if (value < lowest) {
      second = lowest;
      lowest = value;
      least = i;
    } else if (value < second) {
      second = value;
    }
  }
  here->floor_ns = second < delay ? second : delay;
  return &kept->waits[least & (WORST_WAITS - 1)];
}

int on_sched_wakeup(struct tracepoint__sched__sched_wakeup *args) {
  if (gate_is_open() && args->pid && is_wanted(args->pid, args->comm))
    wait_begin(args->pid, WAIT_WAKEUP, args->target_cpu, bpf_ktime_get_ns());
  return 0;
}

int on_sched_wakeup_new(struct tracepoint__sched__sched_wakeup_new *args) {
  if (gate_is_open() && args->pid && is_wanted(args->pid, args->comm))
    wait_begin(args->pid, WAIT_WAKEUP, args->target_cpu, bpf_ktime_get_ns());
  return 0;
}

int on_sched_switch(struct tracepoint__sched__sched_switch *args) {
  if (!gate_is_open())
    return 0;
  u64 now = bpf_ktime_get_ns();
  u32 zero = 0, index;
  struct cpu_t *here = cpus.lookup(&zero);
  if (!here)
    return 0;
  u64 ran = now - here->switched_ns; /* the first one: since before the window, which is longer than any wait */
  struct timeslice_t *slice = timeslice_end(ran < SHORT_SLICE_NS ? &here->short_slices : &here->long_slices, ran, now);
  slice->tid = args->prev_pid;
  slice->prio = args->prev_prio;
  COPY_COMM(slice->comm, prev_comm);
  here->switched_ns = now;
  u32 goes_on = args->prev_state == 0 || (args->prev_state & PREEMPTED_IN_KERNEL);
  kernel_time_switch(args->prev_pid, args->next_pid, !goes_on, now);
  ticks_switch(args->prev_pid, args->next_pid, now);

  if (args->prev_pid && is_wanted(args->prev_pid, args->prev_comm)) {
    if (goes_on) {
      wait_begin(args->prev_pid, WAIT_PREEMPTED, bpf_get_smp_processor_id(), now);
    } else {
      index = args->prev_pid & (THREADS - 1);
      struct waiting_t *gone = waiting.lookup(&index);
      if (gone && gone->tid == args->prev_pid)
        gone->tid = 0;
    }
  }

  if (!args->next_pid)
    return 0;
  index = args->next_pid & (THREADS - 1);
  struct waiting_t *entry = waiting.lookup(&index);
  if (!entry || entry->tid != args->next_pid)
    return 0;
  entry->tid = 0;
  if (entry->since_ns > now)
    return 0;
  u64 delay = now - entry->since_ns;
  u32 wait = entry->wait & 1;
  index = delay < 1000 ? 0 : bpf_log2l(delay / 1000);
  if (index >= WAIT_BUCKETS)
    index = WAIT_BUCKETS - 1;
  struct task_t *task = task_of(args->next_pid, delay);
  if (task) {
    task->total_ns += delay;
    if (task->longest_ns < delay)
      task->longest_ns = delay;
    COPY_COMM(task->comm, next_comm);
    task->histogram[index < TASK_BUCKETS ? index : TASK_BUCKETS - 1] += 1;
  }
  here->histogram[(index + wait * WAIT_BUCKETS) & (WAIT_KINDS * WAIT_BUCKETS - 1)] += 1;
  here->total_ns += delay;
  if (delay >= THRESHOLD_NS)
    here->over_threshold += 1;
  if (here->longest_ns < delay)
    here->longest_ns = delay;
  if (delay <= here->floor_ns)
    return 0;

  struct wait_t *place = worst_of(here, delay);
  if (!place)
    return 0;
  place->ended_ns = now;
  place->delay_ns = delay;
  place->tid = args->next_pid;
  place->cpu = bpf_get_smp_processor_id();
  place->prio = args->next_prio;
  place->wait = wait;
  place->from_cpu = entry->wait >> 1;
  place->queued = queued();
  COPY_COMM(place->comm, next_comm);
  __builtin_memcpy(&place->short_slices, &here->short_slices, sizeof(here->short_slices));
  __builtin_memcpy(&place->long_slices, &here->long_slices, sizeof(here->long_slices));
  return 0;
}
"""
