# SPDX-License-Identifier: GPL-3.0-or-later
"""From an inventory name to a file name."""

from __future__ import annotations

import hashlib
import re

# Lower case only: two names that differ in case must not meet in one file on a file system that ignores case.
ORDINARY = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
NOT_ORDINARY = re.compile(r"[^a-z0-9._-]+")


def host_file_name(host: str) -> str:
    """Return the name of the file, without folders, that holds the document of an inventory host.

    An ordinary name is kept: 'web1.example.org' gives 'web1.example.org.json'. Any other name is made harmless and
    gets a digest after a '~', which no ordinary name contains: 'Web1' gives 'web1~fbb6f4c52c4ee5ae.json'.
    """
    if ORDINARY.fullmatch(host):
        return f"{host}.json"
    readable = NOT_ORDINARY.sub("_", host.lower()).lstrip("._-")[:60]
    digest = hashlib.sha256(host.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{readable}~{digest}.json"
