"""Real databases for tests: SQLite files and an embedded PostgreSQL server."""

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg

from beacon_pipeline.instance.postgres import started_server
from beacon_pipeline.ledger import Ledger

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


def fresh_postgresql_database(server_url: str, template: str | None = None) -> str:
    """Make a database on the server, empty or a copy of another that no one is connected to; its URL."""
    name = f"test_{uuid.uuid4().hex}"
    copied = f' TEMPLATE "{template}"' if template else ""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"{copied}')
    base, _, query = server_url.partition("?")
    return f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def migrated_postgresql_database(server_url: str) -> str:
    """A database with the ledger's tables, copied from one that the migrations made."""
    return fresh_postgresql_database(server_url, _template(server_url))


def migrated_sqlite_file(path: Path) -> str:
    """A file with the ledger's tables, copied from one that the migrations made; its URL."""
    path.touch(mode=0o600)
    path.write_bytes(_migrated_bytes())
    return f"sqlite:///{path}"


@cache
def _template(server_url: str) -> str:
    url = fresh_postgresql_database(server_url)
    _migrate(url)
    return url.partition("?")[0].rpartition("/")[2]


@cache
def _migrated_bytes() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        _migrate(f"sqlite:///{path}")
        return path.read_bytes()


def _migrate(url: str) -> None:
    ledger = Ledger(url)
    ledger.migrate()
    ledger.close()
