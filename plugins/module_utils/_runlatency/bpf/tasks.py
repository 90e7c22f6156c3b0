# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the waits of each task, and how long it ran after them.

Each CPU counts them in TASKS entries. The thread id chooses the entry. Where two tasks want one entry, each wait of the
task without it reduces the credit of the other, and takes the entry when no credit is left (Misra and Gries, "Finding
repeated elements", 1982, with one counter an entry). A task with more than half of all the waiting in its entry has it in
the end, and the facts of a task are never too much.
"""

TEXT = """
struct task_t {
  u32 tid;
  u32 credit_us;
  u64 total_ns;
  u64 ran_ns;
  u64 longest_ns;
  char comm[16];
  u32 histogram[TASK_BUCKETS];
};
BPF_PERCPU_ARRAY(tasks, struct task_t, TASKS);

/* The task's entry after a wait; 0: another task keeps it. */
static inline struct task_t *task_of(u32 tid, u64 delay) {
  u32 index = tid & (TASKS - 1), much = delay < 1000 ? 1 : delay >= 1000ULL << 30 ? 1 << 30 : delay / 1000;
  struct task_t *task = tasks.lookup(&index);
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
"""
