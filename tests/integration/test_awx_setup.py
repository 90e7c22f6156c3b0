# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook awx_setup with the real modules of awx.awx: what it creates is complete, valid and the same after a second run."""

import ast
import calendar
import copy
import json
import re
import time

import jinja2.sandbox
import pytest
import yaml

from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.options import FAIL_ON, FILES
from ansible_collections.ksysak.fleet.plugins.plugin_utils.results import options
from ansible_collections.ksysak.fleet.plugins.plugin_utils.usage import variables
from ansible_collections.ksysak.fleet.tests.integration.awx_api import Awx, served

GIVEN = {
    "ksysak_awx_project_url": "https://git.example.net/fleet.git",
    "ksysak_awx_image": "registry.example.net/ksysak-ee:1",
    "ksysak_awx_inventory": "web fleet",
    "ksysak_awx_credentials": ["root on web"],
    "ksysak_awx_results": "/mnt/ksysak",
    "ksysak_awx_slices": 6,
    "ksysak_awx_notification_type": "email",
    "ksysak_awx_notification_configuration": {
        "host": "mail.example.net",
        "port": 25,
        "recipients": ["ops@example.net"],
        "password": "s3cret-x",
    },
}
THERE = {"organizations": ["Default"], "inventories": ["web fleet"], "credentials": ["root on web"]}
JOBS = {"ksysak-scan", "ksysak-compliance", "ksysak-stop", "ksysak-report", "ksysak-begin"}
# Of AWX's own check of a survey: types of questions, and of their defaults.
QUESTIONS = {"text": str, "textarea": str, "multiplechoice": str, "integer": int}
PLAYED = re.compile(r"changed=(\d+)\s+unreachable=0\s+failed=(\d+)")


@pytest.fixture(scope="module")
def collections(repo, collections_path):
    """The collections path with this collection and awx.awx."""
    found = list((repo / ".cache" / "venv-collections").glob("lib/python3*/site-packages/ansible_collections/awx/awx"))
    assert found, "make test-needs sets it up"
    return f"{collections_path}:{found[0].parents[2]}"


@pytest.fixture(scope="module")
def setup(ansible, collections):
    """``setup(awx, *arguments, **variables)``: run the playbook against these objects; returns what it did and how many tasks changed."""

    def run(awx, *arguments, **changes):
        extra = json.dumps({**GIVEN, **changes})
        with served(awx) as address:
            environment = {"CONTROLLER_HOST": address, "CONTROLLER_OAUTH_TOKEN": awx.token, "ANSIBLE_COLLECTIONS_PATH": collections}
            done = ansible.playbook("ksysak.fleet.awx_setup", "-e", extra, *arguments, **environment)
        played = PLAYED.search(done.stdout)
        return done, int(played[1]) if played else None

    return run


@pytest.fixture(scope="module")
def full(setup):
    """Everything that can be created."""
    awx = Awx(**THERE)
    awx.done, awx.changed = setup(awx, "-v")
    return awx


def test_everything_is_created(full):
    assert full.done.returncode == 0, full.done.stdout
    assert full.changed > 0
    assert set(full.named("job_templates")) == JOBS
    found = {kind: list(full.named(kind)) for kind in ("projects", "execution_environments", "workflow_job_templates", "schedules")}
    assert found == {
        "projects": ["ksysak"],
        "execution_environments": ["ksysak"],
        "workflow_job_templates": ["ksysak-fleet"],
        "schedules": ["ksysak-nightly"],
    }
    for name in JOBS:
        assert full.associated("job_templates", name, "credentials") == ["root on web"]


def test_a_second_run_changes_what_differs_and_nothing_else(full, setup):
    """But AWX shows no secret, so that awx.awx calls a notification with one changed."""
    awx = copy.deepcopy(full)
    done, changed = setup(awx)
    assert (done.returncode, changed) == (0, 1), done.stdout
    done, changed = setup(awx, ksysak_awx_forks=50, ksysak_awx_notification_type="")
    assert (done.returncode, changed) == (0, 1), done.stdout  # one task, with a loop over the templates
    assert {one["forks"] for one in awx.named("job_templates").values()} == {50}
    assert set(awx.named("job_templates")) == JOBS


