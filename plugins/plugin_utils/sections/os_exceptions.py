# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernels of the fleet complained of."""

from __future__ import annotations

import collections

from ..fleet.section import Section as Base
from ..known_bugs.known_bugs import KnownBugs

ENTRIES = 500
DAYS = 62  # enough for the month that the page shows, whenever its scan ended
HOSTS = 50
KERNELS = 50


def _title(event: dict) -> str:
    """Return the title, with the name of the host where another host's log holds the event."""
    return f"{event['host']}: {event['title']}"[:512] if event.get("host") else event["title"]


class Section(Base):
    """Adds up the os_exceptions data of hosts by signature."""

    PROBE = "os_exceptions"
    KEY = "exceptions"
    TITLE = "OS exceptions"

    def __init__(self, known_bugs: KnownBugs) -> None:
        super().__init__(known_bugs)
        self._entries: dict[str, dict] = {}
        self._kinds: collections.Counter[str] = collections.Counter()
        self._hosts = 0
        self._unread: collections.Counter[tuple] = collections.Counter()

    def finding_key(self, evidence: dict) -> str | None:
        """Return the signature of the event; None of a rule that is about no event."""
        return evidence["signature"] if isinstance(evidence.get("signature"), str) else None

    def add(self, host: str, envelope: dict) -> None:
        data = envelope["data"]
        self._hosts += 1
        self._kinds.update(data["kinds"])
        for source in data["sources"]:
            if source["status"] == "unread":
                self._unread[source["name"], source["reason"]] += 1
        for event in data["events"]:
            entry = self._entries.setdefault(
                event["signature"],
                {
                    "signature": event["signature"], "kind": event["kind"], "title": _title(event), "culprit": event["culprit"],
                    "hosts": collections.Counter(), "count": 0, "first_seen": None, "last_seen": None, "in_window": False, "newest": None,
                    "kernels": set(), "releases": set(), "seen": {},
                },
            )  # fmt: skip
            entry["hosts"][host] += event["count"]
            entry["seen"][host] = max(filter(None, (entry["seen"].get(host), event["last_seen"])), default=None)
            entry["count"] += event["count"]
            entry["in_window"] = entry["in_window"] or event["in_window"]
            entry["first_seen"] = min(filter(None, (entry["first_seen"], event["first_seen"])), default=None)
            entry["last_seen"] = max(filter(None, (entry["last_seen"], event["last_seen"])), default=None)
            if entry["newest"] is None or (event["last_seen"] or "") > entry["newest"]:
                entry.update(newest=event["last_seen"] or "", excerpt=event["excerpt"], excerpt_host=host, trace=event["trace"])
                entry.update(context=event.get("context", {}), details=event.get("details", {}), called_by=event.get("called_by", []))
            kernel = event.get("context", {}).get("kernel")
            if kernel and len(entry["kernels"]) < KERNELS:
                entry["kernels"].add(kernel)
                entry["releases"].add(event["context"].get("upstream", kernel))

    def result(self, groups: list[dict]) -> dict:
        found = self.by_key(groups)
        listed = []
        for signature, entry in self._entries.items():
            hosts = sorted(entry["hosts"], key=lambda host: (-entry["hosts"][host], host))
            group = found.get(signature)
            days = collections.Counter(at[:10] for at in entry["seen"].values() if at)
            listed.append(
                {
                    **{name: value for name, value in entry.items() if name not in ("newest", "hosts", "kernels", "releases", "seen")},
                    "kernels": sorted(entry["kernels"]),
                    "known": self.known_bugs.match(entry, entry["releases"]),
                    "host_count": len(hosts),
                    "hosts": [
                        {"host": host, "count": entry["hosts"][host], "last_seen": entry["seen"][host]} for host in hosts[:HOSTS]
                    ],
                    "days": {day: days[day] for day in sorted(days)[-DAYS:]},
                    "title": group["title"] if group else entry["title"],
                    "severity": group["severity"] if group else None,
                    "finding": group["id"] if group else None,
                }
            )
        listed.sort(key=lambda entry: (entry["last_seen"] or "", entry["count"]), reverse=True)
        return {
            "hosts": self._hosts,
            "events": listed[:ENTRIES],
            "cut": max(0, len(listed) - ENTRIES),
            "kinds": dict(self._kinds.most_common()),
            "unread": [{"source": name, "reason": reason, "hosts": hosts} for (name, reason), hosts in self._unread.most_common(ENTRIES)],
        }
