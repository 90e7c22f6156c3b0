#!/usr/bin/python
# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)

DOCUMENTATION = r"""
module: os_exceptions_facts
short_description: Panics, oopses, hangs and hardware errors in the ring buffer, the journal and log files
version_added: 0.1.0
description:
  - Reads the kernel ring buffer, the kernel messages of all boots in systemd's journal, the C(messages), C(syslog) and
    C(kern.log) files in C(/var/log), also rotated and packed ones, and what persistent storage and kdump kept of a crash.
  - Finds oopses, panics, warnings, lock-ups, stalls, hung tasks, out-of-memory kills, hardware, disk and file system errors and
    what debugging kernels report, and names the culprit where the log contains it, where it happened, and details of its
    kind, for example the victim of an out-of-memory kill or the device of an I/O error.
  - A report that several logs hold counts once. Reports are grouped by a signature that is the same on all hosts, boots and
    kernel builds.
  - History is read at the lowest CPU priority while the window is open, the ring buffer when it has ended, so that an exception
    that happens within the window is seen.
  - Nothing is written or cleared; every other reader of the ring buffer still sees all of it.
author:
  - ksysak.fleet maintainers (@ksysak)
extends_documentation_fragment:
  - ksysak.fleet.probe
options:
  duration:
    description: Length of the window in seconds, from 1 to 3600.
    type: int
    default: 5
  sources:
    description:
      - What to read beside O(paths).
      - V(kmsg) is the ring buffer, V(journal) systemd's journal, V(files) the syslog's files in C(/var/log), V(pstore) what
        firmware or reserved memory kept over a crash (C(/sys/fs/pstore)), V(crash) the C(vmcore-dmesg) and C(dmesg) files that
        kdump and systemd-pstore saved.
      - An empty list reads O(paths) alone.
    type: list
    elements: str
    choices: [kmsg, journal, files, pstore, crash]
    default: [kmsg, journal, files, pstore, crash]
  paths:
    description:
      - Absolute paths of further log files to read, at most 32.
      - They may hold dmesg's output with or without time stamps, syslog, the journal's text, JSON or export, a serial console,
        and be packed with gzip, bzip2, xz or zstd.
      - A file that cannot be read makes the result V(degraded). Symbolic links are not followed.
    type: list
    elements: path
    default: []
  max_age_days:
    description: Leave out what was logged longer ago than this, from 1 to 3650 days. What the log gives no date for is kept.
    type: int
    default: 30
  since:
    description:
      - Leave out what was logged before this moment, in place of O(max_age_days).
      - A date as V(2026-11-20), or a date and time as V(2026-11-20 03:00), in the host's own zone; with V(T) and V(Z) as
        V(2026-11-20T03:00:00Z), in UTC.
    type: str
  top:
    description: Return at most this many different exceptions, the newest ones, from 1 to 500. All of them are counted by kind.
    type: int
    default: 50
  other_hosts:
    description:
      - What to do with the lines of other hosts in this host's logs, as a central log server and a receiver of netconsole have them.
      - V(report) lists their exceptions with their host name, apart from this host's own ones and with the severity info. V(ignore) leaves
        them out.
      - A line belongs to this host where its host name is this host's name, up to the first dot.
    type: str
    choices: [report, ignore]
    default: report
seealso:
  - module: ksysak.fleet.scan
"""

EXAMPLES = r"""
- name: Look into the kernel logs of the last 30 days
  ksysak.fleet.os_exceptions_facts:
  become: true

- name: Include what a serial console recorder wrote, last week only
  ksysak.fleet.os_exceptions_facts:
    paths: [/var/log/console/ttyS0.log]
    max_age_days: 7
  become: true

- name: Look only into a console recording, whatever its age
  ksysak.fleet.os_exceptions_facts:
    sources: []
    paths: [/srv/consoles/web1.log.xz]
    max_age_days: 3650
  become: true

- name: What has happened since the change of last night
  ksysak.fleet.os_exceptions_facts:
    since: "{{ '%Y-%m-%d' | strftime }} 02:00"
  become: true

- name: Name the victims of out-of-memory kills
  ansible.builtin.debug:
    msg: "{{ item.details.victim | default('unknown') }} was killed in {{ item.details.memory_cgroup | default('the whole host') }}"
  loop: "{{ ansible_facts['ksysak_os_exceptions'].data.events | selectattr('kind', 'equalto', 'oom') }}"

- name: Stop a rollout where the kernel has oopsed
  ansible.builtin.fail:
    msg: "{{ ansible_facts['ksysak_os_exceptions'].data.kinds }}"
  when: ansible_facts['ksysak_os_exceptions'].data.kinds | default({}) | length > 0
"""