def test_templates_name_playbooks_that_exist(full, repo):
    for name, template in full.named("job_templates").items():
        assert (repo / template["playbook"]).is_file(), name
        assert json.loads(template["extra_vars"]) == {"ksysak_results": "/mnt/ksysak"}
        assert template["ask_variables_on_launch"] is False


def surveys(awx):
    found = {name: awx.survey("job_templates", name) for name in awx.named("job_templates")}
    found["workflow"] = awx.survey("workflow_job_templates", "ksysak-fleet")
    return {name: survey["spec"] for name, survey in found.items() if survey}


def test_surveys_are_valid_by_the_rules_of_awx(full):
    assert set(surveys(full)) == JOBS - {"ksysak-begin"} | {"workflow"}
    for name, spec in surveys(full).items():
        assert len({question["variable"] for question in spec}) == len(spec) > 0, name
        for question in spec:
            assert {"type", "question_name", "variable", "required"} <= set(question)
            assert question["required"] is False
            default = question["default"]
            assert isinstance(default, QUESTIONS[question["type"]]) and not isinstance(default, bool), question
            if question["type"] == "multiplechoice":
                assert question["default"] in question["choices"]
                assert len(set(question["choices"])) == len(question["choices"])
                continue
            assert type(question["min"]) is type(question["max"]) is int
            size = question["default"] if question["type"] == "integer" else len(question["default"])
            assert question["min"] <= size <= question["max"], question


def test_surveys_ask_for_variables_of_the_collection_with_their_bounds_and_defaults(full, repo):
    specs = [yaml.safe_load((repo / f"roles/{role}/meta/argument_specs.yml").read_text()) for role in ("scan", "report")]
    known = {name: option for spec in specs for name, option in spec["argument_specs"]["main"]["options"].items()}
    for spec in surveys(full).values():
        assert {question["variable"] for question in spec} <= variables.known()
    scan = {question["variable"]: question for question in surveys(full)["ksysak-scan"]}
    for name, question in scan.items():
        default = known[name]["default"]
        shown = {"{}": "", "[]": ""}.get(str(default), default)
        assert question["default"] == (",".join(shown) if isinstance(shown, list) else type(question["default"])(shown)), name
    assert (scan["ksysak_duration"]["min"], scan["ksysak_duration"]["max"]) == (1, options.MAX_DURATION_S)
    assert (scan["ksysak_wait"]["min"], scan["ksysak_wait"]["max"]) == (0, options.MAX_WAIT_S)
    assert scan["ksysak_slices"]["max"] == len(str(options.MAX_SLICES))
    assert scan["ksysak_fail_on"]["choices"] == list(FAIL_ON)
    languages = {"en"} | {path.stem for path in (repo / "roles/report/files/messages").glob("*.json")}
    assert set(scan["ksysak_language"]["choices"]) == languages
    assert scan["ksysak_formats"]["question_description"].split(", with")[0].split(", ") == list(FILES)
    compliance = {question["variable"]: question["default"] for question in surveys(full)["ksysak-compliance"]}
    assert compliance["ksysak_fail_on"] == "incomplete" and compliance["ksysak_baseline"] == "/mnt/ksysak"
    workflow = {question["variable"]: question["default"] for question in surveys(full)["workflow"]}
    assert workflow["ksysak_fail_on"] == "error"


def test_the_workflow_begins_scans_in_slices_and_always_reports(full):
    nodes = full.named("workflow_job_template_nodes")
    templates = {template["id"]: name for name, template in full.named("job_templates").items()}
    assert {name: templates[node["unified_job_template"]] for name, node in nodes.items()} == {
        "begin": "ksysak-begin",
        "scan": "ksysak-scan",
        "report": "ksysak-report",
    }
    scan = nodes["scan"]
    assert (scan["job_slice_count"], scan["job_tags"], scan["extra_data"]) == (6, "scan", {"ksysak_slices": "6"})
    template = full.named("job_templates")["ksysak-scan"]
    assert template["ask_job_slice_count_on_launch"] and template["ask_tags_on_launch"]
    asked = {question["variable"] for question in full.survey("job_templates", "ksysak-scan")["spec"]}
    assert set(scan["extra_data"]) <= asked  # AWX ignores what a template does not ask for
    links = {
        (name, how): full.associated("workflow_job_template_nodes", name, how)
        for name in nodes
        for how in ("success_nodes", "always_nodes")
    }
    assert {link: to for link, to in links.items() if to} == {("begin", "success_nodes"): ["scan"], ("scan", "always_nodes"): ["report"]}
    (schedule,) = full.named("schedules").values()
    assert schedule["unified_job_template"] == full.named("workflow_job_templates")["ksysak-fleet"]["id"]
    assert re.fullmatch(r"DTSTART:\d{8}T\d{6}Z RRULE:FREQ=DAILY;INTERVAL=1", schedule["rrule"])


