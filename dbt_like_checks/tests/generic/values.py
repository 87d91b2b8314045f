"""Generic tests of dbt-expectations on a column's values, its type, pairs of columns and aggregates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import literal, unescaped
from dbt_like_checks.tests.generic.core import AcceptedValues, spelled
from dbt_like_checks.tests.generic.expectations import PACKAGE, also, as_stored, not_holding, within
from dbt_like_checks.tests.generic.tested import ColumnNames, OneOrMore, Sql, Tested
from dbt_like_checks.tests.generic.utils import Bound, GroupBy, bound
from dbt_like_checks.tests.registry import GenericTest, generic_test

Column = sa.ColumnElement[Any]
TypeNames = Annotated[tuple[str, ...], OneOrMore, pydantic.Field(min_length=1)]
IgnoreRow = Literal["all_values_are_missing", "any_value_is_missing", "never"]


@generic_test(package=PACKAGE)
def expect_column_values_to_be_between(
    tested: Tested,
    *,
    min_value: Bound | None = None,
    max_value: Bound | None = None,
    row_condition: Sql | None = None,
    strictly: bool = False,
) -> sa.Select[Any]:
    """Every value is within bounds; NULL may be. Fails once per row."""
    inside = within(tested.column, min_value, max_value, strictly)
    return not_holding(tested, inside, row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_be_in_set(
    tested: Tested, *, value_set: AcceptedValues, quote_values: bool = True, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """Every value is one of a list; NULL may not be. Fails once per row."""
    outside = tested.column.not_in(spelled(tested, value_set, quote=quote_values))
    return _values_failing(tested, sa.or_(tested.column.is_(None), outside), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_not_be_in_set(
    tested: Tested, *, value_set: AcceptedValues, quote_values: bool = True, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """No value is one of a list. Fails once per row."""
    inside = tested.column.in_(spelled(tested, value_set, quote=quote_values))
    return _values_failing(tested, inside, row_condition)


@generic_test(package=PACKAGE)
def expect_column_distinct_values_to_be_in_set(
    tested: Tested, *, value_set: AcceptedValues, quote_values: bool = True, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """Every value is one of a list; NULL may not be. Fails once per other value."""
    column = tested.column
    outside = sa.or_(column.is_(None), column.not_in(spelled(tested, value_set, quote=quote_values)))
    values = sa.select(column.label("value_field"), *tested.first_key()).where(outside).group_by(column)
    return also(values, row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_not_be_null(
    tested: Tested, *, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """Every value is there, of the rows that are meant."""
    return not_holding(tested, tested.column.is_not(None), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_be_null(tested: Tested, *, row_condition: Sql | None = None) -> sa.Select[Any]:
    """No value is there, of the rows that are meant."""
    return not_holding(tested, tested.column.is_(None), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_be_unique(tested: Tested, *, row_condition: Sql | None = None) -> sa.Select[Any]:
    """No value occurs twice; NULL may. Fails once per repeated value."""
    return _repeated(tested, [tested.column], "all_values_are_missing", row_condition)


@generic_test(package=PACKAGE, column="none")
def expect_compound_columns_to_be_unique(
    tested: Tested,
    *,
    column_list: ColumnNames,
    quote_columns: bool = False,
    ignore_row_if: IgnoreRow = "all_values_are_missing",
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """No combination of values occurs twice, but for NULLs as configured. Fails once per combination."""
    columns = [tested.named(name, quoted=quote_columns) for name in column_list]
    return _repeated(tested, columns, ignore_row_if, row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_be_in_type_list(tested: Tested, *, column_type_list: TypeNames) -> sa.Select[Any]:
    """The column is of one of these types, in the database's own names. Fails once."""
    return _of_type(tested, column_type_list)


@generic_test(package=PACKAGE)
def expect_column_values_to_be_of_type(tested: Tested, *, column_type: str) -> sa.Select[Any]:
    """The column is of this type, in the database's own name. Fails once."""
    return _of_type(tested, (column_type,))


