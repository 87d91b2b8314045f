"""Real databases for tests: SQLite files and an embedded PostgreSQL server."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from beacon_pipeline.instance.postgres import started_server

KINDS = ("sqlite", "postgresql")


@contextmanager
def postgresql_server(folder: Path, *, durable: bool = True) -> Iterator[str]:
    """A PostgreSQL server of our own for as long as the context lasts; gives its maintenance URL.

    Unless ``durable``, it waits for no disk, which at its start and end alone can be half a minute.
    """
    server = started_server(folder, cleanup_mode="delete")
    try:
        if not durable:
            _wait_for_no_disk(server.get_uri())
        yield server.get_uri()
    finally:
        server.cleanup()


def _wait_for_no_disk(server_url: str) -> None:
    with psycopg.connect(server_url, autocommit=True) as connection:
        for safety in ("fsync", "full_page_writes", "synchronous_commit"):
            connection.execute(f"ALTER SYSTEM SET {safety} = off")
        connection.execute("SELECT pg_reload_conf()")


def fresh_postgresql_database(server_url: str) -> str:
    """Make an empty database on the server; returns its URL."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    base, _, query = server_url.partition("?")
    return f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")
