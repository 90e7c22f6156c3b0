#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: ground_truth
short_description: Read the exact numbers of all injectors on a host, and what they could leave behind
version_added: 0.1.0
description:
  - Reads what the injectors of M(ksysak.fleet.leak_injector) and M(ksysak.fleet.latency_injector) have done, once or all through a scan.
  - Reports which injectors are loaded, which scans and programs of this collection run, how many BPF programs trace, and the counters
    of kernel memory in which a leak shows. Two of these answers show whether something was left behind.
  - Changes nothing.
options:
  watch_s:
    description:
      - Read again and again while a scan runs on this host.
      - The task waits for the begin of the scan, then for its end, and for at most so many seconds (0 to 600) in all.
    type: int
    default: 0
author:
  - ksysak.fleet maintainers (@ksysak)
requirements:
  - Linux on x86_64, and root.
attributes:
  check_mode:
    description: Changes nothing in any mode.
    support: full
  diff_mode:
    description: Nothing on the host is changed.
    support: none
seealso:
  - module: ksysak.fleet.leak_injector
  - module: ksysak.fleet.latency_injector
"""

EXAMPLES = r"""
- name: Read the truth while the scan runs
  ksysak.fleet.ground_truth:
    watch_s: 90
  become: true
  register: truth
"""

RETURN = r"""
growth:
  description: Readings of each leak injector, oldest first; all functions together, times in seconds since 1970 by the host's clock.
  returned: success
  type: dict
  sample:
    test_slab_leak:
      - read_at_s: 1763867280.123
        allocations: 4096
        frees: 0
        outstanding_objects: 4096
        outstanding_bytes: 4194304
delays:
  description: The delays of each latency injector, oldest first, as in the C(ground_truth) of M(ksysak.fleet.latency_injector).
  returned: success
  type: dict
clock:
  description: C(CLOCK_MONOTONIC) in nanoseconds and the host's clock in seconds since 1970, at one instant.
  returned: success
  type: dict
  sample:
    monotonic_ns: 4211800991480
    read_at_s: 1763867280.123
leftovers:
  description: What was found at the end of the task.
  returned: success
  type: dict
  contains:
    kernel_modules:
      description: Injectors that are loaded.
      type: list
      elements: str
    sockets:
      description: Abstract names on which scans and testrunlatency listen.
      type: list
      elements: str
    tracing_programs:
      description: Number of BPF programs that trace, whosever they are.
      type: int
    memory_bytes:
      description: Counters of C(/proc/meminfo), and C(unaccounted), which is what none of them explains.
      type: dict
      sample:
        SUnreclaim: 61865984
        VmallocUsed: 21258240
        unaccounted: 100663296
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import check_bounds
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._injector import leftovers, refusals, testrunlatency
from ansible_collections.ksysak.fleet.plugins.module_utils._injector.kmod import Kmod

SCAN = '@ksysak.fleet/scan'  # what a running scan listens on, as in /proc/net/unix
PAUSE_S = 0.2
NUMBERS = ('allocations', 'frees', 'outstanding_objects', 'outstanding_bytes')


def watch(limit_s):
    """Yield at once, and then again and again until the scan that runs, or will run, on this host has ended."""
    deadline_s, seen = time.monotonic() + limit_s, False
    while True:
        running = SCAN in read_text('/proc/net/unix')
        yield
        if (seen and not running) or time.monotonic() >= deadline_s:
            return
        seen = seen or running
        time.sleep(PAUSE_S)


def follow(ansible, limit_s):
    """Return {growth, delays} of all injectors, read until watch() ends."""
    growth, delays = {}, {}
    kmods = [Kmod(ansible, name) for name in leftovers.KERNEL_MODULES]
    kmods = [kmod for kmod in kmods if kmod.loaded]
    for _again in watch(limit_s):
        truths = dict((kmod.name, kmod.truth()) for kmod in kmods)
        program = testrunlatency.ask()
        if program:
            truths['testrunlatency'] = program['ground_truth']
        for name, truth in truths.items():
            if truth.get('places'):
                growth.setdefault(name, []).append(dict(((key, truth[key]) for key in NUMBERS), read_at_s=truth['read_at_s']))
            else:
                # Each truth holds the last delays only.
                delays.setdefault(name, {}).update(((delay['start_ns'], delay['pid']), delay) for delay in truth['delays'])
    return {'growth': growth, 'delays': dict((name, [known[key] for key in sorted(known)]) for name, known in delays.items())}


def main():
    ansible = AnsibleModule(argument_spec={'watch_s': {'type': 'int', 'default': 0}}, supports_check_mode=True)
    try:
        check_bounds(ansible.params, {'watch_s': (0, 600)})
        refusals.check_root(os.geteuid())
        answer = follow(ansible, ansible.params['watch_s'])
    except (refusals.Refused, testrunlatency.Failed, ValueError) as error:
        ansible.fail_json(msg=str(error))
    clock = {'monotonic_ns': int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9), 'read_at_s': round(time.time(), 3)}
    ansible.exit_json(changed=False, clock=clock, leftovers=leftovers.snapshot(), **answer)


if __name__ == '__main__':
    main()
