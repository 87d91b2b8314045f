"""Running: where, limit, thresholds, samples, restriction, stored failures, threads, fail-fast."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from dbt_like_checks import (
    DataTest,
    Registry,
    Result,
    RunOptions,
    RunResults,
    Status,
    Tested,
    default_registry,
    generic_test,
    load_project,
    open_engine,
    run_tests,
)
from dbt_like_checks.database.dialects import literal
from tests.dbt_like_checks.conftest import PLANTED, NewDatabase, everything, fill

Write = Callable[..., Path]


def ran(
    write: Write, url: str, tests: str, options: RunOptions | None = None, model: str = "orders"
) -> dict[str, Result]:
    """The results of tests written below the model ``orders``, by name."""
    path = write(f"models: [{{name: {model}, {tests}}}]")
    return {result.test.name: result for result in run_tests(load_project(path), url, options)}


CONFIGURED = """columns: [{name: customer, data_tests: [
  {unique: {name: all}},
  {unique: {name: some, config: {where: "customer <> 9 -- not nine"}}},
  {unique: {name: none, config: {where: "customer > 100"}}},
  {unique: {name: limited, config: {limit: 1}}},
  {unique: {name: tolerated, config: {error_if: '> 2', warn_if: '> 1'}}},
  {unique: {name: allowed, config: {error_if: '> 2', warn_if: '> 2'}}},
  {unique: {name: soft, config: {severity: warn, error_if: '> 0'}}},
  {unique: {name: summed, config: {fail_calc: sum(n_records)}}},
  {unique: {name: off, config: {enabled: false}}}]}]"""


def test_configured_counts(planted: str, write: Write) -> None:
    results = ran(write, planted, CONFIGURED)
    assert {name: (result.status, result.failures) for name, result in results.items()} == {
        "all": (Status.FAIL, 2),
        "some": (Status.FAIL, 1),
        "none": (Status.PASS, 0),
        "limited": (Status.FAIL, 1),
        "tolerated": (Status.WARN, 2),
        "allowed": (Status.PASS, 0),
        "soft": (Status.WARN, 2),
        "summed": (Status.FAIL, 5),
    }


def test_a_sum_over_nothing_is_no_count(planted: str, write: Write) -> None:
    tests = """columns: [{name: customer, data_tests: [
  {unique: {name: t, config: {fail_calc: sum(n_records), where: customer > 100}}}]}]"""
    result = ran(write, planted, tests)["t"]
    # dbt refuses it too.
    assert (result.status, result.failures) == (Status.ERROR, None)
    assert result.message == "the failure count is NULL: there was nothing to count"


def test_failing_rows_are_a_bounded_sample_with_their_keys(planted: str, write: Write) -> None:
    tests = "columns: [{name: total, data_tests: [{dbt_utils.accepted_range: {name: t, min_value: 100}}]}]"
    everyone = ran(write, planted, tests)["t"]
    assert [dict(row) for row in everyone.rows] == [
        {"id": number, "total": total}
        for number, total in ((1, 10), (2, -5), (3, 30), (5, 50), (6, 60), (7, 70))
    ]
    two = ran(write, planted, tests, RunOptions(sample=2))["t"]
    assert (two.failures, len(two.rows)) == (6, 2)
    assert ran(write, planted, tests, RunOptions(sample=0))["t"].rows == ()


def test_a_key_of_several_columns_is_shown_in_its_order(url: str, write: Write) -> None:
    fill(url, "CREATE TABLE pairs (a integer, b integer, c integer, PRIMARY KEY (b, a))")
    fill(url, "INSERT INTO pairs VALUES (1, 2, NULL)")
    (result,) = ran(write, url, "columns: [{name: c, data_tests: [not_null]}]", model="pairs").values()
    assert [list(row.items()) for row in result.rows] == [[("b", 2), ("a", 1), ("c", None)]]


def test_a_group_shows_its_first_key(planted: str, write: Write) -> None:
    result = ran(write, planted, "columns: [{name: customer, data_tests: [unique]}]")[
        "unique_orders_customer"
    ]
    assert sorted(tuple(row.values()) for row in result.rows) == [(1, 3, 1), (9, 2, 3)]
    assert list(result.rows[0]) == ["unique_field", "n_records", "first_id"]


def test_a_run_may_be_about_some_rows_only(planted: str, write: Write) -> None:
    def paid(columns: object, _dialect: object) -> sa.ColumnElement[bool] | None:
        assert isinstance(columns, dict)
        return columns["status"] == literal("paid") if "status" in columns else None

    tests = "data_tests: [{dbt_expectations.expect_table_row_count_to_be_between: {name: t, max_value: 0}}]"
    options = RunOptions(restrict=paid)
    assert ran(write, planted, tests, options)["t"].rows[0]["row_count"] == 2
    assert ran(write, planted, tests, options, model="customers")["t"].rows[0]["row_count"] == 4


def test_a_singular_test(planted: str, write: Write) -> None:
    path = write(
        "select id, ':x'  as text, '50%' as share from {{ ref('orders') }} where total < 0 -- the end;",
        "tests/no_debts.sql",
    )
    (result,) = run_tests(load_project(path), planted)
    assert (result.status, result.failures) == (Status.FAIL, 1)
    assert [tuple(row.values()) for row in result.rows] == [(2, ":x", "50%")]
    assert "'50%'" in (result.compiled_code or "")


def test_the_text_of_a_singular_test_reaches_the_database_as_it_is(planted: str, write: Write) -> None:
    texts = [r"\w+$", r"\\", r"a\:b", r"\\:b", "::x", ":x:y:", "%(x)s %% {x}", "größe"]
    columns = ", ".join(f"'{text}' as c{number}" for number, text in enumerate(texts))
    (result,) = run_tests(load_project(write(f"select {columns}", "tests/texts.sql")), planted)
    assert list(result.rows[0].values()) == texts
    assert all(f"'{text}'" in (result.compiled_code or "") for text in texts)


def stored_rows(url: str, result: Result) -> list[dict[str, object]]:
    """What is in the table that a result says it is stored in."""
    assert result.stored_in is not None
    engine = open_engine(url)
    table = sa.table(result.stored_in.name, schema=result.stored_in.schema)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(sa.literal_column("*")).select_from(table)).mappings().all()
    engine.dispose()
    return [dict(row) for row in rows]


def test_stored_failures_are_all_of_them_in_a_table_of_their_own(url: str, write: Write) -> None:
    before = everything(url)
    tests = (
        "columns: [{name: status, data_tests: [not_null, unique,"
        " {accepted_values: {name: " + "long_" * 20 + ", values: ['it''s', paid]}}]}]"
    )
    for _ in range(2):
        # The second time replaces the tables of the first.
        results = ran(write, url, tests, RunOptions(store_failures=True, sample=0))
    assert [result.status for result in results.values()] == [Status.FAIL] * 3
    after = everything(url)
    assert {name: after[name] for name in before} == before
    for result in results.values():
        assert len(stored_rows(url, result)) == result.failures
    if url.startswith("sqlite"):
        assert all(name.startswith("dbt_test__audit__") for name in after.keys() - before.keys())


def test_one_test_may_store_its_failures_alone(url: str, write: Write) -> None:
    tests = (
        "columns: [{name: status, data_tests: ["
        "{not_null: {config: {store_failures: true}}}, {unique: {config: {store_failures_as: ephemeral}}}]}]"
    )
    stored = [result.stored_in is not None for result in ran(write, url, tests).values()]
    assert stored == [True, False]


def test_a_singular_test_stores_its_failures(url: str, write: Write) -> None:
    text = (
        "{{ config(store_failures=True, limit=2) }} select id, status from {{ ref('orders') }} where id > 4"
    )
    (result,) = run_tests(load_project(write(text, "tests/late.sql")), url)
    assert (result.status, result.failures) == (Status.FAIL, 2)
    assert stored_rows(url, result) == [{"id": 5, "status": "  "}, {"id": 6, "status": ""}]


def test_failures_are_stored_where_a_value_has_a_percent_sign(url: str, write: Write) -> None:
    tests = "columns: [{name: status, data_tests: [accepted_values: {values: ['50%', '%s', '%(x)s']}]}]"
    (result,) = ran(write, url, tests, RunOptions(store_failures=True)).values()
    assert (result.status, result.message) == (
        Status.FAIL,
        f"Got {result.failures} results, configured to fail if != 0",
    )
    assert len(stored_rows(url, result)) == result.failures


def test_failures_are_stored_from_several_threads(url: str, write: Write) -> None:
    tests = ", ".join(f"{{not_null: {{name: t{number}}}}}" for number in range(16))
    options = RunOptions(store_failures=True, threads=4)
    results = ran(write, url, f"columns: [{{name: status, data_tests: [{tests}]}}]", options)
    assert [(result.message, len(stored_rows(url, result))) for result in results.values()] == [
        ("Got 1 result, configured to fail if != 0", 1)
    ] * 16


def test_tests_whose_names_differ_only_in_case_do_not_share_a_table(url: str, write: Write) -> None:
    tests = "columns: [{name: status, data_tests: [{not_null: {name: abc}}, {unique: {name: Abc}}, unique]}]"
    results = ran(write, url, tests, RunOptions(store_failures=True))
    assert [list(stored_rows(url, result)[0]) for result in results.values()] == [
        ["id", "status", "total", "customer", "placed"],
        ["unique_field", "n_records"],
        ["unique_field", "n_records"],
    ]


def test_a_view_in_the_place_of_stored_failures_is_replaced(url: str, write: Write) -> None:
    tests = "columns: [{name: status, data_tests: [not_null]}]"
    (result,) = ran(write, url, tests, RunOptions(store_failures=True)).values()
    assert result.stored_in is not None
    engine = open_engine(url, writable=True)
    quote = engine.dialect.identifier_preparer.quote_identifier
    place = ".".join(quote(part) for part in (result.stored_in.schema, result.stored_in.name) if part)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE {place}")
        connection.exec_driver_sql(f"CREATE VIEW {place} AS SELECT 1 AS one")
    engine.dispose()
    (again,) = ran(write, url, tests, RunOptions(store_failures=True)).values()
    assert [row["status"] for row in stored_rows(url, again)] == [None]


def test_rows_are_stored_whole_and_groups_as_they_are_counted(url: str, write: Write) -> None:
    tests = """columns: [
      {name: status, data_tests: [
        {not_null: {name: a, config: {where: id > 2}}},
        {dbt_utils.not_empty_string: {name: b, arguments: {trim_whitespace: false}}},
        {dbt_expectations.expect_column_value_lengths_to_equal: {name: f, value: 4}},
        {accepted_values: {name: c, values: [paid, lost, größe, '']}}]},
      {name: total, data_tests: [
        {dbt_utils.accepted_range: {name: d, max_value: 69}},
        {dbt_utils.expression_is_true: {name: e, expression: '< 70'}}]},
      {name: customer, data_tests: [{relationships: {name: g, to: steps, field: n}}]}]"""
    results = ran(write, url, tests, RunOptions(store_failures=True))
    columns = ["id", "status", "total", "customer", "placed"]
    assert {name: [*stored_rows(url, result)[0]] for name, result in results.items()} == {
        **dict.fromkeys("ade", columns),
        "f": [*columns, "expression"],  # dbt-expectations' name for what does not hold
        "b": ["status"],  # as dbt-utils stores it
        "c": ["value_field", "n_records"],
        "g": ["from_field"],
    }


def test_stored_columns_have_the_names_of_the_packages(url: str, write: Write) -> None:
    fill(url, "CREATE TABLE spans (a integer, b integer, c integer)\nCREATE TABLE none_here (c integer)")
    fill(url, "INSERT INTO spans VALUES (1, 5, 0), (2, 9, 0), (3, 4, 1)")
    tests = """data_tests: [
        {dbt_utils.equal_rowcount: {name: a, compare_model: none_here, group_by_columns: c}},
        {dbt_utils.fewer_rows_than: {name: b, compare_model: none_here}},
        {dbt_utils.mutually_exclusive_ranges:
          {name: c, lower_bound_column: a, upper_bound_column: b, partition_by: c, gaps: required}},
        {dbt_expectations.expect_table_row_count_to_be_between: {name: d, min_value: 3, group_by: c}},
        {dbt_expectations.expect_table_row_count_to_equal_other_table: {name: e, compare_model: none_here}}],
      columns: [{name: b, data_tests: [
        {dbt_expectations.expect_column_max_to_be_between: {name: f, max_value: 1, group_by: [c]}},
        {dbt_expectations.expect_column_values_to_be_in_set: {name: g, value_set: [5]}},
        {dbt_expectations.expect_column_to_exist: {name: h, column_index: 7}}]}]"""
    results = ran(write, url, tests, RunOptions(store_failures=True), model="spans")
    stored = {name: stored_rows(url, result)[0] for name, result in results.items()}
    keys = {
        name: f"id_dbtutils_test_{test}" for name, test in (("a", "equal_rowcount"), ("b", "fewer_rows_than"))
    }
    assert {name: " ".join(row) for name, row in stored.items()} == {
        "a": f"{keys['a']}_a {keys['a']}_b c_a c_b count_a count_b diff_count",
        "b": f"{keys['b']}_a {keys['b']}_b count_our_model count_comparison_model row_count_delta",
        "c": "partition_by_col lower_bound upper_bound next_lower_bound is_last_record"
        " lower_bound_less_than_upper_bound upper_bound_less_than_next_lower_bound",
        "d": "col_1 expression value",
        "e": "expression compare_expression expression_difference expression_difference_percent",
        "f": "col_1 expression value",
        "g": "a b c value_field",
        "h": "column_name matching_column_index column_index_matches",
    }
    assert [stored["a"][f"{keys['a']}_{side}"] for side in "ab"] == [1, None]


def test_what_cannot_be_stored_leaves_the_table_as_it_was(make_database: NewDatabase, write: Write) -> None:
    url = make_database("sqlite")
    tests = "columns: [{name: id, data_tests: [not_null]}]"
    fill(url, "CREATE TABLE made (m)\nINSERT INTO made VALUES (1)")
    fill(url, "CREATE VIEW orders AS SELECT NULL AS id, m AS n FROM made")
    (before,) = ran(write, url, tests, RunOptions(store_failures=True)).values()
    too_large = "SELECT NULL AS id, abs(-9223372036854775807 - m) AS n FROM made"
    fill(url, f"DROP VIEW orders\nCREATE VIEW orders AS {too_large}")
    (result,) = ran(write, url, tests, RunOptions(store_failures=True)).values()
    assert (result.status, result.failures, result.stored_in) == (Status.FAIL, 1, None)
    assert "the failing rows cannot be stored: integer overflow" in (result.message or "")
    assert stored_rows(url, before) == [{"id": None, "n": 1}]


def test_threads_give_the_same_results_in_the_same_order(planted: str, write: Write) -> None:
    alone = ran(write, planted, CONFIGURED)
    together = ran(write, planted, CONFIGURED, RunOptions(threads=4))
    assert [(name, result.status, result.failures, result.rows) for name, result in together.items()] == [
        (name, result.status, result.failures, result.rows) for name, result in alone.items()
    ]


def test_fail_fast_begins_nothing_after_a_failure(planted: str, write: Write) -> None:
    results = ran(write, planted, CONFIGURED, RunOptions(fail_fast=True))
    statuses = [result.status for result in results.values()]
    assert statuses == [Status.FAIL] + [Status.SKIPPED] * 7


def test_the_report_hears_of_each_test_twice(planted: str, write: Write) -> None:
    heard: list[tuple[int, int, str, Status | None]] = []

    def report(index: int, total: int, test: DataTest, result: Result | None) -> None:
        heard.append((index, total, test.name, result.status if result else None))

    path = write("models: [{name: orders, columns: [{name: id, data_tests: [not_null, unique]}]}]")
    run_tests(load_project(path), planted, report=report)
    assert heard == [
        (1, 2, "not_null_orders_id", None),
        (1, 2, "not_null_orders_id", Status.PASS),
        (2, 2, "unique_orders_id", None),
        (2, 2, "unique_orders_id", Status.PASS),
    ]


def test_an_engine_of_ones_own_is_left_as_it_was(url: str, write: Write) -> None:
    engine = open_engine(url, writable=True)
    path = write("models: [{name: orders, columns: [{name: id, data_tests: [not_null]}]}]")
    results: RunResults = run_tests(load_project(path), engine)
    assert results.success
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM orders")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM orders").scalar() == 0
    engine.dispose()


def test_a_database_in_memory_serves_one_thread(write: Write) -> None:
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id integer)")
    path = write("models: [{name: orders, columns: [{name: id, data_tests: [not_null, unique]}]}]")
    results = run_tests(load_project(path), engine, RunOptions(threads=8))
    assert [result.status for result in results] == [Status.PASS] * 2
    engine.dispose()


def test_a_schema_may_be_named(
    postgresql_url: str, make_database: Callable[[str], str], write: Write
) -> None:
    url = make_database("postgresql")
    engine = open_engine(url, writable=True)
    with engine.begin() as connection:
        for statement in (
            'CREATE SCHEMA "my; schema"',
            'CREATE TABLE "my; schema".orders (id integer)',
            'INSERT INTO "my; schema".orders VALUES (NULL)',
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()
    tests = "columns: [{name: id, data_tests: [not_null]}]"
    (default,) = ran(write, url, tests, RunOptions(schema="my; schema")).values()
    (own,) = ran(write, url, f"config: {{schema: 'my; schema'}}, {tests}").values()
    (missing,) = ran(write, url, tests).values()
    assert (default.failures, own.failures, missing.status) == (1, 1, Status.ERROR)


def test_a_shared_pass_changes_no_verdict_no_row_and_no_sql(planted: str, write: Write) -> None:
    path = write(
        """
