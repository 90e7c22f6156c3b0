#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: interference_facts
short_description: What interrupted the CPUs, how often and for how long
version_added: 0.1.0
description:
  - Counts and times hardware interrupts, softirqs, local timer interrupts and inter-processor interrupts, per vector and CPU.
  - Every traced count is compared with the kernel's own counter of the same window; a disagreement is in the result.
  - Vectors that cannot be traced are counted from /proc/interrupts, without times.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
  - ksysak.fleet.probe.ebpf
"""

EXAMPLES = r"""
- name: What takes CPU time away from tasks?
  ksysak.fleet.interference_facts:
    duration: 10
  become: true

- name: Show the vector that took most
  ansible.builtin.debug:
    var: ansible_facts.ksysak_interference.data.vectors[0]
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
              description: Interrupts by vector, most time first. Times are in microseconds, without interrupts nested in a softirq.
              type: list
              elements: dict
              sample:
                - kind: hardirq
                  name: virtio1-req.0
                  irq: 36
                  count: 21
                  rate_per_s: 4.2
                  total_us: 54.035
                  longest_us: 5.883
                  by_cpu:
                    - {cpu: 1, count: 21, total_us: 54.035, longest_us: 5.883}
            cpus:
              description: Share of each CPU's time that all of it took.
              type: list
              elements: dict
              sample:
                - {cpu: 1, share: 0.000926}
            cross_check:
              description: Vectors compared with the kernel's own counters, and those that disagree.
              type: dict
              sample: {compared: 11, disagreements: []}
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: interference, engine: bcc, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils.interference.probe import InterferenceProbe
from ansible_collections.ksysak.fleet.plugins.module_utils.runner import facts_main


def main():
    facts_main(InterferenceProbe)


if __name__ == '__main__':
    main()
