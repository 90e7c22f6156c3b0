#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: runlatency_facts
short_description: How long runnable tasks wait for a CPU, who runs meanwhile, and stalls with the function that causes them
version_added: 0.1.0
description:
  - Measures run-queue latency, from wake-up (or from losing the CPU while runnable) to running, for every task of the host.
  - Returns exact log2 histograms, and the longest waits with the task, its CPU, and the task that ran there longest.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
  - ksysak.fleet.probe.ebpf
options:
  runq_us:
    description: Waits at least this long, in microseconds, are counted in C(over_threshold).
    type: int
    default: 1000
  irqoff_us:
    description:
      - Minimum length of interrupts off that C(stalls) lists, in microseconds, 500 to 10000000.
      - A clock ticks on each CPU every sixth of the smallest one of O(irqoff_us), O(nosched_us) and O(syscall_us); a short one costs more.
    type: int
    default: 10000
  nosched_us:
    description:
      - Minimum time with need_resched set and without a task switch that C(stalls) lists, in microseconds, 500 to 10000000.
    type: int
    default: 10000
  syscall_us:
    description:
      - Minimum kernel time of system calls and page faults that C(stalls) lists, in microseconds, 500 to 10000000.
      - Only time on a CPU counts, and a sleep begins a new count. Without this option the probe does not trace system calls, because
        tracing adds overhead to every system call of the host.
    type: int
  state:
    description:
      - V(measured) measures for O(duration) and returns the facts.
      - V(started) begins to measure and returns at once. One process stays on the host, survives the connection, and ends by itself
        after O(ttl_s). To start it again with the same options changes nothing; with others it is refused.
      - V(reported) returns the facts since the start and lets it go on; it fails where nothing is running.
      - V(stopped) returns the facts since the start and ends it. Where nothing is running nothing changes.
      - What is measured is lost when it ends by itself, is killed, or the host reboots. Nothing stays on the host.
    type: str
    choices: [measured, started, reported, stopped]
    default: measured
  ttl_s:
    description: With O(state=started), how long to measure at most, in seconds, 1 to 604800.
    type: int
    default: 3600
  top:
    description:
      - How many of the longest waits, of the longest stalls of each kind, and of the CPUs and tasks that waited most, to return at most,
        1 to 1000.
      - The longest 16 waits of each CPU are kept, and up to 1000 stalls of each kind.
    type: int
    default: 20
  pid:
    description:
      - Follow the waits of this process alone. Only one of O(pid), O(tid), O(cgroup) and O(comm) may be given, and each needs bcc.
      - The probe searches for new threads twice a second. Stalls are those of the whole host.
    type: int
  tid:
    description: Follow the waits of this thread alone.
    type: int
  cgroup:
    description: Follow the waits of the tasks in this control group and those below it; a path below C(/sys/fs/cgroup).
    type: str
  comm:
    description: Follow the waits of tasks of this name alone, 1 to 15 bytes. The kernel compares the names, so no task is missed.
    type: str
"""

EXAMPLES = r"""
- name: Measure who waits for a CPU, and for how long
  ksysak.fleet.runlatency_facts:
    duration: 30
  become: true

- name: Does the web server wait for a CPU, or for its quota?
  ksysak.fleet.runlatency_facts:
    duration: 30
    cgroup: system.slice/nginx.service
  become: true

- name: Which system calls keep a CPU for long?
  ksysak.fleet.runlatency_facts:
    duration: 30
    syscall_us: 20000
  become: true

- name: Show the longest wait
  ansible.builtin.debug:
    var: ansible_facts.ksysak_runlatency.data.events[0]

- name: Measure while the backup runs
  ksysak.fleet.runlatency_facts:
    state: started
    ttl_s: 7200
  become: true

- name: Report the measurement so far
  ksysak.fleet.runlatency_facts:
    state: reported
  become: true

- name: End the measurement
  ksysak.fleet.runlatency_facts:
    state: stopped
  become: true
"""

RETURN = r"""
summary:
  description: One line about what was measured, for people; the numbers are the lengths of the lists in the facts.
  returned: when something was measured
  type: list
  elements: str
  sample: ["runlatency: ok (bcc, window 20.0 s): leaks 2"]
