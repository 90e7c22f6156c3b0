# SPDX-License-Identifier: GPL-3.0-or-later
"""Schemas do not change silently, and refuse what is wrong."""

import copy
import json
from pathlib import Path

import fastjsonschema
import pytest

from ansible_collections.ksysak.fleet.plugins.plugin_utils.schema import validate as schema
from ansible_collections.ksysak.fleet.tests import fleet_data, schema_lock


def test_a_changed_schema_gets_a_new_version():
    """Whoever changes a released schema makes <name>-<version+1>.json; before a release, run tests/schema_lock.py."""
    assert json.loads(schema_lock.LOCK.read_text(encoding="utf-8")) == schema_lock.current()


@pytest.mark.parametrize("kind", fleet_data.KINDS)
def test_documents_of_hosts_fit(kind):
    schema.validate(fleet_data.host("web1", kind))


def test_document_of_a_scan_fits():
    schema.validate(fleet_data.scan(["web1"]))


def at(document, *path):
    for step in path[:-1]:
        document = document[step]
    return document, path[-1]


RUNLATENCY = ("probes", "runlatency", "data")
WRONG = [
    (("state",), "fine", "state"),
    (("scan_id",), "../../etc", "scan_id"),
    (("collected_at",), "2026-11-23T03:08:31Z\n", "collected_at"),
    (("surprise",), 1, ""),
    (("host",), "", "host"),
    (("system", "cpus"), 0, "system.cpus"),
    (("system", "cpus"), True, "system.cpus"),
    (("probes", "memleak", "status"), "great", "probes.memleak.status"),
    (("probes", "memleak", "cost", "cpu_s"), -1, "probes.memleak.cost.cpu_s"),
    (("probes", "memleak", "schema"), "ksysak.runlatency/1", "probes.memleak.schema"),
    (("probes", "memleak", "data", "outstanding", 0, "confidence"), 1.5, "probes.memleak.data.outstanding.0.confidence"),
    ((*RUNLATENCY, "histograms", "wakeup"), {"-4": 1}, "probes.runlatency.data.histograms.wakeup"),
    ((*RUNLATENCY, "count"), "many", "probes.runlatency.data.count"),
    (("probes", "os_exceptions", "data", "kinds"), {"oom": 0}, "probes.os_exceptions.data.kinds.oom"),
    (("probes", "interference", "data", "vectors", 0, "kind"), "x" * 9000, "probes.interference.data.vectors.0.kind"),
]


@pytest.mark.parametrize(("path", "value", "where"), WRONG)
def test_wrong_documents_are_refused_with_a_place_and_a_bounded_reason(path, value, where):
    document = fleet_data.host("web1")
    parent, last = at(document, *path)
    parent[last] = value
    with pytest.raises(schema.SchemaError) as refused:
        schema.validate(document)
    assert refused.value.where == where
    assert 0 < len(refused.value.what) <= schema.TEXT_CHARS


def test_every_field_of_a_host_is_required_but_cpu_model():
    optional = {"cpu_model", *fleet_data.stalled()}  # stalls: only of kernels on which they were watched for
    whole = fleet_data.host("web1", "leaking")

    def remove_each(node, path=()):
        if isinstance(node, dict):
            for key in node:
                yield (*path, key)
                yield from remove_each(node[key], (*path, key))
        elif isinstance(node, list) and node:
            yield from remove_each(node[0], (*path, 0))

    def free(path):
        """Members of dictionaries whose keys are data."""
        named = (
            "probes meminfo_delta_bytes totals histograms panic_settings wakeup preempted percentiles_us kinds histogram_ns histogram "
            "bytes counts slab_bytes slab_reclaimable_bytes slab_aliases"
        ).split()
        return path[-1] in optional or (len(path) > 1 and path[-2] in named)

    paths = [path for path in remove_each(whole) if not free(path)]
    assert len(paths) > 80
    for path in paths:
        document = copy.deepcopy(whole)
        parent, last = at(document, *path)
        del parent[last]
        with pytest.raises(schema.SchemaError):
            schema.validate(document)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ksysak.host/2", "newer release"),
        ("ksysak.hoost/1", "unknown schema"),
        ("../../etc/passwd", "no schema is named"),
        (None, "no schema is named"),
        (7, "no schema is named"),
    ],
)
def test_unknown_schemas_say_so(name, said):
    with pytest.raises(schema.UnknownSchema, match=said):
        schema.validate({**fleet_data.host("web1"), "schema": name})


