"""What a generic test gets to work with: names found as each database finds them, and the rows to show."""

from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import TypeAdapter, ValidationError

from dbt_like_checks.database.dialects import Dialect
from dbt_like_checks.errors import CannotCompile
from dbt_like_checks.parse.project import Column, Relation
from dbt_like_checks.tests.generic.tested import (
    ColumnNames,
    OtherTable,
    Purpose,
    Table,
    Tested,
    column_of,
    exact_name,
    find_name,
)

ORDERS = sa.table("orders", sa.column("id"), sa.column("Status"), sa.column("total"))
TABLE = Table(Relation(name="orders"), ("id", "Status", "total"), ("id",), ORDERS)


def on_orders(column: str | None = None, *, quote: bool = False, **changes: Any) -> Tested:
    values: dict[str, Any] = {"table": TABLE, "rows": ORDERS, "dialect": Dialect.SQLITE}
    values |= {
        "read_types": lambda _: {},
        "read_table": lambda relation: TABLE if relation.name == "orders" else None,
    }
    named = None if column is None else Column(name=column, quote=quote)
    return Tested(**values | {"tested_column": named} | changes)


# the name that is written, and whether it is quoted -> the column that is meant
@pytest.mark.parametrize(
    ("wanted", "quoted", "found"),
    [
        ("total", False, "total"),
        ("TOTAL", False, "total"),
        ("TOTAL", True, None),
        ("total", True, "total"),
        ('"total"', True, "total"),
        ('"TOTAL"', False, "total"),
        ("Order", False, "Order"),
        ("ORDER", False, None),  # two are alike: neither is guessed
        ("order", True, "order"),
        ('we"ird', False, 'we"ird'),
        ('"we""ird"', False, 'we"ird'),
        ('"literal"', False, '"literal"'),
        ('""', False, None),
        ('"total', False, None),
        ('total"', False, None),
        ("none", False, None),
    ],
)
def test_a_column_is_found_by_its_name(wanted: str, quoted: bool, found: str | None) -> None:
    columns = ("total", "Order", "order", 'we"ird', '"literal"', "literal")
    assert find_name(wanted, columns, quoted=quoted) == found


def test_a_column_that_is_not_there_is_an_error_with_the_nearest_name() -> None:
    with pytest.raises(CannotCompile, match=r"no column 'totl' in 'orders': did you mean .*total"):
        exact_name("totl", TABLE.columns, quoted=False, table=TABLE.relation)
    with pytest.raises(CannotCompile, match="no column 'x' in 'orders'"):
        column_of(TABLE, "x")
    assert column_of(TABLE, "STATUS").key == "Status"


# PostgreSQL finds a quoted name in its own case only.
@pytest.mark.parametrize(
    ("dialect", "written", "quote", "found"),
    [
        (Dialect.SQLITE, "STATUS", False, True),
        (Dialect.SQLITE, "STATUS", True, True),
        (Dialect.SQLITE, '"STATUS"', False, True),
        (Dialect.DUCKDB, "STATUS", True, True),
        (Dialect.POSTGRESQL, "STATUS", False, True),
        (Dialect.POSTGRESQL, "STATUS", True, False),
        (Dialect.POSTGRESQL, '"STATUS"', False, False),
        (Dialect.POSTGRESQL, '"Status"', False, True),
        (Dialect.POSTGRESQL, "Status", True, True),
    ],
)
def test_a_quoted_name_in_another_case(dialect: Dialect, written: str, quote: bool, found: bool) -> None:
    looked_for = on_orders(written, quote=quote, dialect=dialect)
    if found:
        assert looked_for.column.key == "Status"
    else:
        with pytest.raises(CannotCompile, match="no column"):
            _ = looked_for.column


def test_a_test_without_a_column_says_where_to_write_it() -> None:
    with pytest.raises(CannotCompile, match="write it under one, or give 'column_name'"):
        _ = on_orders().column


def shown(on: Tested, *columns: sa.ColumnElement[Any]) -> list[str]:
    return [column.key for column in on.failing(sa.true(), *columns).selected_columns]


