# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): for which lock a task is about to sleep, and who holds it.

lock:contention_begin (since 5.19) has the lock's address. The owner stands in the lock itself: that of a mutex, and of a
read-write semaphore its writer, or the reader that came last.
"""

NONE = """
static inline void lock_of(u32 tid, struct wait_t *wait) {
}
"""

TEXT = """
struct lock_t {
  u64 lock;
  u32 tid, flags, is_mmap_lock, owner_tid, owner_tgid;
  char owner_comm[16];
};
BPF_ARRAY(locks, struct lock_t, SLOTS);

int on_contention_begin(struct bpf_raw_tracepoint_args *ctx) {
  u64 flags = ctx->args[1], lock = ctx->args[0], owner = 0, mm = 0;
  if ((flags & LOCK_SPIN) || !gate_is_open())
    return 0;
  u32 tid = bpf_get_current_pid_tgid(), index = tid & (SLOTS - 1);
  struct lock_t *slot = locks.lookup(&index);
  if (!slot)
    return 0;
  slot->tid = tid;
  slot->lock = lock;
  slot->flags = flags;
  slot->owner_tid = 0;
  bpf_probe_read_kernel(&mm, sizeof(mm), (void *)(bpf_get_current_task() + TASK_MM_AT));
  slot->is_mmap_lock = mm && lock == mm + MM_MMAP_LOCK_AT;
  u64 at = flags & LOCK_MUTEX ? MUTEX_OWNER_AT : flags & LOCK_RT ? RT_OWNER_AT : RWSEM_OWNER_AT;
  if ((flags & LOCK_PERCPU) || !(flags & (LOCK_MUTEX | LOCK_RT | LOCK_READ | LOCK_WRITE)))
    return 0;
  bpf_probe_read_kernel(&owner, sizeof(owner), (void *)(lock + at));
  owner &= ~7ULL; /* flags of the lock */
  if (owner) {
    bpf_probe_read_kernel(&slot->owner_tid, sizeof(u32), (void *)(owner + TASK_PID_AT));
    bpf_probe_read_kernel(&slot->owner_tgid, sizeof(u32), (void *)(owner + TASK_TGID_AT));
    bpf_probe_read_kernel(&slot->owner_comm, sizeof(slot->owner_comm), (void *)(owner + TASK_COMM_AT));
  }
  return 0;
}

int on_contention_end(struct bpf_raw_tracepoint_args *ctx) {
  u32 tid = bpf_get_current_pid_tgid(), index = tid & (SLOTS - 1);
  struct lock_t *slot = locks.lookup(&index);
  if (slot && slot->tid == tid && slot->lock == ctx->args[0])
    slot->tid = 0;
  return 0;
}

static inline void lock_of(u32 tid, struct wait_t *wait) {
  u32 index = tid & (SLOTS - 1);
  struct lock_t *slot = locks.lookup(&index);
  if (!slot || slot->tid != tid)
    return;
  wait->lock = slot->lock;
  wait->lock_flags = slot->flags;
  wait->is_mmap_lock = slot->is_mmap_lock;
  wait->owner_tid = slot->owner_tid;
  wait->owner_tgid = slot->owner_tgid;
  __builtin_memcpy(&wait->owner_comm, &slot->owner_comm, sizeof(slot->owner_comm));
}
"""
