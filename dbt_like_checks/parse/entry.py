"""One entry under ``data_tests:`` into a `DataTest`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pydantic
import yaml
from pydantic_core import ErrorDetails

from dbt_like_checks.errors import did_you_mean
from dbt_like_checks.parse.configuration import CONFIG_KEYS, read_config
from dbt_like_checks.parse.document import Reader, is_null, kind_of
from dbt_like_checks.parse.jinja import NO_TABLE
from dbt_like_checks.parse.names import test_name, unique_id
from dbt_like_checks.parse.project import Column, Config, DataTest, Model
from dbt_like_checks.parse.references import JINJA_CALL, Resolver
from dbt_like_checks.tests.registry import GenericTest, Registry, arguments_of
from dbt_like_checks.tests.unsupported import unsupported_here

Entries = dict[str, tuple[yaml.Node, yaml.Node]]
OWN_KEYS = frozenset(("arguments", "config", "description", "name", "test_name"))
COLUMN_NAME = "column_name"
MOVED = (*sorted(CONFIG_KEYS), "config", "description", "name")  # dbt reads them under arguments as well
_EXPRESSION = re.compile(r"\w\s*\(|\|\||::|\s[-+*/%]\s")  # what no column's name holds
UNREAD = object()
NOT_OF_TYPE = "Input should be a valid "  # how pydantic begins to say so


@dataclass(frozen=True)
class Subject:
    """What the tests of one list are on. ``named`` is the model's name within test names."""

    model: Model
    named: str
    from_source: bool = False
    column: Column | None = None
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class EntryReader:
    """Reads test entries of one file."""

    reader: Reader
    project: str
    registry: Registry
    resolver: Resolver
    generic_tests: frozenset[str] = frozenset()  # those written in Jinja in the dbt project

    def read(self, node: yaml.Node, subject: Subject) -> DataTest | None:
        """The declared test, or None with problems."""
        before = len(self.reader.problems)
        named = self._named(node)
        if named is None:
            return None
        name_node, entries = named
        try:
            if name_node.value in self.generic_tests:  # its own comes before dbt's
                raise LookupError(name_node.value)
            generic = self.registry.find(name_node.value)
        except LookupError as error:
            return self._not_known(node, name_node, entries, subject, str(error))
        entries = _without_config(self.reader, entries, generic)
        given = self._arguments(entries)
        column = self._column(generic, given, subject, name_node)
        arguments = self._validated(generic, given, name_node)
        config = self._config(entries)
        own_name = self._text(entries, "name")
        name = own_name or self._test_name(name_node.value, given, subject, column)
        description = self._text(entries, "description") or ""
        if len(self.reader.problems) > before:
            return None
        identity = (subject.model.name, name_node.value, column, sorted(map(repr, given.items())))
        return DataTest(
            name=name,
            unique_id=unique_id(self.project, name, *identity),
            kind=generic.qualified_name,
            model=subject.model,
            column=column,
            arguments=arguments,
            config=config,
            description=description,
            place=self.reader.place(node),
            named=own_name is not None,
            inherited_tags=subject.tags,
        )

    def _not_known(
        self, node: yaml.Node, name_node: yaml.ScalarNode, entries: Entries, subject: Subject, error: str
    ) -> DataTest | None:
        """A test of a kind that exists elsewhere, which is not run here; None with a problem otherwise."""
        kind = str(name_node.value)
        reason = unsupported_here(kind, self.generic_tests)
        if reason is None:
            self.reader.report(name_node, error)
            return None
        entries = _without_config(self.reader, entries, None)
        before = len(self.reader.problems)
        config, own_name = self._config(entries), self._text(entries, "name")
        given = self._arguments(entries)
        if len(self.reader.problems) > before:
            return None
        name = own_name or self._test_name(kind, given, subject, subject.column)
        identity = (subject.model.name, kind, subject.column, sorted(map(repr, given.items())))
        return DataTest(
            name=name,
            unique_id=unique_id(self.project, name, *identity),
            kind=kind,
            model=subject.model,
            column=subject.column,
            arguments={},
            config=config,
            description=self._text(entries, "description") or "",
            place=self.reader.place(node),
            named=own_name is not None,
            inherited_tags=subject.tags,
            unsupported=reason,
        )

    def _named(self, node: yaml.Node) -> tuple[yaml.ScalarNode, Entries] | None:
        """The node of the test's name and the entries beside or below it."""
        if isinstance(node, yaml.ScalarNode) and self.reader.text(node, "a test"):
            return node, {}
        if not isinstance(node, yaml.MappingNode):
            if not isinstance(node, yaml.ScalarNode):
                self.reader.report(node, f"a test must be a name or a mapping, not {kind_of(node)}")
            return None
        entries = self.reader.mapping(node, "a test")
        if "test_name" in entries:
            return self._with_name(entries.pop("test_name")[1], entries)
        if len(entries) != 1:
            self.reader.report(node, "a test must have one name: indent its arguments below it")
            return None
        ((key, value),) = entries.values()
        below = {} if is_null(value) else self.reader.mapping(value, f"the test {key.value!r}")
        return self._with_name(key, below)

    def _with_name(self, node: yaml.Node, entries: Entries) -> tuple[yaml.ScalarNode, Entries] | None:
        if self.reader.text(node, "a test's name") is None or not isinstance(node, yaml.ScalarNode):
            return None
        return node, entries

    def _arguments(self, entries: Entries) -> dict[str, tuple[yaml.Node, object]]:
        """The arguments, new style and old, with the nodes of their keys."""
        found: Entries = {}
        if "arguments" in entries and not is_null(entries["arguments"][1]):
            found |= self.reader.mapping(entries["arguments"][1], "arguments")
        for name, (key, value) in entries.items():
            if name in OWN_KEYS or name in CONFIG_KEYS:
                continue
            if name in found:
                self.reader.report(key, f"argument {name!r} is given twice: keep the one under 'arguments'")
            found[name] = key, value
        if "model" in found:
            self.reader.report(found.pop("model")[0], "'model' is what the test is written under")
        return {name: (key, self._read(value)) for name, (key, value) in found.items()}

    def _read(self, node: yaml.Node) -> object:
        """The value of a node; UNREAD where a problem was found in it, which is the only one then."""
        before = len(self.reader.problems)
        value = self.reader.plain(node, rendered=True)
        return value if len(self.reader.problems) == before else UNREAD

    def _column(
        self,
        generic: GenericTest,
        given: dict[str, tuple[yaml.Node, object]],
        subject: Subject,
        at: yaml.Node,
    ) -> Column | None:
        column = subject.column
        if COLUMN_NAME in given and column is None:
            key, value = given[COLUMN_NAME]
            if value is UNREAD:
                return None
            if not isinstance(value, str) or not value:
                self.reader.report(key, "column_name must be text")
            elif _EXPRESSION.search(value):
                message = f"column_name must be a column's name, not the expression {value[:60]!r}"
                self.reader.report(key, f"{message}: make it a column of a view, or write expression_is_true")
            else:
                column = Column(value)
        elif COLUMN_NAME in given:
            self.reader.report(given[COLUMN_NAME][0], "column_name is the column it is written under")
        if generic.column == "none" and column is not None:
            self.reader.report(
                at, f"{generic.qualified_name!r} is on a whole model: write it beside 'columns:'"
            )
        if generic.column == "required" and column is None and COLUMN_NAME not in given:
            self.reader.report(at, f"{generic.qualified_name!r} is on a column: write it under one")
        return column

    def _validated(
        self, generic: GenericTest, given: dict[str, tuple[yaml.Node, object]], at: yaml.Node
    ) -> dict[str, object]:
        values = {name: value for name, (_, value) in given.items() if name != COLUMN_NAME}
        try:
            validated = arguments_of(generic, values, {"resolve": self.resolver.resolve})
        except pydantic.ValidationError as error:
            for name, details in _by_place(error):
                if name in given and given[name][1] is UNREAD:
                    continue
                node = given[name][0] if name in given else at
                self.reader.report(node, _argument_problem(generic, name, details))
            return {}
        for name, value in validated.items():
            if call := _left_call(value):
                self.reader.report(given[name][0], f"{name}: {call!r} {NO_TABLE}")
        return validated

    def _config(self, entries: Entries) -> Config:
        nodes = {name: entry for name, entry in entries.items() if name in CONFIG_KEYS}
        if "config" in entries and not is_null(entries["config"][1]):
            for name, entry in self.reader.mapping(entries["config"][1], "config").items():
                if name in nodes:
                    self.reader.report(
                        entry[0], f"config {name!r} is given twice: keep the one under 'config'"
                    )
                nodes[name] = entry
        read = {name: self._read(value) for name, (_, value) in nodes.items()}
        values = {name: value for name, value in read.items() if value is not UNREAD}
        for name, value in values.items():
            if call := _left_call(value):
                self.reader.report(nodes[name][0], f"{name}: {call!r} {NO_TABLE}")
        return read_config(values, lambda key, message: self.reader.report(nodes[key][0], message))

    def _text(self, entries: Entries, key: str) -> str | None:
        if key not in entries or is_null(entries[key][1]):
            return None
        return self.reader.text(entries[key][1], key)

    def _test_name(
        self,
        kind: str,
        given: Mapping[str, tuple[yaml.Node, object]],
        subject: Subject,
        column: Column | None,
    ) -> str:
        arguments = {name: value for name, (_, value) in given.items()}
        if column is not None:
            arguments[COLUMN_NAME] = f'"{column.name}"' if column.quote else column.name
        package, dot, bare = kind.rpartition(".")
        prefixed = f"{package}{dot}{'source_' if subject.from_source else ''}{bare}"
        return test_name(prefixed, subject.named, arguments)


