#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: interference_facts
short_description: CPU time of interrupts, timers, kernel threads and the hypervisor, by vector and CPU
version_added: 0.1.0
description:
  - Counts and times hardware interrupts, softirqs, local timer interrupts, inter-processor and non-maskable interrupts, per vector and CPU.
  - Reports the functions that timers call and the processes that start them, the CPU time of kernel threads, and steal time.
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
      - Measure only what interrupts this process, all its threads together; V(0) measures the whole host.
      - Needs bcc. Timers and kernel threads are left out then.
    type: int
    default: 0
  timers:
    description: Whether to measure timers too, which adds about 0.5 µs to each.
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
summary:
  description: One line about what was measured, for people; the numbers are the lengths of the lists in the facts.
  returned: when something was measured
  type: list
  elements: str
  sample: ["interference: ok (bcc, window 20.0 s): leaks 2"]
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
              description: Interrupts by vector, most time first (most interrupts first where no times were measured).
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
                  long_runs: 0
                  histogram_ns: {'1024': 8, '2048': 11, '4096': 2}
                  concentration: {cpu: 1, share: 1.0, coefficient: 1.0}
                  by_cpu:
                    - {cpu: 1, count: 21, total_us: 54.035, mean_us: 2.573, longest_us: 5.883}
              contains:
                kind:
                  description: C(hardirq), C(softirq), C(timer), C(ipi) (inter-processor), C(nmi) (non-maskable),
                    C(mce) (machine checks) or C(other).
                  type: str
                name:
                  description: Device or type, as in C(/proc/interrupts) and C(/proc/softirqs).
                  type: str
                irq:
                  description: 'Interrupt number. Null: not a device''s interrupt.'
                  type: int
                device:
                  description: 'PCI address, or the interrupt controller. Empty: not known.'
                  type: str
                driver:
                  description: 'Driver of the device. Empty: not known.'
                  type: str
                affinity:
                  description: CPUs that may handle the interrupt, as C(0-3,8).
                  type: str
                effective_affinity:
                  description: The CPUs that the interrupt controller uses.
                  type: str
                count:
                  description: 'Interrupts within the window. Of NMIs: handlers that had work to do.'
                  type: int
                rate_per_s:
                  description: Interrupts per second.
                  type: float
                total_us:
                  description: 'Time in the handler. The time of a hardware interrupt during a softirq does not count
                    for the softirq. Null: the kernel only counts this vector.'
                  type: float
                mean_us:
                  description: 'Mean time in the handler. Null: not measured.'
                  type: float
                longest_us:
                  description: 'Longest time in the handler. Null: not measured.'
                  type: float
                long_runs:
                  description: 'Runs of at least 2.1 ms. Null: not measured.'
                  type: int
                histogram_ns:
                  description: 'Times in the handler: lower bound of the bucket in nanoseconds (0, then powers of
                    two from 512; the last, 8388608, has no upper bound) and count. Null: not measured.'
                  type: dict
                concentration:
                  description: 'How unevenly CPUs handle the vector. C(coefficient) is 0 when all CPUs carry the same
                    and 1 when one carries all: (n · Σs² − 1) / (n − 1) for n CPUs with the shares s. Null: one CPU.'
                  type: dict
                by_cpu:
                  description: The same figures by CPU, most time first.
                  type: list
                  elements: dict
            cpus:
              description: 'Share of each CPU''s time that all interrupts took, largest first. Empty: not measured.'
              type: list
              elements: dict
              sample:
                - {cpu: 1, share: 0.000926}
              contains:
                cpu:
                  description: Number of the CPU.
                  type: int
                share:
                  description: Share of its time, from 0 to 1.
                  type: float
            timers:
              description: 'Functions that timers called, most time first. Empty: not measured.'
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
                  long_runs: 0
                  cpu_share: 0.003474
                  histogram_ns: {'2048': 2900, '4096': 3773}
                  started_by:
                    - {pid: 28277, comm: qemu-system-x86, started: 3752}
              contains:
                kind:
                  description: 'C(hrtimer): high-resolution timer; C(timer): timer of the tick.'
                  type: str
                function:
                  description: Function of the kernel. C(hrtimer_wakeup) is a sleep of a task; C(tick_nohz_handler)
                    and C(tick_sched_timer) are the tick.
                  type: str
                count:
                  description: Calls within the window.
                  type: int
                rate_per_s:
                  description: Calls per second.
                  type: float
                total_us:
                  description: 'Time in the function. Null: not measured.'
                  type: float
                mean_us:
                  description: 'Mean time. Null: not measured.'
                  type: float
                longest_us:
                  description: 'Longest time. Null: not measured.'
                  type: float
                long_runs:
                  description: As above.
                  type: int
                cpu_share:
                  description: 'Share of all CPUs'' time that the interrupts of these timers take: that of the local
                    timer, divided by the number of calls. Null: not known.'
                  type: float
                histogram_ns:
                  description: Times in the function, as above.
                  type: dict
                started_by:
                  description: Processes that started timers of this function, most timers first. Of C(hrtimer) alone.
                  type: list
                  elements: dict
            sources:
              description: 'Processes that cause interrupts and packets, by what they do in their own context. Empty:
                not traced.'
              type: list
              elements: dict
              sample:
                - kind: packets_sent
                  count: 2030112
                  rate_per_s: 203011.2
                  processes:
                    - {pid: 4711, comm: iperf3, rate_per_s: 202880.0}
              contains:
                kind:
                  description: 'C(packets_sent) (to a network device), C(packets_received) (datagrams and streams
                    that a process read), C(tlb_shootdowns) (another CPU had to flush: C(munmap), C(mprotect), C(madvise)
                    of a program with threads), or C(io_requests) (to a block device; a journal sends them for others).'
                  type: str
                count:
                  description: Events within the window.
                  type: int
                rate_per_s:
                  description: Events per second.
                  type: float
                processes:
                  description: Processes that caused most. Of packets and requests one in 16 is read, so their rates
                    are estimates.
                  type: list
                  elements: dict
            kernel_threads:
              description: Kernel threads by CPU time within the window, most first. A thread that ended within the
                window is missing.
              type: list
              elements: dict
              sample:
                - {pid: 44, comm: 'kworker/1:1H-kblockd', cpu_us: 2388.406, share: 0.000478}
              contains:
                pid:
                  description: Process id.
                  type: int
                comm:
                  description: Name. The name of a kworker contains the work queue that it served last.
                  type: str
                cpu_us:
                  description: CPU time.
                  type: float
                share:
                  description: CPU time as a share of one CPU.
                  type: float
            kernel_thread_families:
              description: Kernel threads whose names begin alike, together, by CPU time within the window, most first.
              type: list
              elements: dict
              sample:
                - family: kworker
                  threads: 4
                  cpu_us: 4712338.1
                  share: 0.471
                  names: ['kworker/u4:2-events_unbound']
              contains:
                family:
                  description: Begin of their names.
                  type: str
                threads:
                  description: Number of threads that ran.
                  type: int
                cpu_us:
                  description: CPU time.
                  type: float
                share:
                  description: CPU time as a share of one CPU.
                  type: float
                names:
                  description: Names of those that ran most.
                  type: list
                  elements: str
            steal:
              description: 'Share of each CPU''s time that the hypervisor gave to others, in steps of 10 ms, largest
                first. Empty: not known.'
              type: list
              elements: dict
              sample:
                - {cpu: 0, share: 0.03}
              contains:
                cpu:
                  description: Number of the CPU.
                  type: int
                share:
                  description: Share of its time, from 0 to 1.
                  type: float
            process:
              description: 'With C(pid): that process, all its threads together. Null: the whole host was measured.'
              type: dict
              sample: {pid: 4242, comm: trader, interrupted_us: 1902.4, cpu_us: 9801233.2, wait_us: 4120.7, timeslices: 188}
              contains:
                pid:
                  description: Process id.
                  type: int
                comm:
                  description: Name of the process.
                  type: str
                interrupted_us:
                  description: Time of all vectors that interrupted it.
                  type: float
                cpu_us:
                  description: 'Time on a CPU, interrupts included. Null: the process ended within the window.'
                  type: float
                wait_us:
                  description: 'Time in which it was runnable and did not run. Null: as above.'
                  type: float
                timeslices:
                  description: 'How often it got a CPU. Null: as above.'
                  type: int
            cross_check:
              description: 'Traced counts compared with the kernel''s own counters of the same window. Null: nothing
                was traced.'
              type: dict
              sample:
                compared: 35
                largest_share: 0.00089
                disagreements: []
              contains:
                compared:
                  description: Number of vectors that were compared.
                  type: int
                largest_share:
                  description: Largest deviation of a count, as a share, among counts of at least 100.
                  type: float
                disagreements:
                  description: 'Vectors that deviate by more than 2 %, and by more than ten and one a second: some
                    pass the tracepoints of some kernels. Above 5 % the status is C(degraded).'
                  type: list
                  elements: dict
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
