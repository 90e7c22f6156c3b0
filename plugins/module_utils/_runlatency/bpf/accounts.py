# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): exact CPU time of each command in each control group, over the window and over each reported wait.

Each CPU keeps ACCOUNTS accounts at hand. The name and the group choose a pair of places. Where both are taken, the one that was
used less recently goes to the map `commands`, which has the sums of the window. All kworkers are one command, whatever their number.

`ran_ns` of a place only grows, whoever has the place. So the difference of two snapshots of it is what ran in between, and
what an account ran since it has the place is known, too. Each CPU takes a snapshot at the first switch after SNAPSHOT_NS. Ring 0 has
the last SNAPSHOTS of them, ring 1 every fourth, ring 2 every sixteenth, and so on. A wait notes the number of the last snapshot at
its begin. At its end the snapshots before and after its begin are at hand, however many short timeslices there were: RINGS rings
reach SNAPSHOTS × SNAPSHOT_NS × 4^(RINGS - 1) back. Of a longer wait, what ran before that is not told.
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf.headers import version_code

_RINGS, _RINGS_OF_OLD = 6, 4  # 68 s and 4.2 s back
_LONG_TEXTS = (5 << 16) + (2 << 8)  # before, the verifier takes no function of more than 4,096 instructions


def rings(release):
    """Return how many rings of snapshots the text of a kernel of this release has room for."""
    return _RINGS if version_code(release) >= _LONG_TEXTS else _RINGS_OF_OLD


