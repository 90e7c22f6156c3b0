# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests read of the report's page."""

import base64
import gzip
import json
import re

from ansible_collections.ksysak.fleet.plugins.plugin_utils.results.names import host_file_name


def embedded(page):
    """Return the fleet document that the page holds."""
    return json.loads(gzip.decompress(base64.b64decode(re.search(r'id="fleet">([A-Za-z0-9+/=]+)</script>', page)[1])))


def as_embedded(fleet):
    """The document as the page has it: evidence is beside it, files of hosts are named."""
    for group in fleet["findings"]:
        for member in group["hosts"]:
            del member["evidence"]
    for host in fleet["hosts"]:
        host["file"] = f"hosts/{host_file_name(host['host'])}"
    return fleet
