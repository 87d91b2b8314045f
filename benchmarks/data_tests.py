"""What data tests cost: forty of them over a table of 1,000,000 rows, in one run.

On PostgreSQL, SQLite and DuckDB, each test against the SQL written by hand for the same number, over the
same connections, round by round: the least of several rounds, because the machine is shared. And the
whole command against dbt's whole command and against a program of one's own, on DuckDB, from the shell,
dbt with as many threads; there the processors' seconds are told too, which other work on the machine
changes less.

`make bench-data-tests` runs it (it installs dbt in an environment of its own) and writes
`benchmarks/data_tests.md`.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path

import sqlalchemy as sa
import yaml

from benchmarks.data_tests_cases import CASES, CUSTOMERS, ROWS, schema
from benchmarks.report import keep, machine
from dbt_like_checks import (
    DataTest,
    RunOptions,
    load_project,
    open_engine,
    run_tests,
)
from tests.compare_dbt import real_dbt
from tests.databases import fresh_postgresql_database, postgresql_server

ROUNDS = 6
WHOLE_ROUNDS = 4
THREADS = 2
TABLE = Path(__file__).with_suffix(".md")

# Now and then a faulty row; the same on every database.
FACTS = """
INSERT INTO facts SELECT n,
    CASE WHEN n % 5003 = 0 THEN 0 ELSE n * 7 % 10000 + 1 END,
    'C' || (10000000 + n - CASE WHEN n % 100003 = 0 THEN 1 ELSE 0 END),
    CASE WHEN n % 9001 = 0 THEN 'lost' WHEN n % 3 = 0 THEN 'placed' ELSE 'shipped' END,
    CASE n % 4 WHEN 0 THEN 'fr' WHEN 1 THEN 'jp' WHEN 2 THEN 'de' ELSE 'br' END,
    'user' || (n % 5000) || '@example.org',
    CASE WHEN n % 10 = 0 THEN NULL WHEN n % 7001 = 0 THEN '' ELSE 'fragile' END,
    CASE WHEN n % 10007 = 0 THEN -1 ELSE n % 50 + 1 END,
    CASE WHEN n % 1009 = 0 THEN NULL ELSE (n * 37 % 100000) / 4.0 END,
    (n % 400) / 4.0,
    {created}
FROM {series}
"""
CREATED = {
    "sqlite": "datetime('2020-01-01 12:00:00', '+' || (n % 1000) || ' days')",
    "postgresql": "timestamp '2020-01-01 12:00:00' + (n % 1000) * interval '1 day'",
    "duckdb": "timestamp '2020-01-01 12:00:00' + (n % 1000) * interval '1 day'",
}
SERIES = {
    "sqlite": "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) "
    "SELECT n FROM s)",
    "postgresql": "generate_series(1, {rows}) AS s(n)",
    "duckdb": "range(1, {rows} + 1) AS s(n)",
}
TABLES = (
    "CREATE TABLE customers (id integer PRIMARY KEY)",
    "CREATE TABLE facts (id integer PRIMARY KEY, customer_id integer, code varchar, status varchar, "
    "country varchar, email varchar, note varchar, quantity integer, amount float, score float, "
    "created timestamp)",
)
# As little as a Python program can do: start, import the same two libraries, and ask.
BY_HAND = """if True:
    import json, sys
    import sqlalchemy as sa
    engine = sa.create_engine(sys.argv[1], connect_args={"read_only": True})
    for statement in json.load(sys.stdin):
        with engine.connect() as connection:
            connection.exec_driver_sql(statement).scalar()
"""
Said = dict[str, tuple[str, int | None]]  # by test name: the status and the failures


@dataclass(frozen=True)
class Measured:
    """The least seconds of one test: by hand, and here."""

    kind: str
    by_hand: float
    here: float

    @property
    def ratio(self) -> float:
        return self.here / self.by_hand


@dataclass(frozen=True)
class Whole:
    """The least seconds of a command, by the clock and of the processors."""

    wall: float
    cpu: float


def fill(url: str) -> None:
    """Make both tables in an empty database."""
    engine = sa.create_engine(url)
    kind = engine.dialect.name
    series = {
        name: SERIES[kind].format(rows=rows) for name, rows in (("facts", ROWS), ("customers", CUSTOMERS))
    }
    with engine.begin() as connection:
        for statement in TABLES:
            connection.exec_driver_sql(statement)
        connection.execute(sa.text(f"INSERT INTO customers SELECT n FROM {series['customers']}"))
        connection.execute(sa.text(FACTS.format(created=CREATED[kind], series=series["facts"])))
    if kind == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()


@dataclass(frozen=True)
class Database:
    """One database's tests, and the least seconds of a whole round: by hand, each alone, in shared passes."""

    tests: list[Measured]
    by_hand: float
    alone: float
    shared: float


def measure(url: str, tests: Sequence[DataTest]) -> Database:
    """All tests by hand and all of them here, each alone and in shared passes, in turn round by round."""
    engine = open_engine(url)
    by_hand, here = [[inf] * len(CASES) for _ in range(2)]
    expected: list[object] = [None] * len(CASES)

    def run_by_hand() -> None:
        for index, case in enumerate(CASES):
            started = time.perf_counter()
            with engine.connect() as connection:
                expected[index] = connection.exec_driver_sql(spelled(case.sql, engine)).scalar()
            by_hand[index] = min(by_hand[index], time.perf_counter() - started)

    def run_here(*, share: bool) -> None:
        options = RunOptions(sample=0, share_scans=share)  # the count alone, as by hand
        for index, result in enumerate(run_tests(tests, engine, options)):
            assert result.failures == expected[index], (result.test.kind, result.message, expected[index])
            if not share:
                here[index] = min(here[index], result.execution_time)

    runs = (run_by_hand, partial(run_here, share=False), partial(run_here, share=True))
    rounds = [inf] * len(runs)
    try:
        run_by_hand()
        for number in range(ROUNDS):
            for which in range(len(runs)) if number % 2 else reversed(range(len(runs))):
                started = time.perf_counter()
                runs[which]()
                rounds[which] = min(rounds[which], time.perf_counter() - started)
    finally:
        engine.dispose()
    measured = [Measured(case.test, *pair) for case, *pair in zip(CASES, by_hand, here, strict=True)]
    return Database(measured, *rounds)


