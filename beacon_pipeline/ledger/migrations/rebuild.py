"""What SQLite cannot alter: the constraints of a table that is full."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa
from alembic import op


def change_check(table: str, name: str, *, old: str, new: str) -> None:
    """Put the condition ``new`` in the place of ``old`` in the CHECK constraint ``name`` of a table.

    Raises LookupError where the old condition is not there.
    """
    change_constraints(table, drop={name: f"CHECK ({old})"}, add={name: f"CHECK ({new})"})


def change_constraints(table: str, *, drop: Mapping[str, str], add: Mapping[str, str]) -> None:
    """Take constraints of a table away, and give it others; both by name, with their text.

    SQLite knows a table by the text that made it: another one is made of that text, filled, and takes
    the old one's name and indexes. It needs foreign keys to be off (`Database.migrate`). Raises
    LookupError where a constraint to drop is not there.
    """
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        for name in drop:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        for name, text in add.items():
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD CONSTRAINT {name} {text}")
        return
    made_by = sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL")
    rows = connection.execute(made_by, {"table": table}).all()
    changed = _changed(table, next(row.sql for row in rows if row.type == "table"), drop, add)
    head, _, body = changed.partition("(")
    connection.exec_driver_sql(f"{head.replace(table, f'rebuilt_{table}')}({body}")
    connection.exec_driver_sql(f"INSERT INTO rebuilt_{table} SELECT * FROM {table}")  # noqa: S608 - names of ours
    connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql(f"ALTER TABLE rebuilt_{table} RENAME TO {table}")
    for row in rows:
        if row.type != "table":
            connection.exec_driver_sql(row.sql)


def _changed(table: str, made_by: str, drop: Mapping[str, str], add: Mapping[str, str]) -> str:
    """The text that makes the table with its new constraints in the place of the first dropped one."""
    added = ", ".join(f"CONSTRAINT {name} {text}" for name, text in add.items())
    for name, text in drop.items():
        old = f"CONSTRAINT {name} {text}"
        if old not in made_by:
            raise LookupError(f"{table} has no constraint {name}: {text}")
        # What comes first takes the place of all, the others leave none.
        made_by = made_by.replace(old, added) if added else made_by.replace(f", {old}", "")
        added = ""
    return made_by
