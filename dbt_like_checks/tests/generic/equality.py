"""The generic tests of dbt-utils that compare a table's values with another's, or with a list."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import written
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.tests.generic.core import AcceptedValues, spelled
from dbt_like_checks.tests.generic.tested import (
    ColumnName,
    OneOrMore,
    OtherTable,
    Sql,
    Table,
    Tested,
    column_of,
)
from dbt_like_checks.tests.generic.utils import PACKAGE
from dbt_like_checks.tests.registry import generic_test

Names = Annotated[tuple[ColumnName, ...], OneOrMore]
Digits = Annotated[int, pydantic.Field(ge=0, le=30)]
# dbt-utils' own count: the differing rows, and by how many more of them one side has.
DIFFERENCE = (
    "count(*) + coalesce(abs(sum(case when which_diff = 'a_minus_b' then 1 else 0 end)"
    " - sum(case when which_diff = 'b_minus_a' then 1 else 0 end)), 0)"
)
NUMBERS = ("DECIMAL", "DOUBLE", "FLOAT", "NUMERIC", "REAL")


@generic_test(package=PACKAGE)
def relationships_where(
    tested: Tested,
    *,
    to: OtherTable,
    field: ColumnName,
    from_condition: Sql | None = None,
    to_condition: Sql | None = None,
) -> sa.Select[Any]:
    """Every value of the rows meant is in the rows meant of another table. Fails once per row."""
    there = column_of(tested.other(to), field)
    right = sa.select(there.label("id")).where(there.is_not(None))
    keys = {column.key: column for column in tested.key_columns() if column.key != "id"}
    left = sa.select(tested.column.label("id"), *keys.values()).where(tested.column.is_not(None))
    if to_condition is not None:
        right = right.where(written(to_condition))
    if from_condition is not None:
        left = left.where(written(from_condition))
    lefts, rights = left.subquery("left_table"), right.subquery("right_table")
    joined = lefts.outerjoin(rights, lefts.c.id == rights.c.id)
    shown = [*lefts.c, rights.c.id.label("right_id")]
    return sa.select(*shown).select_from(joined).where(rights.c.id.is_(None))


@generic_test(package=PACKAGE, column="none", count=DIFFERENCE)
def equality(
    tested: Tested,
    *,
    compare_model: OtherTable,
    compare_columns: Names = (),
    exclude_columns: Names = (),
    precision: Digits | None = None,
) -> sa.Select[Any]:
    """The rows are those of another table, whatever their order and number. Fails by the difference."""
    other = tested.other(compare_model)
    names = _compared(tested, other, compare_columns, exclude_columns)
    rounded = _to_round(tested, precision)
    ours = sa.select(*[rounded(name, tested.named(name)) for name in names]).select_from(tested.rows)
    theirs = sa.select(*[rounded(name, column_of(other, name)) for name in names])
    sides = {"a_minus_b": sa.except_(ours, theirs), "b_minus_a": sa.except_(theirs, ours)}
    parts = []
    for which, difference in sides.items():
        rows = difference.subquery(which)
        parts.append(sa.select(sa.literal_column(f"'{which}'").label("which_diff"), *rows.c))
    differing = sa.union_all(*parts).subquery("unioned")
    return sa.select(*differing.c)


@generic_test(package=PACKAGE)
def not_accepted_values(tested: Tested, *, values: AcceptedValues, quote: bool = True) -> sa.Select[Any]:
    """No value is one of a list. Fails once per such value."""
    listed = tested.column.in_(spelled(tested, values, quote=quote))
    column = tested.column
    return sa.select(column.label("value_field"), *tested.first_key()).where(listed).group_by(column)


def _compared(tested: Tested, other: Table, only: Names, without: Names) -> list[str]:
    """The names of the columns to compare. Raises CannotCompile where the tables differ in them."""
    if only and without:
        raise CannotCompile("give compare_columns or exclude_columns, not both")
    if only:
        return list(only)
    left_out = {name.casefold() for name in without}
    ours, theirs = (
        [name for name in table.columns if name.casefold() not in left_out] for table in (tested.table, other)
    )
    lone = {name.casefold() for name in ours} ^ {name.casefold() for name in theirs}
    if lone:
        raise CannotCompile(
            f"only one of the two tables has {', '.join(sorted(lone)[:5])}:"
            " name compare_columns or exclude_columns"
        )
    return ours


def _to_round(tested: Tested, precision: int | None) -> Any:
    """A function of a name and its column: the column, rounded where it holds numbers with a fraction."""
    types = tested.read_types(tested.table.relation) if precision is not None else {}

    def rounded(name: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        if not types.get(str(column.key), types.get(name, "")).upper().startswith(NUMBERS):
            return column.label(name)
        exact = sa.cast(column, sa.Numeric(28, 6)) if precision is not None else column
        return sa.func.round(exact, sa.literal_column(str(precision))).label(name)

    return rounded


TESTS = (relationships_where, equality, not_accepted_values)
