# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the fields of each probe's facts into its module's RETURN and its page of documentation, from its schema.

    tools/fields.py           write them
    tools/fields.py --check   write nothing; name the files that are not current, and end with 1

The schema owns names, types, descriptions and examples. Fields of the first two levels are listed.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "plugins" / "plugin_utils" / "schema"
MODULES = ROOT / "plugins" / "modules"
DOCS = ROOT / "docs"
LEVELS = 2
PAGES_OF_JOINS = {"causes": "policy.md", "time_lost": "blocked.md"}  # what is made of facts of several probes has no module
TYPES = {"array": "list", "boolean": "bool", "integer": "int", "number": "float", "object": "dict", "string": "str"}
DATA = re.compile(r"(?m)^        data:\n(?: {10,}.*\n)*? {10}contains:\n(?P<fields>(?: {12,}.*\n|\n)*)")
TABLE = re.compile(r"(?s)(<!-- fields of (?P<probe>\w+): written by tools/fields\.py -->\n).*?(<!-- end of fields -->)")


class FieldsError(Exception):
    """A schema, a module or a page is not as this tool needs it; the text names the file and what to do."""


@dataclass
class Field:
    """A property of a schema. like: name of an earlier field that has the same members."""

    name: str
    path: str
    type: str
    elements: str
    description: str
    examples: list[Any]
    members: list[Field] = field(default_factory=list)
    like: str = ""


def probes() -> list[str]:
    """Return the names of the probes: each has a module <probe>_facts."""
    return sorted(path.stem.removesuffix("_facts") for path in MODULES.glob("*_facts.py"))


def _referred(reference: str) -> dict[str, Any]:
    """Return the part of another schema that a reference is about: 'memory-1.json#/properties/growth'."""
    file, _hash, pointer = reference.partition("#/")
    part: dict[str, Any] = json.loads((SCHEMAS / file).read_text(encoding="utf-8"))
    for step in pointer.split("/"):
        part = part[step]
    return part


