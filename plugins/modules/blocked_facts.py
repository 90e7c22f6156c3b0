#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: blocked_facts
short_description: Tasks that the kernel keeps from going on, why, for how long, and who holds them
version_added: 0.1.0
description:
  - Reports waits in the kernel from a threshold on, for locks, memory, journals, devices and servers. No task waits for a CPU then.
  - Each wait has its reason in words, the function of the kernel, and the holder where the kernel reports one.
  - The holder is the owner of the lock, or the task that let go. The chain shows what the holder itself waited for.
  - Sleeps that a program asks for (poll, timers, futexes, pipes, children) are never reported.
  - Samples of all tasks estimate the blocked time of each cgroup by kind, also that of short waits.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
  - ksysak.fleet.probe.ebpf
options:
  threshold_ms:
    description: Shortest wait that is listed, in milliseconds, 1 to 3600000. Below 20 the kernel calls the probe at nearly each wake-up.
    type: int
    default: 50
  top:
    description: How many causes, waits and cgroups to return at most, 1 to 200.
    type: int
    default: 12
"""

EXAMPLES = r"""
- name: Who blocks whom?
  ksysak.fleet.blocked_facts:
    duration: 20
  become: true

- name: Show the cause that took most time
  ansible.builtin.debug:
    var: ansible_facts.ksysak_blocked.data.reasons

- name: Shorter waits too
  ksysak.fleet.blocked_facts:
    duration: 60
    threshold_ms: 20
    top: 50
  become: true
