"""The generic tests of dbt-utils that compare a table with another."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dbt_like_checks.generic.tested import ColumnName, OtherTable, Table, Tested, column_of
from dbt_like_checks.generic.utils import PACKAGE, GroupBy
from dbt_like_checks.registry import generic_test


@generic_test(package=PACKAGE)
def cardinality_equality(tested: Tested, *, to: OtherTable, field: ColumnName) -> sa.Select[Any]:
    """Each value occurs as often here as in another table. Fails once per value and side."""
    other = column_of(tested.other(to), field)
    here = _occurrences(tested.column)
    there = _occurrences(other)
    only_here = sa.except_(here, there).subquery("except_a")
    only_there = sa.except_(there, here).subquery("except_b")
    differing = sa.union_all(sa.select(*only_here.c), sa.select(*only_there.c)).subquery("unioned")
    return sa.select(*differing.c)


@generic_test(package=PACKAGE, column="none", count="sum(coalesce(diff_count, 0))")
def equal_rowcount(
    tested: Tested, *, compare_model: OtherTable, group_by_columns: GroupBy = ()
) -> sa.Select[Any]:
    """There are as many rows as in another table, in each group. Fails by the difference."""
    here, there, joined = _row_counts(tested, tested.other(compare_model), group_by_columns)
    ours, theirs = sa.func.coalesce(here.c.rows, 0), sa.func.coalesce(there.c.rows, 0)
    return sa.select(
        *_sides(here, there, group_by_columns),
        ours.label("count_a"),
        theirs.label("count_b"),
        sa.func.abs(ours - theirs).label("diff_count"),
    ).select_from(joined)


@generic_test(package=PACKAGE, column="none", count="sum(coalesce(row_count_delta, 0))")
def fewer_rows_than(
    tested: Tested, *, compare_model: OtherTable, group_by_columns: GroupBy = ()
) -> sa.Select[Any]:
    """There are fewer rows than in another table, in each group. Fails by the excess, if equal by 1."""
    here, there, joined = _row_counts(tested, tested.other(compare_model), group_by_columns)
    ours, theirs = here.c.rows, there.c.rows
    delta = sa.case((ours > theirs, ours - theirs), (ours == theirs, 1), else_=0)
    return sa.select(
        *_sides(here, there, group_by_columns),
        ours.label("count_our_model"),
        theirs.label("count_comparison_model"),
        delta.label("row_count_delta"),
    ).select_from(joined)


def _occurrences(column: sa.ColumnElement[Any]) -> sa.Select[Any]:
    return sa.select(column.label("value_field"), sa.func.count().label("num_rows")).group_by(column)


def _row_counts(
    tested: Tested, other: Table, group_by: GroupBy
) -> tuple[sa.Subquery, sa.Subquery, sa.FromClause]:
    """The rows per group of both tables, and both joined; an empty table has no group at all."""
    here = _per_group(tested.rows, tested.all_named(group_by)).subquery("a")
    there = _per_group(other.from_clause, [column_of(other, name) for name in group_by]).subquery("b")
    matching = [here.c[f"group_{n}"] == there.c[f"group_{n}"] for n in range(len(group_by))]
    return here, there, here.join(there, sa.and_(here.c.all_rows == there.c.all_rows, *matching), full=True)


def _per_group(rows: sa.FromClause, groups: list[sa.ColumnElement[Any]]) -> sa.Select[Any]:
    # Of an empty table dbt-utils counts nothing, not zero: it groups by a constant as well.
    constant: sa.ColumnElement[Any] = sa.literal_column("1").label("all_rows")
    if not groups:
        # The same without a group, which would make SQLite sort the whole table.
        counted = sa.select(sa.func.count().label("rows")).select_from(rows).subquery("counted")
        return sa.select(constant, counted.c.rows).where(counted.c.rows > 0)
    labelled = [group.label(f"group_{n}") for n, group in enumerate(groups)]
    return (
        sa.select(constant, *labelled, sa.func.count().label("rows"))
        .select_from(rows)
        .group_by(constant, *groups)
    )


def _sides(here: sa.Subquery, there: sa.Subquery, group_by: GroupBy) -> list[sa.ColumnElement[Any]]:
    return [
        side.c[f"group_{n}"].label(f"{name}_{letter}")
        for n, name in enumerate(group_by)
        for side, letter in ((here, "a"), (there, "b"))
    ]


TESTS = (cardinality_equality, equal_rowcount, fewer_rows_than)
