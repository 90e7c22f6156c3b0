#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: host_health_facts
short_description: Read the health of a host's hardware, storage and settings
version_added: 0.1.0
description:
  - Reads what the kernel and the drives count and no log line reports, as memory errors that were corrected, disks that failed requests, the
    health log of NVMe drives, errors on record in file systems, software RAID without a member, and PCI Express link errors.
  - Reads what a crash of this kernel would leave behind (kdump and the panic settings), what has tainted the kernel, and how often it has
    oopsed and warned since boot.
  - Finds earlier boots that ended without a shutdown, and a newer kernel or a package that waits for a reboot.
  - Everything is read when the window has ended, in a fraction of a second. Nothing is written or reset.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
options:
  duration:
    description: Length of the window in seconds, from 1 to 3600. This probe needs none; a scan gives all probes the same one.
    type: int
    default: 1
  max_age_days:
    description: Leave out boots that ended longer ago than this, from 1 to 3650 days.
    type: int
    default: 30
seealso:
  - module: ksysak.fleet.scan
  - module: ksysak.fleet.os_exceptions_facts
"""

EXAMPLES = r"""
- name: Read the health of the host
  ksysak.fleet.host_health_facts:
  become: true

- name: Name the drives that report a critical warning
  ansible.builtin.debug:
    msg: "{{ ansible_facts.ksysak_host_health.data.nvme | selectattr('warnings') | map(attribute='device') }}"
"""

RETURN = r"""
ansible_facts:
  description: The result of the probe.
  returned: always, but not in check mode
  type: dict
  contains:
    ksysak_host_health:
      description: Envelope of the probe, as described by the schema C(ksysak.host/1); C(data) is described by C(ksysak.host_health/1).
      type: dict
      contains:
        status:
          description: V(ok), or V(failed) with a C(reason) and a C(remedy).
          type: str
          sample: ok
        data:
          description: What was read. Lists hold only what has counted something; what this kernel or host does not have is null.
          type: dict
          contains:
            kernel:
              description: The running and the newest installed release, why a reboot is pending (V(newer_kernel) or V(asked_for)), and
                how often this kernel has oopsed and warned since boot.
              type: dict
              sample: {running: 6.1.0-9-amd64, newest_installed: 6.1.0-28-amd64, reboot_pending: newer_kernel, oops_count: 0, warn_count: 1}
            panic_settings:
              description: The sysctls that decide when the kernel panics and what it does then.
              type: dict
              sample: {panic: 10, panic_on_oops: 1, watchdog: 1}
            kdump:
              description: Whether a crash kernel is loaded, and how much memory is reserved for it.
              type: dict
              sample: {loaded: true, reserved_bytes: 268435456}
            taint:
              description: The value and letters of C(/proc/sys/kernel/tainted), or null.
              type: dict
              sample: {value: 512, flags: [W]}
            unclean_boots:
              description: Earlier boots whose journal ends without a shutdown, newest first; null where no journal tells.
              type: list
              elements: dict
              sample: [{boot_id: 0123456789abcdef0123456789abcdef, ended_at: '2026-11-20T22:14:07Z'}]
            ecc:
              description: Memory errors since boot by controller, and the modules that they came from.
              type: list
              elements: dict
              sample: [{controller: mc0, corrected: 5, uncorrected: 0, dimms: [{dimm: DIMM_A1, corrected: 5, uncorrected: 0}]}]
            disks:
              description: SCSI and ATA disks that failed requests since boot.
              type: list
              elements: dict
              sample: [{device: sda, errors: 31, timeouts: 0, requests: 88123}]
            nvme:
              description: What NVMe drives report of their own health.
              type: list
              elements: dict
              sample: [{device: nvme0, warnings: [], media_errors: 0, used_percent: 3, spare_percent: 100, unsafe_shutdowns: 4}]
            file_systems:
              description: File systems that have errors on record.
              type: list
              elements: dict
              sample: [{file_system: ext4, device: sda1, errors: 2, last_at: '2026-11-20T22:14:07Z'}]
            arrays:
              description: Software RAID that lacks a member or whose copies differ.
              type: list
              elements: dict
              sample: [{array: md0, missing_members: 1, mismatched_sectors: 0}]
            pcie:
              description: Devices whose PCI Express link reported errors since boot.
              type: list
              elements: dict
              sample: [{device: '0000:01:00.0', corrected: 3, non_fatal: 0, fatal: 0}]
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: host_health, engine: sysfs, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main
from ansible_collections.ksysak.fleet.plugins.module_utils._host_health.probe import HostHealthProbe


def main():
    facts_main(HostHealthProbe, default_duration=1)


if __name__ == '__main__':
    main()
