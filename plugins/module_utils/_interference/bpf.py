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
NMI = 15  # where non-maskable interrupts are kept among the vectors

# Length of a run: bucket b begins at 2 ** (b + 8) nanoseconds, the first at 0; the last one has no end.
BUCKETS = 16
BUCKET_SHIFT = 8
TIMER_KINDS = ('hrtimer', 'timer')

# What could not be kept, in the map `dropped`.
DROPPED_IRQ, DROPPED_TIMER, DROPPED_FUNCTION, DROPPED_CAUSE = range(4)

# What processes cause: its name, and one of how many is kept.
CAUSES = (('packets_sent', 16), ('packets_received', 16), ('tlb_shootdowns', 1), ('io_requests', 16))
# Tracepoint with its group, which cause it is, the condition on its arguments; of several tracepoints of a cause the first that exists.
# sock_recv_length (from 6.3): every read of a socket; small datagrams pass skb_copy_datagram_iovec.
# tlb_flush: reason TLB_REMOTE_SEND_IPI of include/linux/mm_types_task.h, the same number since 3.16.
CAUSE_EVENTS = (
    ('net:net_dev_queue', 'packets_sent', '1'),
    ('sock:sock_recv_length', 'packets_received', 'is_internet(ctx->args[0])'),
    ('skb:skb_copy_datagram_iovec', 'packets_received', '1'),
    ('tlb:tlb_flush', 'tlb_shootdowns', 'ctx->args[0] == 4'),
    ('block:block_bio_queue', 'io_requests', '1'),
)

_TEXT = """
struct stat_t {
  u64 count;
  u64 total_ns;
  u64 longest_ns;
  u32 histogram[16];
};
struct irq_key_t {
  u32 irq;
  u32 cpu;
};
/* hardirq_ns: time in hardware interrupts so far; before_softirq_ns: the same when the softirq began */
struct clock_t {
  u64 hardirq_entered, softirq_entered, hardirq_ns, before_softirq_ns;
};
BPF_HASH(irqs, struct irq_key_t, struct stat_t, 16384);
BPF_PERCPU_ARRAY(softirqs, struct stat_t, 16);
BPF_PERCPU_ARRAY(vectors, struct stat_t, 16);
BPF_PERCPU_ARRAY(clocks, struct clock_t, 1);
BPF_ARRAY(dropped, u64, DROPPED_KINDS);
struct process_t {
  u64 count;
  char comm[16];
};

static inline struct clock_t *clock_here(void) {
  u32 zero = 0;
  return clocks.lookup(&zero);
}

static inline void drop(u32 which) {
  u64 *lost = dropped.lookup(&which);
  if (lost)
    __sync_fetch_and_add(lost, 1);
}

static inline void add(struct stat_t *stat, u64 took_ns) {
  stat->count += 1;
  stat->total_ns += took_ns;
  if (took_ns > stat->longest_ns)
    stat->longest_ns = took_ns;
  /* bpf_log2l(0) and bpf_log2l(1) are both 1 */
  u64 bucket = bpf_log2l(took_ns >> 8) - 1;
  if (bucket > 15)
    bucket = 15;
  stat->histogram[bucket] += 1;
}

static inline void enter_hardirq(void) {
  struct clock_t *clock = gate_is_open() && IS_WANTED ? clock_here() : 0;
  if (clock)
    clock->hardirq_entered = bpf_ktime_get_ns();
}

/* Returns the nanoseconds since the entry, or 0 when it was before the window. */
static inline u64 leave_hardirq(void) {
  struct clock_t *clock = gate_is_open() ? clock_here() : 0;
  if (!clock || !clock->hardirq_entered)
    return 0;
  u64 took = bpf_ktime_get_ns() - clock->hardirq_entered;
  clock->hardirq_entered = 0;
  clock->hardirq_ns += took;
  return took ? took : 1;
}

int on_irq_handler_entry(struct bpf_raw_tracepoint_args *ctx) {
  enter_hardirq();
  return 0;
}

int on_irq_handler_exit(struct bpf_raw_tracepoint_args *ctx) {
  u64 took = leave_hardirq();
  if (!took)
    return 0;
  struct irq_key_t key = {};
  key.irq = ctx->args[0];
  key.cpu = bpf_get_smp_processor_id();
  struct stat_t none = {}, *stat = irqs.lookup_or_try_init(&key, &none);
  if (stat)
    add(stat, took);
  else
    drop(DROPPED_IRQ);
  return 0;
}

int on_softirq_entry(struct bpf_raw_tracepoint_args *ctx) {
  struct clock_t *clock = gate_is_open() && IS_WANTED ? clock_here() : 0;
  if (!clock)
    return 0;
  clock->before_softirq_ns = clock->hardirq_ns;
  clock->softirq_entered = bpf_ktime_get_ns();
  return 0;
}

int on_softirq_exit(struct bpf_raw_tracepoint_args *ctx) {
  struct clock_t *clock = gate_is_open() ? clock_here() : 0;
  if (!clock || !clock->softirq_entered)
    return 0;
  u64 took = bpf_ktime_get_ns() - clock->softirq_entered, nested = clock->hardirq_ns - clock->before_softirq_ns;
  clock->softirq_entered = 0;
  u32 type = ctx->args[0] & 15;
  struct stat_t *stat = softirqs.lookup(&type);
  if (stat)
    add(stat, took > nested ? took - nested : 0);
  return 0;
}
"""