TEXT = """
struct account_t {
  u64 name[2];
  u64 group;
  u64 group_id;
  u64 taken_ns; /* when it took the place */
  u64 since_ns; /* what the place had run by then */
  u64 used_ns;
  u64 wait_ns;
  u64 idle_wait_ns; /* of the waits over the threshold: how long the CPU was idle */
  u64 longest_ns;
  u64 paused_ns;
  u32 tid;
  s32 prio;
  u32 waits;
  u32 tasks; /* how often another task than the one before had the name */
};
struct cpu_t {
  u64 switched_ns; /* when the task that runs got the CPU */
  u64 floor_ns;    /* the shortest of the waits that are kept */
  u64 total_ns;
  u64 longest_ns;
  u64 over_threshold;
  u64 displaced;
  u64 idle_ns, paused_ns; /* of the window */
  u64 slice_paused_ns;    /* how long the CPU did not run in the timeslice that goes on */
  u64 unaccounted_ns;
  u64 snapshot_ns; /* the last snapshot */
  u32 snapshots;   /* how many there were */
  u32 has_waited;  /* whether the wait of the running task is known */
  u64 waited_ns, waited_idle_ns;
  u32 waited_index;
  u32 running_tid;
  s32 running_prio;
  u32 padding;
  u64 running_name[2];
  u64 kept_ns[WORST_WAITS];
  u64 histogram[2 * WAIT_KINDS * WAIT_BUCKETS]; /* the second half: of tasks of low priority */
  struct timeslices_t long_slices;
  struct account_t accounts[ACCOUNTS];
  u64 ran_ns[ACCOUNTS];
  u64 apart[8]; /* no cache line belongs to two CPUs */
};
struct command_key_t {
  u64 name[2];
  u64 group;
};
struct command_t {
  u64 group_id;
  u64 ran_ns;
  u64 wait_ns;
  u64 idle_wait_ns;
  u64 longest_ns;
  u64 paused_ns;
  u64 waits;
  u32 tid;
  s32 prio;
  u64 tasks;
};
struct snapshot_t {
  u64 at_ns;
  u32 ended;     /* the account whose timeslice ended then, or IDLE */
  u32 ended_ran; /* its length */
  u32 idle;
  u32 paused;
  u32 ran[ACCOUNTS];
};
struct runner_t {
  u64 name[2];
  u32 tid;
  s32 prio;
  u32 tasks;
  u32 after;  /* ran from the first snapshot after the begin to the end */
  u32 around; /* ran between the snapshots before and after the begin */
  u32 padding;
};
/* Who ran on a CPU during a wait. */
struct runners_t {
  u64 before_ns, after_ns; /* the snapshots before and after the begin */
  u32 ended, ended_ran;    /* the timeslice that ended at the second one */
  u32 idle_after, idle_around;
  u32 paused_after, paused_around;
  u32 running_tid; /* of another CPU: the task that has it at the end, and for how long */
  s32 running_prio;
  u64 running_ns;
  u64 running_name[2];
  struct runner_t runners[ACCOUNTS];
};
struct epoch_t {
  u32 snapshots;
  u32 padding[15]; /* a cache line: every wakeup reads it */
};
BPF_ARRAY(cpus, struct cpu_t, CPUS);
BPF_HASH(commands, struct command_key_t, struct command_t, COMMANDS);
BPF_ARRAY(snapshots, struct snapshot_t, (CPUS * RINGS * SNAPSHOTS));
BPF_ARRAY(epochs, struct epoch_t, CPUS);
BPF_ARRAY(opened, u64, 1);

static inline u32 snapshots_of(u32 cpu) {
  struct epoch_t *epoch = epochs.lookup(&cpu);
  return epoch ? epoch->snapshots : 0;
}

static inline struct snapshot_t *snapshot_at(u32 cpu, u32 ring, u32 number) {
  u32 index = (cpu * RINGS + ring) * SNAPSHOTS + (number & (SNAPSHOTS - 1));
  return snapshots.lookup(&index);
}

/* An account leaves its place. Returns 0 when there is no room for it. */
static inline int account_flush(struct account_t *account, u64 ran) {
  struct command_key_t key = {};
  key.name[0] = account->name[0];
  key.name[1] = account->name[1];
  key.group = account->group;
  struct command_t none = {}, *command = commands.lookup_or_try_init(&key, &none);
  if (!command)
    return 0;
  command->group_id = account->group_id;
  command->tid = account->tid;
  command->prio = account->prio;
  __sync_fetch_and_add(&command->ran_ns, ran);
  __sync_fetch_and_add(&command->wait_ns, account->wait_ns);
  __sync_fetch_and_add(&command->idle_wait_ns, account->idle_wait_ns);
  __sync_fetch_and_add(&command->paused_ns, account->paused_ns);
  __sync_fetch_and_add(&command->waits, account->waits);
  __sync_fetch_and_add(&command->tasks, account->tasks);
  if (command->longest_ns < account->longest_ns)
    command->longest_ns = account->longest_ns;
  return 1;
}

static inline void snapshot_take(struct cpu_t *here, u32 cpu, u32 ended, u64 ran, u64 now) {
  u32 number = here->snapshots + 1;
  struct snapshot_t *first = snapshot_at(cpu, 0, number);
  struct epoch_t *epoch = epochs.lookup(&cpu);
  if (!first || !epoch)
    return;
  first->at_ns = now;
  first->ended = ended;
  first->ended_ran = ran >> UNIT_SHIFT;
  first->idle = here->idle_ns >> UNIT_SHIFT;
  first->paused = here->paused_ns >> UNIT_SHIFT;
#pragma unroll
  for (int i = 0; i < ACCOUNTS; i++)
    first->ran[i] = here->ran_ns[i] >> UNIT_SHIFT;
#pragma unroll
  for (int ring = 1; ring < RINGS; ring++) {
    struct snapshot_t *copy = number & ((1 << 2 * ring) - 1) ? 0 : snapshot_at(cpu, ring, number >> 2 * ring);
    if (copy)
      __builtin_memcpy(copy, first, sizeof(*copy));
  }
  here->snapshot_ns = now;
  here->snapshots = number;
  epoch->snapshots = number;
}

/* The snapshots around the begin of a wait, where the second one is there; begun: the number of the last one before it. */
struct around_t {
  struct snapshot_t *before, *after;
};
static inline void snapshots_around(struct around_t *around, u32 cpu, u32 begun, u32 number) {
  u32 ring = 0;
#pragma unroll
  for (int i = 1; i < RINGS; i++)
    if (number - begun >= (u32)(SNAPSHOTS - 2) << 2 * (i - 1))
      ring = i;
  around->before = snapshot_at(cpu, ring, begun >> 2 * ring);
  around->after = ((begun >> 2 * ring) + 1) << 2 * ring <= number ? snapshot_at(cpu, ring, (begun >> 2 * ring) + 1) : 0;
}

/* How long the CPU was idle since then. */
static inline u64 idle_since(struct cpu_t *here, u32 cpu, u32 begun, u64 since) {
  struct around_t around;
  snapshots_around(&around, cpu, begun, here->snapshots);
  struct snapshot_t *after = around.after;
  if (!after)
    return 0;
  u64 idle = (u64)((u32)(here->idle_ns >> UNIT_SHIFT) - after->idle) << UNIT_SHIFT;
  u64 head = after->at_ns > since ? after->at_ns - since : 0, ended = (u64)after->ended_ran << UNIT_SHIFT;
  if (after->ended == IDLE)
    idle += head < ended ? head : ended;
  return idle;
}

/* Note who ran on a CPU since the begin of a wait. */
static inline void runners_note(struct runners_t *kept, struct cpu_t *there, u32 cpu, u32 begun, u64 since, u32 is_other, u64 now) {
  struct around_t around;
  snapshots_around(&around, cpu, begun, there->snapshots);
  struct snapshot_t *before = around.before, *after = around.after ? around.after : around.before;
  kept->before_ns = kept->after_ns = 0;
  if (!before || !after)
    return;
  kept->before_ns = before->at_ns;
  kept->after_ns = after->at_ns;
  kept->ended = after->ended;
  kept->ended_ran = after->ended_ran;
  kept->idle_after = (u32)(there->idle_ns >> UNIT_SHIFT) - after->idle;
  kept->idle_around = after->idle - before->idle;
  kept->paused_after = (u32)(there->paused_ns >> UNIT_SHIFT) - after->paused;
  kept->paused_around = after->paused - before->paused;
  kept->running_ns = is_other ? now - there->switched_ns : 0;
  kept->running_tid = there->running_tid;
  kept->running_prio = there->running_prio;
  kept->running_name[0] = there->running_name[0];
  kept->running_name[1] = there->running_name[1];
#pragma unroll
  for (int i = 0; i < ACCOUNTS; i++) {
    struct account_t *account = &there->accounts[i];
    struct runner_t *runner = &kept->runners[i];
    u32 ran = there->ran_ns[i] >> UNIT_SHIFT, is_new = account->taken_ns > since;
    runner->name[0] = account->name[0];
    runner->name[1] = account->name[1];
    __builtin_memcpy(&runner->tid, &account->tid, 8); /* and the priority: the verifier of 4.19 counts instructions */
    runner->tasks = account->tasks;
    runner->after = ran - (is_new ? (u32)(account->since_ns >> UNIT_SHIFT) : after->ran[i]);
    runner->around = is_new ? 0 : after->ran[i] - before->ran[i];
  }
}

/* Returns the account of the running task, which leaves the CPU after it has run for so long, and counts its wait before. */
static inline u32 account_run(struct cpu_t *here, u64 name0, u64 name1, u32 tid, s32 prio, u64 ran, u64 now) {
  if (!tid) {
    here->idle_ns += ran;
    here->slice_paused_ns = 0;
    return IDLE;
  }
  u64 paused = here->slice_paused_ns < ran ? here->slice_paused_ns : ran, group = group_of_current();
  here->slice_paused_ns = 0;
  here->paused_ns += paused;
  if (name0 == KWORKER)
    name1 = 0;
  u32 index = ((name0 ^ name1 ^ group) * 0x9E3779B97F4A7C15ULL) >> 58;
  struct account_t *account = &here->accounts[index & (ACCOUNTS - 1)];
  if (account->name[0] != name0 || account->name[1] != name1 || account->group != group) {
    u64 used_ns = account->used_ns;
    index ^= 1;
    account = &here->accounts[index & (ACCOUNTS - 1)];
    if (account->name[0] != name0 || account->name[1] != name1 || account->group != group) {
      if (account->used_ns > used_ns) {
        index ^= 1;
        account = &here->accounts[index & (ACCOUNTS - 1)];
      }
      u64 before = here->ran_ns[index & (ACCOUNTS - 1)];
      if (account->used_ns && !account_flush(account, before - account->since_ns))
        here->unaccounted_ns += before - account->since_ns;
      __builtin_memset(account, 0, sizeof(*account));
      account->name[0] = name0;
      account->name[1] = name1;
      account->group = group;
      account->group_id = group_id(group);
      account->taken_ns = now;
      account->since_ns = before;
      account->tid = tid;
    }
  }
  account->used_ns = now;
  here->ran_ns[index & (ACCOUNTS - 1)] += ran - paused;
  account->paused_ns += paused;
  account->prio = prio;
  if (account->tid != tid) {
    account->tid = tid;
    account->tasks += 1;
  }
  if (here->has_waited) {
    account->waits += 1;
    account->wait_ns += here->waited_ns;
    account->idle_wait_ns += here->waited_idle_ns;
    if (account->longest_ns < here->waited_ns)
      account->longest_ns = here->waited_ns;
  }
  return index & (ACCOUNTS - 1);
}
"""
