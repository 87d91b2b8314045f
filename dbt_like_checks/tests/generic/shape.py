"""Generic tests of dbt-expectations on the columns that a table has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import literal
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.tests.generic.expectations import PACKAGE, Length, Transform, in_case
from dbt_like_checks.tests.generic.tested import OneOrMore, OtherTable, Tested
from dbt_like_checks.tests.registry import generic_test

Names = Annotated[tuple[str, ...], OneOrMore, pydantic.Field(min_length=1)]


@generic_test(package=PACKAGE, column="none")
def expect_table_column_count_to_equal(tested: Tested, *, value: Length) -> sa.Select[Any]:
    """The table has so many columns. Fails once."""
    found = len(tested.table.columns)
    return _numbers(found != value, number_actual_columns=found, value=value)


@generic_test(package=PACKAGE, column="none")
def expect_table_column_count_to_be_between(
    tested: Tested, *, min_value: Length | None = None, max_value: Length | None = None
) -> sa.Select[Any]:
    """The number of the table's columns is within bounds. Fails once."""
    if min_value is None and max_value is None:
        raise CannotCompile("give min_value, max_value or both")
    found = len(tested.table.columns)
    outside = found < (min_value or 0) or (max_value is not None and found > max_value)
    return _numbers(outside, number_actual_columns=found, min_value=min_value or 0, max_value=max_value or 0)


@generic_test(package=PACKAGE, column="none")
def expect_table_column_count_to_equal_other_table(
    tested: Tested, *, compare_model: OtherTable
) -> sa.Select[Any]:
    """The table has as many columns as another. Fails once."""
    ours, theirs = len(tested.table.columns), len(tested.other(compare_model).columns)
    return _numbers(ours != theirs, number_columns=ours, compare_number_columns=theirs)


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_contain_set(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has each of these columns, in any case. Fails once per column that it has not."""
    found, wanted = _spelled(tested, column_list, transform)
    return _rows(("input_column", "relation_column"), [(name, None) for name in wanted if name not in found])


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_not_contain_set(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has none of these columns, in any case. Fails once per column that it has."""
    found, unwanted = _spelled(tested, column_list, transform)
    return _rows(("input_column", "relation_column"), [(name, name) for name in unwanted if name in found])


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_match_set(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has just these columns, in any case. Fails once per column on one side only."""
    found, wanted = _spelled(tested, column_list, transform)
    more = [(name, None) for name in found if name not in wanted]
    missing = [(None, name) for name in wanted if name not in found]
    return _rows(("relation_column", "input_column"), [*more, *missing])


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_match_ordered_list(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has just these columns in this order. Fails once per column out of place, on each side."""
    found, wanted = (list(enumerate(names, 1)) for names in _spelled(tested, column_list, transform))
    more = [(*each, None, None) for each in found if each not in wanted]
    missing = [(None, None, *each) for each in wanted if each not in found]
    names = ("relation_column_idx", "relation_column", "input_column_idx", "input_column")
    return _rows(names, [*more, *missing])


def _spelled(tested: Tested, names: tuple[str, ...], transform: Transform) -> tuple[list[str], list[str]]:
    """The table's columns and the given ones, in one case."""
    spelled = in_case(transform)
    return [spelled(name) for name in tested.table.columns], [spelled(name) for name in names]


def _rows(names: tuple[str, ...], failing: Sequence[tuple[str | int | None, ...]]) -> sa.Select[Any]:
    """The rows, under dbt-expectations' names."""
    rows = [
        sa.select(*[_typed(name, value).label(name) for name, value in zip(names, row, strict=True)])
        for row in failing or [(None,) * len(names)]
    ]
    selected = sa.union_all(*rows).subquery("test_data")
    return sa.select(*selected.c).where(sa.true() if failing else sa.false())


def _typed(name: str, value: str | int | None) -> sa.ColumnElement[Any]:
    kind = sa.Integer() if name.endswith("_idx") else sa.Text()
    return sa.cast(sa.null() if value is None else literal(value), kind)


def _numbers(fails: bool, **numbers: int) -> sa.Select[Any]:
    row: list[sa.ColumnElement[Any]] = [
        sa.literal_column(str(number)).label(name) for name, number in numbers.items()
    ]
    return sa.select(*row).where(sa.true() if fails else sa.false())


TESTS = (
    expect_table_column_count_to_equal,
    expect_table_column_count_to_be_between,
    expect_table_column_count_to_equal_other_table,
    expect_table_columns_to_contain_set,
    expect_table_columns_to_not_contain_set,
    expect_table_columns_to_match_set,
    expect_table_columns_to_match_ordered_list,
)
