# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a schedule stays green: the playbook compliance on this machine, idle and beside ordinary work.

    compliance.py [RUNS] [--loads idle build packages web] [--window 20] [--playbook compliance] [--results FOLDER]

With `--playbook preflight` it is that of pipelines; the last column is how long a run takes beyond its window.
Each load has a results folder, in which its runs follow one another as the nights of a schedule do. Prints a line for each run,
and beneath it each finding and each probe that did not measure fully. Ends with 1 when a run was not green. Needs root, and a built
collection (`make build`). Every load ends with its runs.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
BIN = REPO / ".cache" / "venv" / "bin"
SOURCES = 200  # of a round of the build
CLIENTS = 4
WARM_UP_S = 5
NGINX = """
daemon off; pid {0}/pid; error_log {0}/error.log; user root;
events {{}}
http {{
    access_log {0}/access.log; client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
    uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
    server {{ listen unix:{0}/socket; root {0}/root; keepalive_requests 100; }}
}}
"""


def idle(_folder):
    """Nothing but what the machine does anyway."""
    signal.pause()


def build(folder):
    """Compile with as many jobs as CPUs, byte-compile, pack."""
    text = (REPO / "tests" / "bench" / "loops.c").read_text(encoding="utf-8")
    for number in range(SOURCES):
        (folder / f"{number}.c").write_text(f"#define main main_{number}\n{text}")
    objects = " ".join(f"{number}.o" for number in range(SOURCES))
    (folder / "Makefile").write_text(f"all: {objects}\n%.o: %.c\n\t$(CC) -O2 -g -w -c -o $@ $<\n")
    library = Path(sysconfig.get_path("stdlib")) / "asyncio"
    while True:
        shutil.copytree(library, folder / "library", dirs_exist_ok=True)
        quiet("make", "-C", folder, f"-j{os.cpu_count()}", "-B", "all")
        quiet(sys.executable, "-m", "compileall", "-q", "-f", folder / "library")
        quiet("tar", "czf", folder / "built.tgz", "-C", folder, *objects.split())


def packages(folder):
    """Install packages with dpkg into a root folder of their own, and with pip into new environments. Needs no network."""
    source = folder / "source"
    shutil.copytree(sysconfig.get_path("stdlib"), source / "usr", ignore=shutil.ignore_patterns("site-packages", "__pycache__", "test"))
    (source / "DEBIAN").mkdir()
    control = "Package: ksysak-bench\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: files\n"
    (source / "DEBIAN" / "control").write_text(control)
    quiet("dpkg-deb", "--build", source, folder / "bench.deb")
    root = folder / "root"
    for name in ("info", "updates", "triggers"):
        (root / "var/lib/dpkg" / name).mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    while True:
        quiet("dpkg", f"--root={root}", "--force-script-chrootless", "--install", folder / "bench.deb")
        quiet("dpkg", f"--root={root}", "--force-script-chrootless", "--purge", "ksysak-bench")
        quiet(sys.executable, "-m", "venv", "--clear", folder / "environment")


def web(folder):
    """A web server that answers some clients as fast as they ask, with small and large files."""
    (folder / "root").mkdir()
    (folder / "root" / "small").write_bytes(b"x" * 2000)
    (folder / "root" / "large").write_bytes(b"x" * 2_000_000)
    (folder / "nginx.conf").write_text(NGINX.format(folder))
    clients = [threading.Thread(target=ask, args=(folder / "socket",), daemon=True) for _unused in range(CLIENTS)]
    with subprocess.Popen(["nginx", "-c", folder / "nginx.conf"]) as server:
        while not (folder / "socket").exists():
            if server.poll() is not None:
                raise SystemExit(f"nginx ended: {(folder / 'error.log').read_text()}")
            time.sleep(0.1)
        for client in clients:
            client.start()
        server.wait()


def ask(address):
    """Ask for files without end, with a new connection now and then."""
    while True:
        urls = ["http://localhost/small"] * 50 + ["http://localhost/large"]
        quiet("curl", "--silent", "--unix-socket", address, *[part for url in urls for part in (url, "--output", os.devnull)])


LOADS = {load.__name__: load for load in (idle, build, packages, web)}


def quiet(*command):
    """Run a command of a load; end the load when it fails."""
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{command[0]}: {done.stdout[-2000:]}")


@contextlib.contextmanager
def working(name):
    """A load as long as the context lasts; yields its process."""
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen([sys.executable, __file__, "--load", name, folder], start_new_session=True)
        try:
            time.sleep(WARM_UP_S)
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def comply(playbook, results, window_s):
    """Run the playbook; return (exit code, seconds, fleet document)."""
    local = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    given = {**local, "ksysak_results": str(results), "ksysak_duration": window_s}
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    own = {"ANSIBLE_COLLECTIONS_PATH": str(REPO / ".cache" / "collections"), "ANSIBLE_PIPELINING": "true", "LC_ALL": "C.UTF-8"}
    command = [str(BIN / "ansible-playbook"), f"ksysak.fleet.{playbook}", "-i", "localhost,", "-e", json.dumps(given)]
    before, began_s = set(results.iterdir()), time.monotonic()
    done = subprocess.run(command, env={**env, **own}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)  # fmt: skip
    took_s = time.monotonic() - began_s
    made = [path for path in set(results.iterdir()) - before if (path / "fleet.json").is_file()]
    if len(made) != 1:
        raise SystemExit(f"no report: {done.stdout[-4000:]}")
    return done.returncode, took_s, json.loads((made[0] / "fleet.json").read_text(encoding="utf-8"))


def show(name, number, code, beyond_s, fleet):
    """Print a run."""
    verdict = "green" if code == 0 else "RED"
    print(f"{name:9} {number:3}  {verdict:6} {fleet['verdict']['level']:11} {len(fleet['findings']):8}  {beyond_s:8.1f}", flush=True)
    for finding in fleet["findings"]:
        print(f"{'':15}{finding['severity']:9} {finding['rule']}: {finding['title']}")
    for host in fleet["hosts"]:
        if host["state"] != "scanned":
            print(f"{'':15}{host['state']:9} {host['reason']}", flush=True)
        for probe, state in host["probes"].items():
            if state["status"] != "ok":
                print(f"{'':15}{state['status']:9} {probe} ({state['cost']['lost_share']:.2%} lost): {state['reason']}", flush=True)


def main():
    """Return the exit code."""
    if sys.argv[1:2] == ["--load"]:
        LOADS[sys.argv[2]](Path(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=int, nargs="?", default=10)
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS))
    parser.add_argument("--window", type=int, default=20)
    parser.add_argument("--playbook", choices=("compliance", "preflight"), default="compliance")
    parser.add_argument("--results", type=Path, help="keep the results here")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    red = 0
    with tempfile.TemporaryDirectory() as temporary:
        print(f"{'load':9} {'run':>3}  {'':6} {'verdict':11} {'findings':>8}  {'beyond s':>8}")
        for name in given.loads:
            results = (given.results or Path(temporary)).resolve() / name
            results.mkdir(parents=True, exist_ok=True)
            with working(name) as load:
                for number in range(1, given.runs + 1):
                    code, took_s, fleet = comply(given.playbook, results, given.window)
                    red += code != 0
                    show(name, number, code, took_s - given.window, fleet)
                    if load.poll() is not None:
                        raise SystemExit(f"the load {name} ended")
    print(f"{red} of {given.runs * len(given.loads)} runs were not green")
    return int(red > 0)


if __name__ == "__main__":
    sys.exit(main())
