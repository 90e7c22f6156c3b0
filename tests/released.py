# SPDX-License-Identifier: GPL-3.0-or-later
"""What users of a release build on: names, and what documents look like. ``python tests/released.py`` keeps it, at a release only.

docs/upgrade.md has the rules; tests/gates/test_upgrade.py compares the working tree with the newest release that is kept in FOLDER.
"""

import json
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "released"
SCHEMAS = ROOT / "plugins" / "plugin_utils" / "schema"
POLICIES = ROOT / "plugins" / "plugin_utils" / "policy"
EXPLANATIONS = ("description", "title", "examples")


def _documented(path, name):
    return yaml.safe_load(re.search(rf'(?s)\n *{name} = r"""(.*?)"""', path.read_text(encoding="utf-8"))[1])


def _options(prefix, options):
    """Yield a name for each option, each of its choices and each option within."""
    for name, option in (options or {}).items():
        yield f"{prefix} option {name}"
        yield from (f"{prefix} option {name} choice {choice}" for choice in option.get("choices", []))
        yield from _options(f"{prefix} option {name}", option.get("options") or option.get("suboptions"))


def names():
    """Yield the name of everything that a play, a policy or a command line can name."""
    for path in (ROOT / "plugins" / "modules").glob("*.py"):
        documentation = _documented(path, "DOCUMENTATION")
        yield f"module {path.stem}"
        yield from _options(f"module {path.stem}", documentation.get("options"))
        for fragment in documentation.get("extends_documentation_fragment", []):
            _namespace, _collection, file, *variant = fragment.split(".")
            if (_namespace, _collection) == ("ksysak", "fleet"):
                shared = _documented(ROOT / "plugins" / "doc_fragments" / f"{file}.py", (variant or ["documentation"])[0].upper())
                yield from _options(f"module {path.stem}", shared.get("options"))
    for path in ROOT.glob("roles/*/meta/argument_specs.yml"):
        for entry, spec in yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].items():
            yield from _options(f"role {path.parts[-3]} {entry}", spec.get("options"))
    yield from (f"playbook {path.stem}" for path in (ROOT / "playbooks").glob("*.yml"))
    yield from (f"filter {path.stem}" for path in (ROOT / "plugins" / "filter").glob("*.yml"))
    yield from (f"callback {path.stem}" for path in (ROOT / "plugins" / "callback").glob("*.py"))
    for path in POLICIES.rglob("*.yml"):
        for rule in yaml.safe_load(path.read_text(encoding="utf-8")).get("rules", []):
            yield f"rule {rule['id']}"
            yield from (f"rule {rule['id']} parameter {name}" for name in rule.get("parameters", {}))


def _stripped(node):
    """Return a schema without what explains it. A property may have such a name too: its value is a schema."""
    if isinstance(node, dict):
        return {key: _stripped(value) for key, value in node.items() if key not in EXPLANATIONS or isinstance(value, dict)}
    return [_stripped(item) for item in node] if isinstance(node, list) else node


def current():
    """Return {'requires_ansible': [major, minor], 'names': list, 'schemas': {path: schema}} of the working tree."""
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text(encoding="utf-8"))
    schemas = {str(path.relative_to(SCHEMAS)): _stripped(json.loads(path.read_text(encoding="utf-8"))) for path in SCHEMAS.rglob("*.json")}
    least = [int(part) for part in re.search(r">=(\d+)\.(\d+)", runtime["requires_ansible"]).groups()]
    return {"requires_ansible": least, "names": sorted(set(names())), "schemas": dict(sorted(schemas.items()))}


def changed(old, new, where):
    """Yield what differs in two versions of a schema beyond optional fields that were added."""
    if isinstance(old, dict) and isinstance(new, dict):
        added = set(new) - set(old)
        if where.endswith(("properties", "definitions")):
            added = set()  # whether it is required stands elsewhere
        yield from (f"{where}/{key} was added" for key in sorted(added))
        yield from (f"{where}/{key} is gone" for key in sorted(set(old) - set(new)))
        for key in sorted(set(old) & set(new)):
            yield from changed(old[key], new[key], f"{where}/{key}")
    elif old != new:
        yield f"{where} was changed"


def broken(old, new):
    """Return what works with an old release and not with the new one. old, new: as of current()."""
    found = [f"{name} is gone" for name in old["names"] if name not in set(new["names"])]
    if new["requires_ansible"] > old["requires_ansible"]:
        found.append("requires_ansible was raised")
    for path, schema in old["schemas"].items():
        found += [f"{path} is gone"] if path not in new["schemas"] else changed(schema, new["schemas"][path], path)
    return found


def versions():
    """Return the releases that are kept, the oldest first."""
    return sorted((path.stem for path in FOLDER.glob("*.json")), key=lambda version: [int(part) for part in version.split(".")])


if __name__ == "__main__":
    release = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))["version"]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{release}.json").write_text(json.dumps(current(), indent=1) + "\n", encoding="utf-8")
