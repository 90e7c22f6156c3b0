# SPDX-License-Identifier: GPL-3.0-or-later
"""The few facts of a host that findings are compared by."""

import os
import platform

from ansible_collections.ksysak.fleet.plugins.module_utils._core.procfs import read_text, uptime_s

_HYPERVISORS = (('kvm', 'kvm'), ('vmware', 'vmware'), ('microsoft', 'hyper-v'), ('xen', 'xen'), ('virtualbox', 'virtualbox'),
                ('innotek', 'virtualbox'), ('qemu', 'kvm'), ('amazon', 'kvm'), ('google', 'kvm'), ('alibaba', 'kvm'))
_MOST_MODULES, _MOST_VERSIONS = 512, 32


def system():
    """Return the 'system' part of schema ksysak.host/1. What cannot be read is empty, never an error."""
    modules = [line.split() for line in read_text('/proc/modules').splitlines() if line.strip()]
    return {
        'kernel': platform.release()[:128],
        'arch': platform.machine()[:32],
        'distribution': _distribution()[:128],
        'cpu_model': _cpu('model name')[:128],
        'cpus': os.sysconf('SC_NPROCESSORS_ONLN'),
        'memory_bytes': os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE'),
        'virtualization': virtualization(),
        'boot_id': read_text('/proc/sys/kernel/random/boot_id').strip()[:64],
        'uptime_s': uptime_s(),
        'modules': sorted(fields[0][:64] for fields in modules)[:_MOST_MODULES],
        'module_versions': _module_versions(modules),
    }


def _module_versions(modules):
    """Return {name: version} of modules from outside of the kernel's tree: those of its tree are named by the kernel's release.

    modules: fields of lines of /proc/modules; the last one has the taint letters of a module, as (OE), O: out of tree.
    """
    names = sorted(fields[0] for fields in modules if fields[-1].startswith('(') and 'O' in fields[-1])
    versions = {}
    for name in names[:_MOST_VERSIONS]:
        version, source = (read_text('/sys/module/%s/%s' % (name, file)).strip()[:64] for file in ('version', 'srcversion'))
        text = '%s (srcversion %s)' % (version, source) if version and source else version or (source and 'srcversion %s' % source)
        if text:
            versions[name[:64]] = text
    return versions


def virtualization():
    """Return 'none', the name of a container runtime, or that of a hypervisor ('vm' when it has no name we know)."""
    container = _container()
    if container:
        return container
    vendor = ' '.join(read_text('/sys/class/dmi/id/' + name) for name in ('sys_vendor', 'product_name', 'bios_vendor')).lower()
    vendor += ' ' + read_text('/sys/hypervisor/type').lower()
    for word, name in _HYPERVISORS:
        if word in vendor:
            return name
    return 'vm' if ' hypervisor' in _cpu('flags') else 'none'


def _container():
    # A virtual machine made from a container's image has the file too, but no overlay below its root.
    mounts = read_text('/proc/self/mountinfo').splitlines()
    if os.path.exists('/.dockerenv') and any(' / / ' in line and ' - overlay ' in line for line in mounts):
        return 'docker'
    if os.path.exists('/run/.containerenv'):
        return 'podman'
    return read_text('/run/systemd/container').strip()[:64]


def _distribution():
    fields = dict(line.partition('=')[::2] for line in read_text('/etc/os-release').splitlines() if '=' in line)
    return fields.get('PRETTY_NAME', '').strip('"\'')


def _cpu(field):
    for line in read_text('/proc/cpuinfo').splitlines():
        name, colon, value = line.partition(':')
        if colon and name.strip() == field:
            return value.strip() if field != 'flags' else ' ' + value.strip()
    return ''
