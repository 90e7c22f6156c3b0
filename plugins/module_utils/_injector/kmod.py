# SPDX-License-Identifier: GPL-3.0-or-later
"""Build, load, set, read and unload one injector module."""

import errno
import os
import time

from ansible_collections.ksysak.fleet.plugins.module_utils._injector import folder, ground_truth, refusals
from ansible_collections.ksysak.fleet.plugins.module_utils._injector.refusals import Refused

_TRIES, _PAUSE_S = 40, 0.25
# What insmod says, and what it means here.
_LOAD_ERRORS = (
    ('Invalid module format', 'the module was built for another kernel than the running one'),
    ('Key was rejected', 'this kernel loads signed modules only'),
    ('Required key not available', 'this kernel loads signed modules only'),
    ('Operation not permitted', 'a policy of the host (lockdown, a capability, a security module) refuses modules'),
    ('Invalid parameters', 'a parameter is out of its range'),
    ('Invalid argument', 'a parameter is out of its range'),
    ('Numerical result out of range', 'a parameter is out of its range'),
    ('Unknown symbol', 'the module was built for another kernel than the running one'),
    ('Cannot allocate memory', 'the kernel has not enough memory'),
)


class Kmod:
    """An injector module of this host.

    ansible: AnsibleModule, whose run_command and tmpdir are used; name: of the kernel module.
    """

    def __init__(self, ansible, name):
        self.name = name
        self._ansible = ansible
        self._folder = '/sys/module/' + name

    @property
    def loaded(self):
        """Whether the module is loaded. Raises Refused when it is another one of the same name."""
        if not os.path.isdir(self._folder):
            return False
        if not os.path.exists(self._folder + '/ground_truth'):
            raise Refused('a kernel module %s is loaded that is not of this collection (it has no ground_truth): '
                          'unload it first' % self.name)
        return True

    def truth(self):
        """Return the ground truth, see ground_truth.parse, with the time on CLOCK_MONOTONIC and CLOCK_REALTIME at the reading."""
        with open(self._folder + '/ground_truth') as stream:
            truth = ground_truth.parse(stream.read())
        truth['read_at_ns'] = int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1e9)
        truth['read_at_s'] = round(time.time(), 3)
        return truth

    def parameters(self, names):
        """Return {name: text} of these parameters."""
        return dict((name, self._read(name)) for name in names)

    def set(self, wanted):
        """Set parameters, all or none. wanted: {name: text}. Raises Refused.

        Parameters limit each other, so one that is refused is tried again after the others.
        """
        before = self.parameters(wanted)
        try:
            self._set(wanted)
        except Refused:
            self._set(before)
            raise

    def _set(self, wanted):
        left = list(wanted)
        while left:
            refused = {}
            for name in left:
                try:
                    self.write(name, wanted[name])
                except Refused as error:
                    refused[name] = error
            if len(refused) == len(left):
                raise refused[left[0]]
            left = list(refused)

    def write(self, name, value):
        """Write one parameter. Raises Refused naming it."""
        try:
            with open('%s/parameters/%s' % (self._folder, name), 'w') as stream:
                stream.write(value)
        except OSError as error:
            held = '; what it holds is in the way, remove the injector first' if error.errno == errno.EBUSY else ''
            raise Refused('%s refuses %s=%s: %s%s' % (self.name, name, value, error.strerror, held))

    def check_source(self, ko):
        """Raise Refused unless the module can be loaded from this file, or (ko is None) built here."""
        if ko is not None:
            self._check_ko(ko)
        else:
            self._tools()

    def load(self, parameters, sources, ko):
        """Load the module, from the file ko or built from its sources. Raises Refused; then it is not loaded.

        parameters: {name: text}; sources: {path: text}, as of the folder kmods.
        """
        if ko is not None:
            self._check_ko(ko)
            self._insmod(ko, parameters)
            return
        try:
            with folder.private(self._ansible.tmpdir) as path:
                self._insmod(self._build(path, sources), parameters)
        except OSError as error:
            raise Refused('cannot build %s: %s' % (self.name, error))

    def unload(self):
        """Stop the injector, free all it holds and unload it. Returns its last ground truth. Raises Refused."""
        self.write('run', '0')
        truth = self.truth()
        for _unused in range(_TRIES):
            code, _out, error = self._ansible.run_command([self._ansible.get_bin_path('rmmod', True), self.name])
            if code == 0 or not os.path.isdir(self._folder):
                return truth
            time.sleep(_PAUSE_S)  # another process may be reading one of its files
        raise Refused('%s cannot be unloaded: %s' % (self.name, error.strip()))

    def _read(self, name):
        with open('%s/parameters/%s' % (self._folder, name)) as stream:
            return stream.read().strip()

    def _check_ko(self, ko):
        try:
            with open(ko, 'rb') as stream:
                raw = stream.read(32 * 1024 * 1024)
        except OSError as error:
            raise Refused('ko: %s: %s' % (ko, error.strerror))
        refusals.check_prebuilt(raw, self.name, os.uname()[2])

    def _tools(self):
        release = os.uname()[2]
        tools = [self._ansible.get_bin_path(tool) for tool in ('make', 'gcc')]
        refusals.check_build(release, *tools)
        return tools[0], '/lib/modules/%s/build' % release

    def _build(self, path, sources):
        make, headers = self._tools()
        place = os.path.join(path, 'kmods')
        for name, text in sorted(sources.items()):
            target = os.path.join(place, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, 'w') as stream:
                stream.write(text)
        mine = os.path.join(place, self.name)
        code, out, error = self._ansible.run_command([make, '-C', headers, 'M=' + mine, 'modules'], environ_update={'TMPDIR': path})
        if code != 0:
            raise Refused('%s does not build for kernel %s: %s' % (self.name, os.uname()[2], (error or out).strip()[-2000:]))
        return os.path.join(mine, self.name + '.ko')

    def _insmod(self, ko, parameters):
        command = [self._ansible.get_bin_path('insmod', True), ko]
        code, _out, error = self._ansible.run_command(command + ['%s=%s' % item for item in parameters.items()])
        if code != 0:
            meaning = [text for words, text in _LOAD_ERRORS if words in error]
            raise Refused('%s cannot be loaded: %s%s' % (self.name, error.strip()[-500:], ' (%s)' % meaning[0] if meaning else ''))
