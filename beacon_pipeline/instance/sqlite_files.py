"""Dagster's SQLite files: a run's file of events is put in its place whole, and a complete one is known.

Dagster makes a run's file in its place, table by table, and each waits for the disk several times: 0.35 s on
an ordinary one, for every run that is launched. To see that a file is complete it reads all its migrations.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa
from alembic.runtime.migration import MigrationContext

# Bytes of an SQLite file that say how it is written and read, and their value for a write-ahead log
# (https://www.sqlite.org/fileformat2.html, "File format version numbers").
WRITTEN_AND_READ, BY_WAL = slice(18, 20), b"\x02\x02"


def is_complete(engine: sa.Engine) -> bool:
    """Whether a database has its tables: their revision comes last. False of one that cannot be read."""
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision() is not None
    except sa.exc.DatabaseError:
        return False


def file_of(in_memory: sa.Engine) -> bytes:
    """What a file would have that holds this database, with a write-ahead log."""
    with in_memory.connect() as connection:
        content = bytearray(connection.connection.driver_connection.serialize())  # type: ignore[union-attr]
    content[WRITTEN_AND_READ] = BY_WAL
    return bytes(content)


def put(path: Path, content: bytes) -> None:
    """Put a file there, whole and kept by the disk; none where another process has put one."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".new") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        with suppress(OSError):  # one is there, or the file system has no links: Dagster makes it, then
            path.hardlink_to(file.name)
    folder = os.open(path.parent, os.O_RDONLY)
    with suppress(OSError):  # as SQLite does: not all file systems keep a folder on demand
        os.fsync(folder)
    os.close(folder)