def _left_call(value: object) -> str | None:
    """The function of a ``{{ ref('a') }}`` that stands where no table does."""
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, str) and (call := JINJA_CALL.fullmatch(each.strip())):
            return str(call[1])
    return None


def _without_config(reader: Reader, entries: Entries, generic: GenericTest | None) -> Entries:
    """The entries, with those under ``arguments`` that dbt reads as config moved beside it."""
    if "arguments" not in entries or is_null(entries["arguments"][1]):
        return entries
    key, node = entries["arguments"]
    arguments = reader.mapping(node, "arguments")
    own = frozenset(generic.arguments.model_fields) if generic else frozenset()
    moved = {name: arguments.pop(name) for name in MOVED if name in arguments and name not in own}
    if not moved:
        return entries
    for name in moved.keys() & entries.keys():
        reader.report(moved[name][0], f"{name!r} is given twice: keep the one beside 'arguments'")
    left = yaml.MappingNode(node.tag, list(arguments.values()), node.start_mark, node.end_mark)
    return {**moved, **entries, "arguments": (key, left)}


def _by_place(error: pydantic.ValidationError) -> Iterator[tuple[str, list[ErrorDetails]]]:
    """The name of an argument for each value that is wrong, and what is wrong with that value.

    There are several errors where it may be of several types: one for each.
    """
    places: dict[tuple[str | int, ...], list[ErrorDetails]] = defaultdict(list)
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        name, *below = detail["loc"] or ("",)
        places[name, *(step for step in below if isinstance(step, int))].append(detail)
    for place, details in places.items():
        yield str(place[0]), details


def _argument_problem(generic: GenericTest, name: str, details: list[ErrorDetails]) -> str:
    test = repr(generic.qualified_name)
    match details[0]["type"]:
        case "extra_forbidden":
            return f"{test} has no argument {name!r}{did_you_mean(name, generic.arguments.model_fields)}"
        case "missing":
            return f"{test} needs the argument {name!r}"
    messages = [detail["msg"].replace("valid tuple", "valid list") for detail in details]
    # An error of the type that was meant says more than that it is none of the others.
    wrong = [message for message in messages if not message.startswith(NOT_OF_TYPE)]
    if not wrong:
        *kinds, last = (message.removeprefix(NOT_OF_TYPE) for message in messages)
        wrong = [f"{NOT_OF_TYPE}{', '.join(kinds)} or {last}" if kinds else f"{NOT_OF_TYPE}{last}"]
    item = next((f" item {step + 1}:" for step in details[0]["loc"] if isinstance(step, int)), "")
    return f"{test}: {name}:{item} {wrong[0].removeprefix('Value error, ')}"
