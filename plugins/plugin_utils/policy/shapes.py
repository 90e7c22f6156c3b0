# SPDX-License-Identifier: GPL-3.0-or-later
"""Can an expression ever match? Follows a parsed JMESPath through the JSON Schemas of host documents.

A shape is a list of schemas that a value may have (references resolved, null left out), or None: anything. Only what can be
known is checked: what functions return is anything, but for those of our own that keep the shape of their arguments.
"""

from __future__ import annotations

import functools
import itertools

from ...module_utils._core.registry import NAMES
from ..joins.joins import JOINS
from ..schema.validate import read, referred, versions

SIMPLE = {"string": str, "number": (int, float), "integer": (int, float), "boolean": bool}


class NeverMatches(ValueError):
    """An expression asks for what no document can have. word: the name in the expression that is wrong."""

    def __init__(self, what: str, word: str):
        super().__init__(what)
        self.word = word


def _resolved(schema: dict, root: dict) -> list[dict]:
    """Return the alternatives of a schema that are not null, each with the document that its references are about."""
    if "$ref" in schema and not schema["$ref"].startswith("#"):
        return _resolved(*referred(schema["$ref"]))
    if "$ref" in schema:
        return _resolved(root["definitions"][schema["$ref"].rsplit("/", 1)[1]], root)
    if "oneOf" in schema:
        return [found for one in schema["oneOf"] for found in _resolved(one, root)]
    return [] if schema.get("type") == "null" else [{**schema, "root": schema.get("root", root)}]


@functools.cache
def host_shape() -> tuple:
    """Return the shape of a host document, the data of each probe in its envelope, with joins and trend (as a tuple, to be cached)."""
    host = read("host", max(versions()["host"]))
    envelope = host["definitions"]["envelope"]
    probes = {}
    for name in NAMES:
        data = [{**probe, "root": probe} for probe in (read(name, version) for version in versions()[name])]
        probes[name] = {**envelope, "properties": {**envelope["properties"], "data": {"oneOf": data}}}
    (shape,) = _resolved(host, host)
    made = {name: {"oneOf": [{**schema, "root": schema}]} for name in (*JOINS, "trend") for schema in [read(name, max(versions()[name]))]}
    shape["properties"] = {**shape["properties"], **made, "probes": {"type": "object", "additionalProperties": False, "properties": probes}}
    return (shape,)


def probes_of(parsed: object, root: str = "probes") -> set[str]:
    """Return the names of the probes that a parsed expression reads, as {'memleak'} for probes.memleak.data.

    root: 'trend' for those of which it reads what several scans say, as in trend.memory.rows.
    """
    if not isinstance(parsed, dict):
        return set()
    children = parsed.get("children", [])
    found = set().union(*(probes_of(child, root) for child in children))
    if parsed["type"] == "subexpression":
        steps = _steps(parsed)
        pairs = itertools.pairwise(steps)
        found |= {after["value"] for before, after in pairs if before.get("value") == root and after["type"] == "field"}
    return found


def joins_of(parsed: object) -> set[str]:
    """Return the names of the joins that a parsed expression reads."""
    if not isinstance(parsed, dict):
        return set()
    found = set().union(*map(joins_of, parsed.get("children", [])))
    return found | ({parsed["value"]} & JOINS.keys() if parsed["type"] == "field" else set())


def _steps(parsed: dict) -> list[dict]:
    if parsed["type"] != "subexpression":
        return [parsed]
    return [step for child in parsed["children"] for step in _steps(child)]


def check(parsed: dict) -> None:
    """Raise NeverMatches if the parsed expression asks a host document for what none can have."""
    _shape(parsed, list(host_shape()))


def _types(schema: dict) -> list[str]:
    kind = schema.get("type")
    if kind is None:
        return ["object"] if "properties" in schema else []
    return [kind] if isinstance(kind, str) else [name for name in kind if name != "null"]


def _field(name: str, shape: list | None) -> list | None:
    """Return the shape of a member. Raises NeverMatches when no alternative can have it."""
    if shape is None or not shape:
        return None
    found: list = []
    known: set[str] = set()
    for schema in shape:
        types = _types(schema)
        if types and "object" not in types:
            continue
        properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
        known |= set(properties)
        if name in properties:
            found += _resolved(properties[name], schema["root"])
        elif isinstance(more, dict):
            found += _resolved(more, schema["root"])
        elif more:
            return None
        else:
            continue
        if not found:
            return None
    if found:
        return found
    if known:
        raise NeverMatches(f"nothing here is called '{name}' (known: {', '.join(sorted(known))[:200]})", name)
    raise NeverMatches(f"'{name}' is asked of a value that has no members", name)


