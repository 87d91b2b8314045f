"""Every verdict of the real dbt, on every database: what `make compare-dbt` recorded on DuckDB.

Each test as it is, and with its failing rows stored, on all three; of its configured variants each on one.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from dbt_like_checks import Config, load_project
from dbt_like_checks.tests.generic import SHIPPED
from tests.compare_dbt import cases, recording, tables
from tests.compare_dbt.ours import said_here
from tests.databases import fresh_postgresql_database
from tests.dbt_like_checks.conftest import KINDS

EVERYWHERE = (Config(), Config(store_failures=True))


@pytest.mark.parametrize("database", KINDS)
def test_the_same_verdicts_counts_and_stored_columns(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if database == "postgresql":
        url = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        url = url.replace("postgresql://", "postgresql+psycopg://")
    else:
        url = f"{database}:///{tmp_path / 'compared.db'}"
    engine = sa.create_engine(url)
    tables.create(engine, tables.rows_of())
    engine.dispose()
    cases.write(tmp_path)
    chosen = [
        test
        for number, test in enumerate(load_project(tmp_path / "models", tmp_path / "tests"))
        if test.config in EVERYWHERE or number % len(KINDS) == KINDS.index(database)
    ]
    recorded = recording.read()
    theirs = {test.name: recorded[test.name] for test in chosen if test.config.enabled}
    ours = said_here(chosen, url)
    stored = {name.partition("_")[2] for name, said in theirs.items() if said.columns}
    assert stored >= {test.name for test in SHIPPED}  # of every kind
    assert len(ours) > 1000
    assert {name: (theirs[name], said) for name, said in ours.items() if theirs[name] != said} == {}


def test_what_is_recorded_is_what_is_compared(tmp_path: Path) -> None:
    cases.write(tmp_path)
    project = load_project(tmp_path / "models", tmp_path / "tests")
    assert recording.read().keys() == {test.name for test in project if test.config.enabled}
