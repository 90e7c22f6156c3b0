# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that reports are published to, each a real one, on a free port of the loopback address."""

import contextlib
import pwd
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.ksysak.fleet.tests.conftest import clean_env

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 100m;
    server {{
{server}    }}
}}
"""
# What a server does, within the above.
FOLDER_SERVER = """\
        listen 127.0.0.1:{port};
        root {folder}/root;
        location / {{
            if ($http_x_token != "{token}") {{ return 403; }}
            dav_methods PUT;
            create_full_put_path on;
        }}
        location /flaky/ {{
            # The first request for a file is refused, as by a server that restarts: the next one finds the file that the error page is.
            if (!-f {folder}/root/ready) {{ return 503; }}
            dav_methods PUT;
            create_full_put_path on;
        }}
        location /full/ {{
            return 507;
        }}
        location /eats/ {{
            # Accepts and keeps nothing.
            if ($request_method = PUT) {{ return 201; }}
            return 404;
        }}
        location /post/ {{
            if ($request_method = POST) {{ return 201; }}
            return 405;
        }}
        location /moved/ {{
            return 307 http://127.0.0.1:{port}/elsewhere/;
        }}
"""
GIT_SERVER = """\
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {folder}/certificate.pem;
        ssl_certificate_key {folder}/key.pem;
        location / {{
            auth_basic git;
            auth_basic_user_file {folder}/users;
            proxy_set_header X-User $remote_user;
            proxy_pass http://127.0.0.1:{backend};
        }}
        location /moved/ {{
            rewrite ^/moved/(.*) https://127.0.0.1:{port}/$1 redirect;
        }}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(process, port, log):
    """Wait until the server listens. The limit is only a safety net."""
    end = time.monotonic() + 300
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args[0]} ended: {log.read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{process.args[0]} does not listen: {log.read_text()}")


@contextlib.contextmanager
def running(command, port, log, **env):
    """A server as long as the context lasts."""
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=clean_env(**env), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        _wait(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def nginx(folder, token):
    """nginx with its DAV module; yields its address. Requests need the header X-Token."""
    (folder / "root").mkdir(parents=True)
    with _nginx(folder, FOLDER_SERVER, token=token) as port:
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _nginx(folder, server, **values):
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if binary is None:
        raise RuntimeError("nginx is missing: make test-needs installs it (bindep.txt)")
    port, path = free_port(), folder / "nginx.conf"
    user = f"user {pwd.getpwuid(folder.stat().st_uid).pw_name};"
    path.write_text(NGINX.replace("{server}", server).format(folder=folder, port=port, user=user, **values))
    with running([binary, "-c", str(path)], port, folder / "nginx.log"):
        yield port


@contextlib.contextmanager
def git_https(folder, user, password):
    """Git's own CGI program behind nginx with TLS; yields its address. folder: gets certificate.pem; repositories are in its 'git'."""
    (folder / "git").mkdir(parents=True)
    (folder / "users").write_text(f"{user}:{{PLAIN}}{password}\n")
    certificate = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem"), "-days", "2"]
    subject = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc", *certificate, *subject]
    subprocess.run(made, check=True, capture_output=True)
    backend = free_port()
    command = [sys.executable, str(Path(__file__).with_name("git_cgi.py")), str(backend), str(folder / "git")]
    with running(command, backend, folder / "cgi.log"), _nginx(folder, GIT_SERVER, backend=backend) as port:
        yield f"https://127.0.0.1:{port}"


@contextlib.contextmanager
def git_ssh(bin_dir, folder):
    """An SSH server for Git; yields (port, its line of known_hosts). folder: gets the key of a user, 'key', and of nobody, 'other'."""
    folder.mkdir()
    for name in ("host", "key", "other"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / name)], check=True)
    port = free_port()
    script = Path(__file__).with_name("git_ssh.py")
    command = [str(bin_dir / "python"), str(script), str(port), str(folder / "host"), str(folder / "key.pub")]
    with running(command, port, folder / "ssh.log"):
        yield port, f"[127.0.0.1]:{port} {(folder / 'host.pub').read_text().strip()}"


@contextlib.contextmanager
def s3(bin_dir, folder):
    """moto's server, which speaks S3; yields its address."""
    port = free_port()
    folder.mkdir()
    with running([str(bin_dir / "moto_server"), "-H", "127.0.0.1", "-p", str(port)], port, folder / "moto.log"):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def smtp(bin_dir, folder):
    """aiosmtpd, which puts each mail into the Maildir folder/mails; yields its port."""
    port = free_port()
    folder.mkdir()
    command = [
        str(bin_dir / "python"),
        "-m",
        "aiosmtpd",
        "-n",
        "-l",
        f"127.0.0.1:{port}",
        "-c",
        "aiosmtpd.handlers.Mailbox",
        str(folder / "mails"),
    ]
    with running(command, port, folder / "smtp.log"):
        yield port
