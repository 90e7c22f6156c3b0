#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: memleak_facts
short_description: Kernel allocations that nobody freed within a window, by call stack
version_added: 0.1.0
description:
  - Watches slab objects and pages that the kernel allocates within the window, and lists those still there at its end by call stack.
  - Allocations from before the window are never counted. Movable pages (user memory and page cache) and the pages of the slab
    caches themselves are left out.
  - What is outstanding is not yet a leak. C(persistence), C(oldest_age_s), C(growth_bytes_per_s) and C(corroborated) tell steady
    growth from a burst, and from objects whose free the kernel does not report.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
  - ksysak.fleet.probe.ebpf
options:
  sample:
    description:
      - Follow one address in this many. All figures are multiplied by it, so that they stay comparable.
      - V(1) follows every allocation, which is exact and costs most. The cost of a call stack, some microseconds, is paid for
        followed allocations only.
    type: int
    choices: [1, 2, 4, 8, 16, 32, 64, 128, 256]
    default: 16
  min_bytes:
    description: Leave out call stacks with fewer bytes outstanding.
    type: int
    default: 4096
  top:
    description: How many call stacks, and how many slab caches, to return at most, 1 to 1000.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: What did the kernel allocate and keep within 80 seconds?
  ksysak.fleet.memleak_facts:
    duration: 80
  become: true

- name: Show the worst
  ansible.builtin.debug:
    var: ansible_facts.ksysak_memleak.data.outstanding[0]
"""

RETURN = r"""
ansible_facts:
  description: Facts of the host.
  returned: except in check mode
  type: dict
  contains:
    ksysak_memleak:
      description: An envelope with C(status), C(reason), C(remedy), C(engine), C(window_s) and C(cost); its data is as follows.
      type: dict
      contains:
        data:
          description: Empty when the status is V(skipped) or V(failed).
          type: dict
          contains:
            outstanding:
              description: Call stacks with allocations that were not freed, most bytes first.
              type: list
              elements: dict
              sample:
                - type: slab
                  culprit: load_msg
                  module: null
                  allocations: 1600
                  frees: 0
                  objects_outstanding: 1600
                  bytes_outstanding: 819200
                  growth_bytes_per_s: 40960.0
                  oldest_age_s: 19.8
                  persistence: 1.0
                  corroborated: true
                  stack: [__kmalloc+0x4d, load_msg+0x2b, do_msgsnd+0x6e]
                  comms: [worker]
            totals:
              description: Allocations, frees, objects and bytes outstanding of all stacks, by type.
              type: dict
            triage:
              description: Change of the kernel's own memory counters over the window, and the slab caches that grew most.
              type: dict
            sample:
              description: One address in this many was followed; V(0) when nothing was traced.
              type: int
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: memleak, engine: bcc, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils.memleak.probe import MemleakProbe
from ansible_collections.ksysak.fleet.plugins.module_utils.runner import facts_main


def main():
    facts_main(MemleakProbe)


if __name__ == '__main__':
    main()
