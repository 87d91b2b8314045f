"""The versions of a model: each is a model of its own, ``p.v1``, with the tests that dbt gives it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

from dbt_like_checks.parse.document import TESTS, Reader
from dbt_like_checks.parse.project import Model, Relation

Entries = dict[str, tuple[yaml.Node, yaml.Node]]
VERSION_KEYS = frozenset(
    ("alias", "columns", "config", "defined_in", "deprecation_date", "description")
).union(("access", "constraints", "data_tests", "docs", "meta", "tests", "v"))


@dataclass(frozen=True)
class Version:
    """A version as a model, what is declared of it, its name within tests' names, and whether it is ref's."""

    model: Model
    entries: Entries
    named: str
    latest: bool


def versions_of(reader: Reader, entries: Entries, model: Model) -> Iterator[Version]:
    """The versions of a model; without ``versions:`` the model itself."""
    nodes = reader.sequence(entries["versions"][1], "versions") if "versions" in entries else []
    declared = {
        str(reader.plain(below["v"][1])): below
        for node in nodes
        if (below := reader.mapping(node, "a version", VERSION_KEYS)) and "v" in below
    }
    if len(declared) < len(nodes):
        reader.report(entries["versions"][0], "a version needs a 'v' that no other version has")
    if not declared:
        yield Version(model, entries, model.name, latest=True)
        return
    latest = _latest(reader, entries, list(declared))
    for version, below in declared.items():
        relation = Relation(
            _alias(reader, below) or f"{model.relation.name}_v{version}", model.relation.schema
        )
        each = replace(model, name=f"{model.name}.v{version}", relation=relation)
        yield Version(each, _merged(reader, entries, below), f"{model.name}_v{version}", version == latest)


def _latest(reader: Reader, entries: Entries, versions: list[str]) -> str:
    if "latest_version" in entries:
        return str(reader.plain(entries["latest_version"][1]))
    # As in dbt: by number where all are numbers, else by name.
    if all(each.replace(".", "", 1).isdigit() for each in versions):
        return max(versions, key=float)
    return max(versions)


def _alias(reader: Reader, below: Entries) -> str | None:
    config = reader.plain(below["config"][1]) if "config" in below else None
    alias = config.get("alias") if isinstance(config, dict) else None
    return str(alias) if alias else None


def _merged(reader: Reader, entries: Entries, below: Entries) -> Entries:
    """What is declared of a version: the model's columns but those left out, its own, and its own tests."""
    merged = dict(entries)
    if any(key in below for key in TESTS):
        merged = {key: entry for key, entry in merged.items() if key not in TESTS}
        merged |= {key: below[key] for key in TESTS if key in below}
    if "columns" in below:
        key, _ = below["columns"]
        merged["columns"] = key, _columns(reader, entries, below["columns"][1])
    return merged


def _columns(reader: Reader, entries: Entries, node: yaml.Node) -> yaml.SequenceNode:
    own: list[yaml.Node] = []
    included: object = "all"
    excluded: object = []
    for item in reader.sequence(node, "columns"):
        keys = reader.mapping(item, "a column")
        if "include" not in keys and "exclude" not in keys:
            own.append(item)
            continue
        included = reader.plain(keys["include"][1]) if "include" in keys else "all"
        excluded = reader.plain(keys["exclude"][1]) if "exclude" in keys else []
    base = reader.sequence(entries["columns"][1], "columns") if "columns" in entries else []
    kept = [each for each in base if _is_kept(_name_of(reader, each), included, excluded)]
    return yaml.SequenceNode(node.tag, [*kept, *own], node.start_mark, node.end_mark)


def _is_kept(name: object, included: object, excluded: object) -> bool:
    inside = included in ("all", "*") or (isinstance(included, list) and name in included)
    return inside and not (isinstance(excluded, list) and name in excluded)


def _name_of(reader: Reader, node: yaml.Node) -> object:
    entries = reader.mapping(node, "a column")
    return reader.plain(entries["name"][1]) if "name" in entries else None
