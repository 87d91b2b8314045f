"""Run the same files here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from dbt_like_checks import DataTest, RunOptions, load_project, open_engine, run_tests
from tests.compare_dbt import tables
from tests.compare_dbt.real_dbt import Verdict, stored_in


def run_ours(project: Path, url: str) -> dict[str, Verdict]:
    """What is said here of the tests of a dbt project, by test name."""
    return said_here(load_project(project / "models", project / "tests", name="compared"), url)


def said_here(tests: Iterable[DataTest], url: str) -> dict[str, Verdict]:
    """What is said of some tests, by name: as of dbt's, counts only, without a sample of failing rows."""
    engine = open_engine(url, writable=True)
    verdicts = {}
    try:
        results = run_tests(tests, engine, RunOptions(sample=0))
        with engine.connect() as connection:
            for result in results:
                verdict = Verdict(result.status.value, result.failures)
                if result.stored_in:
                    rows, columns = stored_in(connection, result.stored_in.name, result.stored_in.schema)
                    columns = without_more(result.test, columns)
                    verdict = Verdict(verdict.status, verdict.failures, rows, columns)
                verdicts[result.test.name] = verdict
    finally:
        engine.dispose()
    return verdicts


def without_more(test: DataTest, columns: Sequence[str]) -> tuple[str, ...]:
    """The columns of stored failures without what they have on purpose more than dbt's.

    Of dbt-expectations' tests that is the row before dbt's columns, and behind them an aggregate's number.
    """
    if test.model is None or not test.kind.startswith("dbt_expectations."):
        return tuple(columns)
    row = tuple(tables.metadata.tables[test.model.name].c.keys())
    names = tuple(columns)[len(row) :] if tuple(columns)[: len(row)] == row else tuple(columns)
    return names[:-1] if names[-2:] == ("expression", "value") else names
