#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: memleak_facts
short_description: Kernel memory that grows and is not freed, by call stack
version_added: 0.1.0
description:
  - Watches slab objects, pages, vmalloc areas and per-CPU memory that the kernel allocates within the window, and says which places leak,
    which may, and why the rest does not.
  - Allocations from before the window are never counted. Movable pages (user memory and page cache), and pages that belong to slab caches
    or vmalloc areas, are left out.
  - A place leaks when it has survivors of every age, nothing old of it is freed, and the counters of the kernel itself agree. The
    document C(docs/memleak.md) of the collection describes the method.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
  - ksysak.fleet.probe.ebpf
options:
  type:
    description:
      - What to trace. V(auto) traces all types that this kernel can; the call stacks of slab allocations, which cost most, are
        taken only where memory grows.
      - A type that is named and cannot be traced is a reason not to measure; with V(auto) the others are measured.
    type: list
    elements: str
    choices: [auto, slab, page, vmalloc, percpu]
    default: [auto]
  cache:
    description:
      - Follow the objects of this one slab cache, all of them and with call stacks.
      - On kernels before 6.1 caches of the same object size cannot be told apart while tracing.
    type: str
    default: ''
  stacks:
    description: Take call stacks of what grows. Without them the call site is all that is known, and nothing is more than suspect.
    type: bool
    default: true
  check_only:
    description: Trace nothing; read the counters of the kernel again and again, and say which kind of memory grows.
    type: bool
    default: false
  sample:
    description:
      - Follow one address in this many, more of large objects. All figures are multiplied by it, so that they stay comparable.
      - V(1) follows every allocation with its call stack, which is exact and costs most.
    type: int
    choices: [1, 2, 4, 8, 16, 32, 64, 128, 256]
    default: 16
  min_bytes:
    description: Leave out places that do not leak and hold fewer bytes.
    type: int
    default: 4096
  top:
    description: How many places of each kind, and how many slab caches, to return at most, 1 to 1000.
    type: int
    default: 20
  max_overhead_percent:
    description:
      - Share of the time of all CPUs that tracing may take, 0.1 to 100. When it takes more, fewer addresses are followed, and the result
        says so.
    type: float
    default: 3.0
"""

EXAMPLES = r"""
- name: Does the kernel leak?
  ksysak.fleet.memleak_facts:
    duration: 80
  become: true

- name: Stop the play if it does
  ansible.builtin.assert:
    that: ansible_facts.ksysak_memleak.data.verdict != 'leak'
    fail_msg: "{{ ansible_facts.ksysak_memleak.data.leaks | first }}"

- name: Which kind of memory grows? Nothing is traced
  ksysak.fleet.memleak_facts:
    duration: 300
    check_only: true
  become: true

- name: Follow one slab cache exactly
  ksysak.fleet.memleak_facts:
    duration: 60
    cache: kmalloc-1k
  become: true
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
            verdict:
              description: V(leak), V(suspect), V(clean), or V(unknown) when the window was too short.
              type: str
              sample: leak
            leaks:
              description: Places that leak or may, leaks first.
              type: list
              elements: dict
              sample:
                - type: slab
                  verdict: leak
                  confidence: 0.97
                  reasons: ['it grew all through the window, and what is older than 2.0 s stays']
                  culprit: acme_rx_refill
                  offset: 97
                  module: acme_nic
                  cache: kmalloc-1k
                  allocations: 9731
                  frees: 11
                  objects_outstanding: 9720
                  bytes_outstanding: 9953280
                  growth_bytes_per_s: 497664.0
                  growth_ci95: [489000.0, 505000.0]
                  oldest_age_s: 19.8
                  ages: [1215, 1215, 1215, 1215, 1215, 1215, 1215, 1215]
                  trend: [[0.0, 0], [10.0, 4976640], [20.0, 9953280]]
                  corroborated: true
                  sampled: 1
                  stack: ['acme_rx_refill+0x61 [acme_nic]', '__napi_poll+0x2b', net_rx_action+0x2a1]
                  comms: [ksoftirqd/1]
            outstanding:
              description: What else was not freed, most bytes first; C(reasons) says why it is no leak.
              type: list
              elements: dict
            totals:
              description: Allocations, frees, objects and bytes outstanding of all places, by type.
              type: dict
            triage:
              description: Change of the kernel's memory counters, free memory by size of block, slab caches that grew most, suspects.
              type: dict
            trends:
              description: Counters read again and again, with slope and 95 % interval.
              type: list
              elements: dict
            sample:
              description: One address in this many was followed; V(0) when nothing was traced.
              type: int
            budget:
              description: What tracing cost, and whether sampling was lowered for it.
              type: dict
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: memleak, engine: bcc, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main
from ansible_collections.ksysak.fleet.plugins.module_utils._memleak.probe import MemleakProbe


def main():
    facts_main(MemleakProbe)


if __name__ == '__main__':
    main()
