# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernel modules are loaded on which hosts, small enough for any fleet: a bit a host."""

from __future__ import annotations

MODULES = 4000


class Modules:
    """Collects the modules of hosts, host by host."""

    def __init__(self) -> None:
        self._hosts: dict[str, list[str]] = {}

    def add(self, document: dict) -> None:
        """document: of any host."""
        for module in document["system"]["modules"] if document["system"] else []:
            self._hosts.setdefault(module, []).append(document["host"])

    def result(self, hosts: list[str]) -> list[dict]:
        """Return [{module, host_count, hosts}] by name, the most common ones of too many.

        hosts: of the fleet document, in its order; of a module: hexadecimal number whose bit n (the lowest is 0) is the n-th host.
        """
        places = {host: place for place, host in enumerate(hosts)}
        kept = sorted(self._hosts, key=lambda module: (-len(self._hosts[module]), module))[:MODULES]
        listed = []
        for module in sorted(kept):
            bits = bytearray(len(hosts) // 8 + 1)
            for host in self._hosts[module]:
                bits[places[host] // 8] |= 1 << places[host] % 8
            mask = bits[::-1].hex().lstrip("0")
            listed.append({"module": module, "host_count": len(set(self._hosts[module])), "hosts": mask})
        return listed
