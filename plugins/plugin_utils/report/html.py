# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re

import jinja2
import jinja2.sandbox
import markupsafe

from ..fleet.drift import CHANGES
from ..messages import Messages
from ..policy.policy import SEVERITIES
from . import names
from .assets import AssetError, Assets

WORST = 5
# Text between tags, and text in attributes that people hear: without anything that Jinja fills in, which has _() of its own.
STATIC_TEXT = re.compile(r"(?<=>)([^<>{}%]*[A-Za-z][^<>{}%]*)(?=<)")
STATIC_ATTRIBUTE = re.compile(r'(?<= )(aria-label|placeholder)="([^"<>{}]+)"')


def render(fleet: dict, assets: Assets) -> str:
    """Return the report as HTML text. fleet: a fleet document (schema ksysak.fleet/1). Raises AssetError."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    domain = names.common_domain([host["host"] for host in fleet["hosts"]])
    environment.filters["short"] = lambda host: names.short(host, domain)
    styles = [_inline(text) for text in assets.styles]
    scripts = [_inline(text) for text in assets.scripts]
    not_measured = [host for host in fleet["hosts"] if host["coverage"] == "none"]
    try:
        return environment.from_string(_localised(assets.template, assets.translate)).render(
            fleet=fleet,
            language=assets.language,
            domain=domain,
            _=assets.translate,
            many=assets.translate.many,
            messages=markupsafe.Markup(_data(assets.translate.catalog)),
            severities=SEVERITIES,
            changes=CHANGES,
            worst=[group for group in fleet["findings"] if group["severity"] != "info"][:WORST],
            not_measured=not_measured,
            libraries=assets.libraries,
            parts=assets.parts,
            styles=[markupsafe.Markup(text) for text in styles],
            scripts=[markupsafe.Markup(text) for text in scripts],
            policy=_content_policy(styles, scripts),
            data=_packed(fleet),
        )
    except jinja2.TemplateError as error:
        raise AssetError(f"templates/report.html.j2: {error}") from None


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


def _packed(fleet: dict) -> str:
    """The document as gzip in base64: small, and free of any character that means something in HTML."""
    raw = json.dumps(fleet, separators=(",", ":"), allow_nan=False).encode()
    return base64.b64encode(gzip.compress(raw, compresslevel=6, mtime=0)).decode()
