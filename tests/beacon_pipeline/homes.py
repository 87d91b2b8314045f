"""Instances on the shipped storages, opened in this process with the ledger beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
import yaml

from beacon_pipeline.execution.resources import LedgerResource
from beacon_pipeline.ledger import Ledger
from tests.databases import fresh_postgresql_database


def make_home(kind: str, folder: Path, request: pytest.FixtureRequest) -> Path:
    """An instance folder, and this process's environment with its ledger, in one PostgreSQL database or on
    SQLite."""
    environment = request.getfixturevalue("monkeypatch")
    name, setting, value = "PooledSqliteStorage", "base_dir", str(folder)
    ledger = f"sqlite:///{folder / 'ledger.db'}"
    if kind == "postgresql":
        ledger = fresh_postgresql_database(request.getfixturevalue("postgresql_url"))
        name, setting, value = "PooledPostgresStorage", "postgres_url", ledger
    module = "beacon_pipeline.instance.pooled_storage"
    custom = {"module": module, "class": name, "config": {setting: value}}
    folder.mkdir(exist_ok=True)
    (folder / "dagster.yaml").write_text(
        yaml.safe_dump({"storage": {"custom": custom}, "telemetry": {"enabled": False}})
    )
    environment.setenv("DAGSTER_HOME", str(folder))
    environment.setenv("BEACON_DATABASE_URL", ledger)
    return folder


@contextmanager
def opened(home: Path) -> Iterator[tuple[dg.DagsterInstance, Ledger]]:
    """The instance of a folder, and the ledger that the environment names."""
    with dg.DagsterInstance.from_config(str(home)) as instance, LedgerResource().open() as ledger:
        yield instance, ledger
