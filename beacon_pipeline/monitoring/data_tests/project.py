"""The data tests on the ledger, and where they run."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import sqlalchemy as sa

from beacon_pipeline import environment
from beacon_pipeline.catalog import Catalog
from beacon_pipeline.ledger.database import SCHEMA
from dbt_like_checks import DataTest, RunOptions, load_project
from dbt_like_checks.parse.names import identifier

SHIPPED = Path(__file__).parent
OWN = "checks"  # a folder of one's own, in the catalog's
OWN_CHECKS_LOAD = "own_checks_load"  # the check on the ledger that says whether that folder can be used


def ledger_checks(catalog: Catalog) -> tuple[DataTest, ...]:
    """The tests that ship, then those of the catalog's folder. Raises ProjectError."""
    return (*shipped_checks(), *own_checks(catalog))


@cache
def shipped_checks() -> tuple[DataTest, ...]:
    """The tests that ship with Beacon."""
    return load_project(SHIPPED, name="ledger").tests


def own_checks(catalog: Catalog) -> tuple[DataTest, ...]:
    """The tests of the catalog's folder, none without one. Raises ProjectError.

    One that would have the name of a test that ships, because it says the same perhaps, has ``own_``
    before it: what is called as before is the same test as before.
    """
    folder = catalog.folder / OWN
    if not folder.is_dir():
        return ()
    taken = {OWN_CHECKS_LOAD, *(identifier(test.name) for test in shipped_checks())}
    return tuple(
        replace(test, name=f"own_{test.name}") if identifier(test.name) in taken else test
        for test in load_project(folder, name="own")
    )


def ledger_target() -> tuple[str, RunOptions]:
    """The URL of the ledger's database, which may hold a password, and how tests find its tables."""
    url = environment.database_url()
    on_postgresql = sa.make_url(url).get_backend_name() == "postgresql"
    return url, RunOptions(schema=SCHEMA if on_postgresql else None)
