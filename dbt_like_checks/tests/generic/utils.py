"""The generic tests of dbt-utils on the values and rows of one table.

`sequences.py` holds those about order and time, `comparisons.py` those that compare two tables.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import Dialect, followed_by, literal, written
from dbt_like_checks.tests.generic.tested import ColumnName, ColumnNames, OneOrMore, Sql, Tested, one_if
from dbt_like_checks.tests.registry import generic_test

PACKAGE = "dbt_utils"
GroupBy = Annotated[tuple[ColumnName, ...], OneOrMore]
Proportion = Annotated[float, pydantic.Field(ge=0, le=1)]
# A number or a date is bound; a text is an SQL expression, as in dbt.
Bound = pydantic.StrictInt | pydantic.StrictFloat | dt.datetime | dt.date | Sql


def bound(value: int | float | dt.date | str) -> sa.ColumnElement[Any]:
    """The value or the owner's expression that a column is compared with."""
    return written(value) if isinstance(value, str) else literal(value)


@generic_test(package=PACKAGE)
def accepted_range(
    tested: Tested,
    *,
    min_value: Bound | None = None,
    max_value: Bound | None = None,
    inclusive: bool = True,
) -> sa.Select[Any]:
    """Every value is within bounds; NULL may be. Fails once per row."""
    column = tested.column
    outside: list[sa.ColumnElement[bool]] = []
    if min_value is not None:
        outside.append(sa.not_(column >= bound(min_value) if inclusive else column > bound(min_value)))
    if max_value is not None:
        outside.append(sa.not_(column <= bound(max_value) if inclusive else column < bound(max_value)))
    return tested.failing(sa.or_(sa.false(), *outside))


@generic_test(package=PACKAGE, column="optional")
def expression_is_true(tested: Tested, *, expression: Sql) -> sa.Select[Any]:
    """An SQL expression holds for every row; under a column it follows the column's name."""
    if tested.tested_column is None:
        return tested.failing(sa.not_(written(expression)))
    return tested.failing(sa.not_(followed_by(tested.column, expression)))


@generic_test(package=PACKAGE, column="none", key=True)
def unique_combination_of_columns(
    tested: Tested, *, combination_of_columns: ColumnNames, quote_columns: bool = False
) -> sa.Select[Any]:
    """No combination of values occurs twice; NULL counts as a value. Fails once per combination."""
    columns = [tested.named(name, quoted=quote_columns) for name in combination_of_columns]
    shown = [sa.func.count().label("n_records"), *tested.first_key()] if tested.sampling else []
    return sa.select(*columns, *shown).group_by(*columns).having(sa.func.count() > 1)


@generic_test(package=PACKAGE)
def not_empty_string(tested: Tested, *, trim_whitespace: bool = True) -> sa.Select[Any]:
    """No value is the empty text; NULL may be. Fails once per row."""
    text = sa.func.trim(tested.column) if trim_whitespace else tested.column
    failing = tested.failing(text == literal(""))
    # dbt-utils stores the column alone, trimmed.
    return failing.with_only_columns(text.label(str(tested.column.key))) if tested.storing else failing


@generic_test(package=PACKAGE)
def not_constant(tested: Tested, *, group_by_columns: GroupBy = ()) -> sa.Select[Any]:
    """There is more than one value, in each group. Fails once per group with exactly one."""
    groups, column = tested.all_named(group_by_columns), tested.column
    if groups:
        distinct = sa.func.count(column.distinct())
        return sa.select(*groups, distinct.label("filler_column")).group_by(*groups).having(distinct == 1)
    # Without groups two that differ are enough: the table need not be read to its end.
    any_value = sa.select(column).where(column.is_not(None)).limit(1).correlate(None).scalar_subquery()
    another = sa.exists(sa.select(column).where(column != any_value).correlate(None))
    one: sa.ColumnElement[int] = sa.literal_column("1")
    return sa.select(one.label("filler_column")).where(any_value.is_not(None), sa.not_(another))


@generic_test(package=PACKAGE)
def at_least_one(tested: Tested, *, group_by_columns: GroupBy = ()) -> sa.Select[Any]:
    """There is a value that is not NULL, in each group. Fails once per group without one."""
    groups = tested.all_named([name for name in group_by_columns if name != _tested_name(tested)])
    if groups:
        present = sa.func.count(tested.column)
        return sa.select(*groups, present.label("filler_column")).group_by(*groups).having(present == 0)
    # Without groups one value is enough: the table need not be read to its end.
    found = sa.select(tested.column.label("found")).where(tested.column.is_not(None)).limit(1).subquery()
    present = sa.func.count(found.c.found)
    return sa.select(present.label("filler_column")).select_from(found).having(present == 0)


def _proportion(tested: Tested) -> sa.ColumnElement[Any]:
    number: Any = sa.REAL() if tested.dialect is Dialect.SQLITE else sa.Numeric(28, 6)
    rows = sa.func.nullif(sa.func.count(), sa.literal_column("0"))  # none have no share
    return sa.func.count(tested.column) / sa.cast(rows, number)


def _outside(share: sa.ColumnElement[Any], at_least: float, at_most: float) -> sa.ColumnElement[bool]:
    return sa.or_(share < literal(at_least), share > literal(at_most))


def _proportion_in_pass(
    tested: Tested, *, at_least: float, at_most: float, group_by_columns: GroupBy
) -> sa.ColumnElement[Any] | None:
    outside = _outside(_proportion(tested), at_least, at_most)
    return None if group_by_columns or tested.conditions else one_if(outside)


@generic_test(package=PACKAGE, in_pass=_proportion_in_pass)
def not_null_proportion(
    tested: Tested, *, at_least: Proportion, at_most: Proportion = 1.0, group_by_columns: GroupBy = ()
) -> sa.Select[Any]:
    """The share of values that are not NULL is within bounds, in each group. Fails once per group."""
    groups = tested.all_named(group_by_columns)
    share = _proportion(tested).label("not_null_proportion")
    shares = sa.select(*groups, share).group_by(*groups).subquery("validation")
    return sa.select(*shares.c).where(_outside(shares.c.not_null_proportion, at_least, at_most))


def _tested_name(tested: Tested) -> str:
    return tested.tested_column.name if tested.tested_column else ""


TESTS = (
    accepted_range,
    expression_is_true,
    unique_combination_of_columns,
    not_empty_string,
    not_constant,
    at_least_one,
    not_null_proportion,
)
