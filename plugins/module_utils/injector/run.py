# SPDX-License-Identifier: GPL-3.0-or-later
"""What leak_injector and latency_injector share: from options to the state of a kernel module, and back to an answer."""

import os
import signal
import sys
import time

from ansible_collections.ksysak.fleet.plugins.module_utils.injector import refusals

OPTIONS = {
    'state': {'type': 'str', 'choices': ['present', 'absent'], 'default': 'present'},
    'confirm': {'type': 'bool', 'default': False},
    'ttl_s': {'type': 'int', 'default': 600},
    'watch_s': {'type': 'int', 'default': 0},
    'ko': {'type': 'path'},
    'sources': {'type': 'dict', 'no_log': True},
}
BOUNDS = {'ttl_s': (1, 86400), 'watch_s': (0, 600)}

_SCAN = '@ksysak.fleet/scan'  # the socket that a running scan listens on, as in /proc/net/unix
_LOOK_S = 0.1


def end_on_signals():
    """Let a signal end this process as an exception does, so that all is cleaned up on the way."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: sys.exit(128 + received))


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
        said = ['%s: %s instead of %s' % (name, wanted[name], before[name]) for name in changed]
        actions = ['set %s of %s' % (said_of, kmod.name) for said_of in said]
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


def watch(read_truth, limit_s):
    """Yield the ground truth again and again while a scan runs on this host, for at most limit_s seconds.

    Waits for the begin of the scan first.
    """
    deadline_s, seen = time.monotonic() + limit_s, False
    while time.monotonic() < deadline_s:
        yield read_truth()
        running = _SCAN in refusals.read('/proc/net/unix')
        if seen and not running:
            return
        seen = seen or running
        time.sleep(_LOOK_S)


def growth(truths):
    """Return [{read_at_s, allocations, frees, outstanding_objects, outstanding_bytes}] of leaks' ground truths, all places together."""
    names = ('allocations', 'frees', 'outstanding_objects', 'outstanding_bytes')
    return [dict(((name, sum(place[name] for place in truth['places'])) for name in names), read_at_s=truth['read_at_s']) for truth in truths]


def delays(truths):
    """Return every delay that any of the ground truths knows, oldest first: each of them knows only the last ones."""
    known = {}
    for truth in truths:
        known.update(((delay['start_ns'], delay['pid']), delay) for delay in truth['delays'])
    return [delay for _start, delay in sorted(known.items())]


def check_root():
    """Raise Refused unless this process is root."""
    refusals.check_root(os.geteuid())
