# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTML file that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json

import jinja2
import jinja2.sandbox
import markupsafe

from ..policy.policy import SEVERITIES
from .assets import AssetError, Assets

WORST = 5


def render(fleet: dict, assets: Assets) -> str:
    """Return the report as HTML text. fleet: a fleet document (schema ksysak.fleet/1). Raises AssetError."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    styles = [_inline(text) for text in assets.styles]
    scripts = [_inline(text) for text in assets.scripts]
    blind = [host for host in fleet["hosts"] if host["coverage"] == "none"]
    try:
        return environment.from_string(assets.template).render(
            fleet=fleet,
            severities=SEVERITIES,
            worst=[group for group in fleet["findings"] if group["severity"] != "info"][:WORST],
            blind=blind,
            libraries=assets.libraries,
            styles=[markupsafe.Markup(text) for text in styles],
            scripts=[markupsafe.Markup(text) for text in scripts],
            policy=_content_policy(styles, scripts),
            data=_packed(fleet),
        )
    except jinja2.TemplateError as error:
        raise AssetError(f"templates/report.html.j2: {error}") from None


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