@pytest.mark.parametrize(
    ("purpose", "column", "expected"),
    [
        (Purpose.COUNT, "total", ["total"]),
        (Purpose.COUNT, None, ["id", "Status", "total"]),
        (Purpose.SAMPLE, "total", ["id", "total"]),
        (Purpose.SAMPLE, "id", ["id"]),
        (Purpose.SAMPLE, None, ["id", "Status", "total"]),
        (Purpose.STORE, "total", ["id", "Status", "total"]),
    ],
)
def test_failing_rows_show_what_they_are_selected_for(
    purpose: Purpose, column: str | None, expected: list[str]
) -> None:
    on = on_orders(column, purpose=purpose)
    assert shown(on) == expected
    assert on.sampling is (purpose is Purpose.SAMPLE)


def test_failing_rows_show_the_columns_that_are_given() -> None:
    assert shown(on_orders("total"), ORDERS.c.id) == ["id"]
    assert shown(on_orders("id", purpose=Purpose.SAMPLE), ORDERS.c.total) == ["id", "total"]
    assert "WHERE orders.total" in str(on_orders().failing(ORDERS.c.total > 1))


@pytest.mark.parametrize(
    ("purpose", "key", "expected"),
    [
        (Purpose.SAMPLE, ("id",), ["first_id"]),
        (Purpose.SAMPLE, ("id", "total"), []),  # the least of each is no row's key
        (Purpose.SAMPLE, (), []),
        (Purpose.COUNT, ("id",), []),
        (Purpose.STORE, ("id",), []),
    ],
)
def test_the_first_key_of_a_group(purpose: Purpose, key: tuple[str, ...], expected: list[str]) -> None:
    table = Table(TABLE.relation, TABLE.columns, key, ORDERS)
    on = on_orders(purpose=purpose, table=table)
    assert [column.key for column in on.first_key()] == expected
    assert [column.key for column in on.key_columns()] == (list(key) if purpose is Purpose.SAMPLE else [])


def test_other_tables_and_several_names() -> None:
    on = on_orders()
    assert on.other(Relation(name="orders")) is TABLE
    assert [column.key for column in on.all_named(["TOTAL", "id"])] == ["total", "id"]
    assert on.restricted is False


def test_another_table_may_be_named_as_the_project_names_it() -> None:
    adapter: TypeAdapter[Relation] = TypeAdapter(OtherTable)
    orders = Relation(name="orders")
    known = {"resolve": {"ref('orders')": orders}.__getitem__}
    assert adapter.validate_python("ref('orders')", context=known) == orders
    assert adapter.validate_python(orders, context=known) is orders
    for context in (None, {}):
        with pytest.raises(ValidationError):
            adapter.validate_python("ref('orders')", context=context)


def test_a_column_by_its_name_or_an_expression() -> None:
    on = on_orders()
    assert on.named_or_written("TOTAL") is ORDERS.c.total
    assert on.named_or_written('"total"') is ORDERS.c.total
    assert "total + 1" in str(on.named_or_written("total + 1"))
    with pytest.raises(CannotCompile, match="no column 'totl'"):
        on.named_or_written("totl")
    spaced = Table(TABLE.relation, ("two words",), (), sa.table("orders", sa.column("two words")))
    found = on_orders(table=spaced, rows=spaced.from_clause).named_or_written("two words")
    assert found is spaced.from_clause.c["two words"]


def test_the_type_of_a_column_is_as_the_database_calls_it() -> None:
    types = {"orders": {"Status": "TEXT"}}
    for column, expected in (("status", "TEXT"), ("total", "")):
        on = on_orders(column, read_types=lambda relation: types[relation.name])
        assert on.column_type == expected


@pytest.mark.parametrize(("given", "names"), [("a", ("a",)), (["a", "b"], ("a", "b"))])
def test_one_name_stands_for_a_list_of_one(given: object, names: tuple[str, ...]) -> None:
    adapter: TypeAdapter[tuple[str, ...]] = TypeAdapter(ColumnNames)
    assert adapter.validate_python(given) == names
    for empty in ([], "", ["a", ""]):
        with pytest.raises(ValidationError):
            adapter.validate_python(empty)


def test_a_name_is_unquoted_unless_it_is_said_to_be() -> None:
    assert find_name("TOTAL", ("total",)) == "total"
    assert on_orders(dialect=Dialect.POSTGRESQL).named("TOTAL").key == "total"
    with pytest.raises(CannotCompile):
        on_orders(dialect=Dialect.POSTGRESQL).named("TOTAL", quoted=True)


@pytest.mark.parametrize("purpose", list(Purpose))
def test_rows_are_stored_for_one_purpose(purpose: Purpose) -> None:
    assert on_orders(purpose=purpose).storing is (purpose is Purpose.STORE)
    assert on_orders().purpose is Purpose.COUNT