def _items(shape: list | None) -> list | None:
    """Return the shape of a list's elements."""
    if shape is None:
        return None
    found: list = []
    for schema in shape:
        types = _types(schema)
        if types and "array" not in types:
            continue
        if "shapes" in schema:
            if schema["shapes"] is None:
                return None
            found += schema["shapes"]
        elif "items" in schema:
            found += _resolved(schema["items"], schema["root"])
        else:
            return None
    return found or None


def _list(shape: list | None) -> list:
    return [{"type": "array", "shapes": shape}]


def _made(members: dict) -> list:
    """The shape of an object with these members; a member's shape may be anything."""
    properties = {name: {"oneOf": shape} if shape else {} for name, shape in members.items()}
    return [{"type": "object", "additionalProperties": False, "properties": properties, "root": {}}]


def _shape(node: dict, shape: list | None) -> list | None:
    visit = _VISITORS.get(node["type"], _anything)
    return visit(node, shape)


def _anything(node: dict, shape: list | None) -> None:
    for child in node.get("children", []):
        if isinstance(child, dict):
            _shape(child, shape)


def _subexpression(node: dict, shape: list | None) -> list | None:
    for child in node["children"]:
        shape = _shape(child, shape)
    return shape


def _index_expression(node: dict, shape: list | None) -> list | None:
    left, right = node["children"]
    shape = _shape(left, shape)
    return _items(shape) if right["type"] == "index" else shape


def _projection(node: dict, shape: list | None) -> list:
    left, right = node["children"]
    return _list(_shape(right, _items(_shape(left, shape))))


def _filter_projection(node: dict, shape: list | None) -> list:
    left, right, condition = node["children"]
    items = _items(_shape(left, shape))
    _shape(condition, items)
    return _list(_shape(right, items))


def _value_projection(node: dict, shape: list | None) -> list:
    left, right = node["children"]
    _shape(left, shape)
    return _list(_shape(right, None))


def _flatten(node: dict, shape: list | None) -> list | None:
    shape = _shape(node["children"][0], shape)
    inner = _items(shape)
    if inner and all(_types(schema) == ["array"] for schema in inner):
        return _list(_items(inner))
    return shape if inner and not any("array" in _types(schema) or not _types(schema) for schema in inner) else None


def _multi_select_dict(node: dict, shape: list | None) -> list:
    return _made({pair["value"]: _shape(pair["children"][0], shape) for pair in node["children"]})


def _multi_select_list(node: dict, shape: list | None) -> list:
    found = [_shape(child, shape) for child in node["children"]]
    known = [one for one in found if one is not None]
    return _list([schema for one in known for schema in one] if len(known) == len(found) else None)


def _comparator(node: dict, shape: list | None) -> None:
    sides = [_shape(child, shape) for child in node["children"]]
    for place, side in enumerate(sides):
        other = node["children"][1 - place]
        if node["value"] != "eq" or side is None or other["type"] != "literal" or not isinstance(other["value"], str):
            continue
        values = [value for schema in side for value in schema.get("enum", [schema["const"]] if "const" in schema else [None])]
        if values and None not in values and other["value"] not in values:
            raise NeverMatches(f"it is never '{other['value'][:64]}' (known: {', '.join(map(str, values))[:200]})", other["value"])


def _function(node: dict, shape: list | None) -> list | None:
    found = [None if child["type"] == "expref" else _shape(child, shape) for child in node["children"]]
    if node["value"] == "with_fields":
        items, fields = _items(found[0]), found[1]
        if items is None or fields is None or any("properties" not in schema for schema in items + fields):
            return None
        more = {name: schema for one in fields for name, schema in one["properties"].items()}
        return _list([{**one, "properties": {**{n: {"oneOf": _resolved(s, fields[0]["root"])} if s else {} for n, s in more.items()},
                                             **one["properties"]}} for one in items])  # fmt: skip
    if node["value"] == "entries":
        return _list(_made({"name": None, "value": None}))
    return None


_VISITORS = {
    "field": lambda node, shape: _field(node["value"], shape),
    "current": lambda node, shape: shape,
    "identity": lambda node, shape: shape,
    "subexpression": _subexpression,
    "pipe": _subexpression,
    "index_expression": _index_expression,
    "projection": _projection,
    "filter_projection": _filter_projection,
    "value_projection": _value_projection,
    "flatten": _flatten,
    "multi_select_dict": _multi_select_dict,
    "multi_select_list": _multi_select_list,
    "comparator": _comparator,
    "function_expression": _function,
}
