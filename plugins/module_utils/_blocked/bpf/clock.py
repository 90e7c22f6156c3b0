# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the scheduler's clock, in which the kernel keeps when a task last got a CPU.

BPF programs cannot read that clock. Its distance from CLOCK_MONOTONIC and from jiffies is measured: this process sleeps and
wakes some times while on_calibrate is attached. jiffies cost a load, which makes the test of each wake-up cheap.
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import typed

TEXT = typed.LOADS + """
struct clock_t {
  u64 jiffy_ns;
  u64 jiffies_offset_ns; /* scheduler's clock = jiffies * jiffy_ns + this */
  u64 offset_ns;         /* scheduler's clock = CLOCK_MONOTONIC + this */
};
struct calibration_t {
  u64 now_ns, jiffies, queued_ns;
};
BPF_ARRAY(clocks, struct clock_t, 1);
BPF_ARRAY(calibrated, u32, 1);
BPF_ARRAY(calibrations, struct calibration_t, CALIBRATIONS);

/* sched_switch(preempt, prev, next): the task that calibrates was woken a moment ago. */
int on_calibrate(u64 *ctx) {
  u64 next = 0, queued = 0;
  u32 zero = 0, tid = 0;
  ARGUMENT(next, ctx, 2);
  bpf_probe_read_kernel(&tid, sizeof(tid), (void *)(next + TASK_PID_AT));
  if (tid != CALIBRATOR)
    return 0;
  LOAD(queued, next, TASK_QUEUED_AT);
  u32 *count = calibrated.lookup(&zero);
  if (!count || *count >= CALIBRATIONS)
    return 0;
  u32 index = *count;
  struct calibration_t *row = calibrations.lookup(&index);
  if (!row || !queued)
    return 0;
  row->now_ns = bpf_ktime_get_ns();
  row->jiffies = bpf_jiffies64();
  row->queued_ns = queued;
  *count = index + 1;
  return 0;
}
"""
