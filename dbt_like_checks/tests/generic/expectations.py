"""Generic tests of dbt-expectations: texts, row counts and the table's shape.

Of dbt-expectations' behaviours that differ between databases, dbt-duckdb's is taken: NULL passes.
``is_raw`` is accepted and changes nothing: patterns are bound, so none needs escaping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import literal, matches, unescaped, written
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.tests.generic.tested import OneOrMore, Sql, Tested, one_if
from dbt_like_checks.tests.generic.utils import GroupBy, bound
from dbt_like_checks.tests.registry import generic_test

PACKAGE = "dbt_expectations"
Pattern = Annotated[str, pydantic.Field(min_length=1, max_length=10_000)]
Patterns = Annotated[tuple[Pattern, ...], OneOrMore, pydantic.Field(min_length=1)]
FLAGS = "c: case matters, as without it; i: any case; m: lines; s: . is any"
Flags = Annotated[str, pydantic.Field(pattern="^[cims]*$", description=FLAGS)]
Length = Annotated[int, pydantic.Field(ge=0)]
MatchOn = Literal["any", "all"]
Transform = Literal["upper", "lower"]


@generic_test(package=PACKAGE)
def expect_column_values_to_match_regex(
    tested: Tested,
    *,
    regex: Pattern,
    row_condition: Sql | None = None,
    is_raw: bool = False,
    flags: Flags = "",
) -> sa.Select[Any]:
    """Every text holds a match; NULL may be. Fails once per row."""
    return not_holding(tested, _matching(tested, flags)(regex), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_not_match_regex(
    tested: Tested,
    *,
    regex: Pattern,
    row_condition: Sql | None = None,
    is_raw: bool = False,
    flags: Flags = "",
) -> sa.Select[Any]:
    """No text holds a match; NULL may be. Fails once per row."""
    return not_holding(tested, sa.not_(_matching(tested, flags)(regex)), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_match_regex_list(
    tested: Tested,
    *,
    regex_list: Patterns,
    match_on: MatchOn = "any",
    row_condition: Sql | None = None,
    is_raw: bool = False,
    flags: Flags = "",
) -> sa.Select[Any]:
    """Every text matches any, or all, of a list; NULL may be. Fails once per row."""
    found = [_matching(tested, flags)(regex) for regex in regex_list]
    return not_holding(tested, combined(match_on, found), row_condition)


@generic_test(package=PACKAGE)
def expect_column_values_to_not_match_regex_list(
    tested: Tested,
    *,
    regex_list: Patterns,
    match_on: MatchOn = "any",
    row_condition: Sql | None = None,
    is_raw: bool = False,
    flags: Flags = "",
) -> sa.Select[Any]:
    """Every text is without any, or all, of a list; NULL may be. Fails once per row."""
    absent = [sa.not_(_matching(tested, flags)(regex)) for regex in regex_list]
    return not_holding(tested, combined(match_on, absent), row_condition)


@generic_test(package=PACKAGE)
def expect_column_value_lengths_to_equal(
    tested: Tested, *, value: Length, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """Every text has this length; NULL may be. Fails once per row."""
    return not_holding(tested, sa.func.length(tested.column) == literal(value), row_condition)


@generic_test(package=PACKAGE)
def expect_column_value_lengths_to_be_between(
    tested: Tested,
    *,
    min_value: Length | None = None,
    max_value: Length | None = None,
    row_condition: Sql | None = None,
    strictly: bool = False,
) -> sa.Select[Any]:
    """Every text's length is within bounds; NULL may be. Fails once per row."""
    inside = within(sa.func.length(tested.column), min_value, max_value, strictly)
    return not_holding(tested, inside, row_condition)


def _row_count_in_pass(
    tested: Tested,
    *,
    min_value: int | None,
    max_value: int | None,
    group_by: GroupBy,
    row_condition: str | None,
    strictly: bool,
) -> sa.ColumnElement[Any] | None:
    if group_by or tested.conditions or row_condition is not None:
        return None
    return one_if(sa.not_(within(sa.func.count(), min_value, max_value, strictly)))


