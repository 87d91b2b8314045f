"""Generic tests of dbt-expectations on times: recent rows, and rows for every day."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import (
    DatePart,
    Dialect,
    add,
    as_date,
    as_timestamp,
    comparable,
    date_trunc,
    literal,
    now,
    written,
)
from dbt_like_checks.tests.generic.expectations import PACKAGE, also
from dbt_like_checks.tests.generic.tested import ColumnNames, Sql, Tested
from dbt_like_checks.tests.registry import generic_test

Column = sa.ColumnElement[Any]
Steps = Annotated[int, pydantic.Field(ge=1)]
Day = dt.datetime | dt.date | str


@generic_test(package=PACKAGE)
def expect_row_values_to_have_recent_data(
    tested: Tested, *, datepart: DatePart, interval: int, row_condition: Sql | None = None
) -> sa.Select[Any]:
    """The newest row, of those not in the future, is there and at most so old. Fails once."""
    newest = _newest(tested, tested.column, [], row_condition, "max_timestamp").subquery("max_recency")
    latest = newest.c.max_timestamp
    too_old = latest < add(tested.dialect, now(tested.dialect), datepart, -interval)
    return sa.select(*newest.c).where(sa.or_(latest.is_(None), too_old))


@generic_test(package=PACKAGE, column="none")
def expect_grouped_row_values_to_have_recent_data(
    tested: Tested,
    *,
    group_by: ColumnNames,
    timestamp_column: Sql,
    datepart: DatePart,
    interval: int,
    row_condition: Sql | None = None,
) -> sa.Select[Any]:
    """The newest row of each group, of those not in the future, is at most so old. Fails once per group."""
    moment = tested.named_or_written(timestamp_column)
    groups, name = tested.all_named(group_by), "latest_timestamp_column"
    newest = _newest(tested, moment, groups, row_condition, name).subquery("latest_grouped_timestamps")
    *of_group, latest = newest.c
    cutoff = add(tested.dialect, now(tested.dialect), datepart, -interval)
    shown = [*of_group, latest]
    if tested.storing:  # as dbt-expectations, which joins each group with itself
        one: Column = sa.literal_column("1")
        shown = [one.label("row_count"), *of_group, one.label("join_key"), latest]
    return sa.select(*shown).where(latest < cutoff)


@generic_test(package=PACKAGE, column="none")
def expect_row_values_to_have_data_for_every_n_datepart(
    tested: Tested,
    *,
    date_col: Sql,
    date_part: DatePart = DatePart.DAY,
    interval: Steps = 1,
    row_condition: Sql | None = None,
    exclusion_condition: Sql | None = None,
    test_start_date: Day | None = None,
    test_end_date: Day | None = None,
) -> sa.Select[Any]:
    """From the first day to before the last, every day has rows, or every n-th step. Fails once per gap."""
    dialect, moment = tested.dialect, _moment(tested.dialect, tested.named_or_written(date_col))
    days = as_timestamp(dialect, as_date(dialect, moment))
    first = sa.func.min(days) if test_start_date is None else _given(dialect, test_start_date)
    last = sa.func.max(days) if test_end_date is None else _given(dialect, test_end_date)
    # An aggregate in any case, so that there is one row.
    counted: Column = sa.func.count().label("n")
    bounds = sa.select(first.label("first"), last.label("last"), counted)
    spine = _steps(dialect, also(bounds.select_from(tested.rows), row_condition), date_part, interval)
    found = sa.select(date_trunc(dialect, date_part, moment).label("moment")).select_from(tested.rows)
    data = also(found, row_condition).distinct().subquery("model_data")
    within = data.c.moment == spine.c.step
    if interval > 1:
        following = add(dialect, spine.c.step, date_part, interval)
        within = sa.and_(data.c.moment >= spine.c.step, data.c.moment < following)
    # As in dbt: steps that do not begin where the part of a date does have no data.
    aligned = date_trunc(dialect, date_part, spine.c.step) == spine.c.step
    gaps = (
        sa.select(
            spine.c.step.label(f"date_{date_part.value}"),
            sa.true().label("is_missing"),
            sa.literal_column("0").label("row_cnt"),
        )
        .select_from(spine.outerjoin(data, sa.and_(aligned, within)))
        .where(data.c.moment.is_(None))
        .subquery("final")
    )
    rows = sa.select(*gaps.c)
    return rows if exclusion_condition is None else rows.where(written(exclusion_condition))


def _steps(dialect: Dialect, bounds: sa.Select[Any], part: DatePart, interval: int) -> sa.CTE:
    """The moments from the first on, before the last; where there is none, one that is NULL."""
    limits = bounds.cte("limits")
    end = date_trunc(dialect, part, limits.c.last)
    before = date_trunc(dialect, part, limits.c.first) < end
    steps = (
        sa.select(limits.c.first.label("step"), end.label("end_of_steps"))
        .where(sa.or_(before, limits.c.first.is_(None), limits.c.last.is_(None)))
        .cte("base_dates", recursive=True)
    )
    following = add(dialect, steps.c.step, part, interval)
    more = sa.select(following, steps.c.end_of_steps).where(
        date_trunc(dialect, part, following) < steps.c.end_of_steps
    )
    return steps.union_all(more)


def _newest(
    tested: Tested, moment: Column, groups: list[Column], row_condition: str | None, name: str
) -> sa.Select[Any]:
    past = _moment(tested.dialect, moment)
    newest = sa.select(*groups, sa.func.max(past).label(name)).select_from(tested.rows)
    return also(newest.where(past <= now(tested.dialect)), row_condition).group_by(*groups)


def _moment(dialect: Dialect, moment: Column) -> Column:
    return comparable(dialect, moment) if dialect is Dialect.SQLITE else as_timestamp(dialect, moment)


def _given(dialect: Dialect, day: Day) -> Column:
    return as_timestamp(dialect, literal(str(day)))


TESTS = (
    expect_row_values_to_have_recent_data,
    expect_grouped_row_values_to_have_recent_data,
    expect_row_values_to_have_data_for_every_n_datepart,
)
