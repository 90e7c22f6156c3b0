# SPDX-License-Identifier: GPL-3.0-or-later
"""Section 'host_health' of the fleet document: each fact about the health of hosts once, with the hosts that have it."""

from __future__ import annotations

from collections.abc import Iterator

from ..fleet.section import Section as Base
from ..known_bugs.known_bugs import KnownBugs

ROWS = 500
HOSTS = 1000
DETAIL_CHARS = 256

# Lists of the facts: (field, topic, text of the row, what tells one entry of a host from another, fields of the detail).
LISTS = (
    ("ecc", "Memory", "errors counted by {device}", "controller", ("corrected", "uncorrected")),
    ("disks", "Disk", "failed requests of {device}", "device", ("errors", "timeouts", "requests")),
    ("nvme", "NVMe", "health log of {device}", "device", ("warnings", "media_errors", "used_percent", "spare_percent", "unsafe_shutdowns")),
    ("file_systems", "File system", "errors on record on {device}", "device", ("file_system", "errors", "last_at")),
    ("arrays", "Software RAID", "{device} is not whole", "array", ("missing_members", "mismatched_sectors")),
    ("pcie", "PCI Express", "link errors of {device}", "device", ("corrected", "non_fatal", "fatal")),
)


# Facts that are no list: (topic, text of the row).
UNCLEAN = ("Boots", "a boot ended without a shutdown")
BOOTS_UNKNOWN = ("Boots", "no journal reports how earlier boots ended")
NEWER_KERNEL = ("Kernel", "{running} runs, {newest} is installed and waits for a reboot")
REBOOT_ASKED = ("Kernel", "a package that was installed asks for a reboot")
OOPSED = ("Kernel", "oopsed since boot")
WARNED = ("Kernel", "warned since boot")
TAINTED = ("Kernel", "tainted: {flags}")
NO_KEXEC = ("kdump", "this kernel cannot load a crash kernel")
KDUMP_LOADED = ("kdump", "a crash kernel is loaded")
KDUMP_NOT_LOADED = ("kdump", "no crash kernel is loaded, but memory is reserved")
KDUMP_NOT_RESERVED = ("kdump", "no crash kernel is loaded, no memory is reserved")
SETTING = ("Panic settings", "{name} = {value}")
SINGLE = (
    UNCLEAN, BOOTS_UNKNOWN, NEWER_KERNEL, REBOOT_ASKED, OOPSED, WARNED, TAINTED,
    NO_KEXEC, KDUMP_LOADED, KDUMP_NOT_LOADED, KDUMP_NOT_RESERVED, SETTING,
)  # fmt: skip
TOPICS = tuple(dict.fromkeys([*(topic for _field, topic, *_rest in LISTS), *(topic for topic, _text in SINGLE)]))


class Section(Base):
    """Adds up the facts of hosts by what they translate.

    A row is {topic, text, values, host_count, hosts: [{host, detail}]}; text is a key for translation with {names} of values.
    """

    PROBE = "host_health"
    KEY = "host_health"
    TITLE = "Host health"
    TEXTS = frozenset({*TOPICS, *(text for _field, _topic, text, *_rest in LISTS), *(text for _topic, text in SINGLE)} - {SETTING[1]})

    def __init__(self, known_bugs: KnownBugs):
        super().__init__(known_bugs)
        self._hosts = 0
        self._rows: dict[tuple, dict] = {}

    def add(self, host: str, envelope: dict) -> None:
        """Take the facts of one host that was measured."""
        self._hosts += 1
        for topic, text, values, detail in _facts(envelope["data"]):
            key = (topic, text, *sorted(values.items()))
            row = self._rows.setdefault(key, {"topic": topic, "text": text, "values": values, "hosts": {}})
            details = row["hosts"].setdefault(host, [])
            if detail and detail not in details:
                details.append(detail)

    def result(self, groups: list[dict]) -> dict:
        """Return the section: rows by topic, the most common fact first."""
        order = {topic: number for number, topic in enumerate(TOPICS)}
        rows = sorted(self._rows.values(), key=lambda row: (order[row["topic"]], -len(row["hosts"]), sorted(row["values"].items())))
        return {
            "hosts": self._hosts,
            "cut": max(0, len(rows) - ROWS),
            "rows": [
                {
                    **row,
                    "host_count": len(row["hosts"]),
                    "hosts": [
                        {"host": host, "detail": "; ".join(details)[:DETAIL_CHARS]}
                        for host, details in sorted(row["hosts"].items())[:HOSTS]
                    ],
                }
                for row in rows[:ROWS]
            ],
        }


Fact = tuple[str, str, dict[str, str], str]


def _facts(data: dict) -> Iterator[Fact]:
    """Yield (topic, text, values, detail) of each fact of one host."""
    for field, topic, text, name, details in LISTS:
        for entry in data[field]:
            yield topic, text, {"device": str(entry[name])}, _detail(entry, details)
    for boot in data["unclean_boots"] or []:
        yield *UNCLEAN, {}, boot["ended_at"] or ""
    if data["unclean_boots"] is None:
        yield *BOOTS_UNKNOWN, {}, ""
    yield from _kernel(data["kernel"], data["taint"])
    yield from _crash(data["kdump"], data["panic_settings"])


def _detail(entry: dict, fields: tuple[str, ...]) -> str:
    shown = [(name, ", ".join(value) if isinstance(value, list) else value) for name, value in ((name, entry[name]) for name in fields)]
    dimms = [f"{dimm['dimm']} {dimm['corrected']}/{dimm['uncorrected']}" for dimm in entry.get("dimms", [])[:4]]
    return ", ".join([*(f"{name} {value}" for name, value in shown if value not in ("", None)), *dimms])


def _kernel(kernel: dict, taint: dict | None) -> Iterator[Fact]:
    if kernel["reboot_pending"] == "newer_kernel":
        values = {"running": kernel["running"], "newest": str(kernel["newest_installed"])}
        yield *NEWER_KERNEL, values, ""
    elif kernel["reboot_pending"]:
        yield *REBOOT_ASKED, {}, kernel["running"]
    if kernel["oops_count"]:
        yield *OOPSED, {}, str(kernel["oops_count"])
    if kernel["warn_count"]:
        yield *WARNED, {}, str(kernel["warn_count"])
    if taint and taint["flags"]:
        yield *TAINTED, {"flags": " ".join(taint["flags"])}, ""


def _crash(kdump: dict, panic: dict) -> Iterator[Fact]:
    reserved = kdump["reserved_bytes"]
    detail = f"{reserved >> 20} MiB" if reserved else ""
    if kdump["loaded"] is None:
        yield *NO_KEXEC, {}, ""
    elif kdump["loaded"]:
        yield *KDUMP_LOADED, {}, detail
    elif reserved:
        yield *KDUMP_NOT_LOADED, {}, detail
    else:
        yield *KDUMP_NOT_RESERVED, {}, ""
    for name, value in sorted(panic.items()):
        yield *SETTING, {"name": name, "value": str(value)}, ""
