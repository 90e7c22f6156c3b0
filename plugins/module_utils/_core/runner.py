# SPDX-License-Identifier: GPL-3.0-or-later
"""From an Ansible task to probes and back: what all probe modules share."""

import os
import signal

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.respawn import has_respawned, probe_interpreters_for_module, respawn_module

from ansible_collections.ksysak.fleet.plugins.module_utils._core import linux, procfs, service, window
from ansible_collections.ksysak.fleet.plugins.module_utils._core.probe import check_bounds, fit

DURATION = {'type': 'int'}
DURATION_BOUNDS = {'duration': (1, 3600)}
SERVICE = {
    'state': {'type': 'str', 'choices': ['measured', 'started', 'reported', 'stopped'], 'default': 'measured'},
    'ttl_s': {'type': 'int', 'default': 3600},
}

_INTERPRETERS = ('/usr/bin/python3', '/usr/libexec/platform-python', '/usr/local/bin/python3', '/usr/bin/python3.6', '/usr/bin/python')


def facts_main(probe_class, default_duration=20, detachable=False):
    """Run one probe as a module of its own; returns its envelope as the fact ksysak_<name>.

    probe_class: subclass of Probe; default_duration: seconds; detachable: it can also be started, reported and stopped.
    """
    spec = dict(probe_class.OPTIONS, duration=dict(DURATION, default=default_duration))
    if detachable:
        spec.update(SERVICE)
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    options = dict(module.params)
    duration_s = options.pop('duration')
    state, ttl_s = options.pop('state', 'measured'), options.pop('ttl_s', None)
    try:
        check_bounds(module.params, dict(DURATION_BOUNDS, **(service.TTL_BOUNDS if detachable else {})))
        probe = probe_class(options)
    except ValueError as error:
        module.fail_json(msg=str(error))
    if state != 'measured':
        try:
            module.exit_json(**_STATES[state](module, probe, ttl_s))
        except service.Refused as error:
            module.fail_json(msg=str(error))
    use_python_with_bcc([probe])
    envelopes = run([probe], duration_s, module.check_mode)
    if module.check_mode:
        module.exit_json(changed=False, preflight=preflight(envelopes))
    if detachable:
        _warn_of_service(module, probe)
    fit(envelopes[probe.NAME])
    module.exit_json(changed=False, summary=summary(envelopes), ansible_facts={'ksysak_' + probe.NAME: envelopes[probe.NAME]})


def summary(envelopes):
    """Return one line a probe about what it measured, for somebody who reads the task's result. envelopes: {name: envelope}."""
    lines = []
    for name, result in sorted(envelopes.items()):
        line = '%s: %s' % (name, result['status'])
        if result['status'] in ('ok', 'degraded'):
            counts = ['%s %d' % (key, len(rows)) for key, rows in sorted(result['data'].items()) if isinstance(rows, list)]
            line += ' (%s, window %.1f s): %s' % (result['engine'], result['window_s'], ', '.join(counts) or 'no lists')
        if result['reason']:
            line += '; %s' % result['reason']
        if result['remedy']:
            line += ' - %s' % result['remedy']
        lines.append(line)
    return lines


def _warn_of_service(module, probe):
    try:
        running = service.ask(probe, 'info')
    except service.Refused:
        return
    if running is not None:
        module.warn('%s is also running detached on this host, since %s: both cost' % (probe.NAME, running['started_at']))


def _start(module, probe, ttl_s):
    use_python_with_bcc([probe])
    if module.check_mode:
        running = service.ask(probe, 'info')
        return {'changed': running is None, 'service': running, 'preflight': preflight(run([probe], None, True))}
    info, is_new = service.start(probe, ttl_s)
    runs = info['status'] in ('ok', 'degraded')
    return {'changed': is_new and runs, 'service': info if runs else None, 'preflight': preflight({probe.NAME: info})}


