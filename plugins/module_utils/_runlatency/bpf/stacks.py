# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the kernel stack of an interrupted task."""

TEXT = """
struct frames_t {
  u64 ip[STACK_DEPTH];
};
BPF_PERCPU_ARRAY(captures, struct frames_t, 1);

/* Of several captures the shortest stack is kept: what a tick interrupts now and then, a softirq, stands on top of the task's own.
   Fewer than MIN_FRAMES frames are a stack that could not be unwound, as within a thunk.
   captured: bytes of the stack that is kept, 0 before the first capture. Returns the new value of it. */
static inline u64 capture_stack(void *ctx, struct frames_t *kept, u64 captured) {
  u32 zero = 0;
  struct frames_t *capture = captures.lookup(&zero);
  if (!capture)
    return captured;
  __builtin_memset(capture, 0, sizeof(*capture));
  long bytes = bpf_get_stack(ctx, capture, sizeof(*capture), 0);
  if (bytes < MIN_FRAMES * 8)
    bytes = sizeof(*kept) + 1;
  if (captured && bytes >= captured)
    return captured;
  __builtin_memcpy(kept, capture, sizeof(*kept));
  return bytes;
}
"""