def test_only_the_last_job_of_the_workflow_notifies(full):
    told = {name for name in JOBS if full.associated("job_templates", name, "notification_templates_error")}
    assert told == {"ksysak-report"}
    assert not any(full.associated("job_templates", name, "notification_templates_success") for name in JOBS)


@pytest.mark.parametrize(
    "artifacts", [{}, {"ksysak_outcome": {"sentence": "2 findings", "scan_id": "night-1", "files": {"html": "/mnt/r.html"}}}]
)
def test_messages_of_the_notification_render_as_in_awx(full, artifacts):
    (notification,) = full.named("notification_templates").values()
    message = notification["messages"]["error"]
    assert notification["messages"]["success"] == message
    job = {"id": 7, "status": "failed", "artifacts": artifacts}
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment()
    shown = {
        name: environment.from_string(text).render(job=job, job_friendly_name="Job", url="https://awx/7") for name, text in message.items()
    }
    assert shown["message"] == ("Job 7 failed: 2 findings" if artifacts else "Job 7 failed: the job made no report")
    assert "\n" not in shown["message"]
    assert "https://awx/7" in shown["body"]
    assert ("/mnt/r.html" in shown["body"]) is bool(artifacts)


def test_no_secret_is_printed(full):
    assert full.named("notification_templates")["ksysak-result"]["notification_configuration"]["password"] == "s3cret-x"
    assert "s3cret-x" not in full.done.stdout + full.done.stderr
    assert full.token not in full.done.stdout + full.done.stderr


def test_the_least_that_must_be_given(setup):
    """Without a volume, a notification or credentials: no workflow, and the schedule starts the template for compliance."""
    awx = Awx(**THERE)
    done, _changed = setup(
        awx, ksysak_awx_results="", ksysak_awx_credentials=[], ksysak_awx_notification_type="", ksysak_awx_notification_configuration={}
    )
    assert done.returncode == 0, done.stdout
    assert set(awx.named("job_templates")) == {"ksysak-scan", "ksysak-compliance", "ksysak-stop"}
    assert not awx.named("workflow_job_templates") and not awx.named("notification_templates")
    (schedule,) = awx.named("schedules").values()
    assert schedule["unified_job_template"] == awx.named("job_templates")["ksysak-compliance"]["id"]


