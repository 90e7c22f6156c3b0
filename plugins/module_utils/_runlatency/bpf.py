# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF text of runlatency. The text itself is GPL-2.0.

A task's wait begins when it is woken, or when it loses the CPU while it could go
on (previous state 0: preempted on the way to user space, or it yielded; 0x100:
preempted inside the kernel, since 4.14), and ends when a CPU switches to it.
Tracepoint arguments are read, and one kernel structure: the run queue of a CPU,
by the offsets that the running kernel tells. Header files may be another kernel's.

The longest waits are kept in the kernel, WORST on each CPU, so that a storm of
waits costs a comparison each and can lose none of them. Each CPU remembers its
last STINTS turns (who ran, for how long), and as many of those that lasted: a crowd of
short turns hides nobody who kept the CPU. A kept wait takes a copy of them along.

Waits are counted by task, too, on each CPU in SETS places that the task's number chooses. Where two want one place,
each wait of the one that has not got it wears off what the other has to its credit, and takes the place when nothing
is left of that (Misra and Gries, "Finding repeated elements", 1982, with one counter a place): a task with more than
half of all the waiting in its place has it in the end, and what is told of a task is never too much.
"""

import struct

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf

WORST = 16
STINTS = 16
BUCKETS = 64
SETS = 512
TASK_BUCKETS = 22  # the last one: a second and longer
WAITS = ('wakeup', 'preempted')

TEXT = """
#define PREEMPTED_IN_KERNEL 0x100
#define SLOTS 65536

struct slot_t { u32 tid; u32 wait; u64 since_ns; };  /* wait: its kind, and above that one bit the CPU */
struct stint_t { u64 ended_ns; u64 ran_ns; u32 tid; s32 prio; char comm[16]; };
struct turns_t { u64 next; struct stint_t stints[STINTS]; };
struct wait_t {
  u64 ended_ns; u64 delay_ns;
  u32 tid; u32 cpu; s32 prio; u32 wait; u32 from_cpu; s32 queued;
  char comm[16];
  struct turns_t brief, lasting;
};
struct worst_t { struct wait_t waits[WORST]; };
struct cpu_t {
  u64 switched_ns; u64 floor_ns;  /* when the task that runs got the CPU; the shortest of the waits that are kept */
  u64 total_ns; u64 longest_ns; u64 over_threshold; u64 displaced;
  u64 histogram[2 * BUCKETS];
  struct turns_t brief, lasting;
};
struct task_t { u32 tid; u32 credit_us; u64 total_ns; u64 longest_ns; char comm[16]; u32 histogram[TASK_BUCKETS]; };

BPF_ARRAY(slots, struct slot_t, SLOTS);
BPF_PERCPU_ARRAY(cpus, struct cpu_t, 1);
BPF_PERCPU_ARRAY(worst, struct worst_t, 1);
BPF_PERCPU_ARRAY(tasks, struct task_t, SETS);

enum { WAKEUP = 0, PREEMPTED = 1 };

/* A name, in two pieces where the event has it at a place that allows that: byte by byte costs a tenth more. */
#define COPY_COMM(to, field) \\
  if (__builtin_offsetof(struct tracepoint__sched__sched_switch, field) % 8 == 0) { \\
    ((u64 *)(to))[0] = ((u64 *)args->field)[0]; \\
    ((u64 *)(to))[1] = ((u64 *)args->field)[1]; \\
  } else { \\
    __builtin_memcpy(to, args->field, 16); \\
  }

static inline void begin(u32 tid, u32 wait, u32 cpu, u64 now) {
  u32 index = tid & (SLOTS - 1);
  struct slot_t *slot = slots.lookup(&index);
  if (!slot)
    return;
  if (slot->tid && slot->tid != tid) {
    u32 zero = 0;
    struct cpu_t *here = cpus.lookup(&zero);
    if (here)
      here->displaced += 1;
  }
  slot->since_ns = now;
  slot->wait = wait | cpu << 1;
  slot->tid = tid;
}

/* The task's place after a wait; 0: another task keeps it. */
static inline struct task_t *place_of(u32 tid, u64 delay) {
  u32 set = tid & (SETS - 1), much = delay < 1000 ? 1 : delay >= 1000ULL << 30 ? 1 << 30 : delay / 1000;
  struct task_t *task = tasks.lookup(&set);
  if (!task)
    return 0;
  if (task->tid == tid) {
    task->credit_us += task->credit_us < 1U << 31 ? much : 0;
  } else if (task->credit_us > much) {
    task->credit_us -= much;
    return 0;
  } else {
    much -= task->credit_us;
    __builtin_memset(task, 0, sizeof(*task));
    task->tid = tid;
    task->credit_us = much;
  }
  return task;
}

int on_sched_wakeup(struct tracepoint__sched__sched_wakeup *args) {
  if (gate_is_open() && args->pid && is_wanted(args->pid, args->comm))
    begin(args->pid, WAKEUP, args->target_cpu, bpf_ktime_get_ns());
  return 0;
}