@generic_test(package=PACKAGE, column="none")
def expect_column_pair_values_A_to_be_greater_than_B(
    tested: Tested, *, column_A: Sql, column_B: Sql, or_equal: bool = False, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """The value of one column is greater than that of another; NULL may be. Fails once per row."""
    a, b = tested.named_or_written(column_A), tested.named_or_written(column_B)
    return not_holding(tested, a >= b if or_equal else a > b, row_condition)


@generic_test(package=PACKAGE, column="none")
def expect_column_pair_values_to_be_equal(
    tested: Tested, *, column_A: Sql, column_B: Sql, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """The values of two columns are equal; NULL may be. Fails once per row."""
    a, b = tested.named_or_written(column_A), tested.named_or_written(column_B)
    return not_holding(tested, a == b, row_condition)


@generic_test(package=PACKAGE)
def expect_column_distinct_count_to_equal(
    tested: Tested, *, value: Bound, group_by: GroupBy = (), row_condition: Sql | None = None
) -> sa.Select[Any]:
    """There are so many different values, in each group. Fails once per group."""
    distinct = sa.func.count(tested.column.distinct())
    return aggregated(tested, distinct, distinct == bound(value), group_by, row_condition)


@generic_test(package=PACKAGE)
def expect_column_distinct_count_to_be_greater_than(
    tested: Tested, *, value: Bound, group_by: GroupBy = (), row_condition: Sql | None = None
) -> sa.Select[Any]:
    """There are more different values than this, in each group. Fails once per group."""
    distinct = sa.func.count(tested.column.distinct())
    return aggregated(tested, distinct, distinct > bound(value), group_by, row_condition)


@generic_test(package=PACKAGE)
def expect_column_distinct_count_to_be_less_than(
    tested: Tested, *, value: Bound, group_by: GroupBy = (), row_condition: Sql | None = None
) -> sa.Select[Any]:
    """There are fewer different values than this, in each group. Fails once per group."""
    distinct = sa.func.count(tested.column.distinct())
    return aggregated(tested, distinct, distinct < bound(value), group_by, row_condition)


@generic_test(package=PACKAGE, column="none")
def expect_table_row_count_to_equal(
    tested: Tested, *, value: Bound, group_by: GroupBy = (), row_condition: Sql | None = None
) -> sa.Select[Any]:
    """There are so many rows, in each group. Fails once per group."""
    return aggregated(tested, sa.func.count(), sa.func.count() == bound(value), group_by, row_condition)


def aggregate_between(name: str, what: str, aggregate: Callable[[Tested], Column]) -> GenericTest:
    """A test that an aggregate of the column, ``what`` in words, is within bounds."""

    def function(
        tested: Tested,
        *,
        min_value: Bound | None = None,
        max_value: Bound | None = None,
        group_by: GroupBy = (),
        row_condition: Sql | None = None,
        strictly: bool = False,
    ) -> sa.Select[Any]:
        number = aggregate(tested)
        inside = within(number, min_value, max_value, strictly)
        return aggregated(tested, number, inside, group_by, row_condition)

    function.__doc__ = f"{what} is within bounds, in each group; NULL may be. Fails once per group."
    return generic_test(package=PACKAGE, name=f"expect_column_{name}_to_be_between")(function)


def _unique_share(tested: Tested) -> Column:
    column = tested.column
    share = sa.cast(sa.func.count(column.distinct()), sa.Float()) / sa.func.count(column)
    return sa.case((sa.func.count(column) == 0, 1), else_=share)


_AGGREGATES = (
    aggregate_between("min", "The smallest value", lambda tested: sa.func.min(tested.column)),
    aggregate_between("max", "The greatest value", lambda tested: sa.func.max(tested.column)),
    aggregate_between("sum", "The sum of the values", lambda tested: sa.func.sum(tested.column)),
    aggregate_between("mean", "The mean of the values", lambda tested: sa.func.avg(tested.column)),
    aggregate_between(
        "unique_value_count",
        "The number of different values",
        lambda tested: sa.func.count(tested.column.distinct()),
    ),
    aggregate_between("proportion_of_unique_values", "The share of different values", _unique_share),
)


def _values_failing(tested: Tested, condition: Column, row_condition: str | None) -> sa.Select[Any]:
    shown = [tested.column.label("value_field")] if tested.storing else []
    return also(tested.failing(condition, *shown), row_condition)


def aggregated(
    tested: Tested, number: Column, holds: Column, group_by: GroupBy, row_condition: str | None
) -> sa.Select[Any]:
    """The groups in which something does not hold of a number, an aggregate."""
    groups = tested.all_named(group_by)
    columns = as_stored(tested, number, holds, groups) or [*groups, number.label("expression")]
    shown = sa.select(*columns).select_from(tested.rows)
    return also(shown, row_condition).group_by(*groups).having(sa.not_(holds))


def _repeated(
    tested: Tested, columns: list[Column], ignore: IgnoreRow, row_condition: str | None
) -> sa.Select[Any]:
    counted = sa.select(*columns, sa.func.count().label("n_records"), *tested.first_key())
    rows = also(counted.select_from(tested.rows), row_condition).where(*not_ignored(columns, ignore))
    return rows.group_by(*columns).having(sa.func.count() > 1)


def not_ignored(columns: list[Column], ignore: IgnoreRow) -> list[Column]:
    """What holds of the rows that are looked at, given which are ignored for their NULLs."""
    present = [column.is_not(None) for column in columns]
    if ignore == "never":
        return []
    return [sa.or_(*present) if ignore == "all_values_are_missing" else sa.and_(*present)]


def _of_type(tested: Tested, names: tuple[str, ...]) -> sa.Select[Any]:
    found = tested.column_type.upper()
    row: list[Column] = [
        sa.cast(literal(tested.column.key or ""), sa.Text()).label("relation_column"),
        sa.cast(literal(found), sa.Text()).label("relation_column_type"),
    ]
    wanted = {unescaped(name).upper() for name in names}
    return sa.select(*row).where(sa.false() if found in wanted else sa.true())


TESTS = (
    expect_column_values_to_be_between,
    expect_column_values_to_be_in_set,
    expect_column_values_to_not_be_in_set,
    expect_column_distinct_values_to_be_in_set,
    expect_column_values_to_not_be_null,
    expect_column_values_to_be_null,
    expect_column_values_to_be_unique,
    expect_compound_columns_to_be_unique,
    expect_column_values_to_be_in_type_list,
    expect_column_values_to_be_of_type,
    expect_column_pair_values_A_to_be_greater_than_B,
    expect_column_pair_values_to_be_equal,
    expect_column_distinct_count_to_equal,
    expect_column_distinct_count_to_be_greater_than,
    expect_column_distinct_count_to_be_less_than,
    expect_table_row_count_to_equal,
    *_AGGREGATES,
)
