#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: host_health_facts
short_description: Read the health of a host's hardware, storage and settings
version_added: 0.1.0
description:
  - Reads what the kernel and the drives count and no log line reports, as memory errors that were corrected, disks that failed requests,
    the health log of NVMe drives, errors on record in file systems, software RAID without a member, and PCI Express link errors.
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
summary:
  description: One line about what was measured, for people; the numbers are the lengths of the lists in the facts.
  returned: when something was measured
  type: list
  elements: str
  sample: ["host_health: ok (bcc, window 20.0 s): leaks 2"]
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
              description: Running and newest installed release, pending reboot, and counts of oopses and warnings
                since boot.
              type: dict
              contains:
                running:
                  description: Release of the running kernel.
                  type: str
                newest_installed:
                  description: 'Newest installed release of the running kernel''s flavour. Null: not known.'
                  type: str
                reboot_pending:
                  description: 'Why a reboot is pending: C(newer_kernel) is installed, or a package C(asked_for) it.
                    Null: no reason is known.'
                  type: str
                oops_count:
                  description: 'Oopses since boot. Null: this kernel does not count them.'
                  type: int
                warn_count:
                  description: 'Warnings since boot. Null: this kernel does not count them.'
                  type: int
            panic_settings:
              description: Sysctls of C(kernel.*), and C(vm.panic_on_oom).
              type: dict
            kdump:
              description: Whether a crash kernel is loaded, and its reserved memory.
              type: dict
              contains:
                loaded:
                  description: 'Whether a crash kernel is loaded. Null: this kernel cannot load one.'
                  type: bool
                reserved_bytes:
                  description: 'Memory that is reserved for a crash kernel. Null: not known.'
                  type: int
            unclean_boots:
              description: 'Earlier boots whose journal ends without a shutdown, newest first. Null: no journal.'
              type: list
              elements: dict
              contains:
                boot_id:
                  description: Id of the boot in the journal.
                  type: str
                ended_at:
                  description: 'Time of the last line in its journal. Null: not known.'
                  type: str
            ecc:
              description: Memory errors since boot, by controller.
              type: list
              elements: dict
              contains:
                controller:
                  description: Name of the memory controller.
                  type: str
                corrected:
                  description: Corrected errors.
                  type: int
                uncorrected:
                  description: Uncorrected errors.
                  type: int
                dimms:
                  description: Modules that have counted errors.
                  type: list
                  elements: dict
            disks:
              description: SCSI and ATA disks that failed requests since boot.
              type: list
              elements: dict
              contains:
                device:
                  description: Name of the disk.
                  type: str
                errors:
                  description: Requests that failed.
                  type: int
                timeouts:
                  description: Requests that timed out.
                  type: int
                requests:
                  description: All requests.
                  type: int
            nvme:
              description: Health of NVMe drives, worst first.
              type: list
              elements: dict
              contains:
                device:
                  description: Name of the controller.
                  type: str
                warnings:
                  description: Critical warnings of the drive.
                  type: list
                  elements: str
                media_errors:
                  description: Errors of the drive's media.
                  type: int
                used_percent:
                  description: Share of the wear that the maker allows for; may exceed 100.
                  type: int
                spare_percent:
                  description: Spare blocks that are left.
                  type: int
                unsafe_shutdowns:
                  description: Power losses without a shutdown.
                  type: int
            file_systems:
              description: File systems that have errors on record.
              type: list
              elements: dict
              contains:
                file_system:
                  description: 'Type: C(ext4) or C(btrfs).'
                  type: str
                device:
                  description: Name of the device.
                  type: str
                errors:
                  description: Errors on record.
                  type: int
                last_at:
                  description: 'Time of the last error. Null: not known.'
                  type: str
            arrays:
              description: Software RAID that lacks a member or whose copies differ.
              type: list
              elements: dict
              contains:
                array:
                  description: Name of the array.
                  type: str
                missing_members:
                  description: Members that are missing.
                  type: int
                mismatched_sectors:
                  description: Sectors in which the copies differ.
                  type: int
            pcie:
              description: Devices whose PCI Express link reported errors since boot.
              type: list
              elements: dict
              contains:
                device:
                  description: Address of the device.
                  type: str
                corrected:
                  description: Corrected errors.
                  type: int
                non_fatal:
                  description: Uncorrected errors that are not fatal.
                  type: int
                fatal:
                  description: Fatal errors.
                  type: int
            taint:
              description: 'The kernel''s taint flags. Null: not known.'
              type: dict
              sample:
                value: 512
                flags: [W]
              contains:
                value:
                  description: Value of C(/proc/sys/kernel/tainted).
                  type: int
                flags:
                  description: 'Letters as the kernel prints them: C(D) oops, C(W) warning, C(L) lockup, C(M) machine
                    check, C(P), C(O) and C(E) modules from elsewhere.'
                  type: list
                  elements: str
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