def _resolved(node: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without a reference and without the alternative of being null."""
    if "$ref" in node and not node["$ref"].startswith("#"):
        return {"description": node.get("description", ""), "type": _referred(node["$ref"]).get("type", "object")}
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {**_resolved(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions), **rest}
    alternatives = [one for one in node.get("oneOf", []) if one.get("type") != "null"]
    if len(alternatives) == 1:
        rest = {key: value for key, value in node.items() if key != "oneOf"}
        return {**_resolved(alternatives[0], definitions), **rest}
    return node


def _type(node: dict[str, Any]) -> str:
    """Return Ansible's name of a schema's type; 'raw' for a mixture."""
    given = node.get("type")
    if given is None:
        values = [node["const"]] if "const" in node else [value for value in node.get("enum", []) if value is not None]
        return "str" if values and all(isinstance(value, str) for value in values) else "raw"
    names = {TYPES[name] for name in ([given] if isinstance(given, str) else given) if name != "null"}
    return names.pop() if len(names) == 1 else "raw"


def _fields(node: dict[str, Any], definitions: dict[str, Any], prefix: str, seen: dict[str, str], level: int = 1) -> Iterator[Field]:
    for name, raw in node.get("properties", {}).items():
        path = prefix + name
        one = _resolved(raw, definitions)
        if not one.get("description", "").endswith("."):
            raise FieldsError(f"{path} has no description that is a sentence")
        items = one.get("items", {})
        found = Field(name, path, _type(one), "", one["description"], one.get("examples", []))
        if found.type == "list":
            found.elements = _type(_resolved(items, definitions))
        if level < LEVELS:
            found.like = seen.get(items.get("$ref", ""), "")
            seen.setdefault(items.get("$ref", ""), path)
            inner, below = (_resolved(items, definitions), path + "[].") if found.type == "list" else (one, path + ".")
            if not found.like:
                found.members = list(_fields(inner, definitions, below, seen, level + 1))
        yield found


def fields_of(probe: str) -> list[Field]:
    """Return the fields of a probe's data, or of what a join makes, with those of the second level. Raises FieldsError."""
    path = SCHEMAS / f"{probe}-1.json"
    schema = json.loads(path.read_text(encoding="utf-8"))
    schema = schema.get("items", schema)
    try:
        # The empty reference stands for 'no reference': it is like nothing.
        return list(_fields(schema, schema.get("definitions", {}), "", {"": ""}))
    except FieldsError as error:
        raise FieldsError(f"{path.relative_to(ROOT)}: {error}") from None


class _Block(dict[str, Any]):
    """A mapping that YAML shows one key a line."""


def _returned(found: Field, page: str) -> _Block:
    """Return a field as RETURN describes it. page: the documentation whose sections its description links to."""
    described = re.sub(r"`([^`]+)`", r"C(\1)", found.description) + (f" Each has the members of C({found.like})." if found.like else "")
    described = re.sub(r"\[([^\]]+)\]\(#[^)]*\)", rf"'\1' in C({page})", described)
    entry = _Block(description=described, type=found.type)
    if found.elements:
        entry["elements"] = found.elements
    if found.examples:
        entry["sample"] = found.examples[0]
    if found.members:
        entry["contains"] = _Block((member.name, _returned(member, page)) for member in found.members)
    return entry


class _Dumper(yaml.SafeDumper):
    """Indents the elements of lists, as yamllint wants it, and names nothing twice by an anchor."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Dumper.add_representer(_Block, lambda dumper, data: dumper.represent_mapping("tag:yaml.org,2002:map", data.items(), flow_style=False))


def return_block(probe: str) -> str:
    """Return the lines below 'contains:' of the data of a probe's module."""
    fields = _Block((found.name, _returned(found, f"docs/{probe}.md")) for found in fields_of(probe))
    text = yaml.dump(fields, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=None)
    return textwrap.indent(text, " " * 12)


def _cell(found: Field) -> str:
    like = f" Each has the members of `{found.like}`." if found.like else ""
    return f"| `{found.path}` | {found.description.replace('|', '/')}{like} |"


def table(probe: str) -> str:
    """Return the Markdown table of a probe's fields."""
    rows = [_cell(one) for found in fields_of(probe) for one in (found, *found.members)]
    return "\n".join(["| Field | Meaning |", "|---|---|", *rows]) + "\n"


def files() -> dict[Path, str]:
    """Return {path: text as it must be} of all modules and pages that list fields. Raises FieldsError."""
    wanted = {}
    for probe in probes():
        module, page = MODULES / f"{probe}_facts.py", DOCS / f"{probe}.md"
        text = module.read_text(encoding="utf-8")
        match = DATA.search(text)
        if match is None:
            raise FieldsError(f"{module.relative_to(ROOT)}: RETURN has no 'contains:' below 'data:' of ksysak_{probe}")
        wanted[module] = text[: match.start("fields")] + return_block(probe) + text[match.end("fields") :]
        text = page.read_text(encoding="utf-8") if page.exists() else ""
        if probe not in [found["probe"] for found in TABLE.finditer(text)]:
            marker = f"<!-- fields of {probe}: written by tools/fields.py -->"
            raise FieldsError(f"docs/{probe}.md: there is no line '{marker}' with an end")
        wanted[page] = TABLE.sub(lambda found: found[1] + table(found["probe"]) + found[3], text)
    for page in (DOCS / name for name in PAGES_OF_JOINS.values()):
        wanted[page] = TABLE.sub(lambda found: found[1] + table(found["probe"]) + found[3], page.read_text(encoding="utf-8"))
    return wanted


def main(arguments: list[str]) -> int:
    try:
        stale = {path: text for path, text in files().items() if path.read_text(encoding="utf-8") != text}
    except FieldsError as error:
        print(error, file=sys.stderr)
        return 1
    for path, text in stale.items():
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
