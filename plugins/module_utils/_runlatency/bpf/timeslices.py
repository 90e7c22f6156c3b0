# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the recent long timeslices of a CPU: who ran, and for how long. Short ones are in the accounts alone."""

TEXT = """
struct timeslice_t {
  u64 ended_ns;
  u64 ran_ns;
  u32 tid;
  s32 prio;
  char comm[16];
};
struct timeslices_t {
  u64 next;
  struct timeslice_t slices[TIMESLICES];
};

/* The place of the timeslice that ends now, in place of the oldest one. */
static inline struct timeslice_t *timeslice_end(struct timeslices_t *recent, u64 ran, u64 now) {
  struct timeslice_t *slice = &recent->slices[recent->next & (TIMESLICES - 1)];
  recent->next += 1;
  slice->ended_ns = now;
  slice->ran_ns = ran;
  return slice;
}
"""
