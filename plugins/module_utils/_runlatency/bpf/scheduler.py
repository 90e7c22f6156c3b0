# SPDX-License-Identifier: GPL-3.0-or-later
"""BPF text (GPL-2.0): the events of the scheduler, each handed to the other fragments in one form, whatever it came as.

Typed tracepoints (since 5.5, with BTF) read the tasks themselves, which costs a load a field. They run also while another BPF
program runs on that CPU. Ordinary tracepoints have the kernel write a record first, and do not run then: their events are lost.
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._ebpf import btf_types, typed

WAKEUPS = ('sched_wakeup', 'sched_wakeup_new')
NAMES = WAKEUPS + ('sched_switch',)
# Fields of the ordinary tracepoints that the text reads.
FIELDS = {
    'sched_wakeup': ('pid', 'comm', 'target_cpu'),
    'sched_wakeup_new': ('pid', 'comm', 'target_cpu'),
    'sched_switch': ('prev_pid', 'prev_comm', 'prev_prio', 'prev_state', 'next_pid', 'next_comm', 'next_prio'),
}
# {name in the text: paths of the member, the first one that there is counts}
PATHS = {
    'TASK_PRIO_AT': ('task_struct.prio',), 'TASK_COMM_AT': ('task_struct.comm',),
    'TASK_CPU_AT': ('task_struct.thread_info.cpu', 'task_struct.cpu'),  # moved in 5.16
    'TASK_STATE_AT': ('task_struct.__state', 'task_struct.state'),  # renamed in 5.14
}
_PREV_STATE_SINCE = 4  # arguments of sched_switch: from 5.18 on the fourth one is the state

STRUCT = """
struct switch_t {
  u32 prev, next;
  s32 prev_prio, next_prio;
  u64 prev_name[2], next_name[2];
  u32 goes_on; /* the task that loses the CPU could go on */
};
"""

_COPY = r"""
/* A name, in two pieces where the event has it at a place that allows that: byte by byte costs a tenth more. */
#define COPY_COMM(to, event, field) \
  do { \
    if (__builtin_offsetof(struct tracepoint__sched__##event, field) % 8 == 0) { \
      ((u64 *)(to))[0] = ((u64 *)args->field)[0]; \
      ((u64 *)(to))[1] = ((u64 *)args->field)[1]; \
    } else { \
      __builtin_memcpy(to, args->field, 16); \
    } \
  } while (0)
"""

_ORDINARY_WAKEUP = """
int on_%(event)s(struct tracepoint__sched__%(event)s *args) {
  u64 name[2];
  if (!gate_is_open() || !args->pid)
    return 0;
  COPY_COMM(name, %(event)s, comm);
  return woken(args->pid, args->target_cpu, name);
}
"""

_ORDINARY_SWITCH = """
int on_sched_switch(struct tracepoint__sched__sched_switch *args) {
  struct switch_t event;
  if (!gate_is_open())
    return 0;
  event.prev = args->prev_pid;
  event.next = args->next_pid;
  event.prev_prio = args->prev_prio;
  event.next_prio = args->next_prio;
  event.goes_on = args->prev_state == 0 || (args->prev_state & PREEMPTED_IN_KERNEL);
  COPY_COMM(event.prev_name, sched_switch, prev_comm);
  COPY_COMM(event.next_name, sched_switch, next_comm);
  return switched(&event);
}
"""

_TYPED = """
#define LOAD_NAME(to, task) \\
  do { \\
    LOAD((to)[0], task, TASK_COMM_AT); \\
    LOAD((to)[1], task, TASK_COMM_AT + 8); \\
  } while (0)

static inline int woken_task(u64 *ctx) {
  u64 task, name[2];
  u32 tid, cpu;
  if (!gate_is_open())
    return 0;
  ARGUMENT(task, ctx, 0);
  LOAD32(tid, task, TASK_PID_AT);
  if (!tid)
    return 0;
  LOAD32(cpu, task, TASK_CPU_AT);
  LOAD_NAME(name, task);
  return woken(tid, cpu, name);
}

/* sched_wakeup(task), sched_wakeup_new(task) */
int on_sched_wakeup(u64 *ctx) {
  return woken_task(ctx);
}

int on_sched_wakeup_new(u64 *ctx) {
  return woken_task(ctx);
}

/* sched_switch(preempt, prev, next) */
int on_sched_switch(u64 *ctx) {
  struct switch_t event;
  u64 preempt, prev, next;
  if (!gate_is_open())
    return 0;
  ARGUMENT(preempt, ctx, 0);
  ARGUMENT(prev, ctx, 1);
  ARGUMENT(next, ctx, 2);
  LOAD32(event.prev, prev, TASK_PID_AT);
  LOAD32(event.next, next, TASK_PID_AT);
  LOAD32(event.prev_prio, prev, TASK_PRIO_AT);
  LOAD32(event.next_prio, next, TASK_PRIO_AT);
  LOAD_NAME(event.prev_name, prev);
  LOAD_NAME(event.next_name, next);
  event.goes_on = preempt || !state_of(ctx, prev);
  return switched(&event);
}
"""

_STATE_GIVEN = """
static inline u32 state_of(u64 *ctx, u64 prev) {
  u64 state;
  ARGUMENT(state, ctx, 3);
  return state;
}
"""

_STATE_READ = """
static inline u32 state_of(u64 *ctx, u64 prev) {
  u32 state;
  LOAD32(state, prev, TASK_STATE_AT);
  return state;
}
"""


def offsets(types):
    """Return what fragment() takes for typed tracepoints: {name in the text: offset in bytes, 'STATE_GIVEN': does sched_switch have it}.

    None where this kernel has to be asked by ordinary ones. types: btf_types.Types, or None.
    """
    if types is None or any(types.number('btf_trace_' + name, btf_types.TYPEDEF) is None for name in NAMES):
        return None
    found = dict((name, types.first(*paths)) for name, paths in PATHS.items())
    found['STATE_GIVEN'] = types.parameters('btf_trace_sched_switch') > _PREV_STATE_SINCE
    return None if None in found.values() else found


def fragment(known):
    """Return (values, C text). known: see offsets()."""
    if known is None:
        return [], _COPY + ''.join(_ORDINARY_WAKEUP % {'event': event} for event in WAKEUPS) + _ORDINARY_SWITCH
    values = sorted((name, offset) for name, offset in known.items() if name in PATHS)
    return values, typed.LOADS + (_STATE_GIVEN if known['STATE_GIVEN'] else _STATE_READ) + _TYPED
