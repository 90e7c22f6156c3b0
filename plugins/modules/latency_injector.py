#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: latency_injector
short_description: Make scheduling delay of known length on one CPU
version_added: 0.1.0
description:
  - Makes a CPU late on purpose, so that a probe can be tested against what is known exactly.
  - Interrupts off and busy without rescheduling need a kernel module. Ordinary run-queue latency needs none; the program
    testrunlatency makes it, which works on every host.
  - All ends when the injector is removed, and when its time to live is over. Nothing stays behind.
  - Refuses to work without O(confirm=true), and for O(type=irqoff) and O(type=nosched) where modules cannot be loaded.
extends_documentation_fragment:
  - ksysak.fleet.injector
options:
  type:
    description:
      - V(irqoff) switches interrupts off, V(runq) lets tasks wait for a CPU.
      - V(nosched) is busy in the kernel without rescheduling, though another task wants the CPU; that task comes with the kernel module.
      - Required for O(state=present). With O(state=absent) and without it, every latency injector is removed.
    type: str
    choices: [irqoff, nosched, runq]
  duration_us:
    description: Length of one delay in microseconds, from 1 to 1000000.
    type: int
    default: 20000
  interval_ms:
    description: Milliseconds between two delays, from 1 to 3600000.
    type: int
    default: 500
  cpu:
    description: The CPU that is late. The default is the last one that is online.
    type: int
  count:
    description: How many delays are made; 0 for no end but O(ttl_s). When all are made, the injector waits for its removal.
    type: int
    default: 0
  load:
    description:
      - What keeps the CPU busy, for O(type=runq).
      - V(realtime) is one real-time task that does not let go; one task waits for it.
      - V(hogs) are O(tasks) ordinary tasks that compute; one task of least weight waits for its turn.
      - V(crowd) are O(tasks) ordinary tasks that are all woken at once and wait for each other.
    type: str
    choices: [realtime, hogs, crowd]
    default: realtime
  tasks:
    description: Number of tasks of O(load=hogs) and O(load=crowd), from 2 to 64.
    type: int
    default: 4
seealso:
  - module: ksysak.fleet.ground_truth
  - module: ksysak.fleet.leak_injector
  - module: ksysak.fleet.runlatency_facts
"""

EXAMPLES = r"""
- name: Let a task wait for 30 ms, twice a second, on any host
  ksysak.fleet.latency_injector:
    type: runq
    duration_us: 30000
    confirm: true
  become: true

- name: Switch interrupts off on CPU 1 for 5 ms, ten times
  ksysak.fleet.latency_injector:
    type: irqoff
    duration_us: 5000
    interval_ms: 200
    cpu: 1
    count: 10
    confirm: true
  become: true

- name: End all of it
  ksysak.fleet.latency_injector:
    state: absent
  become: true
"""

RETURN = r"""
actions:
  description: What was done, or in check mode would be done.
  returned: success
  type: list
  elements: str
  sample: [start testrunlatency]
kernel_module:
  description: Name of the kernel module.
  returned: when O(state=present), unless O(type=runq)
  type: str
  sample: test_irqoff
parameters:
  description: The parameters that the injector reports.
  returned: when O(state=present) and it runs
  type: dict
ground_truth:
  description: The exact numbers at the end of the task.
  returned: when O(state=present) and it runs
  type: dict
  contains:
    delays:
      description:
        - The last 64 delays. Times are of C(CLOCK_MONOTONIC).
        - Those of a kernel module have C(length_ns), and C(gap_ns), the longest part of it in which something else had the CPU.
        - Those of testrunlatency have C(least_ns) and C(most_ns), between which the wait was, the task that waited, and who ran meanwhile.
      type: list
      elements: dict
      sample:
        - n: 1
          cpu: 1
          pid: 4711
          comm: ks-victim
          start_ns: 4211800991480
          least_ns: 20000037
          most_ns: 20294604
          ran: [4712]
    read_at_ns:
      description: When it was read, by C(CLOCK_MONOTONIC).
      type: int
    read_at_s:
      description: When it was read, in seconds since 1970 by the host's clock.
      type: float
