# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# This is a documentation stub: the action plugin of the same name does the work, on the controller.

DOCUMENTATION = r"""
---
module: selftest
short_description: Compare what the probes reported of injected leaks and delays with the ground truth, and write the verdicts
version_added: 0.1.0
description:
  - Compares the result of a scan with the ground truth of what was injected while it ran.
  - Works on the controller alone; no host is asked. The role P(ksysak.fleet.selftest#role) uses it.
options:
  state:
    description:
      - V(compared) returns the verdicts of the cases of one round.
      - V(written) writes the document of this host, C(<results>/<scan_id>/selftest/<host>.json).
    type: str
    required: true
    choices: [compared, written]
  cases:
    description: What was injected, for V(compared); the verdicts of all rounds, for V(written).
    type: list
    elements: dict
    required: true
  injected:
    description: Results of the injectors, one for each case, each with its case as C(item).
    type: list
    elements: dict
    default: []
  job:
    description: Result of M(ksysak.fleet.scan).
    type: dict
    default: {}
  truth:
    description: Result of M(ksysak.fleet.ground_truth), which watched that scan.
    type: dict
    default: {}
  results:
    description: Folder of all results. Required for O(state=written).
    type: path
  scan_id:
    description: Name of the self-test, and of its folder. Required for O(state=written).
    type: str
  system:
    description: The host's system, as a compared round returns it.
    type: dict
    default: {}
  reason:
    description: Why the self-test did not come to its end.
    type: str
    default: ""
  before:
    description: Result of M(ksysak.fleet.ground_truth) before anything was injected.
    type: dict
    default: {}
  after:
    description: Result of M(ksysak.fleet.ground_truth) after all was removed.
    type: dict
    default: {}
  removed:
    description: Results of M(ksysak.fleet.leak_injector) that removed the leaks, of each round.
    type: list
    elements: dict
    default: []
attributes:
  check_mode:
    description: Is to be left out in check mode, in which there is nothing to compare.
    support: none
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check mode), when in diff mode.
    support: none
  action:
    description: Has an action plugin, which does the work on the controller.
    support: full
author:
  - ksysak.fleet maintainers (@ksysak)
seealso:
  - module: ksysak.fleet.ground_truth
  - module: ksysak.fleet.leak_injector
  - module: ksysak.fleet.latency_injector
"""

EXAMPLES = r"""
- name: Compare a round
  ksysak.fleet.selftest:
    state: compared
    cases: "{{ cases }}"
    injected: "{{ leaks.results }}"
    job: "{{ scan }}"
    truth: "{{ truth }}"
  register: compared
"""

RETURN = r"""
cases:
  description: The cases with their verdicts, as in the document.
  returned: when O(state=compared)
  type: list
  elements: dict
system:
  description: The system of the host as the scan saw it.
  returned: when O(state=compared)
  type: dict
path:
  description: The document.
  returned: when O(state=written)
  type: str
  sample: /var/lib/ksysak/night/selftest/web1.json
probes:
  description: Verdict of each probe.
  returned: when O(state=written)
  type: dict
  sample:
    memleak: passed
    runlatency: degraded
left:
  description: What was left on the host; V(none) when nobody could look.
  returned: when O(state=written)
  type: list
  elements: str
table:
  description: The verdicts as lines of text.
  returned: when O(state=written)
  type: list
  elements: str
"""
