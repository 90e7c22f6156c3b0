# SPDX-License-Identifier: GPL-3.0-or-later
"""Check documents against the JSON Schemas of this folder.

A document names its schema itself: {"schema": "ksysak.host/1", ...} is described by host-1.json. fleet-1.json is a frame: each file
of the folder 'sections' describes one more member of the document, and its definition 'host' one more member of each host there.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NAME = re.compile(r"ksysak\.([a-z_]{1,32})/([0-9]{1,3})")
TEXT_CHARS = 300
NULL = {"type": "null"}
ANNOTATIONS = {"description", "examples", "title"}
OF_ANY_TYPE = {"enum", "const", "oneOf", "anyOf", "allOf", "not", "if"}  # these judge null too; all else is about one type

Validator = Callable[[object], object]


class SchemaError(ValueError):
    """A document is not what its schema says.

    where: path in the document, as 'probes.memleak.data'; what: bounded text; path: the same as a list of keys and indexes;
    word: the key that must not be there, if that is what is wrong.
    """

    def __init__(self, where: str, what: str, path: list | None = None):
        self.where = where[:TEXT_CHARS]
        self.path = where.split(".") if path is None else path
        surplus = re.search(r"must not contain \{'([^']+)'", what)
        self.word = surplus[1] if surplus else None
        self.what = what if len(what) <= TEXT_CHARS else what[: TEXT_CHARS - 1] + "…"
        super().__init__(f"{self.where}: {self.what}" if self.where else self.what)


class UnknownSchema(SchemaError):
    """A document names a schema, or a version of one, that this release does not know."""


@functools.cache
def versions() -> dict[str, list[int]]:
    """Return the known versions by schema name, as {'host': [1]}."""
    known: dict[str, list[int]] = {}
    for path in sorted(FOLDER.glob("*-*.json")):
        name, version = path.stem.rsplit("-", 1)
        known.setdefault(name, []).append(int(version))
    return known


@functools.cache
def _validator(name: str, version: int) -> Validator:
    import fastjsonschema  # here, because ansible-test imports every plugin without third-party libraries

    schema = read(name, version)
    return fastjsonschema.compile(_inlined(schema, schema.get("definitions", {})), use_default=False, use_formats=False)


def prepare(names: Iterable[str]) -> None:
    """Compile the schemas of these names, all versions: what is done before processes are forked is done once."""
    for name in names:
        for version in versions().get(name, []):
            _validator(name, version)


def read(name: str, version: int) -> dict:
    """Return a schema of this folder as a whole: that of a fleet document with its sections."""
    schema = _json(FOLDER / f"{name}-{version}.json")
    if name == "fleet":
        for path in sorted((FOLDER / "sections").glob("*.json")):
            _add_section(schema, path.stem, _json(path))
    return schema


def referred(reference: str) -> tuple[dict, dict]:
    """Return the part of another schema of this folder that a reference is about, and that schema: 'memory-1.json#/properties/growth'."""
    file, _hash, pointer = reference.partition("#/")
    schema = _json(FOLDER / file)
    part = schema
    for step in pointer.split("/"):
        part = part[step]
    return part, schema


def _json(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def _add_section(fleet: dict, key: str, section: dict) -> None:
    """Raises ValueError when the frame, or a host of it, has a member of that name already."""
    of_host = section.pop("definitions", {}).get("host")
    host = fleet["definitions"]["host"]
    if key in fleet["properties"] or key in host["properties"]:
        raise ValueError(f"sections/{key}.json: a fleet document has a member of that name already")
    fleet["properties"][key] = section
    fleet["required"].append(key)
    if of_host is not None:
        host["properties"][key] = of_host


def _inlined(schema: Any, definitions: dict) -> Any:
    """Return a schema with definitions in place of references to them: a third of the time of its validation goes into calls."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        if not schema["$ref"].startswith("#"):
            part, other = referred(schema["$ref"])
            return _inlined(part, other.get("definitions", {}))
        return _inlined(definitions[schema["$ref"].removeprefix("#/definitions/")], definitions)
    return _nullable({key: _inlined(item, definitions) for key, item in schema.items() if key != "definitions"})


def _nullable(schema: dict) -> dict:
    """Return 'null or that' as one type or the other, where it means the same.

    As alternatives each of them is tried, and the one that does not fit costs an exception with a text: more than all else of a check.
    """
    others = [one for one in schema.get("oneOf", []) if one != NULL]
    if len(schema.get("oneOf", [])) != 2 or len(others) != 1 or not ANNOTATIONS.issuperset(schema.keys() - {"oneOf"}):
        return schema
    other = others[0]
    if not isinstance(other.get("type"), str) or OF_ANY_TYPE & other.keys():
        return schema
    return {**other, "type": [other["type"], "null"]}


def _lookup(identifier: object, where: str) -> Validator:
    match = NAME.fullmatch(identifier) if isinstance(identifier, str) else None
    if match is None:
        raise UnknownSchema(where, "no schema is named here (expected for example 'ksysak.host/1')")
    name, version = match[1], int(match[2])
    if name not in versions():
        raise UnknownSchema(where, f"unknown schema '{identifier}' (known: {', '.join(sorted(versions()))})")
    if version not in versions()[name]:
        newest = max(versions()[name])
        hint = "written by a newer release of the collection; update this one" if version > newest else "no longer read"
        raise UnknownSchema(where, f"unknown version '{identifier}' (known up to ksysak.{name}/{newest}): {hint}")
    return _validator(name, version)


def _check(validator: Validator, value: object, prefix: list[str]) -> None:
    import fastjsonschema

    try:
        validator(value)
    except fastjsonschema.JsonSchemaValueException as error:
        path = [*prefix, *error.path[1:]]
        what = error.message.replace(error.name, "it", 1) if error.name else error.message
        raise SchemaError(".".join(map(str, path)), what, path) from None


def validate(document: object) -> None:
    """Check a document, and the data of each probe of a host document.

    document: what json.loads gave. Raises UnknownSchema for a name or version that is not known,
    SchemaError for anything else that is wrong.
    """
    if not isinstance(document, dict):
        raise SchemaError("", "a JSON object is expected")
    _check(_lookup(document.get("schema"), "schema"), document, [])
    if not document["schema"].startswith("ksysak.host/"):
        return
    for probe, envelope in document["probes"].items():
        where = ["probes", probe]
        if envelope["status"] not in ("ok", "degraded"):
            continue
        if not envelope["schema"].startswith(f"ksysak.{probe}/"):
            raise SchemaError(".".join([*where, "schema"]), f"'{envelope['schema']}' is not of this probe")
        _check(_lookup(envelope["schema"], ".".join([*where, "schema"])), envelope["data"], [*where, "data"])