def test_a_newer_probe_says_so():
    document = fleet_data.host("web1")
    document["probes"]["memleak"]["schema"] = "ksysak.memleak/9"
    with pytest.raises(schema.UnknownSchema, match=r"probes\.memleak\.schema: .*newer release"):
        schema.validate(document)


def test_the_page_about_upgrades_shows_the_message_of_a_newer_document():
    document = fleet_data.host("web1")
    document["probes"]["memleak"]["schema"] = "ksysak.memleak/2"
    with pytest.raises(schema.UnknownSchema) as refused:
        schema.validate(document)
    page = (Path(__file__).resolve().parents[3] / "docs" / "upgrade.md").read_text()
    assert str(refused.value).partition(": ")[2] in page


@pytest.mark.parametrize("document", [None, [], "text", 5, {}])
def test_what_is_no_document_is_refused(document):
    with pytest.raises(schema.SchemaError):
        schema.validate(document)


NULLABLE = [
    ({"oneOf": [{"type": "null"}, {"type": "object", "required": ["cpu"]}], "description": "a holder"}, ["object", "null"]),
    ({"oneOf": [{"type": "string", "maxLength": 3}, {"type": "null"}]}, ["string", "null"]),
    ({"oneOf": [{"type": "null"}, {"type": "array", "items": {"type": "integer"}, "minItems": 1}]}, ["array", "null"]),
    ({"oneOf": [{"type": "null"}, {"type": "integer", "minimum": 2}]}, ["integer", "null"]),
    # What judges null too, or is more than one type or the other, stays as it is.
    ({"oneOf": [{"type": "null"}, {"type": "string", "enum": ["a", "b"]}]}, None),
    ({"oneOf": [{"type": "null"}, {"type": "integer", "const": 5}]}, None),
    ({"oneOf": [{"type": "null"}, {"type": "string"}], "maxLength": 1}, None),
    ({"oneOf": [{"type": "null"}, {"type": "string"}, {"type": "integer"}]}, None),
    ({"oneOf": [{"type": "null"}, {"type": ["null", "string"]}]}, None),  # null fits both, which is one too many
    ({"oneOf": [{"type": "null"}, {"type": "null"}]}, None),
    ({"oneOf": [{"type": "null"}, {"enum": ["a", None]}]}, None),
    ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
]
VALUES = [None, True, 0, 1, 2, 5, 2.5, "", "a", "abcd", [], [1], ["x"], {}, {"cpu": 1}]


def fits(described, value):
    try:
        fastjsonschema.compile(described, use_default=False, use_formats=False)(value)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


@pytest.mark.parametrize(("described", "types"), NULLABLE)
def test_a_schema_that_allows_null_means_the_same_when_it_is_checked_at_once(described, types):
    made = schema._inlined(described, {})
    assert made.get("type") == types
    assert [fits(made, value) for value in VALUES] == [fits(described, value) for value in VALUES]


def test_schemas_that_are_prepared_are_not_compiled_again():
    schema._validator.cache_clear()
    schema.prepare(["host", "memleak", "no_such_schema"])
    compiled = schema._validator.cache_info().misses
    assert compiled == len(schema.versions()["host"]) + len(schema.versions()["memleak"])
    document = fleet_data.host("web1")
    document["probes"] = {"memleak": document["probes"]["memleak"]}
    schema.validate(document)
    assert schema._validator.cache_info().misses == compiled
