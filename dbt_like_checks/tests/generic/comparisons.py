"""The generic tests of dbt-utils that compare a table with another."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from dbt_like_checks.tests.generic.tested import ColumnName, OtherTable, Table, Tested, column_of
from dbt_like_checks.tests.generic.utils import PACKAGE, GroupBy
from dbt_like_checks.tests.registry import generic_test


@generic_test(package=PACKAGE)
def cardinality_equality(tested: Tested, *, to: OtherTable, field: ColumnName) -> sa.Select[Any]:
    """Each value occurs as often here as in another table. Fails once per value and side."""
    other = column_of(tested.other(to), field)
    here = _occurrences(tested.column, str(tested.column.key))
    there = _occurrences(other, str(tested.column.key))
    only_here = sa.except_(here, there).subquery("except_a")
    only_there = sa.except_(there, here).subquery("except_b")
    differing = sa.union_all(sa.select(*only_here.c), sa.select(*only_there.c)).subquery("unioned")
    return sa.select(*differing.c)


@generic_test(package=PACKAGE, column="none", count="sum(diff_count)")
def equal_rowcount(
    tested: Tested, *, compare_model: OtherTable, group_by_columns: GroupBy = ()
) -> sa.Select[Any]:
    """There are as many rows as in another table, in each group. Fails by the difference."""
    names = ("count_a", "count_b")
    both = _row_counts(tested, tested.other(compare_model), group_by_columns, names)
    shown = _with_sides(tested, both, "id_dbtutils_test_equal_rowcount", names)
    return sa.select(*shown, sa.func.abs(both.c.count_a - both.c.count_b).label("diff_count"))


@generic_test(package=PACKAGE, column="none", count="sum(row_count_delta)")
def fewer_rows_than(
    tested: Tested, *, compare_model: OtherTable, group_by_columns: GroupBy = ()
) -> sa.Select[Any]:
    """There are fewer rows than in another table, in each group. Fails by the excess, if equal by 1."""
    names = ("count_our_model", "count_comparison_model")
    both = _row_counts(tested, tested.other(compare_model), group_by_columns, names)
    ours, theirs = (both.c[name] for name in names)
    delta = sa.case((ours > theirs, ours - theirs), (ours == theirs, 1), else_=0)
    shown = _with_sides(tested, both, "id_dbtutils_test_fewer_rows_than", names)
    return sa.select(*shown, delta.label("row_count_delta"))


def _occurrences(column: sa.ColumnElement[Any], name: str) -> sa.Select[Any]:
    return sa.select(column.label(name), sa.func.count().label("num_rows")).group_by(column)


def _row_counts(tested: Tested, other: Table, group_by: GroupBy, names: tuple[str, str]) -> sa.Subquery:
    """The rows of both tables side by side, in each group that either has.

    A table without rows, and one without a group's, has 0 of them. In dbt-utils it has NULL, which
    differs from nothing: the very table that lost all its rows would pass.
    """
    zero: sa.ColumnElement[int] = sa.literal_column("0")
    here = _per_group(tested.rows, tested.all_named(group_by), sa.func.count(), zero)
    there = _per_group(
        other.from_clause, [column_of(other, name) for name in group_by], zero, sa.func.count()
    )
    sides = sa.union_all(here, there).subquery("sides")
    groups = [sides.c[f"group_{n}"] for n in range(len(group_by))]
    shown = [group.label(name) for name, group in zip(group_by, groups, strict=True)]
    counts = [
        sa.func.max(sides.c[side]).label(name)
        for side, name in zip(("count_a", "count_b"), names, strict=True)
    ]
    return sa.select(*shown, *counts).group_by(*groups).subquery("both_sides")


def _with_sides(
    tested: Tested, both: sa.Subquery, fake_key: str, names: tuple[str, str]
) -> list[sa.ColumnElement[Any]]:
    """The columns to select; stored, those of dbt-utils, which joins the sides by a key of its own."""
    if not tested.storing:
        return list(both.c)
    counts = [both.c[name] for name in names]
    groups: dict[str, sa.ColumnElement[Any]] = {fake_key: sa.literal_column("1")} | {
        str(column.key): column for column in both.c if column.key not in names
    }
    sides = list(zip("ab", counts, strict=True))
    of_each = [
        sa.case((count > 0, group)).label(f"{name}_{side}")
        for name, group in groups.items()
        for side, count in sides
    ]
    return [*of_each, *counts]


def _per_group(
    rows: sa.FromClause, groups: list[sa.ColumnElement[Any]], *counts: sa.ColumnElement[int]
) -> sa.Select[Any]:
    labelled = [group.label(f"group_{n}") for n, group in enumerate(groups)]
    count_a, count_b = counts
    counted = sa.select(*labelled, count_a.label("count_a"), count_b.label("count_b"))
    return counted.select_from(rows).group_by(*groups)


TESTS = (cardinality_equality, equal_rowcount, fewer_rows_than)