_VECTOR = """
int on_%(name)s_entry(struct bpf_raw_tracepoint_args *ctx) {
  enter_hardirq();
  return 0;
}
int on_%(name)s_exit(struct bpf_raw_tracepoint_args *ctx) {
  u64 took = leave_hardirq();
  u32 type = %(index)d;
  struct stat_t *stat = took ? vectors.lookup(&type) : 0;
  if (stat)
    add(stat, took);
  return 0;
}
"""

# A handler of non-maskable interrupts has run: its address, its nanoseconds, and how many events it took care of.
_NMI = """
int on_nmi_handler(struct bpf_raw_tracepoint_args *ctx) {
  u32 type = %(index)d;
  struct stat_t *stat = ctx->args[2] && gate_is_open() && IS_WANTED ? vectors.lookup(&type) : 0;
  if (stat)
    add(stat, ctx->args[1]);
  return 0;
}
"""

# Which functions timers call. Raw tracepoints where the kernel's BTF says where a timer has its function: an ordinary tracepoint's program
# is not run on top of another program, and kernels before 6.7 do not count that. Else ordinary ones, whose arguments have names.
_TIMERS = """
struct timer_key_t {
  u64 function;
  u32 kind;
  u32 padding;
};
struct expiring_t {
  u64 timer; /* 0: none */
  u64 entered;
  struct timer_key_t key;
};
struct starter_key_t {
  u64 function;
  u32 pid;
  u32 padding;
};
BPF_TABLE("percpu_hash", struct timer_key_t, struct stat_t, timers, 256);
BPF_PERCPU_ARRAY(expiring, struct expiring_t, 4);
/* Where processes come and go by the thousand, those that do little make room for those that do much. */
BPF_TABLE("lru_hash", struct starter_key_t, struct process_t, starters, 4096);

/* A timer that goes off within a softirq may be interrupted by others: each level has its place. */
static inline struct expiring_t *expiring_here(u32 kind) {
  struct clock_t *clock = gate_is_open() ? clock_here() : 0;
  u32 place = kind * 2 + (clock && clock->hardirq_entered);
  return clock ? expiring.lookup(&place) : 0;
}

static inline void expire(u32 kind, u64 timer, u64 function) {
  struct expiring_t *now = expiring_here(kind);
  if (!now)
    return;
  if (now->timer)
    drop(DROPPED_TIMER); /* the end of the one before was not seen */
  now->timer = timer;
  now->key.function = function;
  now->key.kind = kind;
  now->entered = bpf_ktime_get_ns();
}

static inline void expired(u32 kind, u64 timer) {
  struct expiring_t *now = expiring_here(kind);
  if (!now)
    return;
  if (now->timer != timer) {
    drop(DROPPED_TIMER); /* its begin was not seen */
    return;
  }
  now->timer = 0;
  struct timer_key_t key = now->key;
  struct stat_t none = {}, *stat = timers.lookup_or_try_init(&key, &none);
  if (stat)
    add(stat, bpf_ktime_get_ns() - now->entered);
  else
    drop(DROPPED_FUNCTION);
}
"""

_EXPIRE = """
int on_%(name)s_expire_entry(struct tracepoint__timer__%(name)s_expire_entry *args) {
  expire(%(index)d, (u64)args->%(name)s, (u64)args->function);
  return 0;
}
int on_%(name)s_expire_exit(struct tracepoint__timer__%(name)s_expire_exit *args) {
  expired(%(index)d, (u64)args->%(name)s);
  return 0;
}
"""

_EXPIRE_RAW = """
int on_%(name)s_expire_entry(struct bpf_raw_tracepoint_args *ctx) {
  u64 function = 0;
  bpf_probe_read(&function, sizeof(function), (void *)(ctx->args[0] + %(at)d));
  expire(%(index)d, ctx->args[0], function);
  return 0;
}
int on_%(name)s_expire_exit(struct bpf_raw_tracepoint_args *ctx) {
  expired(%(index)d, ctx->args[0]);
  return 0;
}
"""

