"""What SQLite's errors say of a file, and the way out where SQLite does not name it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
DISK_IS_FULL = ": the disk is full, make room"
LEAST_FREE_BYTES = 2**16  # about what SQLite needs to begin a transaction
PRIMARY_CODE = 0xFF  # of SQLite's codes, which hold more in the bits above


def primary_code(error: BaseException) -> int:
    """SQLite's code of an error, also of one that SQLAlchemy wraps; ``SQLITE_OK`` of any other."""
    own = getattr(error, "orig", None) or error
    return int(getattr(own, "sqlite_errorcode", sqlite3.SQLITE_OK)) & PRIMARY_CODE


def way_out(error: BaseException, file: Path | None, if_damaged: str) -> str:
    """What follows an error's own words: ``if_damaged`` where ``file`` is no sound SQLite file, and why it
    failed where its disk is full, of which SQLite only says "disk I/O error"."""
    if primary_code(error) in DAMAGED:
        return if_damaged
    return DISK_IS_FULL if file is not None and _disk_is_full(file) else ""


def _disk_is_full(file: Path) -> bool:
    folder = next((folder for folder in file.absolute().parents if folder.is_dir()), None)
    return folder is not None and shutil.disk_usage(folder).free < LEAST_FREE_BYTES
