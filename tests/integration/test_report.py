# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of many hosts, made by Ansible's own worker process, which has to start others."""

import json

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import evaluated
from ansible_collections.ksysak.fleet.tests import fleet_data as data


def test_a_worker_of_ansible_makes_the_report_of_many_hosts(ansible, tmp_path):
    documents = data.fleet(evaluated.FEW)
    folder = data.write(tmp_path, documents)
    done = ansible.playbook("ksysak.fleet.report", "-i", "localhost,", "-e", json.dumps({"ksysak_results": str(folder)}))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    fleet = json.loads((folder / "fleet.json").read_text())
    assert [host["host"] for host in sorted(fleet["hosts"], key=lambda host: host["host"])] == sorted(host["host"] for host in documents)
    assert fleet["problems"] == []