@generic_test(package=PACKAGE, column="none", in_pass=_row_count_in_pass)
def expect_table_row_count_to_be_between(
    tested: Tested,
    *,
    min_value: Length | None = None,
    max_value: Length | None = None,
    group_by: GroupBy = (),
    row_condition: Sql | None = None,
    strictly: bool = False,
) -> sa.Select[Any]:
    """The number of rows is within bounds, in each group. Fails once per group."""
    groups = tested.all_named(group_by)
    counted = sa.select(*groups, sa.func.count().label("row_count")).select_from(tested.rows)
    rows = also(counted, row_condition).group_by(*groups).subquery("grouped_expression")
    holds = within(rows.c.row_count, min_value, max_value, strictly)
    shown = as_stored(tested, rows.c.row_count, holds, [rows.c[str(group.key)] for group in groups])
    return sa.select(*shown or rows.c).where(sa.not_(holds))


@generic_test(package=PACKAGE)
def expect_column_to_exist(
    tested: Tested,
    *,
    column_index: Annotated[int, pydantic.Field(ge=1)] | None = None,
    transform: Transform = "upper",
) -> sa.Select[Any]:
    """The table has the column, in any case, and at this position counted from 1. Fails once."""
    if tested.tested_column is None:
        raise CannotCompile("this test is on a column: write it under one, or give 'column_name'")
    wanted = tested.tested_column.name
    spelled = in_case(transform)
    names = [spelled(name) for name in tested.table.columns]
    index = names.index(spelled(wanted)) if spelled(wanted) in names else -1
    exists = index >= 0 and column_index in (None, index + 1)
    row: list[sa.ColumnElement[Any]] = [
        sa.cast(literal(wanted), sa.Text()).label("column_name"),
        sa.literal_column(str(index)).label("matching_column_index"),
        sa.literal(column_index in (None, index + 1), literal_execute=True).label("column_index_matches"),
    ]
    return sa.select(*row).where(sa.false() if exists else sa.true())


def in_case(transform: Transform) -> Callable[[str], str]:
    """How a name is spelled before it is compared."""
    return str.upper if transform == "upper" else str.lower


def _matching(tested: Tested, flags: str) -> Callable[[str], sa.ColumnElement[Any]]:
    return lambda pattern: matches(tested.dialect, tested.column, unescaped(pattern), flags)


def combined(match_on: MatchOn, conditions: list[sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
    """Any of the conditions, or all."""
    return sa.and_(*conditions) if match_on == "all" else sa.or_(*conditions)


def within(value: sa.ColumnElement[Any], least: Any, most: Any, strictly: bool) -> sa.ColumnElement[Any]:
    """Whether a value is within bounds. Raises CannotCompile where there are none."""
    if least is None and most is None:
        raise CannotCompile("give min_value, max_value or both")
    conditions: list[sa.ColumnElement[Any]] = []
    if least is not None:
        conditions.append(value > bound(least) if strictly else value >= bound(least))
    if most is not None:
        conditions.append(value < bound(most) if strictly else value <= bound(most))
    return sa.and_(*conditions)


def not_holding(
    tested: Tested, condition: sa.ColumnElement[Any], row_condition: str | None
) -> sa.Select[Any]:
    """The rows for which a condition does not hold; stored, with dbt-expectations' ``expression``."""
    failing = tested.failing(sa.not_(condition), *([condition.label("expression")] if tested.storing else []))
    return also(failing, row_condition)


def also(rows: sa.Select[Any], row_condition: str | None) -> sa.Select[Any]:
    """The rows that meet the condition too."""
    return rows if row_condition is None else rows.where(written(row_condition))


def as_stored(
    tested: Tested,
    number: sa.ColumnElement[Any],
    holds: sa.ColumnElement[Any],
    groups: Sequence[sa.ColumnElement[Any]],
) -> list[sa.ColumnElement[Any]]:
    """The columns of an aggregate's failures as dbt-expectations stores them, and the number beside them.

    None where they are not stored.
    """
    if not tested.storing:
        return []
    columns = [group.label(f"col_{n}") for n, group in enumerate(groups, 1)]
    return [*columns, holds.label("expression"), number.label("value")]


TESTS = (
    expect_column_values_to_match_regex,
    expect_column_values_to_not_match_regex,
    expect_column_values_to_match_regex_list,
    expect_column_values_to_not_match_regex_list,
    expect_column_value_lengths_to_equal,
    expect_column_value_lengths_to_be_between,
    expect_table_row_count_to_be_between,
    expect_column_to_exist,
)
