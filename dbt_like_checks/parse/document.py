"""YAML read with places: nothing a file holds is run, and nothing it repeats is paid for twice.

`read_yaml` gives the root node of a file; a `Reader` takes nodes apart and collects every problem.
Anchors and merge keys work; a file whose aliases unfold to more than `NODE_LIMIT` nodes is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dbt_like_checks.errors import Place, Problem, near
from dbt_like_checks.parse.jinja import MARKS, Jinja
from dbt_like_checks.parse.references import JINJA_CALL

SIZE_LIMIT = 2_000_000  # bytes of one file; they are written by hand
DEPTH_LIMIT = 100  # levels of nesting of one file
NODE_LIMIT = 200_000  # nodes of one file with its aliases unfolded
MERGE = "tag:yaml.org,2002:merge"

TESTS = frozenset(("data_tests", "tests"))
# What holds tests or says how they run: a key that is nearly one of these is most likely meant to be it.
HOLDING_TESTS = frozenset(
    ("columns", "config", "data_tests", "models", "seeds", "snapshots", "sources")
).union(("tables", "tests", "versions"))

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class TooMuch(Exception):
    """A file unfolds to more than NODE_LIMIT nodes."""


def read_text(path: Path) -> str:
    """The text of a file of reasonable size. Raises ValueError with the reason in one line."""
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise ValueError(f"larger than {SIZE_LIMIT:,} bytes: split it into several files")
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def plain_yaml(text: str) -> object:
    """The value of a YAML text, which places need not be known of. Raises ValueError with the reason in one
    line."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None
    except Exception as error:  # noqa: BLE001  PyYAML's constructors raise whatever their parsing meets
        raise ValueError(f"a value is not of the kind that its tag names: {error}") from None


def read_yaml(path: Path, problems: list[Problem]) -> yaml.Node | None:
    """The root node of a file, or None where it is empty or cannot be read."""
    try:
        text = read_text(path)
        if too_deep := _place_too_deep(text, str(path)):
            problems.append(Problem(too_deep, f"nested more than {DEPTH_LIMIT} levels deep"))
            return None
        return yaml.compose(text, Loader=_LOADER)
    except ValueError as error:
        problems.append(Problem(Place(str(path)), str(error)))
    except yaml.MarkedYAMLError as error:
        place = _place(str(path), error.problem_mark or error.context_mark)
        problems.append(Problem(place, f"not YAML: {error.problem or error.context}"))
    except yaml.YAMLError as error:
        problems.append(Problem(Place(str(path)), f"not YAML: {str(error).splitlines()[0]}"))
    return None


def _place(file: str, mark: Any) -> Place:
    return Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)


def _place_too_deep(text: str, file: str) -> Place | None:
    # libyaml's composer recurses without looking, and would take the whole process down.
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > DEPTH_LIMIT:
                return _place(file, event.start_mark)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return None


