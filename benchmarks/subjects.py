"""What benchmarks measure on: catalogs of any size, both kinds of database, fresh instances."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

import beacon_pipeline.catalog
import beacon_pipeline.instance
from beacon_pipeline.catalog import Catalog, load_catalog
from tests.databases import fresh_postgresql_database, postgresql_server

FreshDatabase = Callable[[], str | None]
"""Makes an empty PostgreSQL database and gives its URL; None: files."""


@contextmanager
def a_catalog(*, questions: int, copies: int | None = None) -> Iterator[tuple[Catalog, Path]]:
    """The demo catalog with so many questions, and the folder it is in; it is the environment's meanwhile.

    ``copies``: of its first model, instead of its models.
    """
    demo = Path(beacon_pipeline.catalog.__file__).parent / "demo"
    regions, models = (yaml.safe_load((demo / f"{name}.yaml").read_text()) for name in ("regions", "models"))
    chosen: list[dict[str, Any]] = models["models"]
    if copies is not None:
        chosen = [chosen[0] | {"id": f"m{n}"} for n in range(copies)]
    chosen = [model | {"folder": str((demo / model["folder"]).resolve())} for model in chosen]
    asked = [
        {"id": f"q{n:03d}", "text": f"What is {n} plus {n}?", "category": "control", "sensitivity": "low"}
        for n in range(questions)
    ]
    content = {"regions": regions, "models": {"models": chosen}, "questions": {"questions": asked}}
    with tempfile.TemporaryDirectory() as folder:
        for name, value in content.items():
            Path(folder, f"{name}.yaml").write_text(yaml.safe_dump(value))
        os.environ["BEACON_CATALOG"] = folder
        yield load_catalog(folder), Path(folder)


@contextmanager
def both_databases() -> Iterator[dict[str, FreshDatabase]]:
    """SQLite and PostgreSQL by name; what Dagster logs meanwhile goes nowhere."""
    with (
        tempfile.TemporaryDirectory() as folder,
        postgresql_server(Path(folder) / "pg") as server,
        Path(os.devnull).open("w") as nowhere,
        redirect_stderr(nowhere),
    ):
        yield {"SQLite": lambda: None, "PostgreSQL": lambda: fresh_postgresql_database(server)}


@contextmanager
def fresh_instance(
    database_url: str | None, *, stock_storage: bool = False, shipped: str = "local"
) -> Iterator[dg.DagsterInstance]:
    """An empty Dagster instance and an empty ledger: files, or both in one PostgreSQL database.

    ``stock_storage``: with Dagster's own storage classes instead of those that ship with Beacon.
    ``shipped``: the configuration that it is made of, ``local`` or ``production``.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        file = Path(beacon_pipeline.instance.__file__).with_name(f"{shipped}.yaml")
        configuration = yaml.safe_load(file.read_text())
        os.environ["BEACON_DATABASE_URL"] = database_url or f"sqlite:///{folder}/ledger.db"
        if database_url is not None:
            psycopg2_url = database_url.replace("postgresql://", "postgresql+psycopg2://")
            configuration["storage"]["custom"] |= {
                "class": "PooledPostgresStorage",
                "config": {"postgres_url": psycopg2_url},
            }
        if stock_storage:
            custom = configuration["storage"].pop("custom")["config"]
            configuration["storage"]["sqlite" if database_url is None else "postgres"] = custom
        Path(folder, "dagster.yaml").write_text(yaml.safe_dump(configuration))
        os.environ["DAGSTER_HOME"] = folder
        with dg.DagsterInstance.get() as instance:
            yield instance


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
