"""The data tests on the ledger, and where they run."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from beacon_pipeline import settings
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.ledger.database import SCHEMA
from dbt_like_checks import DataTest, RunOptions, load_project

SHIPPED = Path(__file__).parent
OWN = "checks"  # a folder of one's own, in the catalog's


def ledger_checks(catalog: Catalog) -> tuple[DataTest, ...]:
    """The tests that ship, then those of the catalog's folder. Raises ProjectError."""
    own = catalog.folder / OWN
    projects = [load_project(SHIPPED, name="ledger")]
    if own.is_dir():
        projects.append(load_project(own, name="own"))
    return tuple(test for project in projects for test in project)


def ledger_target() -> tuple[str, RunOptions]:
    """The URL of the ledger's database, which may hold a password, and how tests find its tables."""
    url = settings.database_url()
    on_postgresql = sa.make_url(url).get_backend_name() == "postgresql"
    return url, RunOptions(schema=SCHEMA if on_postgresql else None)
