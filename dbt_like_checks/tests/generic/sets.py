"""Generic tests of dbt-expectations on sets of values, on texts, and on the values within a row."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import literal, unescaped
from dbt_like_checks.tests.generic.core import AcceptedValues, spelled
from dbt_like_checks.tests.generic.expectations import (
    PACKAGE,
    MatchOn,
    Patterns,
    also,
    combined,
    not_holding,
)
from dbt_like_checks.tests.generic.tested import ColumnNames, Sql, Tested, one_if
from dbt_like_checks.tests.generic.utils import Bound, bound
from dbt_like_checks.tests.generic.values import IgnoreRow, not_ignored
from dbt_like_checks.tests.registry import generic_test

Column = sa.ColumnElement[Any]
Pairs = Annotated[tuple[tuple[Bound, Bound], ...], pydantic.Field(min_length=1)]
Rank = Annotated[int, pydantic.Field(ge=1)]


@generic_test(package=PACKAGE)
def expect_column_distinct_values_to_contain_set(
    tested: Tested, *, value_set: AcceptedValues, quote_values: bool = True, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """Each of a list is among the values. Fails once per missing one."""
    wanted = _listed(tested, value_set, quote=quote_values)
    found = _values(tested, row_condition)
    here = sa.exists(sa.select(sa.literal_column("1")).where(found.c.value_field == wanted.c.value_field))
    return sa.select(*wanted.c).where(sa.not_(here))


@generic_test(package=PACKAGE)
def expect_column_distinct_values_to_equal_set(
    tested: Tested, *, value_set: AcceptedValues, quote_values: bool = True, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """The values are just those of a list; NULL may not be. Fails once per value on one side only."""
    wanted = _listed(tested, value_set, quote=quote_values)
    found = _values(tested, row_condition)
    both = found.join(wanted, found.c.value_field == wanted.c.value_field, full=True)
    rows = sa.select(found.c.value_field.label("column_value"), wanted.c.value_field).select_from(both)
    return rows.where(sa.or_(found.c.value_field.is_(None), wanted.c.value_field.is_(None)))


@generic_test(package=PACKAGE)
def expect_column_most_common_value_to_be_in_set(
    tested: Tested,
    *,
    value_set: AcceptedValues,
    top_n: Rank,
    quote_values: bool = True,
    data_type: str = "decimal",
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """The most common value, or the n-th, is one of a list; NULL may be. Fails once."""
    number = sa.func.count()
    rank = sa.func.row_number().over(order_by=number.desc())
    counted = sa.select(tested.column.label("value_field"), rank.label("value_count_rank"))
    ranked = also(counted.select_from(tested.rows), row_condition).group_by(tested.column).subquery("ranked")
    outside = ranked.c.value_field.not_in(spelled(tested, value_set, quote=quote_values))
    return sa.select(ranked.c.value_field).where(ranked.c.value_count_rank == literal(top_n), outside)


@generic_test(package=PACKAGE, column="none")
def expect_column_pair_values_to_be_in_set(
    tested: Tested, *, column_A: Sql, column_B: Sql, value_pairs_set: Pairs, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """The values of two columns are a pair of a list; a text in it is SQL. Fails once per row."""
    a, b = tested.named_or_written(column_A), tested.named_or_written(column_B)
    pairs = [sa.and_(a == bound(one), b == bound(other)) for one, other in value_pairs_set]
    return not_holding(tested, sa.or_(*pairs), row_condition)


@generic_test(package=PACKAGE, column="none")
def expect_select_column_values_to_be_unique_within_record(
    tested: Tested,
    *,
    column_list: ColumnNames,
    quote_columns: bool = False,
    ignore_row_if: IgnoreRow = "all_values_are_missing",
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """In each row some columns differ from each other; NULLs only as configured. Fails once per row."""
    columns = [tested.named(name, quoted=quote_columns) for name in column_list]
    texts: list[Column] = [sa.cast(column, sa.Text()) for column in columns]
    alike = [one == other for one, other in combinations(texts, 2)]
    missing = [column.is_(None) for column in columns]
    meant = not_ignored(columns, ignore_row_if)
    if tested.storing:
        numbered = _numbered(tested, columns, texts)
        found = also(numbered, row_condition).where(*meant).subquery("column_values")
        return sa.select(*found.c).where(found.c.column_values < literal(len(columns)))
    return also(tested.failing(sa.or_(*alike, *missing), *columns), row_condition).where(*meant)


def _numbered(tested: Tested, columns: list[Column], texts: list[Column]) -> sa.Select[Any]:
    """Each row, beside it dbt-expectations' number of it and how many values it has that differ."""
    first_time = [
        sa.and_(text.is_not(None), *[sa.func.coalesce(text != other, sa.true()) for other in texts[:n]])
        for n, text in enumerate(texts)
    ]
    number = sa.func.row_number().over(order_by=columns).label("row_index")
    different: Column = sum((one_if(each) for each in first_time[1:]), start=one_if(first_time[0]))
    return sa.select(*tested.rows.c, number, different.label("column_values"))


