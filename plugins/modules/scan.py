#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: scan
short_description: Run several kernel probes on a host in one window
version_added: 0.1.0
description:
  - Runs all probes at the same time, so that a scan lasts as long as its window and not as long as all of them together.
  - Each probe runs in a process of its own. A probe that cannot work on a host says V(skipped), V(failed) or V(degraded)
    with a reason and a remedy, and keeps none of the others from their work.
  - Whether with success, on an error, on a signal or on a kill, nothing stays on the host. BPF programs, the mount of tracefs
    and temporary files belong to the probe's process and end with it.
  - Made to be run with C(async) on many hosts at once; the role P(ksysak.fleet.scan#role) does that.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
  - ksysak.fleet.probe.ebpf
options:
  scan_id:
    description:
      - Name of this scan, the same on all hosts.
      - With O(state=stopped) only a scan of this name is ended; without it, any.
    type: str
  probes:
    description:
      - Names of the probes to run. V(all) stands for every probe of the collection.
      - Each probe has a module of its own, whose name is that of the probe with C(_facts) after it.
        C(ansible-doc --list ksysak.fleet) lists them.
      - A name that is no probe fails the task; the message lists the probes.
    type: list
    elements: str
    default: [all]
  probe_options:
    description:
      - Options by probe, as C({"memleak":{"sample":1}}). Each probe's own module, as M(ksysak.fleet.memleak_facts), documents them.
    type: dict
    default: {}
  wait_s:
    description:
      - How many seconds to wait for another scan that is running on this host, from 0 to 3600. One scan at a time can run on a host.
      - When the other scan has not ended then, the task fails.
    type: int
    default: 0
  state:
    description:
      - V(measured) runs the probes.
      - V(stopped) ends a scan that is running on this host early and returns what it has measured so far. A scan that waits ends too.
    type: str
    choices: [measured, stopped]
    default: measured
"""

EXAMPLES = r"""
- name: Look at a host for 20 seconds
  ksysak.fleet.scan:
  become: true
  register: result

- name: Follow every allocation for 80 seconds (costs more than one in sixteen)
  ksysak.fleet.scan:
    duration: 80
    probes: [memleak]
    probe_options:
      memleak:
        sample: 1
  become: true

- name: End whatever scan is running
  ksysak.fleet.scan:
    state: stopped
  become: true
"""

RETURN = r"""
summary:
  description: One line a probe, for people; the numbers are the lengths of the lists in its data.
  returned: when something was measured
  type: list
  elements: str
  sample: ["memleak: ok (bcc, window 20.0 s): leaks 2"]
scan:
  description: What was measured; V(none) in check mode, and when O(state=stopped) found no scan.
  returned: success
  type: dict
  contains:
    collection_version:
      description: Version of the collection that measured.
      type: str
      sample: 0.1.0
    system:
      description: Kernel, distribution, CPUs, memory, virtualization, boot and loaded modules.
      type: dict
    probes:
      description: One envelope a probe, with C(status), C(reason), C(remedy), C(engine), C(window_s), C(cost) and C(data).
      type: dict
preflight:
  description: What each probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - probe: memleak
      engine: bcc
      status: ok
      reason: ''
      remedy: ''
"""

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.ksysak.fleet.plugins.module_utils._core import control, host, registry, runner, window
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import check_bounds, fit_together
from ansible_collections.ksysak.fleet.plugins.module_utils._core.version import VERSION


def main():
    module = AnsibleModule(
        argument_spec={
            'scan_id': {'type': 'str'},
            'duration': dict(runner.DURATION, default=20),
            'probes': {'type': 'list', 'elements': 'str', 'default': [registry.ALL]},
            'probe_options': {'type': 'dict', 'default': {}},
            'wait_s': {'type': 'int', 'default': 0},
            'state': {'type': 'str', 'choices': ['measured', 'stopped'], 'default': 'measured'},
        },
        supports_check_mode=True,
    )
    try:
        check_bounds(module.params, dict(runner.DURATION_BOUNDS, wait_s=(0, 3600)))
        probes = runner.build_probes(registry.chosen(module.params['probes']), module.params['probe_options'], registry.classes())
    except ValueError as error:
        module.fail_json(msg=str(error))
    if module.params['state'] == 'stopped':
        stop(module)
    else:
        measure(module, probes)


def stop(module):
    if module.check_mode:
        module.exit_json(changed=False, scan=None)
    try:
        scan = control.stop(module.params['scan_id'] or '*', window.OVERHEAD_LIMIT_S)
    except (OSError, ValueError) as error:
        module.fail_json(msg='a scan is running on this host, but it did not answer: %s' % error)
    module.exit_json(changed=scan is not None, scan=scan)


def measure(module, probes):
    runner.use_python_with_bcc(probes)
    if module.check_mode:
        module.exit_json(changed=False, scan=None, preflight=runner.preflight(runner.run(probes, None, True)))
    wait_s = module.params['wait_s']
    try:
        parent = os.getppid()
        listener = control.listener(module.params['scan_id'] or '', wait_s, lambda: os.getppid() == parent)
    except control.Ended as error:
        module.fail_json(msg=str(error))
    except RuntimeError as error:
        module.fail_json(msg='%s and did not end within %d s (wait_s); end it with state: stopped, or wait for its end' % (error, wait_s))

    def serve(wanted):
        if listener.serve():
            wanted.now('stopped on request')

    envelopes = runner.run(probes, module.params['duration'], False, {listener: serve})
    fit_together(envelopes, dict((probe.NAME, probe.BUDGET_BYTES) for probe in probes))
    scan = {'collection_version': VERSION, 'system': host.system(), 'probes': envelopes}
    listener.finish(scan)
    module.exit_json(changed=False, summary=runner.summary(envelopes), scan=scan)


if __name__ == '__main__':
    main()