int on_sched_wakeup_new(struct tracepoint__sched__sched_wakeup_new *args) {
  if (gate_is_open() && args->pid && is_wanted(args->pid, args->comm))
    begin(args->pid, WAKEUP, args->target_cpu, bpf_ktime_get_ns());
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
  u64 ran = now - here->switched_ns;  /* the first one: since before the window, which is longer than any wait */
  struct turns_t *turns = ran < THRESHOLD_NS / STINTS ? &here->brief : &here->lasting;
  struct stint_t *stint = &turns->stints[turns->next & (STINTS - 1)];
  turns->next += 1;
  stint->ended_ns = now;
  stint->ran_ns = ran;
  stint->tid = args->prev_pid;
  stint->prio = args->prev_prio;
  COPY_COMM(stint->comm, prev_comm)
  here->switched_ns = now;
  u32 goes_on = args->prev_state == 0 || (args->prev_state & PREEMPTED_IN_KERNEL);
  switched_away(args->prev_pid, args->next_pid, !goes_on, now);

  if (args->prev_pid && is_wanted(args->prev_pid, args->prev_comm)) {
    if (goes_on) {
      begin(args->prev_pid, PREEMPTED, bpf_get_smp_processor_id(), now);
    } else {
      index = args->prev_pid & (SLOTS - 1);
      struct slot_t *gone = slots.lookup(&index);
      if (gone && gone->tid == args->prev_pid)
        gone->tid = 0;
    }
  }

  if (!args->next_pid)
    return 0;
  index = args->next_pid & (SLOTS - 1);
  struct slot_t *slot = slots.lookup(&index);
  if (!slot || slot->tid != args->next_pid)
    return 0;
  slot->tid = 0;
  if (slot->since_ns > now)
    return 0;
  u64 delay = now - slot->since_ns;
  u32 wait = slot->wait & 1;
  index = delay < 1000 ? 0 : bpf_log2l(delay / 1000);
  if (index >= BUCKETS)
    index = BUCKETS - 1;
  struct task_t *task = place_of(args->next_pid, delay);
  if (task) {
    task->total_ns += delay;
    if (task->longest_ns < delay)
      task->longest_ns = delay;
    COPY_COMM(task->comm, next_comm)
    task->histogram[index < TASK_BUCKETS ? index : TASK_BUCKETS - 1] += 1;
  }
  here->histogram[(index + wait * BUCKETS) & (2 * BUCKETS - 1)] += 1;
  here->total_ns += delay;
  if (delay >= THRESHOLD_NS)
    here->over_threshold += 1;
  if (here->longest_ns < delay)
    here->longest_ns = delay;
  if (delay <= here->floor_ns)
    return 0;

  struct worst_t *kept = worst.lookup(&zero);
  if (!kept)
    return 0;
  u32 least = 0;
  u64 lowest = ~0ULL, second = ~0ULL;
#pragma unroll
  for (int i = 0; i < WORST; i++) {
    u64 value = kept->waits[i].delay_ns;
    if (value < lowest) {
      second = lowest;
      lowest = value;
      least = i;
    } else if (value < second) {
      second = value;
    }
  }
  struct wait_t *place = &kept->waits[least & (WORST - 1)];
  here->floor_ns = second < delay ? second : delay;
  place->ended_ns = now;
  place->delay_ns = delay;
  place->tid = args->next_pid;
  place->cpu = bpf_get_smp_processor_id();
  place->prio = args->next_prio;
  place->wait = wait;
  place->from_cpu = slot->wait >> 1;
  place->queued = queued();
  COPY_COMM(place->comm, next_comm)
  __builtin_memcpy(&place->brief, &here->brief, sizeof(here->brief));
  __builtin_memcpy(&place->lasting, &here->lasting, sizeof(here->lasting));
  return 0;
}
"""


_ALL = 'static inline int is_wanted(u32 tid, const char *comm) { return 1; }\n'
_BY_TID = """
BPF_HASH(wanted, u32, u32, %d);
static inline int is_wanted(u32 tid, const char *comm) { return wanted.lookup(&tid) != 0; }
"""
_BY_COMM = """
static inline int is_wanted(u32 tid, const char *comm) {
  u64 words[2] = {};
  bpf_probe_read(words, sizeof(words), (void *)comm);
  return (words[0] & %#xULL) == %#xULL && (words[1] & %#xULL) == %#xULL;
}
"""


def _by_comm(comm):
    """C text that compares names up to their end: behind it some kernels leave what was there before."""
    name = comm.encode('utf-8') + b'\0'
    masks, words = (struct.unpack('<2Q', part.ljust(16, b'\0')) for part in (b'\xff' * len(name), name))
    return _BY_COMM % (masks[0], words[0], masks[1], words[1])


_UNTOLD = 'static inline s32 queued(void) { return -1; }\n'
_QUEUED = """
/* How many tasks are on the run queue of this CPU: task_struct.se.cfs_rq, cfs_rq.rq, rq.nr_running. */
static inline s32 queued(void) {
  u64 at = bpf_get_current_task() + %d;
  s32 tasks = -1;
  bpf_probe_read(&at, sizeof(at), (void *)at);
  at += %d;
  bpf_probe_read(&at, sizeof(at), (void *)at);
  bpf_probe_read(&tasks, sizeof(tasks), (void *)(at + %d));
  return tasks;
}
"""


def _queued():
    parts = (('task_struct', 'se'), ('sched_entity', 'cfs_rq'), ('cfs_rq', 'rq'), ('rq', 'nr_running'))
    places = [(btf.offsets(struct_name, [member]) or {}).get(member) for struct_name, member in parts]
    if None in places:
        return _UNTOLD
    return _QUEUED % (places[0] + places[1], places[2], places[3])


def text(threshold_us, switched_away, targets=None, comm=None):
    """Return the C text. threshold_us: waits at least this long are counted as over the threshold.

    switched_away: C text with the function of this name, which is called at each switch; targets: how many
    threads the map `wanted` holds, whose waits alone count; comm: only waits of tasks of this name count.
    """
    values = (('THRESHOLD_NS', '%dULL' % (threshold_us * 1000)), ('WORST', WORST), ('BUCKETS', BUCKETS), ('STINTS', STINTS),
              ('SETS', SETS), ('TASK_BUCKETS', TASK_BUCKETS))
    wanted = _BY_TID % targets if targets else _by_comm(comm) if comm else _ALL
    return ''.join('#define %s %s\n' % value for value in values) + wanted + _queued() + switched_away + TEXT
