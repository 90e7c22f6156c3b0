# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# This is a documentation stub: the action plugin of the same name does the work, on the controller.

DOCUMENTATION = r"""
---
module: results
short_description: Open and close the results folder of a scan
version_added: 0.1.0
description:
  - Checks the options of a scan and its results folder before any host is touched, writes C(scan.json) when the scan begins,
    and notes its end.
  - Works on the controller and makes no connection. Use it with C(run_once).
options:
  state:
    description:
      - V(checked) checks the options and that the folder can be written, and writes nothing. It also checks how the play runs (its
        strategy, C(serial)), the names of all variables that begin with C(ksysak_), and the controller's Python packages.
      - V(begun) does the same, makes the folder and writes C(scan.json). The hosts of the scan are the hosts of the play.
      - V(ended) notes the end of the scan in C(scan.json) and counts the documents of hosts.
      - V(found) requires that a scan of this name is there, and changes nothing.
    type: str
    required: true
    choices: [checked, begun, ended, found]
  results:
    description:
      - Folder of all results. The scan is in C(<results>/<scan_id>/).
      - When empty, C(ksysak-results) in the folder of the job's artifacts under ansible-runner (and so AWX), else in the current folder.
    type: path
    default: ""
  scan_id:
    description:
      - Name of the scan. It must be new when O(state=checked) or O(state=begun).
      - When empty, a name of the time and a random number is made; RV(scan_id) has it.
    type: str
    default: ""
  duration:
    description: Length of the window, a whole number of seconds from 1 to 3600. Empty is the default.
    type: raw
    default: 20
  probes:
    description: Names of the probes, as a list or as text with commas between; V(all) stands for every probe, and so does nothing.
    type: raw
    default: all
  probe_options:
    description:
      - Options of probes, by probe and then by option, or the same as text in YAML or JSON.
      - Each probe checks its own, as it does on a host.
    type: raw
    default: {}
  wait:
    description: How many seconds a host may wait for another scan that is running on it, from 0 to 3600. Empty is the default.
    type: raw
    default: 300
  slice:
    description:
      - Name of this slice, mostly its number, where several jobs share a scan. The names of all slices differ.
      - When empty and O(slices) is given, the number of the job in AWX.
    type: raw
    default: ""
  slices:
    description: How many slices the scan has. The report says which never came. Empty or V(0) when that is not known.
    type: raw
    default: ""
  start_at:
    description:
      - When the scan begins, as C(2026-11-23T03:08:00Z) or as seconds since 1970, so that the windows of all slices are the same.
      - With O(state=begun) the task waits until then, a day at most. Empty, or an instant that is past, is now.
    type: raw
    default: ""
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
  - module: ksysak.fleet.collect
"""

EXAMPLES = r"""
- name: Begin the scan
  ksysak.fleet.results:
    state: begun
    results: /var/lib/ksysak
    duration: 60
  run_once: true
  register: begun

- name: End the scan
  ksysak.fleet.results:
    state: ended
    results: /var/lib/ksysak
    scan_id: "{{ begun.scan_id }}"
  run_once: true
"""

RETURN = r"""
scan_id:
  description: Name of the scan.
  returned: success
  type: str
  sample: 20261123T030800Z-5af1
results:
  description: Folder of all results, as an absolute path.
  returned: success
  type: str
  sample: /var/lib/ksysak
folder:
  description: Folder of the scan.
  returned: success
  type: str
  sample: /var/lib/ksysak/20261123T030800Z-5af1
options:
  description: The checked options C(duration_s), C(probes) and C(probe_options).
  returned: O(state=checked) and O(state=begun)
  type: dict
wait_s:
  description: The checked O(wait).
  returned: O(state=checked) and O(state=begun)
  type: int
  sample: 300
started_at:
  description: When the scan began.
  returned: O(state=begun), unless in check mode
  type: str
  sample: "2026-11-23T03:08:00Z"
states:
  description: Number of host documents by state.
  returned: O(state=ended)
  type: dict
  sample:
    scanned: 198
    unreachable: 2
"""
