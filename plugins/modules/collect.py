# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# This is a documentation stub: the action plugin of the same name does the work, on the controller.

DOCUMENTATION = r"""
---
module: collect
short_description: Wait for the scan of a host and write its document
version_added: 0.1.0
description:
  - Waits until the scan that M(ksysak.fleet.scan) launched with C(async) has ended on the host, checks what the host sends,
    writes the host's document into the results folder, and removes the job's file from the host. The wait ends when the scan
    is stopped elsewhere.
  - A host that was unreachable, failed, was lost on the way or sends something that does not fit the schema gets a document too.
    It says why. The task itself fails only when the document cannot be written.
  - In check mode nothing is written and no host is asked; the preflight lines of the scan are returned.
options:
  job:
    description: The registered result of the task that launched M(ksysak.fleet.scan). Required unless O(stop=true).
    type: dict
  stop:
    description:
      - End the scan on the host early and write what it has measured so far.
      - A document that is there already is kept when the host has nothing to add.
    type: bool
    default: false
  scan_id:
    description: Name of the scan.
    type: str
    required: true
  results:
    description: Folder of all results. The document goes to C(<results>/<scan_id>/hosts/).
    type: path
    required: true
  duration:
    description: Length of the window in seconds. Required unless O(stop=true).
    type: int
  started_at:
    description:
      - When the scans were launched, as C(2026-11-23T03:08:00Z). No host is asked before the window that began then has ended.
      - Without it the window is taken to begin with this task.
    type: str
  scan:
    description:
      - Options of M(ksysak.fleet.scan), to launch it again where O(job) could not be launched because no file could be written on the host.
        All files are in C(/dev/shm) or C(/run) then.
      - Without it, such a host is reported as failed or unreachable.
    type: dict
  overtime:
    description: How many seconds after the window a host that does not answer is given up.
    type: int
    default: 320
attributes:
  check_mode:
    description: Can run in check mode and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check mode), when in diff mode.
    support: none
  async:
    description: Supports running asynchronously.
    support: none
  action:
    description: Has an action plugin, which does the work on the controller.
    support: full
author:
  - ksysak.fleet maintainers (@ksysak)
seealso:
  - module: ksysak.fleet.scan
  - module: ksysak.fleet.results
"""

EXAMPLES = r"""
- name: Launch the scan
  ksysak.fleet.scan:
    scan_id: night
    duration: 60
  async: 360 # the window and 300 s: a scan may take that long on a slow host
  poll: 0
  ignore_unreachable: true
  ignore_errors: true
  register: job

- name: Collect the scan
  ksysak.fleet.collect:
    job: "{{ job }}"
    scan_id: night
    results: /var/lib/ksysak
    duration: 60
  register: collected
"""

RETURN = r"""
state:
  description:
    - How the scan of this host went. V(scanned), V(unreachable), V(failed) or V(lost) as in the document,
      V(kept) when O(stop=true) found nothing to add, or when this scan was stopped and collected elsewhere, V(checked) in check mode.
  returned: always
  type: str
  sample: scanned
reason:
  description: Why the state is not V(scanned).
  returned: always
  type: str
  sample: ""
path:
  description: The document.
  returned: unless in check mode
  type: str
  sample: /var/lib/ksysak/night/hosts/web1.json
probes:
  description: Status of each probe.
  returned: unless in check mode
  type: dict
  sample:
    memleak: ok
    runlatency: degraded
table:
  description: Lines of text, one for each probe, which say what it could do on this host.
  returned: in check mode
  type: list
  elements: str
"""
