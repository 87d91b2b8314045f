"""Generic tests of dbt-expectations on expressions: of rows, of groups, and against another table."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import followed_by, literal, written
from dbt_like_checks.tests.generic.expectations import PACKAGE, also, within
from dbt_like_checks.tests.generic.tested import ColumnName, OneOrMore, OtherTable, Sql, Tested, column_of
from dbt_like_checks.tests.generic.utils import Bound, GroupBy
from dbt_like_checks.tests.generic.values import aggregated
from dbt_like_checks.tests.registry import generic_test

Column = sa.ColumnElement[Any]
Summed = Annotated[tuple[Sql, ...], OneOrMore, pydantic.Field(min_length=1)]
Tolerance = Annotated[float, pydantic.Field(ge=0)]


@generic_test(package=PACKAGE, column="none")
def expression_is_true(
    tested: Tested,
    *,
    expression: Sql,
    test_condition: Sql = "= true",
    group_by_columns: GroupBy = (),
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """An SQL expression, of rows or aggregates, meets a condition. Fails once per row or group."""
    return _judged(tested, written(expression), test_condition, group_by_columns, row_condition)


@generic_test(package=PACKAGE, column="none")
def expression_between(
    tested: Tested,
    *,
    expression: Sql,
    min_value: Bound | None = None,
    max_value: Bound | None = None,
    group_by_columns: GroupBy = (),
    row_condition: Sql | None = None,
    strictly: bool = False,
) -> sa.Select[Any]:
    """An SQL expression, of rows or aggregates, is within bounds. Fails once per row or group."""
    inside = within(written(expression), min_value, max_value, strictly)
    return _judged(tested, inside, "= true", group_by_columns, row_condition)


@generic_test(package=PACKAGE, column="none")
def expect_multicolumn_sum_to_equal(
    tested: Tested,
    *,
    column_list: Summed,
    sum_total: pydantic.StrictInt | pydantic.StrictFloat | Sql,
    group_by: GroupBy = (),
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """The sums of some columns make a number, or the sum of another. Fails once per group."""
    first, *others = [sa.func.sum(tested.named_or_written(each)) for each in column_list]
    found: Column = sum(others, start=first)
    is_text = isinstance(sum_total, str)
    wanted = sa.func.sum(tested.named_or_written(str(sum_total))) if is_text else literal(sum_total)
    return aggregated(tested, found, found == wanted, group_by, row_condition)


@generic_test(package=PACKAGE, column="none")
def equal_expression(
    tested: Tested,
    *,
    expression: Sql,
    compare_model: OtherTable | None = None,
    compare_expression: Sql | None = None,
    group_by: GroupBy = (),
    compare_group_by: GroupBy = (),
    row_condition: Sql | None = None,
    compare_row_condition: Sql | None = None,
    tolerance: Tolerance = 0.0,
    tolerance_percent: Tolerance | None = None,
) -> sa.Select[Any]:
    """An aggregate is equal to that of another table or expression. Fails once per group."""
    theirs = tested.rows if compare_model is None else tested.other(compare_model).from_clause
    names = compare_group_by or group_by
    groups = (
        tested.all_named(names)
        if compare_model is None
        else [column_of(tested.other(compare_model), name) for name in names]
    )
    a = _summed_up(tested.rows, written(expression), tested.all_named(group_by), row_condition, "a")
    b = _summed_up(
        theirs,
        written(compare_expression or expression),
        groups,
        compare_row_condition or row_condition,
        "b",
    )
    return _differing(a, b, tolerance, tolerance_percent)


@generic_test(package=PACKAGE, column="none")
def expect_table_aggregation_to_equal_other_table(
    tested: Tested,
    *,
    expression: Sql,
    compare_model: OtherTable,
    compare_expression: Sql | None = None,
    group_by: GroupBy = (),
    compare_group_by: GroupBy = (),
    row_condition: Sql | None = None,
    compare_row_condition: Sql | None = None,
    tolerance: Tolerance = 0.0,
    tolerance_percent: Tolerance | None = None,
) -> sa.Select[Any]:
    """An aggregate is equal to that of another table. Fails once per group."""
    return equal_expression.function(
        tested,
        expression=expression,
        compare_model=compare_model,
        compare_expression=compare_expression,
        group_by=group_by,
        compare_group_by=compare_group_by,
        row_condition=row_condition,
        compare_row_condition=compare_row_condition,
        tolerance=tolerance,
        tolerance_percent=tolerance_percent,
    )


@generic_test(package=PACKAGE, column="none")
def expect_table_row_count_to_equal_other_table(
    tested: Tested,
    *,
    compare_model: OtherTable,
    group_by: GroupBy = (),
    compare_group_by: GroupBy = (),
    factor: float = 1,
    row_condition: Sql | None = None,
    compare_row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """There are as many rows as in another table, or so many times as many. Fails once per group."""
    return equal_expression.function(
        tested,
        expression="count(*)",
        compare_model=compare_model,
        compare_expression=f"count(*) * {factor!r}".removesuffix(".0"),
        group_by=group_by,
        compare_group_by=compare_group_by,
        row_condition=row_condition,
        compare_row_condition=compare_row_condition,
    )


@generic_test(package=PACKAGE, column="none")
def expect_table_row_count_to_equal_other_table_times_factor(
    tested: Tested,
    *,
    compare_model: OtherTable,
    factor: float,
    group_by: GroupBy = (),
    compare_group_by: GroupBy = (),
    row_condition: Sql | None = None,
    compare_row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """There are so many times as many rows as in another table. Fails once per group."""
    return expect_table_row_count_to_equal_other_table.function(
        tested,
        compare_model=compare_model,
        factor=factor,
        group_by=group_by,
        compare_group_by=compare_group_by,
        row_condition=row_condition,
        compare_row_condition=compare_row_condition,
    )


@generic_test(package=PACKAGE)
def expect_column_distinct_count_to_equal_other_table(
    tested: Tested,
    *,
    compare_model: OtherTable,
    compare_column_name: ColumnName | None = None,
    row_condition: Sql | None = None,
    compare_row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """There are as many different values as in a column of another table. Fails once."""
    other, name = tested.other(compare_model), compare_column_name or str(tested.column.key)
    distinct, theirs = (sa.func.count(each.distinct()) for each in (tested.column, column_of(other, name)))
    a = _summed_up(tested.rows, distinct, [], row_condition, "a")
    b = _summed_up(other.from_clause, theirs, [], compare_row_condition or row_condition, "b")
    return _differing(a, b, 0.0, None)


def _judged(
    tested: Tested, expression: Column, condition: str, group_by: GroupBy, row_condition: str | None
) -> sa.Select[Any]:
    """The rows of an expression, or of each group, that do not meet the condition."""
    groups = tested.all_named(group_by)
    judged = _summed_up(tested.rows, expression, groups, row_condition, "grouped_expression")
    return sa.select(*judged.c).where(sa.not_(followed_by(judged.c.expression, condition)))


def _summed_up(
    rows: sa.FromClause, expression: Column, groups: list[Column], row_condition: str | None, name: str
) -> sa.Subquery:
    columns = [group.label(f"col_{n}") for n, group in enumerate(groups, 1)]
    found = sa.select(*columns, expression.label("expression")).select_from(rows)
    return also(found, row_condition).group_by(*groups).subquery(name)


def _differing(
    a: sa.Subquery, b: sa.Subquery, tolerance: float, tolerance_percent: float | None
) -> sa.Select[Any]:
    """The groups whose number differs in the two: one that a side does not have is 0 there.

    NULL is no group of the other side's, as in dbt-expectations.
    """
    names = [name for name in a.c.keys() if name != "expression"]  # noqa: SIM118  a collection of columns
    together = sa.and_(sa.true(), *[a.c[name] == b.c[name] for name in names])
    both = a.join(b, together, full=bool(names))
    zero: Column = sa.literal_column("0")
    difference = sa.func.abs(sa.func.coalesce(a.c.expression, zero) - sa.func.coalesce(b.c.expression, zero))
    share = difference / sa.func.nullif(a.c.expression * sa.literal_column("1.0"), zero)
    final = (
        sa.select(
            *[sa.func.coalesce(a.c[name], b.c[name]).label(name) for name in names],
            a.c.expression,
            b.c.expression.label("compare_expression"),
            difference.label("expression_difference"),
            share.label("expression_difference_percent"),
        )
        .select_from(both)
        .subquery("final")
    )
    if tolerance_percent:
        too_far = final.c.expression_difference_percent > literal(tolerance_percent)
    else:
        too_far = final.c.expression_difference > literal(tolerance)
    return sa.select(*final.c).where(too_far)


TESTS = (
    expression_is_true,
    expression_between,
    expect_multicolumn_sum_to_equal,
    equal_expression,
    expect_table_aggregation_to_equal_other_table,
    expect_table_row_count_to_equal_other_table,
    expect_table_row_count_to_equal_other_table_times_factor,
    expect_column_distinct_count_to_equal_other_table,
)
