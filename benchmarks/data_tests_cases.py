"""The forty data tests of the benchmark, each beside the SQL that someone would write for it by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ROWS = 1_000_000
CUSTOMERS = 10_000
REF_CUSTOMERS = "ref('customers')"
REF_FACTS = "ref('facts')"


@dataclass(frozen=True)
class Case:
    """A declared test, and the query for the same number."""

    test: str
    sql: str
    column: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    where: str | None = None
    table: str = "facts"


def _groups(inner: str) -> str:
    return f"SELECT count(*) FROM ({inner}) AS failing"


def _single(aggregate: str, condition: str) -> str:
    return f"SELECT count(*) FROM (SELECT {aggregate} AS n FROM facts) AS single WHERE {condition}"


def _not_null(column: str, where: str | None = None) -> Case:
    also = f" AND {where}" if where else ""
    return Case("not_null", f"SELECT count(*) FROM facts WHERE {column} IS NULL{also}", column, where=where)


def _unique(column: str, table: str = "facts") -> Case:
    inner = f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL GROUP BY {column} HAVING count(*) > 1"
    return Case("unique", _groups(inner), column, table=table)


def _accepted(column: str, values: list[Any], *, quote: bool = True) -> Case:
    listed = ", ".join(f"'{value}'" if quote else str(value) for value in values)
    inner = f"SELECT {column} FROM facts WHERE {column} NOT IN ({listed}) GROUP BY {column}"
    arguments = {"values": values} | ({} if quote else {"quote": False})
    return Case("accepted_values", _groups(inner), column, arguments)


def _orphans(where: str | None = None) -> Case:
    also = f" AND {where}" if where else ""
    sql = (
        "SELECT count(*) FROM facts LEFT JOIN customers ON customers.id = facts.customer_id "
        f"WHERE facts.customer_id IS NOT NULL AND customers.id IS NULL{also}"
    )
    return Case("relationships", sql, "customer_id", {"to": REF_CUSTOMERS, "field": "id"}, where)


def _count_where(test: str, condition: str, column: str | None = None, **arguments: Any) -> Case:
    return Case(test, f"SELECT count(*) FROM facts WHERE {condition}", column, arguments)


def _utils(test: str) -> str:
    return f"dbt_utils.{test}"


def _expect(test: str) -> str:
    return f"dbt_expectations.expect_{test}"


CASES: tuple[Case, ...] = (
    *(_not_null(column) for column in ("id", "customer_id", "status", "amount", "created", "note")),
    _not_null("amount", "country = 'fr'"),
    _not_null("note", "quantity > 25"),
    _unique("id"),
    _unique("code"),
    _unique("id", "customers"),
    _accepted("status", ["placed", "shipped", "returned"]),
    _accepted("country", ["fr", "jp", "de", "br"]),
    _accepted("quantity", list(range(1, 51)), quote=False),
    _orphans(),
    _orphans("status = 'placed'"),
    _count_where(
        _utils("accepted_range"),
        "NOT (amount >= 0 AND amount <= 25000)",
        "amount",
        min_value=0,
        max_value=25000,
    ),
    _count_where(_utils("accepted_range"), "NOT (quantity >= 1)", "quantity", min_value=1),
    _count_where(_utils("accepted_range"), "NOT (score < 100)", "score", max_value=100, inclusive=False),
    _count_where(_utils("accepted_range"), "NOT (customer_id >= 1)", "customer_id", min_value=1),
    _count_where(_utils("expression_is_true"), "NOT (amount >= 0)", "amount", expression=">= 0"),
    _count_where(
        _utils("expression_is_true"),
        "NOT (quantity * 600 >= amount OR country = 'fr')",
        expression="quantity * 600 >= amount or country = 'fr'",
    ),
    _count_where(
        _utils("expression_is_true"), "NOT (created >= '2020-01-01')", expression="created >= '2020-01-01'"
    ),
    _count_where(_utils("expression_is_true"), "NOT (email LIKE '%@%')", "email", expression="like '%@%'"),
    Case(
        _utils("unique_combination_of_columns"),
        _groups("SELECT customer_id, code FROM facts GROUP BY customer_id, code HAVING count(*) > 1"),
        arguments={"combination_of_columns": ["customer_id", "code"]},
    ),
    Case(
        _utils("unique_combination_of_columns"),
        _groups("SELECT country, status, id FROM facts GROUP BY country, status, id HAVING count(*) > 1"),
        arguments={"combination_of_columns": ["country", "status", "id"]},
    ),
    _count_where(_utils("not_empty_string"), "trim(note) = ''", "note"),
    _count_where(_utils("not_empty_string"), "trim(email) = ''", "email"),
    *(
        Case(
            _utils("not_constant"),
            _single(f"count(DISTINCT {column})", "n = 1"),
            column,
        )
        for column in ("status", "country")
    ),
    *(
        Case(_utils("at_least_one"), _single(f"count({column})", "n = 0"), column)
        for column in ("note", "email")
    ),
    *(
        Case(
            _utils("not_null_proportion"),
            f"SELECT count(*) FROM (SELECT count({column}) * 1.0 / count(*) AS share FROM facts) AS s "
            f"WHERE share < {at_least} OR share > 1.0",
            column,
            {"at_least": at_least},
        )
        for column, at_least in (("note", 0.85), ("amount", 0.99))
    ),
    Case(
        _utils("equal_rowcount"),
        "SELECT abs((SELECT count(*) FROM facts) - (SELECT count(*) FROM customers))",
        arguments={"compare_model": REF_CUSTOMERS},
    ),
    Case(
        _utils("fewer_rows_than"),
        "SELECT CASE WHEN a.n > b.n THEN a.n - b.n WHEN a.n = b.n THEN 1 ELSE 0 END FROM "
        "(SELECT count(*) AS n FROM customers) AS a, (SELECT count(*) AS n FROM facts) AS b",
        arguments={"compare_model": REF_FACTS},
        table="customers",
    ),
    Case(
        _utils("recency"),
        _single("max(created)", "n < '2025-01-01'"),
        arguments={"field": "created", "datepart": "day", "interval": 30},
    ),
    _count_where(
        _expect("column_value_lengths_to_be_between"),
        "NOT (length(code) >= 9 AND length(code) <= 9)",
        "code",
        min_value=9,
        max_value=9,
    ),
    _count_where(_expect("column_value_lengths_to_equal"), "NOT (length(country) = 2)", "country", value=2),
    Case(
        _expect("table_row_count_to_be_between"),
        _single("count(*)", "NOT (n >= 1 AND n <= 2000000)"),
        arguments={"min_value": 1, "max_value": 2_000_000},
    ),
)


def schema() -> dict[str, Any]:
    """The forty tests as a dbt `schema.yml`."""
    models: dict[str, dict[str, Any]] = {name: {"name": name} for name in ("facts", "customers")}
    for number, case in enumerate(CASES):
        told: dict[str, Any] = {"name": name_of(number)}
        told |= {"arguments": dict(case.arguments)} if case.arguments else {}
        told |= {"config": {"where": case.where}} if case.where else {}
        place = models[case.table]
        if case.column is not None:
            columns = place.setdefault("columns", [])
            found = [column for column in columns if column["name"] == case.column]
            if not found:
                found = [{"name": case.column}]
                columns += found
            place = found[0]
        place.setdefault("data_tests", []).append({case.test: told})
    return {"version": 2, "models": list(models.values())}


def name_of(number: int) -> str:
    """The name of a test in the file."""
    return f"t{number:02d}"