models:
  - name: orders
    data_tests:
      - dbt_utils.expression_is_true: {name: broken, arguments: {expression: no_such_function(id)}}
      - dbt_utils.expression_is_true: {name: positive, arguments: {expression: total >= 0}}
    columns:
      - name: status
        data_tests: [not_null, dbt_utils.not_empty_string, unique, {not_null: {name: some, where: id > 2}}]
      - {name: total, data_tests: [not_null: {config: {severity: warn}}]}
  - name: customers
    columns:
      - {name: id, data_tests: [not_null, {not_null: {name: few, limit: 1, error_if: '= 0'}}]}
      - {name: name, data_tests: [not_null: {name: none_is_bad, error_if: '= 0'}]}
"""
    )
    tests = list(load_project(path))
    for chosen in (tests, tests[1:]):
        alone, together = (
            [
                (result.test.name, result.status, result.failures, result.rows, result.compiled_code)
                for result in run_tests(chosen, planted, RunOptions(share_scans=share, threads=2))
            ]
            for share in (False, True)
        )
        assert together == alone


KEYED = """
models:
  - name: pairs
    data_tests:
      - dbt_utils.unique_combination_of_columns: {name: ab, arguments: {combination_of_columns: [a, b]}}
      - dbt_utils.unique_combination_of_columns: {name: bc, arguments: {combination_of_columns: [b, c]}}
      - dbt_utils.unique_combination_of_columns: {name: ac, arguments: {combination_of_columns: [c, a]}}
      - dbt_utils.recency: {name: old, arguments: {field: seen, datepart: day, interval: 1}}
      - dbt_expectations.expect_table_row_count_to_be_between: {name: rows, arguments: {max_value: 3}}
    columns:
      - name: a
        data_tests:
          - unique: {name: a}
          - dbt_utils.not_null_proportion: {name: p, at_least: 0.9}
          - relationships: {name: orphans, to: parents, field: id}
          - relationships: {name: some_orphans, to: parents, field: id, config: {where: b <> 'p'}}
      - {name: b, data_tests: [unique: {name: b}, dbt_utils.not_constant: {name: k}]}
      - name: c
        data_tests:
          - dbt_utils.not_constant: {name: constant}
          - accepted_values: {name: known, arguments: {values: [x]}}
          - accepted_values: {name: unknown, arguments: {values: [y]}}
          - dbt_expectations.expect_column_distinct_values_to_be_in_set: {name: in_set, value_set: [x]}
          - accepted_values: {name: some, arguments: {values: [y]}, config: {where: a > 100}}
