"""Generic tests of dbt-expectations on how a column's values are distributed and ordered."""

from __future__ import annotations

from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import (
    DatePart,
    Dialect,
    add,
    date_trunc,
    deviation,
    literal,
    logarithm,
    now,
    quantile,
)
from dbt_like_checks.tests.generic.expectations import PACKAGE, also, within
from dbt_like_checks.tests.generic.tested import Sql, Tested
from dbt_like_checks.tests.generic.utils import Bound, GroupBy
from dbt_like_checks.tests.generic.values import aggregate_between, aggregated
from dbt_like_checks.tests.registry import generic_test

Column = sa.ColumnElement[Any]
Share = Annotated[float, pydantic.Field(ge=0, le=1)]
Periods = Annotated[int, pydantic.Field(ge=1)]
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
    sigma = _sigma(metric.c[name] - average, stddev)
    scores = sa.select(*metric.c, *spread.c, sigma.label(f"{name}_sigma")).select_from(
        metric.join(spread, sa.true())
    )
    found = scores.subquery("metric_values_z_scores")
    return sa.select(*found.c).where(sa.func.abs(found.c[f"{name}_sigma"]) > literal(sigma_threshold))


@generic_test(package=PACKAGE)
def expect_column_values_to_be_within_n_moving_stdevs(
    tested: Tested,
    *,
    date_column_name: Sql,
    group_by: GroupBy = (),
    period: DatePart = DatePart.DAY,
    lookback_periods: Periods = 1,
    trend_periods: Periods = 7,
    test_periods: Periods = 14,
    sigma_threshold: Number = 3,
    sigma_threshold_upper: Number | None = None,
    sigma_threshold_lower: Number | None = None,
    take_diffs: bool = True,
    take_logs: bool = True,
) -> sa.Select[Any]:
    """The sums of recent periods change as those before, within some deviations. Fails once per period."""
    dialect = tested.dialect
    sums = _sums_of_periods(tested, date_column_name, period, group_by)
    metric = _metric(dialect, sums, group_by, lookback_periods if take_diffs else None, take_logs=take_logs)
    # Of the periods before: a frame that ends before its row may be empty, in which Python's functions for
    # SQLite crash.
    before = sa.func.lag(metric.c.metric_test_value).over(**_in_time(metric, group_by))
    lagged = sa.select(*metric.c, before.label("before")).subquery("lagged")
    frame = {**_in_time(lagged, group_by), "rows": (1 - trend_periods, 0)}
    moving = sa.select(
        *[lagged.c[column.key] for column in metric.c],
        sa.over(sa.func.avg(lagged.c.before), **frame).label("metric_test_rolling_average"),
        sa.over(deviation(dialect, lagged.c.before), **frame).label("metric_test_rolling_stddev"),
    ).subquery("metric_moving_calcs")
    delta = moving.c.metric_test_value - moving.c.metric_test_rolling_average
    sigma = _sigma(delta, moving.c.metric_test_rolling_stddev)
    scored = sa.select(
        *moving.c, delta.label("metric_test_delta"), sigma.label("metric_test_sigma")
    ).subquery("metric_sigma")
    upper = sigma_threshold if sigma_threshold_upper is None else sigma_threshold_upper
    lower = -sigma_threshold if sigma_threshold_lower is None else sigma_threshold_lower
    inside = sa.and_(
        scored.c.metric_test_sigma >= literal(lower), scored.c.metric_test_sigma <= literal(upper)
    )
    this_period = date_trunc(dialect, period, now(dialect))
    return sa.select(*scored.c).where(
        scored.c.metric_period >= add(dialect, this_period, period, -test_periods),
        scored.c.metric_period < this_period,
        sa.not_(inside),
    )


def _sums_of_periods(tested: Tested, moment: str, period: DatePart, group_by: GroupBy) -> sa.Subquery:
    begins = date_trunc(tested.dialect, period, tested.named_or_written(moment))
    groups = [group.label(name) for group, name in zip(tested.all_named(group_by), group_by, strict=True)]
    # Apart from the sums: a database would not see that two expressions with parameters are one.
    values = sa.select(begins.label("metric_period"), *groups, tested.column.label("metric_value"))
    found = values.select_from(tested.rows).subquery("metric_of_rows")
    periods = [found.c[name] for name in ("metric_period", *group_by)]
    total = sa.func.sum(found.c.metric_value).label("agg_metric_value")
    return sa.select(*periods, total).group_by(*periods).subquery("grouped_metric_values")


def _metric(
    dialect: Dialect, sums: sa.Subquery, group_by: GroupBy, lookback: int | None, *, take_logs: bool
) -> sa.Subquery:
    """What is judged of each period: its sum or the logarithm, or how much it changed since the lookback."""
    zero: Column = sa.literal_column("0")

    def measured(number: Column) -> Column:
        found = logarithm(dialect, sa.func.nullif(number, zero)) if take_logs else number
        return sa.func.coalesce(found, zero)

    value = measured(sums.c.agg_metric_value)
    if lookback is not None:
        lagged = sa.func.lag(sums.c.agg_metric_value, sa.literal_column(str(lookback)))
        prior = lagged.over(**_in_time(sums, group_by)).label("prior_agg_metric_value")
        sums = sa.select(*sums.c, prior).subquery("grouped_metric_values_with_priors")
        value = measured(sums.c.agg_metric_value) - measured(sums.c.prior_agg_metric_value)
    return sa.select(*sums.c, value.label("metric_test_value")).subquery("metric_values")


def _in_time(rows: sa.Subquery, group_by: GroupBy) -> dict[str, Any]:
    # Of no period are the last, as elsewhere than on SQLite.
    order = rows.c.metric_period.nulls_last()
    return {"partition_by": [rows.c[name] for name in group_by] or None, "order_by": order}


def _sigma(difference: Column, deviation: Column) -> Column:
    zero: Column = sa.literal_column("0")
    return difference / sa.func.nullif(deviation, zero)


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
    keys = {str(key.key): key for key in tested.key_columns()}
    # What is stored has dbt-expectations' columns: in a decreasing order the groups are none of them.
    known = groups if up or not tested.storing else []
    rows = sa.select(
        *keys.values(),
        order.label("sort_column"),
        *[group for group in known if group.key not in keys],
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
    expect_column_values_to_be_within_n_moving_stdevs,
    expect_column_values_to_be_increasing,
    expect_column_values_to_be_decreasing,
)
