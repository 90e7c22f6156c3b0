# SPDX-License-Identifier: GPL-3.0-or-later
"""What leak_injector and latency_injector share: from options to the state of a kernel module, and back to an answer."""

import os
import signal

from ansible_collections.ksysak.fleet.plugins.module_utils._injector import refusals

OPTIONS = {
    'state': {'type': 'str', 'choices': ['present', 'absent'], 'default': 'present'},
    'confirm': {'type': 'bool', 'default': False},
    'ttl_s': {'type': 'int', 'default': 600},
    'ko': {'type': 'path'},
    'sources': {'type': 'dict', 'no_log': True},
}
BOUNDS = {'ttl_s': (1, 86400)}


def end_on_signals(ansible):
    """Let a signal end this process as an exception does, so that all is cleaned up on the way."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: ansible.fail_json(msg='ended by signal %d' % received))


def present(ansible, kmod, parameters):
    """Load the module with these parameters, or set those that differ. Returns what exit_json takes. Raises Refused.

    ansible: AnsibleModule with OPTIONS; kmod: Kmod; parameters: {name: text}, without 'run'.
    """
    refusals.check_can_load()
    wanted = dict(parameters, run='1')
    if kmod.loaded:
        before = kmod.parameters(wanted)
        if kmod.truth()['state'] == 'stopped' and parameters.get('count', '0') != '0':
            before['run'] = '1'  # all its delays are made: nothing is left to do
        changed = [name for name, value in wanted.items() if before[name] != value]
        if changed and not ansible.check_mode:
            kmod.set(dict((name, wanted[name]) for name in changed))
        differences = ['%s: %s instead of %s' % (name, wanted[name], before[name]) for name in changed]
        actions = ['set %s of %s' % (difference, kmod.name) for difference in differences]
    else:
        changed, actions = True, ['load %s' % kmod.name]
        if ansible.check_mode:
            kmod.check_source(ansible.params['ko'])
        else:
            kmod.load(wanted, ansible.params['sources'] or {}, ansible.params['ko'])
    answer = {'changed': bool(changed), 'actions': actions, 'kernel_module': kmod.name}
    if kmod.loaded:
        answer['ground_truth'] = kmod.truth()
        answer['parameters'] = kmod.parameters(wanted)
    return answer


def absent(ansible, kmods):
    """Unload those of the modules that are loaded. Returns what exit_json takes. Raises Refused."""
    loaded = [kmod for kmod in kmods if kmod.loaded]
    answer = {'changed': bool(loaded), 'actions': ['unload %s' % kmod.name for kmod in loaded]}
    truths = dict((kmod.name, kmod.truth() if ansible.check_mode else kmod.unload()) for kmod in loaded)
    if truths:
        answer['ground_truths'] = truths
    return answer


def check_root():
    """Raise Refused unless this process is root."""
    refusals.check_root(os.geteuid())