# What starts a timer within an interrupt is not the task that runs there. The type is that of an argument which is not read.
_STARTERS = """
static inline void started(u64 function) {
  struct clock_t *clock = gate_is_open() ? clock_here() : 0;
  struct starter_key_t key = {};
  key.function = function;
  key.pid = bpf_get_current_pid_tgid() >> 32;
  if (!clock || clock->hardirq_entered || clock->softirq_entered || !key.pid)
    return;
  struct process_t *starter = starters.lookup(&key);
  if (!starter) {
    struct process_t first = {};
    bpf_get_current_comm(&first.comm, sizeof(first.comm));
    starter = starters.lookup_or_try_init(&key, &first);
  }
  if (starter)
    __sync_fetch_and_add(&starter->count, 1);
  else
    drop(DROPPED_CAUSE);
}
"""

_START = """
enum hrtimer_mode { SOME_HRTIMER_MODE };
int on_hrtimer_start(struct tracepoint__timer__hrtimer_start *args) {
  started((u64)args->function);
  return 0;
}
"""

_START_RAW = """
int on_hrtimer_start(struct bpf_raw_tracepoint_args *ctx) {
  u64 function = 0;
  bpf_probe_read(&function, sizeof(function), (void *)(ctx->args[0] + %d));
  started(function);
  return 0;
}
"""

# Which processes cause what interrupts others or their own CPU: what they do in their own context, one event in so many.
_CAUSES = """
struct cause_key_t {
  u32 what;
  u32 pid;
};
BPF_TABLE("lru_hash", struct cause_key_t, struct process_t, causes, 4096);
BPF_PERCPU_ARRAY(cause_counts, u64, 4);

/* Whether a socket is one of IPv4 or IPv6: sock.__sk_common.skc_family, at the same place since 2.6. */
static inline int is_internet(u64 sock) {
  u16 family = 0;
  bpf_probe_read(&family, sizeof(family), (void *)(sock + 16));
  return family == 2 || family == 10;
}

static inline void caused(u32 what, u64 sampled) {
  u64 *count = gate_is_open() ? cause_counts.lookup(&what) : 0;
  struct cause_key_t key = {};
  if (!count)
    return;
  *count += 1;
  key.what = what;
  key.pid = bpf_get_current_pid_tgid() >> 32;
  if (*count % sampled || !key.pid)
    return;
  struct process_t *process = causes.lookup(&key);
  if (!process) {
    struct process_t first = {};
    bpf_get_current_comm(&first.comm, sizeof(first.comm));
    process = causes.lookup_or_try_init(&key, &first);
  }
  if (process)
    __sync_fetch_and_add(&process->count, sampled);
  else
    drop(DROPPED_CAUSE);
}
"""

_CAUSE = """
int on_%(event)s(struct bpf_raw_tracepoint_args *ctx) {
  if (%(when)s)
    caused(%(index)d, %(sampled)d);
  return 0;
}
"""


def text(vectors, pid=0, nmi=False, timers=(), starters=False, causes=(), functions_at=None):
    """Return the C text.

    vectors: names out of VECTORS whose entry and exit this kernel can trace; pid: only what interrupts this process, 0: all;
    nmi: with the function for nmi_handler; timers: names out of TIMER_KINDS; starters: with the function for hrtimer_start;
    causes: tracepoints out of CAUSE_EVENTS; functions_at: {name out of TIMER_KINDS: where such a timer has its function, in bytes} for
    raw tracepoints of timers; None for ordinary ones.
    """
    names = [name for name, _unused in VECTORS]
    parts = ['#define IS_WANTED %s\n' % ('(bpf_get_current_pid_tgid() >> 32 == %d)' % pid if pid else '1')]
    parts += ['#define %s %d\n' % pair for pair in (('DROPPED_IRQ', DROPPED_IRQ), ('DROPPED_TIMER', DROPPED_TIMER), ('DROPPED_FUNCTION',
              DROPPED_FUNCTION), ('DROPPED_CAUSE', DROPPED_CAUSE), ('DROPPED_KINDS', 4))]
    parts.append(_TEXT)
    parts += [_VECTOR % {'name': name, 'index': names.index(name)} for name in vectors]
    if nmi:
        parts.append(_NMI % {'index': NMI})
    if timers or starters:
        parts.append(_TIMERS)
    for name in timers:
        values = {'name': name, 'index': TIMER_KINDS.index(name), 'at': functions_at[name] if functions_at else 0}
        parts.append((_EXPIRE_RAW if functions_at else _EXPIRE) % values)
    if starters:
        parts += [_STARTERS, _START_RAW % functions_at['hrtimer'] if functions_at else _START]
    if causes:
        parts.append(_CAUSES)
    kinds = [name for name, _sampled in CAUSES]
    parts += [_CAUSE % {'event': event.partition(':')[2], 'when': when, 'index': kinds.index(name), 'sampled': dict(CAUSES)[name]}
              for event, name, when in CAUSE_EVENTS if event in causes]
    return ''.join(parts)
