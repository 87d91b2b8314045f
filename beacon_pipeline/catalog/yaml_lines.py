"""Files that people write: YAML read strictly, every problem at once, one line each with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from rapidfuzz import process
from yaml.composer import Composer, ComposerError
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.cyaml import CParser  # type: ignore[attr-defined]  # typeshed: not in __all__
from yaml.resolver import Resolver

from beacon_pipeline.catalog.problems import placed
from beacon_pipeline.escaping import visible

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

FILE_LIMIT = 10_000_000  # bytes of one file: about 70,000 questions
DEPTH_LIMIT = 100  # levels of nesting; libyaml itself looks at none
Kind = TypeVar("Kind", bound=BaseModel)


class _Composer(Composer, CParser, Resolver):
    """libyaml reads, and Python builds from its events the nodes that know their lines, in one pass."""

    def __init__(self, text: str) -> None:
        CParser.__init__(self, text)
        Composer.__init__(self)
        Resolver.__init__(self)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()
        mark: Any = event.start_mark
        if isinstance(event, yaml.AliasEvent):
            problem = f"YAML aliases (*{event.anchor}) are not allowed: write the value out"
            raise ComposerError(None, None, problem, mark)
        if self._depth >= DEPTH_LIMIT:
            raise ComposerError(None, None, f"nested more than {DEPTH_LIMIT} levels deep", mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


class _Constructor(SafeConstructor):
    """Makes values of nodes; whatever it cannot read is an error with its line."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception as error:
            # PyYAML's constructors raise whatever their parsing meets: KeyError for `!!bool maybe`,
            # AttributeError for `!!timestamp x`, ValueError for 2026-13-45, which looks like a date.
            kind = node.tag.rpartition(":")[2]
            problem = f"{str(node.value)[:40]!r} cannot be read as {kind}: put it in quotes if it is text"
            raise ConstructorError(None, None, problem, node.start_mark) from error


def read_one(
    path: Path, node: yaml.Node, kind: type[Kind], problems: list[str], *, deep: bool = False
) -> Kind | None:
    """The value that a node of a file holds; None when it holds none, and then ``problems`` says why.

    A problem is placed where the node begins; ``deep``: where in it the problem is.
    """
    try:
        values: Any = _Constructor().construct_document(node)
    except yaml.MarkedYAMLError as error:
        problems.append(_line_of(path, error))
        return None
    found = [(key, f"key {key.value!r} is given twice") for key in _repeated_keys(node)]
    try:
        value = kind.model_validate(values)
    except ValidationError as error:
        found += [(node_at(node, detail["loc"]), _explain(detail, kind)) for detail in error.errors()]
    if not found:
        return value
    name = values.get("id") if isinstance(values, Mapping) else None
    problems += [f"{place_of(path, at if deep else node, name)}: {problem}" for at, problem in found]
    return None


def node_at(node: yaml.Node, loc: Iterable[int | str]) -> yaml.Node:
    """What is at a place in a node, by keys and indexes; as near to it as there is something."""
    for step in loc:
        if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
        elif isinstance(node, yaml.MappingNode):
            inner = next((value for key, value in node.value if key.value == step), None)
            if inner is None:
                break
            node = inner
        else:
            break
    return node


def place_of(path: Path, node: yaml.Node, name: object = None) -> str:
    """Where an entry of a file begins, for a message: the file, the line, and the entry's name."""
    return visible(f"{path.name}:{node.start_mark.line + 1}" + (f" ({name})" if name else ""))


def compose(path: Path, problems: list[str]) -> yaml.Node | None:
    """The one document of a file; None when it cannot be used, and then ``problems`` says why."""
    try:
        if path.stat().st_size > FILE_LIMIT:
            problems.append(f"{path.name}: larger than {FILE_LIMIT:,} bytes")
            return None
        node = _Composer(path.read_text(encoding="utf-8")).get_single_node()
    except FileNotFoundError:
        problems.append(f"{path.name}: is missing from {path.parent.resolve()}")
        return None
    except yaml.MarkedYAMLError as error:
        problems.append(_line_of(path, error))
        return None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        problems.append(f"{path.name}: cannot be read: {' '.join(visible(str(error)).split())}")
        return None
    if node is None:
        problems.append(f"{path.name}: is empty")
    return node


def _line_of(path: Path, error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{path.name}:{mark.line + 1}" if mark else path.name
    problem = " ".join(filter(None, (error.context, error.problem)))
    broken = "" if isinstance(error, ComposerError | ConstructorError) else "cannot be read: "
    return visible(f"{where}: {broken}{' '.join(problem.split())}")


def _repeated_keys(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        counted = Counter(str(key.value) for key, _ in node.value)
        if len(counted) < len(node.value):
            last = {str(key.value): key for key, _ in node.value}
            yield from (last[key] for key, count in counted.items() if count > 1)
        for _, value in node.value:
            yield from _repeated_keys(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from _repeated_keys(value)


def _explain(detail: ErrorDetails, kind: type[BaseModel]) -> str:
    place = ".".join(map(str, detail["loc"]))
    if detail["type"] == "extra_forbidden":
        known = _kind_at(kind, detail["loc"][:-1]).model_fields
        near = process.extractOne(str(detail["loc"][-1]), list(known), score_cutoff=60)
        return f"unknown key {place!r}" + (f": did you mean {near[0]!r}?" if near else "")
    if detail["type"] == "missing":
        return f"key {place!r} is missing"
    if detail["type"] == "string_pattern_mismatch":
        return (
            f"{place} {detail['input']!r:.80} is unfit for a partition key: "
            "use a-z, 0-9, '.', '_' and '-', starting with a letter or digit"
        )
    return f"{placed(detail)} (given: {detail['input']!r:.60})"


def _kind_at(kind: type[BaseModel], loc: Iterable[int | str]) -> type[BaseModel]:
    """The class of the value at a place in a value of this class."""
    for step in loc:
        if step in kind.model_fields:
            annotation = kind.model_fields[str(step)].annotation
            kind = next((found for found in _kinds_in(annotation)), kind)
    return kind


def _kinds_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _kinds_in(inner)