RETURN = r"""
summary:
  description: One line about what was measured, for people; the numbers are the lengths of the lists in the facts.
  returned: when something was measured
  type: list
  elements: str
  sample: ["os_exceptions: ok (bcc, window 20.0 s): leaks 2"]
ansible_facts:
  description: Facts of the host.
  returned: except in check mode
  type: dict
  contains:
    ksysak_os_exceptions:
      description: An envelope with C(status), C(reason), C(remedy), C(engine), C(window_s) and C(cost); its data is as follows.
      type: dict
      contains:
        status:
          description: V(ok), V(degraded) (a log could not be read in full), V(skipped) (none could be read) or V(failed).
          type: str
          sample: ok
        reason:
          description: What is missing, for every status but V(ok).
          type: str
          sample: 'kmsg is unread: not permitted, this needs root (become: true)'
        data:
          description: Empty when the status is V(skipped) or V(failed).
          type: dict
          contains:
            events:
              description: 'One entry per signature: those within the window first, then the newest.'
              type: list
              elements: dict
              sample:
                - kind: soft_lockup
                  title: 'BUG: soft lockup - CPU#8 stuck for 22s! [ceph-osd:12347]'
                  culprit: xfs_reclaim_inodes_ag
                  called_by: []
                  signature: soft_lockup:xfs_reclaim_inodes_ag
                  count: 2
                  first_seen: '2026-11-20T22:14:07Z'
                  last_seen: '2026-11-23T03:08:00Z'
                  in_window: false
                  written_by: kernel
                  induced: false
                  sources: [journal, kmsg]
                  trace: [isolate_lru_pages, xfs_reclaim_inodes_ag, shrink_slab]
                  excerpt: 'BUG: soft lockup - CPU#8 stuck for 22s! [ceph-osd:12347]'
                  boots: 1
                  context:
                    cpu: 8
                    pid: 12347
                    command: ceph-osd
                    taint: [W]
                    kernel: 5.14.0-427.el9.x86_64
                    hardware: Acme Rack 9
                  details: {cpu: 8, stuck_s: 22, task: ceph-osd, pid: 12347}
              contains:
                kind:
                  description: What happened; see 'What to do next' in C(docs/os_exceptions.md).
                  type: str
                title:
                  description: The line that the kernel printed.
                  type: str
                culprit:
                  description: 'Function to which the exception is attributed: the caller of the helper in which the
                    kernel noticed it. A hint, not a verdict. Null: the log does not contain one.'
                  type: str
                called_by:
                  description: 'The next functions outward of the culprit that are no helpers of the kernel: the way
                    in. Where the culprit is not the cause, one of these most often is.'
                  type: list
                  elements: str
                signature:
                  description: Text that is equal on all hosts, boots and kernel builds.
                  type: str
                count:
                  description: How often it happened. A report that several logs hold counts once.
                  type: int
                first_seen:
                  description: 'When it happened first. Null: the log has no date.'
                  type: str
                last_seen:
                  description: 'When it happened last. Null: the log has no date.'
                  type: str
                in_window:
                  description: 'True: it happened at least once within the window.'
                  type: bool
                host:
                  description: 'Host whose kernel reported it, where the log names another one than this host. Null:
                    this host.'
                  type: str
                written_by:
                  description: C(kernel), C(program) (through C(/dev/kmsg)), or C(unknown) where no log names the
                    writer.
                  type: str
                induced:
                  description: 'True: it follows from an earlier exception, as a panic after an oops.'
                  type: bool
                sources:
                  description: Logs that hold it, as in C(sources[].name).
                  type: list
                  elements: str
                trace:
                  description: Functions of the call trace, innermost first.
                  type: list
                  elements: str
                excerpt:
                  description: First lines of the newest report.
                  type: str
                boots:
                  description: 'Number of boots in which it happened. Null: no log names the boot.'
                  type: int
                context:
                  description: CPU, process, taint letters, kernel release, hardware and modules of the newest report.
                  type: dict
                details:
                  description: What the newest report of this kind contains; see 'Details' in C(docs/os_exceptions.md).
                    Sizes end with C(_bytes), times with C(_s), C(_ms) or C(_jiffies).
                  type: dict
            kinds:
              description: Number of the kernel's own reports by kind, also of those beyond C(top).
              type: dict
              sample: {soft_lockup: 2}
            sources:
              description: The logs, with what was read of each.
              type: list
              elements: dict
              sample:
                - {bytes: 24510, lines: 341, name: kmsg, reason: '', status: read}
                - {bytes: 0, lines: 0, name: journal, reason: the journal is empty, status: unread}
              contains:
                name:
                  description: C(kmsg), C(journal), or the path of a file.
                  type: str
                status:
                  description: 'C(read): to its end. C(partial): its newest part, or up to an error. C(unread): see
                    C(reason).'
                  type: str
                reason:
                  description: Why it was not read to its end.
                  type: str
                lines:
                  description: Lines that were read.
                  type: int
                bytes:
                  description: Bytes that were read.
                  type: int
preflight:
  description: What the probe could do here, without measuring.
  returned: in check mode
  type: list
  elements: dict
  sample:
    - {probe: os_exceptions, engine: logs, status: ok, reason: '', remedy: ''}
"""

from ansible_collections.ksysak.fleet.plugins.module_utils._core.runner import facts_main
from ansible_collections.ksysak.fleet.plugins.module_utils._os_exceptions.probe import OsExceptionsProbe


def main():
    facts_main(OsExceptionsProbe, default_duration=5)


if __name__ == '__main__':
    main()
