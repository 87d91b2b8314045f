"""One process at a time makes an instance: its folder, its configuration, and Dagster's tables.

Two at once destroyed Dagster's SQLite for good: both stamped its schema ("more than one head present").
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psycopg
import sqlalchemy as sa
from dagster_postgres.utils import DagsterPostgresException
from filelock import FileLock

from beacon_pipeline.assets import POOL
from beacon_pipeline.instance import LOCK
from beacon_pipeline.instance.configuration import DATABASE_VARIABLE, InstanceError

CONNECT_SECONDS = 10


@contextmanager
def making_lock(folder: Path) -> Iterator[None]:
    """Held by the one process, of all hosts, that makes the instance or looks whether it is made.

    Raises InstanceError when Dagster's database cannot be used.
    """
    with FileLock(folder / LOCK), _database_lock():
        yield


@contextmanager
def opened_instance(folder: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of a folder that has its configuration, made as far as it is not.

    Raises InstanceError.
    """
    try:
        with making_lock(folder):
            instance = dg.DagsterInstance.from_config(str(folder))
            # Opening a storage makes its tables: here, before a daemon and a launch want to make them.
            _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage
            _ensure_pool_limit(instance)
    except (sa.exc.OperationalError, DagsterPostgresException) as error:
        raise unusable(getattr(error, "orig", error)) from None
    with instance:
        yield instance


def unusable(error: object) -> InstanceError:
    """That Dagster's database cannot be used, and why: the first line of a driver has no password."""
    reason = str(error).strip().splitlines()[0]
    return InstanceError(f"Dagster's database ({DATABASE_VARIABLE}) cannot be used: {reason}")


def _ensure_pool_limit(instance: dg.DagsterInstance) -> None:
    # The queue reads the limits before it makes the default ones: the first runs would pass unlimited.
    storage = instance.event_log_storage
    if POOL not in {limit.name for limit in storage.get_pool_limits()}:
        storage.initialize_concurrency_limit_to_default(POOL)


@contextmanager
def _database_lock() -> Iterator[None]:
    url = os.environ.get(DATABASE_VARIABLE)
    if not url:
        yield
        return
    key = int.from_bytes(hashlib.sha256(b"beacon instance").digest()[:7], "big")
    plain = f"postgresql://{url.partition('://')[2]}"
    try:
        connection = psycopg.connect(plain, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        raise unusable(error) from None
    with connection:  # closing it gives the lock back
        connection.execute("SELECT pg_advisory_lock(%s)", [key])
        yield
