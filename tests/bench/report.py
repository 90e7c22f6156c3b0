# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report costs: time, memory and size by number of hosts, how fast it opens, and ansible-cmdb's page in the same run.

    report.py [HOSTS …]

Hosts are synthesised with the shape of real results (about 20 KB each, 3 % with findings). Each report is made in a process of
its own, whose largest memory counts. Goes on without ansible-cmdb where it is not installed, and says so.
"""

import json
import os
import resource
import shutil
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


def make(folder, page):
    """In a process of its own: make the report of a folder and print what it took."""
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import Assets
    from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html import render

    began = time.monotonic()
    Path(page).write_text(render(build(Path(folder), load()), Assets(str(REPO / "roles" / "report"))), encoding="utf-8")
    used_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps([time.monotonic() - began, used_kib / 1024]))


def opened(page):
    """Return (first paint, ready, a key of the filter) in milliseconds, in Chromium."""
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
        browser.close()
    return paint, ready, key


def cmdb(folder, hosts):
    """Return (seconds, bytes) of ansible-cmdb's html_fancy of as many hosts, or None without it."""
    command = shutil.which("ansible-cmdb", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if command is None:
        return None
    facts = folder / "facts"
    facts.mkdir()
    for place in range(hosts):
        system = data.host(f"web-{place:05d}")["system"]
        filler = {f"ansible_{name}_{n}": f"{name} {n} of host {place}" for name in ("lo", "eth0", "sda", "mount") for n in range(100)}
        (facts / f"web-{place:05d}").write_text(
            json.dumps({"ansible_facts": {"ansible_kernel": system["kernel"], **filler}}), encoding="utf-8"
        )
    page = folder / "cmdb.html"
    began = time.monotonic()
    with page.open("w", encoding="utf-8") as file:
        done = subprocess.run([command, "-t", "html_fancy", str(facts)], stdout=file, check=False)
    return (time.monotonic() - began, page.stat().st_size) if done.returncode == 0 else None


def main(argv):
    if argv[:1] == ["--make"]:
        make(*argv[1:])
        return
    more = stacks()
    counts = [int(number) for number in argv] or [100, 1000, 10000]
    print(
        "%8s %10s %10s %10s %12s %10s %12s %s"
        % ("hosts", "made s", "MiB used", "page MiB", "paint ms", "ready ms", "key ms", "cmdb: s, MiB")
    )
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            scan = data.write(root, [enlarge(document, more) for document in data.fleet(count)])
            page = root / "report.html"
            command = [sys.executable, __file__, "--make", str(scan), str(page)]
            took, used = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout)
            paint, ready, key = opened(page)
            beside = cmdb(root, count) if count <= CMDB_HOSTS else None
            said = "%.1f, %.1f" % (beside[0], beside[1] / 2**20) if beside else "not run"
            size = page.stat().st_size / 2**20
            print("%8d %10.2f %10.0f %10.2f %12.0f %10.0f %12.0f %s" % (count, took, used, size, paint, ready, key, said), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
