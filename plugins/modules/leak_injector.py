#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: leak_injector
short_description: Make a kernel memory leak of known size, rate and place
version_added: 0.1.0
description:
  - Loads a kernel module that allocates memory and forgets it, so that a probe can be tested against what is known exactly.
  - Size, rate, ceiling, place and share that is freed again can be set, and changed while the leak goes on.
  - Everything is freed when the injector is removed, and when its time to live is over.
  - Refuses to work without O(confirm=true), when the ceiling is too high for the host, and where modules cannot be loaded.
    Nothing is loaded then.
extends_documentation_fragment:
  - ksysak.fleet.injector
options:
  type:
    description:
      - What is leaked. V(page) takes pages, V(slab) objects of slab caches, V(vmalloc) virtually contiguous areas.
      - Required for O(state=present). With O(state=absent) and without it, every leak injector is removed.
    type: str
    choices: [page, slab, vmalloc]
  bytes:
    description: Bytes of one allocation, for O(type=slab) (32 to 1048576) and O(type=vmalloc) (32 to 67108864, in whole pages).
    type: int
    default: 1024
  order:
    description: Pages of one allocation as a power of two, for O(type=page), from 0 to 8.
    type: int
    default: 0
  cache:
    description:
      - Whether O(type=slab) takes its objects by V(kmalloc), or from a V(named) cache of its own, C(ksysak_test_leak).
      - V(bulk) takes them from that cache too, 16 at a time.
    type: str
    choices: [kmalloc, named, bulk]
    default: kmalloc
  rate:
    description: Allocations per second, from 1 to 1000000.
    type: int
    default: 1000
  ceiling_bytes:
    description: Bytes that are outstanding at most. The leak stands still there.
    type: int
    default: 16777216
  max_memory_percent:
    description: Share of the available memory (C(MemAvailable)) that O(ceiling_bytes) may be, from 1 to 50.
    type: int
    default: 10
  freed_percent:
    description: Share of the allocations that is freed again after 50 ms, from 0 to 100.
    type: int
    default: 0
  context:
    description:
      - Who allocates. V(work) is a kernel worker, V(timer) a softirq (not for O(type=vmalloc)), V(call) the task of this module.
      - For V(call) nothing happens until O(trigger) asks for it.
    type: str
    choices: [work, timer, call]
    default: work
  trigger:
    description: With O(context=call), allocate so many objects now. Each run of the task allocates again.
    type: int
    default: 0
  place:
    description: The function that allocates, at different depths of the call stack.
    type: str
    choices: [shallow, middle, deep]
    default: shallow
seealso:
  - module: ksysak.fleet.ground_truth
  - module: ksysak.fleet.latency_injector
  - module: ksysak.fleet.memleak_facts
"""

EXAMPLES = r"""
- name: Leak a mebibyte per second until 64 MiB are gone
  ksysak.fleet.leak_injector:
    type: slab
    bytes: 1024
    rate: 1024
    ceiling_bytes: 67108864
    place: deep
    confirm: true
  become: true
  register: leak

- name: Leak faster
  ksysak.fleet.leak_injector:
    type: slab
    bytes: 1024
    rate: 4096
    ceiling_bytes: 67108864
    place: deep
    confirm: true
  become: true

- name: Give everything back
  ksysak.fleet.leak_injector:
    state: absent
  become: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: [load test_slab_leak]
kernel_module:
  description: Name of the kernel module.
  returned: when O(state=present)
  type: str
  sample: test_slab_leak
parameters:
  description: The parameters that the kernel module reports.
  returned: when O(state=present) and it is loaded
  type: dict
ground_truth:
  description: The exact numbers at the end of the task.
  returned: when O(state=present) and it is loaded
  type: dict
  contains:
    places:
      description: One entry for each function that allocates.
      type: list
      elements: dict
      sample:
        - place: ksysak_leak_deep
          allocations: 4096
          frees: 0
          outstanding_objects: 4096
          outstanding_bytes: 4194304
    read_at_ns:
      description: When it was read, by C(CLOCK_MONOTONIC).
      type: int
    read_at_s:
      description: When it was read, in seconds since 1970 by the host's clock.
      type: float
given_back_bytes:
  description: By how much the counters of kernel memory in which a leak shows went down while it was removed. Others work meanwhile.
  returned: when O(state=absent)
  type: int
