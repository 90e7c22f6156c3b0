#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: memory_facts
short_description: Where the memory of a host is, who holds it, what grows, and how near the limits are
version_added: 0.1.0
description:
  - Names the process, cgroup, user, mount or BPF object that holds memory of the kernel, by kind and number, as sockets, timers or mounts.
  - Measures within the window what grows. Who holds it is counted only for what grows or is large.
  - Everything is read from proc, sys and netlink. Nothing is written or reset.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
options:
  top:
    description: How many holders to return at most, of those that grow and of the largest, 1 to 64.
    type: int
    default: 24
seealso:
  - module: ksysak.fleet.scan
  - module: ksysak.fleet.memleak_facts
"""

EXAMPLES = r"""
- name: Who holds the memory?
  ksysak.fleet.memory_facts:
    duration: 20
  become: true

- name: Show what grows most
  ansible.builtin.debug:
    var: ansible_facts.ksysak_memory.data.growth
"""

RETURN = r"""
summary:
  description: One line about what was measured, for people; the numbers are the lengths of the lists in the facts.
  returned: when something was measured
  type: list
  elements: str
  sample: ["memory: ok (bcc, window 20.0 s): leaks 2"]
ansible_facts:
  description: Facts of the host.
  returned: except in check mode
  type: dict
  contains:
    ksysak_memory:
      description: An envelope with C(status), C(reason), C(remedy), C(engine), C(window_s) and C(cost); its data is as follows.
      type: dict
      contains:
        data:
          description: Empty when the status is V(skipped) or V(failed).
          type: dict
          contains:
            picture:
              description: 'Where all memory of the host is. Null: not measured.'
              type: dict
              contains:
                total_bytes:
                  description: Memory of the host (C(MemTotal)).
                  type: int
                parts:
                  description: Parts of it, largest first.
                  type: list
                  elements: dict
                unaccounted_bytes:
                  description: 'Memory that no counter explains. Negative: parts overlap.'
                  type: int
                unaccounted_delta_bytes:
                  description: Change of C(unaccounted_bytes) within the window.
                  type: int
                within:
                  description: Views of memory that parts have already, never added to them, such as buffers of sockets.
                  type: list
                  elements: dict
            growth:
              description: What grew within the window and who holds it, worst first.
              type: list
              elements: dict
              contains:
                kind:
                  description: What is held.
                  type: str
                owner:
                  description: Who holds it.
                  type: dict
                count:
                  description: 'How many at the end of the window. Null: only their bytes are known.'
                  type: int
                bytes:
                  description: 'Memory that they take at the end of the window; estimated from the sizes of slab objects
                    where the kernel reports no other. Null: not known.'
                  type: int
                limit:
                  description: 'Largest possible C(count). Null: none, or not known.'
                  type: int
                detail:
                  description: More about the kind, such as the port or the state of connections.
                  type: dict
                command:
                  description: 'The shell command that lists what the owner holds. Null: there is none.'
                  type: str
                count_delta:
                  description: 'How many more between the first and the last census of the window. Null: only bytes
                    are known.'
                  type: int
                per_s:
                  description: The same per second.
                  type: float
                bytes_per_s:
                  description: 'Growth of C(bytes) per second. Null: not known.'
                  type: float
            holders:
              description: Who holds most of each kind that grew or is large, largest first.
              type: list
              elements: dict
              contains:
                kind:
                  description: What is held.
                  type: str
                owner:
                  description: Who holds it.
                  type: dict
                count:
                  description: 'How many at the end of the window. Null: only their bytes are known.'
                  type: int
                bytes:
                  description: 'Memory that they take at the end of the window; estimated from the sizes of slab objects
                    where the kernel reports no other. Null: not known.'
                  type: int
                limit:
                  description: 'Largest possible C(count). Null: none, or not known.'
                  type: int
                detail:
                  description: More about the kind, such as the port or the state of connections.
                  type: dict
                command:
                  description: 'The shell command that lists what the owner holds. Null: there is none.'
                  type: str
            limits:
              description: Limits and how much of them is used, nearest first.
              type: list
              elements: dict
              contains:
                limit:
                  description: Name of the limit, such as C(fs.file-max).
                  type: str
                owner:
                  description: 'Whose limit it is. Null: the whole host''s.'
                  type: dict
                used:
                  description: How much is used at the end of the window.
                  type: float
                limit_value:
                  description: How much may be used.
                  type: float
                unit:
                  description: What both are counted in, such as C(bytes).
                  type: str
                share:
                  description: C(used) as a share of C(limit_value).
                  type: float
                per_s:
                  description: 'Growth per second within the window. Null: not known.'
                  type: float
                exhausted_in_s:
                  description: 'Seconds until the limit is reached at this rate. Null: it does not grow, or not known.'
                  type: float
            counters:
              description: Readings at the end of the window, which the controller compares 'between scans' in C(docs/memory.md).
              type: dict
              sample:
                uptime_s: 812345.6
                bytes: {MemTotal: 8589934592, SUnreclaim: 104857600}
                counts: {files: 2112}
                slab_bytes: {kmalloc-128: 8388608}
                slab_reclaimable_bytes: {dentry: 41943040}
                slab_aliases:
                  mnt_cache: [posix_timers_cache]
              contains:
                uptime_s:
                  description: 'When they were read: seconds since the host was booted.'
                  type: float
                bytes:
                  description: 'Fields of C(/proc/meminfo); C(unaccounted): memory that belongs to nothing in the
                    kernel accounting; C(SwapUsed); C(TCPBuffers) and C(UDPBuffers): memory of sockets.'
                  type: dict
                counts:
                  description: 'Numbers of what programs hold: C(files), C(tasks), C(sockets), C(tcp_orphans), C(tcp_time_wait),
                    C(conntrack) (sockets and connections of the network namespace of the probe), C(mounts), C(modules),
                    C(keys), C(net_namespaces), C(cgroups) with those that were removed and live on, C(cgroups_dying)
                    these alone.'
                  type: dict
                slab_bytes:
                  description: Memory of the largest slab caches that the kernel cannot shrink, by the name in C(/proc/slabinfo).
                  type: dict
                slab_reclaimable_bytes:
                  description: The same of caches that it shrinks when memory is low.
                  type: dict
                slab_aliases:
                  description: 'Other caches that the kernel has merged with one of these: their objects are in it
                    too.'
                  type: dict
            not_measured:
              description: What could not be read.
              type: list
              elements: str
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: memory, engine: procfs, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main
from ansible_collections.ksysak.fleet.plugins.module_utils._memory.probe import MemoryProbe


def main():
    facts_main(MemoryProbe)


if __name__ == "__main__":
    main()
