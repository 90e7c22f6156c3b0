# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the kernel stack of an interrupted task.

Of the captures of one stall a stack is kept of the call in which most of them were made, by the vote of Boyer and Moore (MJRTY, 1991): a
task that is on its way out of the kernel has another stack, and so has one that could not be unwound to its end. A call is known by the
frame before the outermost. Of its stacks the shortest is kept: what a tick interrupts now and then, a softirq, stands on top of it.
Captures that fill all frames, whose call is not known, and those of fewer than MIN_FRAMES frames, which could not be unwound, as within a
thunk, are kept until there is a better one.
"""

TEXT = """
struct frames_t {
  u64 ip[STACK_DEPTH];
};
struct kept_t {
  u32 bytes; /* of the frames; more than all of them where the stack could not be unwound */
  u32 votes; /* 0: no stack is kept */
  struct frames_t frames;
};
BPF_PERCPU_ARRAY(captures, struct frames_t, 1);

static inline u64 call_of(struct frames_t *frames, u32 bytes) {
  u32 place = bytes / 8 - 2;
  return place < STACK_DEPTH ? frames->ip[place] : 0;
}

static inline void capture_stack(void *ctx, struct kept_t *kept) {
  u32 zero = 0, votes = kept->votes;
  struct frames_t *capture = captures.lookup(&zero);
  if (!capture)
    return;
  __builtin_memset(capture, 0, sizeof(*capture));
  long got = bpf_get_stack(ctx, capture, sizeof(*capture), 0);
  u32 bytes = got < MIN_FRAMES * 8 ? sizeof(*capture) + 1 : got;
  if (votes) {
    if (bytes >= sizeof(*capture) && bytes >= kept->bytes)
      return;
    if (kept->bytes >= sizeof(*capture)) {
      votes = 0;
    } else {
      u32 agrees = call_of(capture, bytes) == call_of(&kept->frames, kept->bytes);
      votes = agrees ? votes + 1 : votes - 1;
      kept->votes = votes;
      if (agrees ? bytes >= kept->bytes : votes)
        return;
    }
  }
  __builtin_memcpy(&kept->frames, capture, sizeof(*capture));
  kept->bytes = bytes;
  kept->votes = votes ? votes : 1;
}
"""
