# SPDX-License-Identifier: GPL-3.0-or-later
"""Does each host of each finding have its own title, severity and evidence in the page of a report?

    pairs.py PAGE FOLDER

PAGE: report.html; FOLDER: of its scan. The shipped policy evaluates each host's file anew, alone, and what it says is compared with the
page. Evidence of hosts that the page has no room for is counted apart.
"""

import base64
import gzip
import json
import re
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(REPO / ".cache" / "import"))

from ansible_collections.ksysak.fleet.plugins.plugin_utils.fleet import load  # noqa: E402
from ansible_collections.ksysak.fleet.plugins.plugin_utils.policy.policy import load as load_policy  # noqa: E402

EACH = 64  # hosts of one part of the evidence
KEPT = 3  # pieces of evidence of a finding on a host


def _unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def _packed_parts(page):
    """Return {id: content} of the packed parts of a page."""
    return dict(re.findall(r'<script type="application/gzip" id="([a-z0-9-]+)">([A-Za-z0-9+/=]+)</script>', page))


def _own(folder, policy, scan_id):
    """Return {(host, signature): (worst severity, titles of that severity, evidence)} of the files of hosts."""
    own = {}
    for path in load.host_files(folder):
        _name, document, _reason = load.read_host(path, scan_id)
        for finding in policy.findings(document)[0] if document else []:
            own.setdefault((document["host"], finding["signature"]), []).append(finding)
    return own


def compare(page, folder, policy=None):
    """Return {'pairs', 'same', 'without_room': numbers, 'wrong': list of (host, signature, what)}.

    page: text of the report; folder: of its scan; policy: that made it.
    """
    parts = _packed_parts(page)
    fleet = _unpacked(parts["fleet"])
    places = {host["host"]: place for place, host in enumerate(fleet["hosts"])}
    own = _own(folder, policy or load_policy(), fleet["scan"]["scan_id"])
    evidence = {}
    counts = {"pairs": len(own), "same": 0, "without_room": 0, "wrong": []}
    shown = {(member["host"], group["signature"]): (group["id"], member) for group in fleet["findings"] for member in group["hosts"]}
    counts["wrong"] += [(*pair, "is not in any file") for pair in shown.keys() - own.keys()]
    for pair, findings in own.items():
        if pair not in shown:
            counts["wrong"].append((*pair, "is not in the page"))
            continue
        finding, member = shown[pair]
        part, place = divmod(places[pair[0]], EACH)
        name = f"evidence-{part}"
        if name in parts and name not in evidence:
            evidence[name] = _unpacked(parts[name])
        wrong = _difference(member, findings, evidence[name][place].get(finding, []) if name in parts else None)
        counts["without_room"] += name not in parts
        counts["same"] += not wrong
        counts["wrong"] += [(*pair, wrong)] if wrong else []
    return counts


def _difference(member, findings, evidence):
    """Return what of a member of a finding is not the host's own; '' for nothing. evidence: of the page, None: it has no room."""
    if (member["severity"], member["title"]) not in {(one["severity"], one["title"]) for one in findings}:
        return "has another title or severity"
    if member["count"] != len(findings):
        return "has another number"
    theirs = [one["evidence"] for one in findings]
    if evidence is not None and (len(evidence) != min(KEPT, len(theirs)) or not all(one in theirs for one in evidence)):
        return "has other evidence"
    return ""


def main(argv):
    counts = compare(Path(argv[0]).read_text(encoding="utf-8"), Path(argv[1]))
    share = 100 * counts["same"] / counts["pairs"] if counts["pairs"] else 100
    print(f"pairs {counts['pairs']}, own title, severity and evidence {share:.1f} %; evidence in files alone {counts['without_room']}")
    for wrong in counts["wrong"][:20]:
        print(*wrong)
    return bool(counts["wrong"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
