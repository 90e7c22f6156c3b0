#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: runlatency_facts
short_description: How long tasks that could run had to wait for a CPU
version_added: 0.1.0
description:
  - Measures run-queue latency, from wake-up (or from losing the CPU while runnable) to running, for every task of the host.
  - Returns exact log2 histograms, and the longest waits with the task, its CPU, and who ran there longest during the wait.
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
      - How many of the longest waits, of the longest stalls, of the longest system calls, and of the CPUs and tasks that waited most, to
        return at most, 1 to 1000.
      - The longest 16 waits of each CPU are kept, and up to 1000 stalls of each kind.
    type: int
    default: 20
  pid:
    description:
      - Follow the waits of this process alone. Only one of O(pid), O(tid), O(cgroup) and O(comm) may be given, and each needs bcc.
      - New threads are looked for twice a second. Stalls are those of the whole host.
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
- name: Who waits for a CPU, and for how long?
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

- name: What was there so far?
  ksysak.fleet.runlatency_facts:
    state: reported
  become: true

- name: That was it
  ksysak.fleet.runlatency_facts:
    state: stopped
  become: true
"""

RETURN = r"""
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
              description: Waits by what they began with; lower bound of the bucket in microseconds to the number of waits.
              type: dict
              sample:
                wakeup: {'0': 9, '1': 20, '2': 38, '4': 11}
                preempted: {'4': 2}
            percentiles_us:
              description: Of all waits, as the upper bound of the bucket.
              type: dict
              sample: {p50: 32.0, p90: 64.0, p99: 512.0, p999: 1421.608}
            cpus:
              description: The CPUs on which tasks waited most, longest sum first, each with its histogram.
              type: list
              elements: dict
              sample:
                - cpu: 3
                  count: 79
                  total_us: 2113.4
                  max_us: 1421.608
                  percentiles_us: {p50: 4.0, p90: 8.0, p99: 512.0, p999: 1421.608}
                  histogram: {'0': 9, '1': 20, '2': 37, '4': 11, '256': 1, '1024': 1}
            tasks:
              description: The tasks that waited most, longest sum first, each with its histogram.
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
            waits_unattributed:
              description: Waits that are not attributed to a task, because more tasks waited than are counted at a time.
              type: int
              sample: 0
            events:
              description: The longest waits, longest first.
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
                  at_s: 2.150436
                  longest_runner: {pid: 77, comm: kdamond.0, prio: 120, policy: normal, ran_us: 3891.207}
                  blockers:
                    - {pid: 77, comm: kdamond.0, prio: 120, policy: normal, ran_us: 3891.207}
                    - {pid: 14, comm: ksoftirqd/0, prio: 120, policy: normal, ran_us: 21.04}
                  idle_us: 0.0
                  unattributed_us: 5.722
            throttled:
              description: Control groups whose CPU quota ran out within the window, longest first.
              type: list
              elements: dict
              sample:
                - {cgroup: /system.slice/nginx.service, times: 41, total_us: 3250112}
            followed:
              description: Whose waits these are; V(none) for all tasks.
              type: dict
              sample: {by: cgroup, tasks: 9}
            stalls:
              description:
                - Interrupts that were off, missed task switches, CPUs that did not run and long system calls, longest first.
                - The true length lies between C(least_us) and C(delay_us).
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
            over_threshold:
              description: Waits of at least C(threshold_us), also those beyond the returned ones.
              type: int
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
