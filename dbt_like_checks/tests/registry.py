"""Generic tests by name: those that ship, and one's own through an entry point.

A generic test is a function from what is tested to a SELECT of the failing rows::

    @generic_test(package="shop")
    def divisible(tested: Tested, *, by: int) -> sa.Select[Any]:
        return tested.failing(tested.column % by != 0)

Its keyword-only parameters are its arguments in YAML, validated by their annotations. A distribution
registers it in the entry point group ``dbt_like_checks.tests``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any, Literal, get_type_hints

import pydantic
import sqlalchemy as sa

from dbt_like_checks.errors import DataTestError, did_you_mean

GROUP = "dbt_like_checks.tests"
PREFERRED = "dbt_utils"  # where it and dbt_expectations have a test of one name, which stands alone
UsesColumn = Literal["required", "optional", "none"]
FailingRows = Callable[..., sa.Select[Any]]
InPass = Callable[..., sa.ColumnElement[Any] | None]


class BadGenericTest(DataTestError):
    """A registered generic test that cannot be used; names the entry point."""


@dataclass(frozen=True)
class GenericTest:
    """A generic test: its name, the function that selects failing rows, and how they are counted.

    ``column`` says whether it is on a column. ``count`` is the SQL of the failure count over the
    failing rows, dbt's ``fail_calc``. ``in_pass``, called as ``function`` is but with the whole table as
    its rows, gives that count as an aggregate over the table, to be asked for together with others, of the
    rows that meet the test's ``conditions``; None where there is none. ``key``: the rows are those whose
    values of some columns repeat, selected first.
    """

    name: str
    package: str | None
    function: FailingRows
    column: UsesColumn = "required"
    count: str = "count(*)"
    in_pass: InPass | None = None
    key: bool = False

    @property
    def qualified_name(self) -> str:
        """The name as it is written: ``dbt_utils.accepted_range``."""
        return f"{self.package}.{self.name}" if self.package else self.name

    @property
    def description(self) -> str:
        """The first line of what its function says about itself."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @cached_property
    def arguments(self) -> type[pydantic.BaseModel]:
        """The model that validates its arguments."""
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in inspect.signature(self.function).parameters.items()
            if parameter.kind is parameter.KEYWORD_ONLY
        }
        config = pydantic.ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
        return pydantic.create_model(self.name, __config__=config, **fields)


def generic_test(
    *,
    package: str | None = None,
    name: str | None = None,
    column: UsesColumn = "required",
    count: str = "count(*)",
    in_pass: InPass | None = None,
    key: bool = False,
) -> Callable[[FailingRows], GenericTest]:
    """Make a generic test of a function ``(tested, *, arguments…) -> Select``."""

    def decorate(function: FailingRows) -> GenericTest:
        return GenericTest(name or function.__name__, package, function, column, count, in_pass, key)

    return decorate


class Registry:
    """Generic tests by qualified name and, where it is unambiguous, by bare name."""

    def __init__(self, tests: Iterable[GenericTest]) -> None:
        self._by_name: dict[str, GenericTest] = {}
        for test in tests:
            if test.qualified_name in self._by_name:
                raise BadGenericTest(f"the generic test {test.qualified_name!r} is registered twice")
            self._by_name[test.qualified_name] = test

    def __iter__(self) -> Iterator[GenericTest]:
        return iter(self._by_name.values())

    def find(self, name: str) -> GenericTest:
        """The test called ``name``, with or without its package. Raises LookupError with one line."""
        if found := self._by_name.get(name):
            return found
        bare = [test for test in self._by_name.values() if test.name == name]
        if len(bare) == 1:
            return bare[0]
        if {test.package for test in bare} == {PREFERRED, "dbt_expectations"}:
            return self._by_name[f"{PREFERRED}.{name}"]
        if bare:
            names = " or ".join(sorted(test.qualified_name for test in bare))
            raise LookupError(f"the test {name!r} is in several packages: write {names}")
        known = {spelling for test in self._by_name.values() for spelling in (test.name, test.qualified_name)}
        raise LookupError(f"unknown test {name!r}{did_you_mean(name, known)}")


def default_registry() -> Registry:
    """The tests that ship and those that installed distributions register. Raises BadGenericTest."""
    from dbt_like_checks.tests.generic import SHIPPED

    return Registry([*SHIPPED, *_registered()])


def _registered() -> list[GenericTest]:
    found: list[GenericTest] = []
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
        except Exception as error:
            raise BadGenericTest(f"the generic test {entry.value!r} cannot be imported: {error}") from error
        if isinstance(loaded, GenericTest):
            found.append(loaded)
        elif callable(loaded):
            found.append(GenericTest(entry.name, None, loaded))
        else:
            raise BadGenericTest(f"{entry.value!r} in the entry points {GROUP!r} is no generic test")
    return found


def arguments_of(test: GenericTest, given: Mapping[str, object], context: object) -> dict[str, object]:
    """Validated arguments with their defaults. Raises pydantic.ValidationError."""
    validated = test.arguments.model_validate(dict(given), context=context)
    return {name: getattr(validated, name) for name in test.arguments.model_fields}
