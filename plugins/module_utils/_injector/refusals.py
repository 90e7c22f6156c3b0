# SPDX-License-Identifier: GPL-3.0-or-later
"""Why nothing may be injected into this host. Each check raises Refused with a reason that says what to do."""

import os
import platform
import re

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text

LOCKDOWN = '/sys/kernel/security/lockdown'
SIG_ENFORCE = '/sys/module/module/parameters/sig_enforce'
MODULES_DISABLED = '/proc/sys/kernel/modules_disabled'
_CAP_SYS_MODULE = 16

# The package that brings the headers of the running kernel, by ID or ID_LIKE of os-release.
_HEADERS = (
    (('debian', 'ubuntu'), 'linux-headers-%s'),
    (('fedora', 'rhel', 'centos', 'amzn', 'anolis', 'alinux', 'openeuler'), 'kernel-devel-%s'),
    (('suse', 'opensuse', 'sles'), 'kernel-default-devel of release %s'),
    (('arch',), 'linux-headers of release %s'),
    (('alpine',), 'linux-lts-dev of release %s'),
)


class Refused(Exception):
    """Nothing was injected; the text says why, and what would help."""


def check_confirmed(confirm):
    """confirm: bool, the module's option."""
    if not confirm:
        raise Refused('injecting leaks or delays into a kernel is dangerous, and confirm is not true: nothing was done')


def check_root(euid):
    """euid: int, the effective user id."""
    if euid != 0:
        raise Refused('not root (effective user id %d): run the task with become: true' % euid)


def check_can_load():
    """Raise unless this process may load kernel modules that nobody signed."""
    check_arch(platform.machine())
    check_lockdown(read_text(LOCKDOWN))
    check_signing(read_text(SIG_ENFORCE))
    check_modules_allowed(read_text(MODULES_DISABLED), read_text('/proc/self/status'))


def check_arch(machine):
    """machine: as uname -m."""
    if machine != 'x86_64':
        raise Refused('the injectors are for x86_64, this is %s' % machine)


def check_lockdown(text):
    """text: of /sys/kernel/security/lockdown; empty when the kernel has none."""
    mode = re.search(r'\[(\w+)\]', text)
    if mode and mode.group(1) != 'none':
        raise Refused('kernel lockdown is in %s mode, which refuses unsigned modules: boot with lockdown=none '
                      '(Secure Boot switches it on), or use another host' % mode.group(1))


def check_signing(text):
    """text: of the parameter sig_enforce; 'Y' when only signed modules may be loaded (CONFIG_MODULE_SIG_FORCE too)."""
    if text.strip() in ('Y', '1'):
        raise Refused('this kernel loads signed modules only (module.sig_enforce, or CONFIG_MODULE_SIG_FORCE): '
                      'boot without it, or use another host')


def check_modules_allowed(disabled, status):
    """disabled: text of kernel.modules_disabled; status: text of /proc/self/status."""
    if not disabled:
        raise Refused('this kernel was built without loadable modules')
    if disabled.strip() == '1':
        raise Refused('the sysctl kernel.modules_disabled is 1: no module can be loaded until the next boot')
    capabilities = re.search(r'^CapEff:\s*([0-9a-f]+)', status, re.MULTILINE)
    if capabilities and not int(capabilities.group(1), 16) >> _CAP_SYS_MODULE & 1:
        raise Refused('the capability CAP_SYS_MODULE is missing: this is a container, choose the host itself')


def check_memory(ceiling_bytes, max_percent, meminfo, held_bytes=0):
    """Raise when the ceiling is more than max_percent of MemAvailable.

    meminfo: text of /proc/meminfo; held_bytes: what the injector has taken already, which would be available without it.
    """
    found = re.search(r'^MemAvailable:\s+(\d+) kB', meminfo, re.MULTILINE)
    if not found:
        raise Refused('/proc/meminfo does not tell MemAvailable')
    available = int(found.group(1)) * 1024 + held_bytes
    allowed = available * max_percent // 100
    if ceiling_bytes > allowed:
        raise Refused('ceiling_bytes is %d, but %d %% (max_memory_percent) of the available memory of %d bytes are %d bytes'
                      % (ceiling_bytes, max_percent, available, allowed))


def check_headers(release, os_release, has_makefile):
    """release: as uname -r; os_release: text of /etc/os-release; has_makefile: whether the headers' Makefile is there."""
    if not has_makefile:
        raise Refused('no headers of the running kernel (/lib/modules/%s/build/Makefile): install %s, or give a prebuilt module as ko'
                      % (release, headers_package(release, os_release)))


def headers_package(release, os_release):
    """Return the name of the package with the headers, as far as it is known."""
    words = set(re.findall(r'[a-z]+', ' '.join(re.findall(r'^ID(?:_LIKE)?=(.*)$', os_release, re.MULTILINE)).lower()))
    for names, package in _HEADERS:
        if words.intersection(names):
            return package % release
    return 'the headers of kernel %s' % release


def check_prebuilt(raw, name, release):
    """Raise unless a .ko file's content is the module of that name, built for this kernel. raw: bytes."""
    if raw[:4] != b'\x7fELF':
        raise Refused('ko is no kernel module (an ELF object file; a compressed one must be unpacked first)')
    info = dict(part.partition(b'=')[::2] for part in raw.split(b'\0') if part.startswith((b'name=', b'vermagic=')))
    found = info.get(b'name', b'').decode('utf-8', 'replace')
    if found != name:
        raise Refused('ko is the kernel module %r, not %s' % (found[:80], name))
    built_for = (info.get(b'vermagic', b'').decode('utf-8', 'replace').split() or ['an unknown kernel'])[0]
    if built_for != release:
        raise Refused('ko was built for kernel %s, this host runs %s: build it again for this kernel, or leave ko out'
                      % (built_for[:80], release))


def check_build(release, make, compiler):
    """Raise unless a module can be built here. make, compiler: paths of the tools, or None."""
    check_headers(release, read_text('/etc/os-release'), os.path.exists('/lib/modules/%s/build/Makefile' % release))
    missing = [name for name, path in (('make', make), ('gcc', compiler)) if not path]
    if missing:
        raise Refused('%s is missing on the host: install it, or give a prebuilt module as ko' % ' and '.join(missing))
