"""One process at a time makes an instance: its folder, its configuration, and Dagster's tables.

Two at once destroyed Dagster's SQLite for good: both stamped its schema ("more than one head present").
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from filelock import FileLock

from beacon_pipeline import environment
from beacon_pipeline.escaping import one_line
from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE, InstanceError
from beacon_pipeline.instance.folder import LOCK
from beacon_pipeline.instance.storage import check_storage
from beacon_pipeline.names import POOL
from dbt_like_checks.database.secrets import reason_of, secrets_of

CONNECT_SECONDS = 10
REASON_LIMIT = 600  # characters of Dagster's own words


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
    with ExitStack() as stack:
        with making_lock(folder):
            check_storage(folder)
            try:
                instance = stack.enter_context(dg.DagsterInstance.from_config(str(folder)))
                # Opening a storage makes its tables: here, before a daemon and a launch want to make them.
                _ = instance.run_storage, instance.event_log_storage, instance.schedule_storage
                _ = instance.run_launcher, instance.run_coordinator  # of a class that dagster.yaml may name
                _ensure_pool_limit(instance)
            except InstanceError:
                raise
            except Exception as error:  # whatever a dagster.yaml names is run here, and may raise anything
                message = str(getattr(error, "orig", None) or error)
                if isinstance(error, LookupError | TypeError | AttributeError):
                    message = f"a value in it is of the wrong kind: {message}"  # Dagster reads first
                reason = one_line(environment.masked(message), REASON_LIMIT)
                raise InstanceError(
                    f"Dagster cannot use the instance in {folder} with its dagster.yaml: {reason}"
                ) from error
        yield instance


def unusable(error: Exception) -> InstanceError:
    """That Dagster's database cannot be used, and why."""
    reason = reason_of(error, secrets_of(os.environ.get(DATABASE_VARIABLE, "")))
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
    import psycopg  # most commands have no use for it, and it takes longer to load than to open a file

    key = int.from_bytes(hashlib.sha256(b"beacon instance").digest()[:7], "big")
    plain = f"postgresql://{url.partition('://')[2]}"
    try:
        connection = psycopg.connect(plain, autocommit=True, connect_timeout=CONNECT_SECONDS)
    except psycopg.OperationalError as error:
        raise unusable(error) from None
    with connection:  # closing it gives the lock back
        connection.execute("SELECT pg_advisory_lock(%s)", [key])
        yield
