# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that reports are published to, each a real one, on a free port of the loopback address."""

import contextlib
import pwd
import shutil
import socket
import subprocess
import time

from ansible_collections.ksysak.fleet.tests.conftest import clean_env

NGINX = """
worker_processes 1;
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
    }}
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
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if binary is None:
        raise RuntimeError("nginx is missing: make test-needs installs it (bindep.txt)")
    port = free_port()
    (folder / "root").mkdir(parents=True)
    user = f"user {pwd.getpwuid(folder.stat().st_uid).pw_name};"
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, token=token, user=user))
    with running([binary, "-c", str(config)], port, folder / "nginx.log"):
        yield f"http://127.0.0.1:{port}"


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
