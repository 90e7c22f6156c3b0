#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: interference_facts
short_description: What interrupted the CPUs, or one process, how often and for how long
version_added: 0.1.0
description:
  - Counts and times hardware interrupts, softirqs, local timer interrupts, inter-processor and non-maskable interrupts, per vector and CPU.
  - Tells the functions that timers call and who starts them, the CPU time of kernel threads, and what the hypervisor kept for others.
  - Every traced count is compared with the kernel's own counter of the same window; a disagreement is in the result.
  - Vectors that cannot be traced are counted from /proc/interrupts, without times.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
  - ksysak.fleet.probe.ebpf
options:
  pid:
    description:
      - Look only at what interrupts this process, all its threads together; V(0) looks at the whole host.
      - Needs bcc. Timers and kernel threads are left out then.
    type: int
    default: 0
  timers:
    description: Whether to follow timers too, which costs half a microsecond or so for each.
    type: bool
    default: true
  top:
    description: How many timer functions and kernel threads to return at most, 1 to 1000.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: What takes CPU time away from tasks?
  ksysak.fleet.interference_facts:
    duration: 10
  become: true

- name: Show the vector that took most
  ansible.builtin.debug:
    var: ansible_facts.ksysak_interference.data.vectors[0]

- name: What disturbs this process?
  ksysak.fleet.interference_facts:
    duration: 60
    pid: 4242
  become: true
"""

RETURN = r"""
ansible_facts:
  description: Facts of the host.
  returned: except in check mode
  type: dict
  contains:
    ksysak_interference:
      description: An envelope with C(status), C(reason), C(remedy), C(engine), C(window_s) and C(cost); its data is as follows.
      type: dict
      contains:
        data:
          description: Empty when the status is V(skipped) or V(failed).
          type: dict
          contains:
            vectors:
              description:
                - Interrupts by vector, most time first. Times are in microseconds, without interrupts nested in a softirq.
                - C(histogram_ns) has the lower bound of each bucket in nanoseconds. Times are V(none) where the kernel only counts.
                - C(concentration) names the CPU that carries most; C(coefficient) is V(0) when all carry the same, V(1) when one does all.
              type: list
              elements: dict
              sample:
                - kind: hardirq
                  name: virtio1-req.0
                  irq: 36
                  device: '0000:00:02.0'
                  driver: virtio-pci
                  affinity: 0-1
                  effective_affinity: '1'
                  count: 21
                  rate_per_s: 4.2
                  total_us: 54.035
                  mean_us: 2.573
                  longest_us: 5.883
                  histogram_ns: {'1024': 8, '2048': 11, '4096': 2}
                  concentration: {cpu: 1, share: 1.0, coefficient: 1.0}
                  by_cpu:
                    - {cpu: 1, count: 21, total_us: 54.035, mean_us: 2.573, longest_us: 5.883}
            cpus:
              description: Share of each CPU's time that all of it took.
              type: list
              elements: dict
              sample:
                - {cpu: 1, share: 0.000926}
            timers:
              description: Functions that timers called, most time first; of high-resolution timers also the processes that started them.
              type: list
              elements: dict
              sample:
                - kind: hrtimer
                  function: hrtimer_wakeup
                  count: 6673
                  rate_per_s: 1334.533
                  total_us: 34738.548
                  mean_us: 5.206
                  longest_us: 691.946
                  histogram_ns: {'2048': 2900, '4096': 3773}
                  started_by:
                    - {pid: 28277, comm: qemu-system-x86, started: 3752}
            kernel_threads:
              description: Kernel threads by CPU time, most first. The name of a kworker tells what it worked for last.
              type: list
              elements: dict
              sample:
                - {pid: 44, comm: 'kworker/1:1H-kblockd', cpu_us: 2388.406, share: 0.000478}
            steal:
              description: Share of each CPU's time that the hypervisor gave to others.
              type: list
              elements: dict
              sample:
                - {cpu: 0, share: 0.03}
            process:
              description: With O(pid), the process and its own times; V(none) else.
              type: dict
              sample: {pid: 4242, comm: trader, interrupted_us: 1902.4, cpu_us: 9801233.2, wait_us: 4120.7, turns: 188}
            cross_check:
              description:
                - Vectors compared with the kernel's own counters, and those that disagree by more than 2 %.
                - C(largest_share) is by how much a count was off at most, of those of 100 and more.
              type: dict
              sample: {compared: 35, largest_share: 0.00089, disagreements: []}
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: interference, engine: bcc, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main
from ansible_collections.ksysak.fleet.plugins.module_utils._interference.probe import InterferenceProbe


def main():
    facts_main(InterferenceProbe)


if __name__ == '__main__':
    main()
