# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the list of stalls, which ticks and kernel time fill."""

TEXT = """
struct stall_t {
  u64 ended_ns;
  u64 least_ns, most_ns; /* the length lies between them */
  u64 ticked_ns;         /* for how much of it the clock ticked */
  u32 tid;
  u32 cpu;
  char comm[16];
  u64 code[2]; /* STALL_SYSCALL: the call's number; else: the bytes before the interrupted instruction */
  struct frames_t frames;
};
/* Of each kind and class of length the last ones: those that are twice as long, four times, ... are not displaced by shorter ones. */
BPF_PERCPU_ARRAY(stalls, struct stall_t, (STALL_ROWS * STALLS_KEPT));
BPF_PERCPU_ARRAY(stall_counts, u64, STALL_ROWS);

static inline u64 threshold_of(u32 kind) {
  return kind == STALL_NOSCHED ? NOSCHED_NS : kind == STALL_SYSCALL ? SYSCALL_NS : IRQOFF_NS;
}

static inline struct stall_t *new_stall(u32 kind, u64 now, u64 least, u64 most) {
  u32 row = kind * STALL_CLASSES;
  u64 limit = 2 * threshold_of(kind);
#pragma unroll
  for (int i = 1; i < STALL_CLASSES; i++) {
    if (most >= limit)
      row++;
    limit *= 2;
  }
  u64 *count = stall_counts.lookup(&row);
  if (!count)
    return 0;
  u32 index = row * STALLS_KEPT + (u32)(*count & (STALLS_KEPT - 1));
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
"""
