"""Hostile input and broken databases: one clear line each, and nothing changed in the database."""

import json
import os
import re
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from dbt_like_checks import (
    DatabaseUnusable,
    DataTest,
    Result,
    RunOptions,
    RunResults,
    Status,
    load_project,
    open_engine,
    run_tests,
)
from dbt_like_checks.output.terminal import summary
from tests.dbt_like_checks.conftest import PLANTED, everything, fill

Write = Callable[..., Path]
NewDatabase = Callable[[str], str]


def kind_of(url: str) -> str:
    """The kind of a database by its URL."""
    return url.partition(":")[0]


def on_orders(write: Write, *tests: object, column: str | None = None) -> Path:
    """A file of tests on the model ``orders``, or on a column of it. JSON is YAML too."""
    below = {"columns": [{"name": column, "data_tests": tests}]} if column else {"data_tests": tests}
    return write(json.dumps({"models": [{"name": "orders", **below}]}))


def the_error(results: RunResults | list[Result]) -> str:
    """The message of the only result, which is an error in one line."""
    (result,) = results
    assert (result.status, result.failures) == (Status.ERROR, None)
    assert result.message is not None
    assert len(result.message.splitlines()) == 1
    return result.message


def test_names_with_quotes_and_semicolons_are_names(url: str, write: Write) -> None:
    before = everything(url)
    path = write(
        json.dumps(
            {
                "models": [
                    {
                        "name": 'odd " table; --',
                        "columns": [
                            {
                                "name": 'we"ird; col',
                                "data_tests": [
                                    "not_null",
                                    "unique",
                                    {"accepted_values": {"values": ["'; DROP TABLE orders; --", '"']}},
                                    {"relationships": {"to": "ref('orders')", "field": "status"}},
                                ],
                            },
                            {"name": "größe", "data_tests": ["not_null"]},
                        ],
                    }
                ]
            }
        )
    )
    results = run_tests(load_project(path), url, RunOptions(store_failures=True))
    assert [(result.status, result.failures) for result in results] == [
        (Status.FAIL, 1),
        (Status.FAIL, 1),
        (Status.FAIL, 1),
        (Status.FAIL, 2),
        (Status.FAIL, 1),
    ]
    after = everything(url)
    assert {name: after[name] for name in before} == before


# Each closes what is open before it and opens again what will be closed behind it.
CLOSE, OPEN = (
    "1 = 1)) AS dbt_subquery) AS a; ",
    "SELECT 1 FROM (SELECT dbt_subquery.id FROM (SELECT 1 AS id WHERE (1 = 1",
)
ESCAPES = [
    f"{CLOSE} DROP TABLE orders; {OPEN}",
    f"{CLOSE} COMMIT; DROP TABLE orders; {OPEN}",
    f"{CLOSE} ROLLBACK; BEGIN; DELETE FROM orders; COMMIT; {OPEN}",
]


@pytest.mark.parametrize("where", ESCAPES)
def test_a_where_cannot_end_the_statement(planted: str, write: Write, where: str) -> None:
    before = everything(planted)
    path = on_orders(write, {"not_null": {"config": {"where": where}}}, column="id")
    for options in (RunOptions(), RunOptions(store_failures=True)):
        message = the_error(run_tests(load_project(path), planted, options))
        assert any(said in message for said in REFUSALS), message
    assert everything(planted) == before


REFUSALS = (
    "You can only execute one statement at a time.",  # SQLite's driver
    "cannot insert multiple commands into a prepared statement",  # PostgreSQL
    "the SQL holds several statements: write one",  # DuckDB, where we ask its parser
)


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE orders",
        "DELETE FROM orders RETURNING id",
        "SELECT 1; DROP TABLE orders",
        "SELECT 1) AS x; COMMIT; DROP TABLE orders; SELECT 1 FROM (SELECT 1",
        "WITH gone AS (DELETE FROM orders RETURNING id) SELECT * FROM gone",
        "SELECT set_config('transaction_read_only', 'off', false) FROM orders",
    ],
)
def test_a_singular_test_cannot_write(planted: str, write: Write, sql: str) -> None:
    before = everything(planted)
    path = write(sql, "tests/writes.sql")
    the_error(run_tests(load_project(path), planted))
    assert everything(planted) == before