ground_truths:
  description: The last numbers of each injector that was removed, by its name.
  returned: when O(state=absent) and one was there
  type: dict
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import check_bounds
from ansible_collections.ksysak.fleet.plugins.module_utils._injector import refusals, run, testrunlatency
from ansible_collections.ksysak.fleet.plugins.module_utils._injector.kmod import Kmod

TYPES = {'irqoff': 'test_irqoff', 'nosched': 'test_nosched'}
PROGRAM = 'testrunlatency'
BOUNDS = dict(run.BOUNDS, duration_us=(1, 10 ** 6), interval_ms=(1, 3600000), count=(0, 10 ** 6), tasks=(2, 64))


def main():
    spec = dict(
        run.OPTIONS,
        type={'type': 'str', 'choices': ['irqoff', 'nosched', 'runq']},
        duration_us={'type': 'int', 'default': 20000},
        interval_ms={'type': 'int', 'default': 500},
        cpu={'type': 'int'},
        count={'type': 'int', 'default': 0},
        load={'type': 'str', 'choices': list(testrunlatency.LOADS), 'default': 'realtime'},
        tasks={'type': 'int', 'default': 4},
    )
    ansible = AnsibleModule(argument_spec=spec, supports_check_mode=True, required_if=[('state', 'present', ['type'])])
    run.end_on_signals(ansible)
    try:
        check_bounds(ansible.params, BOUNDS)
        answer = inject(ansible) if ansible.params['state'] == 'present' else remove(ansible)
    except (refusals.Refused, testrunlatency.Failed, ValueError) as error:
        ansible.fail_json(msg=str(error))
    ansible.exit_json(**answer)


def inject(ansible):
    options = ansible.params
    refusals.check_confirmed(options['confirm'])
    run.check_root()
    cpus = os.sched_getaffinity(0)
    cpu = max(cpus) if options['cpu'] is None else options['cpu']
    if cpu not in cpus:
        raise refusals.Refused('cpu: there is no CPU %d online for this task (there are %s)' % (cpu, ', '.join(map(str, sorted(cpus)))))
    if options['type'] == 'runq':
        return program(ansible, cpu)
    wanted = {'duration_us': options['duration_us'], 'interval_ms': options['interval_ms'], 'cpu': cpu, 'count': options['count'],
              'ttl': options['ttl_s']}
    return run.present(ansible, Kmod(ansible, TYPES[options['type']]), dict((name, str(value)) for name, value in wanted.items()))


def program(ansible, cpu):
    """Let testrunlatency run with these options; one that runs with others is ended first."""
    wanted = dict(((name, ansible.params[name]) for name in ('load', 'duration_us', 'interval_ms', 'count', 'tasks', 'ttl_s')), cpu=cpu)
    running = testrunlatency.ask()
    if running and running['options'] == wanted:
        return {'changed': False, 'actions': [], 'parameters': wanted, 'ground_truth': running['ground_truth']}
    actions = ['end %s' % PROGRAM] * bool(running) + ['start %s' % PROGRAM]
    if ansible.check_mode:
        return {'changed': True, 'actions': actions}
    if running:
        testrunlatency.ask(stop=True)
    started = testrunlatency.start(wanted)
    return {'changed': True, 'actions': actions, 'parameters': started['options'], 'ground_truth': started['ground_truth']}


def remove(ansible):
    run.check_root()
    wanted = ansible.params['type']
    answer = run.absent(ansible, [Kmod(ansible, name) for kind, name in sorted(TYPES.items()) if wanted in (None, kind)])
    running = testrunlatency.ask(stop=not ansible.check_mode) if wanted in (None, 'runq') else None
    if running:
        answer['changed'] = True
        answer['actions'].append('end %s' % PROGRAM)
        answer.setdefault('ground_truths', {})[PROGRAM] = running['ground_truth']
    return answer


if __name__ == '__main__':
    main()