@dataclass
class Reader:
    """Takes the nodes of one file apart. Problems go to ``problems``; reading goes on."""

    file: str
    problems: list[Problem]
    warnings: list[Problem] = field(default_factory=list)
    jinja: Jinja = field(default_factory=Jinja)
    _left: int = field(default=NODE_LIMIT)
    _open: set[int] = field(default_factory=set)

    def place(self, node: yaml.Node) -> Place:
        """Where a node begins."""
        return _place(self.file, node.start_mark)

    def report(self, node: yaml.Node, message: str) -> None:
        """Note a problem at a node."""
        self.problems.append(Problem(self.place(node), message))

    def warn(self, node: yaml.Node, message: str) -> None:
        """Note at a node what is passed over, as dbt passes it over."""
        self.warnings.append(Problem(self.place(node), message))

    def mapping(
        self, node: yaml.Node, what: str, known: Collection[str] | None = None
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """The entries of a mapping as name → (key node, value node); {} with a problem otherwise.

        A key given twice and a key that is no text are problems. With ``known`` any other key is passed
        over with a warning, but for one that is nearly the name of what holds tests: it would lose them.
        """
        if not isinstance(node, yaml.MappingNode):
            self.report(node, f"{what} must be a mapping of names to values, not {kind_of(node)}")
            return {}
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in self._entries(node):
            if not isinstance(key, yaml.ScalarNode):
                self.report(key, f"{what}: a key must be text")
            elif key.value in found:
                self.report(key, f"{what}: {key.value!r} is given twice: keep one")
            elif known is not None and key.value not in known:
                if key.value in TESTS:
                    self.report(key, f"{what}: no tests belong here: write {key.value!r} where they do")
                elif misspelled := near(key.value, (HOLDING_TESTS & frozenset(known)) | TESTS):
                    self.report(key, f"{what}: unknown key {key.value!r}: did you mean {misspelled!r}?")
                else:
                    self.warn(key, f"{what}: unknown key {key.value!r}, passed over as by dbt")
            else:
                found[key.value] = key, value
        return found

    def sequence(self, node: yaml.Node, what: str) -> list[yaml.Node]:
        """The items of a list; [] with a problem otherwise. Nothing at all is an empty list."""
        if is_null(node):
            return []
        if not isinstance(node, yaml.SequenceNode):
            self.report(node, f"{what} must be a list, not {kind_of(node)}")
            return []
        self._spend(len(node.value))
        return list(node.value)

    def text(self, node: yaml.Node, what: str) -> str | None:
        """A non-empty text; None with a problem otherwise. Numbers are read as they are written."""
        if isinstance(node, yaml.ScalarNode) and node.value.strip() and not is_null(node):
            return str(node.value)
        self.report(node, f"{what} must be text, not {kind_of(node)}")
        return None

    def plain(self, node: yaml.Node, *, rendered: bool = False) -> object:
        """The Python value of a node and all below it: lists, dicts and scalars.

        ``rendered``: with the values of the Jinja in its texts; what has none is a problem. What names a
        table, ``{{ ref('a') }}``, stays for those who know the tables.
        """
        self._spend(1)
        if isinstance(node, yaml.ScalarNode):
            return self._rendered(node) if rendered else self._scalar(node)
        with_loop = id(node) in self._open
        if with_loop:
            self.report(node, "an alias contains itself")
            return None
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.SequenceNode):
                return [self.plain(item, rendered=rendered) for item in node.value]
            entries = self.mapping(node, "a mapping")
            return {name: self.plain(value, rendered=rendered) for name, (_, value) in entries.items()}
        finally:
            self._open.discard(id(node))

    def _rendered(self, node: yaml.ScalarNode) -> object:
        value = self._scalar(node)
        if not isinstance(value, str) or not MARKS.search(value) or JINJA_CALL.fullmatch(value.strip()):
            return value
        try:
            return self.jinja.render(value)
        except ValueError as error:
            self.report(node, str(error))
            return "?"  # the file is not used

    def _scalar(self, node: yaml.ScalarNode) -> object:
        try:
            return yaml.SafeLoader("").construct_object(node)
        except Exception:  # noqa: BLE001  PyYAML's constructors raise whatever their parsing meets
            self.report(node, f"{node.value[:40]!r} cannot be read as {node.tag.rpartition(':')[2]}")
            return None

    def _entries(self, node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        """Key and value nodes, the node's own first and then those merged in by ``<<``."""
        self._spend(len(node.value))
        own = [(key, value) for key, value in node.value if key.tag != MERGE]
        yield from own
        taken = {key.value for key, _ in own if isinstance(key, yaml.ScalarNode)}
        for _, merged in ((key, value) for key, value in node.value if key.tag == MERGE):
            for key, value in self._merged(merged):
                if isinstance(key, yaml.ScalarNode) and key.value not in taken:
                    taken.add(key.value)
                    yield key, value

    def _merged(self, node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        if id(node) in self._open:
            self.report(node, "an alias contains itself")
            return
        self._open.add(id(node))
        try:
            for part in node.value if isinstance(node, yaml.SequenceNode) else [node]:
                if isinstance(part, yaml.MappingNode):
                    yield from self._entries(part)
                else:
                    self.report(part, f"'<<' must name a mapping, not {kind_of(part)}")
        finally:
            self._open.discard(id(node))

    def _spend(self, nodes: int) -> None:
        self._left -= nodes + 1
        if self._left < 0:
            raise TooMuch


def guarded(reader: Reader, node: yaml.Node, read: Callable[[], None]) -> None:
    """Run ``read``; where the file unfolds without bound, that is one problem at ``node``."""
    try:
        read()
    except TooMuch:
        reader.report(node, f"its aliases unfold to more than {NODE_LIMIT:,} values: write less")


def is_null(node: yaml.Node) -> bool:
    """Whether a node is empty or says null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def kind_of(node: yaml.Node) -> str:
    """What a node is, in words."""
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if is_null(node) or not node.value.strip() else f"{node.value[:40]!r}"
