"""What SQLite cannot alter: a CHECK constraint of a table that is full."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op


def change_check(table: str, name: str, *, old: str, new: str) -> None:
    """Put the condition ``new`` in the place of ``old`` in the CHECK constraint ``name`` of a table.

    SQLite knows a table by the text that made it: another one is made of that text, filled, and takes
    the old one's name and indexes. It needs foreign keys to be off (`Database.migrate`). Raises
    LookupError where the old condition is not there.
    """
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":
        op.drop_constraint(op.f(name), table, type_="check")
        op.create_check_constraint(op.f(name), table, sa.text(new))
        return
    made_by = sa.text("SELECT type, sql FROM sqlite_master WHERE tbl_name = :table AND sql IS NOT NULL")
    rows = connection.execute(made_by, {"table": table}).all()
    text = next(row.sql for row in rows if row.type == "table")
    if f"CHECK ({old})" not in text:
        raise LookupError(f"{table} has no constraint {name} with {old}")
    head, _, body = text.replace(f"CHECK ({old})", f"CHECK ({new})").partition("(")
    connection.exec_driver_sql(f"{head.replace(table, f'rebuilt_{table}')}({body}")
    connection.exec_driver_sql(f"INSERT INTO rebuilt_{table} SELECT * FROM {table}")  # noqa: S608 - names of ours
    connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql(f"ALTER TABLE rebuilt_{table} RENAME TO {table}")
    for row in rows:
        if row.type != "table":
            connection.exec_driver_sql(row.sql)