def _report(module, probe, _ttl_s):
    answer = service.ask(probe, 'report')
    if answer is None:
        module.fail_json(msg=_not_running(probe) + '; start it with state: started')
    return {'changed': False, 'service': answer['service'], 'summary': summary({probe.NAME: answer['result']}),
            'ansible_facts': {'ksysak_' + probe.NAME: answer['result']}}


def _stop(module, probe, _ttl_s):
    if module.check_mode:
        running = service.ask(probe, 'info')
        return {'changed': running is not None, 'service': running}
    answer = service.ask(probe, 'stop')
    if answer is None:
        return {'changed': False, 'service': None, 'msg': _not_running(probe)}
    return {'changed': True, 'service': answer['service'], 'summary': summary({probe.NAME: answer['result']}),
            'ansible_facts': {'ksysak_' + probe.NAME: answer['result']}}


def _not_running(probe):
    return ('%s is not running on this host: it was not started, its ttl_s was over, it was killed, or the host was started anew '
            '(it is up for %d s)' % (probe.NAME, procfs.uptime_s()))


_STATES = {'started': _start, 'reported': _report, 'stopped': _stop}


def preflight(envelopes):
    """What check mode returns: a row a probe, without the data that nobody measured."""
    return [dict(((key, result[key]) for key in ('engine', 'status', 'reason', 'remedy')), probe=name)
            for name, result in sorted(envelopes.items())]


def build_probes(names, probe_options, classes):
    """Return Probe objects for the names, with validated options. Raises ValueError naming the option that is wrong.

    probe_options: {probe: {option: value}}; classes: {name: subclass of Probe}.
    """
    unknown = sorted(set(probe_options) - set(classes))
    if unknown:
        raise ValueError('probe_options names %s, which is no probe; the probes are %s' % (unknown[0], ', '.join(sorted(classes))))
    probes = []
    for name in sorted(set(names)):
        options = probe_options.get(name) or {}
        if not isinstance(options, dict):
            raise ValueError('probe_options.%s must be a dictionary of options, got %s' % (name, type(options).__name__))
        unknown = sorted(set(options) - set(classes[name].OPTIONS))
        if unknown:
            known = ', '.join(sorted(classes[name].OPTIONS))
            raise ValueError('probe_options.%s has no option %s; there are %s' % (name, unknown[0], known))
        checked = ArgumentSpecValidator(classes[name].OPTIONS).validate(options)
        if checked.error_messages:
            raise ValueError('probe_options.%s: %s' % (name, '; '.join(checked.error_messages)))
        try:
            probes.append(classes[name](checked.validated_parameters))
        except ValueError as error:
            raise ValueError('probe_options.%s: %s' % (name, error))
    return probes


def run(probes, duration_s, check_mode, sockets=None):
    """Measure, or in check mode only see what could be measured. Returns {name: envelope}.

    sockets: {socket or ipc.Server: function(Stop)}, served while measuring.
    """
    # Whoever ends the task's process (an async timeout, a kill) shall not leave this one behind.
    linux.die_with_parent(number=signal.SIGTERM)
    if check_mode:
        envelopes = window.preflight(probes)
    else:
        stop = window.Stop()
        stop.sockets = dict((source, lambda serve=serve: serve(stop)) for source, serve in (sockets or {}).items())
        stop.on_signals()
        envelopes = window.measure(probes, duration_s, stop)
    return envelopes


def use_python_with_bcc(probes):
    """Start this module again under a Python of the host that can import bcc, if a probe wants it and this one cannot.

    Imported here, before they are made, bcc's memory is shared by all probe processes.
    """
    if os.geteuid() != 0 or not any(engine.NAME == 'bcc' for probe in probes for engine in probe.ENGINES):
        return
    try:
        import bcc  # noqa: F401 # pylint: disable=unused-import
    except ImportError:
        interpreter = None if has_respawned() else probe_interpreters_for_module(list(_INTERPRETERS), 'bcc')
        if interpreter:
            respawn_module(interpreter)  # does not return