ground_truths:
  description: The last numbers of each module that was removed, by its name, before its memory was given back.
  returned: when O(state=absent) and one was loaded
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import check_bounds
from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text
from ansible_collections.ksysak.fleet.plugins.module_utils._injector import leftovers, refusals, run
from ansible_collections.ksysak.fleet.plugins.module_utils._injector.kmod import Kmod

TYPES = {'page': 'test_page_leak', 'slab': 'test_slab_leak', 'vmalloc': 'test_vmalloc_leak'}
PLACES = ('shallow', 'middle', 'deep')
CACHES = ('kmalloc', 'named', 'bulk')
OWN = {'page': ('order',), 'slab': ('bytes', 'cache'), 'vmalloc': ('bytes',)}
BOUNDS = dict(run.BOUNDS, bytes=(32, 2 ** 26), order=(0, 8), rate=(1, 10 ** 6), ceiling_bytes=(32, 2 ** 46), max_memory_percent=(1, 50),
              freed_percent=(0, 100), trigger=(0, 10 ** 6))


def parameters(options):
    """Return {name: text} for the kernel module."""
    values = {'bytes': options['bytes'], 'order': options['order'], 'cache': CACHES.index(options['cache'])}
    wanted = dict((name, str(values[name])) for name in OWN[options['type']])
    wanted.update(rate=str(options['rate']), ceiling=str(options['ceiling_bytes']), freed_percent=str(options['freed_percent']),
                  context=options['context'], place='ksysak_leak_' + options['place'], ttl=str(options['ttl_s']))
    return wanted


def main():
    spec = dict(
        run.OPTIONS,
        type={'type': 'str', 'choices': sorted(TYPES)},
        bytes={'type': 'int', 'default': 1024},
        order={'type': 'int', 'default': 0},
        cache={'type': 'str', 'choices': list(CACHES), 'default': 'kmalloc'},
        rate={'type': 'int', 'default': 1000},
        ceiling_bytes={'type': 'int', 'default': 16 * 2 ** 20},
        max_memory_percent={'type': 'int', 'default': 10},
        freed_percent={'type': 'int', 'default': 0},
        context={'type': 'str', 'choices': ['work', 'timer', 'call'], 'default': 'work'},
        trigger={'type': 'int', 'default': 0},
        place={'type': 'str', 'choices': list(PLACES), 'default': 'shallow'},
    )
    ansible = AnsibleModule(argument_spec=spec, supports_check_mode=True, required_if=[('state', 'present', ['type'])])
    run.end_on_signals(ansible)
    try:
        check_bounds(ansible.params, BOUNDS)
        answer = inject(ansible) if ansible.params['state'] == 'present' else remove(ansible)
    except (refusals.Refused, ValueError) as error:
        ansible.fail_json(msg=str(error))
    ansible.exit_json(**answer)


def inject(ansible):
    options = ansible.params
    refusals.check_confirmed(options['confirm'])
    if options['type'] == 'vmalloc' and options['context'] == 'timer':
        raise refusals.Refused('context: type vmalloc sleeps, it cannot work in a timer')
    run.check_root()
    kmod = Kmod(ansible, TYPES[options['type']])
    held_bytes = kmod.truth()['outstanding_bytes'] if kmod.loaded else 0
    refusals.check_memory(options['ceiling_bytes'], options['max_memory_percent'], read_text('/proc/meminfo'), held_bytes)
    answer = run.present(ansible, kmod, parameters(options))
    if options['trigger'] and options['context'] == 'call':
        answer['changed'] = True
        answer['actions'].append('allocate %d objects' % options['trigger'])
        if not ansible.check_mode:
            kmod.write('trigger', str(options['trigger']))
            answer['ground_truth'] = kmod.truth()
    return answer


def remove(ansible):
    run.check_root()
    names = [ansible.params['type']] if ansible.params['type'] else sorted(TYPES)
    before = leftovers.snapshot()['memory_bytes']
    answer = run.absent(ansible, [Kmod(ansible, TYPES[name]) for name in names])
    after = leftovers.snapshot()['memory_bytes']
    answer['given_back_bytes'] = sum(before[name] - after.get(name, 0) for name in before)
    return answer


if __name__ == '__main__':
    main()