"""
PAIRS = """
CREATE TABLE pairs (a integer, b varchar(9), c varchar(9), seen timestamp);
CREATE TABLE parents (id integer PRIMARY KEY, b varchar(9));
INSERT INTO parents VALUES (1, 'p'), (3, 'q');
"""


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(1, "p", "x"), (2, "q", "x"), (3, "r", "x")],
        [(1, "p", "x"), (1, "p", "x"), (1, "q", None), (2, "P", "x")],
        [(None, "p", "x"), (None, "p", "x"), (3, None, "x"), (4, None, "x")],
        [(1, "it's", "x"), (1, "%s :y", "x"), (2, "it's", "x"), (2, "%s :y", "x")],
        [(n // 2, f"b{n // 3}", "x") for n in range(400)],  # too many that repeat to look for each
    ],
    ids=["empty", "all well", "repeated", "missing", "hostile", "many"],
)
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "duckdb"])
def test_what_a_pass_says_of_keys_and_aggregates_is_what_each_says_alone(
    make_database: NewDatabase, write: Write, kind: str, rows: list[tuple[int | None, str | None, str | None]]
) -> None:
    url = make_database(kind)
    fill(url, PAIRS)
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        insert = sa.text("INSERT INTO pairs VALUES (:a, :b, :c, '2020-01-01 00:00:00')")
        for row in rows:
            connection.execute(insert, dict(zip("abc", row, strict=True)))
    engine.dispose()
    engine = open_engine(url)
    tests = load_project(write(KEYED))
    alone, together = (
        {
            result.test.name: (result.status, result.failures, result.message, result.compiled_code)
            for result in run_tests(tests, engine, RunOptions(share_scans=share, sample=0))
        }
        for share in (False, True)
    )
    engine.dispose()
    assert together == alone
    assert all(status is not Status.ERROR for status, *_ in together.values())


def test_a_condition_on_an_aggregate_of_the_tested_rows_shares_no_pass(planted: str, write: Write) -> None:
    @generic_test()
    def below_the_mean(tested: Tested) -> sa.Select[Any]:
        rows = sa.select(tested.rows).subquery("all_rows")
        mean = sa.select(sa.func.avg(rows.c.total)).scalar_subquery()
        return tested.failing(tested.column < mean)

    registry = Registry([*default_registry(), below_the_mean])
    tests = "{not_null: {name: n}}, {below_the_mean: {name: b, config: {where: total > 20}}}"
    path = write(f"models: [{{name: orders, columns: [{{name: total, tests: [{tests}]}}]}}]")
    project = load_project(path, registry=registry)
    alone, together = (
        [
            (result.status, result.failures)
            for result in run_tests(project, planted, RunOptions(share_scans=share), registry=registry)
        ]
        for share in (False, True)
    )
    assert together == alone
    assert together[1][1] == 2  # of 30, 50, 60 and 70 the first two are below 52.5


def test_tests_of_a_table_share_a_pass(make_database: NewDatabase, write: Write) -> None:
    url = make_database("sqlite")
    fill(url, PLANTED)
    path = write(
        "models: [{name: orders, columns: [{name: id, tests: [not_null]}, {name: total, tests: [not_null]},"
        " {name: customer,"
        " tests: [dbt_utils.not_null_proportion: {at_least: 0.1}, not_null: {where: id > 2}]}]}]"
    )
    engine, sent = open_engine(url), []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    results = run_tests(load_project(path), engine, RunOptions(sample=0))
    engine.dispose()
    assert [result.failures for result in results] == [0, 1, 0, 1]
    assert len([statement for statement in sent if "count(" in statement]) == 1
