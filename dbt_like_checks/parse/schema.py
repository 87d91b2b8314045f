"""A JSON Schema of the YAML grammar, for editors: made from what `grammar` and the tests accept."""

from __future__ import annotations

from typing import Any

from dbt_like_checks.parse import grammar
from dbt_like_checks.parse.configuration import CONFIG_KEYS
from dbt_like_checks.tests.registry import GenericTest, Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
TAGS: Schema = {"oneOf": [TEXT, {"type": "array", "items": TEXT}]}
THRESHOLD: Schema = {"type": "string", "examples": ["!= 0", "> 10", "between 5 and 10"]}
# In any case, as dbt reads it; editors offer the first two.
SEVERITY: Schema = {
    "anyOf": [{"enum": ["error", "warn"]}, {"pattern": "^([eE][rR][rR][oO][rR]|[wW][aA][rR][nN])$"}]
}


def json_schema(registry: Registry) -> Schema:
    """The schema of one file, with the arguments of every registered generic test."""
    resources = {kind: {"type": "array", "items": _ref("model")} for kind in grammar.RESOURCES}
    singular = {"type": "array", "items": _ref("singular")}
    file = _mapping(
        grammar.FILE_KEYS,
        {
            "version": {"const": 2},
            **resources,
            "sources": {"type": "array", "items": _ref("source")},
            **dict.fromkeys(grammar.TESTS, singular),
        },
    )
    return {
        "$schema": DIALECT,
        "title": "Data tests as dbt declares them",
        **file,
        "$defs": {**_resources(), "config": _config(), "test": _test(registry), **_tests(registry)},
    }


def _resources() -> Schema:
    tests: Schema = {"type": "array", "items": _ref("test")}
    on_anything = {
        "name": TEXT,
        "description": TEXT,
        "tags": TAGS,
        "config": {"type": "object"},
        **dict.fromkeys(grammar.TESTS, tests),
    }
    columns: Schema = {"type": "array", "items": _ref("column")}
    tables: Schema = {"type": "array", "items": _ref("table")}
    return {
        "model": _mapping(grammar.MODEL_KEYS, {**on_anything, "columns": columns}, ["name"]),
        "source": _mapping(grammar.SOURCE_KEYS, {**on_anything, "schema": TEXT, "tables": tables}, ["name"]),
        "table": _mapping(
            grammar.TABLE_KEYS, {**on_anything, "identifier": TEXT, "columns": columns}, ["name"]
        ),
        "column": _mapping(grammar.COLUMN_KEYS, {**on_anything, "quote": {"type": "boolean"}}, ["name"]),
        "singular": _mapping(
            grammar.SINGULAR_KEYS, {"name": TEXT, "description": TEXT, "config": _ref("config")}, ["name"]
        ),
    }


def _config() -> Schema:
    return _mapping(
        CONFIG_KEYS,
        {
            "enabled": {"type": "boolean"},
            "error_if": THRESHOLD,
            "fail_calc": TEXT,
            "limit": {"type": "integer", "minimum": 1},
            "severity": SEVERITY,
            "store_failures": {"type": "boolean"},
            "store_failures_as": {"enum": ["table", "ephemeral"]},
            "tags": TAGS,
            "warn_if": THRESHOLD,
            "where": {"type": "string", "description": "an SQL condition, run read-only as written"},
        },
    )


def _test(registry: Registry) -> Schema:
    names = sorted({name for test in registry for name in _spellings(test, registry)})
    by_name = {name: _ref(f"test_{registry.find(name).qualified_name}") for name in names}
    return {
        "oneOf": [
            {"enum": names},
            {"type": "object", "minProperties": 1, "maxProperties": 1, "properties": by_name}
            | {"additionalProperties": False},
            {"type": "object", "properties": {"test_name": {"enum": names}}, "required": ["test_name"]},
        ]
    }


def _tests(registry: Registry) -> Schema:
    return {f"test_{test.qualified_name}": _one_test(test) for test in registry}


def _one_test(test: GenericTest) -> Schema:
    arguments = test.arguments.model_json_schema(
        ref_template=f"#/$defs/test_{test.qualified_name}/$defs/{{model}}"
    )
    definitions = arguments.pop("$defs", {})
    properties = arguments.get("properties", {})
    column = {"column_name": TEXT} if test.column != "none" else {}
    with_column = {**arguments, "properties": {**properties, **column}}
    known = {"name": TEXT, "description": TEXT, "config": _ref("config"), "arguments": with_column}
    # dbt's older way: arguments and config beside one another.
    flat = {**properties, **column, **{key: {} for key in CONFIG_KEYS}}
    return {
        "description": test.description,
        "type": ["object", "null"],
        "properties": {**flat, **known},
        "additionalProperties": False,
        **({"$defs": definitions} if definitions else {}),
    }


def _spellings(test: GenericTest, registry: Registry) -> list[str]:
    try:
        registry.find(test.name)
    except LookupError:
        return [test.qualified_name]
    return [test.name, test.qualified_name]


def _mapping(keys: frozenset[str], known: Schema, required: list[str] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {key: known.get(key, {}) for key in sorted(keys)},
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}
