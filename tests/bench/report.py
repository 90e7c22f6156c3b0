# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report costs: time, memory and size by number of hosts, how fast it opens, and ansible-cmdb's page in the same run.

    report.py [--cmdb FOLDER] [HOSTS …]

Hosts are synthesised with the shape of real results (about 20 KB each, 3 % with findings). Each report is made in a process of
its own; the memory is its own and that of the processes it starts, each at its largest. FOLDER: of the commands of a virtual
environment with ansible-cmdb. Its page html_fancy is made of as many hosts with this machine's own facts under their names.
"""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / ".cache" / "import"))
HOST_BYTES = 20000
CMDB_HOSTS = 4000

from ansible_collections.ksysak.fleet.tests import fleet_data as data  # noqa: E402


def stacks():
    """Return call stacks that make a host's document as large as real ones."""
    found = []
    size = len(json.dumps(data.host("web1")))
    while size < HOST_BYTES:
        place = len(found)
        frames = [f"function_{place}_{depth}+0x{16 * depth:x}" for depth in range(16)]
        found.append(data.outstanding(culprit=f"function_{place}", module=None, stack=frames))
        size += len(json.dumps(found[-1])) + 2
    return found


def enlarge(document, more):
    """Return a document with these call stacks beside its own."""
    measured = document["probes"].get("memleak", {}).get("data")
    if measured:
        measured["outstanding"] += more
    return document


def write(root, count, more):
    """Write the results of so many hosts with long names, and of an earlier scan, each with these call stacks beside its own."""
    for folder, share in ((root, 0.03), (root / "before", 0.04)):
        documents = [enlarge(document, more) for document in data.fleet(count, share)]
        for place, document in enumerate(documents):
            document["host"] += f".rack{place % 40:02d}.fra1.prod.corp.example.net"
        data.write(folder, documents)


def make(folder, page, *baseline):
    """In a process of its own: make the report of a folder, and of the changes since a baseline, and print what it took."""
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import evaluated
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import Assets
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html import render

    began = time.monotonic()
    fleet = build(Path(folder), load(), *map(Path, baseline))
    Path(page).write_text(render(fleet, Assets(str(REPO / "roles" / "report")), Path(folder)), encoding="utf-8")
    took = time.monotonic() - began
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = sum((used.ru_utime + used.ru_stime) for used in (own, others))
    print(json.dumps([took, spent, (own.ru_maxrss + min(evaluated.PROCESSES, evaluated._cores()) * others.ru_maxrss) / 1024]))


def opened(page):
    """Return (first paint, ready, a key of the filter, opening a host with all its facts) in milliseconds, in Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page(viewport={"width": 1440, "height": 900})
        tab.goto(page.as_uri())
        tab.wait_for_selector("html[data-ready=yes]", state="attached", timeout=120000)
        ready = tab.evaluate("performance.now()")
        paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        key = tab.evaluate(
            """async () => { const q = document.getElementById('q'); const took = []
            for (const text of ['w', 'we', 'web', 'web-', 'web-0', 'web-00']) { q.value = text; const began = performance.now()
            q.dispatchEvent(new Event('input')); await new Promise((done) => requestAnimationFrame(() => setTimeout(done)))
            took.push(performance.now() - began) } return Math.max(...took) }"""
        )
        host = tab.evaluate(
            """async () => { const took = []
            location.hash = ''; await new Promise((done) => setTimeout(done, 1000))
            const names = [...document.querySelectorAll('#hosts-table a.to-host bdi')].map((name) => name.title || name.textContent)
            for (const name of names) { const began = performance.now()
            location.hash = new URLSearchParams({ host: name })
            while (!document.querySelector('dialog[open] .facts')?.children.length) await new Promise((done) => setTimeout(done))
            await new Promise((done) => requestAnimationFrame(() => setTimeout(done))); took.push(performance.now() - began)
            document.querySelector('dialog .close').click(); await new Promise((done) => setTimeout(done, 50)) }
            return Math.max(...took) }"""
        )
        browser.close()
    return paint, ready, key, host


def own_facts():
    """Return the facts of this machine, as Ansible gathers them."""
    command = [Path(sys.executable).parent / "ansible", "localhost", "-m", "ansible.builtin.setup"]
    said = subprocess.run(command, env={**os.environ, "ANSIBLE_NOCOLOR": "1"}, stdout=subprocess.PIPE, check=True, text=True).stdout
    return json.loads(said[said.index("{") :])


def cmdb(commands, folder, facts, hosts):
    """Return (seconds, MiB, MiB of the page) of ansible-cmdb's html_fancy of as many hosts."""
    for place in range(hosts):
        name = f"web-{place:05d}"
        own = {**facts["ansible_facts"], "ansible_hostname": name, "ansible_fqdn": name, "ansible_nodename": name}
        (folder / name).write_text(json.dumps({**facts, "ansible_facts": own}), encoding="utf-8")
    page = folder.with_suffix(".html")
    began = time.monotonic()
    with page.open("w", encoding="utf-8") as file:
        env = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
        process = subprocess.Popen([commands / "ansible-cmdb", "-t", "html_fancy", folder], stdout=file, env=env)
        _pid, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"ansible-cmdb ended with {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - began, used.ru_maxrss / 1024, page.stat().st_size / 2**20


def main(argv):
    if argv[:1] == ["--make"]:
        make(*argv[1:])
        return
    commands = None
    if argv[:1] == ["--cmdb"]:
        commands, argv = Path(argv[1]).resolve(), argv[2:]
    more = stacks()
    counts = [int(number) for number in argv] or [100, 1000, 4000, 10000]
    facts = own_facts() if commands else None
    if facts:
        print(f"facts for ansible-cmdb: {len(json.dumps(facts))} bytes a host")
    heads = ("hosts", "made s", "CPU s", "MiB used", "page MiB", "paint ms", "ready ms", "key ms", "host ms")
    print("%8s" % heads[0] + "".join(" %10s" % head for head in heads[1:]) + "    cmdb: made s, MiB used, page MiB")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            # In a process of its own: a program that is started begins its peak memory with that of who started it.
            writer = multiprocessing.Process(target=write, args=(root, count, more))
            writer.start()
            writer.join()
            scan, page = root / data.SCAN_ID, root / "report.html"
            command = [sys.executable, __file__, "--make", str(scan), str(page)]
            compared = json.loads(
                subprocess.run([*command, str(root / "before" / data.SCAN_ID)], stdout=subprocess.PIPE, check=True, text=True).stdout
            )
            print("%8d %10.2f %10.2f %10.0f %10.2f    with a baseline" % (count, *compared, page.stat().st_size / 2**20), flush=True)
            figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
            row = "%8d %10.2f %10.2f %10.0f %10.2f" % (count, *figures, page.stat().st_size / 2**20)
            row += "".join(" %10.0f" % took for took in opened(page))
            if facts and count <= CMDB_HOSTS:
                (root / "facts").mkdir()
                row += "    %.2f, %.0f, %.1f" % cmdb(commands, root / "facts", facts, count)
            print(row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
