"""Run the same files here."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from dbt_like_checks import Relation, RunOptions, load_project, open_engine, run_tests
from tests.compare_dbt.real_dbt import Verdict


def run_ours(project: Path, url: str, *, threads: int = 1) -> dict[str, Verdict]:
    """What is said here of the tests of a dbt project, by test name."""
    tests = load_project(project / "models", project / "tests", name="compared")
    engine = open_engine(url, writable=True, threads=threads)
    try:
        return {
            result.test.name: Verdict(
                result.status.value,
                result.failures,
                _rows(engine, result.stored_in) if result.stored_in else None,
            )
            for result in run_tests(tests, engine, RunOptions(threads=threads))
        }
    finally:
        engine.dispose()


def _rows(engine: sa.Engine, stored: Relation) -> int:
    table = sa.table(stored.name, schema=stored.schema)
    with engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