def test_other_names_and_an_inventory_of_the_project(setup, repo):
    spec = yaml.safe_load((repo / "roles/awx_setup/meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    names = {key: f"our {key}" for key in spec["ksysak_awx_names"]["options"]}
    awx = Awx(organizations=["Ops"], credentials=["root on web", "git", "registry"])
    done, _changed = setup(
        awx,
        ksysak_awx_names=names,
        ksysak_awx_organization="Ops",
        ksysak_awx_inventory_file="inventories/web.yml",
        ksysak_awx_project_credential="git",
        ksysak_awx_image_credential="registry",
        ksysak_awx_playbooks="",
        ksysak_awx_notify_on=["error", "success"],
        ksysak_awx_schedule="",
    )
    assert done.returncode == 0, done.stdout
    created = {name for kind in awx.kinds for name in awx.named(kind)} - {"Ops", "root on web", "git", "registry", "web fleet"}
    assert created - {"begin", "scan", "report"} == set(names.values()) - {"our schedule"}
    assert {one["playbook"] for one in awx.named("job_templates").values()} >= {"scan.yml", "awx_begin.yml"}
    (source,) = awx.named("inventory_sources").values()
    assert (source["source"], source["source_path"]) == ("scm", "inventories/web.yml")
    assert awx.associated("job_templates", "our report", "notification_templates_success") == ["our notification"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ksysak_awx_results": "mnt"}, "ksysak_awx_results: 'mnt' is not an absolute path"),
        ({"ksysak_awx_slices": 1001}, "ksysak_awx_slices: 1001 is not a number from 1 to 1000"),
        ({"ksysak_awx_forks": 0}, "ksysak_awx_forks: 0 is not a number of at least 1"),
        ({"ksysak_awx_fail_on": "mild"}, "value of ksysak_awx_fail_on must be one of"),
        ({"ksysak_awx_names": {"scans": "x"}}, "scans"),
    ],
)
def test_mistakes_are_found_before_anything_is_created(setup, changes, text):
    awx = Awx(**THERE)
    done, _changed = setup(awx, **changes)
    assert done.returncode != 0
    assert text in done.stdout
    assert set(awx.kinds) == set(THERE)


def test_without_awx_awx_the_task_names_the_command(ansible):
    """Nobody else needs that collection, and the playbook says how to get it."""
    done = ansible.playbook("ksysak.fleet.awx_setup", "-e", json.dumps(GIVEN), "--syntax-check")
    assert done.returncode == 0, done.stderr
    done = ansible.playbook("ksysak.fleet.awx_setup", "-e", json.dumps(GIVEN))
    assert done.returncode != 0
    assert "ansible-galaxy collection install awx.awx" in done.stdout
    assert "awx.awx.execution_environment" in done.stderr


def test_the_page_has_variables_that_work_and_the_end_of_their_run(ansible, collections, repo, tmp_path):
    page = (repo / "docs" / "awx.md").read_text()
    (given,) = re.findall(r"(?s)```yaml\n(# awx\.yml\n.*?)```", page)
    (tmp_path / "awx.yml").write_text(given)
    (tmp_path / "vault.yml").write_text(json.dumps({"vault_ksysak_mail": GIVEN["ksysak_awx_notification_configuration"]}))
    (command,) = re.findall(r"(?m)^ansible-playbook (ksysak\.fleet\.awx_setup .*)$", page)
    awx = Awx(organizations=["Default"], inventories=["Fleet"], credentials=["root on the fleet"])
    with served(awx) as address:
        environment = {"CONTROLLER_HOST": address, "CONTROLLER_OAUTH_TOKEN": awx.token, "ANSIBLE_COLLECTIONS_PATH": collections}
        done = ansible.playbook(*command.split(), "-e", "@vault.yml", cwd=tmp_path, **environment)
    assert done.returncode == 0, done.stdout
    (recap,) = re.findall(r"(?m)^localhost +: ok=.*$", page)
    assert recap.split() == next(line for line in done.stdout.splitlines() if line.startswith("localhost ")).split()


def test_the_documented_defaults_are_the_ones_in_use(repo):
    role = repo / "roles" / "awx_setup"
    spec = yaml.safe_load((role / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    defaults = yaml.safe_load((role / "defaults/main.yml").read_text())
    assert {name: option["default"] for name, option in spec.items() if not option.get("required")} == defaults
    names = re.search(r"__ksysak_awx_setup_default_names:\n((?:  \w+: .+\n)+)", (role / "vars/main.yml").read_text())[1]
    assert {key: option["default"] for key, option in spec["ksysak_awx_names"]["options"].items()} == yaml.safe_load(names)


def test_the_first_node_names_the_scan_for_the_others(ansible, tmp_path):
    """As AWX reads them: from the statistics of the run."""
    began_s = time.time()
    environment = {"ANSIBLE_SHOW_CUSTOM_STATS": "true", "TZ": "Asia/Shanghai"}
    done = ansible.playbook(
        "ksysak.fleet.awx_begin", "-e", json.dumps({"awx_job_id": 7, "ksysak_start_in": 90}), cwd=tmp_path, **environment
    )
    assert done.returncode == 0, done.stdout
    stats = ast.literal_eval(re.search(r"RUN: (\{.*?\})", done.stdout, re.DOTALL)[1])
    assert re.fullmatch(r"\d{8}T\d{6}Z-7", stats["ksysak_scan_id"])
    # The instant is 90 s after the one in the name, whatever the time zone of the controller.
    begun_s, start_s = (
        calendar.timegm(time.strptime(text, form))
        for text, form in ((stats["ksysak_scan_id"][:16], "%Y%m%dT%H%M%SZ"), (stats["ksysak_start_at"], "%Y-%m-%dT%H:%M:%SZ"))
    )
    assert 90 <= start_s - begun_s < 90 + (end_s := time.time()) - began_s + 1
    assert began_s - 1 <= begun_s <= end_s