def test_wrong_sql_is_one_line(planted: str, write: Write) -> None:
    path = on_orders(write, {"not_null": {"config": {"where": "totl > 0"}}}, column="id")
    assert "totl" in the_error(run_tests(load_project(path), planted))


@pytest.mark.parametrize(
    ("tests", "column", "message"),
    [
        ("unique", "idd", "no column 'idd' in 'orders': did you mean 'id'?"),
        (
            {"relationships": {"to": "ref('custmers')", "field": "id"}},
            "id",
            "no table 'custmers' in the database",
        ),
        ({"relationships": {"to": "customers", "field": "ids"}}, "id", "no column 'ids' in 'customers'"),
        (
            {"dbt_utils.recency": {"field": "place", "datepart": "day", "interval": 1}},
            None,
            "no column 'place'",
        ),
    ],
)
def test_what_is_not_there_is_named(
    planted: str, write: Write, tests: object, column: str | None, message: str
) -> None:
    path = on_orders(write, tests, column=column)
    assert the_error(run_tests(load_project(path), planted)).startswith(message)


@pytest.mark.parametrize("value", [10**30, "\0"])
def test_a_value_that_a_database_does_not_take_stops_one_test_only(
    planted: str, write: Write, value: int | str
) -> None:
    quote = isinstance(value, str)
    path = on_orders(
        write,
        {"accepted_values": {"values": [value], "quote": quote}},
        "unique",
        column="status" if quote else "id",
    )
    first, second = run_tests(load_project(path), planted)
    # Each database draws the line elsewhere; where it takes the value, no row has it.
    assert first.status is Status.ERROR or first.failures in (5, 7)
    assert len((first.message or "").splitlines()) == 1
    assert second.failures == (1 if quote else 0)


def test_the_tests_after_one_that_the_database_refuses_are_run(planted: str, write: Write) -> None:
    wrong = {"not_null": {"name": "wrong", "config": {"where": "totl > 0"}}}
    path = on_orders(write, wrong, "not_null", {"unique": {"config": {"where": "1 = 1"}}}, column="id")
    results = run_tests(load_project(path), planted)
    assert [result.status for result in results] == [Status.ERROR, Status.PASS, Status.PASS]


def test_a_table_is_found_in_another_case_with_its_key(planted: str, write: Write) -> None:
    path = write("models: [{name: Orders, columns: [{name: Status, data_tests: [not_null]}]}]")
    (result,) = run_tests(load_project(path), planted)
    if kind_of(planted) == "postgresql":
        assert the_error([result]) == "no table 'Orders' in the database: did you mean 'orders'?"
    else:
        assert (result.message, result.rows) == (
            "Got 1 result, configured to fail if != 0",
            ({"id": 4, "status": None},),
        )


def test_a_table_that_vanishes_during_the_run(url: str, write: Write) -> None:
    engine = open_engine(url, writable=True)

    def drop_after_the_first(index: int, _total: int, _test: DataTest, result: Result | None) -> None:
        if index == 1 and result is not None:
            with engine.begin() as connection:
                connection.exec_driver_sql("DROP TABLE orders")

    path = on_orders(write, "not_null", "unique", column="id")
    first, *rest = run_tests(load_project(path), engine, report=drop_after_the_first)
    engine.dispose()
    assert first.status is Status.PASS
    assert "orders" in the_error(rest)


def test_a_lost_connection_is_said_and_the_next_test_has_a_new_one(
    make_database: NewDatabase, write: Write
) -> None:
    url = make_database("postgresql")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id integer)")
        connection.execute("INSERT INTO orders VALUES (1)")
    sleeping = {"dbt_utils.expression_is_true": {"expression": "pg_sleep(60) is not null"}}
    counting = {"dbt_expectations.expect_table_row_count_to_be_between": {"min_value": 1}}
    killer = threading.Thread(target=_end_sleepers, args=(url,))
    killer.start()
    options = RunOptions(share_scans=False)  # a pass that is lost is asked again, test by test
    first, second = run_tests(load_project(on_orders(write, sleeping, counting)), url, options)
    killer.join()
    assert the_error([first]).startswith("the connection was lost: ")
    assert second.status is Status.PASS


