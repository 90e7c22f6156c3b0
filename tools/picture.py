# SPDX-License-Identifier: GPL-3.0-or-later
"""Make docs/images/report.png: the report of a fleet of 240 hosts that never were, as Chromium shows it.

    .cache/venv-test/bin/python tools/picture.py

The hosts come from tests/fleet_data.py, with causes that some of them share; the report is the real one.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
import tests.conftest  # noqa: F401,E402,I001 # pylint: disable=unused-import # it makes the import tree, so it comes first

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet.build import build  # noqa: E402
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy  # noqa: E402
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.assets import Assets  # noqa: E402
from ansible_collections.ksysak.fleet.plugins.plugin_utils.report.html import render  # noqa: E402
from ansible_collections.ksysak.fleet.tests import fleet_data as data  # noqa: E402

HOSTS = 240
WIDTH, HEIGHT = 1440, 900
MOST_BYTES = 200 * 1000
ROLES = ("web", "db", "cache", "kafka", "batch", "edge")
KERNELS = (
    ("6.1.0-28-amd64", "Debian GNU/Linux 12 (bookworm)"),
    ("5.14.0-427.13.1.el9_4.x86_64", "Red Hat Enterprise Linux 9.4 (Plow)"),
    ("6.8.0-45-generic", "Ubuntu 24.04.1 LTS"),
)


def _host(number: int, rng: random.Random) -> dict[str, Any]:
    """Return the document of one host; a driver on the edge leaks, some batch hosts are short of CPUs and memory."""
    role = ROLES[number % len(ROLES)]
    name = f"{role}-{number:03d}.example.net"
    if rng.random() < 0.015:
        return data.host(name, rng.choice(["unreachable", "lost"]), rng=rng)
    document = data.host(name, rng=rng)
    kernel, distribution = KERNELS[number % 7 % len(KERNELS)]
    edge = role == "edge"
    document["system"].update(kernel=kernel, distribution=distribution, cpus=rng.choice([4, 8, 16]))
    document["system"]["modules"] = sorted(["ext4", "virtio_net", *(["acme_nic"] if edge else [])])
    document["groups"] = ["all", role]
    probes = document["probes"]
    if edge and rng.random() < 0.6:
        growth = rng.uniform(2e5, 8e5)
        leak = {**data.LEAK, "growth_bytes_per_s": growth, "growth_ci95": [growth * 0.97, growth * 1.03]}
        probes["memleak"] = data.envelope("memleak", data.memleak(data.outstanding(**leak), SUnreclaim=20 * 2**20))
    if role == "batch" and rng.random() < 0.3:
        waits = [data.wait(rng.uniform(2e4, 2e5), comm=rng.choice(["java", "postgres"])) for _wait in range(3)]
        probes["runlatency"] = data.envelope("runlatency", data.runlatency(*waits, rng=rng, scale=8))
    if role in ("batch", "db") and rng.random() < 0.1:
        killed = data.exception(
            kind="oom",
            title="Out of memory: Killed process 4242 (java)",
            culprit=None,
            signature="oom:java",
            trace=[],
            excerpt="Out of memory: Killed process 4242 (java)",
        )
        probes["os_exceptions"] = data.envelope("os_exceptions", data.os_exceptions(killed))
    if rng.random() < 0.02:
        probes["memleak"] = data.envelope("memleak", {}, "skipped", "the Python bindings of bcc are missing", "install python3-bpfcc")
    return document


def _report(folder: Path) -> Path:
    rng = random.Random(16)
    documents = [_host(number, rng) for number in range(HOSTS)]
    scan = data.write(folder, documents)
    page = folder / "report.html"
    page.write_text(render(build(scan, load_policy()), Assets(str(ROOT / "roles" / "report"))), encoding="utf-8")
    return page


def main() -> int:
    target = ROOT / "docs" / "images" / "report.png"
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_path = _report(Path(folder))
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(page_path.as_uri())
        page.wait_for_selector("html[data-ready=yes]", state="attached")
        png = page.screenshot()
        browser.close()
    if len(png) > MOST_BYTES:
        print(f"the picture has {len(png)} bytes, more than {MOST_BYTES}", file=sys.stderr)
        return 1
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(png)
    print(f"{target.relative_to(ROOT)}: {len(png)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