@generic_test(package=PACKAGE)
def expect_column_values_to_have_consistent_casing(
    tested: Tested, *, display_inconsistent_columns: bool = False
) -> sa.Select[Any]:
    """No two texts differ in case only; NULL may not be. Fails once, or once per text if displayed."""
    values = sa.select(tested.column.label("distinct_values")).select_from(tested.rows).distinct()
    found = values.subquery("test_data")
    value, lowered = found.c.distinct_values, sa.func.lower(found.c.distinct_values)
    if display_inconsistent_columns:
        alike = sa.func.count(value)
        shown = [lowered.label("inconsistent_columns"), alike.label("set_count_case_insensitive")]
        return sa.select(*shown).group_by(lowered).having(alike > 1)
    counts = sa.select(
        sa.func.count().label("set_count"),
        sa.func.count(lowered.distinct()).label("set_count_case_insensitive"),
    ).select_from(found)
    both = counts.subquery("validation_errors")
    return sa.select(*both.c).where(both.c.set_count != both.c.set_count_case_insensitive)


@generic_test(package=PACKAGE)
def expect_column_values_to_match_like_pattern(
    tested: Tested, *, like_pattern: str, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """Every text is LIKE a pattern; NULL may be. Fails once per row."""
    return not_holding(tested, _like(tested, like_pattern), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_not_match_like_pattern(
    tested: Tested, *, like_pattern: str, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """No text is LIKE a pattern; NULL may be. Fails once per row."""
    return not_holding(tested, sa.not_(_like(tested, like_pattern)), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_match_like_pattern_list(
    tested: Tested,
    *,
    like_pattern_list: Patterns,
    match_on: MatchOn = "any",
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """Every text is LIKE any, or all, of some patterns; NULL may be. Fails once per row."""
    found = [_like(tested, pattern) for pattern in like_pattern_list]
    return not_holding(tested, combined(match_on, found), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_not_match_like_pattern_list(
    tested: Tested,
    *,
    like_pattern_list: Patterns,
    match_on: MatchOn = "any",
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """Every text is not LIKE any, or all, of some patterns; NULL may be. Fails once per row."""
    absent = [sa.not_(_like(tested, pattern)) for pattern in like_pattern_list]
    return not_holding(tested, combined(match_on, absent), row_condition)


def _like(tested: Tested, pattern: str) -> Column:
    return tested.column.like(literal(unescaped(pattern)))


def _values(tested: Tested, row_condition: str | None) -> sa.Subquery:
    values = sa.select(tested.column.label("value_field")).select_from(tested.rows)
    return also(values, row_condition).distinct().subquery("all_values")


def _listed(tested: Tested, values: AcceptedValues, *, quote: bool) -> sa.Subquery:
    """The listed values as rows, of the column's type."""
    # Of no row, but of the column: it gives the values their type.
    typed = sa.select(tested.column.label("value_field")).select_from(tested.rows).where(sa.false())
    # SQLite's column of booleans has true as a number, which stands last of what it is compared with.
    listed = [spelled(tested, (value,), quote=quote)[-1] for value in values]
    rows = [sa.select(value.label("value_field")) for value in listed]
    return sa.union(typed, *rows).subquery("unique_set_values")


TESTS = (
    expect_column_distinct_values_to_contain_set,
    expect_column_distinct_values_to_equal_set,
    expect_column_most_common_value_to_be_in_set,
    expect_column_pair_values_to_be_in_set,
    expect_select_column_values_to_be_unique_within_record,
    expect_column_values_to_have_consistent_casing,
    expect_column_values_to_match_like_pattern,
    expect_column_values_to_not_match_like_pattern,
    expect_column_values_to_match_like_pattern_list,
    expect_column_values_to_not_match_like_pattern_list,
)
