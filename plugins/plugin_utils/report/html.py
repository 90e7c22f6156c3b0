# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import jinja2
import jinja2.sandbox
import markupsafe

from ..fleet.drift import CHANGES
from ..messages import Messages, number
from ..policy.policy import SEVERITIES
from ..results.names import host_file_name
from . import names
from .age import age_text
from .assets import AssetError, Assets
from .details import chunks, packed

WORST = 5
PAGE_BYTES = 4_000_000  # of which details of single hosts take what the rest leaves
DETAILS = "<!-- details -->"
# Text between tags, and text in attributes that people hear: without anything that Jinja fills in, which has _() of its own.
STATIC_TEXT = re.compile(r"(?<=>)([^<>{}%]*[A-Za-z][^<>{}%]*)(?=<)")
STATIC_ATTRIBUTE = re.compile(r'(?<= )(aria-label|placeholder)="([^"<>{}]+)"')


def render(fleet: dict, assets: Assets, folder: Path | None = None) -> str:
    """Return the report as HTML text.

    fleet: a fleet document (schema ksysak.fleet/1); folder: of the scan, whose facts of hosts get into the page as far as they fit,
    None: none. Raises AssetError.
    """
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    domain = names.common_domain([host["host"] for host in fleet["hosts"]])
    environment.filters["number"] = number
    environment.filters["short"] = lambda host: names.short(host, domain)
    styles = [_inline(text) for text in assets.styles]
    scripts = [_inline(text) for text in assets.scripts]
    not_measured = [host for host in fleet["hosts"] if host["coverage"] == "none"]
    shown, evidence = _without_evidence(fleet)
    try:
        page = environment.from_string(_localised(assets.template, assets.translate)).render(
            fleet=fleet,
            language=assets.language,
            domain=domain,
            _=assets.translate,
            many=assets.translate.many,
            messages=markupsafe.Markup(_data(assets.translate.catalog)),
            severities=SEVERITIES,
            changes=CHANGES,
            worst=[group for group in fleet["findings"] if group["severity"] != "info" and not group["part_of"]][:WORST],
            not_measured=not_measured,
            libraries=assets.libraries,
            parts=assets.parts,
            styles=[markupsafe.Markup(text) for text in styles],
            scripts=[markupsafe.Markup(text) for text in scripts],
            policy=_content_policy(styles, scripts),
            age=lambda group: age_text(group, fleet, assets.translate),
            data=packed(shown),
            details=markupsafe.Markup(DETAILS),
        )
    except jinja2.TemplateError as error:
        raise AssetError(f"templates/report.html.j2: {error}") from None
    before, after = page.rsplit(DETAILS, 1)
    parts = [
        f'<script type="application/gzip" id="{name}">{data}</script>'
        for name, data in chunks(fleet, evidence, folder, PAGE_BYTES - len(page.encode("utf-8", "replace")))
    ]
    return "\n".join([before, *parts]) + after


def _without_evidence(fleet: dict) -> tuple[dict, dict[str, dict[str, list]]]:
    """Return (the fleet document without evidence, {host: {id of a finding: its evidence on this host}}).

    What is about one host alone is opened when somebody asks for it. Files of hosts are named, for those whose facts have no room.
    """
    evidence: dict[str, dict[str, list]] = {}
    findings = []
    for group in fleet["findings"]:
        for member in group["hosts"]:
            evidence.setdefault(member["host"], {})[group["id"]] = member["evidence"]
        members = [{name: value for name, value in member.items() if name != "evidence"} for member in group["hosts"]]
        findings.append({**group, "hosts": members})
    hosts = [{**host, "file": f"hosts/{host_file_name(host['host'])}"} for host in fleet["hosts"]]
    return {**fleet, "findings": findings, "hosts": hosts}, evidence


def _localised(template: str, translate: Messages) -> str:
    """Return the template with its own static texts in the language; it is translated before any value gets into it."""
    head, body = template[: template.find("<body>")], template[template.find("<body>") :]

    def text(match: re.Match[str]) -> str:
        key = " ".join(match[1].split())
        return match[1].replace(match[1].strip(), translate.catalog[key]) if key in translate.catalog else match[1]

    body = STATIC_TEXT.sub(text, body)
    return head + STATIC_ATTRIBUTE.sub(lambda match: f'{match[1]}="{translate.catalog.get(match[2], match[2])}"', body)


def _data(value: object) -> str:
    """JSON that can stand inside HTML."""
    return json.dumps(value, ensure_ascii=False).replace("<", "\\u003c")


def _inline(text: str) -> str:
    for end in ("</style", "</script", "<!--"):
        if end in text.lower():
            raise AssetError(f"a file of the report holds '{end}' and cannot stand inside HTML")
    return f"\n{text}\n"


def _content_policy(styles: list[str], scripts: list[str]) -> str:
    """Nothing may be loaded, and nothing may run but these very texts."""
    return "; ".join(
        [
            "default-src 'none'",
            f"script-src {' '.join(map(_hash, scripts))}",
            f"style-src {' '.join(map(_hash, styles))}",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