def spelled(sql: str, engine: sa.Engine) -> str:
    """SQL as the driver takes it: some read a percent sign as a parameter."""
    return sql if engine.dialect.paramstyle in ("qmark", "named") else sql.replace("%", "%%")


def whole_commands(folder: Path, database: Path) -> dict[str, Whole]:
    """Each command at its best, by its name: from the shell, in turns. Ours with all it does is the last."""
    project = real_dbt.prepare(folder, ("facts", "customers"))
    write_tests(project / "models")
    url = f"duckdb:///{database}"
    command = [str(Path(sys.executable).with_name("dbt-like-checks")), "test", str(project / "models")]
    command += ["--url", url, "--threads", str(THREADS), "--output", "json"]

    def dbt() -> Said:
        real_dbt.dbt(project, database, "test", "--threads", str(THREADS))
        return said_in((project / "target" / "run_results.json").read_text(encoding="utf-8"))

    def dbt_first() -> Said:
        shutil.rmtree(project / "target", ignore_errors=True)  # what it parsed before
        return dbt()

    def here(*options: str) -> Said:
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
        return said_in(done.stdout)

    def by_hand() -> None:
        statements = json.dumps([case.sql for case in CASES])
        subprocess.run([sys.executable, "-c", BY_HAND, url], input=statements, text=True, check=True)

    runs: dict[str, Callable[[], Said | None]] = {
        "dbt test, first": dbt_first,
        "dbt test, later (parsed before)": dbt,
        "the 40 by hand, in a Python program": by_hand,
        "dbt-like-checks test --sample 0 (counts only, as dbt)": partial(here, "--sample", "0"),
        "dbt-like-checks test": here,
    }
    measured: dict[str, list[Whole]] = {name: [] for name in runs}
    said: list[Said] = []
    for _ in range(WHOLE_ROUNDS):
        for name, run in runs.items():
            taken, result = timed(run)
            measured[name].append(taken)
            said += [result] if result is not None else []
    assert all(result == said[0] for result in said)
    return {name: least(taken) for name, taken in measured.items()}


def said_in(run_results: str) -> Said:
    """What a run_results.json says of each test."""
    results = json.loads(run_results)["results"]
    return {each["unique_id"].split(".")[2]: (each["status"], each["failures"]) for each in results}


def timed(run: Callable[[], Said | None]) -> tuple[Whole, Said | None]:
    """How long a function's child processes take, and what it gives."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    result = run()
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Whole(wall, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime), result


def least(runs: Sequence[Whole]) -> Whole:
    return Whole(min(run.wall for run in runs), min(run.cpu for run in runs))


def write_tests(folder: Path) -> None:
    (folder / "schema.yml").write_text(yaml.safe_dump(schema(), sort_keys=False), encoding="utf-8")


def in_order(tests: Iterable[DataTest]) -> list[DataTest]:
    """The tests in the order of the cases."""
    return sorted(tests, key=lambda test: test.name)


def table(measured: dict[str, Database], whole: dict[str, Whole]) -> str:
    """The result as Markdown."""
    lines = [
        "| database | 40 tests by hand, s | here, each alone, s | / by hand | more for each test, ms "
        "| here, shared passes, s | / by hand |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, database in measured.items():
        more = statistics.median(t.here - t.by_hand for t in database.tests) * 1000
        lines.append(
            f"| {name} | {database.by_hand:.2f} | {database.alone:.2f} "
            f"| {database.alone / database.by_hand:.2f} | {more:.1f} "
            f"| {database.shared:.2f} | {database.shared / database.by_hand:.2f} |"
        )
    lines += [
        "",
        f"| whole command, DuckDB, {THREADS} threads | s | CPU s | times as long as here | CPU |",
        "|---|---:|---:|---:|---:|",
    ]
    *_, ours = whole.values()
    for name, run in whole.items():
        lines.append(
            f"| {name} | {run.wall:.2f} | {run.cpu:.2f} "
            f"| {run.wall / ours.wall:.1f} | {run.cpu / ours.cpu:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    measured: dict[str, Database] = {}
    with tempfile.TemporaryDirectory() as temporary, postgresql_server(Path(temporary) / "pg") as server:
        folder = Path(temporary)
        write_tests(folder)
        tests = in_order(load_project(folder / "schema.yml", name="compared"))
        urls = {
            "PostgreSQL": fresh_postgresql_database(server).replace("postgresql://", "postgresql+psycopg://"),
            "SQLite": f"sqlite:///{folder / 'facts.sqlite'}",
            "DuckDB": f"duckdb:///{folder / 'facts.duckdb'}",
        }
        for name, url in urls.items():
            fill(url)
            measured[name] = measure(url, tests)
        whole = whole_commands(folder / "whole", folder / "facts.duckdb")
    load = f"load {os.getloadavg()[0]:.1f}"
    keep(TABLE, f"{machine()}; {load}; {real_dbt.version()}\n\n{table(measured, whole)}")


if __name__ == "__main__":
    main()