ansible_facts:
  description: Facts of the host.
  returned: except in check mode and with O(state=started)
  type: dict
  contains:
    ksysak_runlatency:
      description: An envelope with C(status), C(reason), C(remedy), C(engine), C(window_s) and C(cost); its data is as follows.
      type: dict
      contains:
        data:
          description: Empty when the status is V(skipped) or V(failed).
          type: dict
          contains:
            histograms:
              description: 'Waits by what began them, as log2 histograms: C(wakeup) or C(preempted) (the task lost
                the CPU while runnable). Empty: not traced.'
              type: dict
              sample:
                wakeup: {'0': 9, '1': 20, '2': 38, '4': 11}
                preempted: {'4': 2}
              contains:
                wakeup:
                  description: Waits after a wakeup. The key is the lower bound of the bucket in microseconds (0,
                    1, 2, 4, …); the value counts the waits.
                  type: dict
                preempted:
                  description: 'Waits after a preemption. The upper bound of each bucket is twice its lower bound
                    (of 0: 1).'
                  type: dict
            percentiles_us:
              description: 'Percentiles of all waits: the upper bound of the bucket that holds the percentile, at
                most C(max_us).'
              type: dict
              sample: {p50: 32.0, p90: 64.0, p99: 512.0, p999: 1421.608}
              contains:
                p50:
                  description: Median.
                  type: float
                p90:
                  description: 90th percentile.
                  type: float
                p99:
                  description: 99th percentile.
                  type: float
                p999:
                  description: 99.9th percentile.
                  type: float
            count:
              description: Number of waits that were measured.
              type: int
              sample: 22968
            total_us:
              description: Sum of all waits.
              type: float
              sample: 12213166.2
            max_us:
              description: The longest wait.
              type: float
              sample: 118985.695
            threshold_us:
              description: The option C(runq_us) of this measurement.
              type: int
              sample: 1000
            over_threshold:
              description: Number of waits of at least C(threshold_us), also those that are not in C(events).
              type: int
              sample: 2857
            events:
              description: The longest waits, longest first. The probe keeps the 16 longest of each CPU.
              type: list
              elements: dict
              sample:
                - kind: runq
                  wait: wakeup
                  delay_us: 3917.969
                  cpu: 0
                  from_cpu: 0
                  queue_length: 3
                  pid: 11
                  comm: kworker/0:1
                  prio: 120
                  policy: normal
                  throttled: null
                  cgroup: /
                  cause: run_queue
                  allowed_cpus: null
                  idle_elsewhere_share: null
                  paused_us: 0.0
                  at_s: 2.150436
                  commands:
                    - {pid: 77, comm: kdamond.0, prio: 120, policy: normal, ran_us: 3891.207}
                  longest_runner: {pid: 77, comm: kdamond.0, prio: 120, policy: normal, ran_us: 3891.207}
                  blockers:
                    - {pid: 77, comm: kdamond.0, prio: 120, policy: normal, ran_us: 3891.207}
                    - {pid: 14, comm: ksoftirqd/0, prio: 120, policy: normal, ran_us: 21.04}
                  idle_us: 0.0
                  unattributed_us: 5.722
              contains:
                kind:
                  description: Always C(runq).
                  type: str
                wait:
                  description: 'What began the wait: C(wakeup) or C(preempted).'
                  type: str
                delay_us:
                  description: Length of the wait.
                  type: float
                cpu:
                  description: CPU on which the task ran after the wait.
                  type: int
                pid:
                  description: Thread id of the task that waited.
                  type: int
                comm:
                  description: Name of the task that waited.
                  type: str
                from_cpu:
                  description: CPU on which the wait began. It differs from C(cpu) when the kernel moved the task.
                  type: int
                queue_length:
                  description: 'Tasks on the run queue of C(cpu) when the task got the CPU, this one included. Null:
                    the kernel has no BTF.'
                  type: int
                prio:
                  description: 'Kernel priority: below 100 is real-time, 120 is nice 0.'
                  type: int
                policy:
                  description: Scheduling class that the priority belongs to.
                  type: str
                throttled:
                  description: 'The CPU quota that the task''s control group, or one above it, used up within the
                    window. Null: none, or the task has ended.'
                  type: dict
                cgroup:
                  description: 'Control group of the task, as in C(services). Null: the task has ended.'
                  type: str
                cause:
                  description: 'Why the task waited: C(run_queue) (others ran), C(throttled) (CPU quota), C(realtime_throttled)
                    (the kernel''s limit for real-time tasks), C(affinity) (the task may not use CPUs that were idle),
                    C(cpu_not_running) (the virtual machine did not have the CPU), C(idle) (the CPU was idle, the
                    kernel gives no reason).'
                  type: str
                allowed_cpus:
                  description: 'CPUs that the task may use, as C(0-3,8). Null: all, a thread of the kernel, or the
                    task has ended.'
                  type: str
                idle_elsewhere_share:
                  description: 'Share of the window in which the CPUs that the task may not use were idle. Null: none,
                    or not known.'
                  type: float
                at_s:
                  description: When the wait ended, in seconds from the start of the window.
                  type: float
                commands:
                  description: 'Commands that ran on the CPU C(from_cpu) during the wait, longest first: all tasks
                    of one name together, all kworkers together.'
                  type: list
                  elements: dict
                longest_slice:
                  description: 'The longest part of the wait that one task ran without a switch. Null: none is kept.'
                  type: dict
                blockers:
                  description: The same as C(commands), by task. Each CPU keeps its 16 most recent long timeslices
                    one by one (at least a sixteenth of C(threshold_us)); shorter and older ones are rows of a command,
                    with C(pid) null where it had several tasks.
                  type: list
                  elements: dict
                paused_us:
                  description: 'How long the CPU did not run during the wait, although it had a task: the hypervisor
                    or the firmware had it.'
                  type: float
                idle_us:
                  description: How long the CPU was idle during the wait.
                  type: float
                unattributed_us:
                  description: 'Part of the wait that is in none of these: the CPU had more different commands than
                    the probe keeps.'
                  type: float
                longest_runner:
                  description: 'The first of C(commands). Null: the CPU was idle, did not run, or ran what is not
                    known for longer.'
                  type: dict
            cpus:
              description: The C(top) CPUs with the largest sum of waits, largest first. A wait counts on the CPU
                on which the task ran after it.
              type: list
              elements: dict
              sample:
                - cpu: 3
                  count: 79
                  total_us: 2113.4
                  max_us: 1421.608
                  percentiles_us: {p50: 4.0, p90: 8.0, p99: 512.0, p999: 1421.608}
                  histogram: {'0': 9, '1': 20, '2': 37, '4': 11, '256': 1, '1024': 1}
              contains:
                cpu:
                  description: Number of the CPU.
                  type: int
                count:
                  description: Number of waits.
                  type: int
                total_us:
                  description: Sum of the waits.
                  type: float
                max_us:
                  description: The longest wait.
                  type: float
                percentiles_us:
                  description: Percentiles of the waits, as above.
                  type: dict
                histogram:
                  description: Histogram of the waits, both kinds together.
                  type: dict
            tasks:
              description: The C(top) tasks with the largest sum of waits, largest first. Each CPU counts 512 tasks
                at a time and keeps those that wait most.
              type: list
              elements: dict
              sample:
                - pid: 4711
                  comm: postgres
                  count: 31
                  total_us: 1822.9
                  max_us: 1421.608
                  percentiles_us: {p50: 4.0, p90: 8.0, p99: 1421.608, p999: 1421.608}
                  histogram: {'2': 25, '4': 4, '256': 1, '1024': 1}
              contains:
                pid:
                  description: Thread id.
                  type: int
                comm:
                  description: Name that the task had at one of its waits.
                  type: str
                count:
                  description: Number of waits; on a CPU with more tasks than it counts, those since the task entered
                    the table.
                  type: int
                total_us:
                  description: Sum of the waits.
                  type: float
                ran_us:
                  description: How long the task ran after these waits.
                  type: float
                max_us:
                  description: The longest wait.
                  type: float
                percentiles_us:
                  description: Percentiles of the waits, as above.
                  type: dict
                histogram:
                  description: Histogram of the waits. Its last bucket, from 1048576 µs, has no upper bound.
                  type: dict
            commands:
              description: 'The C(top) commands by CPU time within the window, most first. All tasks of one name are
                one command, and all kworkers. Exact: counted at each switch.'
              type: list
              elements: dict
              sample:
                - {comm: kworker, pid: null, policy: normal, ran_us: 9412338.1, share: 0.4706, waits: 81200, wait_us: 811230.5}
              contains:
                comm:
                  description: Name of the tasks.
                  type: str
                pid:
                  description: 'Thread id. Null: several tasks.'
                  type: int
                policy:
                  description: Scheduling class of the last one of them.
                  type: str
                ran_us:
                  description: CPU time, interrupts included.
                  type: float
                share:
                  description: The same as a share of all CPUs' time.
                  type: float
                waits:
                  description: Number of waits.
                  type: int
                wait_us:
                  description: Sum of the waits.
                  type: float
            idle_share:
              description: 'Share of the window in which the CPUs were idle, all together. Null: not traced.'
              type: float
              sample: 0.412
            services:
              description: 'The C(top) control groups by time lost, most first: what became of the time in which their
                tasks wanted to run. Sums over tasks: eight tasks that each wait for a second lost eight seconds.
                Empty: not available on this kernel.'
              type: list
              elements: dict
              sample:
                - cgroup: /system.slice/nginx.service
                  unit: nginx.service
                  running_ns: 8120000000
                  run_queue_ns: 911000000
                  throttled_ns: 0
                  interrupted_ns: 81000000
                  steal_ns: 12000000
                  waits: 51200
                  longest_wait_ns: 31000000
                  worst:
                    - {at_s: 3.15, delay_us: 31000.1, pid: 4711, comm: nginx, cause: run_queue, by: kworker}
              contains:
                cgroup:
                  description: 'Path, as in C(/proc/PID/cgroup): of cgroup v2, else of version 1''s cpu controller.
                    C((ended)): groups that are gone.'
                  type: str
                unit:
                  description: 'Unit of systemd. Null: none.'
                  type: str
                running_ns:
                  description: Time on a CPU, interrupts included.
                  type: int
                run_queue_ns:
                  description: Time in which its tasks were runnable and others ran.
                  type: int
                throttled_ns:
                  description: Time in which its tasks were runnable and its CPU quota, or that of a group above,
                    was used up.
                  type: int
                interrupted_ns:
                  description: 'Estimate: its running time times the share of interrupts in all CPUs'' busy time (C(/proc/stat)).'
                  type: int
                steal_ns:
                  description: 'Time in which its CPU did not run: between late ticks, and waits on an idle CPU of
                    a virtual machine.'
                  type: int
                waits:
                  description: Number of waits.
                  type: int
                longest_wait_ns:
                  description: The longest one.
                  type: int
                worst:
                  description: Its longest ones among C(events).
                  type: list
                  elements: dict
            wait_shares:
              description: 'Shares of the time that all tasks waited in which no CPU was missing. Null: not traced.'
              type: dict
              sample: {throttled: 0.91, cpu_not_running: 0.0}
              contains:
                throttled:
                  description: A CPU quota was used up.
                  type: float
                cpu_not_running:
                  description: The virtual machine did not have the CPU.
                  type: float
            normal:
              description: 'Waits of tasks that are not nice: those of low priority wait by design. Null: not traced.'
              type: dict
              sample:
                count: 21012
                percentiles_us: {p50: 16.0, p90: 512.0, p99: 4096.0, p999: 8192.0}
              contains:
                count:
                  description: Number of waits.
                  type: int
                percentiles_us:
                  description: Percentiles of the waits, as above.
                  type: dict
            long_waits:
              description: Number of long waits by least length, of tasks that are not nice.
              type: list
              elements: dict
              sample:
                - {at_least_us: 8192, count: 31}
                - {at_least_us: 16384, count: 2}
              contains:
                at_least_us:
                  description: Lower bound of the bucket.
                  type: int
                count:
                  description: Waits of at least that.
                  type: int
            waits_unattributed:
              description: Waits that the probe could not assign to a task. In a report of a running measurement,
                this includes waits that came while it was read.
              type: int
              sample: 0
            throttled:
              description: Control groups that used up their CPU quota within the window, longest first. Their tasks
                wait although CPUs may be idle.
              type: list
              elements: dict
              sample:
                - {cgroup: /system.slice/nginx.service, times: 41, total_us: 3250112}
              contains:
                cgroup:
                  description: Path, as in C(/proc/PID/cgroup).
                  type: str
                waiting:
                  description: Tasks of the group among C(events).
                  type: list
                  elements: str
                times:
                  description: Periods in which the quota ran out.
                  type: int
                total_us:
                  description: How long the group was throttled, summed over all CPUs.
                  type: int
            followed:
              description: 'The tasks whose waits these are, with C(pid), C(tid), C(cgroup) or C(comm). Null: all
                tasks.'
              type: dict
              sample: {by: cgroup, tasks: 9}
              contains:
                by:
                  description: The option that selected the tasks.
                  type: str
                tasks:
                  description: Number of threads; 0 with C(comm), because the kernel compares the names.
                  type: int
            stall_counts:
              description: 'Number of stalls by kind, also those that are not in C(stalls). Absent: the probe could
                not watch for stalls on this kernel.'
              type: dict
              sample: {cpu_not_running: 0, irqoff: 0, nosched: 0}
              contains:
                irqoff:
                  description: Interrupts were off for at least C(irqoff_us).
                  type: int
                nosched:
                  description: The kernel did not switch tasks for at least C(nosched_us).
                  type: int
                cpu_not_running:
                  description: The CPU did not run although interrupts were on.
                  type: int
                syscall:
                  description: System calls and page faults of at least C(syscall_us). Absent without that option.
                  type: int
            stall_period_us:
              description: 'Precision of a stall''s length: a fifth of the smallest threshold. The clock that detects
                stalls ticks slightly more often.'
              type: int
              sample: 2000
            stalls:
              description: The C(top) longest stalls of each kind, longest first. Those with C(kind) C(cpu_not_running)
                come last.
              type: list
              elements: dict
              sample:
                - kind: irqoff
                  delay_us: 12188.739
                  least_us: 11188.739
                  cpu: 1
                  pid: 11767
                  comm: python3
                  at_s: 0.026542
                  certain: true
                  reasons: []
                  culprit: finish_task_switch
                  stack: [finish_task_switch.isra.0+0x93, __schedule+0x3e4]
              contains:
                kind:
                  description: C(irqoff), C(nosched), C(cpu_not_running) or C(syscall); see 'Stalls' in C(docs/runlatency.md).
                  type: str
                delay_us:
                  description: Maximum of the true length.
                  type: float
                least_us:
                  description: Minimum of the true length.
                  type: float
                cpu:
                  description: CPU of the stall.
                  type: int
                pid:
                  description: Thread id of the task that had the CPU; with C(irqoff), at the end.
                  type: int
                comm:
                  description: Name of that task.
                  type: str
                at_s:
                  description: When the stall ended, in seconds from the start of the window.
                  type: float
                syscall_nr:
                  description: 'Of a C(syscall): its number on the host''s architecture. Null: it was a page fault.'
                  type: int
                times:
                  description: Stalls of the same kind and culprit within the window, among those that are kept.
                  type: int
                certain:
                  description: 'True: nothing contradicts this kind and this culprit.'
                  type: bool
                reasons:
                  description: What contradicts the stall or its culprit, or why the kind is C(cpu_not_running).
                  type: list
                  elements: str
                culprit:
                  description: 'Innermost function of the stack that is not a lock''s own. Null: no stack.'
                  type: str
                stack:
                  description: 'Call stack, innermost first. C(irqoff): where interrupts came back on; C(nosched)
                    and C(syscall): during the stall.'
                  type: list
                  elements: str
            run_delay:
              description: 'The scheduler''s own sum over the window (C(/proc/schedstat)), of the CPUs that stayed
                online. Null: the kernel does not keep it.'
              type: dict
              sample: {total_us: 181234.0, timeslices: 20000, mean_us: 9.1}
              contains:
                total_us:
                  description: Sum of all waits.
                  type: float
                timeslices:
                  description: Number of timeslices.
                  type: int
                mean_us:
                  description: Mean wait for a timeslice.
                  type: float
            started_per_s:
              description: 'Processes and threads that were started, per second. Null: not known.'
              type: float
              sample: 12.4
            pressure:
              description: 'Growth of C(some) in C(/proc/pressure/cpu) over the window. Null: the kernel does not
                keep it.'
              type: dict
              sample: {some_share: 0.5429, some_us: 5429123}
              contains:
                some_us:
                  description: Time in which at least one task waited for a CPU.
                  type: int
                some_share:
                  description: The same as a share of the window.
                  type: float
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode, and with O(state=started)
  type: list
  elements: dict
  sample:
    - {probe: runlatency, engine: bcc, status: ok, reason: '', remedy: ''}
service:
  description: The process that measures, or that was stopped; V(none) when there is none.
  returned: with O(state=started), O(state=reported) and O(state=stopped)
  type: dict
  sample:
    probe: runlatency
    pid: 4711
    options: {runq_us: 1000, top: 20}
    started_at: '2026-11-23T03:08:00Z'
    ends_at: '2026-11-23T04:08:00Z'
    ttl_s: 3600
    status: ok
    reason: ''
    remedy: ''
    engine: bcc
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main
from ansible_collections.ksysak.fleet.plugins.module_utils._runlatency.probe import RunlatencyProbe


def main():
    facts_main(RunlatencyProbe, detachable=True)


if __name__ == '__main__':
    main()
