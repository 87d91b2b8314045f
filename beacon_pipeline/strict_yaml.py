"""Files that people write: YAML read strictly, every problem at once, one line each with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from rapidfuzz import process

from beacon_pipeline.display import visible

FILE_LIMIT = 1_000_000  # bytes; such a file is written by hand
Kind = TypeVar("Kind", bound=BaseModel)


def read_one(path: Path, node: yaml.Node, kind: type[Kind], problems: list[str]) -> Kind | None:
    """The value that a node of a file holds; None when it holds none, and then ``problems`` says why."""
    values = _construct(node)
    name = values.get("id") if isinstance(values, Mapping) else None
    where = f"{path.name}:{node.start_mark.line + 1}" + (f" ({name})" if name else "")
    where = visible(where)
    found = [f"{where}: key {key!r} is given twice" for key in _repeated_keys(node)]
    try:
        value = kind.model_validate(values)
    except ValidationError as error:
        found += [f"{where}: {_explain(dict(detail), kind)}" for detail in error.errors()]
    problems += found
    return None if found else value


def compose(path: Path, problems: list[str]) -> yaml.Node | None:
    """The one document of a file; None when it cannot be used, and then ``problems`` says why."""
    try:
        if path.stat().st_size > FILE_LIMIT:
            problems.append(f"{path.name}: larger than {FILE_LIMIT} bytes")
            return None
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            problems.append(f"{path.name}: YAML aliases (*name) are not allowed: write the value out")
            return None
        node = yaml.compose(text, yaml.SafeLoader)
    except FileNotFoundError:
        problems.append(f"{path.name}: is missing from {path.parent}")
        return None
    except RecursionError:
        problems.append(f"{path.name}: is nested too deeply")
        return None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        problems.append(f"{path.name}: cannot be read: {' '.join(visible(str(error)).split())}")
        return None
    if node is None:
        problems.append(f"{path.name}: is empty")
    return node


def _construct(node: yaml.Node) -> Any:
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2026-13-45 looks like a date
        return f"not readable: {' '.join(visible(str(error)).split())}"
    finally:
        loader.dispose()


def _repeated_keys(node: yaml.Node) -> Iterator[str]:
    if isinstance(node, yaml.MappingNode):
        counted = Counter(str(key.value) for key, _ in node.value)
        yield from (key for key, count in counted.items() if count > 1)
        for _, value in node.value:
            yield from _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated_keys(value)


def _explain(detail: dict[str, Any], kind: type[BaseModel]) -> str:
    place = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        near = process.extractOne(place, list(kind.model_fields), score_cutoff=60)
        return f"unknown key {place!r}" + (f": did you mean {near[0]!r}?" if near else "")
    if detail["type"] == "missing":
        return f"key {place!r} is missing"
    if detail["type"] == "string_pattern_mismatch":
        return (
            f"{place} {detail['input']!r:.80} is unfit for a partition key: "
            "use a-z, 0-9, '.', '_' and '-', starting with a letter or digit"
        )
    return f"{place}: {detail['msg'].lower()} (given: {detail['input']!r:.60})"
