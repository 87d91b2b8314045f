"""Every verdict of the real dbt, on every database: what `make compare-dbt` recorded on DuckDB."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from dbt_like_checks.tests.generic import SHIPPED
from tests.compare_dbt import cases, recording, tables
from tests.compare_dbt.ours import run_ours
from tests.databases import fresh_postgresql_database


@pytest.mark.parametrize("database", ["sqlite", "postgresql", "duckdb"])
def test_the_same_verdicts_and_counts(database: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if database == "postgresql":
        url = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        url = url.replace("postgresql://", "postgresql+psycopg://")
    else:
        url = f"{database}:///{tmp_path / 'compared.db'}"
    engine = sa.create_engine(url)
    tables.create(engine, tables.rows_of())
    engine.dispose()
    cases.write(tmp_path)
    theirs, ours = recording.read(), run_ours(tmp_path, url)
    assert len(theirs) > 700
    stored = {name.partition("_")[2] for name, said in theirs.items() if said.columns}
    assert stored >= {test.name for test in SHIPPED}  # of every kind
    differing = {name: (theirs.get(name), ours.get(name)) for name in theirs | ours}
    assert {name: pair for name, pair in differing.items() if pair[0] != pair[1]} == {}