"""

RETURN = r"""
ansible_facts:
  description: Facts of the host.
  returned: except in check mode
  type: dict
  contains:
    ksysak_blocked:
      description: An envelope with C(status), C(reason), C(remedy), C(engine), C(window_s) and C(cost); its data is as follows.
      type: dict
      contains:
        data:
          description: Empty when the status is V(skipped) or V(failed).
          type: dict
          contains:
            threshold_us:
              description: Shortest wait that is listed.
              type: float
            count:
              description: Waits of at least the threshold, without those that were asked for.
              type: int
            expected:
              description: 'Waits that the program or the administrator asked for: file locks, frozen tasks, vfork.'
              type: int
            sampling:
              description: Samples of the state of all tasks.
              type: dict
              contains:
                samples:
                  description: Samples within the window.
                  type: int
                interval_us:
                  description: Time between the last two.
                  type: float
            memory:
              description: 'Waits for memory, also those below the threshold, by counters of the kernel. Null: this
                kernel does not keep it.'
              type: dict
              sample:
                some_us: 4312000
                some_share: 0.2156
                full_us: 1210000
                full_share: 0.0605
                direct_reclaims: 5120
                direct_compactions: 0
                direct_scanned_pages: 812345
                refaulted_pages: 21044
                swapped_in_pages: 0
                groups:
                  - {cgroup: /system.slice/shop.service, unit: shop.service, some_us: 4102000, some_share: 0.2051}
              contains:
                some_us:
                  description: 'Time in which at least one task waited for memory. Null: C(/proc/pressure/memory)
                    is missing.'
                  type: int
                some_share:
                  description: The same as a share of the window.
                  type: float
                full_us:
                  description: Time in which all tasks that had work waited for memory.
                  type: int
                full_share:
                  description: The same as a share of the window.
                  type: float
                direct_reclaims:
                  description: How often a task freed memory of the host itself before it got some. Not at limits
                    of control groups.
                  type: int
                direct_compactions:
                  description: How often a task moved pages itself to get a large one.
                  type: int
                direct_scanned_pages:
                  description: Pages scanned in direct reclaim.
                  type: int
                refaulted_pages:
                  description: Pages read again that had just been reclaimed.
                  type: int
                swapped_in_pages:
                  description: Pages read from swap.
                  type: int
                groups:
                  description: 'Control groups of cgroup v2 whose tasks waited for at least 1 % of the window, most
                    first: those at the limit, or those that the host''s lack hits.'
                  type: list
                  elements: dict
            devices:
              description: Waits by the block device behind them, most time first. Of user processes alone.
              type: list
              elements: dict
              sample:
                - device: vda
                  count: 166
                  total_us: 18896302.5
                  longest_us: 328073.1
                  behind_us: 4648924.7
                  sampled_us: 17104000.0
                  reason: a block device
                  tasks: 5
                  sampled_tasks: 6
                  kinds: {block_io: 10202373.5, io_throttling: 4046194.9}
                  victims:
                    - {pid: 21265, comm: writer, total_us: 8204611.0, sampled_us: 7911200.0}
              contains:
                device:
                  description: Its name.
                  type: str
                count:
                  description: Waits for the device itself of at least the threshold.
                  type: int
                total_us:
                  description: Time of these waits within the window, with C(behind_us).
                  type: float
                longest_us:
                  description: Longest wait for the device itself.
                  type: float
                behind_us:
                  description: Time of waits for a task that waited for the device.
                  type: float
                sampled_us:
                  description: Time of all waits for the device itself, also of shorter ones, as samples of all tasks
                    estimate it.
                  type: float
                reason:
                  description: 'For what most of the time was waited, in words. Empty: only behind others.'
                  type: str
                tasks:
                  description: Processes that waited for at least the threshold.
                  type: int
                sampled_tasks:
                  description: Processes that samples found waiting.
                  type: int
                kinds:
                  description: 'Time by kind of wait, most first, in microseconds: of those of at least the threshold,
                    or of all by samples, whichever is more.'
                  type: dict
                victims:
                  description: Processes that waited most.
                  type: list
                  elements: dict
            reasons:
              description: Waits by what they were for, most time first. Of user processes alone.
              type: list
              elements: dict
              sample:
                - kind: mmap_lock
                  reason: mmap_lock
                  device: null
                  behind: null
                  function: vm_mmap_pgoff
                  call: ''
                  count: 5
                  total_us: 1395501.8
                  longest_us: 323051.8
                  sampled_us: 1372136.0
                  tasks: 1
                  victims:
                    - {pid: 24036, tid: 24036, comm: victim, cgroup: /system.slice/shop.service, unit: shop.service,
                      count: 5, total_us: 1395501.8, longest_us: 323051.8, sampled_us: 1372136.0}
                  holders:
                    - {pid: 24413, tid: 24413, comm: agent, cgroup: /system.slice/agent.service, unit: agent.service,
                      by: owner, doing: m_stop, count: 5, total_us: 1395501.8}
              contains:
                kind:
                  description: 'What keeps the task: see the table of reasons.'
                  type: str
                reason:
                  description: For what the tasks sleep, in words.
                  type: str
                device:
                  description: 'Block device of their last request. Null: none, or not known.'
                  type: str
                behind:
                  description: 'Block device that the holders waited for meanwhile, in most of this time. Null: none.'
                  type: str
                function:
                  description: 'Function of the kernel in which the longest wait slept. Empty: not known.'
                  type: str
                call:
                  description: 'System call of most of these waits, or C(page fault). Empty: a kernel thread, or not
                    known.'
                  type: str
                count:
                  description: Waits of at least the threshold.
                  type: int
                total_us:
                  description: Their time within the window.
                  type: float
                longest_us:
                  description: Longest wait, also of its part before the window.
                  type: float
                sampled_us:
                  description: Time of all waits of this cause, also of shorter ones, as samples of all tasks estimate
                    it.
                  type: float
                tasks:
                  description: Processes that waited.
                  type: int
                victims:
                  description: Processes that waited most.
                  type: list
                  elements: dict
                holders:
                  description: 'Who kept them, most time first. Empty: not known, or nobody does (a device, a limit).'
                  type: list
                  elements: dict
            waits:
              description: Longest waits.
              type: list
              elements: dict
              sample:
                - pid: 24036
                  tid: 24036
                  comm: victim
                  cgroup: /system.slice/shop.service
                  unit: shop.service
                  kind: mmap_lock
                  reason: mmap_lock
                  function: vm_mmap_pgoff
                  call: ''
                  state: D
                  delay_us: 323051.8
                  at_s: 0.2096
                  device: null
                  ongoing: false
                  expected: false
                  kernel_thread: false
                  holder: {pid: 24413, tid: 24413, comm: agent, cgroup: /system.slice/agent.service, unit: agent.service,
                    by: owner, doing: m_stop}
                  chain: []
                  stack: [vm_mmap_pgoff+0x11c, do_syscall_64+0x71, entry_SYSCALL_64_after_hwframe+0x76]
              contains:
                pid:
                  description: Process id.
                  type: int
                tid:
                  description: Thread id.
                  type: int
                comm:
                  description: Name.
                  type: str
                cgroup:
                  description: 'Its cgroup. Null: a kernel thread, or the task ended.'
                  type: str
                unit:
                  description: 'Its systemd unit. Null: none.'
                  type: str
                kind:
                  description: 'What keeps the task: see the table of reasons.'
                  type: str
                reason:
                  description: For what it slept, in words.
                  type: str
                function:
                  description: 'Function of the kernel in which it slept. Empty: not known.'
                  type: str
                call:
                  description: 'System call, or C(page fault). Empty: a kernel thread, or not known.'
                  type: str
                state:
                  description: 'C(D): not interruptible; C(S): interruptible.'
                  type: str
                delay_us:
                  description: Length, from the sleep to the wake-up.
                  type: float
                at_s:
                  description: Seconds from the begin of the window to its end.
                  type: float
                device:
                  description: 'Block device of its last request. Null: none, or not known.'
                  type: str
                ongoing:
                  description: Whether it had not ended when the window did.
                  type: bool
                expected:
                  description: Whether the program or the administrator asked for it; no finding is made of it.
                  type: bool
                kernel_thread:
                  description: Whether the task is a thread of the kernel.
                  type: bool
                holder:
                  description: 'Who kept it. Null: not known, or nobody does.'
                  type: dict
                chain:
                  description: For what the holder itself waited meanwhile, then that one's holder, and so on.
                  type: list
                  elements: dict
                stack:
                  description: Functions in which it slept, innermost first. Functions of the scheduler and of locks
                    are left out by the kernel.
                  type: list
                  elements: str
            services:
              description: Cgroups whose tasks were blocked, most time first.
              type: list
              elements: dict
              sample:
                - cgroup: /system.slice/shop.service
                  cpu_cgroup: /system.slice/shop.service
                  unit: shop.service
                  comm: victim
                  waits: 5
                  longest_us: 323051.8
                  blocked_us: 1372136.0
                  kinds: {mmap_lock: 1372136.0}
              contains:
                cgroup:
                  description: 'Its cgroup. Null: a kernel thread, or the task ended.'
                  type: str
                cpu_cgroup:
                  description: 'Its cgroup in the hierarchy of the CPU controller: of cgroup v2, else of v1''s C(cpu).'
                  type: str
                unit:
                  description: 'Its systemd unit. Null: none.'
                  type: str
                comm:
                  description: A command in it.
                  type: str
                waits:
                  description: Waits of at least the threshold.
                  type: int
                longest_us:
                  description: Longest wait.
                  type: float
                blocked_us:
                  description: Blocked time of all its tasks together, as samples estimate it.
                  type: float
                kinds:
                  description: The same by kind, most first.
                  type: dict
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: blocked, engine: bcc, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._blocked.probe import BlockedProbe
from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main


def main():
    facts_main(BlockedProbe)


if __name__ == '__main__':
    main()
