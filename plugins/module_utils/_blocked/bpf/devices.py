# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): to which block device a task sent its last request."""

NONE = """
static inline void device_of(u32 tid, struct wait_t *wait) {
}
"""

TEXT = """
struct device_t {
  u32 tid, device;
  u64 at_ns;
};
BPF_ARRAY(devices, struct device_t, SLOTS);

int on_block_bio_queue(struct tracepoint__block__block_bio_queue *args) {
  if (!gate_is_open())
    return 0;
  u32 tid = bpf_get_current_pid_tgid(), index = tid & (SLOTS - 1);
  struct device_t *slot = devices.lookup(&index);
  if (!slot)
    return 0;
  slot->tid = tid;
  slot->device = args->dev;
  slot->at_ns = bpf_ktime_get_ns();
  return 0;
}

static inline void device_of(u32 tid, struct wait_t *wait) {
  u32 index = tid & (SLOTS - 1);
  struct device_t *slot = devices.lookup(&index);
  if (!slot || slot->tid != tid)
    return;
  wait->device = slot->device;
  wait->device_at_ns = slot->at_ns;
}
"""
