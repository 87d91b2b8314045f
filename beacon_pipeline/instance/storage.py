"""Where Dagster keeps its runs and events, looked at before Dagster opens it.

Dagster's own error of a damaged SQLite file does not name the file, and of a PostgreSQL that does not
answer it says so six times, with the driver's text, over a quarter of a minute.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE, InstanceError
from beacon_pipeline.sqlite_faults import primary_code, way_out
from dbt_like_checks.database.secrets import reason_of, secrets_of

CONNECT_SECONDS = 10
IF_DAMAGED = (
    ": put a copy of it back, or move it away: Dagster forgets its runs then, and no answer is lost, "
    "they are in the ledger"
)


def check_storage(folder: Path) -> None:
    """Raises InstanceError where Dagster's databases, as far as they exist, cannot be used."""
    for problem in storage_problems(folder):
        raise InstanceError(problem)


def storage_problems(folder: Path) -> Iterator[str]:
    """What is wrong with Dagster's databases, one line each. Changes nothing."""
    if url := os.environ.get(DATABASE_VARIABLE):
        problem = _problem_of_postgresql(url)
        if problem is not None:
            yield f"Dagster's database ({DATABASE_VARIABLE}) cannot be used: {problem}"
        return
    for path in _sqlite_files(folder):
        problem = _problem_of_sqlite(path)
        if problem is not None:
            yield f"Dagster's file {path} cannot be used: {problem}"


def _sqlite_files(folder: Path) -> Iterator[Path]:
    # The shards of single runs, beside the index of all, are only opened when one looks at a run.
    for name in ("history/runs.db", "history/runs/index.db", "schedules/schedules.db"):
        path = folder / name
        if path.exists():
            yield path


def _problem_of_sqlite(path: Path) -> str | None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            # Reads the header and the schema: enough for a file that is cut off or none of SQLite's.
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        if primary_code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return None
        return f"{error}{way_out(error, path, IF_DAMAGED)}"
    return None


def check_writable(folder: Path) -> None:
    """Raises InstanceError where Dagster could only read its files: a launch would fail half-way."""
    if not os.environ.get(DATABASE_VARIABLE):
        for path in _sqlite_files(folder):
            if not os.access(path, os.W_OK):
                raise InstanceError(
                    f"Dagster's file {path} can only be read: give its owner the right to write"
                )


def _problem_of_postgresql(url: str) -> str | None:
    try:
        engine = sa.create_engine(url, connect_args={"connect_timeout": CONNECT_SECONDS})
        with engine.connect():
            pass
        engine.dispose()
    except (sa.exc.SQLAlchemyError, TypeError, ValueError) as error:
        return reason_of(error, secrets_of(url))
    return None
