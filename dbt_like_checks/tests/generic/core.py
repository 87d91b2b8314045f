"""The four generic tests of dbt itself. Each returns the rows, or groups of rows, that fail."""

from __future__ import annotations

import datetime as dt
from functools import partial
from typing import Annotated, Any

import pydantic
import sqlalchemy as sa

from dbt_like_checks.database.dialects import Dialect, literal, unescaped, written
from dbt_like_checks.tests.generic.tested import ColumnName, OneOrMore, OtherTable, Tested, column_of
from dbt_like_checks.tests.registry import generic_test

Accepted = (
    pydantic.StrictBool | pydantic.StrictInt | pydantic.StrictFloat | dt.datetime | dt.date | str | None
)
AcceptedValues = Annotated[tuple[Accepted, ...], OneOrMore, pydantic.Field(min_length=1)]


@generic_test()
def not_null(tested: Tested) -> sa.Select[Any]:
    """Every value is there."""
    return tested.failing(tested.column.is_(None))


@generic_test(key=True)
def unique(tested: Tested) -> sa.Select[Any]:
    """No value occurs twice; NULL may. Fails once per repeated value."""
    return (
        sa.select(
            tested.column.label("unique_field"),
            sa.func.count().label("n_records"),
            *tested.first_key(),
        )
        .where(tested.column.is_not(None))
        .group_by(tested.column)
        .having(sa.func.count() > 1)
    )


@generic_test()
def accepted_values(tested: Tested, *, values: AcceptedValues, quote: bool = True) -> sa.Select[Any]:
    """Every value is one of a list; NULL may be. Fails once per other value.

    With ``quote: false`` a text in the list is an SQL expression.
    """
    accepted = spelled(tested, values, quote=quote)
    return (
        sa.select(
            tested.column.label("value_field"),
            sa.func.count().label("n_records"),
            *tested.first_key(),
        )
        .where(tested.column.not_in(accepted))
        .group_by(tested.column)
    )


def spelled(tested: Tested, values: tuple[Accepted, ...], *, quote: bool) -> list[sa.ColumnElement[Any]]:
    """What the tested column is compared with: texts as dbt pastes them, or the owner's expressions."""
    spell = partial(_as_text, tested) if quote else _as_expression
    return [each for value in values for each in spell(value)]


def _as_text(tested: Tested, value: Accepted) -> list[sa.ColumnElement[Any]]:
    # dbt compares with a text, which its databases read as the column's type. SQLite has no booleans:
    # in a column of them, true is the number 1.
    text = unescaped(str(value))
    number = {"true": 1, "false": 0}.get(text.lower()) if tested.dialect is Dialect.SQLITE else None
    of_booleans = number is not None and tested.column_type.upper().startswith("BOOL")
    return [literal(text), *([literal(number)] if number is not None and of_booleans else [])]


def _as_expression(value: Accepted) -> list[sa.ColumnElement[Any]]:
    # A null is what Python calls it, as in dbt: no expression, rather than one that nothing differs from.
    return [written(str(value)) if value is None or isinstance(value, str) else literal(value)]


def _orphans_in_pass(tested: Tested, *, to: OtherTable, field: ColumnName) -> sa.ColumnElement[Any] | None:
    # Where the other column is a number that is the table's key, looking one up is quick on any table.
    other = tested.other(to)
    of_type = tested.read_types(other.relation).get(field, "").upper()
    if tested.dialect is not Dialect.SQLITE or other.key != (field,) or of_type != "INTEGER":
        return None
    if tested.column_type.upper() != of_type:
        return None
    parents = sa.select(other.from_clause.alias("parent").c[field])
    orphan = sa.and_(tested.column.is_not(None), tested.column.not_in(parents))
    return sa.func.count().filter(sa.and_(*tested.conditions, orphan))


@generic_test(in_pass=_orphans_in_pass)
def relationships(tested: Tested, *, to: OtherTable, field: ColumnName) -> sa.Select[Any]:
    """Every value is in a column of another table; NULL need not be. Fails once per row."""
    parent = sa.select(column_of(tested.other(to), field).label("to_field")).subquery("parent")
    columns = {column.key: column for column in tested.key_columns()}
    child = (
        sa.select(tested.column.label("from_field"), *columns.values())
        .where(tested.column.is_not(None))
        .subquery("child")
    )
    return (
        sa.select(*child.c)
        .select_from(child.outerjoin(parent, child.c.from_field == parent.c.to_field))
        .where(parent.c.to_field.is_(None))
    )


TESTS = (not_null, unique, accepted_values, relationships)
