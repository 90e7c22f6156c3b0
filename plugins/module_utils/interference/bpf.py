# SPDX-License-Identifier: GPL-3.0-or-later
"""The BPF text of interference, cut to the tracepoints that this kernel has. The text itself is GPL-2.0.

Raw tracepoints, because the kernel does not run an ordinary tracepoint's program
while another program runs on that CPU: an interrupt in the midst of another
probe's program would be lost. The first argument of these tracepoints is the
number of the interrupt, softirq or vector on every kernel from 4.17 on.
"""

# Softirqs in the kernel's order (include/linux/interrupt.h), the same since 2.6.
SOFTIRQS = ('HI', 'TIMER', 'NET_TX', 'NET_RX', 'BLOCK', 'IRQ_POLL', 'TASKLET', 'SCHED', 'HRTIMER', 'RCU')

# Interrupt vectors without a device: tracepoint, and the row of /proc/interrupts that counts it.
VECTORS = (
    ('local_timer', 'LOC'), ('reschedule', 'RES'), ('call_function', 'CAL'), ('call_function_single', 'CAL'),
    ('thermal_apic', 'TRM'), ('threshold_apic', 'THR'), ('deferred_error_apic', 'DFR'), ('error_apic', 'ERR'),
    ('spurious_apic', 'SPU'), ('x86_platform_ipi', 'PLT'), ('irq_work', 'IWI'),
)

_TEXT = """
struct stat_t { u64 count; u64 total_ns; u64 longest_ns; };
struct irq_key_t { u32 irq; u32 cpu; };
BPF_HASH(irqs, struct irq_key_t, struct stat_t, 16384);
BPF_PERCPU_ARRAY(softirqs, struct stat_t, 16);
BPF_PERCPU_ARRAY(vectors, struct stat_t, 16);
/* 0: entry of the hardware interrupt, 1: entry of the softirq, 2: time in hardware interrupts so far, 3: the same at 1 */
BPF_PERCPU_ARRAY(clocks, u64, 4);
BPF_ARRAY(dropped, u64, 1);

static inline void set_clock(u32 which, u64 value) {
  u64 *clock = clocks.lookup(&which);
  if (clock)
    *clock = value;
}

static inline u64 get_clock(u32 which) {
  u64 *clock = clocks.lookup(&which);
  return clock ? *clock : 0;
}

static inline void add(struct stat_t *stat, u64 took_ns) {
  stat->count += 1;
  stat->total_ns += took_ns;
  if (took_ns > stat->longest_ns)
    stat->longest_ns = took_ns;
}

/* Returns the nanoseconds since the entry, or 0 when it was before the window. */
static inline u64 leave_hardirq(void) {
  u64 entered = get_clock(0);
  if (!entered)
    return 0;
  set_clock(0, 0);
  u64 took = bpf_ktime_get_ns() - entered;
  set_clock(2, get_clock(2) + took);
  return took ? took : 1;
}

int on_irq_handler_entry(struct bpf_raw_tracepoint_args *ctx) {
  if (gate_is_open())
    set_clock(0, bpf_ktime_get_ns());
  return 0;
}

int on_irq_handler_exit(struct bpf_raw_tracepoint_args *ctx) {
  u64 took = gate_is_open() ? leave_hardirq() : 0;
  if (!took)
    return 0;
  struct irq_key_t key = {};
  key.irq = ctx->args[0];
  key.cpu = bpf_get_smp_processor_id();
  struct stat_t none = {}, *stat = irqs.lookup_or_try_init(&key, &none);
  if (stat) {
    add(stat, took);
    return 0;
  }
  u32 zero = 0;
  u64 *lost = dropped.lookup(&zero);
  if (lost)
    __sync_fetch_and_add(lost, 1);
  return 0;
}

int on_softirq_entry(struct bpf_raw_tracepoint_args *ctx) {
  if (!gate_is_open())
    return 0;
  set_clock(1, bpf_ktime_get_ns());
  set_clock(3, get_clock(2));
  return 0;
}

int on_softirq_exit(struct bpf_raw_tracepoint_args *ctx) {
  u64 entered = get_clock(1);
  if (!gate_is_open() || !entered)
    return 0;
  set_clock(1, 0);
  u64 took = bpf_ktime_get_ns() - entered, nested = get_clock(2) - get_clock(3);
  u32 type = ctx->args[0] & 15;
  struct stat_t *stat = softirqs.lookup(&type);
  if (stat)
    add(stat, took > nested ? took - nested : 0);
  return 0;
}
"""

_VECTOR = """
int on_%(name)s_entry(struct bpf_raw_tracepoint_args *ctx) {
  if (gate_is_open())
    set_clock(0, bpf_ktime_get_ns());
  return 0;
}
int on_%(name)s_exit(struct bpf_raw_tracepoint_args *ctx) {
  u64 took = gate_is_open() ? leave_hardirq() : 0;
  u32 type = %(index)d;
  struct stat_t *stat = took ? vectors.lookup(&type) : 0;
  if (stat)
    add(stat, took);
  return 0;
}
"""


def text(vectors):
    """Return the C text. vectors: names out of VECTORS whose entry and exit this kernel can trace."""
    names = [name for name, _unused in VECTORS]
    return _TEXT + ''.join(_VECTOR % {'name': name, 'index': names.index(name)} for name in vectors)