def _end_sleepers(url: str) -> None:
    query = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep' AND pid <> pg_backend_pid()"
    )
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(600):
            if connection.execute(query).fetchall():
                return
            time.sleep(0.05)


TOO_LONG = {
    "sqlite": "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n WHERE i < 0",
    "postgresql": "SELECT pg_sleep(60)",
    "duckdb": "SELECT sum(a.range * b.range) AS s FROM range(1000000) a, range(1000000) b HAVING s < 0",
}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_query_that_runs_too_long_is_stopped(planted: str, write: Write, threads: int) -> None:
    paths = [write(TOO_LONG[kind_of(planted)], f"tests/long_{number}.sql") for number in (1, 2)]
    after = write("SELECT 1 AS one", "tests/short.sql")
    began = time.monotonic()
    options = RunOptions(timeout=0.3, threads=threads)
    *long, short = run_tests(load_project(*paths, after), planted, options)
    for each in long:
        assert the_error([each]) == "stopped after 0.3 s: the query takes too long (--timeout gives it more)"
    assert short.failures == 1
    assert time.monotonic() - began < 60  # it would have taken hours, or a minute of sleep


@pytest.fixture
def heard_interruptions() -> Iterator[None]:
    """What a shell starts in the background ignores SIGINT: here it is Ctrl-C whoever started us."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard_interruptions")
@pytest.mark.parametrize("threads", [1, 2])
def test_an_interruption_ends_the_queries_that_run(planted: str, write: Write, threads: int) -> None:
    paths = [write(TOO_LONG[kind_of(planted)], f"tests/long_{number}.sql") for number in range(3)]
    begun: list[str] = []

    def interrupt(_index: int, _total: int, test: DataTest, result: Result | None) -> None:
        begun.append(test.name)
        if result is None and len(begun) == threads:
            os.kill(os.getpid(), signal.SIGINT)

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tests(load_project(*paths), planted, RunOptions(timeout=120, threads=threads), report=interrupt)
    assert time.monotonic() - began < 60  # half the time limit
    assert set(begun) == {f"long_{number}" for number in range(threads)}


def test_a_lock_is_waited_for_once_and_no_longer_than_a_query_may_take(
    make_database: NewDatabase, write: Write
) -> None:
    url = make_database("sqlite")
    fill(url, PLANTED)
    named = [{"not_null": {"name": f"t{number}"}} for number in range(8)]
    project = load_project(on_orders(write, *named, column="id"))
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        results = list(run_tests(project, url, RunOptions(timeout=0.4)))
    assert [the_error([result]) for result in results] == ["database is locked"] * 8
    assert time.monotonic() - began < 30  # each with the driver's own wait, it would be a minute


def test_a_regular_expression_that_takes_too_long_is_stopped(
    make_database: NewDatabase, write: Write
) -> None:
    url = make_database("sqlite")
    engine = open_engine(url, writable=True)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE orders (id text)")
        connection.exec_driver_sql("INSERT INTO orders VALUES (?)", ("a" * 60 + "b",))
    engine.dispose()

    def matching(regex: str) -> str:
        test = {"dbt_expectations.expect_column_values_to_match_regex": {"regex": regex}}
        return the_error(run_tests(load_project(on_orders(write, test, column="id")), url))

    assert matching("^(a|aa)+$") == "stopped: the regular expression '^(a|aa)+$' takes too long on one value"
    assert matching("(").startswith("the regular expression '(' is not valid: ")


def test_a_read_only_database_can_be_tested_but_not_store(url: str, write: Write) -> None:
    if kind_of(url) == "postgresql":
        with closing(psycopg.connect(url, autocommit=True)) as connection:
            connection.execute(
                f'ALTER DATABASE "{connection.info.dbname}" SET default_transaction_read_only = on'
            )
    before = everything(url)
    project = load_project(
        on_orders(
            write, "not_null", {"unique": {"config": {"warn_if": "> 9", "error_if": "> 9"}}}, column="status"
        )
    )
    engine = open_engine(url)
    counted = run_tests(project, engine)
    kept = run_tests(project, engine, RunOptions(store_failures=True))
    engine.dispose()
    # The verdict stands; beside it is said that nothing was stored.
    for before_storing, result in zip(counted, kept, strict=True):
        verdict = (before_storing.status, before_storing.failures, before_storing.rows)
        assert (result.status, result.failures, result.rows) == verdict
        assert result.stored_in is None
        message = result.message or ""
        assert "the failing rows cannot be stored: " in message
        assert re.search("read.?only", message.lower())
    assert [result.status for result in kept] == [Status.FAIL, Status.PASS]
    assert "".join(summary(kept)).count("cannot be stored") == 2
    assert everything(url) == before


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "gone.db"
    with pytest.raises(DatabaseUnusable, match=r"gone\.db: "):
        open_engine(f"{kind}:///{path}")
    assert not path.exists()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql://ada:geheim@127.0.0.1:1/x", "postgresql://ada:***@127.0.0.1:1/x: "),
        ("postgresql://127.0.0.1:1/x?user=ada&password=geheim", "127.0.0.1"),
        ("postgresql://ada:geheim@127.0.0.1:port/x", "not a database URL"),
        ("postgresql://127.0.0.1:1/x?sslpassword=geheim&sslmode=geheim", "/x: connection is bad: "),
        ("postgresql://127.0.0.1:1/x?sslpassword=ge%40heim&sslmode=ge%40heim", '"***"'),
        ("postgresql://127.0.0.1:1/x?sslpassword=ge%40heim&sslmode=ge%2540heim", '"***"'),
        ("duckdb:////nowhere/x.db?motherduck_token=geheim", "duckdb:////nowhere/x.db: "),
        ("duckdb://?geheim=geheim", "***"),
        (
            "postgresql://ada:ge@geheim@127.0.0.1:1/x",
            "resolve host '***@127.0.0.1'",
        ),
        (
            "postgresql://127.0.0.1:1/x?host=a&host=b&port=1&password=geheim",
            "/x: Can't mix 'multihost'",
        ),
        ("mysql://ada:geheim@127.0.0.1/x", "'mysql' is not supported: use sqlite, postgresql, duckdb"),
        ("geheim", "not a database URL: write for example sqlite:///file.db"),
    ],
)
def test_an_unusable_database_is_one_line_without_its_password(url: str, message: str) -> None:
    with pytest.raises(DatabaseUnusable) as caught:
        open_engine(url)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert not re.search("ge(@|%40|%2540)?heim", str(caught.value))


def test_psycopg2_is_refused_because_it_would_run_several_statements(
    postgresql_url: str, write: Write
) -> None:
    engine = sa.create_engine(postgresql_url.replace("postgresql://", "postgresql+psycopg2://"))
    path = on_orders(write, "not_null", column="id")
    assert "psycopg 3" in the_error(run_tests(load_project(path), engine))
    engine.dispose()


@pytest.mark.parametrize("value", ["1700000000", "2460000", "'31/12/2020'", "'now'", "'1700000000'", "1.5"])
def test_what_is_no_time_is_never_recent_on_sqlite(
    make_database: NewDatabase, write: Write, value: str
) -> None:
    url = make_database("sqlite")
    fill(
        url,
        f"CREATE TABLE orders (placed, at integer)\nINSERT INTO orders VALUES ({value}, 1700000000)",
    )
    arguments = {"field": "placed", "datepart": "day", "interval": 10}
    message = the_error(run_tests(load_project(on_orders(write, {"recency": {"arguments": arguments}})), url))
    assert message.startswith(f"{value} cannot be read as a time: SQLite needs texts such as")
    # Seconds since 1970 are read where the file says that they are.
    arguments |= {"field": "datetime(at, 'unixepoch')", "interval": 100_000}
    (result,) = run_tests(load_project(on_orders(write, {"recency": {"arguments": arguments}})), url)
    assert result.status is Status.PASS


def test_a_column_that_is_misspelled_is_no_expression(planted: str, write: Write) -> None:
    arguments = {"field": "plced", "datepart": "day", "interval": 10}
    message = the_error(
        run_tests(load_project(on_orders(write, {"recency": {"arguments": arguments}})), planted)
    )
    assert message == "no column 'plced' in 'orders': did you mean 'placed'?"
