"""Generic tests of dbt-expectations on the columns that a table has."""

from __future__ import annotations

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
    return _numbers(len(tested.table.columns) != value, tested, value=value)


@generic_test(package=PACKAGE, column="none")
def expect_table_column_count_to_be_between(
    tested: Tested, *, min_value: Length | None = None, max_value: Length | None = None
) -> sa.Select[Any]:
    """The number of the table's columns is within bounds. Fails once."""
    if min_value is None and max_value is None:
        raise CannotCompile("give min_value, max_value or both")
    found = len(tested.table.columns)
    outside = found < (min_value or 0) or (max_value is not None and found > max_value)
    return _numbers(outside, tested, min_value=min_value or 0, max_value=max_value or 0)


@generic_test(package=PACKAGE, column="none")
def expect_table_column_count_to_equal_other_table(
    tested: Tested, *, compare_model: OtherTable
) -> sa.Select[Any]:
    """The table has as many columns as another. Fails once."""
    theirs = len(tested.other(compare_model).columns)
    return _numbers(len(tested.table.columns) != theirs, tested, compare_number_columns=theirs)


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_contain_set(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has each of these columns, in any case. Fails once per column that it has not."""
    found, wanted = _spelled(tested, column_list, transform)
    return _columns([(None, name) for name in wanted if name not in found])


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_not_contain_set(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has none of these columns, in any case. Fails once per column that it has."""
    found, unwanted = _spelled(tested, column_list, transform)
    return _columns([(name, name) for name in unwanted if name in found])


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_match_set(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has just these columns, in any case. Fails once per column on one side only."""
    found, wanted = _spelled(tested, column_list, transform)
    more = [(name, None) for name in found if name not in wanted]
    return _columns([*more, *[(None, name) for name in wanted if name not in found]])


@generic_test(package=PACKAGE, column="none")
def expect_table_columns_to_match_ordered_list(
    tested: Tested, *, column_list: Names, transform: Transform = "upper"
) -> sa.Select[Any]:
    """The table has just these columns in this order. Fails once per column out of place, on each side."""
    found, wanted = (list(enumerate(names)) for names in _spelled(tested, column_list, transform))
    more = [(name, None) for place, name in found if (place, name) not in wanted]
    return _columns([*more, *[(None, name) for place, name in wanted if (place, name) not in found]])


def _spelled(tested: Tested, names: tuple[str, ...], transform: Transform) -> tuple[list[str], list[str]]:
    """The table's columns and the given ones, in one case."""
    spelled = in_case(transform)
    return [spelled(name) for name in tested.table.columns], [spelled(name) for name in names]


def _columns(failing: list[tuple[str | None, str | None]]) -> sa.Select[Any]:
    """A row for each: the column of the table, and the one that was asked for."""
    rows = [
        sa.select(_text(column).label("relation_column"), _text(wanted).label("input_column"))
        for column, wanted in failing or [(None, None)]
    ]
    selected = sa.union_all(*rows).subquery("test_data")
    return sa.select(*selected.c).where(sa.true() if failing else sa.false())


def _text(name: str | None) -> sa.ColumnElement[Any]:
    return sa.cast(sa.null() if name is None else literal(name), sa.Text())


def _numbers(fails: bool, tested: Tested, **others: int) -> sa.Select[Any]:
    numbers = {"number_actual_columns": len(tested.table.columns)} | others
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
