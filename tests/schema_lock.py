# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of the schemas: a hash of what each one says. ``python tests/schema_lock.py`` writes it anew (before a release only)."""

import hashlib
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "plugins" / "plugin_utils" / "schema"
LOCK = ROOT / "tests" / "unit" / "schema" / "lock.json"


def meaning(path):
    """Return the hash of a schema without its descriptions, examples and layout."""

    def stripped(node):
        if isinstance(node, dict):
            return {key: stripped(value) for key, value in node.items() if not _is_explanation(key, value)}
        return [stripped(item) for item in node] if isinstance(node, list) else node

    text = json.dumps(stripped(json.loads(path.read_text(encoding="utf-8"))), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_explanation(key, value):
    """A property may have such a name too: its value is a schema, no text or list."""
    return (key in ("description", "title") and isinstance(value, str)) or (key == "examples" and isinstance(value, list))


def current():
    """Return {path of a schema, relative to its folder: hash}."""
    return {str(path.relative_to(FOLDER)): meaning(path) for path in sorted(FOLDER.rglob("*.json"))}


if __name__ == "__main__":
    LOCK.write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
