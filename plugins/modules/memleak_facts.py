#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: memleak_facts
short_description: Kernel memory that grows and is not freed, with allocation site, verdict and confidence
version_added: 0.1.0
description:
  - Follows slab objects, pages, vmalloc areas and per-CPU memory that the kernel allocates within the window. Reports which allocation
    sites leak, which may leak, and why the others do not.
  - Allocations from before the window are never counted. Movable pages (user memory and page cache), and pages that belong to slab caches
    or vmalloc areas, are left out.
  - An allocation site leaks when it has survivors of every age, none of its old objects is freed, and the kernel's own counters agree. The
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
      - On kernels before 6.1 caches of the same object size cannot be distinguished while tracing.
    type: str
    default: ''
  stacks:
    description: Take call stacks of what grows. Without them the call site is all that is known, and nothing is more than suspect.
    type: bool
    default: true
  check_only:
    description: Trace nothing; read the counters of the kernel again and again, and report which kind of memory grows.
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
    description: Leave out allocation sites that do not leak and hold fewer bytes.
    type: int
    default: 4096
  top:
    description: Maximum number of allocation sites of each kind, and of slab caches, to return, 1 to 1000.
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
    fail_msg: "{{ ansible_facts.ksysak_memleak.data.leaks[:1] }}"

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
summary:
  description: One line about what was measured, for people; the numbers are the lengths of the lists in the facts.
  returned: when something was measured
  type: list
  elements: str
  sample: ["memleak: ok (bcc, window 20.0 s): leaks 2"]
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
              description: 'C(leak): at least one allocation site leaks. C(suspect): one may leak, or a kernel counter
                grew. C(clean): neither. C(unknown): the window was too short, or not all survivors were followed.'
              type: str
              sample: leak
            leaks:
              description: 'Allocation sites that leak or may leak: leaks first, then the largest of each process,
                then by growth.'
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
                  trend:
                    - [0.0, 0]
                    - [10.0, 4976640]
                    - [20.0, 9953280]
                  corroborated: true
                  sampled: 1
                  stack: ['acme_rx_refill+0x61 [acme_nic]', __napi_poll+0x2b, net_rx_action+0x2a1]
                  reclaimable: false
                  context: interrupt
                  system_call: null
                  allocators: []
                  accounted: 0.0
                  comms: [ksoftirqd/1]
              contains:
                type:
                  description: 'Kind of memory: C(slab), C(page), C(vmalloc) or C(percpu).'
                  type: str
                verdict:
                  description: C(leak) from a confidence of 0.7, C(suspect) from 0.4, C(clean) below.
                  type: str
                confidence:
                  description: How sure the leak is, from 0 to 1.
                  type: float
                reasons:
                  description: Why, most important reason first.
                  type: list
                  elements: str
                culprit:
                  description: 'First function of the stack that does not allocate on behalf of others. Null: not
                    known.'
                  type: str
                offset:
                  description: 'Bytes into the culprit. Null: not known.'
                  type: int
                module:
                  description: 'Kernel module of the culprit. Null: built into the kernel.'
                  type: str
                cache:
                  description: 'Slab cache. Null: not a slab, or several caches are possible.'
                  type: str
                allocations:
                  description: Allocations within the window.
                  type: int
                frees:
                  description: How many of them were freed within the window.
                  type: int
                objects_outstanding:
                  description: Objects that were allocated within the window and not freed by its end.
                  type: int
                bytes_outstanding:
                  description: Bytes of these objects.
                  type: int
                growth_bytes_per_s:
                  description: Rate at which memory was allocated that is still allocated after the settling time.
                  type: float
                growth_ci95:
                  description: 95 % confidence interval of that rate. It is wide where few objects were followed.
                  type: list
                  elements: float
                oldest_age_s:
                  description: Age of the oldest outstanding object.
                  type: float
                ages:
                  description: Outstanding objects by equal parts of the time in which the site was followed, oldest
                    first.
                  type: list
                  elements: int
                trend:
                  description: Pairs of seconds since the start of the window and bytes outstanding.
                  type: list
                  elements: list
                corroborated:
                  description: 'True: the kernel''s counter of this memory (slab cache, unaccounted pages, the caller''s
                    vmalloc areas, per-CPU memory) grew as much. False: it did not, as older objects, or objects in
                    bulk, were freed. Null: the counter does not decide.'
                  type: bool
                sampled:
                  description: 'One object in this many was followed, at the least. 1: all, the figures are exact.'
                  type: int
                reclaimable:
                  description: 'True: a slab cache whose objects the kernel gives back when memory is needed.'
                  type: bool
                stack:
                  description: 'Call stack, innermost first. Without stacks: the call site alone.'
                  type: list
                  elements: str
                context:
                  description: 'What the kernel allocated it in: a C(system_call), an C(exception) (page fault), an
                    C(interrupt), a C(kernel_thread), or C(unknown): the call stack is cut.'
                  type: str
                system_call:
                  description: 'The system call at the end of the call stack. Null: none, or its name is not on the
                    stack.'
                  type: str
                allocators:
                  description: 'Processes that allocated what survives, most first. Those of one command that ended
                    are one entry. Empty in an interrupt: it has no part in whom it interrupts.'
                  type: list
                  elements: dict
                accounted:
                  description: 'Share of the surviving objects that the kernel charges to cgroups, because it allocates
                    them for user space. Null: not known.'
                  type: float
                comms:
                  description: Commands that ran at the allocation.
                  type: list
                  elements: str
            outstanding:
              description: Other allocation sites with survivors, most bytes first, without C(trend); C(reasons) says
                why they are no leak. Each has the members of C(leaks).
              type: list
              elements: dict
              sample:
                - ages: [36, 36, 36, 36, 36, 36, 36, 36]
                  allocations: 408
                  bytes_outstanding: 339456
                  cache: sock_inode_cache
                  comms: [python3]
                  reclaimable: true
                  context: system_call
                  system_call: socket
                  allocators:
                    - {pid: 4711, processes: 1, comm: python3, cgroup: /system.slice/app.service, unit: app.service,
                      ended: false, kernel_thread: false, share: 1.0}
                  accounted: 1.0
                  confidence: 0.0
                  corroborated: true
                  culprit: sock_alloc_inode
                  frees: 0
                  growth_bytes_per_s: 16537.0
                  growth_ci95: [16470.3, 16603.6]
                  module: null
                  objects_outstanding: 408
                  offset: 30
                  oldest_age_s: 14.456
                  reasons: [it fills a cache that the kernel gives back when memory runs low]
                  sampled: 1
                  stack: [kmem_cache_alloc_lru_noprof+0x22c, sock_alloc_inode+0x1e, alloc_inode+0x1e, sock_alloc+0x17]
                  trend: []
                  type: slab
                  verdict: clean
            totals:
              description: 'Sums over all allocation sites, by type. Empty: nothing was traced.'
              type: dict
              sample:
                page: {allocations: 6328, bytes_outstanding: 802816, frees: 6132, objects_outstanding: 196}
                percpu: {allocations: 652, bytes_outstanding: 0, frees: 652, objects_outstanding: 0}
                slab: {allocations: 87187, bytes_outstanding: 9785152, frees: 71533, objects_outstanding: 15657}
                vmalloc: {allocations: 40, bytes_outstanding: 65536, frees: 36, objects_outstanding: 4}
              contains:
                slab:
                  description: Allocations, frees, and objects and bytes outstanding of slab objects.
                  type: dict
                page:
                  description: The same of pages.
                  type: dict
                vmalloc:
                  description: The same of vmalloc areas.
                  type: dict
                percpu:
                  description: The same of per-CPU memory.
                  type: dict
            triage:
              description: The kernel's own counters over the same window.
              type: dict
              sample:
                caches:
                  - {bytes_delta: 6469632, cache: kmalloc-cg-2k, object_bytes: 2048, objects_delta: 3159}
                  - {bytes_delta: 880128, cache: signal_cache, object_bytes: 1152, objects_delta: 764}
                code_lines: null
                free_bytes_by_order:
                  after: [1073152, 925696]
                  before: [339968, 163840]
                meminfo_delta_bytes: {KernelStack: 0, PageTables: 0, Percpu: 0, SReclaimable: 1232896, SUnreclaim: 7970816,
                  VmallocUsed: 24576, unaccounted: -126976}
                suspects:
                  - {by: growth, bytes: 7970816, bytes_per_s: 398120.5, counter: SUnreclaim, explained_bytes_per_s: 323000.0,
                    type: slab}
                  - {by: growth, bytes: 6469632, bytes_per_s: 323481.6, counter: kmalloc-cg-2k, explained_bytes_per_s: 323000.0,
                    type: slab}
              contains:
                free_bytes_by_order:
                  description: 'Free memory in blocks of 2^order pages (C(/proc/buddyinfo)), smallest first. Little
                    in large blocks: memory is fragmented, and allocations of several pages can fail.'
                  type: dict
                meminfo_delta_bytes:
                  description: 'Change of fields of C(/proc/meminfo), and of C(unaccounted): memory that belongs to
                    nothing in the kernel accounting. Pages that a driver keeps increase it.'
                  type: dict
                caches:
                  description: Slab caches that grew most.
                  type: list
                  elements: dict
                code_lines:
                  description: 'Lines of kernel code whose allocations grew most (C(/proc/allocinfo)). Null: this
                    kernel does not count them.'
                  type: list
                  elements: dict
                suspects:
                  description: 'Counters that grew steadily or are large. A counter without a site in C(leaks): tracing
                    did not find the allocation site.'
                  type: list
                  elements: dict
            trends:
              description: Counters that were read about 24 times within the window.
              type: list
              elements: dict
              sample:
                - counter: SUnreclaim
                  grows: true
                  points:
                    - [0.0, 27095040]
                    - [1.01, 27328512]
                  reclaimable: false
                  slope_bytes_per_s: 410717.9
                  slope_ci95: [406016.2, 414972.5]
                  type: slab
                - counter: unaccounted
                  grows: false
                  points:
                    - [0.0, 13496320]
                    - [1.01, 13316096]
                  reclaimable: false
                  slope_bytes_per_s: 254.6
                  slope_ci95: [-5426.8, 5087.8]
                  type: page
              contains:
                type:
                  description: Kind of memory.
                  type: str
                counter:
                  description: Field of C(/proc/meminfo), C(unaccounted), C(areas) (held by vmalloc) or a slab cache.
                  type: str
                slope_bytes_per_s:
                  description: Median slope of all pairs of readings (Theil and Sen).
                  type: float
                slope_ci95:
                  description: 95 % confidence interval of the slope.
                  type: list
                  elements: float
                grows:
                  description: 'True: the slope is above 0 with 95 % confidence, the growth exceeds noise, and it
                    continued in the second half of the window.'
                  type: bool
                reclaimable:
                  description: 'True: a slab cache that the kernel shrinks when memory is low.'
                  type: bool
                points:
                  description: 'Some of the readings: pairs of seconds since the start of the window and bytes.'
                  type: list
                  elements: list
            sample:
              description: 'One address in this many was followed at the end of the window (of large objects more).
                Counts and bytes are already multiplied by it. 0: nothing was traced.'
              type: int
              sample: 16
            budget:
              description: 'What tracing cost. Null: nothing was traced.'
              type: dict
              sample: {followed_events: 52142, lowered: 1, map_bytes: 14974944, max_overhead_percent: 3.0, overhead_percent: 0.08,
                suspects: 9}
              contains:
                max_overhead_percent:
                  description: The option of this measurement.
                  type: float
                overhead_percent:
                  description: 'Largest share of all CPUs'' time that the BPF programs took, measured in short intervals.
                    Null: no reading.'
                  type: float
                lowered:
                  description: 'Factor by which fewer addresses were followed, to stay within the budget or because
                    the table of survivors was full. 1: never lowered.'
                  type: int
                followed_events:
                  description: Allocations and frees that the BPF programs handled.
                  type: int
                suspects:
                  description: Call sites whose call stacks were captured.
                  type: int
                map_bytes:
                  description: Kernel memory of the BPF maps.
                  type: int
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
