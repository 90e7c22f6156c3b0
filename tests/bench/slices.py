# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the report of a sliced scan is that of one job: `slices.py [SLICES] [HOSTS] [--recorded FOLDER]`.

By default these are 20 slices of 500 hosts. Makes the report of both with the playbook and compares fleet.json byte by byte, apart from the
time at which it was made. Hosts are synthesised, 3 % with findings; or they are those of the scan in FOLDER, again and again under other
names. Ends with 1 when the documents differ.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPO / ".cache" / "import"))

from ansible_collections.ksysak.fleet.tests import fleet_data as data  # noqa: E402
from ansible_collections.ksysak.fleet.tests.unit.fleet.test_slices import sliced  # noqa: E402

MADE = re.compile(rb'"generated_at": ?"[^"]*"')


def recorded(folder, count):
    """Return so many documents of the hosts of a scan, each under a name of its own."""
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "hosts").glob("*.json"))]
    repeated = enumerate(itertools.islice(itertools.cycle(documents), count))
    return [{**one, "host": f"{one['host']}-{place:05d}", "scan_id": data.SCAN_ID} for place, one in repeated]


def report(folder):
    """Make fleet.json of a scan; return (its bytes without the time, seconds)."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    given = {"ksysak_results": str(folder), "ksysak_formats": ["json"]}
    command = [str(REPO / ".cache/venv/bin/ansible-playbook"), "ksysak.fleet.report", "-i", "localhost,", "-e", json.dumps(given)]
    began_s = time.monotonic()
    done = subprocess.run(command, env={**env, "ANSIBLE_COLLECTIONS_PATH": str(REPO / ".cache" / "collections"), "LC_ALL": "C.UTF-8"},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stdout[-4000:])
    found, times = MADE.subn(b"", (folder / "fleet.json").read_bytes())
    assert times == 1, times
    return found, time.monotonic() - began_s


def main():
    """Return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("slices", type=int, nargs="?", default=20)
    parser.add_argument("hosts", type=int, nargs="?", default=500, help="of each slice")
    parser.add_argument("--recorded", type=Path)
    given = parser.parse_args()
    count = given.slices * given.hosts
    with tempfile.TemporaryDirectory() as temporary:
        whole = data.write(Path(temporary, "whole"), recorded(given.recorded, count) if given.recorded else data.fleet(count))
        parts = sliced(whole, Path(temporary, "sliced"), given.slices)
        (one, one_s), (merged, merged_s) = report(whole), report(parts)
    print(f"{count} hosts in one job: {len(one)} bytes, {one_s:.0f} s; in {given.slices} slices: {len(merged)} bytes, {merged_s:.0f} s")
    if merged == one:
        print("equal byte for byte, apart from the time")
        return 0
    place = next((place for place, (left, right) in enumerate(zip(one, merged, strict=False)) if left != right), min(len(one), len(merged)))
    print(f"they differ from byte {place} on: {one[place - 60 : place + 60]!r} and {merged[place - 60 : place + 60]!r}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
