"""The generic tests of dbt-utils about order and time."""

from __future__ import annotations

import re
from typing import Any, Literal

import sqlalchemy as sa

from dbt_like_checks.database.dialects import DatePart, add, as_date, as_timestamp, comparable, literal, now
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.tests.generic.tested import ColumnName, Sql, Tested, one_if
from dbt_like_checks.tests.generic.utils import PACKAGE, GroupBy
from dbt_like_checks.tests.registry import generic_test

Gaps = Literal["allowed", "not_allowed", "required"]


def _recency(
    tested: Tested, field: str, datepart: DatePart, interval: int, *, dates: bool
) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
    """The newest moment, an aggregate, and the one that it must not be before."""
    dialect = tested.dialect
    threshold = add(dialect, now(dialect), datepart, -interval)
    newest: sa.ColumnElement[Any] = sa.func.max(comparable(dialect, tested.named_or_written(field)))
    return (as_date(dialect, newest), as_date(dialect, threshold)) if dates else (newest, threshold)


def _recency_in_pass(
    tested: Tested,
    *,
    field: str,
    datepart: DatePart,
    interval: int,
    ignore_time_component: bool,
    group_by_columns: GroupBy,
) -> sa.ColumnElement[Any] | None:
    if group_by_columns or tested.conditions:
        return None
    newest, threshold = _recency(tested, field, datepart, interval, dates=ignore_time_component)
    return one_if(sa.func.coalesce(newest < threshold, sa.true()))  # named once: it is one aggregate


@generic_test(package=PACKAGE, column="none", in_pass=_recency_in_pass)
def recency(
    tested: Tested,
    *,
    field: Sql,
    datepart: DatePart,
    interval: int,
    ignore_time_component: bool = False,
    group_by_columns: GroupBy = (),
) -> sa.Select[Any]:
    """The newest row is there and at most so old, in each group. Fails once per group."""
    groups = tested.all_named(group_by_columns)
    newest, threshold = _recency(tested, field, datepart, interval, dates=ignore_time_component)
    newest_of_each = sa.select(*groups, newest.label("most_recent")).select_from(tested.rows)
    recent = newest_of_each.group_by(*groups).subquery("recency")
    most_recent = recent.c.most_recent
    too_old = sa.or_(most_recent < threshold, most_recent.is_(None))
    return sa.select(*recent.c, threshold.label("threshold")).where(too_old)


@generic_test(package=PACKAGE)
def sequential_values(
    tested: Tested,
    *,
    interval: int = 1,
    datepart: DatePart | None = None,
    group_by_columns: GroupBy = (),
) -> sa.Select[Any]:
    """In order, each value is the one before and an interval. Fails once per row that breaks it."""
    groups = tested.all_named(group_by_columns)
    column = tested.column
    name = str(column.key)
    previous_name = f"previous_{_slug(name)}"  # dbt-utils' name for it
    lagged = sa.func.lag(column).over(partition_by=groups or None, order_by=column)
    shown = {each.key: each for each in [*tested.key_columns(), *groups] if each.key != name}
    windowed = sa.select(
        *shown.values(),
        column,
        lagged.label(previous_name),
    ).subquery("windowed")
    current, previous = windowed.c[name], windowed.c[previous_name]
    if datepart is None:
        follows = current == previous + literal(interval)
    else:
        expected = add(tested.dialect, previous, datepart, interval)
        follows = as_timestamp(tested.dialect, current) == as_timestamp(tested.dialect, expected)
    return sa.select(*windowed.c).where(sa.not_(follows))


@generic_test(package=PACKAGE, column="none")
def mutually_exclusive_ranges(
    tested: Tested,
    *,
    lower_bound_column: ColumnName,
    upper_bound_column: ColumnName,
    partition_by: ColumnName | None = None,
    gaps: Gaps = "allowed",
    zero_length_range_allowed: bool = False,
) -> sa.Select[Any]:
    """Ranges do not overlap, in each partition. Fails once per row that ends after the next begins."""
    lower, upper = tested.named(lower_bound_column), tested.named(upper_bound_column)
    parts = _partition(tested, partition_by)
    following = sa.func.lead(lower).over(partition_by=parts or None, order_by=[lower, upper])
    from_the_end = sa.func.row_number().over(
        partition_by=parts or None, order_by=[lower.desc(), upper.desc()]
    )
    ranges = sa.select(
        *tested.key_columns(),
        *[part.label(str(part.key)) for part in parts[:-1]],  # only the last has dbt-utils' name for it
        *[part.label("partition_by_col") for part in parts[-1:]],
        lower.label("lower_bound"),
        upper.label("upper_bound"),
        following.label("next_lower_bound"),
        (from_the_end == 1).label("is_last_record"),
    ).subquery("window_functions")
    begins, ends, next_begins = ranges.c.lower_bound, ranges.c.upper_bound, ranges.c.next_lower_bound
    in_order = begins <= ends if zero_length_range_allowed else begins < ends
    in_words, apart = {
        "allowed": ("less_than_or_equal_to", ends <= next_begins),
        "not_allowed": ("equal_to", ends == next_begins),
        "required": ("less_than", ends < next_begins),
    }[gaps]
    right_way = sa.func.coalesce(in_order, sa.false())
    no_overlap = sa.func.coalesce(apart, ranges.c.is_last_record, sa.false())
    words = "less_than_or_equal_to" if zero_length_range_allowed else "less_than"
    judged = [
        right_way.label(f"lower_bound_{words}_upper_bound"),
        no_overlap.label(f"upper_bound_{in_words}_next_lower_bound"),
    ]
    shown = [*ranges.c, *judged] if tested.storing else list(ranges.c)
    return sa.select(*shown).where(sa.not_(sa.and_(right_way, no_overlap)))


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9_]+", "", re.sub(r"[ -]+", "_", name.lower()))
    return re.sub(r"^([0-9])", r"_\1", slug)


def _partition(tested: Tested, partition_by: str | None) -> list[sa.ColumnElement[Any]]:
    """The columns of ``partition_by``: one name, or several between commas."""
    if partition_by is None:
        return []
    try:
        return [tested.named(partition_by)]
    except CannotCompile:
        if "," not in partition_by:
            raise
        return tested.all_named([name.strip() for name in partition_by.split(",")])


TESTS = (recency, sequential_values, mutually_exclusive_ranges)
