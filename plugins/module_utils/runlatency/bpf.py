# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF text of runlatency. The text itself is GPL-2.0.

A task's wait begins when it is woken, or when it loses the CPU while it could go
on (previous state 0: preempted on the way to user space, or it yielded; 0x100:
preempted inside the kernel, since 4.14), and ends when a CPU switches to it.
Tracepoint arguments are read, and one kernel structure: the run queue of a CPU,
by the offsets that the running kernel tells. Header files may be another kernel's.

The longest waits are kept in the kernel, WORST on each CPU, so that a storm of
waits costs a comparison each and can lose none of them. Each CPU remembers its
last STINTS turns (who ran, for how long); a kept wait takes a copy of them along.
"""

import struct

from ansible_collections.ksysak.fleet.plugins.module_utils.ebpf import btf

WORST = 16
STINTS = 16
BUCKETS = 64
WAITS = ('wakeup', 'preempted')
SUMS = ('total_ns', 'longest_ns', 'over_threshold', 'displaced')

TEXT = """
#define PREEMPTED_IN_KERNEL 0x100
#define SLOTS 65536

struct slot_t { u32 tid; u32 wait; u64 since_ns; };  /* wait: its kind, and above that one bit the CPU */
struct stint_t { u64 ended_ns; u64 ran_ns; u32 tid; s32 prio; char comm[16]; };
struct recent_t { u64 next; struct stint_t stints[STINTS]; };
struct wait_t {
  u64 ended_ns; u64 delay_ns;
  u32 tid; u32 cpu; s32 prio; u32 wait; u32 from_cpu; s32 queued;
  char comm[16];
  struct recent_t recent;
};
struct worst_t { u64 floor_ns; struct wait_t waits[WORST]; };

BPF_ARRAY(slots, struct slot_t, SLOTS);
BPF_PERCPU_ARRAY(histogram, u64, 2 * BUCKETS);
BPF_PERCPU_ARRAY(sums, u64, 4);
BPF_PERCPU_ARRAY(worst, struct worst_t, 1);
BPF_PERCPU_ARRAY(switched, u64, 1);
BPF_PERCPU_ARRAY(recent, struct recent_t, 1);

enum { WAKEUP = 0, PREEMPTED = 1 };
enum { TOTAL = 0, LONGEST = 1, OVER = 2, DISPLACED = 3 };

static inline void add(u32 what, u64 much) {
  u64 *value = sums.lookup(&what);
  if (value)
    *value += much;
}

static inline void begin(u32 tid, u32 wait, u32 cpu, u64 now) {
  u32 index = tid & (SLOTS - 1);
  struct slot_t *slot = slots.lookup(&index);
  if (!slot)
    return;
  if (slot->tid && slot->tid != tid)
    add(DISPLACED, 1);
  slot->since_ns = now;
  slot->wait = wait | cpu << 1;
  slot->tid = tid;
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
  u64 *since = switched.lookup(&zero);
  struct recent_t *turns = recent.lookup(&zero);
  if (!since || !turns)
    return 0;
  struct stint_t *stint = &turns->stints[turns->next & (STINTS - 1)];
  turns->next += 1;
  stint->ended_ns = now;
  stint->ran_ns = now - *since;  /* the first one: since before the window, which is longer than any wait */
  stint->tid = args->prev_pid;
  stint->prio = args->prev_prio;
  __builtin_memcpy(stint->comm, args->prev_comm, 16);
  *since = now;
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
  index += wait * BUCKETS;
  u64 *bucket = histogram.lookup(&index);
  if (bucket)
    *bucket += 1;
  add(TOTAL, delay);
  if (delay >= THRESHOLD_NS)
    add(OVER, 1);
  index = LONGEST;
  u64 *longest = sums.lookup(&index);
  if (longest && *longest < delay)
    *longest = delay;

  struct worst_t *kept = worst.lookup(&zero);
  if (!kept || delay <= kept->floor_ns)
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
  kept->floor_ns = second < delay ? second : delay;
  place->ended_ns = now;
  place->delay_ns = delay;
  place->tid = args->next_pid;
  place->cpu = bpf_get_smp_processor_id();
  place->prio = args->next_prio;
  place->wait = wait;
  place->from_cpu = slot->wait >> 1;
  place->queued = queued();
  __builtin_memcpy(place->comm, args->next_comm, 16);
  __builtin_memcpy(&place->recent, turns, sizeof(*turns));
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
    values = (('THRESHOLD_NS', '%dULL' % (threshold_us * 1000)), ('WORST', WORST), ('BUCKETS', BUCKETS), ('STINTS', STINTS))
    wanted = _BY_TID % targets if targets else _by_comm(comm) if comm else _ALL
    return ''.join('#define %s %s\n' % value for value in values) + wanted + _queued() + switched_away + TEXT
