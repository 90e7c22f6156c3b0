# SPDX-License-Identifier: GPL-3.0-or-later
"""ksysak_publish: every type of destination against a real server, and what is said when one cannot be reached."""

import base64
import email
import hashlib
import json
import re
import socket
import subprocess

import pytest

from ansible_collections.ksysak.fleet.tests import fleet_data as data
from ansible_collections.ksysak.fleet.tests.conftest import Ansible
from ansible_collections.ksysak.fleet.tests.integration import servers

TOKEN = "t0ken-of-nobody"
QUICK = {"retries": 0, "delay": 0}
FILES = ("report.html", "fleet.json")


@pytest.fixture(scope="module")
def bin_dir(repo):
    folder = repo / ".cache" / "venv-collections" / "bin"
    assert folder.is_dir(), "make test-needs sets it up"
    return folder


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder of a scan with a finding."""
    return data.write(tmp_path_factory.mktemp("results"), [data.host("web1", "noisy"), data.host("web2")])


@pytest.fixture(scope="module")
def publish(bin_dir, collections_path, results, tmp_path_factory):
    """``publish(destination…)``: make the report and publish it, with -vvv, so that all that could be shown is."""
    config = tmp_path_factory.mktemp("ansible") / "ansible.cfg"
    config.touch()
    ansible = Ansible(bin_dir, collections_path, config)

    def run(*destinations, env=None, playbook="report", inventory="localhost,", **variables):
        given = {"ksysak_results": str(results), "ksysak_publish": [{**QUICK, **one} for one in destinations], **variables}
        # Not as arguments: those are shown at -vvv, as every command line.
        file = tmp_path_factory.mktemp("variables") / "given.json"
        file.write_text(json.dumps(given))
        done = ansible.playbook(f"ksysak.fleet.{playbook}", "-i", inventory, "-e", f"@{file}", "-vvv", **(env or {}))
        assert TOKEN not in done.stdout + done.stderr
        return done

    return run


def same(path, results):
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256((results / path.name).read_bytes()).digest()


def why(done):
    """Return the message of the last task, without its begin."""
    return re.search(r'"msg": "ksysak_publish: not published to (.*)"', done.stdout)[1]


@pytest.fixture(scope="module")
def web(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nginx")
    with servers.nginx(folder, TOKEN) as address:
        yield address, folder / "root"


def test_folder_and_http(publish, web, results, tmp_path):
    address, root = web
    done = publish(
        {"type": "folder", "path": str(tmp_path / "out")},
        {"type": "http", "url": f"{address}/reports", "headers": {"X-Token": TOKEN}, "formats": ["html"]},
    )
    assert done.returncode == 0, done.stdout
    assert sorted(path.name for path in (tmp_path / "out" / results.name).iterdir()) == sorted(FILES)
    assert all(same(tmp_path / "out" / results.name / name, results) for name in FILES)
    assert [path.name for path in (root / "reports" / results.name).iterdir()] == ["report.html"]
    assert same(root / "reports" / results.name / "report.html", results)


def test_all_are_tried_and_each_failure_is_one_line_without_secrets(publish, web, results, tmp_path):
    address, root = web
    closed = servers.free_port()
    done = publish(
        {"type": "http", "name": "forbidden", "url": address, "username": "me", "password": TOKEN},
        {"type": "http", "name": "full", "url": f"{address}/full", "headers": {"Authorization": f"Bearer {TOKEN}"}},
        {"type": "http", "name": "eats", "url": f"{address}/eats"},
        {"type": "http", "name": "moved", "url": f"{address}/moved", "headers": {"X-Token": TOKEN}},
        {"type": "http", "name": "closed", "url": f"http://127.0.0.1:{closed}/", "headers": {"X-Token": TOKEN}},
        {"type": "folder", "name": "no folder", "path": "/proc/nothing"},
        {"type": "folder", "path": str(tmp_path / "out")},
        env={"ANSIBLE_CALLBACKS_ENABLED": "ksysak.fleet.exit_code"},
    )
    assert done.returncode == 3, done.stdout
    reasons = why(done)
    for name, reason in (
        ("forbidden", "403"),
        ("full", "507"),
        ("eats", "404"),
        ("moved", "307"),
        ("closed", "refused"),
        ("no folder", "/proc"),
    ):
        (one,) = [line for line in reasons.split("; ") if line.startswith(f"{name}: ")]
        assert reason in one, (name, reasons)
    assert all(same(tmp_path / "out" / results.name / name, results) for name in FILES)
    assert not (root / "elsewhere").exists()


def test_post(publish, web):
    address, root = web
    done = publish({"type": "http", "method": "POST", "url": f"{address}/post/in?from=ksysak"})
    assert done.returncode == 0, done.stdout
    log = (root.parent / "access.log").read_text()
    assert log.count('"POST /post/in?from=ksysak HTTP/1.1" 201') == len(FILES)
    assert "HEAD /post" not in log


def test_what_fails_is_tried_again(publish, web, results):
    address, root = web
    lines = (root.parent / "access.log").read_text().count("503")
    watcher = subprocess.Popen(["sh", "-c", f"until grep -q ' 503 ' {root.parent}/access.log; do sleep 0.1; done; touch {root}/ready"])
    try:
        done = publish({"type": "http", "url": f"{address}/flaky", "formats": ["html"], "retries": 20, "delay": 1})
    finally:
        watcher.kill()
        watcher.wait()
    assert done.returncode == 0, done.stdout
    assert (root.parent / "access.log").read_text().count("503") > lines
    assert same(root / "flaky" / results.name / "report.html", results)


def test_a_server_that_never_answers_is_given_up(publish, results, tmp_path):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as silent:
        port = silent.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        mail = {"host": "127.0.0.1", "port": port, "from": "a@b.c", "to": "d@e.f", "secure": "never"}
        bucket = {"bucket": "abc", "endpoint_url": address, "region": "x", "access_key": "a1", "secret_key": TOKEN}
        done = publish(
            {"type": "http", "name": "web", "url": address, "timeout": 1},
            {"type": "mail", "name": "post", **mail, "timeout": 1},
            {"type": "git", "name": "git", "url": address, "branch": "main", "timeout": 1},
            {"type": "s3", "name": "s3", **bucket, "timeout": 1},
            {"type": "folder", "path": str(tmp_path / "out")},
        )
    assert done.returncode == 2, done.stdout
    reasons = dict(one.split(": ", 1) for one in why(done).split("; "))
    assert list(reasons) == ["web", "post", "git", "s3"]
    assert all("timed out" in reason.lower() for reason in reasons.values()), reasons
    assert all(same(tmp_path / "out" / results.name / name, results) for name in FILES)


def test_a_verdict_is_shown_although_the_upload_failed(publish, results, tmp_path):
    done = publish({"type": "folder", "name": "x", "path": "/proc/nothing"}, ksysak_fail_on="warning")
    assert done.returncode == 2
    assert "Not published to x: " in done.stdout
    assert "(ksysak_fail_on: warning)" in done.stdout


HOSTS = """
web1 ansible_connection=local ansible_python_interpreter={python}
web2 ansible_connection=local ansible_python_interpreter={python}
gone ansible_host=127.0.0.1 ansible_port=1
"""


@pytest.fixture
def hosts(bin_dir, tmp_path):
    path = tmp_path / "hosts.ini"
    path.write_text(HOSTS.format(python=bin_dir / "python"))
    return path


def test_folders_of_other_hosts(publish, results, hosts, tmp_path):
    done = publish({"type": "folder", "host": "web2", "path": str(tmp_path / "out")}, inventory=hosts)
    assert done.returncode == 0, done.stdout
    assert "localhost -> web2" in done.stdout
    assert all(same(tmp_path / "out" / results.name / name, results) for name in FILES)
    done = publish({"type": "folder", "name": "there", "host": "gone", "path": str(tmp_path / "none")}, inventory=hosts)
    assert done.returncode == 2, done.stdout
    assert "there: " in why(done)
    assert "port 1" in why(done)
    assert not (tmp_path / "none").exists()


def test_a_scan_publishes_once(publish, hosts, tmp_path):
    repository = tmp_path / "reports.git"
    git("init", "--quiet", "--bare", repository)
    done = publish(
        {"type": "folder", "host": "web2", "path": str(tmp_path / "out")},
        {"type": "git", "url": str(repository), "branch": "main"},
        {"type": "folder", "name": "x", "path": "/proc/nothing"},
        playbook="scan",
        inventory=hosts,
        ksysak_hosts="web*",
        ksysak_probes=["host_health"],
        ksysak_duration=1,
        ksysak_become=False,
        ksysak_results=str(tmp_path / "results"),
        ksysak_scan_id="night",
    )
    assert done.returncode == 2, done.stdout
    assert why(done).startswith("x: ")
    assert all(same(tmp_path / "out" / "night" / name, tmp_path / "results" / "night") for name in FILES)
    assert len(git("-C", repository, "log", "--format=%h", "main").split()) == 1
    wrong = publish({"type": "http"}, playbook="scan", inventory=hosts, ksysak_hosts="web*", ksysak_results=str(tmp_path / "results"))
    assert wrong.returncode != 0
    assert "destination 1 (http): 'url' is missing" in wrong.stdout
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["night"]


@pytest.fixture(scope="module")
def buckets(bin_dir, tmp_path_factory):
    """Address of an S3 server with the bucket 'reports'."""
    with servers.s3(bin_dir, tmp_path_factory.mktemp("s3") / "server") as address:
        script = (
            "import boto3, sys; s = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', "
            "aws_access_key_id='key', aws_secret_access_key='secret'); s.create_bucket(Bucket='reports')"
        )
        subprocess.run([str(bin_dir / "python"), "-c", script, address], check=True)
        yield address


def test_s3(publish, bin_dir, buckets, results, tmp_path):
    common = {"type": "s3", "endpoint_url": buckets, "region": "us-east-1", "access_key": "key-of-nobody", "secret_key": TOKEN}
    done = publish({**common, "bucket": "reports", "prefix": "fleet/prod"})
    assert done.returncode == 0, done.stdout
    script = (
        "import boto3, sys; s = boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', "
        "aws_access_key_id='key', aws_secret_access_key='secret'); s.download_file('reports', sys.argv[2], sys.argv[3])"
    )
    for name in FILES:
        copy = tmp_path / name
        subprocess.run([str(bin_dir / "python"), "-c", script, buckets, f"fleet/prod/{results.name}/{name}", str(copy)], check=True)
        assert same(copy, results)
    done = publish({**common, "bucket": "no-such-bucket", "name": "lost"})
    assert done.returncode == 2
    assert "lost: " in why(done)
    assert "bucket" in why(done).lower()


def test_mail(publish, bin_dir, results, tmp_path):
    with servers.smtp(bin_dir, tmp_path / "smtp") as port:
        done = publish({"type": "mail", "host": "127.0.0.1", "port": port, "from": "ksysak <k@example.net>", "to": ["ops@example.net"],
                        "secure": "never"})  # fmt: skip
    assert done.returncode == 0, done.stdout
    (mail,) = [email.message_from_bytes(path.read_bytes()) for path in (tmp_path / "smtp" / "mails" / "new").iterdir()]
    assert mail["To"] == "ops@example.net"
    body, page = mail.get_payload()
    assert body.get_payload(decode=True).decode().startswith("ERROR: 1 of 2 hosts needs attention.")
    assert page.get_filename() == "report.html"
    assert page.get_payload(decode=True) == (results / "report.html").read_bytes()
    done = publish({"type": "mail", "name": "post", "host": "127.0.0.1", "port": port, "from": "k@example.net", "to": "ops@example.net",
                    "username": "me", "password": TOKEN})  # fmt: skip
    assert done.returncode == 2
    assert "post: " in why(done) and "refused" in why(done)


def git(*arguments):
    return subprocess.run(["git", *map(str, arguments)], check=True, capture_output=True, text=True).stdout


def test_git(publish, results, tmp_path):
    repository = tmp_path / "reports.git"
    git("init", "--quiet", "--bare", repository)
    destination = {
        "type": "git",
        "url": str(repository),
        "branch": "reports/prod",
        "folder": "fleet",
        "author": "Night Scan <scan@example.net>",
    }
    done = publish(destination)
    assert done.returncode == 0, done.stdout
    done = publish({**destination, "folder": "more"})
    assert done.returncode == 0, done.stdout
    assert (
        git("-C", repository, "log", "--format=%an %ae %s", "reports/prod").splitlines()
        == [f"Night Scan scan@example.net ksysak.fleet {results.name}: error"] * 2
    )
    listed = git("-C", repository, "ls-tree", "-r", "--name-only", "reports/prod").split()
    assert listed == sorted(f"{folder}/{results.name}/{name}" for folder in ("fleet", "more") for name in FILES)
    page = git("-C", repository, "show", f"reports/prod:more/{results.name}/fleet.json")
    assert page == (results / "fleet.json").read_text()
    done = publish({**destination, "url": str(tmp_path / "none.git"), "name": "gone"})
    assert done.returncode == 2
    assert "gone: " in why(done)
    assert "does not appear to be a git repository" in why(done)


def test_git_over_https(publish, results, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    # A helper of the user that keeps passwords.
    (home / ".gitconfig").write_text(f"[credential]\n\thelper = store --file {home}/kept\n")
    with servers.git_https(tmp_path / "server", "scan", TOKEN) as address:
        repository = tmp_path / "server" / "git" / "reports.git"
        git("init", "--quiet", "--bare", repository)
        common = {"type": "git", "branch": "main", "username": "scan", "password": TOKEN, "ca_path": f"{tmp_path}/server/certificate.pem"}
        basic = base64.b64encode(f"scan:{TOKEN}".encode()).decode()
        header = {**common, "headers": {"Authorization": f"Basic {basic}"}, "folder": "header"}
        done = publish(
            {**common, "url": f"{address}/reports.git"},
            {**{name: value for name, value in header.items() if name not in ("username", "password")}, "url": f"{address}/reports.git"},
            {**common, "name": "nobody", "url": f"{address}/reports.git", "password": f"not-{TOKEN}"},
            {**common, "name": "untrusted", "url": f"{address}/reports.git", "ca_path": "/etc/hostname"},
            {**common, "name": "moved", "url": f"{address}/moved/reports.git"},
            env={"HOME": str(home)},
        )
        assert basic not in done.stdout + done.stderr
    assert done.returncode == 2, done.stdout
    reasons = dict(one.split(": ", 1) for one in why(done).split("; "))
    assert list(reasons) == ["nobody", "untrusted", "moved"], reasons
    assert "Authentication failed" in reasons["nobody"] and "certificate" in reasons["untrusted"] and "302" in reasons["moved"], reasons
    listed = git("-C", repository, "ls-tree", "-r", "--name-only", "main").split()
    assert listed == sorted(f"{folder}{results.name}/{name}" for folder in ("", "header/") for name in FILES)
    assert git("-C", repository, "show", f"main:{results.name}/fleet.json") == (results / "fleet.json").read_text()
    assert not (home / "kept").exists()


def test_git_over_ssh(publish, bin_dir, results, tmp_path):
    folder = tmp_path / "it's here"
    with servers.git_ssh(bin_dir, folder) as (port, host_key):
        repository = tmp_path / "reports.git"
        git("init", "--quiet", "--bare", repository)
        common = {"type": "git", "branch": "main", "url": f"ssh://git@127.0.0.1:{port}{repository}", "key_file": str(folder / "key")}
        other = f"[127.0.0.1]:{port} {(folder / 'other.pub').read_text().strip()}"
        done = publish(
            {**common, "host_keys": [host_key]},
            {**common, "name": "nobody", "host_keys": host_key, "key_file": str(folder / "other")},
            {**common, "name": "stranger", "host_keys": host_key.replace("127.0.0.1", "other.example.net")},
            {**common, "name": "imposter", "host_keys": [other]},
            {**common, "name": "gone", "host_keys": host_key, "url": f"ssh://git@127.0.0.1:{port}{repository}.not"},
        )
    assert done.returncode == 2, done.stdout
    reasons = dict(one.split(": ", 1) for one in why(done).split("; "))
    expected = {
        "nobody": "Permission denied (publickey)",
        "stranger": "Host key verification failed",
        "imposter": "Host key verification failed",
        "gone": "does not appear to be a git repository",
    }
    assert list(reasons) == list(expected), reasons
    assert all(words in reasons[name] for name, words in expected.items()), reasons
    assert git("-C", repository, "show", f"main:{results.name}/fleet.json") == (results / "fleet.json").read_text()


def test_a_mistake_is_found_before_anything_else(publish):
    done = publish({"type": "http", "ulr": f"http://x/{TOKEN}"}, {"type": "folder", "path": "/x", "host": "nobody"})
    assert done.returncode == 2
    assert "TASK [ksysak.fleet.report : Publish" not in done.stdout
    for part in (
        "destination 1 (http): 'url' is missing",
        "no field 'ulr'; did you mean 'url'?",
        "destination 2 (folder): 'host' is not in the",
    ):
        assert part in done.stdout, done.stdout
