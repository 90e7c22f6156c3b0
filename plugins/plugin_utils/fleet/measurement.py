# SPDX-License-Identifier: GPL-3.0-or-later
"""When and how the fleet was measured, and what that cost."""

from __future__ import annotations

import collections


class Measurement:
    """Adds up the envelopes of all probes of all hosts."""

    def __init__(self) -> None:
        self._probes: dict[str, dict] = {}
        self._first: str | None = None
        self._last: str | None = None

    def add(self, host: str, probes: dict) -> None:
        """probes: {name: envelope} of a host."""
        for name, envelope in probes.items():
            probe = self._probes.setdefault(
                name,
                {
                    "statuses": collections.Counter(), "engines": collections.Counter(), "window_s_min": None, "window_s_max": None,
                    "cpu_s_total": 0.0, "cpu_s_worst": 0.0, "cpu_s_worst_host": None, "max_rss_bytes_worst": 0, "setup_s_worst": 0.0,
                    "lost_events": 0, "lost_events_hosts": 0, "truncated_hosts": 0,
                },
            )  # fmt: skip
            cost = envelope["cost"]
            probe["statuses"][envelope["status"]] += 1
            probe["cpu_s_total"] += cost["cpu_s"]
            if probe["cpu_s_worst_host"] is None or cost["cpu_s"] > probe["cpu_s_worst"]:
                probe.update(cpu_s_worst=cost["cpu_s"], cpu_s_worst_host=host)
            probe["max_rss_bytes_worst"] = max(probe["max_rss_bytes_worst"], cost["max_rss_bytes"])
            probe["setup_s_worst"] = max(probe["setup_s_worst"], cost["setup_s"])
            probe["lost_events"] += cost["lost_events"]
            probe["lost_events_hosts"] += cost["lost_events"] > 0
            probe["truncated_hosts"] += cost["truncated"]
            if envelope["status"] not in ("ok", "degraded"):
                continue
            probe["engines"][envelope["engine"]] += 1
            window_s = envelope["window_s"]
            probe["window_s_min"] = min(window_s, window_s if probe["window_s_min"] is None else probe["window_s_min"])
            probe["window_s_max"] = max(window_s, probe["window_s_max"] or 0.0)
            self._first = min(filter(None, (self._first, envelope["started_at"])))
            self._last = max(filter(None, (self._last, envelope["started_at"])))

    def result(self) -> dict:
        """Return the section 'measurement' of the fleet document."""
        probes = [
            {"probe": name, **probe, "statuses": dict(probe["statuses"]), "engines": dict(probe["engines"].most_common(16))}
            for name, probe in sorted(self._probes.items())
        ]
        return {"first_started_at": self._first, "last_started_at": self._last, "probes": probes}
