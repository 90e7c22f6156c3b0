# SPDX-License-Identifier: GPL-3.0-or-later
"""A job as AWX runs it on an execution node: ansible-runner transmit | worker | process, each with a folder of its own."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema.validate import validate
from ansible_collections.ksysak.fleet.tests.conftest import clean_env
from ansible_collections.ksysak.fleet.tests.integration.place import LOCAL, Place

pytestmark = pytest.mark.usefixtures("root")

RUNNER = Path(sys.executable).with_name("ansible-runner")
JOB = "42"
# Above this AWX cuts the result of an event.
MOST_OF_AN_EVENT = 700_000


class Job:
    """The three steps. Control node and execution node have nothing in common but the stream between them."""

    def __init__(self, folder, place, repo):
        self.place = place
        self.sent, self.node, self.back = folder / "sent", folder / "node", folder / "back"
        self.elsewhere = folder / "elsewhere"  # where the worker happens to run
        for path in (self.node, self.back, self.elsewhere):
            path.mkdir()
        self._project(repo)

    def _project(self, repo):
        """The project of docs/awx.md, an inventory, and the extra variables that AWX gives to every job."""
        page = (repo / "docs" / "awx.md").read_text()
        playbook = page.split("```yaml\n# scan.yml\n")[1].split("```")[0]
        extra = {"ksysak_duration": 1, "ksysak_probes": "host_health", "awx_job_id": int(JOB)}
        files = {
            "project/scan.yml": playbook,
            "inventory/hosts.json": json.dumps({"all": {"hosts": {"web1": LOCAL}}}),
            "env/extravars": json.dumps(extra),
        }
        for name, text in files.items():
            path = self.sent / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def step(self, command, *args, stdin=b"", **more):
        path = f"{self.place.ansible.bin_dir}:{os.environ['PATH']}"
        env = clean_env(**{**self.place.ansible.env, **self.place.own, "PATH": path})
        done = subprocess.run([RUNNER, command, *args], env=env, input=stdin, capture_output=True, check=False, **more)
        assert done.returncode == 0, (command, done.stderr.decode(), done.stdout.decode()[-3000:])
        return done.stdout

    def run(self):
        request = self.step("transmit", self.sent, "--playbook", "scan.yml", "--ident", JOB)
        answer = self.step("worker", "--private-data-dir", self.node, stdin=request, cwd=self.elsewhere)
        self.output = self.step("process", self.back, "--ident", JOB, stdin=answer).decode()

    @property
    def artifacts(self):
        return self.back / "artifacts" / JOB

    def events(self):
        return [json.loads(path.read_text()) for path in self.artifacts.glob("job_events/*.json")]


@pytest.fixture(scope="module")
def job(tmp_path_factory, ansible, repo):
    folder = tmp_path_factory.mktemp("awx")
    job = Job(folder, Place(folder, ansible, repo), repo)
    job.run()
    return job


def test_report_and_results_come_back_from_the_execution_node(job):
    assert (job.artifacts / "rc").read_text() == "0", job.output
    (folder,) = (job.artifacts / "ksysak-results").iterdir()
    assert {path.name for path in folder.iterdir()} >= {"report.html", "fleet.json", "scan.json", "hosts"}
    scan, host = (json.loads((folder / name).read_text()) for name in ("scan.json", "hosts/web1.json"))
    validate(scan)
    validate(host)
    assert (host["host"], host["state"]) == ("web1", "scanned")
    assert scan["controller"]["awx_job_id"] == JOB
    assert "</html>" in (folder / "report.html").read_text()


def test_nothing_is_written_elsewhere(job):
    assert list(job.elsewhere.iterdir()) == []
    assert {path.name for path in job.node.iterdir()} <= {"artifacts", "env", "inventory", "project"}
    assert {path.name for path in (job.node / "project").iterdir()} == {"scan.yml"}
    job.place.assert_nothing_left()


def test_the_next_nodes_get_the_outcome(job):
    (stats,) = [event["event_data"] for event in job.events() if event["event"] == "playbook_on_stats"]
    outcome = stats["artifact_data"]["ksysak_outcome"]
    (folder,) = (job.artifacts / "ksysak-results").iterdir()
    assert outcome["scan_id"] == folder.name
    assert outcome["hosts"]["scanned"] == 1
    # As paths of the execution node: what follows artifacts/ is the same where they came back.
    back = {name: job.artifacts / Path(path).relative_to(job.node / "artifacts" / JOB) for name, path in outcome["files"].items()}
    assert {"html", "json"} <= set(back)
    assert [name for name, path in back.items() if not path.is_file()] == []


def test_events_are_small_and_the_output_shows_the_digest(job):
    assert max(len(json.dumps(event)) for event in job.events()) < MOST_OF_AN_EVENT
    (folder,) = (job.artifacts / "ksysak-results").iterdir()
    sentence = json.loads((folder / "fleet.json").read_text())["verdict"]["sentence"]
    assert sentence in job.output.replace("\r", "")


def test_a_workflow_of_slices_makes_one_report(ansible, repo, tmp_path):
    """The nodes of the workflow, each with what AWX gives to it: answers of its template, and the artifacts of the nodes before."""
    place = Place(tmp_path, ansible, repo)

    def node(playbook, hosts, *arguments, job, **variables):
        given = {"awx_job_id": job, "ksysak_probes": "host_health", **variables}
        command = place.command(playbook, hosts, *arguments, **given)
        done = ansible.playbook(*command, **place.own, ANSIBLE_SHOW_CUSTOM_STATS="true")
        assert done.returncode == 0, done.stdout
        return done.stdout

    output = node("awx_begin", {}, job=1, ksysak_start_in=0)
    artifacts = ast.literal_eval(re.search(r"RUN: (\{.*?\})", output, re.DOTALL)[1])
    assert set(artifacts) == {"ksysak_scan_id", "ksysak_start_at"}
    for job, host in ((2, "web1"), (3, "web2")):
        node("scan", {host: LOCAL}, "--tags", "scan", job=job, ksysak_slices="2", **artifacts)
    node("report", {}, job=4, **artifacts)
    (folder,) = place.results.iterdir()
    assert folder.name == artifacts["ksysak_scan_id"]
    fleet = json.loads((folder / "fleet.json").read_text())
    assert {host["host"]: host["state"] for host in fleet["hosts"]} == {"web1": "scanned", "web2": "scanned"}
    assert "never came" not in json.dumps(fleet)
