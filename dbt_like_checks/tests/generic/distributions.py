"""Generic tests of dbt-expectations on how a column's values are distributed and ordered."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import deviation, literal, quantile
from dbt_like_checks.tests.generic.expectations import PACKAGE, also, within
from dbt_like_checks.tests.generic.tested import Sql, Tested
from dbt_like_checks.tests.generic.utils import Bound, GroupBy
from dbt_like_checks.tests.generic.values import aggregate_between, aggregated
from dbt_like_checks.tests.registry import generic_test

Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Number = pydantic.StrictInt | pydantic.StrictFloat

expect_column_median_to_be_between = aggregate_between(
    "median", "The median of the values", lambda tested: _quantile(tested, 0.5)
)
expect_column_stdev_to_be_between = aggregate_between(
    "stdev", "The standard deviation of the values", lambda tested: deviation(tested.dialect, tested.column)
)


@generic_test(package=PACKAGE)
def expect_column_quantile_values_to_be_between(
    tested: Tested,
    *,
    quantile: Share,
    min_value: Bound | None = None,
    max_value: Bound | None = None,
    group_by: GroupBy = (),
    row_condition: Sql | None = None,
    strictly: bool = False,
) -> sa.Select[Any]:
    """The value below which a share of the values is, is within bounds. Fails once per group."""
    number = _quantile(tested, quantile)
    inside = within(number, min_value, max_value, strictly)
    return aggregated(tested, number, inside, group_by, row_condition)


def _quantile(tested: Tested, share: float) -> sa.ColumnElement[Any]:
    return quantile(tested.dialect, tested.column, share)


@generic_test(package=PACKAGE)
def expect_column_values_to_be_within_n_stdevs(
    tested: Tested, *, group_by: GroupBy = (), sigma_threshold: Number = 3
) -> sa.Select[Any]:
    """The sums of groups are not so many standard deviations off their mean. Fails once per group."""
    groups, name = tested.all_named(group_by), str(tested.column.key)
    sums = sa.select(*groups, sa.func.sum(tested.column).label(name)).select_from(tested.rows)
    metric = sums.group_by(*groups).subquery("metric_values")
    spread = sa.select(
        sa.func.avg(metric.c[name]).label(f"{name}_average"),
        deviation(tested.dialect, metric.c[name]).label(f"{name}_stddev"),
    ).subquery("statistics")
    average, stddev = spread.c
    zero: sa.ColumnElement[Any] = sa.literal_column("0")
    sigma = (metric.c[name] - average) / sa.func.nullif(stddev, zero)
    scores = sa.select(*metric.c, *spread.c, sigma.label(f"{name}_sigma")).select_from(
        metric.join(spread, sa.true())
    )
    found = scores.subquery("metric_values_z_scores")
    return sa.select(*found.c).where(sa.func.abs(found.c[f"{name}_sigma"]) > literal(sigma_threshold))


@generic_test(package=PACKAGE)
def expect_column_values_to_be_increasing(
    tested: Tested,
    *,
    sort_column: Sql | None = None,
    strictly: bool = True,
    row_condition: Sql | None = None,
    group_by: GroupBy = (),
    step: Number | None = None,
) -> sa.Select[Any]:
    """In order, each value is greater than the one before, by a step if given. Fails once per row."""
    return _in_order(tested, sort_column, row_condition, group_by, step, strictly=strictly, up=True)


@generic_test(package=PACKAGE)
def expect_column_values_to_be_decreasing(
    tested: Tested,
    *,
    sort_column: Sql | None = None,
    strictly: bool = True,
    row_condition: Sql | None = None,
    group_by: GroupBy = (),
    step: Number | None = None,
) -> sa.Select[Any]:
    """In order, each value is less than the one before, by a step if given. Fails once per row."""
    return _in_order(tested, sort_column, row_condition, group_by, step, strictly=strictly, up=False)


def _in_order(
    tested: Tested,
    sort_column: str | None,
    row_condition: str | None,
    group_by: GroupBy,
    step: float | None,
    *,
    strictly: bool,
    up: bool,
) -> sa.Select[Any]:
    order = tested.column if sort_column is None else tested.named_or_written(sort_column)
    groups = tested.all_named(group_by)
    lagged = sa.func.lag(tested.column).over(partition_by=groups or None, order_by=order)
    shown = {str(each.key): each for each in [*tested.key_columns(), *groups]}
    rows = sa.select(
        *shown.values(),
        order.label("sort_column"),
        tested.column.label("value_field"),
        lagged.label("value_field_lag"),
    )
    values = also(rows.select_from(tested.rows), row_condition).subquery("add_lag_values")
    value, before = values.c.value_field, values.c.value_field_lag
    greater, less = (value, before) if up else (before, value)
    follows = greater > less if strictly else greater >= less
    if step:
        follows = sa.and_(follows, greater - less == literal(step))
    return sa.select(*values.c).where(before.is_not(None), sa.not_(follows))


TESTS = (
    expect_column_median_to_be_between,
    expect_column_stdev_to_be_between,
    expect_column_quantile_values_to_be_between,
    expect_column_values_to_be_within_n_stdevs,
    expect_column_values_to_be_increasing,
    expect_column_values_to_be_decreasing,
)
