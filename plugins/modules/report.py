# SPDX-License-Identifier: GPL-3.0-or-later
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# This is a documentation stub: the action plugin of the same name does the work, on the controller.

DOCUMENTATION = r"""
---
module: report
short_description: Make the report of a scan
version_added: 0.1.0
description:
  - Reads the results folder of one scan, evaluates the policies for every host, and writes one self-contained HTML file and the same
    content for machines. Shows a digest of a few lines.
  - Works on the controller, touches no host and makes no connection. It can be repeated at any time, also with another policy.
  - Hosts without a result, and files that are cut, empty or edited, never stop a report. They are in it, with the reason.
  - The role P(ksysak.fleet.report#role) calls it with the template and the files that it needs.
options:
  state:
    description:
      - V(made) makes the report.
      - V(checked) checks all options but O(results) and O(scan_id), reads policies and known bugs, and writes nothing. No scan is needed.
    type: str
    choices: [made, checked]
    default: made
  results:
    description:
      - Folder of one scan, or the folder of all results.
      - When empty, C(ksysak-results) in the folder of the job's artifacts under ansible-runner (and so AWX), else in the current folder.
    type: path
    default: ""
  scan_id:
    description:
      - Which scan of O(results).
      - When empty, the one that began last.
    type: str
    default: ""
  dest:
    description: Path of the HTML file. The default is C(report.html) in the folder of the scan.
    type: path
  json_dest:
    description: Path of the JSON file. The default is C(fleet.json) beside the HTML file.
    type: path
  formats:
    description:
      - What to write. All but V(html) and V(json) have fixed names, beside the HTML file.
      - V(findings) is C(findings.json) with summary, evidence and next steps of each finding, and text of hosts kept apart, for programs
        that read texts.
      - V(junit) is C(junit.xml), V(sarif) is C(findings.sarif), V(csv) is C(findings.csv), V(digest) is C(digest.txt),
        V(codequality) is C(codequality.json) for GitLab.
    type: list
    elements: str
    choices: [html, json, findings, junit, sarif, csv, digest, codequality]
    default: [html, json]
  baseline:
    description:
      - Folder of an earlier scan to compare with, or of all results, of which the last scan before this one is taken.
      - V(last) is the last complete scan in the folder that holds this one.
      - The report evaluates the same policy for both scans.
    type: path
  history:
    description:
      - Folder of all results, whose earlier scans show growth of memory that is too slow for a window.
      - The default is the folder that holds the folder of the scan. At most 50 scans are compared.
    type: path
  language:
    description: Language of the report, V(en), V(zh) or another one that the role has messages of.
    type: str
    default: en
  fail_on:
    description:
      - The mildest verdict that is not good enough. The task itself never fails by it, it returns RV(passed).
      - A fleet without measurements fails for every value but V(never).
    type: str
    choices: [never, fatal, critical, error, warning, incomplete]
    default: never
  min_hosts:
    description:
      - How many hosts must have been scanned, as a number or as a percentage of all hosts of the scan, as V(90%).
      - The task itself never fails by it, it returns RV(enough_hosts).
    type: raw
    default: 1
  only_new:
    description:
      - Whether only findings that are new or worse since O(baseline) decide about RV(passed) and RV(exit_code). The report has all
        findings.
      - Without an earlier scan to compare with, all findings decide.
    type: raw
    default: false
  policies:
    description:
      - Policy files. When empty, the one that comes with the collection.
      - V(default) and V(compliance) stand for the shipped ones in the list.
    type: list
    elements: path
    default: []
  policy_overrides:
    description:
      - Changes to the rules, by rule and then by parameter. C(enabled) switches a rule off, C(severity) sets its severity.
      - Under C(groups) and C(hosts) are the same changes for some hosts only, by group and by pattern of names.
      - Text is read as YAML or JSON.
    type: raw
    default: {}
  known_bugs:
    description:
      - Files with kernel bugs of your own, looked up before those that come with the collection.
      - A bug of the same C(id) replaces the one of the collection.
    type: list
    elements: path
    default: []
  runbooks:
    description:
      - Address of your runbooks. Each finding links to it with the id of its rule at the end. It begins with C(https://).
      - When empty, there are no such links.
    type: str
    default: ""
  publish:
    description:
      - Where the role P(ksysak.fleet.report#role) brings the files, as a list of destinations or its text in YAML or JSON. This task only
        checks them. Messages name fields and never their values.
    type: raw
    default: []
  assets:
    description: Folder with C(templates/report.html.j2), C(files/vendor.json) and the files of the report, as the role has it.
    type: path
    required: true
attributes:
  check_mode:
    description: In check mode the module reads and evaluates everything and writes nothing.
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
  - plugin: ksysak.fleet.findings
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Make the report of the last scan again, with another threshold
  ksysak.fleet.report:
    results: ksysak-results
    assets: "{{ role_path }}"
    policy_overrides:
      runq-latency:
        delay_us: 50000
  delegate_to: localhost
  run_once: true

- name: Make the report of a scan with the growth of memory since the scans of another folder
  ksysak.fleet.report:
    results: /tmp/scan/20261123T030800Z-4f1c
    history: /srv/ksysak-results
    assets: "{{ role_path }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
scan_id:
  description: Name of the scan.
  returned: success
  type: str
  sample: 20261123T030800Z-4f1c
results:
  description: Folder of the scan.
  returned: success
  type: str
  sample: /srv/ksysak-results/20261123T030800Z-4f1c
report:
  description: Path of the HTML file.
  returned: when O(formats) has V(html)
  type: str
  sample: /srv/ksysak-results/20261123T030800Z-4f1c/report.html
fleet:
  description: Path of the JSON file, a document of the schema C(ksysak.fleet/1).
  returned: when O(formats) has V(json)
  type: str
  sample: /srv/ksysak-results/20261123T030800Z-4f1c/fleet.json
files:
  description: What was written (in check mode, would be), by format.
  returned: success
  type: dict
  sample: {html: {path: /srv/ksysak-results/20261123T030800Z-4f1c/report.html, bytes: 612340}}
report_bytes:
  description: Size of the HTML file.
  returned: success
  type: int
  sample: 612340
verdict:
  description: What the report says first.
  returned: success
  type: dict
  contains:
    level:
      description:
        - The worst severity that was found (V(fatal), V(critical), V(error) or V(warning)), or V(clear).
        - V(incomplete) without findings when not everything was measured, V(unknown) when nothing was.
      type: str
      returned: success
      sample: incomplete
    sentence:
      description: The verdict in words.
      type: str
      returned: success
      sample: "Incomplete: no findings on 47 of 50 hosts, but 3 of 50 hosts were not scanned."
    notes:
      description: What else one must know to interpret it.
      type: list
      elements: str
      returned: success
      sample: ["3 hosts could not be reached."]
passed:
  description: Whether the verdict is good enough for O(fail_on).
  returned: success
  type: bool
  sample: true
decisive:
  description:
    - What decided, C(level) as in RV(verdict), C(findings) (at most 20, each with rule, severity, title,
      host_count and C(rollout), sentences on hosts with and without a kernel or module) and C(total).
  returned: success
  type: dict
  sample:
    level: warning
    total: 1
    findings: [{rule: runq-latency, severity: warning, title: p99 run-queue latency is 31 ms, host_count: 3, rollout: []}]
exit_code:
  description:
    - V(0) when RV(passed) and RV(enough_hosts), V(2) for findings, V(3) when not everything was measured or too few hosts were scanned.
    - The callback P(ksysak.fleet.exit_code#callback) makes it the exit code of C(ansible-playbook).
  returned: success
  type: int
  sample: 0
outcome:
  description:
    - For the next node of a workflow, with scan_id, level, sentence, hosts, findings, worst_hosts (at most 20) and files.
      The role sets it as the statistic C(ksysak_outcome), with C(not_published), the reasons why destinations were not reached.
  returned: success
  type: dict
enough_hosts:
  description: Whether as many hosts were scanned as O(min_hosts) wants.
  returned: success
  type: bool
  sample: true
drift:
  description: Number of findings, one for each host, by what became of them since O(baseline). Empty without one.
  returned: success
  type: dict
  sample: {new: 2, worse: 0, unchanged: 14, better: 1, resolved: 3, rebooted: 0, not_measured_now: 0, not_measured_before: 0}
hosts:
  description: Number of hosts by state, and by how much of them was measured.
  returned: success
  type: dict
  sample: {total: 50, scanned: 47, unreachable: 3, failed: 0, lost: 0, missing: 0, unreadable: 0,
    coverage_full: 47, coverage_partial: 0, coverage_none: 3}
findings:
  description: Number of findings by severity. One that is on many hosts counts once.
  returned: success
  type: dict
  sample: {fatal: 0, critical: 1, error: 0, warning: 2, info: 0}
problems:
  description: Number of files that could not be used and rules that could not be evaluated. The report names them.
  returned: success
  type: int
  sample: 0
digest:
  description: The report in a few lines for a terminal.
  returned: success
  type: list
  elements: str
  sample: ["CLEAR: All clear: nothing was found on 50 of 50 hosts in a window of 20 s."]
"""
